"""A certificate's facts, read from its encoding: for the columns of its row, and to compare them later."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TypeVar, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, SignatureAlgorithmOID

from certificates.x509.der import Value as DerValue
from certificates.x509.der import bit_string, sequence
from certificates.x509.extensions import extensions_of, read_extended_key_usages, read_key_usages
from certificates.x509.keys import algorithm_of, describe, public_key_info
from certificates.x509.name_constraints import read_name_constraints
from certificates.x509.names import distinguished_name, read_general_name, read_subject
from profiles.policy.request import AttributeValue, GeneralName, NameConstraints
from profiles.policy.vocabulary import ExtendedKeyUsage, KeyAlgorithm, KeyUsage, SignatureAlgorithm

_SIGNATURE_ALGORITHMS = {
    SignatureAlgorithmOID.RSA_WITH_SHA256: SignatureAlgorithm.RSA_SHA256,
    SignatureAlgorithmOID.RSA_WITH_SHA384: SignatureAlgorithm.RSA_SHA384,
    SignatureAlgorithmOID.RSA_WITH_SHA512: SignatureAlgorithm.RSA_SHA512,
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: SignatureAlgorithm.ECDSA_SHA256,
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: SignatureAlgorithm.ECDSA_SHA384,
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: SignatureAlgorithm.ECDSA_SHA512,
    SignatureAlgorithmOID.ED25519: SignatureAlgorithm.ED25519,
    SignatureAlgorithmOID.ML_DSA_44: SignatureAlgorithm.ML_DSA_44,
    SignatureAlgorithmOID.ML_DSA_65: SignatureAlgorithm.ML_DSA_65,
    SignatureAlgorithmOID.ML_DSA_87: SignatureAlgorithm.ML_DSA_87,
}

# What the library raises for encodings that it will not read, some of it only when a field is looked at.
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's name and key are those that issued and signed it (RFC 5280, 6.1.3 (a) (1) and (4))."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says, in the portal's own words.

    Attributes:
        serial_number: 40 lower-case hex digits.
        subject, subject_alternative_names: in the order encoded.
        key_usages, extended_key_usages: empty where the extension is absent.
        key_algorithm, signature_algorithm: None for what is not issued here (an imported CA).
        key_description: the key for people, also where ``key_algorithm`` is None.
        subject_key_identifier, authority_key_identifier: lower-case hex, empty where absent.
        path_length: None without limit, and for what is no CA.
        fingerprint_sha256, fingerprint_sha1: lower-case hex of the hash of the DER.
    """

    serial_number: str
    subject: tuple[AttributeValue, ...]
    encoded_subject: x509.Name
    encoded_issuer: x509.Name
    subject_alternative_names: tuple[GeneralName, ...]
    key_usages: tuple[KeyUsage, ...]
    extended_key_usages: tuple[ExtendedKeyUsage | str, ...]
    key_algorithm: KeyAlgorithm | None
    key_description: str
    signature_algorithm: SignatureAlgorithm | None
    subject_public_key_info: bytes
    subject_key_identifier: str
    authority_key_identifier: str
    not_before: datetime
    not_after: datetime
    is_ca: bool
    path_length: int | None
    name_constraints: NameConstraints
    crl_urls: tuple[str, ...]
    ca_issuer_urls: tuple[str, ...]
    ocsp_urls: tuple[str, ...]
    fingerprint_sha256: str
    fingerprint_sha1: str

    @property
    def subject_name(self) -> str:
        """For people."""
        return distinguished_name(self.encoded_subject)

    @property
    def issuer_name(self) -> str:
        """For people."""
        return distinguished_name(self.encoded_issuer)


def serial_number_hex(serial_number: int) -> str:
    """As stored and answered: 40 lower-case hex digits."""
    return f"{serial_number:040x}"


