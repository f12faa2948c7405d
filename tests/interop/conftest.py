"""A real portal: its own state folder and database, made by quickstart, served by gunicorn in processes of its own."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tests.portal import ROOT, Portal, free_port


@pytest.fixture
def fresh_database_url() -> Iterator[str]:
    """Empty for the embedded database, else the URL of a new one on the server that the suite runs on."""
    url = os.environ.get("DATABASE_URL", "")
    if not url:
        yield ""
        return
    name = f"portal_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def portal(tmp_path: Path, fresh_database_url: str) -> Iterator[Portal]:
    """A new installation with its demo project, serving."""
    port = free_port()
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PKI_PORTAL", "DJANGO", "PYTEST"))
    }
    environment = kept | {
        "PKI_PORTAL_VAR": str(tmp_path / "var"),
        "DATABASE_URL": fresh_database_url,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "SITE_URL": f"http://127.0.0.1:{port}",
    }
    made = subprocess.run(
        [sys.executable, "manage.py", "quickstart", "--json"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    running = Portal(
        state=tmp_path / "var", environment=environment, base_url=environment["SITE_URL"], made=json.loads(made.stdout)
    )
    running.start()
    yield running
    running.kill()
