"""The web server brings a worker: it is started again when it dies, and ends with the server however that ends."""

import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.portal import Portal


def workers_of(portal: Portal) -> list[int]:
    """Process ids of the workers in the portal's process group."""
    assert portal.process is not None
    return [pid for pid, command in _group(portal.process.pid) if "manage.py worker" in command]


def _group(group: int) -> list[tuple[int, str]]:
    listed = subprocess.run(["ps", "-A", "-o", "pgid=,pid=,command="], capture_output=True, text=True, check=True)
    rows = (line.split(maxsplit=2) for line in listed.stdout.splitlines())
    return [(int(pid), command) for pgid, pid, command in rows if int(pgid) == group]


@pytest.mark.timeout(180)
def test_a_worker_lives_beside_the_web_server_and_dies_with_it(portal: Portal) -> None:
    assert portal.process is not None
    group = portal.process.pid
    _wait_until(lambda: len(workers_of(portal)) == 1)
    (first,) = workers_of(portal)
    os.kill(first, signal.SIGKILL)
    _wait_until(lambda: workers_of(portal) not in ([], [first]))

    portal.process.send_signal(signal.SIGTERM)
    assert portal.process.wait(40) == 0
    _wait_until(lambda: _group(group) == [])

    portal.start()
    _wait_until(lambda: len(workers_of(portal)) == 1)
    group = portal.process.pid
    portal.process.send_signal(signal.SIGKILL)  # the web server's master alone: it can tell nobody
    portal.process.wait()
    portal.process = None
    _wait_until(lambda: _group(group) == [])


def _wait_until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
