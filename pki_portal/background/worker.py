"""The worker's loop: hints at once, all that is due every few seconds, and an end that leaves nothing half done."""

import fcntl
import logging
import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from django.utils import timezone

from pki_portal.background.schedule import make_job_rows
from pki_portal.background.tasks import take_hints
from pki_portal.background.work import seconds_until_due, sweep

logger = logging.getLogger(__name__)

HINT_SECONDS: Final = 1.0
SWEEP_SECONDS: Final = 10.0
# After the database failed.
PAUSE_SECONDS: Final = 5.0


class Worker:
    """One worker process. SIGTERM and SIGINT let it finish the row in hand; then ``run`` returns.

    ``parent``: the process that must live, by its id; when it is gone the worker stops as well.
    """

    def __init__(self, *, parent: int | None = None) -> None:
        self._parent = parent
        self._is_stopping = False
        self._woken, self._wake = os.pipe()

    def run(self) -> None:
        """Work until told to stop."""
        with self._signals(), self._alone_on_sqlite():
            logger.info("worker %s works", os.getpid())
            next_sweep = 0.0
            while not self.should_stop():
                pause = HINT_SECONDS
                try:
                    close_old_connections()
                    take_hints(should_stop=self.should_stop)
                    if time.monotonic() >= next_sweep:
                        make_job_rows(timezone.now())
                        sweep(should_stop=self.should_stop)
                        # The renewal of a certificate that lives for seconds cannot wait for ten of them.
                        next_sweep = time.monotonic() + seconds_until_due(at_most=SWEEP_SECONDS)
                except DatabaseError as problem:
                    # Nothing is lost: what was in hand is due again when its lease has ended.
                    logger.warning("the database failed (%s); trying again", type(problem).__name__)
                    connection.close()
                    pause = PAUSE_SECONDS
                self._wait(pause)
            logger.info("worker %s stops", os.getpid())

    def should_stop(self) -> bool:
        """Whether a signal came or the parent is gone."""
        return self._is_stopping or (self._parent is not None and os.getppid() != self._parent)

    def _wait(self, seconds: float) -> None:
        """Sleep, or until a signal comes."""
        if not self.should_stop() and select.select([self._woken], [], [], seconds)[0]:
            os.read(self._woken, 1024)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self._is_stopping = True

    @contextmanager
    def _signals(self) -> Iterator[None]:
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(self._wake)
        before = {signum: signal.signal(signum, self._stop) for signum in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)
            signal.set_wakeup_fd(-1)
            os.close(self._woken)
            os.close(self._wake)

    @contextmanager
    def _alone_on_sqlite(self) -> Iterator[None]:
        """On SQLite, which has one writer, a second worker waits for the end of the first."""
        if connection.vendor != "sqlite":
            yield
            return
        folder = Path(settings.PKI_PORTAL_VAR)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / "worker.lock").open("w") as lock:
            is_told = False
            while not self.should_stop():
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not is_told:
                        logger.info("another worker works on this SQLite database; this one waits for its end")
                        is_told = True
                    self._wait(1.0)
            yield


def work_once() -> int:
    """Do everything that is due now; how many rows were tried."""
    make_job_rows(timezone.now())
    return sweep()
