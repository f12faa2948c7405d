"""What `manage.py check_certificates` finds amiss with what is revoked and what is published about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from django.conf import settings
from django.db.models import F, QuerySet
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import Resolver404, resolve
from django.utils import timezone

from certificates.models import (
    AuthorityCertificate,
    Certificate,
    CertificateRevocationList,
    DeltaRevocationList,
    OcspResponder,
    RevocationEntry,
    RevocationListShard,
)
from certificates.models.certificate import CertificateStatus
from certificates.models.revocation import PublishedList
from certificates.services.crl import PUBLISHED_AT_ONCE, List, document_in, issuer_of_key
from certificates.services.crl_segments import SEGMENTS_AT_ONCE, current_segments, says_what_its_entries_say
from certificates.x509.crl import RevocationReason as CrlReason
from certificates.x509.crl import RevokedEntry, encode_entry
from certificates.x509.inspect import UNREADABLE, facts_of, is_issued_by, serial_number_hex
from certificates.x509.keys import public_key_info
from pki_portal.errors import PortalError

CHUNK = 500
# Of one list, no more single entries are told.
ENTRIES_TOLD = 20
# Paths that are ours whatever host they stand on.
_OUR_PATHS = "/api/v1/cert-manager/"


def revocation_findings() -> Iterator[str]:
    """Rows against rows, lists against rows, responders against their CAs."""
    now = timezone.now()
    yield from _state_findings()
    yield from _entry_findings()
    complete = CertificateRevocationList.objects.filter(der__isnull=False).select_related("key")
    for row in complete.iterator(chunk_size=CHUNK):
        name = f"revocation list {row.id}"
        yield from _segment_findings(row, name)
        yield from _list_findings(row, name, row.key_id, now)
    shards = RevocationListShard.objects.filter(der__isnull=False).select_related("revocation_list__key")
    for shard in shards.iterator(chunk_size=CHUNK):
        yield from _list_findings(shard, f"revocation list shard {shard.id}", shard.revocation_list.key_id, now)
    for delta in DeltaRevocationList.objects.select_related("revocation_list__key").iterator(chunk_size=CHUNK):
        yield from _delta_findings(delta)
    for responder in OcspResponder.objects.select_related("key__authority").iterator(chunk_size=CHUNK):
        yield from _responder_findings(responder)


# --- Rows -------------------------------------------------------------------------------------------------------------


def _state_findings() -> Iterator[str]:
    """A certificate is revoked exactly where it has an entry that was not released, of the same time and reason; a
    CA's likewise, which is never released.
    """
    live = RevocationEntry.objects.filter(certificate__isnull=False, released_at__isnull=True)
    revoked = Certificate.objects.filter(status=CertificateStatus.REVOKED)
    for pk in revoked.exclude(pk__in=live.values("certificate")).values_list("pk", flat=True).iterator():
        yield f"certificate {pk}: is revoked, and no revocation entry says so"
    astray = live.exclude(
        certificate__status=CertificateStatus.REVOKED,
        certificate__revoked_at=F("revoked_at"),
        certificate__revocation_reason=F("reason"),
    )
    for pk in astray.values_list("certificate", flat=True).iterator():
        yield f"certificate {pk}: its state is not that of its revocation entry"
    of_authorities = RevocationEntry.objects.filter(authority_certificate__isnull=False)
    revoked_versions = AuthorityCertificate.objects.filter(revoked_at__isnull=False)
    unlisted = revoked_versions.exclude(pk__in=of_authorities.values("authority_certificate"))
    for pk in unlisted.values_list("pk", flat=True).iterator():
        yield f"authority certificate {pk}: is revoked, and no revocation entry says so"
    for pk in (
        of_authorities.exclude(authority_certificate__revoked_at=F("revoked_at"))
        .values_list("authority_certificate", flat=True)
        .iterator()
    ):
        yield f"authority certificate {pk}: its state is not that of its revocation entry"


def _entry_findings() -> Iterator[str]:
    """An entry is of its certificate's list, unless that was deleted, and says what its columns say."""
    for whose, key in (("certificate", "authority_certificate"), ("authority_certificate", "issuer_certificate")):
        of_others = RevocationEntry.objects.filter(**{f"{whose}__isnull": False}).exclude(
            serial_number=F(f"{whose}__serial_number"),
            not_after=F(f"{whose}__not_after"),
            revocation_list__key=F(f"{whose}__{key}__key"),
        )
        for pk in of_others.values_list("pk", flat=True).iterator():
            yield f"revocation entry {pk}: is not of its certificate, or on a list of another key"
    for entry in RevocationEntry.objects.iterator(chunk_size=CHUNK):
        if bytes(entry.der) != _encoded(entry):
            yield f"revocation entry {entry.pk}: its encoding does not say what its columns say"