def facts_of(certificate: x509.Certificate) -> CertificateFacts:
    """All facts of one certificate.

    Raises:
        ValueError: an extension occurs twice or cannot be read (only possible for certificates made elsewhere).
    """
    extensions = _by_kind(certificate)
    names = _find(extensions, x509.SubjectAlternativeName)
    usages = _find(extensions, x509.KeyUsage)
    purposes = _find(extensions, x509.ExtendedKeyUsage)
    constraints = _find(extensions, x509.BasicConstraints)
    limits = _find(extensions, x509.NameConstraints)
    subject_key = _find(extensions, x509.SubjectKeyIdentifier)
    authority_key = _find(extensions, x509.AuthorityKeyIdentifier)
    public_key = certificate.public_key()
    der = certificate.public_bytes(Encoding.DER)
    return CertificateFacts(
        serial_number=serial_number_hex(certificate.serial_number),
        subject=read_subject(certificate.subject),
        encoded_subject=certificate.subject,
        encoded_issuer=certificate.issuer,
        subject_alternative_names=tuple(read_general_name(name) for name in names or ()),
        key_usages=read_key_usages(usages) if usages else (),
        extended_key_usages=read_extended_key_usages(purposes) if purposes else (),
        key_algorithm=algorithm_of(public_key),
        key_description=describe(public_key),
        signature_algorithm=_SIGNATURE_ALGORITHMS.get(certificate.signature_algorithm_oid),
        subject_public_key_info=public_key_info(public_key),
        subject_key_identifier=subject_key.digest.hex() if subject_key else "",
        authority_key_identifier=(authority_key.key_identifier or b"").hex() if authority_key else "",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        is_ca=constraints.ca if constraints else False,
        path_length=constraints.path_length if constraints else None,
        name_constraints=read_name_constraints(limits) if limits else NameConstraints(),
        crl_urls=_crl_urls(extensions),
        ca_issuer_urls=_access_urls(extensions, AuthorityInformationAccessOID.CA_ISSUERS),
        ocsp_urls=_access_urls(extensions, AuthorityInformationAccessOID.OCSP),
        fingerprint_sha256=hashlib.sha256(der).hexdigest(),
        # A name that people compare, not a protection.
        fingerprint_sha1=hashlib.sha1(der, usedforsecurity=False).hexdigest(),
    )


def pem_of(der: bytes) -> str:
    """A certificate's DER in PEM (RFC 7468), without a final newline. Raises ValueError where it is no certificate."""
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode("ascii").strip()


@lru_cache(maxsize=256)
def subject_of_der(der: bytes) -> tuple[AttributeValue, ...]:
    """The subject in a certificate's DER, in the order encoded. Raises ValueError where it is no certificate."""
    return read_subject(x509.load_der_x509_certificate(der).subject)


def is_self_issued(certificate: x509.Certificate) -> bool:
    """RFC 5280, 3.2: subject and issuer are the same name (as roots have it)."""
    return certificate.subject == certificate.issuer


def is_self_signed(certificate: x509.Certificate) -> bool:
    """RFC 5280, 3.2: self-issued, and by its own key; a root, and not one key of a CA certified by another of it."""
    if not is_self_issued(certificate):
        return False
    facts = facts_of(certificate)
    return facts.authority_key_identifier in {"", facts.subject_key_identifier}


def unsigned_certificate(tbs: bytes) -> x509.Certificate:
    """A TBSCertificate as a certificate with an empty signature: to read what it says, good for nothing else.

    Raises what reading another encoding raises (UNREADABLE).
    """
    _, _, algorithm, *_ = DerValue.whole(tbs).members()  # after version and serial number (RFC 5280, 4.1)
    return x509.load_der_x509_certificate(sequence(tbs, algorithm.encoded, bit_string(b"")))


def crl_urls_of(der: bytes) -> tuple[str, ...]:
    """Where a certificate says that its CRL is."""
    return _crl_urls(_by_kind(x509.load_der_x509_certificate(der)))


Value = TypeVar("Value", bound=x509.ExtensionType)
_Extensions = Mapping[type[x509.ExtensionType], x509.ExtensionType]


def _by_kind(certificate: x509.Certificate) -> _Extensions:
    """The extensions that the library knows; none of them occurs twice, or it raises."""
    return {type(extension.value): extension.value for extension in extensions_of(certificate)}


def _find(extensions: _Extensions, kind: type[Value]) -> Value | None:
    return cast("Value | None", extensions.get(kind))


def _crl_urls(extensions: _Extensions) -> tuple[str, ...]:
    points = _find(extensions, x509.CRLDistributionPoints)
    return tuple(
        name.value
        for point in points or ()
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    )


def _access_urls(extensions: _Extensions, method: x509.ObjectIdentifier) -> tuple[str, ...]:
    access = _find(extensions, x509.AuthorityInformationAccess)
    return tuple(
        description.access_location.value
        for description in access or ()
        if description.access_method == method
        and isinstance(description.access_location, x509.UniformResourceIdentifier)
    )
