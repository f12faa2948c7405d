"""One act on one certificate for one Idempotency-Key, whatever retries, races and crashes."""

import hashlib
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from certificates.models import Certificate, CertificateRequest, IdempotencyRecord
from certificates.models.certificate import IdempotentAct
from pki_portal.access.requester import Requester
from pki_portal.errors import Conflict

KEPT_FOR = timedelta(hours=24)
# Longer than any request may take (gunicorn ends a worker after 60 s), so that only a dead one loses its claim.
CLAIM_LEASE = timedelta(seconds=90)
# Old records deleted by each claim.
SWEPT_AT_ONCE = 20


class KeyReused(Conflict):
    """The key stands for another request already; only a new key can lead on."""


def digest_of_body(body: object) -> str:
    """SHA-256 (hex) of a body as it was parsed, so that spacing and the order of keys do not matter."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """What a client sent: its key, and a digest (hex) of all that the key stands for."""

    key: str = field(repr=False)
    body_digest: str

    def part(self, index: int, body_digest: str) -> "IdempotencyKey":
        """The key of one item among many; neither it nor another part can be what a client sends."""
        return IdempotencyKey(key=f"{self.key}\n{index}", body_digest=body_digest)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.key.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do the act of one key, held until ``complete`` or ``release``."""

    record_id: uuid.UUID
    claim: uuid.UUID

    def complete(self, certificate: Certificate) -> None:
        """Tie the certificate to the key, in the caller's transaction.

        Raises:
            Conflict: the claim was lost to another process, so this transaction must not commit.
        """
        self._tie(certificate=certificate)

    def complete_later(self, request: CertificateRequest) -> None:
        """As :meth:`complete`, with the request that a certificate may come of."""
        self._tie(request=request)

    def release(self) -> None:
        """Give the key back after a refusal: the same key may be tried again."""
        self._held().delete()

    def _tie(self, **outcome: Certificate | CertificateRequest) -> None:
        if self._held().update(**outcome) != 1:
            raise Conflict("Another request with this Idempotency-Key took over; send it again.", retry_after=1)

    def _held(self) -> QuerySet[IdempotencyRecord]:
        return IdempotencyRecord.objects.filter(
            pk=self.record_id, claim=self.claim, certificate__isnull=True, request__isnull=True
        )


@contextmanager
def claimed(
    *,
    requester: Requester,
    idempotency: IdempotencyKey | None,
    now: datetime,
    act: IdempotentAct = IdempotentAct.ISSUE,
) -> Iterator[Claim | Certificate | None]:
    """``claim_key`` for the length of the block, given back if anything leaves it; None where no key was sent."""
    held = (
        claim_key(requester=requester, idempotency=idempotency, now=now, act=act) if idempotency is not None else None
    )
    try:
        yield held
    except BaseException:
        if isinstance(held, Claim):
            held.release()
        raise


def claim_key(
    *,
    requester: Requester,
    idempotency: IdempotencyKey,
    now: datetime,
    act: IdempotentAct = IdempotentAct.ISSUE,
) -> Claim | Certificate:
    """The claim on a fresh key, or the certificate that the key already stands for. Commits at once.

    Raises:
        KeyReused: the key was used with another body.
        Conflict: its first request is still under way.
    """
    owner = _owner(requester, idempotency)
    IdempotencyRecord.objects.filter(**owner, created_at__lt=now - KEPT_FOR).delete()
    _sweep(now)
    claim = uuid.uuid4()
    try:
        with transaction.atomic():
            record = IdempotencyRecord.objects.create(
                **owner, act=act, body_digest=idempotency.body_digest, claim=claim, claimed_at=now
            )
    except IntegrityError:
        return _known_key(owner=owner, idempotency=idempotency, claim=claim, now=now)
    return Claim(record.id, claim)


def request_under_key(*, requester: Requester, idempotency: IdempotencyKey, now: datetime) -> CertificateRequest | None:
    """The request for approval that a key stands for, if it stands for one. Raises KeyReused."""
    record = (
        IdempotencyRecord.objects.select_related("request__certificate", "request__profile")
        .filter(**_owner(requester, idempotency), request__isnull=False, created_at__gte=now - KEPT_FOR)
        .first()
    )
    if record is None:
        return None
    _require_same_body(record, idempotency)
    return record.request


def _owner(requester: Requester, idempotency: IdempotencyKey) -> dict[str, str]:
    return {"requester_kind": requester.kind, "requester_id": requester.id, "key_digest": idempotency.digest}


def _require_same_body(record: IdempotencyRecord, idempotency: IdempotencyKey) -> None:
    if record.body_digest != idempotency.body_digest:
        raise KeyReused("This Idempotency-Key was used with another request body; use a new key for a new request.")


def _sweep(now: datetime) -> None:
    """Delete some of the records that are older than they are kept, of whatever requester.

    More than one claim adds, so that none pile up, and few enough that no claim has to wait for it.
    """
    old = IdempotencyRecord.objects.filter(created_at__lt=now - KEPT_FOR).order_by("created_at")
    found = list(old.values_list("pk", flat=True)[:SWEPT_AT_ONCE])
    if found:
        IdempotencyRecord.objects.filter(pk__in=found).delete()


def _known_key(
    *, owner: dict[str, str], idempotency: IdempotencyKey, claim: uuid.UUID, now: datetime
) -> Claim | Certificate:
    record = IdempotencyRecord.objects.select_related("certificate").filter(**owner).first()
    under_way = Conflict("A request with this Idempotency-Key is still under way; ask again shortly.", retry_after=1)
    if record is None:
        # Released between our insert and our look: whoever asks again finds the key free.
        raise under_way
    _require_same_body(record, idempotency)
    if record.certificate is not None:
        return record.certificate
    # One that stands for a request for approval is found by `request_under_key` when it is asked again.
    abandoned = IdempotencyRecord.objects.filter(
        pk=record.pk,
        claim=record.claim,
        certificate__isnull=True,
        request__isnull=True,
        claimed_at__lt=now - CLAIM_LEASE,
    )
    if abandoned.update(claim=claim, claimed_at=now) == 1:
        return Claim(record.pk, claim)
    raise under_way
