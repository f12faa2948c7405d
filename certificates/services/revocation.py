"""Revoking certificates, one or many; putting them on hold and releasing them."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from uuid import UUID

from django.db import models, transaction
from django.utils import timezone

from certificates.models import (
    Certificate,
    CertificateRevocationList,
    RevocationEntry,
)
from certificates.models.certificate import CertificateStatus, IdempotentAct, RevocationReason
from certificates.querysets import CertificateFilters, StatusFilter, certificates_visible_to, narrowed, with_status
from certificates.services.blocked_keys import lock_keys
from certificates.services.idempotency import IdempotencyKey, claimed
from certificates.services.journal import journaled, released, revoked
from certificates.services.revocation_entries import (
    CHUNK,
    complete_lists,
    invalidity_date_violations,
    is_compromise,
    lists_with,
    publish_lists,
    store_release,
    store_revocations,
)
from pki_portal.access.models import Project
from pki_portal.access.permissions import Action, projects_allowing, require
from pki_portal.access.requester import Requester
from pki_portal.audit.services import record, recorded_refusals
from pki_portal.errors import Conflict, Invalid, NotFound, Violation

REVOKE_EVENT = "revoke-cert"
RELEASE_EVENT = "release-cert-hold"
BULK_EVENT = "revoke-certs"
# One transaction, one audit event for each: what a request can do before its server gives up on it.
BULK_LIMIT = 5_000
PREVIEWED = 10
SIBLINGS_NAMED = 100

# RFC 5280, 5.3.1 gives the names; what to choose when is ours to say.
REASON_SENTENCES: Mapping[RevocationReason, str] = {
    RevocationReason.UNSPECIFIED: "No reason is given.",
    RevocationReason.KEY_COMPROMISE: (
        "Somebody else has, or may have, the private key. The key is blocked: no certificate is issued for it again."
    ),
    RevocationReason.CA_COMPROMISE: (
        "The certificate is a CA's, and somebody else has or may have that CA's key. The key is blocked."
    ),
    RevocationReason.AFFILIATION_CHANGED: "A name in it is no longer right; the key is not in danger.",
    RevocationReason.SUPERSEDED: "Another certificate has taken its place; the key is not in danger.",
    RevocationReason.CESSATION_OF_OPERATION: "What it was for no longer runs; the key is not in danger.",
    RevocationReason.CERTIFICATE_HOLD: "It is suspended until it is released or revoked for good.",
    RevocationReason.PRIVILEGE_WITHDRAWN: "A right that it grants was taken away; the key is not in danger.",
    RevocationReason.A_A_COMPROMISE: "What the attribute authority vouched for can no longer be trusted.",
}


@dataclass(frozen=True, slots=True)
class Revoked:
    """A revoked certificate.

    Attributes:
        siblings: other live certificates with the same key, of what the requester may read; where that key is
            compromised only.
        is_replay: an Idempotency-Key stood for this revocation already.
    """

    certificate: Certificate
    revoked_at: datetime
    siblings: tuple[Certificate, ...] = ()
    is_replay: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """What a bulk revocation would revoke; the act takes ``count`` and ``digest`` to prove that it means this.

    ``is_replay``: an Idempotency-Key stood for that act already.
    """

    count: int
    digest: str
    first: tuple[Certificate, ...]
    is_replay: bool = False


def revoke_certificate(
    *,
    requester: Requester,
    certificate: Certificate,
    reason: RevocationReason,
    invalidity_date: datetime | None = None,
    idempotency: IdempotencyKey | None = None,
) -> Revoked:
    """Revoke a certificate, or put it on hold (CERTIFICATE_HOLD); one on hold can be revoked for good.

    When this returns, the revocation, its CRL entry and the audit event are committed and the CRL that says so is
    published. ``invalidity_date`` is since when the key is known or suspected to be in other hands (RFC 5280, 5.3.2).

    Raises:
        PermissionDenied, NotFound: the requester may not revoke it.
        Invalid: it has no CA, or was revoked already (the first revocation is named), or the date is in the future.
        Conflict: the Idempotency-Key stands for something else, or its first request is still under way.
        Unavailable: it IS revoked, but the CRL could not be signed; the message says so. It is signed by whoever asks
            for it next.
    """
    now = timezone.now()
    with _recorded(REVOKE_EVENT, requester, certificate, {"reason": RevocationReason(reason).name}):
        require(requester=requester, action=Action.CERTIFICATES_REVOKE, project_id=certificate.project_id)
        with claimed(requester=requester, idempotency=idempotency, now=now, act=IdempotentAct.REVOKE) as claim:
            is_replay = isinstance(claim, Certificate)
            if not isinstance(claim, Certificate):
                with transaction.atomic():
                    revocation_list = _lock_list(certificate)
                    if is_compromise(reason, is_ca=certificate.is_ca):
                        lock_keys([certificate.public_key_sha256])
                    locked = _lock(certificate)
                    # The instant that counts: a successor that was stored while we waited came before.
                    now = timezone.now()
                    _refuse_any(_violations(locked, reason=reason, invalidity_date=invalidity_date, now=now))
                    _revoke(
                        revocation_list,
                        [locked],
                        requester=requester,
                        reason=reason,
                        invalidity_date=invalidity_date,
                        now=now,
                    )
                    if claim is not None:
                        claim.complete(locked)
    entry = _entry_of(certificate)
    row = entry.certificate or certificate
    publish_lists(lists_with(entry), now=now, done=f"Certificate {entry.serial_number} is revoked")
    return Revoked(
        certificate=row,
        revoked_at=entry.revoked_at,
        siblings=_siblings(requester, [row], now) if is_compromise(reason, is_ca=row.is_ca) else (),
        is_replay=is_replay,
    )


def release_hold(*, requester: Requester, certificate: Certificate) -> Certificate:
    """Take a certificate off hold: it is valid again, as if it never had been revoked (RFC 5280, 5.3.1).

    Raises:
        PermissionDenied, NotFound: the requester may not revoke it, and so not release it.
        Invalid: it is not on hold.
        Unavailable: it IS released, but the CRL could not be signed; the message says so.
    """
    now = timezone.now()
    with _recorded(RELEASE_EVENT, requester, certificate, {}):
        require(requester=requester, action=Action.CERTIFICATES_REVOKE, project_id=certificate.project_id)
        with transaction.atomic():
            revocation_list = _lock_list(certificate)
            locked = _lock(certificate)
            _refuse_any(_release_violations(locked))
            store_release(revocation_list, locked, now=now)
            _record(RELEASE_EVENT, requester, locked, {})
            released(revocation_list, locked, released_at=now)
    publish_lists(lists_with(_entry_of(locked)), now=now, done=f"Certificate {locked.serial_number} is released")
    return locked


def preview_revocation(*, requester: Requester, project: Project, filters: CertificateFilters) -> Selection:
    """What ``revoke_selected`` would revoke now: the live certificates of CAs of ours that the filters find.

    Raises:
        PermissionDenied, NotFound: the requester may not revoke there.
        Invalid: more than 5,000.
    """
    require(requester=requester, action=Action.CERTIFICATES_REVOKE, project_id=project.pk)
    found = _selected(requester, project, filters, timezone.now())
    identifiers = _identifiers(found)
    first = found.filter(pk__in=identifiers[:PREVIEWED]).defer("der", "lint_findings").order_by("pk")
    return Selection(count=len(identifiers), digest=_digest(identifiers), first=tuple(first))


def revoke_selected(
    *,
    requester: Requester,
    project: Project,
    filters: CertificateFilters,
    reason: RevocationReason,
    count: int,
    digest: str,
    idempotency: IdempotencyKey | None = None,
) -> Selection:
    """Revoke exactly what was previewed, all in one transaction or none.

    Raises:
        PermissionDenied, NotFound: the requester may not revoke there.
        Invalid: more than 5,000.
        Conflict: the filters find something else than was previewed; or the Idempotency-Key stands for something else,
            or its first request is still under way.
        Unavailable: they ARE revoked, but a CRL could not be signed; the message says so.
    """
    now = timezone.now()
    with (
        recorded_refusals(
            event=BULK_EVENT,
            actor=requester.actor,
            project_id=project.pk,
            subject_type="project",
            subject_id=str(project.pk),
            data={"reason": RevocationReason(reason).name},
        ),
        journaled(requester=requester, project_id=project.pk),
    ):
        require(requester=requester, action=Action.CERTIFICATES_REVOKE, project_id=project.pk)
        with claimed(requester=requester, idempotency=idempotency, now=now, act=IdempotentAct.REVOKE) as claim:
            if isinstance(claim, Certificate):
                return _selection_done(claim, count=count, digest=digest, now=now)
            with transaction.atomic():
                found = _selected(requester, project, filters, now)
                keys = found.order_by().values("authority_certificate__key").distinct()
                lists = {
                    each.key_id: each
                    for each in complete_lists().filter(key__in=keys).select_for_update(no_key=True).order_by("pk")
                }
                identifiers = _identifiers(found)
                if (len(identifiers), _digest(identifiers)) != (count, digest):
                    raise _not_as_previewed(count, len(identifiers))
                if is_compromise(reason, is_ca=True):
                    lock_keys(found.order_by().values_list("public_key_sha256", flat=True))
                rows = _locked_rows(identifiers)
                for key_id, of_key in groupby(rows, key=_key_of):
                    _revoke(
                        lists[key_id], list(of_key), requester=requester, reason=reason, invalidity_date=None, now=now
                    )
                first = sorted(rows, key=lambda row: row.pk)[:PREVIEWED]
                if claim is not None and first:
                    claim.complete(first[0])
            if claim is not None and not first:
                claim.release()  # nothing was found, and nothing would be again
    publish_lists(lists.values(), now=now, done=f"{count} certificates are revoked")
    return Selection(count=count, digest=digest, first=tuple(first))


def _selection_done(first: Certificate, *, count: int, digest: str, now: datetime) -> Selection:
    """What a bulk revocation answered whose first certificate this is, in the order of their ids; its list is published
    if that failed then.
    """
    entry = _entry_of(first)
    publish_lists(lists_with(entry), now=now, done=f"{count} certificates are revoked")
    together = Certificate.objects.filter(
        project=first.project_id,
        revocation__revoked_at=entry.revoked_at,
        revocation__reason=entry.reason,
        revocation__actor_id=entry.actor_id,
        pk__gte=first.pk,
    )
    shown = tuple(together.defer("der", "lint_findings").order_by("pk")[: min(count, PREVIEWED)])
    return Selection(count=count, digest=digest, first=shown, is_replay=True)


# --- The act ----------------------------------------------------------------------------------------------------------


def _revoke(
    revocation_list: CertificateRevocationList,
    certificates: Sequence[Certificate],
    *,
    requester: Requester,
    reason: RevocationReason,
    invalidity_date: datetime | None,
    now: datetime,
) -> None:
    """Rows, events and the journal's line of certificates of one locked list, in the caller's transaction."""
    entries = store_revocations(
        revocation_list, certificates, requester=requester, reason=reason, invalidity_date=invalidity_date, now=now
    )
    for certificate in certificates:
        _record(REVOKE_EVENT, requester, certificate, {"reason": RevocationReason(reason).name})
    revoked(revocation_list, entries, requester=requester)


def _entry_of(certificate: Certificate) -> RevocationEntry:
    entries = RevocationEntry.objects.select_related("certificate", "revocation_list__key", "shard")
    found = entries.defer("revocation_list__der", "shard__der").filter(certificate=certificate).first()
    if found is None:
        raise _gone()
    return found


def _siblings(requester: Requester, certificates: Sequence[Certificate], now: datetime) -> tuple[Certificate, ...]:
    """Other live certificates of the same keys that the requester may read; at most 100."""
    others = Certificate.objects.filter(
        public_key_sha256__in={each.public_key_sha256 for each in certificates},
        project__in=projects_allowing(requester=requester, action=Action.CERTIFICATES_READ),
    ).exclude(pk__in=[each.pk for each in certificates])
    live = with_status(others, StatusFilter.ACTIVE, now).defer("der", "lint_findings")
    return tuple(live.order_by("-created_at", "id")[:SIBLINGS_NAMED])


# --- Locks: the list first, then the certificates in the order of their ids, so that nobody waits in a circle ---------


def _lock_list(certificate: Certificate) -> CertificateRevocationList:
    """The list that the certificate will be on, locked. Raises Invalid where no CA of ours signed it."""
    if certificate.authority_certificate_id is None:
        raise _without_authority(certificate)
    return (
        complete_lists()
        .select_for_update(of=("self",), no_key=True)
        .get(key__certificates=certificate.authority_certificate_id)
    )


def _lock(certificate: Certificate) -> Certificate:
    locked = Certificate.objects.select_for_update(no_key=True).filter(pk=certificate.pk).first()
    if locked is None:
        raise _gone()
    return locked


def _locked_rows(identifiers: Sequence[UUID]) -> list[Certificate]:
    """The certificates of one key after the other; each key's in the order of their ids."""
    rows: list[Certificate] = []
    for start in range(0, len(identifiers), CHUNK):
        some = Certificate.objects.filter(pk__in=identifiers[start : start + CHUNK]).order_by("pk")
        rows += (
            some.select_for_update(of=("self",), no_key=True)
            .select_related("authority_certificate")
            .defer("lint_findings")
        )
    return sorted(rows, key=lambda row: (str(_key_of(row)), row.pk))


