"""What every revocation leaves behind: an entry of a list, in the transaction of the act, and the list after it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db import DatabaseError, models
from django.db.models.functions import Coalesce

from certificates.models import (
    BlockedKey,
    Certificate,
    CertificateRevocationList,
    OcspResponse,
    RevocationEntry,
    RevocationListShard,
)
from certificates.models.certificate import CertificateStatus, RevocationReason
from certificates.services.crl import List, publish_if_stale, shards_by_url
from certificates.x509 import crl as x509_crl
from certificates.x509.inspect import crl_urls_of
from pki_portal.access.requester import Requester
from pki_portal.errors import PortalError, Unavailable, Violation
from pki_portal.storable import storable

CHUNK = 500
_CHANGED_WITH_A_REASON = (
    *("revoked_at", "reason", "invalidity_date", "released_at", "revision", "der"),
    *("actor_kind", "actor_id", "actor_name"),
)


def complete_lists() -> models.QuerySet[CertificateRevocationList]:
    """The complete lists without their DER; whoever revokes locks one, and certificates after it."""
    return CertificateRevocationList.objects.defer("der")


def next_revision(revocation_list: CertificateRevocationList) -> int:
    """Count one more change of a locked list, in the caller's transaction: its published form is stale from then on."""
    revocation_list.revision += 1
    revocation_list.save(update_fields=["revision"])
    return revocation_list.revision


def count_changes(shards: models.QuerySet[RevocationListShard]) -> None:
    """The same of shards."""
    shards.update(revision=models.F("revision") + 1)


def shard_of(der: bytes, by_url: Mapping[str, RevocationListShard]) -> RevocationListShard | None:
    """The shard that a certificate names, of the shards of its issuer's key by address; None where it names none."""
    urls = crl_urls_of(der) if by_url else ()
    return next((by_url[url] for url in urls if url in by_url), None)


def fill(
    entry: RevocationEntry,
    *,
    requester: Requester,
    revoked_at: datetime,
    reason: RevocationReason,
    invalidity_date: datetime | None,
    revision: int,
) -> None:
    """Write who revoked when and why into an entry, new or on hold so far, and encode it; it is not stored."""
    entry.revoked_at, entry.reason, entry.invalidity_date, entry.released_at = revoked_at, reason, invalidity_date, None
    entry.actor_kind, entry.actor_id = requester.kind, requester.id
    entry.actor_name = storable(requester.name)[:255]
    entry.revision = revision
    entry.der = x509_crl.encode_entry(
        x509_crl.RevokedEntry(
            serial_number=int(entry.serial_number, 16),
            revoked_at=entry.revoked_at,
            reason=x509_crl.RevocationReason(entry.reason),
            invalidity_date=entry.invalidity_date,
        )
    )


def store_revocations(
    revocation_list: CertificateRevocationList,
    certificates: Sequence[Certificate],
    *,
    requester: Requester,
    reason: RevocationReason,
    invalidity_date: datetime | None,
    now: datetime,
) -> list[RevocationEntry]:
    """Columns, entries and blocked keys of certificates of one locked list, in the caller's transaction."""
    now = now.replace(microsecond=0)
    revision = next_revision(revocation_list)
    shards: dict[UUID, RevocationListShard] = {}
    by_url = shards_by_url(revocation_list)
    before = RevocationEntry.objects.filter(certificate__in=certificates).select_related("shard").defer("shard__der")
    known = {entry.certificate_id: entry for entry in before}
    made: list[RevocationEntry] = []
    changed: list[RevocationEntry] = []
    for certificate in certificates:
        entry = known.get(certificate.pk) or RevocationEntry(
            certificate=certificate,
            revocation_list=revocation_list,
            serial_number=certificate.serial_number,
            not_after=certificate.not_after,
            shard=shard_of(bytes(certificate.der), by_url),
        )
        if entry.shard is not None:
            shards[entry.shard.pk] = entry.shard
        # What was on hold and is now revoked for good has not been valid in between.
        if certificate.revoked_at is None:
            certificate.revoked_at = now
        fill(
            entry,
            requester=requester,
            revoked_at=certificate.revoked_at,
            reason=reason,
            invalidity_date=invalidity_date,
            revision=revision,
        )
        (changed if certificate.pk in known else made).append(entry)
    count_changes(RevocationListShard.objects.filter(pk__in=shards))
    for start in range(0, len(certificates), CHUNK):
        some = Certificate.objects.filter(pk__in=[each.pk for each in certificates[start : start + CHUNK]])
        some.update(
            status=CertificateStatus.REVOKED,
            revoked_at=Coalesce("revoked_at", models.Value(now)),
            revocation_reason=reason,
            updated_at=now,
        )
        OcspResponse.objects.filter(certificate__in=[each.pk for each in certificates[start : start + CHUNK]]).delete()
    RevocationEntry.objects.bulk_create(made, batch_size=CHUNK)
    RevocationEntry.objects.bulk_update(
        changed,
        _CHANGED_WITH_A_REASON,
        batch_size=CHUNK,
    )
    compromised = [each for each in certificates if is_compromise(reason, is_ca=each.is_ca)]
    block_keys({each.public_key_sha256: each.serial_number for each in compromised}, now=now)
    return [*made, *changed]


