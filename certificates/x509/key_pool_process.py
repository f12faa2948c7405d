"""Makes the keys of the key pool, when the machine has nothing better to do.

Others must not notice: it runs only while somebody else's core is idle, takes a small part of one, is the last to be
scheduled, and pauses after each key. It keeps no key, writes nothing, and leaves no core file. It loads what makes RSA
keys and nothing else, which is a third less memory.
"""

import os
import resource
import signal
import sys
import time
from contextlib import suppress
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certificates.x509.key_pool import KeyPool
from certificates.x509.rsa_keys import generate_rsa

# Of one core.
SHARE: Final = 0.15
# How long it looks if the machine is idle, and how often if a key is missing.
LOOK_SECONDS: Final = 0.25
# So much must be left to others, in cores, beside what it takes itself.
IDLE_CORES: Final = 0.25
_BITS: Final = {"RSA_2048": 2048, "RSA_3072": 3072}
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def fill(pool: KeyPool, *, parent: int) -> None:
    """Keep the pool filled for as long as the parent lives. Raises OSError where the pool is broken."""
    while os.getppid() == parent:
        wanted = pool.emptiest()
        if wanted is None:
            time.sleep(LOOK_SECONDS)
        elif is_machine_idle():
            time.sleep(seconds_to_rest(make_one(pool, wanted)))


def make_one(pool: KeyPool, algorithm: str) -> float:
    """Make a key and forget it; the seconds of CPU that it took. Raises OSError where the pool is broken."""
    before = time.process_time()
    key = generate_rsa(_BITS[algorithm])
    pool.put(algorithm, key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    return time.process_time() - before


def seconds_to_rest(used: float) -> float:
    """How long to pause after so many seconds of CPU, so that with the next look they are no more than the share."""
    return max(0, used * (1 - SHARE) / SHARE - LOOK_SECONDS)


def is_machine_idle() -> bool:
    """Whether cores had nothing to do while this looked; it takes ``LOOK_SECONDS``."""
    before, began = _idle_seconds(), time.monotonic()
    time.sleep(LOOK_SECONDS)
    return _idle_seconds() - before >= IDLE_CORES * (time.monotonic() - began)


def _idle_seconds() -> float:
    """Of all cores since the start of the machine (proc_stat(5)): idle, or waiting for a disk."""
    with open("/proc/stat", encoding="ascii") as file:
        _, _, _, _, idle, waiting, *_ = file.readline().split()
    return (int(idle) + int(waiting)) / _TICKS


def _main(descriptors: str, parent: str) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C is told by the server
    os.nice(19)
    with suppress(OSError):  # forbidden in some containers; it is nice all the same
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    fill(KeyPool([int(each) for each in descriptors.split(",")]), parent=int(parent))


if __name__ == "__main__":
    _main(*sys.argv[1:])
