"""Certificates that others signed for our CAs: what is in them, and what no program should have to hold."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from django.utils import timezone
from pyasn1.codec.der import decoder, encoder
from pyasn1.type import univ

from certificates.models import AuthorityCertificate, CertificateAuthority
from certificates.models.authority import AuthorityStatus
from certificates.services.authorities import (
    AuthoritySubject,
    authority_csr,
    create_intermediate,
    import_authority_certificate,
)
from pki_portal.errors import Invalid
from profiles.policy.vocabulary import KeyAlgorithm
from tests.factories import SYSTEM, make_project

pytestmark = pytest.mark.django_db

KEY = ec.generate_private_key(ec.SECP256R1())
ROOT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Elsewhere Root")])
SUBJECT = AuthoritySubject(common_name="Acme Issuing", organization="Acme")


def waiting_authority() -> CertificateAuthority:
    return create_intermediate(
        requester=SYSTEM,
        project=make_project(),
        name="issuing",
        subject=SUBJECT,
        key_algorithm=KeyAlgorithm.EC_PRIME256V1,
        parent=None,
    )


def signed(
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    *,
    path_length: int | None = None,
    serial_number: int = 7,
) -> str:
    """PEM of a CA certificate by ``KEY``, with numbers that the library's builder would refuse to write too."""
    now = timezone.now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ROOT)
        .public_key(public_key)
        .serial_number(7)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .sign(KEY, hashes.SHA256())
    )
    outer, _ = decoder.decode(certificate.public_bytes(Encoding.DER))
    outer[0][1] = univ.Integer(serial_number)
    signature = KEY.sign(encoder.encode(outer[0]), ec.ECDSA(hashes.SHA256()))
    outer[2] = univ.BitString.fromOctetString(signature)
    rewritten = x509.load_der_x509_certificate(encoder.encode(outer))
    return rewritten.public_bytes(Encoding.PEM).decode()


def refusal_of(authority: CertificateAuthority, *, certificate: str, chain: str) -> list[tuple[str, str]]:
    """Field and code of each violation; nothing may have been stored."""
    with pytest.raises(Invalid) as refusal:
        import_authority_certificate(
            requester=SYSTEM, authority=authority, certificate=certificate, certificate_chain=chain
        )
    authority.refresh_from_db()
    assert authority.status == AuthorityStatus.PENDING_CERTIFICATE
    assert not AuthorityCertificate.objects.exists()
    return [(violation.field, violation.code) for violation in refusal.value.violations]


def request_of(authority: CertificateAuthority) -> tuple[x509.Name, ec.EllipticCurvePublicKey]:
    csr = x509.load_pem_x509_csr(authority_csr(requester=SYSTEM, authority=authority).encode())
    public_key = csr.public_key()
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    return csr.subject, public_key


# The library warns of what it will refuse to load one day.
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.parametrize(
    ("path_length", "serial_number", "code"),
    [
        (256, 7, "path_length_out_of_range"),
        (100_000, 7, "path_length_out_of_range"),
        (2**62, 7, "path_length_out_of_range"),
        (0, 2**159, "serial_number_out_of_range"),
        (0, 2**170, "serial_number_out_of_range"),
        (0, 0, "serial_number_out_of_range"),
        (0, -7, "serial_number_out_of_range"),
    ],
)
def test_number_past_its_bound_is_refused(path_length: int, serial_number: int, code: str) -> None:
    authority = waiting_authority()
    name, public_key = request_of(authority)
    root = signed(ROOT, KEY.public_key())

    text = signed(name, public_key, path_length=path_length, serial_number=serial_number)
    assert refusal_of(authority, certificate=text, chain=root) == [("certificate", code)]


@pytest.mark.parametrize(
    ("path_length", "serial_number", "code"),
    [(100_000, 7, "path_length_out_of_range"), (None, 2**170, "serial_number_out_of_range")],
)
def test_number_past_its_bound_is_refused_above_the_ca_too(
    path_length: int | None, serial_number: int, code: str
) -> None:
    authority = waiting_authority()
    name, public_key = request_of(authority)
    root = signed(ROOT, KEY.public_key(), path_length=path_length, serial_number=serial_number)

    assert refusal_of(authority, certificate=signed(name, public_key), chain=root) == [("certificate_chain", code)]


def test_greatest_numbers_are_stored() -> None:
    authority = waiting_authority()
    name, public_key = request_of(authority)

    version = import_authority_certificate(
        requester=SYSTEM,
        authority=authority,
        certificate=signed(name, public_key, path_length=255, serial_number=2**159 - 1),
        certificate_chain=signed(ROOT, KEY.public_key()),
    )

    version.refresh_from_db()
    assert (version.path_length, version.serial_number) == (255, "7" + "f" * 39)


def test_name_in_another_order_is_another_name() -> None:
    authority = waiting_authority()
    name, public_key = request_of(authority)
    turned = x509.Name(reversed(name.rdns))

    text = signed(turned, public_key)
    root = signed(ROOT, KEY.public_key())
    assert refusal_of(authority, certificate=text, chain=root) == [("certificate", "subject_differs")]
