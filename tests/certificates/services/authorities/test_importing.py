"""CAs from elsewhere, taken over with their key: they work like our own, and whatever is amiss is told at once."""

import base64
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from django.utils import timezone

from certificates.models import AuthorityKey, CertificateAuthority
from certificates.models.authority import AuthorityKind, AuthorityStatus
from certificates.services.authorities import KeyFile, import_authority, name_of, renew_authority
from certificates.services.issuance import issue_certificate
from pki_portal.access.models import Project, Role
from pki_portal.audit.models import AuditEvent, Outcome
from pki_portal.errors import Invalid, Malformed, PermissionDenied, PortalError
from profiles.policy.request import GeneralName, IssuanceRequest
from profiles.policy.vocabulary import NameType
from tests.factories import SYSTEM, make_project, make_user, requester_for
from tests.relying_parties import openssl_objection
from tests.wire import make_profile_of

pytestmark = pytest.mark.django_db

# As directory services name their CAs: attributes that no template has, and strings of another type than ours.
DIRECTORY = x509.Name(
    [
        x509.NameAttribute(NameOID.DOMAIN_COMPONENT, "test"),
        x509.NameAttribute(NameOID.DOMAIN_COMPONENT, "corp"),
        x509.NameAttribute(NameOID.COMMON_NAME, "Corp Issuing", _type=_ASN1Type.PrintableString),
    ]
)
ROOT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Corp Root")])
ROOT_KEY, KEY = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
PASSWORD = "gloves & scarf 7"


def made(
    subject: x509.Name = DIRECTORY,
    issuer: x509.Name = ROOT,
    public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | None = None,
    signed_by: ec.EllipticCurvePrivateKey = ROOT_KEY,
    *,
    is_ca: bool = True,
    path_length: int | None = None,
    can_sign: bool = True,
    ended: bool = False,
    constraints: x509.NameConstraints | None = None,
) -> x509.Certificate:
    now = timezone.now()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key or KEY.public_key())
        .serial_number(x509.random_serial_number() >> 1)
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=-1 if ended else 3000))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=path_length), critical=True)
        .add_extension(x509.KeyUsage(True, False, False, False, False, can_sign, True, False, False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key or KEY.public_key()), critical=False)
    )
    above = x509.AuthorityKeyIdentifier.from_issuer_public_key(signed_by.public_key())
    builder = builder.add_extension(above, critical=False)
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    return builder.sign(signed_by, hashes.SHA256())


def root(**changes: Any) -> x509.Certificate:
    return made(ROOT, public_key=ROOT_KEY.public_key(), **changes)


def pem(*certificates: x509.Certificate) -> str:
    return "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)


