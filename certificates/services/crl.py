"""Publishing CRLs: complete, in shards and as deltas; when they are signed anew, and what is served meanwhile."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from cryptography import x509
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from certificates.models import (
    AuthorityCertificate,
    AuthorityKey,
    CertificateAuthority,
    CertificateRevocationList,
    DeltaRevocationList,
    RevocationEntry,
    RevocationListShard,
)
from certificates.services.crl_segments import Contents, encodings_of, listed_entries, size_of
from certificates.services.journal import crl_signed, shards_opened
from certificates.services.signing import signer_of_key
from certificates.services.urls import crl_url, delta_crl_url
from certificates.x509.crl import (
    CrlRejected,
    Entries,
    EntriesAtHand,
    RevocationReason,
    RevokedEntry,
    SignedCrl,
    build_crl,
    delta_indicator,
    encode_entry,
    freshest_crl,
    issuing_distribution_point,
)
from pki_portal.access.permissions import Action, require
from pki_portal.access.requester import Requester
from pki_portal.audit.services import record, recorded_refusals
from pki_portal.errors import Conflict, NotFound, PortalError, Unavailable

logger = logging.getLogger(__name__)

CRL_LIFE = timedelta(days=7)
DELTA_LIFE = timedelta(days=1)
# A CRL is signed anew after this part of its life, so that nobody who caches it is ever left with an expired one.
RENEWED_AFTER = 0.75
PUBLISH_ATTEMPTS = 20
# Entries of a delta read from the database at once.
CHUNK = 10_000
# A list that has more opens shards: certificates issued from then on name one of them.
ENTRIES_PER_LIST = 10_000
SHARDS_OPENED = 16
# A complete list with more entries is not signed within the request that revokes, but by whoever asks for it next.
PUBLISHED_AT_ONCE = 100_000

List = CertificateRevocationList | RevocationListShard


@dataclass(frozen=True, slots=True)
class Document:
    """A CRL as it is served; ``next_update`` bounds how long it may be cached. What its ``segments`` hold, which may be
    50 MB, stands between ``before`` and ``after``.
    """

    number: int
    this_update: datetime
    next_update: datetime
    size: int
    before: bytes
    segments: tuple[UUID, ...] = ()
    after: bytes = b""

    def pieces(self) -> Iterator[bytes]:
        """The encoding, of ``size`` octets, segment by segment. Raises Unavailable where one was deleted meanwhile."""
        yield self.before
        yield from encodings_of(self.segments)
        yield self.after

    @property
    def der(self) -> bytes:
        """The whole encoding, read now. Raises as :meth:`pieces`."""
        return b"".join(self.pieces())


def create_revocation_list(key: AuthorityKey) -> CertificateRevocationList:
    """The row of a new key's CRL, in the caller's transaction; the list itself follows with the first certificate."""
    return CertificateRevocationList.objects.create(key=key)


def publish_crl(*, revocation_list: List, now: datetime, is_scheduled: bool = True) -> None:
    """Sign the next CRL from what is revoked now, and store it under the next number.

    Safe beside others that do the same: a list is stored only over the one it was counted from, else it is made anew,
    so numbers never repeat and nothing that was revoked before the call is missing.

    Raises:
        Unavailable: the CA's key cannot be used.
        Conflict: others published again and again meanwhile.
    """
    for _ in range(PUBLISH_ATTEMPTS):
        if _published(revocation_list, now, is_scheduled=is_scheduled):
            return
        revocation_list.refresh_from_db()
    raise _too_busy()


def publish_if_stale(*, revocation_list: List, now: datetime) -> None:
    """Sign the next CRL unless the present one, perhaps published by another meanwhile, knows of every revocation.

    A complete list of more than 100,000 entries is left to whoever asks for it next.

    Raises:
        Unavailable: the CA's key cannot be used.
        Conflict: others published again and again meanwhile, and never all of it.
    """
    for _ in range(PUBLISH_ATTEMPTS):
        revocation_list.refresh_from_db(fields=_STATE)
        if isinstance(revocation_list, CertificateRevocationList) and revocation_list.entry_count > PUBLISHED_AT_ONCE:
            return
        if not _is_stale(revocation_list) or _published(
            revocation_list, now, is_scheduled=_is_time(revocation_list, now)
        ):
            return
    raise _too_busy()


def current_crl(*, crl_id: UUID, now: datetime) -> List:
    """A complete list or a shard, without its DER, signed anew first if a revocation is missing or its time has come.

    Raises:
        NotFound: there is no such CRL, or its CA has no certificate yet.
        Unavailable: it has run out and the CA's key cannot be used.
    """
    revocation_list = _find(crl_id)
    if not _is_due(revocation_list, now):
        return revocation_list
    try:
        # Somebody else may have been faster: theirs is as good.
        _published(revocation_list, now, is_scheduled=_is_time(revocation_list, now))
        revocation_list.refresh_from_db(fields=_STATE)
    except (Unavailable, DatabaseError) as problem:
        if revocation_list.next_update is None or now >= revocation_list.next_update:
            raise
        logger.warning("CRL %s could not be signed anew and is served as it is: %s", crl_id, problem)
    return revocation_list


def document_of(revocation_list: List) -> Document:
    """The published list, all of one publication; its segments are read when it is.

    Raises:
        NotFound: it was not published yet.
        Unavailable: segments of it are missing.
    """
    columns = ("number", "this_update", "next_update", "der", "segments", "segments_at")
    found = type(revocation_list).objects.only(*columns).filter(pk=revocation_list.pk, der__isnull=False).first()
    if found is None:
        raise NotFound("There is no CRL with this id.")
    return document_in(found)


def document_in(row: List) -> Document:
    """The list that was published when the row was read. Raises as :func:`document_of`."""
    if row.number is None or row.der is None or row.this_update is None or row.next_update is None:
        raise NotFound("There is no CRL with this id.")
    encoding, segments = bytes(row.der), tuple(UUID(pk) for pk in row.segments)
    return Document(
        number=row.number,
        this_update=row.this_update,
        next_update=row.next_update,
        size=len(encoding) + size_of(segments),
        before=encoding[: row.segments_at],
        segments=segments,
        after=encoding[row.segments_at :],
    )


def current_delta(*, crl_id: UUID, now: datetime) -> Document:
    """The delta CRL of a complete list: what was revoked and released since the last scheduled one.

    Raises:
        NotFound: there is no such complete CRL.
        Unavailable: it has run out and the CA's key cannot be used.
    """
    complete = CertificateRevocationList.objects.defer("der").filter(pk=crl_id, base_number__isnull=False).first()
    if complete is None:
        raise NotFound("There is no delta CRL at this address.")
    delta = DeltaRevocationList.objects.filter(pk=complete.pk).first()
    if delta is None or not _is_delta_fresh(delta, complete, now):
        try:
            delta = _publish_delta(complete, delta, now)
        except (Unavailable, DatabaseError) as problem:
            if delta is None or now >= delta.next_update:
                raise
            logger.warning("The delta of CRL %s could not be signed anew: %s", crl_id, problem)
    encoding = bytes(delta.der)
    return Document(
        number=delta.number,
        this_update=delta.this_update,
        next_update=delta.next_update,
        size=len(encoding),
        before=encoding,
    )


def publish_due(*, now: datetime) -> Iterator[tuple[List, PortalError | DatabaseError | None]]:
    """Publish every list that is stale or whose time has come; each with what went wrong, one after the other."""
    complete = CertificateRevocationList.objects.filter(key__certificates__isnull=False).distinct()
    for each in (complete, RevocationListShard.objects.all()):
        for pk in list(each.values_list("pk", flat=True)):
            revocation_list = _find(pk)
            if not _is_due(revocation_list, now):
                continue
            try:
                publish_crl(revocation_list=revocation_list, now=now, is_scheduled=_is_time(revocation_list, now))
            except (PortalError, DatabaseError) as problem:
                yield revocation_list, problem
            else:
                yield revocation_list, None


def publish_now(*, requester: Requester, authority: CertificateAuthority) -> int:
    """Publish every list of a CA, whether due or not; how many.

    Raises:
        PermissionDenied, NotFound: the requester may not edit the CA.
        Unavailable: the CA's key cannot be used.
    """
    now = timezone.now()
    about: dict[str, Any] = {
        "event": "publish-crl",
        "actor": requester.actor,
        "project_id": authority.project_id,
        "subject_type": "certificate-authority",
        "subject_id": str(authority.pk),
    }
    with recorded_refusals(**about, data={"name": authority.name}):
        require(requester=requester, action=Action.CERTIFICATE_AUTHORITIES_EDIT, project_id=authority.project_id)
        lists = lists_of(authority)
        for revocation_list in lists:
            publish_crl(revocation_list=revocation_list, now=now)
        record(**about, data={"name": authority.name, "count": len(lists)})
    return len(lists)


def lists_of(authority: CertificateAuthority) -> list[List]:
    """Every complete list and shard of a CA that has a certificate, the oldest key's first; without their DER."""
    keys = AuthorityKey.objects.filter(authority=authority, certificates__isnull=False)
    complete = CertificateRevocationList.objects.filter(key__in=keys).select_related("key").defer("der")
    shards = RevocationListShard.objects.filter(revocation_list__key__in=keys).defer("der")
    return [
        *complete.order_by("key__created_at"),
        *shards.select_related("revocation_list__key").order_by("revocation_list__key__created_at", "generation", "pk"),
    ]


