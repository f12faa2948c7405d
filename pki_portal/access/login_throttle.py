"""Slowing down failed logins without ever shutting anyone out for long.

Two leaky buckets in the database, so that all processes count together: one per client id *and* address, which delays
the next attempt, and one per address, which only turns further failures away unrecorded. A stranger can therefore not
lock a program out by using its client id, nor everyone behind one proxy; and with secrets of 256 random bits the delay
is there for the load, not for the odds. People are slowed down alike by user name *and* address, but longer, for their
passwords can be guessed; a third kind of bucket bounds what strangers can write into the audit log.
"""

import hashlib
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from django.db import transaction

from pki_portal.access.models import LoginFailure
from pki_portal.errors import RateLimited

KEPT = timedelta(days=1)
_COUNT_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Bucket:
    """``free`` failures cost nothing but the delay of ``first`` seconds; each further one doubles it up to ``longest``;
    one leaks away every ``leak`` seconds.
    """

    free: int
    longest: int
    leak: int
    first: int = 1

    def level(self, failure: LoginFailure, now: datetime) -> int:
        """How many failures are left in it at ``now``."""
        leaked = int((now - failure.last_failed_at).total_seconds() // self.leak)
        return max(0, failure.failures - max(0, leaked))

    def wait(self, failure: LoginFailure, now: datetime) -> int:
        """Whole seconds until the next attempt counts; 0 when it may come."""
        excess = failure.failures - self.free
        if excess < 0 or self.level(failure, now) < self.free:
            return 0
        delay = min(self.longest, self.first << min(excess, 16))
        return max(0, math.ceil(delay - (now - failure.last_failed_at).total_seconds()))


# A client was seen to try 4 times in 4 s and again every 30 s for ever: at 20 s each of its late tries is judged, so a
# corrected secret works at once.
CLIENT = Bucket(free=3, longest=20, leak=60)
ADDRESS = Bucket(free=30, longest=10, leak=2)
PERSON = Bucket(free=5, first=10, longest=60, leak=60)
RECORDS = Bucket(free=30, longest=10, leak=10)


def check(*, client_id: str, address: str | None, now: datetime, bucket: Bucket = CLIENT) -> None:
    """Raise RateLimited while the delay of this client id from this address runs. One query."""
    failure = LoginFailure.objects.filter(pk=_client_key(client_id, address)).first()
    wait = 0 if failure is None else bucket.wait(failure, now)
    if wait:
        raise _too_many(wait)


def count_failure(*, client_id: str, address: str | None, now: datetime, bucket: Bucket = CLIENT) -> None:
    """Count a failed login in both buckets; while the address fails too often raise RateLimited and count nothing."""
    with transaction.atomic():
        of_address = _locked(_address_key(address), now)
        wait = ADDRESS.wait(of_address, now)
        if wait:
            raise _too_many(wait)
        _add(of_address, ADDRESS, now)
        _add(_locked(_client_key(client_id, address), now), bucket, now)
        LoginFailure.objects.filter(last_failed_at__lt=now - KEPT).delete()


def forget(*, client_id: str, address: str | None) -> None:
    """Empty the bucket of a client that logged in. One query."""
    LoginFailure.objects.filter(pk=_client_key(client_id, address)).delete()


def may_record(*, address: str | None, now: datetime) -> bool:
    """Count one refusal of nobody known; False while its address causes too many of them to keep each."""
    key = _key("records", address)
    known = LoginFailure.objects.filter(pk=key).first()
    if known is not None and RECORDS.wait(known, now):
        return False  # told by reading alone: what is dropped must not wait for the one writer of SQLite
    with transaction.atomic():
        _add(_locked(key, now), RECORDS, now)
    return True


def _locked(key: str, now: datetime) -> LoginFailure:
    LoginFailure.objects.get_or_create(pk=key, defaults={"failures": 0, "last_failed_at": now})
    return LoginFailure.objects.select_for_update().get(pk=key)


def _add(failure: LoginFailure, bucket: Bucket, now: datetime) -> None:
    failure.failures = min(_COUNT_LIMIT, bucket.level(failure, now) + 1)
    failure.last_failed_at = now
    failure.save(update_fields=["failures", "last_failed_at"])


def _too_many(wait: int) -> RateLimited:
    return RateLimited(f"Too many failed logins: try again in {wait} s.", retry_after=wait)


def _client_key(client_id: str, address: str | None) -> str:
    return _key(f"client\n{client_id.lower()}", address)


def _address_key(address: str | None) -> str:
    return _key("address", address)


def _key(what: str, address: str | None) -> str:
    return hashlib.sha256(f"{what}\n{_site_of(address)}".encode(errors="replace")).hexdigest()


def _site_of(address: str | None) -> str:
    """Whoever has one IPv6 address has the 64 bits after its network: they count as one."""
    if address is None:
        return ""
    parsed = ip_address(address)
    return str(ip_network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else str(parsed)
