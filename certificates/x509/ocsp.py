"""OCSP (RFC 6960): requests read strictly, responses written; several certificates in one, which the library does not
do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from functools import cache
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from certificates.x509 import der
from certificates.x509.crl import RevocationReason
from certificates.x509.der import Value
from certificates.x509.issuer import HasPrivateKey
from certificates.x509.keys import (
    default_signature_algorithm,
    key_identifier,
    public_key_info,
    signature_of,
    signing_hash,
    throw_away_key,
)
from profiles.policy.vocabulary import SignatureAlgorithm

MAX_REQUEST_BYTES: Final = 64 * 1024
MAX_CERTIFICATES: Final = 100
# RFC 9654, 2.1.
NONCE_OCTETS: Final = range(1, 129)

_BASIC: Final = "1.3.6.1.5.5.7.48.1.1"
_NONCE: Final = "1.3.6.1.5.5.7.48.1.2"
_ARCHIVE_CUTOFF: Final = "1.3.6.1.5.5.7.48.1.6"
_HASHES: Final[Mapping[bytes, hashes.HashAlgorithm]] = MappingProxyType(
    {
        # What nearly every client sends (RFC 5019, 2.1.1): a name of the issuer, not a protection.
        der.object_identifier("1.3.14.3.2.26"): hashes.SHA1(),  # noqa: S303
        der.object_identifier("2.16.840.1.101.3.4.2.1"): hashes.SHA256(),
    }
)


class ResponseStatus(IntEnum):
    """OCSPResponseStatus (RFC 6960, 4.2.1), those that are answered here."""

    SUCCESSFUL = 0
    MALFORMED_REQUEST = 1
    TRY_LATER = 3
    UNAUTHORIZED = 6


class OcspMalformed(ValueError):
    """What was sent is no OCSP request."""


@dataclass(frozen=True, slots=True)
class CertId:
    """A certificate that is asked for.

    Attributes:
        hash_name: of the hash of issuer and key (``sha1``); empty for one that is not known here.
        encoded: CertID as sent: it goes into the response as it is.
    """

    hash_name: str
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial_number: int
    encoded: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OcspRequest:
    """Certificates in the order asked; the nonce None where there is none."""

    certificates: tuple[CertId, ...]
    nonce: bytes | None


@dataclass(frozen=True, slots=True)
class Good:
    """Issued and not revoked."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """Revoked or on hold."""

    revoked_at: datetime
    reason: RevocationReason = RevocationReason.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class Unknown:
    """Not issued by this CA."""


Status = Good | Revoked | Unknown


@dataclass(frozen=True, slots=True)
class SingleResponse:
    """What is said of one certificate; times aware, in whole seconds.

    ``archive_cutoff``: since when answers are kept, said of certificates that have ended (RFC 6960, 4.4.4).
    """

    encoded_id: bytes = field(repr=False)
    status: Status
    this_update: datetime
    next_update: datetime
    archive_cutoff: datetime | None = None


# --- Requests ---------------------------------------------------------------------------------------------------------


def read_request(document: bytes) -> OcspRequest:
    """OCSPRequest (RFC 6960, 4.1.1); a signature on it is not looked at.

    Raises:
        OcspMalformed: it is none, asks for none or for more than 100, or has a critical extension that is not known.
    """
    if len(document) > MAX_REQUEST_BYTES:
        raise OcspMalformed("the request is too large")
    try:
        return _read_request(document)
    except (ValueError, IndexError) as problem:
        raise OcspMalformed(str(problem)) from problem


def _read_request(document: bytes) -> OcspRequest:
    tbs, *signature = Value.whole(document).members()
    if len(signature) > 1 or any(each.tag != der.context(0) for each in signature):
        raise ValueError("something follows the request")
    members = tbs.members()
    if members and members[0].tag == der.context(0):
        (version,) = members.pop(0).members(der.context(0))
        if version.as_integer() != 0:
            raise ValueError("the version is not v1")
    if members and members[0].tag == der.context(1):
        members.pop(0)  # requestorName
    requests = members.pop(0).members()
    extensions = members.pop(0).members(der.context(2)) if members else []
    if members or len(extensions) > 1:
        raise ValueError("something follows the extensions")
    if not 0 < len(requests) <= MAX_CERTIFICATES:
        raise ValueError(f"{len(requests)} certificates are asked for")
    certificates = tuple(_read_single(request) for request in requests)
    return OcspRequest(certificates, _read_extensions(extensions[0]).get(_NONCE) if extensions else None)


def _read_single(request: Value) -> CertId:
    certificate, *extensions = request.members()
    if extensions:
        (only,) = extensions
        (listed,) = only.members(der.context(0))
        _read_extensions(listed)
    algorithm, name_hash, key_hash, serial_number = certificate.members()
    identifier, *parameters = algorithm.members()
    # RFC 5754, 2: absent, or NULL.
    if [each.encoded for each in parameters] not in ([], [b"\x05\x00"]):
        raise ValueError("a hash with parameters")
    known = _HASHES.get(identifier.require(der.OBJECT_IDENTIFIER).encoded)
    return CertId(
        hash_name=known.name if known else "",
        issuer_name_hash=name_hash.require(der.OCTET_STRING).contents,
        issuer_key_hash=key_hash.require(der.OCTET_STRING).contents,
        serial_number=serial_number.as_integer(),
        encoded=certificate.encoded,
    )


def _read_extensions(listed: Value) -> dict[str, bytes]:
    """The nonce, if there is one; nothing else is read. RFC 6960, 4.4: what is critical must be understood."""
    found: dict[str, bytes] = {}
    nonce_oid = der.object_identifier(_NONCE)
    extensions = listed.members()
    if not extensions:
        raise ValueError("an empty list of extensions")
    for extension in extensions:
        oid, *flags, value = extension.members()
        oid.require(der.OBJECT_IDENTIFIER)
        is_critical = any(flag.require(der.BOOLEAN).contents != b"\x00" for flag in flags)
        contents = value.require(der.OCTET_STRING).contents
        if len(flags) > 1:
            raise ValueError("an extension that is critical twice")
        if oid.encoded == nonce_oid:
            if _NONCE in found:
                raise ValueError("two nonces")
            nonce = Value.whole(contents).require(der.OCTET_STRING).contents
            if len(nonce) not in NONCE_OCTETS:
                raise ValueError(f"a nonce of {len(nonce)} octets")
            found[_NONCE] = nonce
        elif is_critical:
            raise ValueError("a critical extension that is not known")
    return found


def issuer_hashes(issuer: x509.Certificate) -> dict[str, tuple[bytes, bytes]]:
    """Hashes of an issuer's name and key (RFC 6960, 4.1.1) by the name of the hash, for each that is known."""
    key_bits = _subject_public_key(issuer)
    return {
        kind.name: (_digest(kind, issuer.subject.public_bytes()), _digest(kind, key_bits)) for kind in _HASHES.values()
    }


