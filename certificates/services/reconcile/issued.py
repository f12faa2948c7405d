"""Certificates that the database has lost, and those of which nobody knows whether they were signed.

RFC 6960, 2.2: ``good`` says no more than that no certificate with the serial number is revoked, ``unknown`` that the
responder knows nothing of it. What was announced and never finished may exist: ``good`` would vouch for something that
nobody has seen, ``unknown`` leaves the decision to each relying party, and to CRLs the serial number would not exist at
all. So it is put on hold: CRL and OCSP say that it is revoked, and that this may be lifted. In nearly every case there
is no such certificate, for its process ended before anybody could be told.
"""

from base64 import b64decode
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID, uuid4

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import IntegrityError, models, transaction

from certificates.models import (
    AuthorityCertificate,
    Certificate,
    CertificateRevocationList,
    OcspResponder,
    RevocationEntry,
    RevocationListShard,
)
from certificates.models.certificate import RevocationReason
from certificates.services.columns import columns_of
from certificates.services.crl import shards_by_url
from certificates.services.journal import tell_certificate
from certificates.services.reconcile.differences import RECONCILED_EVENT, RECONCILER, Difference, Kind
from certificates.services.reconcile.rows import Missing, row_of, store_as_it_was
from certificates.services.reconcile.survey import Entry, Survey
from certificates.services.revocation_entries import count_changes, fill, next_revision, shard_of
from certificates.services.succession import plan_auto_renewal
from certificates.x509.inspect import UNREADABLE, facts_of, unsigned_certificate
from pki_portal import journal
from pki_portal.audit.services import JSON, record

CHUNK = 500
_NEEDED = frozenset({"project_id", "request_id", "authority_id", "authority_certificate_id", "key_id"})


def reconcile_issued(survey: Survey, *, apply: bool) -> Iterator[Difference]:
    """Go through what was signed, in the order of the journal."""
    unfinished: dict[tuple[str, str], Entry] = {}
    finished_elsewhere: set[tuple[str, str]] = set()
    early: list[Entry] = []
    batch: list[Entry] = []
    for line in journal.read():
        entry = line.entry
        if entry is None:
            continue
        if entry["kind"] == "sign" and entry["id"] not in survey.unsigned and entry["key"] is not None:
            unfinished[entry["key"], entry["serial"]] = entry
        elif entry["kind"] == "signed" and entry["of"] not in survey.undone:
            if unfinished.pop((entry["key"], entry["serial"]), None) is None and entry["key"] is not None:
                finished_elsewhere.add((entry["key"], entry["serial"]))
            if entry["rows"][-1]["values"]["id"] not in survey.deleted:
                batch.append(entry)
        if len(batch) == CHUNK:
            yield from _reconcile_signed(survey, batch, early, apply=apply)
            batch = []
    yield from _reconcile_signed(survey, batch, early, apply=apply)
    # Successors whose predecessors are in another machine's files: by now they are there, or never will be.
    yield from (_imported(entry, survey.now) for entry in early)
    left = [entry for known_by, entry in unfinished.items() if known_by not in finished_elsewhere]
    for start in range(0, len(left), CHUNK):
        yield from _reconcile_unfinished(survey, left[start : start + CHUNK], apply=apply)


# --- Finished ---------------------------------------------------------------------------------------------------------


def _reconcile_signed(survey: Survey, batch: list[Entry], early: list[Entry], *, apply: bool) -> Iterator[Difference]:
    present = _present(batch)
    for entry in batch:
        document = entry["rows"][-1]
        stored = present.get(document["values"]["id"])
        if stored is not None:
            if stored != b64decode(entry["der"]):
                yield Difference(_kind(document), _subject(entry), "the database has another certificate with its id")
        elif survey.is_under_way(entry):
            yield Difference(Kind.UNDER_WAY, _subject(entry))
        elif not apply:
            yield Difference(_kind(document), _subject(entry))
        elif _is_early(document):
            early.append(entry)
        else:
            yield _imported(entry, survey.now)


def _present(batch: Sequence[Entry]) -> dict[str, bytes]:
    """The certificates of those rows that are there, by id."""
    present: dict[str, bytes] = {}
    for model in (Certificate, OcspResponder):
        label = model._meta.label_lower
        wanted = [each["rows"][-1]["values"]["id"] for each in batch if each["rows"][-1]["model"] == label]
        found = model._base_manager.filter(pk__in=wanted).values_list("pk", "der")
        present |= {str(pk): bytes(der) for pk, der in found}
    return present


def _is_early(document: dict[str, Any]) -> bool:
    predecessor = document["values"].get("renewed_from_id")
    return predecessor is not None and not Certificate.objects.filter(pk=predecessor).exists()


def _imported(entry: Entry, now: datetime) -> Difference:
    *others, document = entry["rows"]
    problem = ""
    try:
        certificate = x509.load_der_x509_certificate(b64decode(entry["der"]))
        with transaction.atomic():
            for other in others:
                store_as_it_was(row_of(other), needs=_NEEDED)
            if document["model"] == OcspResponder._meta.label_lower:
                _store_responder(document, entry)
            else:
                _store_certificate(document, certificate, entry, now)
    except (Missing, *UNREADABLE) as refusal:
        problem = str(refusal)
    except IntegrityError as refusal:
        problem = f"the database refuses it: {refusal}"
    return Difference(_kind(document), _subject(entry), problem)


def _store_responder(document: dict[str, Any], entry: Entry) -> None:
    row = row_of(document, der=b64decode(entry["der"]), sealed_private_key=None)
    store_as_it_was(row, needs=_NEEDED)
    assert isinstance(row, OcspResponder)  # noqa: S101 - for the type checker
    _record("reconcile-ocsp-responder", entry, "certificate-authority", row.key.authority_id)


