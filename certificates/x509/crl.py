"""Certificate revocation lists (RFC 5280, 5)."""

from binascii import b2a_base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from io import BytesIO
from typing import Final, Protocol

from cryptography import x509
from cryptography.x509.oid import CRLEntryExtensionOID

from certificates.x509 import der
from certificates.x509.extensions import authority_key_identifier
from certificates.x509.issuer import HasPrivateKey
from certificates.x509.keys import (
    default_signature_algorithm,
    is_signature_of,
    signature_of,
    signing_hash,
    throw_away_key,
)


class RevocationReason(IntEnum):
    """CRLReason (RFC 5280, 5.3.1); removeFromCRL is of delta CRLs only."""

    UNSPECIFIED = 0
    KEY_COMPROMISE = 1
    CA_COMPROMISE = 2
    AFFILIATION_CHANGED = 3
    SUPERSEDED = 4
    CESSATION_OF_OPERATION = 5
    CERTIFICATE_HOLD = 6
    REMOVE_FROM_CRL = 8
    PRIVILEGE_WITHDRAWN = 9
    AA_COMPROMISE = 10


@dataclass(frozen=True, slots=True)
class RevokedEntry:
    """One revoked certificate; both times aware, in whole seconds."""

    serial_number: int
    revoked_at: datetime
    reason: RevocationReason = RevocationReason.UNSPECIFIED
    invalidity_date: datetime | None = None


class Entries(Protocol):
    """Entries, each by ``encode_entry``, one after the other in pieces, which may be cut anywhere; read once."""

    def __iter__(self) -> Iterator[bytes]: ...

    @property
    def count(self) -> int:
        """How many entries the pieces were, known when they are read."""

    @property
    def expected_size(self) -> int:
        """About how many octets they will be."""


@dataclass(frozen=True, slots=True)
class EntriesAtHand:
    """Single entries, each by ``encode_entry``."""

    encoded: Sequence[bytes]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.encoded)

    @property
    def count(self) -> int:
        """How many."""
        return len(self.encoded)

    @property
    def expected_size(self) -> int:
        """In octets."""
        return sum(map(len, self.encoded))


@dataclass(frozen=True, slots=True)
class SignedCrl:
    """A CRL that was signed and checked; ``der[entries_at:]`` begins with its entries, if it has any."""

    der: bytes
    count: int
    entries_at: int


class CrlRejected(Exception):
    """A signed CRL that is not what was to be signed; it must not be published."""


_PEM_BEGIN: Final = b"-----BEGIN X509 CRL-----\n"
_PEM_END: Final = b"-----END X509 CRL-----\n"
_PEM_LINE: Final = 48  # octets, which make the 64 characters of a line (RFC 7468, 2)
_LONGEST_HEADER: Final = 6  # octets of tag and length, below 4 GiB
_ROOM_AFTER_ENTRIES: Final = 8192  # for extensions and signature; more finds its place too
_ENTRIES_AFTER: Final = 4  # version, signature, issuer, thisUpdate; then nextUpdate, which is always there


def encode_entry(entry: RevokedEntry) -> bytes:
    """DER of one member of revokedCertificates (RFC 5280, 5.1.2.6)."""
    extensions = []
    # RFC 5280, 5.3.1: unspecified is said by saying nothing.
    if entry.reason is not RevocationReason.UNSPECIFIED:
        extensions.append(
            der.extension(CRLEntryExtensionOID.CRL_REASON.dotted_string, der.enumerated(entry.reason.value))
        )
    # RFC 5280, 5.3.2: GeneralizedTime, also before 2050.
    if entry.invalidity_date is not None:
        extensions.append(
            der.extension(
                CRLEntryExtensionOID.INVALIDITY_DATE.dotted_string, der.generalized_time(entry.invalidity_date)
            )
        )
    return der.sequence(
        der.integer(entry.serial_number),
        der.time(entry.revoked_at),
        der.sequence(*extensions) if extensions else b"",
    )


def build_crl(
    *,
    issuer: x509.Certificate,
    signer: HasPrivateKey,
    number: int,
    this_update: datetime,
    next_update: datetime,
    entries: Entries,
    extensions: Iterable[x509.Extension[x509.ExtensionType]] = (),
) -> SignedCrl:
    """A signed CRL, read back and checked; the signature's hash is chosen by the issuer's key.

    The library's builder makes the list without entries, under a throw-away key; the entries' bytes are put into that.
    The builder itself would copy its list for each one that it is given. Of a list of a million, 53 MB, there are never
    two copies.

    Args:
        entries: no serial number twice.
        extensions: beside authorityKeyIdentifier and cRLNumber, in the order encoded.

    Raises:
        CrlRejected: what came back is not a CRL of this issuer and number with these entries.
    """
    tbs = _empty_tbs(issuer, number, this_update, next_update, extensions)
    encoded_algorithm = der.Value.whole(tbs).members()[1].encoded
    public_key, algorithm = issuer.public_key(), default_signature_algorithm(issuer.public_key())

    def signed(data: bytes | memoryview) -> bytes:
        try:
            signature = signature_of(signer.private_key, data, algorithm)
        except ValueError as problem:
            raise CrlRejected("the signer does not hold the issuer's key") from problem
        # Here, and not of the list when it is read back: for that the library would encode a million entries again.
        if not is_signature_of(public_key, signature, data, algorithm):
            raise CrlRejected("the signer does not hold the issuer's key")
        return signature

    crl = _signed_crl(tbs, entries, encoded_algorithm, signed)
    _check(x509.load_der_x509_crl(crl.der), issuer=issuer, number=number, count=crl.count)
    return crl