def _encoded(entry: RevocationEntry) -> bytes:
    return encode_entry(
        RevokedEntry(
            serial_number=int(entry.serial_number, 16),
            revoked_at=entry.revoked_at,
            reason=CrlReason(entry.reason),
            invalidity_date=entry.invalidity_date,
        )
    )


# --- Lists ------------------------------------------------------------------------------------------------------------


def _segment_findings(row: CertificateRevocationList, name: str) -> Iterator[str]:
    """The list is made of its segments, as the next one will be; they leave out no revision, and each says what its
    entries say.
    """
    first = 0
    segments = row.segment_rows.filter(pk__in=row.segments).order_by("first_revision")
    for segment in segments.iterator(chunk_size=SEGMENTS_AT_ONCE):
        if segment.first_revision != first:
            yield f"{name}: segment {segment.pk} begins at revision {segment.first_revision} instead of {first}"
        first = segment.last_revision + 1
        if not says_what_its_entries_say(segment):
            yield f"{name}: segment {segment.pk} does not say what its entries say"
    current = {str(pk) for pk in current_segments(row).values_list("pk", flat=True)}
    is_still_published = CertificateRevocationList.objects.filter(pk=row.pk, number=row.number).exists()
    if current != set(row.segments) and is_still_published:
        yield f"{name}: is not made of its segments"


def _list_findings(row: List, name: str, key_id: UUID, now: datetime) -> Iterator[str]:
    """A published list is signed by its key, says what its columns say, has not run out and lists what is revoked."""
    try:
        crl = x509.load_der_x509_crl(document_in(row).der)
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        is_signed = _is_signed_by(crl, row)
    except (PortalError, *UNREADABLE) as problem:
        yield f"{name}: cannot be read: {problem}"
        return
    if not is_signed:
        yield f"{name}: is not signed by authority key {key_id}"
    said = {
        "number": number,
        "this_update": crl.last_update_utc,
        "next_update": crl.next_update_utc,
        "entry_count": len(crl),
    }
    for column, value in said.items():
        if getattr(row, column) != value:
            yield f"{name}: {column} is {getattr(row, column)}, the list says {value}"
    if row.next_update is not None and row.next_update <= now:
        yield f"{name}: has run out at {row.next_update:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(row, CertificateRevocationList) and (row.base_number or 0) > number:
        yield f"{name}: its number {number} is below that of an earlier list, {row.base_number}"
    if row.published_revision > row.revision:
        yield f"{name}: knows of more revocations than there are: a backup was restored without publishing"
    elif row.published_revision == row.revision:
        yield from _completeness_findings(row, crl, name, now)
    elif row.entry_count <= PUBLISHED_AT_ONCE:
        yield f"{name}: misses the latest revocations; run manage.py publish_crls"


def _is_signed_by(crl: x509.CertificateRevocationList, row: PublishedList) -> bool:
    complete = row.revocation_list if isinstance(row, RevocationListShard) else row
    assert isinstance(complete, CertificateRevocationList)  # noqa: S101 - for the type checker
    try:
        issuer = x509.load_der_x509_certificate(bytes(issuer_of_key(complete.key).der))
    except PortalError:
        return False
    return crl.issuer == issuer.subject and crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]


def _completeness_findings(
    row: PublishedList, crl: x509.CertificateRevocationList, name: str, now: datetime
) -> Iterator[str]:
    """Every certificate that is revoked and has not ended is listed; whatever is listed was revoked."""
    listed = {serial_number_hex(entry.serial_number) for entry in crl}
    entries: QuerySet[RevocationEntry] = row.entries.filter(released_at__isnull=True)  # type: ignore[attr-defined]
    wanted = set(entries.filter(not_after__gt=now).values_list("serial_number", flat=True).iterator())
    known = set(entries.values_list("serial_number", flat=True).iterator())
    for serial_number in sorted(wanted - listed)[:ENTRIES_TOLD]:
        yield f"{name}: does not list {serial_number}, which is revoked"
    for serial_number in sorted(listed - known)[:ENTRIES_TOLD]:
        yield f"{name}: lists {serial_number}, which is not revoked"


def _delta_findings(row: DeltaRevocationList) -> Iterator[str]:
    name = f"delta of revocation list {row.revocation_list_id}"
    try:
        crl = x509.load_der_x509_crl(bytes(row.der))
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        base = crl.extensions.get_extension_for_class(x509.DeltaCRLIndicator).value.crl_number
        is_signed = _is_signed_by(crl, row.revocation_list)
    except UNREADABLE as problem:
        yield f"{name}: cannot be read: {problem}"
        return
    if not is_signed:
        yield f"{name}: is not signed by authority key {row.revocation_list.key_id}"
    if (number, base) != (row.number, row.base_number):
        yield f"{name}: its columns do not say what it says"
    if number <= base:
        yield f"{name}: its number {number} is not above that of its base, {base}"


