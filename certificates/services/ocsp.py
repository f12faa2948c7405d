"""Answering OCSP (RFC 6960, and RFC 5019 for caches): from the rows, or from answers that were signed before."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from cryptography import x509
from django.db import DatabaseError, transaction
from django.db.models import QuerySet, Subquery

from certificates.models import AuthorityCertificate, Certificate, OcspResponder, OcspResponse, RevocationEntry
from certificates.services.responders import Responder, responder_for
from certificates.x509.crl import RevocationReason
from certificates.x509.ocsp import (
    CertId,
    Good,
    OcspMalformed,
    OcspRequest,
    ResponseStatus,
    Revoked,
    SingleResponse,
    Status,
    Unknown,
    build_response,
    issuer_hashes,
    read_request,
    unsuccessful,
)
from pki_portal.access.remembering import Scope, read_with_stamps, remembered, remembering, stamps_with
from pki_portal.compiled import CompiledQuery
from pki_portal.errors import Unavailable

logger = logging.getLogger(__name__)

ANSWER_LIFE = timedelta(hours=1)
# An answer that was signed before is given for this long: whoever gets it has half an hour left at least.
GIVEN_FOR = timedelta(minutes=30)
# Old answers deleted whenever one is stored.
SWEPT_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class OcspAnswer:
    """What goes back; the times are None where nothing was said of a certificate, and then no cache may keep it."""

    der: bytes
    status: ResponseStatus
    this_update: datetime | None = None
    next_update: datetime | None = None
    has_nonce: bool = False


def answer_ocsp(*, authority_id: UUID, document: bytes, now: datetime) -> OcspAnswer:
    """The answer of a CA's responder to whatever was sent; malformedRequest and unauthorized are answers too.

    A request may ask for several certificates, all of one key of the CA: whoever answers must be certified by it.
    ``unauthorized`` where OCSP is switched off, there is no such CA, or another's certificate is asked for.
    """
    now = now.replace(microsecond=0)
    try:
        request = read_request(document)
    except OcspMalformed as problem:
        logger.info("OCSP request refused: %s", problem)
        return _refusal(ResponseStatus.MALFORMED_REQUEST)
    is_simple = len(request.certificates) == 1 and request.nonce is None
    digest = _digest(authority_id, request.certificates[0]) if is_simple else ""
    stamps, row = read_with_stamps(_KEPT, digest=digest) if digest else (None, None)
    with remembering(stamps):
        return _answer(authority_id, request, digest, now, before=_still_given(row, now))


def _answer(
    authority_id: UUID, request: OcspRequest, digest: str, now: datetime, *, before: OcspAnswer | None
) -> OcspAnswer:
    issuer = _issuer_asked(authority_id, request)
    if issuer is None:
        return _refusal(ResponseStatus.UNAUTHORIZED)
    if before is not None:
        return before
    try:
        responder = responder_for(issuer, now=now)
        if digest and (stored := _stored_answer(issuer, responder, request.certificates[0], digest, now)):
            return stored
        return _fresh_answer(issuer, responder, request, now)
    except Unavailable as problem:
        logger.error("OCSP for CA %s cannot be answered: %s", authority_id, problem.message)
        return _refusal(ResponseStatus.TRY_LATER)


def _refusal(status: ResponseStatus) -> OcspAnswer:
    return OcspAnswer(der=unsuccessful(status), status=status)


# --- Which CA, which key ----------------------------------------------------------------------------------------------


def _issuer_asked(authority_id: UUID, request: OcspRequest) -> AuthorityCertificate | None:
    """The newest certificate of the one key of the CA that all of the request is about; None where there is none."""
    asked = {(each.hash_name, each.issuer_name_hash, each.issuer_key_hash) for each in request.certificates}
    issuers = [_issuer_hashed(authority_id, *hashes) for hashes in asked]
    return issuers[0] if len({issuer and issuer.pk for issuer in issuers}) == 1 else None


@remembered(Scope.RULES)
def _issuer_hashed(
    authority_id: UUID, hash_name: str, name_hash: bytes, key_hash: bytes
) -> AuthorityCertificate | None:
    """The newest certificate of the CA's key that has these hashes, of a CA that answers."""
    versions = AuthorityCertificate.objects.filter(authority=authority_id, authority__is_ocsp_enabled=True)
    # The newest of each key comes last, and stays.
    for pk in dict(versions.order_by("version").values_list("key_id", "pk")).values():
        if _hashes_of(pk).get(hash_name) == (name_hash, key_hash):
            return AuthorityCertificate.objects.select_related("authority", "key").get(pk=pk)
    return None


