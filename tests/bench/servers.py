"""Starting and ending servers, on loopback alone."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.targets import Server

START_SECONDS = 180


class Servers:
    """All that were started; ``end_all`` leaves none behind."""

    def __init__(self) -> None:
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        port: int,
        environment: Mapping[str, str],
        log: Path,
        folder: Path,
        probe: str = "/",
    ) -> Server:
        """Start one in ``folder`` and return when it answers, whatever it says."""
        with log.open("ab") as output:
            running = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # so that the whole tree can be ended at once
            )
        self._running[running.pid] = running
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + START_SECONDS
        while not _answers(address + probe):
            if running.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not serve: {log.read_text()[-2000:]}")
            time.sleep(0.1)
        return Server(name, address, running.pid)

    def end(self, server: Server) -> None:
        """Politely, and if that does not help, at once."""
        running = self._running.pop(server.pid)
        if running.poll() is not None:
            return
        os.killpg(running.pid, signal.SIGTERM)
        try:
            running.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()

    def end_all(self) -> None:
        """Likewise."""
        for pid in list(self._running):
            self.end(Server("", "", pid))


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):  # noqa: S310 - our own address
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
