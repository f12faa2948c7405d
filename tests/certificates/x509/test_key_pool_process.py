"""The maker of keys: it fills the pool with good ones, within its share, and makes none while others are at work."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from certificates.x509 import key_pool, key_pool_process
from certificates.x509.key_pool import KeyPool
from tests.portal import ROOT

# As it is started, but on a machine that is never busy and in no need of rest.
MAKE = """
import sys
from certificates.x509 import key_pool, key_pool_process
key_pool.CAPACITY = {"RSA_2048": 6, "RSA_3072": 1}
key_pool_process.IDLE_CORES = -1
key_pool_process.LOOK_SECONDS = 0.01
key_pool_process.SHARE = 1
key_pool_process._main(*sys.argv[1:])
"""
CAPACITY = {"RSA_2048": 6, "RSA_3072": 1}


class _Enough(Exception):
    """The maker would go on for ever."""


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyPool]:
    monkeypatch.setattr(key_pool, "CAPACITY", CAPACITY)
    opened = KeyPool()
    yield opened
    opened.close()


@pytest.fixture
def maker(pool: KeyPool) -> Iterator["subprocess.Popen[bytes]"]:
    descriptors = pool.descriptors()
    process = subprocess.Popen(
        [sys.executable, "-c", MAKE, ",".join(map(str, descriptors)), str(os.getpid())],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=descriptors,
    )
    yield process
    process.kill()
    process.communicate()


def wait_until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        time.sleep(0.01)


def test_it_fills_the_pool_with_keys_that_stand_every_proof(pool: KeyPool, maker: "subprocess.Popen[bytes]") -> None:
    wait_until(lambda: pool.emptiest() is None)
    assert {each: pool.depth(each) for each in CAPACITY} == CAPACITY
    status = Path(f"/proc/{maker.pid}/limits").read_text()
    (core,) = [line.split() for line in status.splitlines() if line.startswith("Max core file size")]
    assert core[4:6] == ["0", "0"]
    assert os.getpriority(os.PRIO_PROCESS, maker.pid) == 19

    maker.send_signal(signal.SIGKILL)
    written = maker.communicate()
    assert written == (b"", b"")
    moduli = set()
    for algorithm, bits in (("RSA_2048", 2048), ("RSA_3072", 3072)):
        for _ in range(CAPACITY[algorithm]):  # they outlive whoever made them
            key = load_der_private_key(pool.take(algorithm) or b"", None)
            assert isinstance(key, rsa.RSAPrivateKey)
            assert key.key_size == bits
            assert key.public_key().public_numbers().e == 65537
            moduli.add(key.public_key().public_numbers().n)
    assert len(moduli) == sum(CAPACITY.values())
    assert pool.emptiest() is not None


def test_it_makes_again_what_was_taken(pool: KeyPool, maker: "subprocess.Popen[bytes]") -> None:
    wait_until(lambda: pool.depth("RSA_2048") == CAPACITY["RSA_2048"])
    taken = {pool.take("RSA_2048") for _ in range(3)}
    wait_until(lambda: pool.depth("RSA_2048") == CAPACITY["RSA_2048"])
    taken |= {pool.take("RSA_2048") for _ in range(CAPACITY["RSA_2048"])}
    assert len(taken - {None}) == CAPACITY["RSA_2048"] + 3


def test_it_ends_when_its_parent_is_another(pool: KeyPool) -> None:
    key_pool_process.fill(pool, parent=os.getppid() + 1)
    assert pool.depth("RSA_2048") == 0


def test_it_takes_no_more_than_its_share_of_a_core(pool: KeyPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not clocked: its CPU against the time for which it sleeps, which is all the time that there is."""
    slept = 0.0

    def sleep(seconds: float) -> None:
        nonlocal slept
        slept += seconds
        if pool.emptiest() is None:
            raise _Enough

    monkeypatch.setattr(key_pool_process, "IDLE_CORES", -1)
    monkeypatch.setattr(time, "sleep", sleep)
    before = time.process_time()
    with pytest.raises(_Enough):
        key_pool_process.fill(pool, parent=os.getppid())
    used = time.process_time() - before
    assert used < 0.2 * (used + slept)


def test_it_makes_none_while_no_core_is_idle(pool: KeyPool, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def sleep(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 50:
            raise _Enough

    monkeypatch.setattr(key_pool_process, "_idle_seconds", lambda: 1000.0)
    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(_Enough):
        key_pool_process.fill(pool, parent=os.getppid())
    assert [pool.depth(each) for each in CAPACITY] == [0, 0]


def test_a_machine_whose_cores_all_work_is_not_idle() -> None:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        wait_until(lambda: not key_pool_process.is_machine_idle())
    finally:
        for each in busy:
            each.kill()
            each.wait()


def test_how_idle_the_machine_was_is_what_the_kernel_says(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key_pool_process._idle_seconds()
    assert before > 0
    assert key_pool_process._idle_seconds() >= before
    monkeypatch.setattr(key_pool_process, "IDLE_CORES", 0)
    assert key_pool_process.is_machine_idle()
