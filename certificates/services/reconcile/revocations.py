"""What was told to be revoked, on hold or released, told once more; and lists above every number that was published."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import DatabaseError, models, transaction

from certificates.models import (
    AuthorityCertificate,
    Certificate,
    CertificateRevocationList,
    RevocationEntry,
    RevocationListShard,
)
from certificates.models.certificate import RevocationReason
from certificates.services.blocked_keys import digest_of_authority_key, lock_keys
from certificates.services.crl import List, publish_crl, publish_due, shards_by_url
from certificates.services.reconcile.differences import RECONCILER, Difference, Kind
from certificates.services.reconcile.survey import Entry, Survey
from certificates.services.revocation_entries import (
    block_keys,
    complete_lists,
    count_changes,
    fill,
    is_compromise,
    next_revision,
    shard_of,
    store_release,
    store_revocations,
)
from pki_portal import journal
from pki_portal.access.requester import Requester
from pki_portal.audit.services import record
from pki_portal.errors import PortalError

CHUNK = 500
_HOLD = int(RevocationReason.CERTIFICATE_HOLD)


@dataclass(frozen=True, slots=True)
class _Told:
    """What one line says of one certificate; ``reason`` None where a hold was released."""

    list_id: str
    serial_number: str
    at: datetime
    revision: int
    reason: int | None
    not_after: datetime
    entry: Entry

    @property
    def is_final(self) -> bool:
        return self.reason not in {None, _HOLD}


def reconcile_revocations(survey: Survey, *, apply: bool) -> Iterator[Difference]:
    """Revocations for good first; of holds and releases, the last one of each certificate counts."""
    if apply:
        # What is done from now on is later than all that the journal has.
        for list_id, revision in survey.revisions.items():
            CertificateRevocationList.objects.filter(pk=list_id, revision__lt=revision).update(revision=revision)
    last: dict[tuple[str, str], _Told] = {}
    batch: list[_Told] = []
    for told in _told(survey):
        if told.is_final:
            batch.append(told)
        else:
            known_by = (told.list_id, told.serial_number)
            if known_by not in last or (last[known_by].revision, last[known_by].at) <= (told.revision, told.at):
                last[known_by] = told
        if len(batch) == CHUNK:
            yield from _reconcile_batch(survey, batch, apply=apply)
            batch = []
    yield from _reconcile_batch(survey, batch, apply=apply)
    held = list(last.values())
    for start in range(0, len(held), CHUNK):
        yield from _reconcile_batch(survey, held[start : start + CHUNK], apply=apply)


def _told(survey: Survey) -> Iterator[_Told]:
    for line in journal.read():
        entry = line.entry
        if entry is None or entry["id"] in survey.undone:
            continue
        if entry["kind"] == "revoke":
            for _, serial_number, revoked_at, not_after in entry["entries"]:
                at, end = datetime.fromisoformat(revoked_at), datetime.fromisoformat(not_after)
                yield _Told(entry["list"], serial_number, at, entry["revision"], entry["reason"], end, entry)
        elif entry["kind"] == "release":
            at = datetime.fromisoformat(entry["releasedAt"])
            end = datetime.fromisoformat(entry["notAfter"])
            yield _Told(entry["list"], entry["serial"], at, entry["revision"], None, end, entry)


def _reconcile_batch(survey: Survey, batch: Sequence[_Told], *, apply: bool) -> Iterator[Difference]:
    stored = _stored(batch)
    for told in batch:
        if _is_so(told, stored.get((told.list_id, told.serial_number))):
            continue
        kind = Kind.RELEASE if told.reason is None else Kind.REVOCATION
        if survey.is_under_way(told.entry):
            yield Difference(Kind.UNDER_WAY, _subject(told))
        else:
            yield Difference(kind, _subject(told), _done_again(told) if apply else "")


def _stored(batch: Sequence[_Told]) -> dict[tuple[str, str], RevocationEntry]:
    serials = defaultdict(list)
    for told in batch:
        serials[UUID(told.list_id)].append(told.serial_number)
    return {
        (str(list_id), entry.serial_number): entry
        for list_id, of_list in serials.items()
        for entry in RevocationEntry.objects.filter(revocation_list=list_id, serial_number__in=of_list).defer("der")
    }


def _is_so(told: _Told, entry: RevocationEntry | None) -> bool:
    """Whether the database says as much, or more, or something that came later."""
    if entry is None:
        return told.reason is None  # a hold that the database never knew, and that is over
    if entry.released_at is None and entry.reason != _HOLD:
        return True
    if told.is_final:
        return False
    return (told.reason is None) == (entry.released_at is not None) or entry.revision >= told.revision


def _done_again(told: _Told) -> str:
    """What stands in the way, or nothing."""
    with transaction.atomic():
        lists = complete_lists().select_related("key__authority").select_for_update(of=("self",), no_key=True)
        revocation_list = lists.filter(pk=told.list_id).first()
        if revocation_list is None:
            return f"CRL {told.list_id} is not in the database"
        if _is_so(told, revocation_list.entries.filter(serial_number=told.serial_number).defer("der").first()):
            return ""  # by another line about the same certificate, and what is revoked for good never changes again
        certificate = (
            Certificate.objects.select_for_update(of=("self",), no_key=True)
            .filter(authority_certificate__key=revocation_list.key_id, serial_number=told.serial_number)
            .first()
        )
        if told.reason is None:
            if certificate is not None:
                store_release(revocation_list, certificate, now=told.at)
        elif certificate is not None:
            _revoke(revocation_list, certificate, told)
        else:
            _revoke_serial_number(revocation_list, told)
        subject = certificate or revocation_list.key.authority
        record(
            event="reconcile-revocation" if told.reason is not None else "reconcile-release",
            actor=RECONCILER.actor,
            project_id=subject.project_id,
            subject_type="certificate" if certificate is not None else "certificate-authority",
            subject_id=str(subject.pk),
            data={
                "serialNumber": told.serial_number,
                "journalledAt": told.entry["at"],
                "requester": told.entry.get("requester"),
                **({"reason": RevocationReason(told.reason).name} if told.reason is not None else {}),
            },
        )
    return ""


def _revoke(revocation_list: CertificateRevocationList, certificate: Certificate, told: _Told) -> None:
    RevocationEntry.objects.filter(
        revocation_list=revocation_list, serial_number=told.serial_number, certificate__isnull=True
    ).update(certificate=certificate)
    store_revocations(
        revocation_list,
        [certificate],
        requester=_requester(told),
        reason=RevocationReason(told.reason or 0),
        invalidity_date=_invalidity_date(told),
        now=told.at,
    )


def _revoke_serial_number(revocation_list: CertificateRevocationList, told: _Told) -> None:
    """Of a CA's certificate, or of one that was deleted since, or is lost for good."""
    version = AuthorityCertificate.objects.filter(pk=told.entry["authorityCertificate"]).first()
    entry = RevocationEntry.objects.filter(
        revocation_list=revocation_list, serial_number=told.serial_number
    ).first() or RevocationEntry(
        revocation_list=revocation_list,
        serial_number=told.serial_number,
        not_after=told.not_after,
        shard=shard_of(bytes(version.der), shards_by_url(revocation_list)) if version is not None else None,
    )
    entry.authority_certificate = version
    fill(
        entry,
        requester=_requester(told),
        revoked_at=told.at,
        reason=RevocationReason(told.reason or 0),
        invalidity_date=_invalidity_date(told),
        revision=next_revision(revocation_list),
    )
    entry.save()
    count_changes(RevocationListShard.objects.filter(entries=entry))
    if version is not None:
        AuthorityCertificate.objects.filter(pk=version.pk).update(revoked_at=told.at)
        if is_compromise(RevocationReason(told.reason or 0), is_ca=True):
            digest = digest_of_authority_key(version.key)
            lock_keys([digest])
            block_keys({digest: version.serial_number}, now=told.at)


