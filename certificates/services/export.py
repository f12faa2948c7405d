"""A certificate as a file that other programs take: alone, with its chain, with its key."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils import timezone

from certificates.models import Certificate
from certificates.services.file_names import file_stem
from certificates.services.kept_keys import read_private_key
from certificates.services.retrieval import certification_path_pem
from certificates.x509.inspect import is_self_signed
from certificates.x509.jks import jks_of
from certificates.x509.keys import PrivateKey, algorithm_of
from certificates.x509.keystores import OUTSIDE_KEYSTORES, encrypted_pem_of, pkcs7_of, pkcs12_of, truststore_of
from certificates.x509.private_keys import read_open_key
from pki_portal.access.requester import Requester
from pki_portal.errors import Invalid, Unavailable, Violation

# What every Java's own truststore has; there is nothing to hide in one.
TRUSTSTORE_PASSWORD = "changeit"  # noqa: S105
SHORTEST_PASSWORD = 6
LONGEST_PASSWORD = 255
LONGEST_ALIAS = 255
# Java takes no other characters, and where others do they disagree about their encoding.
PASSWORD_FORM = r"\A[ -~]+\Z"  # noqa: S105
PASSWORD_HINT = "Letters without accents, digits, spaces and the signs of an English keyboard."  # noqa: S105
PEM = "application/x-pem-file"
PKCS12 = "application/x-pkcs12"


class PublicFormat(StrEnum):
    """Files without a key."""

    PEM = "pem"
    DER = "der"
    FULLCHAIN = "fullchain"
    CHAIN = "chain"
    ROOT = "root"
    P7B = "p7b"
    TRUSTSTORE = "truststore"


class KeyFormat(StrEnum):
    """Files with the key, under a password."""

    PKCS12 = "pkcs12"
    PKCS12_LEGACY = "pkcs12-legacy"
    JKS = "jks"
    PEM = "pem"


_PUBLIC_ENDINGS = {
    PublicFormat.PEM: ("pem", PEM),
    PublicFormat.DER: ("der", "application/pkix-cert"),
    PublicFormat.FULLCHAIN: ("fullchain.pem", PEM),
    PublicFormat.CHAIN: ("chain.pem", PEM),
    PublicFormat.ROOT: ("root.pem", PEM),
    PublicFormat.P7B: ("p7b", "application/x-pkcs7-certificates"),
    PublicFormat.TRUSTSTORE: ("truststore.p12", PKCS12),
}
_KEY_ENDINGS = {
    KeyFormat.PKCS12: ("p12", PKCS12),
    KeyFormat.PKCS12_LEGACY: ("p12", PKCS12),
    KeyFormat.JKS: ("jks", "application/x-java-keystore"),
    KeyFormat.PEM: ("encrypted.pem", PEM),
}


PUBLIC_MEDIA_TYPES = tuple(media_type for _, media_type in _PUBLIC_ENDINGS.values())
KEY_MEDIA_TYPES = tuple(media_type for _, media_type in _KEY_ENDINGS.values())


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A file to save."""

    name: str
    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Packing:
    """How a key is packed; the password is the one that opens the file."""

    format: KeyFormat
    alias: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CertificatePath:
    """A certificate and what is above it, as far as that is known here.

    Attributes:
        intermediates: issuer first, without a root; servers send them.
        root: the trust anchor; of a certificate that signs itself, that. None where it is not known (imported).
    """

    certificate: x509.Certificate
    intermediates: tuple[x509.Certificate, ...]
    root: x509.Certificate | None

    @property
    def sent(self) -> tuple[x509.Certificate, ...]:
        """What a server sends (RFC 8446, 4.4.2): its certificate first, each followed by its issuer, no root."""
        return (self.certificate, *self.intermediates)

    @property
    def whole(self) -> tuple[x509.Certificate, ...]:
        """The certificate first, the root last."""
        return self.sent if self.root in {None, self.certificate} else (*self.sent, *filter(None, [self.root]))


def path_of(certificate: Certificate) -> CertificatePath:
    """The path of a certificate, split by what each part is for."""
    own = x509.load_der_x509_certificate(bytes(certificate.der))
    members = [x509.load_pem_x509_certificate(pem.encode()) for pem in certification_path_pem(certificate)]
    above = [member for member in members if member != own]
    roots = [member for member in members if is_self_signed(member)]
    return CertificatePath(
        certificate=own,
        intermediates=tuple(member for member in above if not is_self_signed(member)),
        root=roots[-1] if roots else None,
    )


def public_file(certificate: Certificate, wanted: PublicFormat) -> ExportFile:
    """The certificate without its key, in one of the formats.

    Raises Invalid for ``chain``, ``root`` and ``truststore`` of an imported certificate whose issuers are not known.
    """
    path = path_of(certificate)
    ending, media_type = _PUBLIC_ENDINGS[wanted]
    return ExportFile(f"{file_stem(certificate)}.{ending}", media_type, _public_content(path, wanted))


