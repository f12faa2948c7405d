"""Private keys of certificates that the portal keeps: sealed before the signature, given out, destroyed.

One that a profile's ``escrow`` keeps can be read again and again. One that nobody was there to receive, that of a
renewal, waits for its one claim: the first reading of it by whatever road destroys it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from cryptography import x509
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from certificates.keystore.database import open_subject_key, seal_subject_key
from certificates.models import Certificate, CertificateSecret
from certificates.models.certificate import KeySource
from certificates.models.secret import CLAIM_WINDOW
from certificates.services.journal import journaled, key_destroyed
from certificates.x509.keys import PrivateKey, private_key_pem, public_key_info
from pki_portal.access.permissions import Action, has_permission, require
from pki_portal.access.requester import Requester, system_requester
from pki_portal.audit.services import JSON, record, recorded_refusals
from pki_portal.errors import Gone, NotFound, Unavailable
from profiles.policy.vocabulary import KeyRetention

READ_EVENT = "get-cert-private-key"
CLAIM_EVENT = "claim-cert-private-key"
DESTROY_EVENT = "destroy-cert-private-key"
UNCLAIMED = system_requester("unclaimed keys")


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A private key, sealed for the row that will have this id."""

    secret_id: UUID
    sealed: bytes = field(repr=False)


def seal_key(private_key: PrivateKey) -> SealedKey:
    """Seal a key for a row that is yet to be stored. Raises Unavailable where the master key cannot be used."""
    secret_id = uuid4()
    return SealedKey(secret_id, seal_subject_key(private_key, secret_id=secret_id))


def store_sealed_key(key: SealedKey, *, certificate: Certificate, retention: KeyRetention) -> None:
    """Store a sealed key beside its certificate, in the caller's transaction."""
    new_secret(key, certificate=certificate, retention=retention).save(force_insert=True)


def new_secret(key: SealedKey, *, certificate: Certificate, retention: KeyRetention) -> CertificateSecret:
    """The row of a sealed key, for the caller to insert with its certificate or after it."""
    return CertificateSecret(
        id=key.secret_id, certificate=certificate, retention=retention, sealed_private_key=key.sealed
    )


def open_secret(secret: CertificateSecret) -> PrivateKey:
    """The key in a row that is not destroyed; for checks, too: nobody is told of it here.

    Raises Unavailable where the master key is missing, or the row was altered or is another certificate's.
    """
    certificate = x509.load_der_x509_certificate(bytes(secret.certificate.der))
    return open_subject_key(
        secret_id=secret.pk,
        sealed=bytes(secret.sealed_private_key or b""),
        public_key_spki=public_key_info(certificate.public_key()),
    )


def require_kept_key(*, requester: Requester, certificate: Certificate) -> None:
    """Return if the requester could read the certificate's private key now; reads no key. A refusal is audited.

    Raises:
        PermissionDenied: the role does not include reading private keys.
        NotFound: the key never was here.
        Gone: it was given in the answer of the issue and not kept, or it was destroyed.
    """
    with _refusals_recorded(READ_EVENT, requester, certificate):
        require(requester=requester, action=Action.CERTIFICATES_READ_PRIVATE_KEY, project_id=certificate.project_id)
        _require_kept(certificate)


def read_private_key(*, requester: Requester, certificate: Certificate, via: str) -> str:
    """PKCS#8 PEM (no final newline) of a key that the portal keeps. Secret.

    The reading is audited, and committed, before this returns (unless the caller holds a transaction of its own). Of a
    key that waits for its one claim this is the claim, and it is destroyed: of any number that ask at once one gets it.

    Args:
        via: what was asked for, for the audit (``private-key``, ``bundle``).

    Raises as :func:`require_kept_key`, and Unavailable where the key does not open.
    """
    with _refusals_recorded(READ_EVENT, requester, certificate, via=via):
        require(requester=requester, action=Action.CERTIFICATES_READ_PRIVATE_KEY, project_id=certificate.project_id)
        with transaction.atomic():
            secret = _locked(certificate)
            pem = private_key_pem(open_secret(secret))
            if secret.retention == KeyRetention.ONCE:
                secret.claimed_at = timezone.now()
                secret.claimed_by = requester.name[:255]
                _destroy(secret, at=secret.claimed_at, by=requester.name)
                _record(CLAIM_EVENT, requester, certificate, via=via)
            else:
                _record(READ_EVENT, requester, certificate, via=via)
    return pem


