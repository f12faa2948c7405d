"""The journal: a folder of append-only files outside the database, on the disk before what they announce is done.

This module knows lines and files; what the lines mean is its callers' affair. Each machine appends to segments of its
own, ``<machine>-<day>-<number>.journal``, a new one each day and whenever one is full, so that the files of all web
nodes can lie in one folder. A line is ``<CRC-32> <length> <JSON>``: one that its writer did not finish is shorter than
it says, one that was altered since is not.
"""

import fcntl
import gzip
import json
import os
import re
import shutil
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from django.conf import settings

SEGMENT_BYTES: Final = 64 * 1024 * 1024
SUFFIX: Final = ".journal"
_HEAD = re.compile(rb"([0-9a-f]{8}) ([0-9]{1,9}) ")
# Of a line that is shorter than the shortest head with its payload nothing can be said but that it was not finished.
_LONGEST_HEAD: Final = 19


class Damage(Enum):
    """Why a line cannot be read."""

    TORN = "its writer did not finish it, so nothing that it announces was done"
    ALTERED = "it is not what was written"


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it was read; ``entry`` is None exactly where there is ``damage``."""

    segment: str
    number: int
    entry: dict[str, Any] | None
    damage: Damage | None = None


@dataclass(slots=True)
class _Segment:
    """The segment that this process appended to last."""

    folder: Path
    day: str
    number: int


_current = _Segment(Path(), "", 0)


def append(entries: Sequence[Mapping[str, object]], *, is_flushed: bool = True) -> None:
    """Append entries, all or none. They are on the disk when this returns, unless ``is_flushed`` is False.

    Safe between threads and processes. What is not flushed is brought to the disk by the next entry that is, or by the
    system within half a minute or so. Values are JSON, times and UUIDs.

    Raises:
        OSError: they could not be written, and count for nothing: what was written of them was taken back, or is torn.
    """
    data = b"".join(map(_line_of, entries))
    segment = _open_segment()
    try:
        fcntl.flock(segment, fcntl.LOCK_EX)
        size = os.fstat(segment).st_size
        if size and os.pread(segment, 1, size - 1) != b"\n":
            data = b"\n" + data  # whoever wrote last died while writing
        try:
            _write(segment, data)
        except OSError:
            os.ftruncate(segment, size)
            raise
        fcntl.flock(segment, fcntl.LOCK_UN)
        if is_flushed:
            os.fdatasync(segment)
    finally:
        os.close(segment)


def read() -> Iterator[Line]:
    """Every line of the folder, those of a machine in the order in which they were written.

    Segments that are no longer written to may have been compressed by gzip. Raises OSError, EOFError.
    """
    folder: Path = settings.PKI_PORTAL_JOURNAL
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith((SUFFIX, f"{SUFFIX}.gz")))
    except FileNotFoundError:
        return  # nothing was ever signed here
    for name in names:
        with gzip.open(folder / name, "rb") if name.endswith(".gz") else (folder / name).open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield _read_line(name, number, line)


def free_bytes() -> int:
    """How much more the disk of the folder takes from this user. Raises OSError."""
    folder: Path = settings.PKI_PORTAL_JOURNAL
    return shutil.disk_usage(next(each for each in (folder, *folder.parents) if each.is_dir())).free


@cache
def machine() -> str:
    """This machine's name, as segments have it."""
    return re.sub(r"[^A-Za-z0-9.]", "_", os.uname().nodename)


def _read_line(segment: str, number: int, line: bytes) -> Line:
    line = line.rstrip(b"\n\0")  # a file system may have made room that the data never came into
    head = _HEAD.match(line)
    if head is None:
        damage = Damage.TORN if len(line) < _LONGEST_HEAD else Damage.ALTERED
        return Line(segment, number, None, damage)
    payload = line[head.end() :]
    if len(payload) < int(head[2]):
        return Line(segment, number, None, Damage.TORN)
    if len(payload) > int(head[2]) or zlib.crc32(payload) != int(head[1], 16):
        return Line(segment, number, None, Damage.ALTERED)
    return Line(segment, number, json.loads(payload))


def _line_of(entry: Mapping[str, object]) -> bytes:
    payload = json.dumps(entry, separators=(",", ":"), default=_json_value).encode("ascii")
    return b"%08x %d %s\n" % (zlib.crc32(payload), len(payload), payload)


def _json_value(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"no value of a journal: {type(value).__name__}")


def _open_segment() -> int:
    """The segment that is written to now, opened; whoever opens one for the first time brings its name to the disk."""
    folder: Path = settings.PKI_PORTAL_JOURNAL
    day = time.strftime("%Y%m%d", time.gmtime())
    number = _current.number if (_current.folder, _current.day) == (folder, day) else 1
    while (segment := _open_if_free(folder, f"{machine()}-{day}-{number:05}{SUFFIX}")) is None:
        number += 1
    if (_current.folder, _current.day, _current.number) != (folder, day, number):
        try:
            _flush_name(folder)
        except OSError:
            os.close(segment)
            raise
        _current.folder, _current.day, _current.number = folder, day, number
    return segment


def _open_if_free(folder: Path, name: str) -> int | None:
    """None for a segment that is full, or another user's: a command that root ran must not stop the service."""
    try:
        segment = _open(folder, name)
    except PermissionError:
        if (folder / name).is_file():
            return None
        raise
    if os.fstat(segment).st_size < SEGMENT_BYTES:
        return segment
    os.close(segment)
    return None


def _open(folder: Path, name: str) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(folder / name, flags, 0o600)
    except FileNotFoundError:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(folder / name, flags, 0o600)


def _write(segment: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(segment, left) :]


def _flush_name(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
