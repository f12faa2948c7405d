"""RSA keys that lie ready: one process makes them in advance (``key_pool_process``), many take them.

They wait as messages in sockets without a name, one for each algorithm, which the web server's first process opens
before it forks. So they are in the kernel's memory alone, which is never swapped to a disk; nobody can reach them who
did not inherit the sockets; and no two processes get the same key, whichever was forked from which, for the kernel
delivers a message once. Nobody waits for a key: where none lies ready, whoever wants one makes it.

Of the standard library alone: what the server's first process has loaded stays as it is when the server is told to
load its code anew, so that must be no more than this.
"""

import array
import fcntl
import socket
import termios
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

# How many of each KeyAlgorithm: enough for a handful of people at once, and made in a quarter of a minute at the pace
# of their maker. RSA-4096 is left out: one costs as much as twelve of the usual ones, and hardly anybody asks for it.
CAPACITY: Final[Mapping[str, int]] = MappingProxyType({"RSA_2048": 20, "RSA_3072": 4})
# Messages are of one length, so that the bytes that wait say how many there are. RSA-3072 takes 1,794 in PKCS#8.
MESSAGE_BYTES: Final = 2048
_LENGTH_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class _Shelf:
    """Both ends of the socket for one algorithm. Each process holds both: the keys outlive the one that made them."""

    into: socket.socket
    out_of: socket.socket


class KeyPool:
    """Opened once, before processes that share it are forked or started with its ``descriptors``."""

    def __init__(self, descriptors: Sequence[int] = ()) -> None:
        """Open an empty one, or the one that another process opened. Raises OSError."""
        ends = [socket.socket(fileno=each) for each in descriptors] or [
            end for _ in CAPACITY for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ]
        shelves = map(_Shelf, ends[::2], ends[1::2])
        self._shelves = dict(zip(CAPACITY, shelves, strict=True))

    def descriptors(self) -> list[int]:
        """What another process needs to have the same pool; they are not inherited unless they are passed on."""
        return [end.fileno() for end in self._ends()]

    def close(self) -> None:
        """For this process; when the last one that has the pool has closed it, its keys are gone."""
        for end in self._ends():
            end.close()

    def _ends(self) -> Iterator[socket.socket]:
        for shelf in self._shelves.values():
            yield from (shelf.into, shelf.out_of)

    def depth(self, algorithm: str) -> int:
        """How many keys lie ready. Raises OSError."""
        waiting = array.array("i", [0])
        fcntl.ioctl(self._shelves[algorithm].out_of, termios.FIONREAD, waiting)
        return waiting[0] // MESSAGE_BYTES

    def emptiest(self) -> str | None:
        """Of which algorithm a key is wanted most; None when all are there. Raises OSError."""
        filled = {algorithm: self.depth(algorithm) / capacity for algorithm, capacity in CAPACITY.items()}
        emptiest = min(CAPACITY, key=filled.__getitem__)
        return emptiest if filled[emptiest] < 1 else None

    def put(self, algorithm: str, pkcs8: bytes) -> None:
        """Lay a key (PKCS#8 DER, unencrypted) down. Raises OSError, also where the kernel has no room for it."""
        message = len(pkcs8).to_bytes(_LENGTH_BYTES) + pkcs8
        self._shelves[algorithm].into.send(message.ljust(MESSAGE_BYTES, b"\0"), socket.MSG_DONTWAIT)

    def take(self, algorithm: str) -> bytes | None:
        """A key that nobody else has or will get, at once; None where none lies ready, or the pool is broken."""
        try:
            message = self._shelves[algorithm].out_of.recv(MESSAGE_BYTES, socket.MSG_DONTWAIT)
        except OSError:
            return None
        length = int.from_bytes(message[:_LENGTH_BYTES])
        return message[_LENGTH_BYTES : _LENGTH_BYTES + length]


_opened: KeyPool | None = None


def open_once() -> KeyPool:
    """The pool that this process and all that it forks from now on share. Raises OSError."""
    global _opened
    if _opened is None:
        _opened = KeyPool()
    return _opened


def opened() -> KeyPool | None:
    """The same, if it was opened."""
    return _opened
