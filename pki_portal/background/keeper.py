"""Keeps processes alive beside the server that started this: ``manage.py worker``, and the one that makes keys in
advance. A crash is followed by a new start, and the end of the server by the end of all.

It knows nothing of Django, so it costs next to nothing. What it shall keep stands in its one argument, as JSON: a list
of ``{"command": [...], "descriptors": [...]}``.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Final

LOOK_SECONDS: Final = 0.5
# Longer than the row in hand may take by far; a worker that does not end by then is killed, and its row is done again.
END_SECONDS: Final = 25.0
FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 30.0
# What lived so long was healthy: the next delay is the first one again.
HEALTHY_SECONDS: Final = 60.0


class Kept:
    """One process, started by ``command``, which gets this process's id as its last argument, and ``descriptors``."""

    def __init__(self, command: Sequence[str], descriptors: Sequence[int] = ()) -> None:
        self._command = command
        self._descriptors = descriptors
        self._process: subprocess.Popen[bytes] | None = None
        self._began = self._next_start = time.monotonic()
        self._delay = FIRST_DELAY

    def look(self) -> None:
        """Start it where it is not there, the later the more often it ended soon."""
        now = time.monotonic()
        if self._process is None:
            if now >= self._next_start:
                self._began = now
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own command
                    [*self._command, str(os.getpid())], pass_fds=self._descriptors
                )
        elif self._process.poll() is not None:
            status, self._process = self._process.returncode, None
            sys.stderr.write(f"{shlex.join(self._command)} ended with status {status}; it is started again\n")
            if now - self._began > HEALTHY_SECONDS:
                self._delay = FIRST_DELAY
            self._next_start = now + self._delay
            self._delay = min(2 * self._delay, LONGEST_DELAY)

    def tell_to_end(self) -> None:
        """Politely."""
        if self._process is not None:
            self._process.terminate()

    def end(self, *, until: float) -> None:
        """Wait for its end until that time of the monotonic clock, then kill it."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Keeper:
    """The one that keeps them."""

    def __init__(self, kept: Sequence[Kept]) -> None:
        self._kept = kept
        self._parent = os.getppid()
        self._is_stopping = False

    def run(self) -> None:
        """Until SIGTERM or SIGINT comes or the parent is gone."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._stop)
        while not self._should_stop():
            for each in self._kept:
                each.look()
            time.sleep(LOOK_SECONDS)
        until = time.monotonic() + END_SECONDS
        for each in self._kept:
            each.tell_to_end()
        for each in self._kept:
            each.end(until=until)

    def _should_stop(self) -> bool:
        return self._is_stopping or os.getppid() != self._parent

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self._is_stopping = True


if __name__ == "__main__":
    Keeper([Kept(**each) for each in json.loads(sys.argv[1])]).run()
