"""Work that takes a second, such as making an RSA-4096 key: never in all web processes of a machine at once.

A web process answers one request at a time, so as many such requests as there are processes would hold up all the
others. There is one place less than there are processes; who finds none free is refused at once, for a queue of them
would be the same again. A place is a lock on a file in the state folder: it ends with its process, however that ends.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from pki_portal.errors import Busy

# Unlimited but in web processes: nobody waits for the others.
_places: int | None = None


def limit_to(places: int) -> None:
    """Have this process share so many places with the others of this machine that were told so."""
    global _places
    _places = places


@contextmanager
def in_a_free_place() -> Iterator[None]:
    """Do slow work inside the block. Raises Busy where all places of this machine are taken."""
    if _places is None:
        yield
        return
    place = _take(_places)
    try:
        yield
    finally:
        if place is not None:
            os.close(place)


def _take(places: int) -> int | None:
    """A locked file; None where the state folder cannot be written, which must not keep anybody from working."""
    folder = Path(settings.PKI_PORTAL_VAR) / "slow-work"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(places):
            place = os.open(folder / f"{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(place)
            except OSError:
                os.close(place)
                raise
            else:
                return place
    except OSError:
        return None
    raise Busy(f"This takes long, and {places} of its kind are under way already, as many as there may be at once.")