def _key_of(certificate: Certificate) -> UUID:
    if certificate.authority_certificate is None:
        raise _without_authority(certificate)
    return certificate.authority_certificate.key_id


# --- Selections -------------------------------------------------------------------------------------------------------


def _selected(
    requester: Requester, project: Project, filters: CertificateFilters, now: datetime
) -> models.QuerySet[Certificate]:
    found = narrowed(certificates_visible_to(requester, project), filters, now=now)
    return with_status(found.filter(authority__isnull=False), StatusFilter.ACTIVE, now)


def _identifiers(found: models.QuerySet[Certificate]) -> list[UUID]:
    identifiers = list(found.order_by("pk").values_list("pk", flat=True)[: BULK_LIMIT + 1])
    if len(identifiers) > BULK_LIMIT:
        raise Invalid(
            f"More than {BULK_LIMIT} certificates fit; revoke them in parts.",
            violations=[
                Violation(
                    field="filter",
                    code="too_many_certificates",
                    rule="bulk revocation",
                    asked=f"more than {BULK_LIMIT}",
                    allowed=f"at most {BULK_LIMIT} at once",
                    fix="Narrow the filter: by profile, by date or by name.",
                )
            ],
        )
    return identifiers


def _digest(identifiers: Sequence[UUID]) -> str:
    return hashlib.sha256(b"".join(identifier.bytes for identifier in identifiers)).hexdigest()[:32]


