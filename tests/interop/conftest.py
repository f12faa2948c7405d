"""A real portal: its own state folder and database, made by quickstart, served by gunicorn in processes of its own."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tests.portal import Portal, install, migrate


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What every portal here begins with, for migrations are most of the work of making one: the name of a template on
    the server that the suite runs on, else the path of a file.
    """
    state, url = tmp_path_factory.mktemp("migrated"), os.environ.get("DATABASE_URL", "")
    if not url:
        migrate(state, database_url="")
        yield str(state / "db.sqlite3")
        return
    with _database_on(url) as (name, its_url):
        migrate(state, database_url=its_url)
        yield name


@pytest.fixture
def fresh_database_url(migrated: str) -> Iterator[str]:
    """Empty for the embedded database, else the URL of a new one on the server that the suite runs on."""
    url = os.environ.get("DATABASE_URL", "")
    if not url:
        yield ""
        return
    with _database_on(url, template=migrated) as (_, its_url):
        yield its_url


@contextmanager
def _database_on(url: str, *, template: str = "template1") -> Iterator[tuple[str, str]]:
    """A new database's name and URL."""
    name = f"portal_{secrets.token_hex(6)}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        yield name, urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def portal(tmp_path: Path, fresh_database_url: str, migrated: str) -> Iterator[Portal]:
    """A new installation with its demo project, serving."""
    state = tmp_path / "var"
    if not fresh_database_url:
        state.mkdir(mode=0o700)
        shutil.copy(migrated, state)
    running = install(state, database_url=fresh_database_url)
    running.start()
    yield running
    running.kill()
