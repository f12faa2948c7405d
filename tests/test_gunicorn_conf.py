"""What the web server starts beside itself, and what not; that it works and ends with the server: tests/interop."""

import runpy
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from certificates.x509 import key_pool
from pki_portal import settings
from tests.portal import ROOT


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The names of the configuration, as gunicorn loads it; what it started is ended."""
    monkeypatch.setattr(key_pool, "_opened", None)
    monkeypatch.setattr(settings, "WORKER", False)
    monkeypatch.chdir(ROOT)
    configuration = runpy.run_path("gunicorn.conf.py")
    yield configuration
    configuration["on_exit"](None)
    if (pool := key_pool.opened()) is not None:
        pool.close()


def keeper_of(server: dict[str, Any]) -> "subprocess.Popen[bytes] | None":
    """Of functions that were run from a path the globals are their own."""
    keeper: subprocess.Popen[bytes] | None = server["when_ready"].__globals__["_keeper"]
    return keeper


def children_of(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(each) for each in listed.stdout.split()]


def test_without_worker_and_pool_it_starts_nothing(server: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "KEY_POOL", False)
    server["when_ready"](None)
    assert keeper_of(server) is None
    assert key_pool.opened() is None


def test_the_maker_of_keys_lives_with_the_server(server: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "KEY_POOL", True)
    server["when_ready"](None)
    assert key_pool.opened() is not None
    keeper = keeper_of(server)
    assert keeper is not None
    while not (makers := children_of(keeper.pid)):
        time.sleep(0.01)
    server["on_exit"](None)
    assert keeper.returncode == 0
    alive = subprocess.run(["ps", "-o", "pid=", "--pid", str(makers[0])], capture_output=True, text=True, check=False)
    assert alive.stdout == ""
