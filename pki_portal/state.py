"""Secrets that live as files in the state folder: read, or made once whoever comes first."""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def read_or_create_secret(path: Path, make: Callable[[], str]) -> str:
    """The text in ``path``; if there is no such file, it is made with mode 0600 from ``make()``.

    Processes that race for the first start all get the same text: a complete file appears under its name in one step
    (a hard link refuses an existing name), so nobody reads a half-written one. Raises OSError.
    """
    with suppress(FileNotFoundError):
        return path.read_text(encoding="ascii").strip()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(make() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return path.read_text(encoding="ascii").strip()