def pkcs8(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = KEY) -> KeyFile:
    return KeyFile(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def imported(project: Project, **changes: Any) -> CertificateAuthority:
    asked: dict[str, Any] = {
        "requester": SYSTEM,
        "project": project,
        "name": "corp",
        "key_file": pkcs8(),
        "certificate": pem(made()),
        "certificate_chain": pem(root()),
    }
    return import_authority(**(asked | changes))


def refusal_of(project: Project, **changes: Any) -> set[str]:
    """The codes of the refusal, which leaves nothing behind but its record."""
    with pytest.raises(PortalError) as refusal:
        imported(project, **changes)
    assert not CertificateAuthority.objects.filter(name="corp").exists()
    assert AuditEvent.objects.filter(event="import-ca", outcome=Outcome.REFUSED).exists()
    return {violation.code for violation in refusal.value.violations}


@pytest.fixture
def project() -> Project:
    return make_project()


def test_an_intermediate_issues_under_its_own_name_byte_for_byte(project: Project) -> None:
    authority = imported(project, friendly_name="Corp")
    assert (authority.kind, authority.status) == (AuthorityKind.INTERMEDIATE, AuthorityStatus.ACTIVE)
    assert (authority.common_name, authority.key_algorithm) == ("Corp Issuing", "EC_prime256v1")
    assert name_of(authority).public_bytes() == DIRECTORY.public_bytes()

    answer = issue_certificate(
        profile=make_profile_of(authority),
        request=IssuanceRequest(subject_alternative_names=(GeneralName(NameType.DNS_NAME, "a.corp.test"),)),
        requester=SYSTEM,
    )
    leaf = x509.load_der_x509_certificate(bytes(answer.certificate.der))
    assert leaf.issuer.public_bytes() == DIRECTORY.public_bytes()
    path = [x509.load_pem_x509_certificate(each.encode()) for each in answer.certification_path]
    assert openssl_objection(leaf, trusted=path[-1:], untrusted=path[:-1]) == ""
    event = AuditEvent.objects.filter(event="import-ca").exclude(outcome=Outcome.REFUSED).get()
    assert event.data["dn"] == "DC=test, DC=corp, CN=Corp Issuing"


def test_a_root_is_taken_over_and_renewed_without_a_byte_of_its_name_changed(project: Project) -> None:
    certificate = made(DIRECTORY, DIRECTORY, signed_by=KEY)
    authority = imported(project, certificate=pem(certificate), certificate_chain="")
    assert (authority.kind, authority.parent) == (AuthorityKind.ROOT, None)

    renewed = renew_authority(
        requester=SYSTEM, authority=authority, not_after=certificate.not_valid_after_utc + timedelta(days=30)
    )
    again = x509.load_der_x509_certificate(bytes(renewed.der))
    assert again.subject.public_bytes() == again.issuer.public_bytes() == DIRECTORY.public_bytes()
    again.verify_directly_issued_by(certificate)


def test_pkcs12_brings_all_itself_and_finds_its_parent_here(project: Project) -> None:
    top = imported(project, name="top", key_file=pkcs8(ROOT_KEY), certificate=pem(root()), certificate_chain="")
    assert top.active_certificate is not None
    above = x509.load_der_x509_certificate(bytes(top.active_certificate.der))
    file = serialize_key_and_certificates(b"ca", KEY, made(), [above], BestAvailableEncryption(PASSWORD.encode()))

    authority = imported(project, key_file=KeyFile(file, PASSWORD), certificate="", certificate_chain="")
    assert authority.parent == top
    assert authority.active_certificate is not None
    assert authority.active_certificate.external_chain == ""


def test_everything_amiss_is_told_at_once(project: Project) -> None:
    stranger = made(is_ca=False, can_sign=False, ended=True)
    other = rsa.generate_private_key(public_exponent=3, key_size=2048)
    codes = refusal_of(project, name="corp", certificate=pem(stranger), key_file=pkcs8(other))
    assert codes == {"path_invalid", "not_a_ca", "key_usage_missing", "key_does_not_match", "key_weak"}


@pytest.mark.parametrize(
    ("certificate", "chain", "code", "told"),
    [
        (lambda: made(), lambda: "", "chain_incomplete", "no issuer"),
        (lambda: made(), lambda: pem(root(), made(x509.Name([]))), "chain_incomplete", "not part of the path"),
        (lambda: made(can_sign=False), lambda: pem(root()), "key_usage_missing", "digital_signature"),
        (lambda: made(is_ca=False), lambda: pem(root()), "not_a_ca", "CA:FALSE"),
        (lambda: made(ended=True), lambda: pem(root()), "path_invalid", "is valid from"),
        (lambda: made(), lambda: pem(root(ended=True)), "path_invalid", "CN=Corp Root is valid from"),
        (lambda: made(), lambda: pem(root(path_length=0)), "path_invalid", "allows 0 CAs below it, there are 1"),
        (lambda: made(), lambda: pem(root(can_sign=False)), "path_invalid", "may not sign certificates"),
        (
            lambda: made(),
            lambda: pem(root(constraints=x509.NameConstraints([x509.DirectoryName(ROOT)], None))),
            "path_invalid",
            "is outside the name constraints of CN=Corp Root",
        ),
    ],
)
def test_each_thing_amiss_has_its_reason(project: Project, certificate: Any, chain: Any, code: str, told: str) -> None:
    with pytest.raises(Invalid) as refusal:
        imported(project, certificate=pem(certificate()), certificate_chain=chain())
    assert code in {violation.code for violation in refusal.value.violations}
    assert any(told in violation.asked for violation in refusal.value.violations)


def test_a_taken_name_and_a_key_that_is_here_already_are_refused(project: Project) -> None:
    imported(project)
    with pytest.raises(Invalid) as refusal:
        imported(project, name="corp")
    assert {violation.code for violation in refusal.value.violations} == {"name_taken", "duplicate"}
    assert imported(make_project()).name == "corp"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"key_file": KeyFile(b"nothing")}, "key_not_readable"),
        ({"key_file": KeyFile(base64.b64decode("MAA="))}, "key_not_readable"),
        ({"certificate": "", "certificate_chain": ""}, "pem_not_readable"),
        ({"certificate": "nothing"}, "pem_not_readable"),
        ({"certificate_chain": "nothing"}, "pem_not_readable"),
    ],
)
def test_what_cannot_be_read_is_malformed(project: Project, changes: dict[str, Any], code: str) -> None:
    assert refusal_of(project, **changes) == {code}


def test_neither_key_nor_password_is_told_to_anybody(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    content = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"right"))
    with pytest.raises(Malformed) as refusal:
        imported(project, key_file=KeyFile(content, PASSWORD))
    told = f"{refusal.value!r} {refusal.value.violations} {KeyFile(content, PASSWORD)!r} {caplog.text}"
    told += str(list(AuditEvent.objects.values_list("data", flat=True)))
    assert PASSWORD not in told
    assert content.decode().splitlines()[1] not in told


def test_who_may_not_make_cas_imports_none(project: Project) -> None:
    bob = requester_for(make_user("bob", project=project, role=Role.MEMBER))
    with pytest.raises(PermissionDenied):
        imported(project, requester=bob)
    assert not AuthorityKey.objects.exists()


@pytest.mark.parametrize("place", ["own", "chain"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0603551d0e", "0603551d23"),  # the authority key identifier twice
        ("0603551d130101ff04083006", "0603551d130101ff04083106"),  # basic constraints that are a SET
    ],
)
def test_a_certificate_in_pkcs12_that_cannot_be_read_to_its_end_is_refused(
    project: Project, place: str, old: str, new: str
) -> None:
    own, above = made(path_length=0), root(path_length=1)
    der = (own if place == "own" else above).public_bytes(Encoding.DER)
    assert bytes.fromhex(old) in der
    broken = x509.load_der_x509_certificate(der.replace(bytes.fromhex(old), bytes.fromhex(new)))
    certificates = (broken, [above]) if place == "own" else (own, [broken])
    key_file = KeyFile(serialize_key_and_certificates(b"ca", KEY, *certificates, NoEncryption()))
    assert refusal_of(project, key_file=key_file, certificate="", certificate_chain="") == {"pem_not_readable"}


def test_a_pkcs12_file_with_hundreds_of_certificates_is_refused_before_any_is_compared(project: Project) -> None:
    key_file = KeyFile(serialize_key_and_certificates(b"ca", KEY, made(), [root() for _ in range(11)], NoEncryption()))
    assert refusal_of(project, key_file=key_file, certificate="", certificate_chain="") == {"pem_not_readable"}
