"""PKCS#10 (RFC 2986): a CSR as an applicant sends it -> what it asks for, and a key whose possession is proven."""

import base64
import binascii
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NoReturn, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key
from cryptography.x509.oid import AttributeOID, ExtensionOID

from certificates.x509.extensions import extensions_of, read_extended_key_usages, read_key_usages
from certificates.x509.keys import algorithm_of, describe, public_key_info, weaknesses
from certificates.x509.names import read_general_name, read_subject
from pki_portal.errors import Invalid, Malformed, Violation
from profiles.policy.request import ApplicantKey, BasicConstraints, GeneralName, IssuanceRequest
from profiles.policy.vocabulary import ExtendedKeyUsage, KeyUsage

MAX_CSR_BYTES: Final = 64 * 1024

_LABELS: Final = frozenset({"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"})
_BEGIN: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,64})-----")
_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,64})-----([^-]*)-----END \1-----")
_RULE: Final = "RFC 2986, PKCS #10"
_ALLOWED: Final = "one PKCS#10 certificate signing request, PEM or DER"
_ACCEPTED_HASHES: Final = (
    hashes.SHA224,
    hashes.SHA256,
    hashes.SHA384,
    hashes.SHA512,
    hashes.SHA3_224,
    hashes.SHA3_256,
    hashes.SHA3_384,
    hashes.SHA3_512,
)

_OID_NAMES: Final = {
    value: name.lower()
    for known in (ExtensionOID, AttributeOID)
    for name, value in vars(known).items()
    if isinstance(value, x509.ObjectIdentifier)
}

# The attribute that carries the extensions: PKCS #9 (RFC 2985, 5.4.2), and Microsoft's own for the same.
_EXTENSION_REQUESTS: Final = frozenset({"1.2.840.113549.1.9.14", "1.3.6.1.4.1.311.2.1.14"})

Read = TypeVar("Read")


class CsrMalformed(Malformed):
    """What was sent cannot be read as a CSR."""


class CsrError(Invalid):
    """What was sent is a CSR, and is refused before any rule of a template is asked."""


def read_csr(text_or_bytes: str | bytes) -> IssuanceRequest:
    """What a CSR asks for: PEM (either label, with other text around it or without a final newline) or DER.

    The self-signature is verified (RFC 2986, 4.2). A key of a kind that is not certified here comes back with
    algorithm None, for the policy to refuse; where the library cannot verify with it, its possession stays unproven.

    Raises:
        CsrMalformed: it cannot be read as a CSR.
        CsrError: it was read and is refused; all reasons at once. Neither repeats what was sent.
    """
    der = _der_of(text_or_bytes)
    csr = _load(der)
    violations: list[Violation] = []
    key = _applicant_key(csr, violations)
    subject = _attempt(lambda: read_subject(csr.subject), violations, "the subject")
    violations.extend(_several_extension_requests(csr))
    contents = _attempt(lambda: _read_extensions(csr), violations, "the requested extensions")
    ignored = _attempt(lambda: tuple(_ignored_attributes(csr)), violations, "the attributes")
    if key is None or subject is None or contents is None or ignored is None or violations:
        raise CsrError("; ".join(violation.asked for violation in violations), violations=violations)
    return IssuanceRequest(
        subject=subject,
        subject_alternative_names=contents.names,
        key_usages=contents.key_usages,
        extended_key_usages=contents.extended_key_usages,
        basic_constraints=contents.basic_constraints,
        applicant_key=key,
        csr=_pem(der),
        ignored=contents.ignored + ignored,
    )


@dataclass(frozen=True, slots=True)
class _Contents:
    """What the requested extensions say."""

    names: tuple[GeneralName, ...] = ()
    key_usages: tuple[KeyUsage, ...] | None = None
    extended_key_usages: tuple[ExtendedKeyUsage | str, ...] | None = None
    basic_constraints: BasicConstraints | None = None
    ignored: tuple[str, ...] = ()


def _violation(code: str, asked: str, fix: str) -> Violation:
    return Violation(field="csr", code=code, rule=_RULE, asked=asked, allowed=_ALLOWED, fix=fix)


