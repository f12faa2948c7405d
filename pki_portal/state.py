"""Secrets that live as files in the state folder: read, or made once whoever comes first."""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def read_or_create_secret(path: Path, make: Callable[[], str]) -> str:
    """The text in ``path``; if there is no such file, it is made with mode 0600 from ``make()``.

    Processes that race for the first start all get the same text: a complete file appears under its name in one step
    (a hard link refuses an existing name), so nobody reads a half-written one. Raises OSError.
    """
    with suppress(FileNotFoundError):
        return path.read_text(encoding="ascii").strip()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _draft(path, make()) as draft, suppress(FileExistsError):
        os.link(draft, path)
    _flush_folder(path.parent)
    return path.read_text(encoding="ascii").strip()


def change_secret(path: Path, change: Callable[[str], str]) -> str:
    """Replace the text of an existing secret by ``change(text)`` in one step, and return it.

    Whoever reads meanwhile gets the old text or the new one, whole; of two changes at once one waits for the other, so
    none is lost. The file keeps its owner, its mode, and its place behind a symbolic link. Raises OSError.
    """
    path = path.resolve(strict=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        text = change(path.read_text(encoding="ascii").strip())
        owner = path.stat()
        with _draft(path, text) as draft:
            if (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
                os.chown(draft, owner.st_uid, owner.st_gid)  # else root would take the file from the service
            draft.chmod(owner.st_mode & 0o777)
            draft.rename(path)
    finally:
        os.close(folder)
    _flush_folder(path.parent)
    return text


@contextmanager
def _draft(path: Path, text: str) -> Iterator[Path]:
    """A new file beside ``path``, of mode 0600 and on the disk; gone at the end unless it was renamed."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """Bring a new name in the folder to the disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
