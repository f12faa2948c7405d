"""Every format, read back by others: OpenSSL, keytool where there is one, and the library that did not write it."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from certificates.models import Certificate, CertificateSecret
from certificates.services.export import KeyFormat, Packing, PublicFormat, key_file, path_of, public_file
from certificates.services.importing import Upload, import_certificates
from certificates.services.issuance import IssuedCertificate, issue_certificate
from certificates.services.kept_keys import seal_key, store_sealed_key
from certificates.x509.keys import private_key_pem
from pki_portal.access.models import Role
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import Gone, Invalid, NotFound, PermissionDenied
from profiles.policy.request import AttributeValue, IssuanceRequest
from profiles.policy.vocabulary import KeyAlgorithm, KeyRetention, SubjectAttribute
from profiles.services import update_profile
from tests.elsewhere import Foreign, foreign
from tests.factories import SYSTEM, make_project, make_user, requester_for
from tests.scenery import make_issuing_profile
from tests.wire import Pki, make_pki

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse"
KEYTOOL = shutil.which("keytool")


@pytest.fixture
def pki() -> Pki:
    return make_pki()


def issued(
    pki: Pki, name: str = "www.acme.com", algorithm: KeyAlgorithm = KeyAlgorithm.EC_PRIME256V1
) -> IssuedCertificate:
    request = IssuanceRequest(subject=(AttributeValue(SubjectAttribute.COMMON_NAME, name),), key_algorithm=algorithm)
    return issue_certificate(profile=pki.profile, requester=SYSTEM, request=request)


def packing(wanted: KeyFormat = KeyFormat.PKCS12) -> Packing:
    return Packing(format=wanted, alias="web", password=PASSWORD)


def ders(*authorities: object) -> list[bytes]:
    return [bytes(each.der) for each in authorities]  # type: ignore[attr-defined]


def whole(pki: Pki, certificate: Certificate) -> list[x509.Certificate]:
    rows = (certificate, pki.issuing.active_certificate, pki.root.active_certificate)
    return [x509.load_der_x509_certificate(der) for der in ders(*rows)]


def test_every_public_format_holds_what_it_says_in_the_right_order(pki: Pki) -> None:
    certificate = issued(pki, "*.acme.com").certificate
    leaf, issuing, root = whole(pki, certificate)
    files = {each: public_file(certificate, each) for each in PublicFormat}
    pems = {
        each: x509.load_pem_x509_certificates(files[each].content)
        for each in (PublicFormat.PEM, PublicFormat.FULLCHAIN, PublicFormat.CHAIN, PublicFormat.ROOT)
    }
    assert pems == {
        PublicFormat.PEM: [leaf],
        PublicFormat.FULLCHAIN: [leaf, issuing],
        PublicFormat.CHAIN: [issuing, root],
        PublicFormat.ROOT: [root],
    }
    assert x509.load_der_x509_certificate(files[PublicFormat.DER].content) == leaf
    assert set(load_der_pkcs7_certificates(files[PublicFormat.P7B].content)) == {leaf, issuing, root}
    trusted = load_pkcs12(files[PublicFormat.TRUSTSTORE].content, b"changeit")
    assert (trusted.key, [each.certificate for each in trusted.additional_certs]) == (None, [root])
    assert {each: file.name for each, file in files.items()} == {
        PublicFormat.PEM: "wildcard.acme.com.pem",
        PublicFormat.DER: "wildcard.acme.com.der",
        PublicFormat.FULLCHAIN: "wildcard.acme.com.fullchain.pem",
        PublicFormat.CHAIN: "wildcard.acme.com.chain.pem",
        PublicFormat.ROOT: "wildcard.acme.com.root.pem",
        PublicFormat.P7B: "wildcard.acme.com.p7b",
        PublicFormat.TRUSTSTORE: "wildcard.acme.com.truststore.p12",
    }


def test_a_certificate_that_signs_itself_is_sent_alone_and_is_its_own_root() -> None:
    profile = make_issuing_profile(make_project(), is_self_signed=True)
    request = IssuanceRequest(subject=(AttributeValue(SubjectAttribute.COMMON_NAME, "self.acme.com"),))
    certificate = issue_certificate(profile=profile, requester=SYSTEM, request=request).certificate
    (own,) = x509.load_pem_x509_certificates(public_file(certificate, PublicFormat.FULLCHAIN).content)
    for each in (PublicFormat.CHAIN, PublicFormat.ROOT):
        assert x509.load_pem_x509_certificates(public_file(certificate, each).content) == [own]


def imported(pki: Pki, one: Foreign, *, with_chain: bool) -> Certificate:
    upload = Upload(content=one.pem, chain=b"".join(Foreign(each, one.key).pem for each in one.chain if with_chain))
    return import_certificates(requester=SYSTEM, project=pki.project, upload=upload).certificates[0].certificate


def test_what_is_not_known_of_an_imported_one_is_told_with_the_remedy(pki: Pki) -> None:
    one = foreign()
    certificate = imported(pki, one, with_chain=False)
    assert public_file(certificate, PublicFormat.FULLCHAIN).content == one.pem
    for each in (PublicFormat.CHAIN, PublicFormat.ROOT, PublicFormat.TRUSTSTORE):
        with pytest.raises(Invalid, match="Import the certificate once more"):
            public_file(certificate, each)
    path = path_of(imported(pki, one, with_chain=True))
    assert (path.certificate, *path.intermediates, path.root) == (one.certificate, *one.chain)


@pytest.mark.parametrize("wanted", KeyFormat)
@pytest.mark.parametrize("algorithm", [KeyAlgorithm.EC_PRIME256V1, KeyAlgorithm.RSA_2048, KeyAlgorithm.ED25519])
def test_a_key_at_hand_is_packed_with_its_path(
    pki: Pki, tmp_path: Path, wanted: KeyFormat, algorithm: KeyAlgorithm
) -> None:
    made = issued(pki, algorithm=algorithm)
    file = key_file(requester=SYSTEM, certificate=made.certificate, packing=packing(wanted), open_key=made.private_key)
    assert made.private_key is not None
    path = whole(pki, made.certificate)
    if wanted is KeyFormat.PEM:
        assert file.content.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        key = load_pem_private_key(file.content, PASSWORD.encode())
        assert x509.load_pem_x509_certificates(file.content) == path[:2]
    elif wanted is KeyFormat.JKS:
        assert file.content.startswith(b"\xfe\xed\xfe\xed")
        return  # read in the tests of its writer
    else:
        store = load_pkcs12(file.content, PASSWORD.encode())
        assert store.key is not None
        assert store.cert is not None
        key = store.key
        assert [store.cert.certificate, *(each.certificate for each in store.additional_certs)] == path
        assert store.cert.friendly_name == b"web"
        told = openssl_info(tmp_path, file.content, is_legacy=wanted is KeyFormat.PKCS12_LEGACY)
        cipher = "pbeWithSHA1And3-KeyTripleDES-CBC" if wanted is KeyFormat.PKCS12_LEGACY else "AES-256-CBC"
        assert told.count(cipher) == 2
        assert f"MAC: {'sha1' if wanted is KeyFormat.PKCS12_LEGACY else 'sha256'}" in told
    assert private_key_pem(key) == made.private_key  # type: ignore[arg-type]
    assert not CertificateSecret.objects.exists()
    assert not AuditEvent.objects.filter(event="get-cert-private-key").exists()


def openssl_info(folder: Path, store: bytes, *, is_legacy: bool) -> str:
    (folder / "store.p12").write_bytes(store)
    command = ["openssl", "pkcs12", "-in", "store.p12", "-info", "-nokeys", "-passin", f"pass:{PASSWORD}"]
    command += ["-legacy"] if is_legacy else []
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_keytool_reads_the_truststore_and_the_keystores(pki: Pki, tmp_path: Path) -> None:
    made = issued(pki)
    (tmp_path / "trust.p12").write_bytes(public_file(made.certificate, PublicFormat.TRUSTSTORE).content)
    for name, password, kind in (
        ("trust.p12", "changeit", "trustedCertEntry"),
        ("key.p12", PASSWORD, "PrivateKeyEntry"),
    ):
        if name == "key.p12":
            file = key_file(
                requester=SYSTEM, certificate=made.certificate, packing=packing(), open_key=made.private_key
            )
            (tmp_path / name).write_bytes(file.content)
        command = [str(KEYTOOL), "-list", "-keystore", name, "-storepass", password]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        assert kind in done.stdout


def test_a_kept_key_is_read_by_permission_and_leaves_its_event(pki: Pki) -> None:
    profile = update_profile(requester=SYSTEM, profile=pki.profile, changes={"key_retention": KeyRetention.ESCROW})
    made = issue_certificate(
        profile=profile,
        requester=SYSTEM,
        request=IssuanceRequest(subject=(AttributeValue(SubjectAttribute.COMMON_NAME, "www.acme.com"),)),
    )
    bob = requester_for(make_user("bob", project=pki.project, role=Role.MEMBER))
    file = key_file(requester=bob, certificate=made.certificate, packing=packing())
    store = load_pkcs12(file.content, PASSWORD.encode())
    assert private_key_pem(store.key) == made.private_key  # type: ignore[arg-type]
    event = AuditEvent.objects.get(event="get-cert-private-key")
    assert (event.actor_name, event.data["via"]) == ("bob", "pkcs12")
    victor = requester_for(make_user("victor", project=pki.project, role=Role.VIEWER))
    with pytest.raises(PermissionDenied):
        key_file(requester=victor, certificate=made.certificate, packing=packing())


def test_packing_a_key_that_waits_for_its_claim_is_the_claim_and_nothing_refused_uses_it_up(pki: Pki) -> None:
    made = issued(pki)
    assert made.private_key is not None
    sealed = seal_key(load_pem_private_key(made.private_key.encode(), None))  # type: ignore[arg-type]
    store_sealed_key(sealed, certificate=made.certificate, retention=KeyRetention.ONCE)
    file = key_file(requester=SYSTEM, certificate=made.certificate, packing=packing(KeyFormat.JKS))
    assert file.name == "www.acme.com.jks"
    assert CertificateSecret.objects.get().claimed_by == SYSTEM.name
    assert AuditEvent.objects.get(event="claim-cert-private-key").data["via"] == "jks"
    with pytest.raises(Gone, match="claimed by"):
        key_file(requester=SYSTEM, certificate=made.certificate, packing=packing())


@pytest.mark.parametrize("wanted", [KeyFormat.PKCS12, KeyFormat.PKCS12_LEGACY, KeyFormat.JKS])
def test_an_ml_dsa_key_is_refused_unread_and_the_remedy_works(wanted: KeyFormat) -> None:
    algorithms = {"key_algorithm": ["ML-DSA-44"], "signature": ["ML-DSA-44"]}
    profile = make_issuing_profile(make_project(), authority_key=KeyAlgorithm.ML_DSA_44, algorithms=algorithms)
    profile = update_profile(requester=SYSTEM, profile=profile, changes={"key_retention": KeyRetention.ESCROW})
    request = IssuanceRequest(subject=(AttributeValue(SubjectAttribute.COMMON_NAME, "www.acme.com"),))
    made = issue_certificate(profile=profile, requester=SYSTEM, request=request)
    with pytest.raises(Invalid, match="Take the format pem") as refusal:
        key_file(requester=SYSTEM, certificate=made.certificate, packing=packing(wanted))
    assert refusal.value.violations[0].field == "format"
    assert not AuditEvent.objects.filter(event="get-cert-private-key").exists()
    file = key_file(requester=SYSTEM, certificate=made.certificate, packing=packing(KeyFormat.PEM))
    key = load_pem_private_key(file.content, PASSWORD.encode())
    assert private_key_pem(key) == made.private_key  # type: ignore[arg-type]


def test_no_key_of_another_certificate_is_packed(pki: Pki) -> None:
    first, second = issued(pki), issued(pki)
    for key in (
        second.private_key,
        "",
        "no key",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        "x" * 20_000,
    ):
        with pytest.raises(Invalid, match="not the private key"):
            key_file(requester=SYSTEM, certificate=first.certificate, packing=packing(), open_key=key)


@pytest.mark.parametrize("curve", [ec.SECP224R1(), ec.BrainpoolP512R1()], ids=lambda curve: curve.name)
@pytest.mark.parametrize("wanted", KeyFormat)
def test_a_key_of_a_kind_that_is_not_certified_here_is_packed_for_an_imported_certificate(
    pki: Pki, wanted: KeyFormat, curve: ec.EllipticCurve
) -> None:
    one = foreign(key=ec.generate_private_key(curve))
    certificate = imported(pki, one, with_chain=True)

    file = key_file(requester=SYSTEM, certificate=certificate, packing=packing(wanted), open_key=one.key_pem.decode())

    if wanted is KeyFormat.PEM:
        assert load_pem_private_key(file.content, PASSWORD.encode()).public_key() == one.key.public_key()
    elif wanted is not KeyFormat.JKS:
        key = load_pkcs12(file.content, PASSWORD.encode()).key
        assert key is not None
        assert key.public_key() == one.key.public_key()


def test_without_a_key_the_state_of_the_key_is_told(pki: Pki) -> None:
    with pytest.raises(Gone, match="was not kept"):
        key_file(requester=SYSTEM, certificate=issued(pki).certificate, packing=packing())
    with pytest.raises(NotFound, match="imported without it"):
        key_file(requester=SYSTEM, certificate=imported(pki, foreign(), with_chain=True), packing=packing())