def _public_content(path: CertificatePath, wanted: PublicFormat) -> bytes:
    match wanted:
        case PublicFormat.PEM:
            return _pem([path.certificate])
        case PublicFormat.DER:
            return path.certificate.public_bytes(Encoding.DER)
        case PublicFormat.FULLCHAIN:
            return _pem(path.sent)
        case PublicFormat.CHAIN:
            return _pem(path.whole[1:] or [_known(path.root, wanted)])
        case PublicFormat.P7B:
            return pkcs7_of(path.whole)
        case PublicFormat.ROOT:
            return _pem([_known(path.root, wanted)])
    anchor = _known(path.root, wanted)
    return truststore_of(anchor, alias=anchor.subject.rfc4514_string()[:64] or "root", password=TRUSTSTORE_PASSWORD)


def key_file(
    *, requester: Requester, certificate: Certificate, packing: Packing, open_key: str | None = None
) -> ExportFile:
    """The certificate with its chain and its key, under a password. Secret.

    Args:
        open_key: the key in PEM, where the requester has it (it was just issued); it is packed and forgotten. Without
            it, the key that the portal keeps is read: of one that waits for its claim this is the claim.

    Raises:
        Invalid: the format does not take keys of this kind, or ``open_key`` is not the certificate's.
        PermissionDenied, NotFound, Gone, Unavailable: as :func:`read_private_key`.
    """
    # Before the key is read: a claim is given out once.
    if packing.format is not KeyFormat.PEM:
        _require_keystore_kind(certificate, packing.format)
    path = path_of(certificate)
    if open_key is None:
        kept = read_private_key(requester=requester, certificate=certificate, via=packing.format.value)
        private_key = read_open_key(kept, path.certificate)
        if private_key is None:
            raise Unavailable("The kept key is not that of the certificate.")
    else:
        private_key = read_open_key(open_key, path.certificate)
        if private_key is None:
            raise _not_its_key()
    ending, media_type = _KEY_ENDINGS[packing.format]
    content = _packed(path, private_key, packing)
    return ExportFile(f"{file_stem(certificate)}.{ending}", media_type, content)


def is_its_key(certificate: Certificate, open_key: str) -> bool:
    """Whether a text is the certificate's private key in PEM."""
    return read_open_key(open_key, x509.load_der_x509_certificate(bytes(certificate.der))) is not None


def is_for_keystores(certificate: Certificate) -> bool:
    """Whether PKCS#12 and JKS take the certificate's key."""
    key = x509.load_der_x509_certificate(bytes(certificate.der)).public_key()
    return algorithm_of(key) not in OUTSIDE_KEYSTORES


def _packed(path: CertificatePath, private_key: PrivateKey, packing: Packing) -> bytes:
    if packing.format is KeyFormat.PEM:
        return encrypted_pem_of(private_key=private_key, path=path.sent, password=packing.password)
    if packing.format is KeyFormat.JKS:
        return jks_of(
            private_key=private_key, path=path.whole, alias=packing.alias, password=packing.password, now=timezone.now()
        )
    return pkcs12_of(
        private_key=private_key,
        path=path.whole,
        alias=packing.alias,
        password=packing.password,
        is_legacy=packing.format is KeyFormat.PKCS12_LEGACY,
    )


def _pem(certificates: Sequence[x509.Certificate]) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def _known(certificate: x509.Certificate | None, wanted: PublicFormat) -> x509.Certificate:
    if certificate is not None:
        return certificate
    fix = "Import the certificate once more, together with every certificate above it."
    violation = Violation(
        field="format",
        code="issuers_not_known",
        rule="what was imported alone has no chain here",
        asked=wanted.value,
        allowed="a format without the issuers: pem, der, fullchain, p7b",
        fix=fix,
    )
    raise Invalid(f"Who issued this certificate is not known here. {fix}", violations=[violation])


def _require_keystore_kind(certificate: Certificate, wanted: KeyFormat) -> None:
    if is_for_keystores(certificate):
        return
    fix = "Take the format pem: the key in an encrypted PKCS#8 file."
    violation = Violation(
        field="format",
        code="key_not_for_keystores",
        rule="PKCS#12 and JKS hold RSA, EC and Ed25519 keys",
        asked=f"{wanted.value} of a key of the kind {certificate.key_algorithm}",
        allowed=KeyFormat.PEM.value,
        fix=fix,
    )
    raise Invalid(f"ML-DSA keys do not go into PKCS#12 or JKS files. {fix}", violations=[violation])


def _not_its_key() -> Invalid:
    fix = "Send the certificate's own key, unencrypted in PKCS#8 PEM."
    violation = Violation(
        field="private_key",
        code="key_does_not_match",
        rule="a certificate is packed with its own key",
        asked="another key, or none",
        allowed="the private key of this certificate",
        fix=fix,
    )
    return Invalid(f"This is not the private key of the certificate. {fix}", violations=[violation])
