"""One clock for several processes: the real one and an offset in a file that all of them map."""

import mmap
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.utils import timezone

_OFFSET = struct.Struct("=d")  # aligned: written and read in one piece


class SharedClock:
    """What ``timezone.now()`` says after ``install``, in this process and in those forked from it."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(_OFFSET.pack(0.0))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _OFFSET.size)

    def install(self) -> None:
        """Have Django, and so the portal, ask this clock from now on."""
        timezone.now = self.now

    def now(self) -> datetime:
        """In UTC."""
        return datetime.now(UTC) + timedelta(seconds=self._offset)

    def step(self, by: timedelta) -> None:
        """Put it forward, or back."""
        _OFFSET.pack_into(self._shared, 0, self._offset + by.total_seconds())

    @property
    def _offset(self) -> float:
        offset: float = _OFFSET.unpack_from(self._shared, 0)[0]
        return offset
