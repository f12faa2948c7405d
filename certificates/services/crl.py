"""Publishing CRLs: when they are signed anew, under which number, and what is served meanwhile."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from cryptography import x509

from certificates.models import AuthorityCertificate, AuthorityKey, CertificateRevocationList, RevocationEntry
from certificates.services.signing import signer_of_key
from certificates.x509.crl import CrlRejected, build_crl, crl_der
from pki_portal.errors import Conflict, NotFound, Unavailable

logger = logging.getLogger(__name__)

CRL_LIFE = timedelta(days=7)
# A CRL is signed anew after this part of its life, so that nobody who caches it is ever left with an expired one.
RENEWED_AFTER = 0.75
PUBLISH_ATTEMPTS = 20
# Every column but the list itself.
_STATE = ("revision", "published_revision", "number", "this_update", "next_update")
# Entries read from the database at once.
CHUNK = 10_000


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


def publish_if_stale(*, revocation_list: CertificateRevocationList, now: datetime) -> None:
    """Sign the next CRL unless the present one, perhaps published by another meanwhile, knows of every revocation.

    Raises:
        Unavailable: the CA's key cannot be used.
        Conflict: others published again and again meanwhile, and never all of it.
    """
    for _ in range(PUBLISH_ATTEMPTS):
        revocation_list.refresh_from_db(fields=_STATE)
        if not _is_stale(revocation_list) or _published(revocation_list, now):
            return
    raise Conflict("The CRL is being published by others; try again.", retry_after=1)


def current_crl(*, crl_id: UUID, now: datetime) -> CertificateRevocationList:
    """The CRL as it stands, signed anew first if a revocation is missing in it or three quarters of its life are over.

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


def next_number(stored: int | None, now: datetime) -> int:
    """RFC 5280, 5.2.3: greater than every number before, also than those that a restored backup has forgotten.

    One more than the last, and never below the milliseconds since 1970: a database that was restored is behind the
    clock, for nobody publishes a thousand lists a second; a clock that was set back is behind the last number. Only
    both at once could repeat a number.
    """
    return max((stored or 0) + 1, int(now.timestamp() * 1000))


def _is_stale(revocation_list: CertificateRevocationList) -> bool:
    """Whether something was revoked or released that the published list does not know."""
    return revocation_list.revision != revocation_list.published_revision


def _is_due(revocation_list: CertificateRevocationList, now: datetime) -> bool:
    if revocation_list.this_update is None or revocation_list.next_update is None:
        return True
    life = revocation_list.next_update - revocation_list.this_update
    return _is_stale(revocation_list) or now >= revocation_list.this_update + life * RENEWED_AFTER


def _published(revocation_list: CertificateRevocationList, now: datetime) -> bool:
    """Sign and store the next list; False, and nothing is stored, where another one was stored meanwhile."""
    key = revocation_list.key
    issuer = issuer_of_key(key)
    seen = revocation_list.number
    this_update = now.replace(microsecond=0)
    if revocation_list.this_update is not None:
        # The clock of another machine may be ahead; a list must not look older than the one it replaces.
        this_update = max(this_update, revocation_list.this_update)
    number = next_number(seen, now)
    next_update = this_update + CRL_LIFE
    # Before the entries are read: what is revoked while they are read makes the list stale, never wrongly fresh.
    revision = CertificateRevocationList.objects.values_list("revision", flat=True).get(pk=revocation_list.pk)
    try:
        crl = build_crl(
            issuer=x509.load_der_x509_certificate(bytes(issuer.der)),
            signer=signer_of_key(key),
            number=number,
            this_update=this_update,
            next_update=next_update,
            entries=_entries(revocation_list),
        )
    except CrlRejected as problem:
        raise Unavailable(f"What was signed is not the CRL that was to be signed: {problem}.") from problem
    changes = {
        "number": number,
        "this_update": this_update,
        "next_update": next_update,
        "der": crl_der(crl),
        "published_revision": revision,
    }
    unchanged = CertificateRevocationList.objects.filter(pk=revocation_list.pk)
    unchanged = unchanged.filter(number__isnull=True) if seen is None else unchanged.filter(number=seen)
    if not unchanged.update(**changes):
        return False
    for field, value in {**changes, "revision": revision}.items():
        setattr(revocation_list, field, value)
    return True


def issuer_of_key(key: AuthorityKey) -> AuthorityCertificate:
    """The newest certificate of the key; all its versions have the same subject, so the CRL is that of each."""
    issuer = key.certificates.order_by("-version").first()
    if issuer is None:
        raise NotFound("The CA has no certificate yet, so it has no CRL.")
    return issuer


def _entries(revocation_list: CertificateRevocationList) -> Iterator[bytes]:
    """The entries as they were encoded when they came to be, oldest first."""
    listed = RevocationEntry.objects.filter(revocation_list=revocation_list, released_at__isnull=True)
    encoded = listed.order_by("revoked_at", "serial_number").values_list("der", flat=True)
    return (bytes(entry) for entry in encoded.iterator(chunk_size=CHUNK))
