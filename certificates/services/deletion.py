"""Deleting certificates that no relying party has to ask about any more."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from certificates.models import Certificate, CertificateRequest
from certificates.models.certificate import CertificateStatus, RevocationReason
from certificates.services.journal import certificate_deleted, journaled
from certificates.services.kept_keys import destroy_with_certificate
from certificates.services.succession import successor_id
from pki_portal.access.permissions import Action, require
from pki_portal.access.requester import Requester
from pki_portal.audit.services import record, recorded_refusals
from pki_portal.errors import Conflict, Invalid, NotFound, Violation

DELETE_EVENT = "delete-cert"


def delete_certificate(*, requester: Requester, certificate: Certificate) -> None:
    """Delete a certificate's row, with the key that is kept for it, if one is.

    It has ended or is revoked for good: of what is live, CRL and OCSP must tell, and somebody must know. What no CA of
    ours signed can go at any time. Its revocation entry, its request and the audit log stay, and a key that is blocked
    stays blocked: CRL and OCSP answer as before, and only ``good`` becomes ``unknown``. What it was renewed from and by
    are linked to each other.

    Raises:
        PermissionDenied, NotFound: the requester may not delete it.
        Invalid: it is live, or on hold.
        Conflict: it was renewed, or one beside it deleted, at this moment.
    """
    now = timezone.now()
    data = {
        "serialNumber": certificate.serial_number,
        "commonName": certificate.common_name,
        "fingerprintSha256": certificate.fingerprint_sha256,
    }
    about: dict[str, Any] = {
        "event": DELETE_EVENT,
        "actor": requester.actor,
        "project_id": certificate.project_id,
        "subject_type": "certificate",
        "subject_id": str(certificate.pk),
        "data": data,
    }
    with (
        recorded_refusals(**about),
        journaled(requester=requester, project_id=certificate.project_id),
    ):
        require(requester=requester, action=Action.CERTIFICATES_DELETE, project_id=certificate.project_id)
        with transaction.atomic():
            locked, successor = _locked(certificate.pk)
            violations = tuple(deletion_violations(locked, now=now))
            if violations:
                told = "; ".join(f"{each.asked}: {each.allowed}" for each in violations)
                raise Invalid(f"The certificate was not deleted. {told}", violations=violations)
            record(**about)
            destroy_with_certificate(locked, requester=requester)
            certificate_deleted(locked)
            _unlink(locked, successor)
            # Before the row: an imported certificate has none.
            CertificateRequest.objects.filter(certificate=locked).update(certificate_deleted_at=now, updated_at=now)
            locked.delete()


def deletion_violations(certificate: Certificate, *, now: datetime) -> Iterator[Violation]:
    """What stands against its deletion. No query."""
    if certificate.authority_id is None or certificate.not_after <= now:
        return
    is_held = certificate.revocation_reason == RevocationReason.CERTIFICATE_HOLD
    if certificate.status == CertificateStatus.REVOKED and not is_held:
        return
    yield Violation(
        field="certificate_id",
        code="certificate_on_hold" if is_held else "certificate_live",
        rule="CRL and OCSP tell of what is live",
        asked=f"delete {certificate.serial_number}, which is {'on hold' if is_held else 'valid'} until"
        f" {certificate.not_after:%Y-%m-%d %H:%M:%S} UTC",
        allowed="certificates that have ended or are revoked for good",
        fix="Revoke it first, for another reason, or wait for its end."
        if is_held
        else "Revoke it first, or wait for its end.",
    )


def _locked(certificate_id: UUID) -> tuple[Certificate, UUID | None]:
    """The certificate and the id of its successor, locked with its predecessor in the order of their ids, so that
    deletions side by side never wait in a circle.
    """
    found = Certificate.objects.filter(pk=certificate_id).only("renewed_from").first()
    if found is None:
        raise _gone()
    successor = successor_id(certificate_id)
    beside = {each for each in (certificate_id, found.renewed_from_id, successor) if each is not None}
    rows = Certificate.objects.select_for_update(of=("self",)).defer("lint_findings").order_by("pk")
    locked = next((row for row in rows.filter(pk__in=beside) if row.pk == certificate_id), None)
    if locked is None:
        raise _gone()
    if (locked.renewed_from_id, successor_id(certificate_id)) != (found.renewed_from_id, successor):
        raise Conflict("The certificate was renewed, or one beside it deleted, meanwhile; ask again.", retry_after=1)
    return locked, successor


def _unlink(certificate: Certificate, successor: UUID | None) -> None:
    """Link what comes before and after it; one after the other, for nobody has two successors."""
    predecessor = certificate.renewed_from_id
    Certificate.objects.filter(pk=certificate.pk).update(renewed_from=None)
    if successor is not None:
        Certificate.objects.filter(pk=successor).update(renewed_from=predecessor)


def _gone() -> NotFound:
    return NotFound("There is no certificate with this id or serial number.")