def _not_as_previewed(seen: int, found: int) -> Conflict:
    return Conflict(
        f"The filter finds other certificates than were previewed ({found} now, {seen} then); none was revoked.",
        violations=[
            Violation(
                field="expected_count",
                code="not_as_previewed",
                rule="what was previewed is what is revoked",
                asked=str(seen),
                allowed=str(found),
                fix="Look at the preview again, and send the count and the selection that it gives.",
            )
        ],
    )


# --- Refusals ---------------------------------------------------------------------------------------------------------


def _violations(
    certificate: Certificate, *, reason: RevocationReason, invalidity_date: datetime | None, now: datetime
) -> Iterator[Violation]:
    is_held = certificate.revocation_reason == RevocationReason.CERTIFICATE_HOLD
    if certificate.status == CertificateStatus.REVOKED and not (
        is_held and reason != RevocationReason.CERTIFICATE_HOLD
    ):
        first = RevocationEntry.objects.filter(certificate=certificate).first()
        by = f" by {first.actor_name}" if first is not None else ""
        why = RevocationReason(certificate.revocation_reason or 0)
        yield Violation(
            field="certificate_id",
            code="already_on_hold" if is_held else "already_revoked",
            rule="a certificate is revoked once",
            asked=f"revoke {certificate.serial_number}",
            allowed=f"{'on hold' if is_held else 'revoked'} since {certificate.revoked_at:%Y-%m-%d %H:%M:%S} UTC"
            f"{by}, reason {why.name}",
            fix="Release it, or revoke it for another reason." if is_held else "Nothing is left to do.",
        )
    yield from invalidity_date_violations(invalidity_date, now=now)