def store_release(revocation_list: CertificateRevocationList, certificate: Certificate, *, now: datetime) -> None:
    """The end of a hold, in the caller's transaction; list and certificate are locked."""
    RevocationEntry.objects.filter(certificate=certificate).update(
        released_at=now, revision=next_revision(revocation_list)
    )
    count_changes(RevocationListShard.objects.filter(entries__certificate=certificate))
    OcspResponse.objects.filter(certificate=certificate).delete()
    certificate.status, certificate.revoked_at, certificate.revocation_reason = CertificateStatus.ACTIVE, None, None
    certificate.save(update_fields=["status", "revoked_at", "revocation_reason", "updated_at"])


def is_compromise(reason: RevocationReason, *, is_ca: bool) -> bool:
    """Whether the reason says that the subject's own key is in other hands (RFC 5280, 5.3.1)."""
    return reason == RevocationReason.KEY_COMPROMISE or (is_ca and reason == RevocationReason.CA_COMPROMISE)


def block_keys(serial_numbers: Mapping[str, str], *, now: datetime) -> None:
    """Block keys for ever, in the caller's transaction: digests as ``Certificate.public_key_sha256`` has them, each
    with the serial number of the certificate that was revoked.
    """
    BlockedKey.objects.bulk_create(
        (BlockedKey(digest=digest, blocked_at=now, serial_number=serial) for digest, serial in serial_numbers.items()),
        ignore_conflicts=True,
        batch_size=500,
    )


def lists_with(entry: RevocationEntry) -> list[List]:
    """The lists that tell of it."""
    return [entry.shard, entry.revocation_list] if entry.shard is not None else [entry.revocation_list]


def publish_lists(lists: Iterable[List], *, now: datetime, done: str) -> None:
    """Publish after the commit; what was done stays done, whatever happens here.

    Raises:
        Unavailable: a list could not be signed; the text begins with ``done``, a sentence without its full stop.
    """
    for revocation_list in lists:
        try:
            publish_if_stale(revocation_list=revocation_list, now=now)
        except (PortalError, DatabaseError, OSError) as problem:
            cause = problem.message if isinstance(problem, PortalError) else f"{type(problem).__name__}: {problem}"
            raise Unavailable(
                f"{done}, but the CRL could not be published: {cause} The last CRL is served meanwhile; it is published"
                " by whoever asks for it next, or by manage.py publish_crls."
            ) from problem


def invalidity_date_violations(invalidity_date: datetime | None, *, now: datetime) -> Iterator[Violation]:
    """RFC 5280, 5.3.2: since when the key is known or suspected to be in other hands; that has been."""
    if invalidity_date is not None and invalidity_date > now:
        yield Violation(
            field="invalidity_date",
            code="invalidity_date_in_future",
            rule="RFC 5280, 5.3.2",
            asked=invalidity_date.isoformat(),
            allowed=f"not after now, {now:%Y-%m-%dT%H:%M:%SZ}",
            fix="Send the date since when the key is suspected, or none.",
        )
