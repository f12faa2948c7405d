"""Public keys that were compromised: which they are, and what they make of a request."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, Literal

from django.db import connection

from certificates.models import AuthorityKey, BlockedKey
from pki_portal.access.remembering import Scope, is_remembering, read_stamps_after, remembered, remembering
from pki_portal.errors import Conflict, Violation
from profiles.policy.request import ApplicantKey, IssuanceRequest

# By each process, some 100 bytes each.
REMEMBERED_BLOCKS: Final = 10_000
# The first of the numbers of advisory locks that stand for keys.
_LOCKS: Final = 0x504B_4900


def with_blocked_key_told(request: IssuanceRequest) -> IssuanceRequest:
    """The request, its key's block among the weaknesses by which the rules refuse it. One query where there is a key.

    Every road that certifies an applicant's key asks here, once, before it is judged.
    """
    key = request.applicant_key
    if key is None:
        return request
    blocked = _block_of(digest_of(key))
    if blocked is None:
        return request
    weakness = (
        f"this key is compromised: certificate {blocked.serial_number} with it was revoked for keyCompromise"
        f" at {blocked.blocked_at:%Y-%m-%d %H:%M:%S} UTC"
    )
    return replace(request, applicant_key=replace(key, weaknesses=(*key.weaknesses, weakness)))


def require_unblocked(key: ApplicantKey | None) -> None:
    """Return if the key may still be certified by the caller's transaction, which stores what was signed for it.

    Whoever blocks it meanwhile waits until that transaction ends, and then finds the new certificate among the key's;
    see :func:`lock_keys`. To be called before the transaction locks anything else but a CA, and in no block of
    ``remembering`` that is older than it.

    Raises:
        Conflict: the key was revoked for keyCompromise since it was judged.
    """
    digests = _digests([key])
    _lock(digests, mode="_shared")
    _require_unblocked(digests)


@contextmanager
def remembering_while_unblocked(keys: Iterable[ApplicantKey | None]) -> Iterator[None]:
    """The same, of several keys, and a block of ``remembering`` that begins when the keys are locked."""
    digests = _digests(keys)
    lock, numbers = _locking(digests, mode="_shared")
    with remembering(read_stamps_after(lock, numbers) if lock else None):
        _require_unblocked(digests)
        yield


def _digests(keys: Iterable[ApplicantKey | None]) -> set[str]:
    return {digest_of(key) for key in keys if key is not None}


def _require_unblocked(digests: Iterable[str]) -> None:
    for digest in digests:
        blocked = _block_of(digest)
        if blocked is not None:
            raise _blocked_meanwhile(blocked)


def _blocked_meanwhile(blocked: BlockedKey) -> Conflict:
    return Conflict(
        f"Certificate {blocked.serial_number} with this key was revoked for keyCompromise while this one was made;"
        " none was issued.",
        violations=[
            Violation(
                field="csr",
                code="key_blocked",
                rule="a compromised key is certified never again",
                asked="a certificate for that key",
                allowed="keys that are not compromised",
                fix="Make a new key and CSR.",
            )
        ],
    )


def lock_keys(digests: Iterable[str]) -> None:
    """Wait for every transaction that is just storing a certificate for one of these keys, and let no other begin.

    For a transaction that blocks them, after it has locked a CA and a list and before it locks certificates, in that
    order everywhere: those that it then finds are all there will be.
    Nothing is to be done on SQLite, where one transaction writes at a time.
    """
    _lock(digests)


def _lock(digests: Iterable[str], *, mode: Literal["", "_shared"] = "") -> None:
    statement, locks = _locking(digests, mode=mode)
    if statement:
        with connection.cursor() as cursor:
            cursor.execute(statement, locks)


def _locking(digests: Iterable[str], *, mode: Literal["", "_shared"] = "") -> tuple[str, Sequence[int]]:
    """The statement that takes advisory locks until the transaction ends, and its parameters; an empty one where there
    is nothing to lock.

    Of 256 locks, for the server has room for few: keys that share one wait for each other's blocks in vain, and rarely.
    """
    locks = sorted({_LOCKS + int(digest[:2], 16) for digest in digests})
    if not locks or connection.vendor != "postgresql":
        return "", ()
    return f"SELECT {', '.join([f'pg_advisory_xact_lock{mode}(%s)'] * len(locks))}", locks


def _block_of(digest: str) -> BlockedKey | None:
    """One query, unless all blocks are remembered."""
    if is_remembering():
        known = _blocked_digests()
        if known is not None and digest not in known:
            return None
    return BlockedKey.objects.filter(pk=digest).first()


@remembered(Scope.RULES)
def _blocked_digests() -> frozenset[str] | None:
    """Of all blocked keys; None where they are too many to be remembered."""
    found = BlockedKey.objects.order_by().values_list("pk", flat=True)[: REMEMBERED_BLOCKS + 1]
    digests = frozenset(found)
    return digests if len(digests) <= REMEMBERED_BLOCKS else None


def blocked_key_of(key: AuthorityKey) -> BlockedKey | None:
    """The block of a CA's key, if it is compromised. One query."""
    return BlockedKey.objects.filter(pk=digest_of_authority_key(key)).first()


def digest_of_authority_key(key: AuthorityKey) -> str:
    """As :func:`digest_of`, of a CA's key."""
    return hashlib.sha256(bytes(key.subject_public_key_info)).hexdigest()


def digest_of(key: ApplicantKey) -> str:
    """As ``Certificate.public_key_sha256`` has it."""
    return hashlib.sha256(key.subject_public_key_info).hexdigest()
