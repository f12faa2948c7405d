"""Keys that lie ready: each is taken once, whoever takes, and by nobody who was not given the pool."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from certificates.x509.key_pool import CAPACITY, MESSAGE_BYTES, KeyPool
from tests.portal import ROOT

# A process and the one that it forks, which have the pool from a third.
TAKE_ALL = """
import os, sys
from certificates.x509.key_pool import KeyPool
pool = KeyPool(list(map(int, sys.argv[1:])))
os.fork()
while pkcs8 := pool.take("RSA_2048"):
    os.write(1, pkcs8.strip() + b"\\n")
"""


@pytest.fixture
def pool() -> Iterator[KeyPool]:
    opened = KeyPool()
    yield opened
    opened.close()


def test_what_is_put_in_is_taken_once_by_its_algorithm(pool: KeyPool) -> None:
    pool.put("RSA_2048", b"one\0")
    pool.put("RSA_2048", b"two")
    assert (pool.depth("RSA_2048"), pool.depth("RSA_3072")) == (2, 0)
    assert pool.take("RSA_3072") is None
    assert [pool.take("RSA_2048") for _ in range(3)] == [b"one\0", b"two", None]
    assert pool.depth("RSA_2048") == 0


def test_it_holds_all_that_is_to_lie_ready(pool: KeyPool) -> None:
    wanted = []
    while (algorithm := pool.emptiest()) is not None:
        pool.put(algorithm, bytes(MESSAGE_BYTES - 2))
        wanted.append(algorithm)
    assert {each: wanted.count(each) for each in CAPACITY} == CAPACITY
    # One kind does not wait until the other is full.
    assert wanted.index("RSA_3072") < CAPACITY["RSA_2048"]


def test_processes_that_take_at_the_same_time_never_get_the_same_key(pool: KeyPool) -> None:
    numbers = [b"%03d" % each for each in range(40)]
    for each in numbers:
        pool.put("RSA_2048", each.ljust(MESSAGE_BYTES - 2))
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKE_ALL, *map(str, pool.descriptors())],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            pass_fds=pool.descriptors(),
        )
        for _ in range(2)
    ]
    taken = b"".join(each.communicate()[0] for each in takers).split()
    assert sorted(taken) == numbers
    assert pool.depth("RSA_2048") == 0


def test_nobody_finds_it_who_was_not_given_it(pool: KeyPool) -> None:
    for each in pool._ends():
        assert each.getsockname() == ""
        assert not each.get_inheritable()
        with pytest.raises(OSError, match="No such device or address"):
            os.open(f"/proc/self/fd/{each.fileno()}", os.O_RDWR)


def test_a_broken_pool_is_an_empty_one(pool: KeyPool) -> None:
    pool.put("RSA_2048", b"one")
    pool.close()
    assert pool.take("RSA_2048") is None
