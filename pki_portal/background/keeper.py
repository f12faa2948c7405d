"""Keeps one ``manage.py worker`` alive beside the server that started this: a crash is followed by a new start, and the
end of the server by the end of both.

It knows nothing of Django, so it costs next to nothing.
"""

import os
import signal
import subprocess
import sys
import time
from types import FrameType
from typing import Final

LOOK_SECONDS: Final = 0.5
# Longer than the row in hand may take by far; a worker that does not end by then is killed, and its row is done again.
END_SECONDS: Final = 25.0
FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 30.0
# A worker that lived so long was healthy: the next delay is the first one again.
HEALTHY_SECONDS: Final = 60.0


class Keeper:
    """One keeper; ``command`` starts what it keeps, and gets the keeper's process id as its last argument."""

    def __init__(self, command: list[str]) -> None:
        self._command = [*command, str(os.getpid())]
        self._parent = os.getppid()
        self._is_stopping = False

    def run(self) -> None:
        """Until SIGTERM or SIGINT comes or the parent is gone."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._stop)
        delay = FIRST_DELAY
        while not self._should_stop():
            began = time.monotonic()
            self._keep_one()
            if time.monotonic() - began > HEALTHY_SECONDS:
                delay = FIRST_DELAY
            until = time.monotonic() + delay
            while not self._should_stop() and time.monotonic() < until:
                time.sleep(LOOK_SECONDS)
            delay = min(2 * delay, LONGEST_DELAY)

    def _keep_one(self) -> None:
        worker = subprocess.Popen(self._command)  # noqa: S603 - our own interpreter and our own command
        while worker.poll() is None:
            if self._should_stop():
                worker.terminate()
                try:
                    worker.wait(END_SECONDS)
                except subprocess.TimeoutExpired:
                    worker.kill()
                    worker.wait()
                return
            time.sleep(LOOK_SECONDS)
        sys.stderr.write(f"the background worker ended with status {worker.returncode}; it is started again\n")

    def _should_stop(self) -> bool:
        return self._is_stopping or os.getppid() != self._parent

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self._is_stopping = True


if __name__ == "__main__":
    Keeper([sys.executable, "manage.py", "worker", "--parent"]).run()