def _release_violations(certificate: Certificate) -> Iterator[Violation]:
    if certificate.revocation_reason != RevocationReason.CERTIFICATE_HOLD:
        is_revoked = certificate.status == CertificateStatus.REVOKED
        yield Violation(
            field="certificate_id",
            code="not_on_hold",
            rule="only a hold can be released",
            asked=f"release {certificate.serial_number}",
            allowed="revoked for good" if is_revoked else "valid: there is no hold on it",
            fix="Issue a new certificate." if is_revoked else "Nothing is left to do.",
        )


def _refuse_any(violations: Iterable[Violation]) -> None:
    found = tuple(violations)
    if found:
        raise Invalid("; ".join(f"{each.asked}: {each.allowed}" for each in found), violations=found)


def _gone() -> NotFound:
    return NotFound("There is no certificate with this id or serial number.")


def _without_authority(certificate: Certificate) -> Invalid:
    if certificate.is_imported:
        message = "The certificate was imported: only the CA that issued it can revoke it."
        fix = f"Have it revoked by its issuer, {certificate.issuer_name[:500] or 'which has no name'}."
    else:
        message = "The certificate signs itself: no CA publishes that it was revoked."
        fix = "Take it out of the trust stores that hold it."
    return Invalid(
        message,
        violations=[
            Violation(
                field="certificate_id",
                code="without_authority",
                rule="a CA revokes what it issued",
                asked=f"revoke {certificate.serial_number}",
                allowed="certificates of a CA of this portal",
                fix=fix,
            )
        ],
    )


# --- Records ----------------------------------------------------------------------------------------------------------


@contextmanager
def _recorded(event: str, requester: Requester, certificate: Certificate, data: Mapping[str, str]) -> Iterator[None]:
    with (
        recorded_refusals(
            event=event,
            actor=requester.actor,
            project_id=certificate.project_id,
            subject_type="certificate",
            subject_id=str(certificate.pk),
            data={"serialNumber": certificate.serial_number, **data},
        ),
        journaled(requester=requester, project_id=certificate.project_id),
    ):
        yield


def _record(event: str, requester: Requester, certificate: Certificate, data: Mapping[str, str]) -> None:
    record(
        event=event,
        actor=requester.actor,
        project_id=certificate.project_id,
        subject_type="certificate",
        subject_id=str(certificate.pk),
        data={"serialNumber": certificate.serial_number, "commonName": certificate.common_name, **data},
    )