def _malformed(code: str, asked: str, fix: str) -> NoReturn:
    # "from None": the cause may quote what was sent, and that may be a private key.
    raise CsrMalformed(f"{asked}. {fix}", violations=[_violation(code, asked, fix)]) from None


# --- from text to DER


def _der_of(text_or_bytes: str | bytes) -> bytes:
    if len(text_or_bytes) > MAX_CSR_BYTES:
        _malformed("too_large", f"The CSR is larger than {MAX_CSR_BYTES // 1024} KiB", "Ask for fewer names at once.")
    if isinstance(text_or_bytes, str):
        return _der_of_pem(text_or_bytes)
    if text_or_bytes.startswith(b"\x30"):
        return text_or_bytes
    try:
        # A BOM is what some editors put first.
        return _der_of_pem(text_or_bytes.decode("utf-8-sig"))
    except UnicodeDecodeError:
        _malformed("not_a_csr", "The file is neither PEM text nor DER", "Send the .csr file that your tool made.")


def _der_of_pem(text: str) -> bytes:
    begun = _BEGIN.findall(text)
    for label in begun:
        _refuse_private_key(label)
    blocks = _BLOCK.findall(text)
    if not begun:
        _malformed(
            "no_pem",
            "There is no BEGIN CERTIFICATE REQUEST line in the text",
            "Paste the whole CSR with its BEGIN and END lines.",
        )
    if len(begun) > 1:
        _malformed("several_blocks", f"There are {len(begun)} PEM blocks in the text", "Send one CSR at a time.")
    if begun[0] not in _LABELS:
        _refuse_label(begun[0])
    if not blocks:
        _malformed(
            "truncated",
            "The PEM text has no END line that fits its BEGIN line",
            "Copy the CSR again, with all lines from BEGIN to END.",
        )
    try:
        return base64.b64decode("".join(blocks[0][1].split()), validate=True)
    except (binascii.Error, ValueError):
        _malformed("not_base64", "The text between BEGIN and END is not base64", "Copy the CSR again, unchanged.")


def _refuse_private_key(label: str) -> None:
    if "PRIVATE KEY" in label:
        _malformed(
            "private_key",
            "The text holds a private key",
            "A private key must not leave its owner: send the CSR alone, and use a new key, for this one has been "
            "shown. Nothing of it was kept.",
        )


def _refuse_label(label: str) -> NoReturn:
    if label in {"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"}:
        _malformed(
            "certificate",
            "This is a certificate, not a certificate signing request",
            "Make a CSR from the key: openssl req -new -key key.pem -out request.csr",
        )
    _malformed("not_a_csr", f"The PEM block is labelled {label}, not CERTIFICATE REQUEST", "Send a CSR.")