def _signed_crl(
    tbs: bytes, entries: Entries, algorithm: bytes, signed: Callable[[bytes | memoryview], bytes]
) -> SignedCrl:
    """CertificateList (RFC 5280, 5.1). What stands before the entries tells how long they are, so it is written after
    them, into a room that is large enough; what is left of that is closed at the end.
    """
    before, after = _around_entries(tbs)
    room = len(before) + 3 * _LONGEST_HEADER
    stream = BytesIO()
    # All the memory at once: a buffer that grows leaves holes, of 20 MB with a million entries.
    stream.seek(room + entries.expected_size + _ROOM_AFTER_ENTRIES)
    stream.write(b"\x00")
    stream.seek(room)
    for piece in entries:
        stream.write(piece)
    size = stream.tell() - room
    stream.write(after)
    # RFC 5280, 5.1.2.6: without any, the list itself must be absent.
    head = before + (der.header(der.SEQUENCE, size) if size else b"")
    head = der.header(der.SEQUENCE, len(head) + size + len(after)) + head
    start, end = room - len(head), stream.tell()
    stream.seek(start)
    stream.write(head)
    with stream.getbuffer() as buffer, buffer[start:end] as whole:
        signature = signed(whole)
    stream.seek(end)
    stream.write(algorithm + der.bit_string(signature))
    stream.truncate()
    outer = der.header(der.SEQUENCE, stream.tell() - start)
    start, length = start - len(outer), stream.tell() - start + len(outer)
    stream.seek(start)
    stream.write(outer)
    with stream.getbuffer() as buffer:
        buffer[:length] = buffer[start:]
    stream.truncate(length)
    return SignedCrl(stream.getvalue(), entries.count, room - start)


def _empty_tbs(
    issuer: x509.Certificate,
    number: int,
    this_update: datetime,
    next_update: datetime,
    extensions: Iterable[x509.Extension[x509.ExtensionType]],
) -> bytes:
    builder = x509.CertificateRevocationListBuilder(issuer_name=issuer.subject)
    builder = builder.last_update(this_update).next_update(next_update)
    # RFC 5280, 5.2.1 and 5.2.3: both must be there, neither critical.
    authority_key = authority_key_identifier(issuer)
    builder = builder.add_extension(authority_key.value, critical=authority_key.critical)
    builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    algorithm = default_signature_algorithm(issuer.public_key())
    key = throw_away_key(algorithm.family)
    return builder.sign(key, signing_hash(algorithm)).tbs_certlist_bytes  # type: ignore[arg-type]


def _around_entries(tbs: bytes) -> tuple[bytes, bytes]:
    """What stands before and after revokedCertificates in TBSCertList (RFC 5280, 5.1): after nextUpdate, and before
    crlExtensions.
    """
    *before, extensions = (member.encoded for member in der.Value.whole(tbs).members())
    if len(before) != _ENTRIES_AFTER + 1:
        raise CrlRejected("the empty list has not the members that were expected")
    return b"".join(before), extensions


def _check(crl: x509.CertificateRevocationList, *, issuer: x509.Certificate, number: int, count: int) -> None:
    if crl.issuer.public_bytes() != issuer.subject.public_bytes():
        raise CrlRejected("the list names another issuer")
    if crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number != number:
        raise CrlRejected("the list has another number")
    if len(crl) != count:
        raise CrlRejected(f"the list has {len(crl)} entries instead of {count}")


def crl_pem(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The textual encoding (RFC 7468, 7), with a final newline, of a CRL that comes in pieces."""
    yield _PEM_BEGIN
    left = b""
    for piece in pieces:
        left += piece
        whole = len(left) - len(left) % _PEM_LINE
        yield b"".join(b2a_base64(left[at : at + _PEM_LINE]) for at in range(0, whole, _PEM_LINE))
        left = left[whole:]
    yield (b2a_base64(left) if left else b"") + _PEM_END


def crl_pem_size(size: int) -> int:
    """How many octets :func:`crl_pem` makes of so many."""
    lines, groups = -(-size // _PEM_LINE), -(-size // 3)
    return len(_PEM_BEGIN) + 4 * groups + lines + len(_PEM_END)


def freshest_crl(url: str) -> x509.Extension[x509.ExtensionType]:
    """RFC 5280, 5.2.6: not critical; where the delta of this complete list is."""
    return _extension(x509.FreshestCRL([_point(url)]), critical=False)


def delta_indicator(base_number: int) -> x509.Extension[x509.ExtensionType]:
    """RFC 5280, 5.2.4: critical; the complete list that a delta adds to."""
    return _extension(x509.DeltaCRLIndicator(base_number), critical=True)


def issuing_distribution_point(url: str) -> x509.Extension[x509.ExtensionType]:
    """RFC 5280, 5.2.5: critical; the list is only of certificates that name this address."""
    value = x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier(url)],
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )
    return _extension(value, critical=True)


def _point(url: str) -> x509.DistributionPoint:
    return x509.DistributionPoint(
        full_name=[x509.UniformResourceIdentifier(url)], relative_name=None, reasons=None, crl_issuer=None
    )


def _extension(value: x509.ExtensionType, *, critical: bool) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(value.oid, critical, value)