def _requester(told: _Told) -> Requester:
    """Who revoked it then."""
    actor: dict[str, Any] = told.entry["actor"]
    return Requester(
        kind=actor["kind"],
        id=actor["id"],
        name=actor["name"],
        is_superuser=False,
        can_create_projects=False,
        address=None,
        request_id="",
    )


def _invalidity_date(told: _Told) -> datetime | None:
    text = told.entry["invalidityDate"]
    return datetime.fromisoformat(text) if text else None


def _subject(told: _Told) -> str:
    what = "release" if told.reason is None else RevocationReason(told.reason).label.lower()
    return f"{told.serial_number}: {what} of {told.at:%Y-%m-%d %H:%M:%S} UTC"


# --- Lists ------------------------------------------------------------------------------------------------------------


def reconcile_numbers(survey: Survey, *, apply: bool) -> Iterator[Difference]:
    """Each list above every number that the journal has of it, and published then.

    RFC 5280, 5.2.3: the numbers of a CRL increase. Whoever has seen a higher one than that of a restored database would
    take what is served for old.
    """
    for model in (CertificateRevocationList, RevocationListShard):
        rows: models.QuerySet[Any] = model._base_manager.filter(pk__in=list(survey.numbers)).defer("der")
        for row in rows:
            number = survey.numbers.get(str(row.pk), 0)
            is_behind = _last_number(row) < number
            if is_behind:
                subject = f"CRL {row.pk}: {_last_number(row)} here, {number} published"
                yield Difference(Kind.NUMBER, subject, _published_above(row, number, survey.now) if apply else "")
    if apply:
        yield from _publish_what_is_due(survey.now)


def _last_number(row: List) -> int:
    delta = getattr(row, "delta", None)
    return max(row.number or 0, delta.number if delta is not None else 0)


def _published_above(row: List, number: int, now: datetime) -> str:
    """What stands in the way, or nothing."""
    rows = type(row)._base_manager.filter(pk=row.pk)
    try:
        for _ in range(2):  # one that was never published here gets its first number by the first turn
            rows.filter(number__lt=number).update(number=number)
            row.refresh_from_db()
            publish_crl(revocation_list=row, now=now)
            row.refresh_from_db()
            if (row.number or 0) > number:
                break
    except (PortalError, DatabaseError) as problem:
        return problem.message if isinstance(problem, PortalError) else type(problem).__name__
    return ""


def _publish_what_is_due(now: datetime) -> Iterator[Difference]:
    for row, problem in publish_due(now=now):
        if problem is not None:
            told = problem.message if isinstance(problem, PortalError) else type(problem).__name__
            yield Difference(Kind.NUMBER, f"CRL {row.pk} is to be published", told)