def shards_by_url(revocation_list: CertificateRevocationList) -> dict[str, RevocationListShard]:
    """The shards of a key's CRL, by the address that certificates name; no query where there are none."""
    if not revocation_list.shard_generation:
        return {}
    return {crl_url(shard.pk): shard for shard in revocation_list.shards.defer("der")}


def next_number(stored: int | None, now: datetime) -> int:
    """RFC 5280, 5.2.3: greater than every number before, also than those that a restored backup has forgotten.

    One more than the last, and never below the milliseconds since 1970: a database that was restored is behind the
    clock, for nobody publishes a thousand lists a second; a clock that was set back is behind the last number. Only
    both at once could repeat a number.
    """
    return max((stored or 0) + 1, int(now.timestamp() * 1000))


def issuer_of_key(key: AuthorityKey) -> AuthorityCertificate:
    """The newest certificate of the key; all its versions have the same subject, so the CRL is that of each."""
    issuer = key.certificates.order_by("-version").first()
    if issuer is None:
        raise NotFound("The CA has no certificate yet, so it has no CRL.")
    return issuer


# --- Complete lists and shards ----------------------------------------------------------------------------------------

# Every column that changes but the list itself.
_STATE = ("revision", "published_revision", "number", "this_update", "next_update", "entry_count", "scheduled_at")


