"""Certificates of a CA that is not ours: a root, an issuing CA, and what that issues."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509.oid import NameOID

PASSWORD = "gloves & scarf 7"
NOW = datetime.now(UTC).replace(microsecond=0)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | mldsa.MLDSA44PrivateKey


@dataclass(frozen=True)
class Foreign:
    """A certificate with its key and all above it, issuer first."""

    certificate: x509.Certificate
    key: Key = field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> bytes:
        """The certificate alone."""
        return pem_of(self.certificate)

    @property
    def key_pem(self) -> bytes:
        """PKCS#8, open."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def pkcs12(self) -> bytes:
        """Key, certificate and chain under ``PASSWORD``."""
        assert not isinstance(self.key, mldsa.MLDSA44PrivateKey)
        protection = BestAvailableEncryption(PASSWORD.encode())
        return serialize_key_and_certificates(b"elsewhere", self.key, self.certificate, self.chain, protection)


def pem_of(*certificates: x509.Certificate) -> bytes:
    """All of them, one after the other."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def certify(
    key: Key,
    name: x509.Name,
    issuer: x509.Name,
    issuer_key: CertificateIssuerPrivateKeyTypes,
    *,
    is_ca: bool = False,
    dns_names: tuple[str, ...] = (),
    ends: datetime = NOW + timedelta(days=90),
    serial_number: int | None = None,
) -> x509.Certificate:
    """A certificate as any CA makes them."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial_number or x509.random_serial_number())
        .not_valid_before(min(NOW, ends) - timedelta(days=30))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if dns_names:
        builder = builder.add_extension(x509.SubjectAlternativeName(map(x509.DNSName, dns_names)), critical=False)
    hashed = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey | mldsa.MLDSA44PrivateKey) else hashes.SHA256()
    return builder.sign(issuer_key, hashed)


def named(common_name: str) -> x509.Name:
    """A name that is a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


@cache
def authorities() -> tuple[Foreign, Foreign]:
    """The issuing CA and the root above it."""
    later = NOW + timedelta(days=3650)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = certify(root_key, named("Other Root"), named("Other Root"), root_key, is_ca=True, ends=later)
    issuing = certify(key, named("Other Issuing"), named("Other Root"), root_key, is_ca=True, ends=later)
    return Foreign(issuing, key, (root,)), Foreign(root, root_key)


def foreign(
    name: str = "www.other.test",
    *,
    key: Key | None = None,
    dns_names: tuple[str, ...] | None = None,
    ends: datetime = NOW + timedelta(days=90),
    serial_number: int | None = None,
) -> Foreign:
    """A server's certificate of the issuing CA."""
    issuing, _ = authorities()
    key = key or ec.generate_private_key(ec.SECP256R1())
    certificate = certify(
        key,
        named(name),
        issuing.certificate.subject,
        issuing.key,
        dns_names=(name,) if dns_names is None else dns_names,
        ends=ends,
        serial_number=serial_number,
    )
    return Foreign(certificate, key, (issuing.certificate, *issuing.chain))
