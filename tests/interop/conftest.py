"""A real portal: its own state folder and database, made by quickstart, served by gunicorn in processes of its own."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tests.portal import Portal, install


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
    running = install(tmp_path / "var", database_url=fresh_database_url)
    running.start()
    yield running
    running.kill()