def _subject_public_key(certificate: x509.Certificate) -> bytes:
    """The bits of subjectPublicKey without tag, length and count of unused bits."""
    _, bits = Value.whole(public_key_info(certificate.public_key())).members()
    return bits.require(der.BIT_STRING).contents[1:]


def _digest(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    hasher = hashes.Hash(algorithm)
    hasher.update(data)
    return hasher.finalize()


# --- Responses --------------------------------------------------------------------------------------------------------


def unsuccessful(status: ResponseStatus) -> bytes:
    """OCSPResponse that says only why there is no answer (RFC 6960, 4.2.1); it is not signed."""
    return der.sequence(der.enumerated(status))


def build_response(
    *,
    responses: Sequence[SingleResponse],
    responder: x509.Certificate,
    signer: HasPrivateKey,
    produced_at: datetime,
    nonce: bytes | None,
) -> bytes:
    """A signed OCSPResponse with the responder's certificate in it (RFC 6960, 4.2.1).

    Raises:
        ValueError: the signer does not hold the responder's key.
    """
    public_key = responder.public_key()
    nonce_extension = b""
    if nonce is not None:
        nonce_extension = der.tlv(der.context(1), der.sequence(der.extension(_NONCE, der.octet_string(nonce))))
    data = der.sequence(
        # byKey: the same whatever the responder is called.
        der.tlv(der.context(2), der.octet_string(key_identifier(public_key))),
        der.generalized_time(produced_at),
        der.sequence(*(_encode_single(response) for response in responses)),
        nonce_extension,
    )
    algorithm = default_signature_algorithm(public_key)
    basic = der.sequence(
        data,
        _algorithm_identifier(algorithm),
        der.bit_string(signature_of(signer.private_key, data, algorithm)),
        der.tlv(der.context(0), der.sequence(responder.public_bytes(Encoding.DER))),
    )
    body = der.sequence(der.object_identifier(_BASIC), der.octet_string(basic))
    return der.sequence(der.enumerated(ResponseStatus.SUCCESSFUL), der.tlv(der.context(0), body))


def _encode_single(response: SingleResponse) -> bytes:
    extensions = b""
    if response.archive_cutoff is not None:
        cutoff = der.extension(_ARCHIVE_CUTOFF, der.generalized_time(response.archive_cutoff))
        extensions = der.tlv(der.context(1), der.sequence(cutoff))
    return der.sequence(
        response.encoded_id,
        _encode_status(response.status),
        der.generalized_time(response.this_update),
        der.tlv(der.context(0), der.generalized_time(response.next_update)),
        extensions,
    )


def _encode_status(status: Status) -> bytes:
    match status:
        case Good():
            return der.tlv(der.context(0, constructed=False))
        case Unknown():
            return der.tlv(der.context(2, constructed=False))
        case Revoked():
            reason = b""
            if status.reason is not RevocationReason.UNSPECIFIED:
                reason = der.tlv(der.context(0), der.enumerated(status.reason))
            return der.tlv(der.context(1), der.generalized_time(status.revoked_at), reason)


@cache
def _algorithm_identifier(algorithm: SignatureAlgorithm) -> bytes:
    """DER of AlgorithmIdentifier as the library writes it: with or without parameters, as each algorithm wants."""
    key = throw_away_key(algorithm.family)
    csr = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, signing_hash(algorithm))  # type: ignore[arg-type]
    return Value.whole(csr.public_bytes(Encoding.DER)).members()[1].encoded