def _too_busy() -> Conflict:
    return Conflict("The CRL is being published by others; try again.", retry_after=1)


def _find(crl_id: UUID) -> List:
    """By id, without DER. A shard may not have been published yet. Raises NotFound."""
    complete = CertificateRevocationList.objects.select_related("key__authority").defer("der")
    shards = RevocationListShard.objects.select_related("revocation_list__key__authority")
    found: List | None = complete.filter(pk=crl_id, key__certificates__isnull=False).first()
    found = found or shards.defer("der", "revocation_list__der").filter(pk=crl_id).first()
    if found is None:
        raise NotFound("There is no CRL with this id.")
    return found


def _complete_list_of(revocation_list: List) -> CertificateRevocationList:
    """That of a shard is looked up without its DER, unless it is at hand."""
    if isinstance(revocation_list, CertificateRevocationList):
        return revocation_list
    if not RevocationListShard.revocation_list.is_cached(revocation_list):
        complete = CertificateRevocationList.objects.select_related("key").defer("der")
        revocation_list.revocation_list = complete.get(pk=revocation_list.revocation_list_id)
    return revocation_list.revocation_list


def _is_stale(revocation_list: List) -> bool:
    """Whether something was revoked or released that the published list does not know."""
    return revocation_list.revision != revocation_list.published_revision


def _is_time(revocation_list: List, now: datetime) -> bool:
    """Whether the next scheduled list is to be published."""
    if revocation_list.this_update is None or revocation_list.next_update is None:
        return True
    life = revocation_list.next_update - revocation_list.this_update
    return now >= revocation_list.this_update + life * RENEWED_AFTER


def _is_due(revocation_list: List, now: datetime) -> bool:
    return _is_stale(revocation_list) or _is_time(revocation_list, now)


def _published(revocation_list: List, now: datetime, *, is_scheduled: bool) -> bool:
    """Sign and store the next list; False, and nothing is stored, where another one was stored meanwhile."""
    complete = _complete_list_of(revocation_list)
    seen = revocation_list.number
    this_update = now.replace(microsecond=0)
    if revocation_list.this_update is not None:
        # The clock of another machine may be ahead; a list must not look older than the one it replaces.
        this_update = max(this_update, revocation_list.this_update)
    number = next_number(_last_number(revocation_list), now)
    next_update = this_update + CRL_LIFE
    # Before the entries are read: what is revoked while they are read makes the list stale, never wrongly fresh.
    revision = type(revocation_list).objects.values_list("revision", flat=True).get(pk=revocation_list.pk)
    contents = Contents(complete, revision=revision) if revocation_list is complete else None
    crl = _signed(
        complete,
        number=number,
        this_update=this_update,
        next_update=next_update,
        entries=_shard_entries(revocation_list) if contents is None else contents,
        extensions=[
            freshest_crl(delta_crl_url(complete.pk))
            if revocation_list is complete
            else issuing_distribution_point(crl_url(revocation_list.pk))
        ],
    )
    changes: dict[str, object] = {
        "number": number,
        "this_update": this_update,
        "next_update": next_update,
        "published_revision": revision,
        "entry_count": crl.count,
        **({"der": crl.der} if contents is None else contents.columns(crl)),
    }
    if is_scheduled:
        changes["scheduled_at"] = this_update
        if revocation_list is complete:
            changes |= {"base_number": number, "base_revision": revision}
    unchanged = type(revocation_list).objects.filter(pk=revocation_list.pk)
    unchanged = unchanged.filter(number__isnull=True) if seen is None else unchanged.filter(number=seen)
    with transaction.atomic():
        if not unchanged.update(**changes):
            return False
        if contents is not None:
            contents.store(crl, now=now)
        crl_signed(list_id=revocation_list.pk, number=number, der=crl.der)
        _open_shards_if_large(revocation_list, complete, crl.count)
    for field, value in {**changes, "revision": revision}.items():
        setattr(revocation_list, field, value)
    return True