def _pem(der: bytes) -> str:
    encoded = base64.b64encode(der).decode("ascii")
    lines = [encoded[start : start + 64] for start in range(0, len(encoded), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE REQUEST-----", *lines, "-----END CERTIFICATE REQUEST-----"])


# --- from DER to a CSR


def _load(der: bytes) -> x509.CertificateSigningRequest:
    size = _outer_size(der)
    if size is None:
        _malformed("not_a_csr", "This is not a certificate signing request", "Send a PKCS#10 CSR, PEM or DER.")
    if size > len(der):
        _malformed(
            "truncated", f"The CSR ends after {len(der)} of {size} bytes", "Copy or transfer the CSR again, complete."
        )
    if size < len(der):
        _malformed(
            "trailing_data", f"{len(der) - size} bytes follow the end of the CSR", "Send the CSR and nothing after it."
        )
    try:
        return x509.load_der_x509_csr(der)
    except x509.InvalidVersion:
        _malformed("version", "The CSR's version is not v1 (0)", "Make the CSR with a current tool.")
    except (ValueError, TypeError, UnsupportedAlgorithm):
        _refuse_other_der(der)


def _refuse_other_der(der: bytes) -> NoReturn:
    """Say what it is instead, as far as that can be told."""
    if _loads(x509.load_der_x509_certificate, der):
        _refuse_label("CERTIFICATE")
    if _loads(lambda data: load_der_private_key(data, password=None, unsafe_skip_rsa_key_validation=True), der):
        _refuse_private_key("PRIVATE KEY")
    if _loads(load_der_public_key, der):
        _malformed(
            "public_key", "This is a public key, not a certificate signing request", "Send a CSR made with its key."
        )
    _malformed("asn1", "The CSR's ASN.1 structure cannot be read", "Make the CSR again with a current tool.")


def _loads(load: Callable[[bytes], object], der: bytes) -> bool:
    try:
        load(der)
    except TypeError:
        # An encrypted private key: the library wants its password.
        return True
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def _outer_size(der: bytes) -> int | None:
    """Bytes that the outermost SEQUENCE claims, header included; None where it is none in DER."""
    if len(der) < 2 or der[0] != 0x30 or not (der[1] < 0x80 or 0x81 <= der[1] <= 0x84):
        return None
    return _element_size(der)


def _element_size(der: bytes) -> int:
    """Bytes of the DER element that starts here, header included (X.690, 8.1.3), as its length octets claim."""
    if der[1] < 0x80:
        return 2 + der[1]
    count = der[1] & 0x7F
    return 2 + count + int.from_bytes(der[2 : 2 + count])


# --- from a CSR to values


def _attempt(read: Callable[[], Read], violations: list[Violation], what: str) -> Read | None:
    """What ``read`` gives; where the library cannot read it, None and one more violation."""
    try:
        with warnings.catch_warnings():
            # The library warns of attributes whose length breaks a rule; the policy refuses them with a reason.
            warnings.simplefilter("ignore")
            return read()
    except x509.DuplicateExtension as error:
        name = _oid_name(error.oid)
        violations.append(
            _violation(
                "duplicate_extension", f"The CSR asks for the extension {name} twice", "Ask for each extension once."
            )
        )
    except x509.UnsupportedGeneralNameType:
        violations.append(
            _violation(
                "unsupported_name",
                "The CSR asks for a kind of alternative name that cannot be read (x400Address or ediPartyName)",
                "Ask for DNS names, IP addresses, e-mail addresses or URIs.",
            )
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        violations.append(
            _violation("unreadable", f"In the CSR, {what} cannot be read", "Make the CSR again with a current tool.")
        )
    return None


def _read_extensions(csr: x509.CertificateSigningRequest) -> _Contents:
    names: tuple[GeneralName, ...] = ()
    key_usages: tuple[KeyUsage, ...] | None = None
    extended_key_usages: tuple[ExtendedKeyUsage | str, ...] | None = None
    basic_constraints: BasicConstraints | None = None
    ignored: list[str] = []
    for extension in extensions_of(csr):
        match extension.value:
            case x509.SubjectAlternativeName() as value:
                names = tuple(read_general_name(name) for name in value)
            case x509.KeyUsage() as value:
                key_usages = read_key_usages(value)
            case x509.ExtendedKeyUsage() as value:
                extended_key_usages = read_extended_key_usages(value)
            case x509.BasicConstraints() as value:
                basic_constraints = BasicConstraints(is_ca=value.ca, path_length=value.path_length)
            case _:
                ignored.append(f"the CSR's extension {_oid_name(extension.oid)}")
    return _Contents(names, key_usages, extended_key_usages, basic_constraints, tuple(ignored))


def _several_extension_requests(csr: x509.CertificateSigningRequest) -> Iterator[Violation]:
    """The library reads the first alone, and what the second asks for would be dropped without a word."""
    try:
        requests = sum(attribute.oid.dotted_string in _EXTENSION_REQUESTS for attribute in csr.attributes)
    except ValueError:
        return  # Attributes that cannot be read are refused as such.
    if requests > 1:
        yield _violation(
            "several_extension_requests",
            f"The CSR has {requests} extensionRequest attributes",
            "Ask for all extensions in one extensionRequest.",
        )


def _ignored_attributes(csr: x509.CertificateSigningRequest) -> Iterator[str]:
    """Attributes that say nothing about the certificate; their values (a challenge password) are not repeated."""
    for attribute in csr.attributes:
        if attribute.oid.dotted_string not in _EXTENSION_REQUESTS:  # read already
            yield f"the CSR's attribute {_oid_name(attribute.oid)}"


def _oid_name(oid: x509.ObjectIdentifier) -> str:
    name = _OID_NAMES.get(oid)
    return f"{name} ({oid.dotted_string})" if name else oid.dotted_string


# --- the key and its proof of possession


def _applicant_key(csr: x509.CertificateSigningRequest, violations: list[Violation]) -> ApplicantKey | None:
    """The key, or None and a violation more. A kind that the library does not know is left to the policy to refuse."""
    try:
        public_key = csr.public_key()
    except UnsupportedAlgorithm:
        return ApplicantKey(
            subject_public_key_info=_subject_public_key_info(csr.tbs_certrequest_bytes),
            algorithm=None,
            description="a key of an unknown kind or curve",
        )
    except (ValueError, TypeError):
        violations.append(
            _violation(
                "invalid_key",
                "The CSR's public key is not valid (an impossible RSA exponent or modulus, or a point off its curve)",
                "Make a new key and a CSR with it.",
            )
        )
        return None
    algorithm = algorithm_of(public_key)
    if (reason := _signature_reason(csr)) is not None and (algorithm is not None or not _cannot_sign(public_key)):
        violations.append(reason)
    certified = public_key_info(public_key)
    if algorithm is not None:
        violations.extend(_other_algorithm_identifier(_subject_public_key_info(csr.tbs_certrequest_bytes), certified))
    return applicant_key_of(public_key)


def applicant_key_of(public_key: PublicKeyTypes) -> ApplicantKey:
    """The key as the rules see it; that its owner has the private half was proven before."""
    return ApplicantKey(
        subject_public_key_info=public_key_info(public_key),
        algorithm=algorithm_of(public_key),
        description=describe(public_key),
        weaknesses=weaknesses(public_key),
    )


def _other_algorithm_identifier(sent: bytes, certified: bytes) -> Iterator[Violation]:
    """A key bound to one scheme (RSASSA-PSS: RFC 4055, 1.2) would be certified for any: the binding would be lost."""
    if _algorithm_identifier(sent) != _algorithm_identifier(certified):
        yield _violation(
            "restricted_key",
            "The CSR's key is bound to a scheme or to parameters, as RSASSA-PSS keys are, that would be lost",
            "Make a plain key, and a CSR with it: openssl genpkey -algorithm RSA, or EC with a named curve.",
        )


def _algorithm_identifier(subject_public_key_info: bytes) -> bytes:
    """DER of the AlgorithmIdentifier, the first element (RFC 5280, 4.1)."""
    position = _header_size(subject_public_key_info)
    return subject_public_key_info[position : position + _element_size(subject_public_key_info[position:])]


def _header_size(der: bytes) -> int:
    return 2 + (der[1] & 0x7F if der[1] >= 0x80 else 0)


def _cannot_sign(public_key: PublicKeyTypes) -> bool:
    """Keys for key agreement (X25519) or encapsulation (ML-KEM): no signature of theirs can be wrong."""
    return not hasattr(public_key, "verify")


def _signature_reason(csr: x509.CertificateSigningRequest) -> Violation | None:
    """RFC 2986, 4.2: the signature over the request proves that the applicant holds the private key."""
    fix = "Sign the CSR with the key that it carries, and SHA-256: openssl req -new -sha256 -key key.pem"
    try:
        used = csr.signature_hash_algorithm
        if used is None or isinstance(used, _ACCEPTED_HASHES):
            if csr.is_signature_valid:
                return None
            return _violation("bad_signature", "The CSR's self-signature does not verify with the key in it", fix)
        name = used.name.upper()
    except UnsupportedAlgorithm:
        name = csr.signature_algorithm_oid.dotted_string
    except (ValueError, TypeError):
        return _violation("bad_signature", "The CSR's self-signature cannot be read", fix)
    return _violation("weak_signature", f"The CSR is signed with {name}, which proves nothing", fix)


def _subject_public_key_info(request_info: bytes) -> bytes:
    """SubjectPublicKeyInfo out of a CertificationRequestInfo that the library has parsed: after version and subject."""
    position = _header_size(request_info)
    for _ in range(2):
        position += _element_size(request_info[position:])
    return request_info[position : position + _element_size(request_info[position:])]