@lru_cache(maxsize=1024)
def _hashes_of(authority_certificate_id: UUID) -> dict[str, tuple[bytes, bytes]]:
    """Of one version of a CA's certificate, which never changes."""
    der = AuthorityCertificate.objects.values_list("der", flat=True).get(pk=authority_certificate_id)
    return issuer_hashes(x509.load_der_x509_certificate(bytes(der)))


# --- Answers that were signed before ----------------------------------------------------------------------------------


def _digest(authority_id: UUID, certificate: CertId) -> str:
    return hashlib.sha256(authority_id.bytes + certificate.encoded).hexdigest()


def _kept(digest: str) -> QuerySet[Any, tuple[Any, ...]]:
    """The answer under a digest, in which the CA's id is; whether the CA still answers the stamps beside it tell."""
    kept = OcspResponse.objects.filter(id_digest=digest)
    return stamps_with(
        **{f"kept_{name}": Subquery(kept.values(name)) for name in ("der", "this_update", "next_update")}
    )


_KEPT: Final = CompiledQuery(_kept, digest=str)


def _still_given(row: Sequence[Any] | None, now: datetime) -> OcspAnswer | None:
    """The answer that was kept, if there is one and it is not too old."""
    if row is None or row[0] is None:
        return None
    der, this_update, next_update = row
    if not now - GIVEN_FOR < this_update <= now < next_update:
        return None
    return OcspAnswer(bytes(der), ResponseStatus.SUCCESSFUL, this_update, next_update)


def _stored_answer(
    issuer: AuthorityCertificate, responder: Responder, asked: CertId, digest: str, now: datetime
) -> OcspAnswer | None:
    """Sign and keep the answer about an end entity's certificate; None where it is none, or nothing can be kept.

    The certificate is locked, as it is by whoever revokes it: an answer that is kept was either signed after the
    revocation, or is deleted by it.
    """
    serial_number = _stored_form(asked)
    if serial_number is None:
        return None
    rows = Certificate.objects.filter(authority_certificate__key=issuer.key_id, serial_number=serial_number)
    if not rows.exists():
        return None
    try:
        with transaction.atomic():
            certificate = rows.select_for_update(of=("self",), no_key=True).only("pk", "not_after").first()
            if certificate is None:
                return None  # deleted meanwhile
            single = _single(issuer, asked, now, responder)
            answer = _signed(issuer, responder, [single], None, now)
            kept = OcspResponse(
                certificate=certificate,
                id_digest=digest,
                der=answer.der,
                this_update=single.this_update,
                next_update=single.next_update,
            )
            OcspResponse.objects.bulk_create(
                [kept],
                update_conflicts=True,
                unique_fields=["id_digest"],
                update_fields=["der", "this_update", "next_update"],
            )
            old = OcspResponse.objects.filter(next_update__lt=now).order_by("next_update")
            OcspResponse.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:SWEPT_AT_ONCE])).delete()
    except DatabaseError as problem:
        logger.warning("an OCSP answer could not be kept: %s", problem)
        return None
    return answer


# --- Answers ----------------------------------------------------------------------------------------------------------


def _fresh_answer(
    issuer: AuthorityCertificate, responder: Responder, request: OcspRequest, now: datetime
) -> OcspAnswer:
    singles = [_single(issuer, asked, now, responder) for asked in request.certificates]
    return _signed(issuer, responder, singles, request.nonce, now)