def _responder_findings(row: OcspResponder) -> Iterator[str]:
    name = f"OCSP responder {row.id}"
    try:
        certificate = x509.load_der_x509_certificate(bytes(row.der))
        issuer = x509.load_der_x509_certificate(bytes(issuer_of_key(row.key).der))
        facts = facts_of(certificate)
    except (PortalError, *UNREADABLE) as problem:
        yield f"{name}: cannot be read: {problem}"
        return
    if (row.serial_number, row.not_before, row.not_after) != (facts.serial_number, facts.not_before, facts.not_after):
        yield f"{name}: its columns do not say what its certificate says"
    if facts.issuer_name != facts_of(issuer).subject_name or not is_issued_by(certificate, issuer):
        yield f"{name}: was not issued by authority key {row.key_id}"
    if public_key_info(certificate.public_key()) == public_key_info(issuer.public_key()):
        yield f"{name}: has the key of its issuer"


# --- Addresses --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Named:
    """A certificate that names a responder, and its issuer."""

    name: str
    certificate: x509.Certificate
    issuer: x509.Certificate


class Addresses:
    """The addresses in the certificates that were looked at, each with one certificate that names it."""

    def __init__(self) -> None:
        self._documents: dict[str, str] = {}
        self._responders: dict[tuple[str, bool], _Named] = {}

    def add(
        self, name: str, certificate: x509.Certificate, issuer: x509.Certificate, *, is_revoked: bool = False
    ) -> None:
        """Those of one certificate. Raises what reading a broken encoding raises."""
        facts = facts_of(certificate)
        for url in (*facts.crl_urls, *facts.ca_issuer_urls):
            self._documents.setdefault(url, name)
        for url in facts.ocsp_urls:
            self._responders.setdefault((url, is_revoked), _Named(name, certificate, issuer))

    def findings(self) -> Iterator[str]:
        """What does not answer, or answers something else than the rows say; asked in this process, without network.

        Publishes and signs what any relying party's question would: a CRL that is due, a responder that is.
        """
        for url, name in sorted(self._documents.items()):
            yield from (f"{name}: names {url}, {reason}" for reason in _document_reasons(url))
        for (url, is_revoked), named in sorted(self._responders.items(), key=lambda each: each[0]):
            reasons = _responder_reasons(url, named.certificate, named.issuer, is_revoked=is_revoked)
            yield from (f"{named.name}: names {url}, {reason}" for reason in reasons)


def _document_reasons(url: str) -> Iterator[str]:
    if not _is_ours(url):
        if urlsplit(url).path.startswith(_OUR_PATHS):
            yield f"which is not of this installation ({settings.SITE_URL})"
        return  # a mirror, for others to watch
    response = _answer(url)
    if response is None or response.status_code != 200:
        yield f"which answers {response.status_code if response is not None else 'nothing'}"


def _responder_reasons(
    url: str, certificate: x509.Certificate, issuer: x509.Certificate, *, is_revoked: bool
) -> Iterator[str]:
    if not _is_ours(url):
        yield f"which is not of this installation ({settings.SITE_URL})"
        return
    asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256()).build()
    response = _answer(url, asked.public_bytes(Encoding.DER))
    if response is None or response.status_code != 200:
        yield f"which answers {response.status_code if response is not None else 'nothing'}"
        return
    answer = ocsp.load_der_ocsp_response(response.content)
    if answer.response_status is ocsp.OCSPResponseStatus.UNAUTHORIZED:
        return  # OCSP of this CA was switched off since
    if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        yield f"which answers {answer.response_status.name}"
        return
    wanted = ocsp.OCSPCertStatus.REVOKED if is_revoked else ocsp.OCSPCertStatus.GOOD
    if answer.certificate_status is not wanted:
        yield f"which answers {answer.certificate_status.name} instead of {wanted.name}"


def _is_ours(url: str) -> bool:
    return url.startswith(f"{settings.SITE_URL}/")


def _answer(url: str, document: bytes | None = None) -> HttpResponse | None:
    """GET, or POST of a document; None where no view is at this address."""
    path = url.removeprefix(settings.SITE_URL)
    factory = RequestFactory()
    request = factory.get(path) if document is None else factory.post(path, document, "application/ocsp-request")
    try:
        view, arguments, keywords = resolve(path)
    except Resolver404:
        return None
    response: HttpResponse = view(request, *arguments, **keywords)
    return response
