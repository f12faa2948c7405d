"""Certificate revocation lists (RFC 5280, 5): one for each CA key, published before the last one runs out."""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certificates.models import AuthorityCertificate, AuthorityKey, Certificate, CertificateRevocationList
from certificates.models.certificate import CertificateStatus
from certificates.services.signing import signer_of_key
from certificates.x509.crl import RevocationReason, RevokedEntry, build_crl
from pki_portal.errors import Conflict, NotFound, Unavailable

logger = logging.getLogger(__name__)

CRL_LIFE = timedelta(days=7)
# A CRL is signed anew after this part of its life, so that nobody who caches it is ever left with an expired one.
RENEWED_AFTER = 0.75
PUBLISH_ATTEMPTS = 20


def create_revocation_list(key: AuthorityKey) -> CertificateRevocationList:
    """The row of a new key's CRL, in the caller's transaction; the list itself follows with the first certificate."""
    return CertificateRevocationList.objects.create(key=key)


def publish_crl(*, revocation_list: CertificateRevocationList, now: datetime) -> CertificateRevocationList:
    """Sign the next CRL from what is revoked now, and store it under the next number.

    Safe beside others that do the same: a list is stored only over the one it was counted from, else it is made anew,
    so numbers never repeat and nothing that was revoked before the call is missing.

    Raises:
        Unavailable: the CA's key cannot be used.
        Conflict: others published again and again meanwhile.
    """
    for _ in range(PUBLISH_ATTEMPTS):
        if _published(revocation_list, now):
            return revocation_list
        revocation_list.refresh_from_db()
    raise Conflict("The CRL is being published by others; try again.", retry_after=1)


def current_crl(*, crl_id: UUID, now: datetime) -> CertificateRevocationList:
    """The CRL as it stands, signed anew first if it has passed three quarters of its life.

    Raises:
        NotFound: there is no such CRL, or its CA has no certificate yet.
        Unavailable: it has run out and the CA's key cannot be used.
    """
    revocation_list = (
        CertificateRevocationList.objects.select_related("key__authority").filter(pk=crl_id, der__isnull=False).first()
    )
    if revocation_list is None:
        raise NotFound("There is no CRL with this id.")
    if not _is_due(revocation_list, now):
        return revocation_list
    try:
        if not _published(revocation_list, now):
            revocation_list.refresh_from_db()  # somebody else was faster
    except Unavailable as problem:
        if revocation_list.next_update is None or now >= revocation_list.next_update:
            raise
        logger.warning("CRL %s could not be signed anew and is served as it is: %s", crl_id, problem.message)
    return revocation_list


def _is_due(revocation_list: CertificateRevocationList, now: datetime) -> bool:
    if revocation_list.this_update is None or revocation_list.next_update is None:
        return True
    life = revocation_list.next_update - revocation_list.this_update
    return now >= revocation_list.this_update + life * RENEWED_AFTER


def _published(revocation_list: CertificateRevocationList, now: datetime) -> bool:
    """Sign and store the next list; False, and nothing is stored, where another one was stored meanwhile."""
    key = revocation_list.key
    issuer = _issuer_of(key)
    seen = revocation_list.number
    this_update = now.replace(microsecond=0)
    if revocation_list.this_update is not None:
        # The clock of another machine may be ahead; a list must not look older than the one it replaces.
        this_update = max(this_update, revocation_list.this_update)
    number = 1 if seen is None else seen + 1
    next_update = this_update + CRL_LIFE
    crl = build_crl(
        issuer=x509.load_der_x509_certificate(bytes(issuer.der)),
        signer=signer_of_key(key),
        number=number,
        this_update=this_update,
        next_update=next_update,
        entries=_entries(key),
    )
    changes = {
        "number": number,
        "this_update": this_update,
        "next_update": next_update,
        "der": crl.public_bytes(Encoding.DER),
    }
    unchanged = CertificateRevocationList.objects.filter(pk=revocation_list.pk)
    unchanged = unchanged.filter(number__isnull=True) if seen is None else unchanged.filter(number=seen)
    if not unchanged.update(**changes):
        return False
    for field, value in changes.items():
        setattr(revocation_list, field, value)
    return True


def _issuer_of(key: AuthorityKey) -> AuthorityCertificate:
    """The newest certificate of the key; all its versions have the same subject, so the CRL is that of each."""
    issuer = key.certificates.order_by("-version").first()
    if issuer is None:
        raise NotFound("The CA has no certificate yet, so it has no CRL.")
    return issuer


def _entries(key: AuthorityKey) -> list[RevokedEntry]:
    revoked = Certificate.objects.filter(authority_certificate__key=key, status=CertificateStatus.REVOKED)
    rows = revoked.values_list("serial_number", "revoked_at", "revocation_reason")
    return [
        RevokedEntry(serial_number=int(serial_number, 16), revoked_at=revoked_at, reason=RevocationReason(reason))
        for serial_number, revoked_at, reason in rows.order_by("revoked_at", "serial_number")
        # Never None: the database holds both for what is revoked.
        if revoked_at is not None and reason is not None
    ]