def _store_certificate(document: dict[str, Any], certificate: x509.Certificate, entry: Entry, now: datetime) -> None:
    row = row_of(document, **columns_of(certificate))
    assert isinstance(row, Certificate)  # noqa: S101 - for the type checker
    if row.renewed_from_id and Certificate.objects.filter(renewed_from=row.renewed_from_id).exists():
        row.renewed_from_id = None  # the restored database renewed it once more
    store_as_it_was(row, needs=_NEEDED)
    if row.renew_at is not None:
        plan_auto_renewal(row)
    if row.authority_certificate_id is not None:
        _release_if_held(row, now)
    _record(RECONCILED_EVENT, entry, "certificate", row.pk)


def _release_if_held(row: Certificate, now: datetime) -> None:
    """Of a certificate that an earlier run knew by its serial number alone."""
    entries = RevocationEntry.objects.filter(
        certificate__isnull=True,
        released_at__isnull=True,
        serial_number=row.serial_number,
        revocation_list__key__certificates=row.authority_certificate_id,
    )
    held = entries.first()
    if held is not None:
        held.certificate = row
        # What is revoked for good stays as it is, on its lists and in its revision.
        if held.reason == RevocationReason.CERTIFICATE_HOLD:
            held.released_at = now
            held.revision = next_revision(_lists().get(pk=held.revocation_list_id))
            count_changes(RevocationListShard.objects.filter(entries=held))
        held.save(update_fields=["certificate", "released_at", "revision"])


# --- Unfinished -------------------------------------------------------------------------------------------------------


def _reconcile_unfinished(survey: Survey, entries: Sequence[Entry], *, apply: bool) -> Iterator[Difference]:
    for entry in _unknown(entries, apply=apply):
        if datetime.fromisoformat(entry["notAfter"]) <= survey.now:
            continue  # whatever it was, it has ended
        if survey.is_under_way(entry):
            yield Difference(Kind.UNDER_WAY, _subject(entry))
        else:
            yield Difference(Kind.UNCONFIRMED, _subject(entry), _held(entry, survey.now) if apply else "")


def _unknown(entries: Sequence[Entry], *, apply: bool) -> Iterator[Entry]:
    """Those whose serial number the database does not know.

    A certificate that it knows, and of which the journal lost the end, is told to the journal once more.
    """
    serials = [entry["serial"] for entry in entries]
    known: set[tuple[str, str]] = set()
    lookups: tuple[tuple[type[models.Model], str], ...] = (
        (Certificate, "authority_certificate__key"),
        (OcspResponder, "key"),
        (AuthorityCertificate, "issuer_certificate__key"),
        (RevocationEntry, "revocation_list__key"),
    )
    for model, path in lookups:
        found = model._base_manager.filter(serial_number__in=serials).values_list(path, "serial_number")
        known |= {(str(key), serial) for key, serial in found}
    for entry in entries:
        if (entry["key"], entry["serial"]) not in known:
            yield entry
        elif apply:
            _tell_again(entry)


def _tell_again(entry: Entry) -> None:
    issued = Certificate.objects.filter(
        authority_certificate__key=entry["key"], serial_number=entry["serial"]
    ).select_related("request")
    responders = OcspResponder.objects.filter(key=entry["key"], serial_number=entry["serial"])
    for row in chain[Certificate | OcspResponder](issued, responders):
        tell_certificate(row, of=uuid4())


def _held(entry: Entry, now: datetime) -> str:
    """What stands in the way, or nothing."""
    try:
        announced = unsigned_certificate(b64decode(entry["tbs"]))
        facts = facts_of(announced)
    except UNREADABLE as problem:
        return f"cannot be read: {problem}"
    with transaction.atomic():
        revocation_list = _lists().filter(key=entry["key"]).first()
        if revocation_list is None:
            return f"its CA key {entry['key']} is not in the database"
        held = RevocationEntry(
            revocation_list=revocation_list,
            shard=shard_of(announced.public_bytes(Encoding.DER), shards_by_url(revocation_list)),
            serial_number=facts.serial_number,
            not_after=facts.not_after,
        )
        fill(
            held,
            requester=RECONCILER,
            revoked_at=now.replace(microsecond=0),
            reason=RevocationReason.CERTIFICATE_HOLD,
            invalidity_date=None,
            revision=next_revision(revocation_list),
        )
        held.save(force_insert=True)
        count_changes(RevocationListShard.objects.filter(entries=held))
        authority_id = revocation_list.key.authority_id
        _record("reconcile-unconfirmed", entry, "certificate-authority", authority_id)
    return ""


# --- Words ------------------------------------------------------------------------------------------------------------


def _lists() -> models.QuerySet[CertificateRevocationList]:
    """To be locked, in the caller's transaction."""
    return CertificateRevocationList.objects.select_related("key").defer("der").select_for_update(of=("self",))


def _kind(document: dict[str, Any]) -> Kind:
    return Kind.RESPONDER if document["model"] == OcspResponder._meta.label_lower else Kind.CERTIFICATE


def _subject(entry: Entry) -> str:
    requester = entry.get("requester", {}).get("name", "")
    asked = f", asked for by {requester}" if requester else ""
    return f"{entry['serial']} of {entry['at'][:19]} UTC{asked}"


def _record(event: str, entry: Entry, subject_type: str, subject_id: UUID) -> None:
    data: dict[str, JSON] = {"serialNumber": entry["serial"], "journalledAt": entry["at"]}
    if "requester" in entry:
        data["requester"] = entry["requester"]
    record(
        event=event,
        actor=RECONCILER.actor,
        project_id=UUID(entry["project"]) if "project" in entry else None,
        subject_type=subject_type,
        subject_id=str(subject_id),
        data=data,
    )