def _signed(
    complete: CertificateRevocationList,
    *,
    number: int,
    this_update: datetime,
    next_update: datetime,
    entries: Entries,
    extensions: Iterable[x509.Extension[x509.ExtensionType]],
) -> SignedCrl:
    try:
        return build_crl(
            issuer=x509.load_der_x509_certificate(bytes(issuer_of_key(complete.key).der)),
            signer=signer_of_key(complete.key),
            number=number,
            this_update=this_update,
            next_update=next_update,
            entries=entries,
            extensions=extensions,
        )
    except CrlRejected as problem:
        raise Unavailable(f"What was signed is not the CRL that was to be signed: {problem}.") from problem


def _last_number(revocation_list: List) -> int:
    """RFC 5280, 5.2.3: the complete list and its deltas share one sequence of numbers."""
    numbers = [revocation_list.number or 0]
    if isinstance(revocation_list, CertificateRevocationList):
        numbers += DeltaRevocationList.objects.filter(pk=revocation_list.pk).values_list("number", flat=True)
    return max(numbers)


def _shard_entries(shard: List) -> EntriesAtHand:
    """One by one, for they are few."""
    listed = listed_entries(shard, shard.scheduled_at).order_by("revoked_at", "serial_number")
    return EntriesAtHand([bytes(encoded) for encoded in listed.values_list("der", flat=True)])


def _open_shards_if_large(revocation_list: List, complete: CertificateRevocationList, count: int) -> None:
    """Open the next shards where certificates are still issued that name this list, in the caller's transaction."""
    generation = revocation_list.generation if isinstance(revocation_list, RevocationListShard) else 0
    if count <= ENTRIES_PER_LIST:
        return
    still = CertificateRevocationList.objects.filter(pk=complete.pk, shard_generation=generation)
    if still.update(shard_generation=generation + 1):
        opened = [
            RevocationListShard(revocation_list=complete, generation=generation + 1) for _ in range(SHARDS_OPENED)
        ]
        RevocationListShard.objects.bulk_create(opened)
        shards_opened(complete, opened)


# --- Deltas -----------------------------------------------------------------------------------------------------------


def _is_delta_fresh(delta: DeltaRevocationList, complete: CertificateRevocationList, now: datetime) -> bool:
    return (
        delta.revision == complete.revision
        and delta.base_number == complete.base_number
        and now < delta.this_update + DELTA_LIFE * RENEWED_AFTER
    )


def _publish_delta(
    complete: CertificateRevocationList, seen: DeltaRevocationList | None, now: datetime
) -> DeltaRevocationList:
    """Sign and store the next delta; where another was stored meanwhile, that one."""
    this_update = max(now.replace(microsecond=0), seen.this_update if seen is not None else now.replace(microsecond=0))
    number = next_number(_last_number(complete), now)
    base_number = complete.base_number or 0
    crl = _signed(
        complete,
        number=number,
        this_update=this_update,
        next_update=this_update + DELTA_LIFE,
        entries=EntriesAtHand(list(_changes(complete))),
        extensions=[delta_indicator(base_number)],
    )
    delta = DeltaRevocationList(
        revocation_list=complete,
        number=number,
        base_number=base_number,
        der=crl.der,
        this_update=this_update,
        next_update=this_update + DELTA_LIFE,
        revision=complete.revision,
    )
    try:
        with transaction.atomic():
            replaced = DeltaRevocationList.objects.filter(
                pk=complete.pk, number=seen.number if seen is not None else -1
            )
            replaced.delete()
            delta.save(force_insert=True)
            crl_signed(list_id=complete.pk, number=number, der=crl.der)
    except IntegrityError:
        return DeltaRevocationList.objects.get(pk=complete.pk)  # somebody else was faster
    return delta


def _changes(complete: CertificateRevocationList) -> Iterator[bytes]:
    """RFC 5280, 5.2.4 and 5.3.1: what was revoked since the base; what was released since, as removeFromCRL."""
    changed = RevocationEntry.objects.filter(revocation_list=complete, revision__gt=complete.base_revision)
    for entry in changed.order_by("revoked_at", "serial_number").iterator(chunk_size=CHUNK):
        if entry.released_at is None:
            yield bytes(entry.der)
        else:
            released = RevokedEntry(
                serial_number=int(entry.serial_number, 16),
                revoked_at=entry.released_at.replace(microsecond=0),
                reason=RevocationReason.REMOVE_FROM_CRL,
            )
            yield encode_entry(released)