def private_key_if_kept(*, requester: Requester, certificate: Certificate, via: str) -> str | None:
    """As :func:`read_private_key`; None where no key is kept, the requester may not read it, or it does not open.

    That it did not open is audited. That somebody may not read it is no event: keys stand in larger answers, too.
    """
    if certificate.key_source == KeySource.APPLICANT or not is_key_kept(certificate):
        return None
    if not has_permission(
        requester=requester, action=Action.CERTIFICATES_READ_PRIVATE_KEY, project_id=certificate.project_id
    ):
        return None
    try:
        return read_private_key(requester=requester, certificate=certificate, via=via)
    except (Gone, Unavailable):
        return None


def destroy_private_key(*, requester: Requester, certificate: Certificate) -> CertificateSecret:
    """Destroy the key that the portal keeps, for good; the row stays, and says when and by whom.

    Raises:
        PermissionDenied: the role does not include changing certificates.
        NotFound: the key never was here.
        Gone: it was not kept, or was destroyed already.
    """
    with _refusals_recorded(DESTROY_EVENT, requester, certificate):
        require(requester=requester, action=Action.CERTIFICATES_EDIT, project_id=certificate.project_id)
        with transaction.atomic():
            secret = _locked(certificate)
            _destroy(secret, at=timezone.now(), by=requester.name)
            _record(DESTROY_EVENT, requester, certificate)
    return secret


def destroy_with_certificate(certificate: Certificate, *, requester: Requester) -> None:
    """Destroy the key that is kept, if one is, in the transaction that deletes its certificate: where a restored backup
    brings both back, the key is destroyed again.
    """
    secret = _readable(certificate).select_for_update(of=("self",)).first()
    if secret is not None:
        _destroy(secret, at=timezone.now(), by=requester.name)


def destroy_unclaimed_keys(*, now: datetime) -> int:
    """Destroy every key that waits for its claim longer than the window, or than its certificate lives; how many.

    Each in a transaction of its own, with its audit event.
    """
    waiting = CertificateSecret.objects.filter(retention=KeyRetention.ONCE, destroyed_at__isnull=True)
    overdue = waiting.filter(Q(created_at__lte=now - CLAIM_WINDOW) | Q(certificate__not_after__lte=now))
    destroyed = 0
    for key, project_id in list(overdue.values_list("pk", "certificate__project_id")):
        with journaled(requester=UNCLAIMED, project_id=project_id), transaction.atomic():
            secret = waiting.select_for_update(of=("self",)).select_related("certificate").filter(pk=key).first()
            if secret is None:
                continue  # claimed in this moment
            _destroy(secret, at=now, by=UNCLAIMED.name)
            _record(DESTROY_EVENT, UNCLAIMED, secret.certificate, reason="not claimed in time")
            destroyed += 1
    return destroyed


def copy_kept_key(certificate: Certificate) -> SealedKey | None:
    """The key that escrow keeps, sealed once more for a certificate with the same one; None where there is none.

    Raises Unavailable where it does not open.
    """
    kept = CertificateSecret.objects.select_related("certificate").filter(
        certificate=certificate, retention=KeyRetention.ESCROW, destroyed_at__isnull=True
    )
    secret = kept.first()
    return None if secret is None else seal_key(open_secret(secret))


