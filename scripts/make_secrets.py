#!/usr/bin/env python3
"""Makes the secrets that compose.yaml names, each in a file of its own; those that are there stay as they are.

    python3 scripts/make_secrets.py secrets

Needs the standard library alone. The folder is for its owner only; the files in it are readable, because the portal in
its container is another user.
"""

import base64
import secrets
import sys
from collections.abc import Callable
from pathlib import Path


def main(folder: Path) -> None:
    """Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    password = _kept(folder / "postgres-password", lambda: secrets.token_urlsafe(32))
    _kept(folder / "database-url", lambda: f"postgres://portal:{password}@postgres:5432/portal")
    _kept(folder / "secret-key", lambda: secrets.token_urlsafe(50))
    _kept(folder / "metrics-token", lambda: secrets.token_urlsafe(32))
    _kept(folder / "master-keys", lambda: f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}")


def _kept(path: Path, make: Callable[[], str]) -> str:
    if not path.exists():
        path.write_text(make(), encoding="ascii")
        path.chmod(0o444)
    return path.read_text(encoding="ascii")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
