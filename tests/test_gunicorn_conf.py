"""What the web server starts beside itself, and what not; that it works and ends with the server: tests/interop."""

import runpy
import subprocess
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from certificates.x509 import key_pool
from pki_portal import settings
from tests.portal import ROOT


class Configured:
    """The functions of the configuration, as gunicorn loads it, for one server."""

    def __init__(self) -> None:
        self._server = SimpleNamespace()
        self._names = runpy.run_path("gunicorn.conf.py")

    def start(self) -> None:
        self._names["when_ready"](self._server)

    def end(self) -> None:
        self._names["on_exit"](self._server)

    @property
    def keeper(self) -> "subprocess.Popen[bytes] | None":
        """What keeps all that was started."""
        return getattr(self._server, "keeper", None)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Configured]:
    """What it started is ended."""
    monkeypatch.setattr(key_pool, "_opened", None)
    monkeypatch.setattr(settings, "WORKER", False)
    monkeypatch.chdir(ROOT)
    configured = Configured()
    yield configured
    configured.end()
    if (pool := key_pool.opened()) is not None:
        pool.close()


def children_of(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(each) for each in listed.stdout.split()]


def test_without_worker_and_pool_it_starts_nothing(server: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "KEY_POOL", False)
    server.start()
    assert server.keeper is None
    assert key_pool.opened() is None


def test_the_maker_of_keys_lives_with_the_server(server: Configured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "KEY_POOL", True)
    server.start()
    assert key_pool.opened() is not None
    keeper = server.keeper
    assert keeper is not None
    while not (makers := children_of(keeper.pid)):
        time.sleep(0.01)
    server.end()
    assert keeper.returncode == 0
    alive = subprocess.run(["ps", "-o", "pid=", "--pid", str(makers[0])], capture_output=True, text=True, check=False)
    assert alive.stdout == ""