def is_key_kept(certificate: Certificate) -> bool:
    """Whether there is a key that somebody with the permission could read."""
    return _readable(certificate).exists()


def secret_of(certificate: Certificate) -> CertificateSecret | None:
    """What is known of a certificate's kept key, without the key; None where none was ever kept."""
    return CertificateSecret.objects.defer("sealed_private_key").filter(certificate=certificate).first()


def _readable(certificate: Certificate) -> QuerySet[CertificateSecret]:
    return CertificateSecret.objects.filter(certificate=certificate, destroyed_at__isnull=True)


def _destroy(secret: CertificateSecret, *, at: datetime, by: str) -> None:
    """Empty a locked row for good, in the caller's transaction; no restored backup brings the key back."""
    secret.sealed_private_key = None
    secret.destroyed_at = at
    secret.destroyed_by = by[:255]
    secret.save(update_fields=["sealed_private_key", "claimed_at", "claimed_by", "destroyed_at", "destroyed_by"])
    key_destroyed(secret)


def _require_kept(certificate: Certificate) -> None:
    """Return if a key is kept that can be read now. Raises NotFound or Gone."""
    if certificate.key_source == KeySource.APPLICANT:
        raise NotFound("The private key of this certificate was never here: the certificate was signed from a CSR.")
    if certificate.is_imported and secret_of(certificate) is None:
        raise NotFound("The private key of this certificate was never here: the certificate was imported without it.")
    if not is_key_kept(certificate):
        raise _gone(certificate)


def _locked(certificate: Certificate) -> CertificateSecret:
    """The row with the key, locked until the caller's transaction ends. Raises NotFound or Gone."""
    _require_kept(certificate)
    secret = _readable(certificate).select_for_update(of=("self",)).select_related("certificate").first()
    if secret is None:
        raise _gone(certificate)
    return secret


def _gone(certificate: Certificate) -> Gone:
    secret = secret_of(certificate)
    if secret is not None and secret.claimed_at is not None:
        return Gone(
            f"The private key was claimed by {secret.claimed_by} at {secret.claimed_at:%Y-%m-%d %H:%M:%S} UTC, which"
            " destroyed it here; renew the certificate for a new key if it is lost."
        )
    if secret is not None and secret.destroyed_at is not None:
        return Gone(
            f"The private key was destroyed by {secret.destroyed_by} at {secret.destroyed_at:%Y-%m-%d %H:%M:%S} UTC;"
            " issue a new certificate for a new key."
        )
    if _was_sealed(certificate):
        return Gone(
            "The private key waited for its claim and is not here any more: it was lost when the database was restored."
            " Renew the certificate for a new key."
        )
    return Gone(
        f"The private key was given to {certificate.issuing_request.requester_name} in the answer of the issue"
        f" at {certificate.created_at:%Y-%m-%d %H:%M:%S} UTC and was not kept;"
        " issue a new certificate if it is lost."
    )


def _was_sealed(certificate: Certificate) -> bool:
    """Whether the key was made for a claim, as that of every renewal with a new key is."""
    before = certificate.renewed_from
    return before is not None and before.public_key_sha256 != certificate.public_key_sha256


def _record(event: str, requester: Requester, certificate: Certificate, **data: JSON) -> None:
    record(
        event=event,
        actor=requester.actor,
        project_id=certificate.project_id,
        subject_type="certificate",
        subject_id=str(certificate.id),
        data={"serialNumber": certificate.serial_number, **data},
    )


@contextmanager
def _refusals_recorded(event: str, requester: Requester, certificate: Certificate, **data: JSON) -> Iterator[None]:
    with (
        recorded_refusals(
            event=event,
            actor=requester.actor,
            project_id=certificate.project_id,
            subject_type="certificate",
            subject_id=str(certificate.id),
            data={"serialNumber": certificate.serial_number, **data},
        ),
        journaled(requester=requester, project_id=certificate.project_id),
    ):
        yield