def _signed(
    issuer: AuthorityCertificate,
    responder: Responder,
    singles: Sequence[SingleResponse],
    nonce: bytes | None,
    now: datetime,
) -> OcspAnswer:
    try:
        der = build_response(
            responses=singles,
            responder=responder.certificate,
            signer=responder.signer,
            produced_at=now,
            nonce=nonce,
        )
    except ValueError as problem:
        raise Unavailable(f"The OCSP responder of CA {issuer.authority.name} cannot sign: {problem}.") from problem
    return OcspAnswer(
        der=der,
        status=ResponseStatus.SUCCESSFUL,
        this_update=singles[0].this_update,
        next_update=singles[0].next_update,
        has_nonce=nonce is not None,
    )


def _single(issuer: AuthorityCertificate, asked: CertId, now: datetime, responder: Responder) -> SingleResponse:
    status, not_after = _status_of(issuer, _stored_form(asked))
    return SingleResponse(
        encoded_id=asked.encoded,
        status=status,
        this_update=now,
        next_update=min(now + ANSWER_LIFE, responder.certificate.not_valid_after_utc),
        # Nothing is ever forgotten: answers reach back to the CA's beginning.
        archive_cutoff=issuer.not_before if not_after is not None and not_after <= now else None,
    )


def _stored_form(asked: CertId) -> str | None:
    """The serial number as rows have it; None where no certificate of ours can have it (RFC 5280, 4.1.2.2)."""
    return f"{asked.serial_number:040x}" if 0 < asked.serial_number < 2**160 else None


def _status_of(issuer: AuthorityCertificate, serial_number: str | None) -> tuple[Status, datetime | None]:
    """The status of one of the key's certificates, and when that ends."""
    if serial_number is None:
        return Unknown(), None
    for query in (_CERTIFICATE, _ENTRY):
        for not_after, revoked_at, reason in query.rows(key=issuer.key_id, serial_number=serial_number):
            return Good() if revoked_at is None else Revoked(revoked_at, RevocationReason(reason)), not_after
    for issued in _OTHERS:
        for not_after in issued(issuer.key_id, serial_number).order_by().values_list("not_after", flat=True):
            return Good(), not_after
    return Unknown(), None


def _entries(key: UUID, serial_number: str) -> QuerySet[RevocationEntry]:
    listed = RevocationEntry.objects.filter(revocation_list__key=key, released_at__isnull=True)
    return listed.filter(serial_number=serial_number).order_by()


def _certificates(key: UUID, serial_number: str) -> QuerySet[Any, tuple[Any, ...]]:
    entries = _entries(key, serial_number)
    return (
        Certificate.objects.filter(authority_certificate__key=key, serial_number=serial_number)
        .annotate(listed_at=Subquery(entries.values("revoked_at")), listed_for=Subquery(entries.values("reason")))
        .order_by()
        .values_list("not_after", "listed_at", "listed_for")
    )


# When an end entity's certificate ends, and since when and why it is revoked, if it is: nearly all that is asked for.
_CERTIFICATE: Final = CompiledQuery(_certificates, key=UUID, serial_number=str)
# The same of whatever else is on the list, also of what was deleted.
_ENTRY: Final = CompiledQuery(
    lambda key, serial_number: _entries(key, serial_number).values_list("not_after", "revoked_at", "reason"),
    key=UUID,
    serial_number=str,
)
# What else a key issued under a serial number.
_OTHERS: Final[Sequence[Callable[[UUID, str], QuerySet[Any]]]] = (
    lambda key, serial: AuthorityCertificate.objects.filter(issuer_certificate__key=key, serial_number=serial),
    # A root's own.
    lambda key, serial: AuthorityCertificate.objects.filter(
        issuer_certificate__isnull=True, key=key, serial_number=serial
    ),
    lambda key, serial: OcspResponder.objects.filter(key=key, serial_number=serial),
)
