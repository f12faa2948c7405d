"""CA keys in a token: what they sign is good, they do not leave it, and a token that is away is told."""

import copy
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from certificates.checks import check_token_settings
from certificates.keystore.pkcs11 import close_token, destroy_key, load_signer, make_key
from certificates.models import AuthorityKey, Certificate, CertificateAuthority
from certificates.models.authority import ChainPhase, KeyStore
from certificates.services.authorities import (
    AuthoritySubject,
    authority_csr,
    create_intermediate,
    delete_authority,
    rekey_authority,
    update_authority,
)
from certificates.services.crl import current_crl, publish_crl
from certificates.services.signing import check_authority_key, destroy_orphaned_token_key, orphaned_token_keys
from certificates.x509.keys import public_key_info
from pki_portal.access.models import Project
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import Unavailable
from profiles.policy.vocabulary import KeyAlgorithm
from tests.factories import SYSTEM, make_project, make_user
from tests.tokens import LABEL, PIN, SoftToken
from tests.tokens import make_token as make_soft_token
from tests.wire import CERTIFICATES, issue_body, load_pem, make_client, make_profile_of, post_json

P256 = KeyAlgorithm.EC_PRIME256V1
KINDS = [
    KeyAlgorithm.RSA_2048,
    KeyAlgorithm.RSA_3072,
    P256,
    KeyAlgorithm.EC_SECP384R1,
    KeyAlgorithm.EC_SECP521R1,
    KeyAlgorithm.ED25519,
]
ALL_ALGORITHMS = {
    "key_algorithm": ["ECDSA-P256"],
    "signature": ["SHA256-ECDSA", "SHA384-ECDSA", "SHA256-RSA", "ED25519"],
}
AUTHORITIES = "/api/v1/cert-manager/ca/internal"


@pytest.fixture(scope="module")
def soft_token(tmp_path_factory: pytest.TempPathFactory) -> SoftToken:
    """One token for all tests here: making one takes a while."""
    return make_soft_token(tmp_path_factory.mktemp("token"))


@pytest.fixture(autouse=True)
def token(soft_token: SoftToken, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftToken]:
    """The portal is configured for the token."""
    monkeypatch.setenv("SOFTHSM2_CONF", str(soft_token.configuration))
    settings.PKCS11_MODULE = soft_token.module
    settings.PKCS11_TOKEN_LABEL = LABEL
    settings.PKCS11_PIN = PIN
    yield soft_token
    if (soft_token.folder / "away").exists():
        soft_token.bring_back()
    close_token()


def owner() -> str:
    return "issuing"


def in_another_process(token: SoftToken, code: str, *arguments: str) -> str:
    """What the code prints that opens the token by itself, as anybody with the PIN can; ``session`` and ``label``."""
    script = (
        "import sys, pkcs11\nfrom pkcs11 import Attribute, ObjectClass, KeyType\n"
        f"lib = pkcs11.lib({token.module!r})\n"
        f"session = lib.get_token(token_label={LABEL!r}).open(rw=True, user_pin={PIN!r})\n"
        "label = sys.argv[1]\n" + code
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=os.environ | {"SOFTHSM2_CONF": str(token.configuration)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def signed(private: Any, data: bytes) -> bytes:
    """A signature that its public half accepts."""
    public = private.public_key()
    if isinstance(private, rsa.RSAPrivateKey):
        signature = private.sign(data, padding.PKCS1v15(), hashes.SHA384())
        public.verify(signature, data, padding.PKCS1v15(), hashes.SHA384())
    elif isinstance(private, ec.EllipticCurvePrivateKey):
        signature = private.sign(data, ec.ECDSA(hashes.SHA512()))
        public.verify(signature, data, ec.ECDSA(hashes.SHA512()))
    else:
        assert isinstance(private, ed25519.Ed25519PrivateKey)
        signature = private.sign(data)
        public.verify(signature, data)
    return signature


# --- Keys


@pytest.mark.parametrize("algorithm", KINDS)
def test_every_kind_of_key_is_made_and_signs(algorithm: KeyAlgorithm) -> None:
    made = make_key(algorithm, owner=owner)
    assert signed(made, b"data")
    close_token()
    again = load_signer(label=made.label, public_key_spki=public_key_info(made.public_key()), owner=owner)
    assert signed(again.private_key, b"data")
    assert public_key_info(again.public_key()) == public_key_info(made.public_key())
    assert repr(again) == "TokenSigner()"
    assert copy.deepcopy(made) is copy.copy(made) is made


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.RSA_2048, P256])
def test_a_digest_is_signed_as_it_is(algorithm: KeyAlgorithm) -> None:
    """A large CRL is hashed in a stream, and only its digest is handed over."""
    made = make_key(algorithm, owner=owner)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(b"data")
    prehashed = Prehashed(hashes.SHA256())
    if algorithm is P256:
        made.public_key().verify(made.sign(digest.finalize(), ec.ECDSA(prehashed)), b"data", ec.ECDSA(hashes.SHA256()))
    else:
        signature = made.sign(digest.finalize(), padding.PKCS1v15(), prehashed)
        made.public_key().verify(signature, b"data", padding.PKCS1v15(), hashes.SHA256())


def test_what_a_token_key_does_not_do_is_refused() -> None:
    made = make_key(KeyAlgorithm.RSA_2048, owner=owner)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    attempts: tuple[Callable[[], Any], ...] = (
        lambda: made.sign(b"data", pss, hashes.SHA256()),
        lambda: made.sign(b"data", padding.PKCS1v15(), hashes.SHA1()),  # noqa: S303 - refused
        lambda: made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        lambda: made.private_numbers(),
        lambda: made.decrypt(b"data", padding.PKCS1v15()),
    )
    for attempt in attempts:
        with pytest.raises(UnsupportedAlgorithm):
            attempt()


@pytest.mark.parametrize("algorithm", [KeyAlgorithm.RSA_2048, P256, KeyAlgorithm.ED25519])
def test_the_private_key_is_not_extractable(token: SoftToken, algorithm: KeyAlgorithm) -> None:
    made = make_key(algorithm, owner=owner)
    told = in_another_process(
        token,
        """
key = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=label)
for name in ("VALUE", "PRIVATE_EXPONENT", "PRIME_1", "PRIME_2", "EXPONENT_1", "EXPONENT_2", "COEFFICIENT"):
    try:
        print("LEAKED", name, key[Attribute[name]])
    except (pkcs11.AttributeSensitive, pkcs11.AttributeTypeInvalid) as refused:
        print(name, type(refused).__name__)
wrapping = session.generate_key(KeyType.AES, 256)
try:
    print("LEAKED", wrapping.wrap_key(key))
except pkcs11.PKCS11Error as refused:
    print("wrapping", type(refused).__name__)
for name, value in (("EXTRACTABLE", True), ("SENSITIVE", False)):
    try:
        key[Attribute[name]] = value
        print("LEAKED", name)
    except pkcs11.PKCS11Error as refused:
        print(name, type(refused).__name__)
for name in ("SENSITIVE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "LOCAL", "PRIVATE", "SIGN"):
    print(name, key[Attribute[name]])
for name in ("EXTRACTABLE", "DECRYPT", "UNWRAP", "DERIVE"):
    print(name, key[Attribute[name]])
""",
        made.label,
    )
    lines = set(told.splitlines())
    secret = "PRIVATE_EXPONENT" if algorithm is KeyAlgorithm.RSA_2048 else "VALUE"
    assert f"{secret} AttributeSensitive" in lines
    assert "LEAKED" not in told
    assert "wrapping KeyUnextractable" in lines
    assert {f"{name} True" for name in ("SENSITIVE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "LOCAL")} <= lines
    assert {f"{name} False" for name in ("EXTRACTABLE", "DECRYPT", "UNWRAP", "DERIVE")} <= lines


def test_threads_share_the_session_without_harm() -> None:
    """Two sessions signing at once crash the process (python-pkcs11 initialises the library for one thread)."""
    made = make_key(P256, owner=owner)
    done: list[bytes] = []

    def work() -> None:
        done.extend(signed(made, b"data") for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 200


def test_a_forked_process_opens_a_session_of_its_own(token: SoftToken) -> None:
    """In a process of its own: forking one that runs threads is not for a test suite."""
    made = make_key(P256, owner=owner)
    spki = public_key_info(made.public_key()).hex()
    code = f"""
import os, django
django.setup()
from django.conf import settings
from certificates.keystore import pkcs11
from certificates.x509.keys import public_key_info
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
signer = pkcs11.load_signer(label={made.label!r}, public_key_spki=bytes.fromhex({spki!r}), owner=str)
def sign():
    signature = signer.private_key.sign(b"data", ec.ECDSA(hashes.SHA256()))
    signer.public_key().verify(signature, b"data", ec.ECDSA(hashes.SHA256()))
sign()
children = []
for _ in range(2):
    child = os.fork()
    if not child:
        try:
            for _ in range(20):
                sign()
        except BaseException as problem:
            print(repr(problem), flush=True)
            os._exit(1)
        os._exit(0)
    children.append(child)
for _ in range(20):
    sign()
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""
    environment = os.environ | token.environment | {"DJANGO_SETTINGS_MODULE": "pki_portal.settings"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "[0, 0]", done.stdout + done.stderr


# --- Faults


def test_a_token_that_is_away_is_told_and_one_that_is_back_signs_again(token: SoftToken) -> None:
    made = make_key(P256, owner=owner)
    signed(made, b"data")
    token.take_away()
    for _ in range(2):
        with pytest.raises(Unavailable, match=rf"key of CA issuing cannot be used: the token '{LABEL}' is not there"):
            made.sign(b"data", ec.ECDSA(hashes.SHA256()))
    with pytest.raises(Unavailable, match="is not there"):
        make_key(P256, owner=owner)
    token.bring_back()
    assert signed(made, b"data")


def test_a_session_that_has_ended_is_opened_again() -> None:
    made = make_key(P256, owner=owner)
    close_token()
    assert signed(made, b"data")


def test_a_key_that_was_destroyed_in_the_token_is_told() -> None:
    made = make_key(P256, owner=owner)
    signed(made, b"data")
    destroy_key(made.label)
    with pytest.raises(Unavailable, match="does not hold it"):
        made.sign(b"data", ec.ECDSA(hashes.SHA256()))


def test_another_key_under_the_label_signs_nothing(token: SoftToken) -> None:
    made, other = make_key(P256, owner=owner), make_key(P256, owner=owner)
    close_token()
    wrong = load_signer(label=other.label, public_key_spki=public_key_info(made.public_key()), owner=owner)
    with pytest.raises(Unavailable, match="holds another key labelled"):
        signed(wrong.private_key, b"data")


def test_a_wrong_pin_is_told_once_and_not_tried_again(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_key(P256, owner=owner)
    close_token()
    settings.PKCS11_PIN = "wrong-0000"
    for _ in range(3):
        with pytest.raises(Unavailable, match="refuses PKCS11_PIN") as caught:
            signed(made, b"data")
        assert "wrong-0000" not in f"{caught.value!r} {caught.value.__cause__!r}"
        # No second login: with the token's library out of reach the answer is the same.
        monkeypatch.setattr("pkcs11.lib", None)
    monkeypatch.undo()
    assert "wrong-0000" not in caplog.text


def test_a_missing_library_is_told(settings: Settings) -> None:
    made = make_key(P256, owner=owner)
    close_token()
    settings.PKCS11_MODULE = "/nonexistent/libhsm.so"
    with pytest.raises(Unavailable, match="does not answer"):
        signed(made, b"data")


def test_settings_are_checked_without_asking_the_token(token: SoftToken, settings: Settings) -> None:
    token.take_away()
    assert list(check_token_settings()) == []
    settings.PKCS11_MODULE = "/nonexistent/libhsm.so"
    settings.PKCS11_PIN = settings.PKCS11_TOKEN_LABEL = ""
    found = list(check_token_settings())
    assert {each.id for each in found} == {"certificates.E004"}
    assert [str(each.msg).split()[0] for each in found] == ["PKCS11_MODULE"] * 3
    settings.PKCS11_MODULE = ""
    assert list(check_token_settings()) == []


# --- CAs


@pytest.fixture
def project(db: None) -> Project:
    return make_project()


def made_by_api(client: Any, project: Project, **configuration: Any) -> Any:
    body = {
        "projectId": str(project.pk),
        "name": "hsm-root",
        "configuration": {"type": "root", "commonName": "HSM Root", "keyAlgorithm": "EC_prime256v1"} | configuration,
    }
    return post_json(client, AUTHORITIES, body)


@pytest.mark.parametrize(
    ("spelling", "kind"),
    [
        ("RSA_2048", rsa.RSAPublicKey),
        ("RSA_3072", rsa.RSAPublicKey),
        ("EC_prime256v1", ec.EllipticCurvePublicKey),
        ("EC_secp384r1", ec.EllipticCurvePublicKey),
        ("ED25519", ed25519.Ed25519PublicKey),
    ],
)
def test_a_ca_in_the_token_signs_itself_certificates_crls_and_csrs(
    project: Project, spelling: str, kind: type[Any]
) -> None:
    client = make_client(project)

    answer = made_by_api(client, project, keyStore="pkcs11", keyAlgorithm=spelling)

    assert answer.status_code == 200, answer.json()
    assert answer.json()["configuration"]["keyStore"] == "pkcs11"
    root = CertificateAuthority.objects.get(pk=answer.json()["id"])
    key = root.keys.get()
    assert (key.key_store, key.sealed_private_key, key.token_label) == (KeyStore.PKCS11, None, str(key.pk))
    assert root.active_certificate is not None
    certificate = x509.load_der_x509_certificate(bytes(root.active_certificate.der))
    assert isinstance(certificate.public_key(), kind)
    issued = post_json(client, CERTIFICATES, issue_body(make_profile_of(root, algorithms=ALL_ALGORITHMS)))
    assert issued.status_code == 200, issued.json()
    load_pem(issued.json()["certificate"]["certificate"]).verify_directly_issued_by(certificate)
    crl = key.revocation_list
    first = crl.number or 0
    publish_crl(revocation_list=crl, now=timezone.now())
    assert (crl.number or 0) > first
    assert x509.load_der_x509_crl(bytes(crl.der or b"")).is_signature_valid(certificate.public_key())  # type: ignore[arg-type]
    below = create_intermediate(
        requester=SYSTEM,
        project=project,
        name="below",
        subject=AuthoritySubject(common_name="Below"),
        key_algorithm=KeyAlgorithm(root.key_algorithm),
        parent=None,
        key_store=KeyStore.PKCS11,
    )
    csr = x509.load_pem_x509_csr(authority_csr(requester=SYSTEM, authority=below).encode())
    assert csr.is_signature_valid
    destroy_orphans()
    call_command("check_certificates")


def destroy_orphans() -> None:
    """Other tests leave keys in the token; so does a process that is killed before it stores its CA."""
    for label in orphaned_token_keys():
        destroy_orphaned_token_key(requester=SYSTEM, label=label)


def test_a_key_of_no_ca_is_named_with_the_command_that_removes_it(project: Project) -> None:
    destroy_orphans()
    made_by_api(make_client(project), project, keyStore="pkcs11")
    (kept,) = AuthorityKey.objects.values_list("token_label", flat=True)
    orphan = make_key(P256, owner=owner).label
    out = StringIO()
    with pytest.raises(CommandError, match="1 findings"):
        call_command("check_certificates", stdout=out)
    assert f"token key {orphan}: belongs to no CA" in out.getvalue()
    assert f"manage.py destroy_token_key {orphan}" in out.getvalue()
    for label in (kept, str(uuid4()), "nonsense"):
        with pytest.raises(CommandError, match="belongs to no CA"):
            call_command("destroy_token_key", label)

    call_command("destroy_token_key", orphan, stdout=out)

    assert f"Key {orphan} was destroyed." in out.getvalue()
    assert orphaned_token_keys() == []
    assert AuditEvent.objects.filter(event="destroy-token-key", subject_id=orphan).count() == 1
    call_command("check_certificates", stdout=out)


def test_the_next_key_of_a_ca_in_the_token_is_made_there_and_both_certify_each_other(project: Project) -> None:
    root = CertificateAuthority.objects.get(
        pk=made_by_api(make_client(project), project, keyStore="pkcs11").json()["id"]
    )
    rekey_authority(requester=SYSTEM, authority=root, not_after=timezone.now() + timedelta(days=7000))
    assert list(root.keys.values_list("key_store", "sealed_private_key")) == [(KeyStore.PKCS11, None)] * 2
    assert root.certificates.count() == 4
    update_authority(requester=SYSTEM, authority=root, chain_phase=ChainPhase.CROSS_SIGNED)
    issued = post_json(make_client(project, name="r2"), CERTIFICATES, issue_body(make_profile_of(root)))
    assert issued.status_code == 200, issued.json()
    destroy_orphans()
    call_command("check_certificates")


def test_a_rekey_that_fails_leaves_no_key_in_the_token(
    token: SoftToken, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = CertificateAuthority.objects.get(
        pk=made_by_api(make_client(project), project, keyStore="pkcs11").json()["id"]
    )
    before = in_another_process(token, "print(len(list(session.get_objects())))", "")

    def full(*_: Any, **__: Any) -> None:
        raise OperationalError("database or disk is full")

    monkeypatch.setattr("certificates.services.authorities.rekeying.sign_version", full)
    with pytest.raises(OperationalError):
        rekey_authority(requester=SYSTEM, authority=root, not_after=timezone.now() + timedelta(days=7000))
    assert root.keys.count() == 1
    assert in_another_process(token, "print(len(list(session.get_objects())))", "") == before


def test_a_ca_is_in_the_database_unless_told(project: Project) -> None:
    answer = made_by_api(make_client(project), project)
    assert answer.json()["configuration"]["keyStore"] == "database"
    key = AuthorityKey.objects.get()
    assert (key.key_store, key.token_label) == (KeyStore.DATABASE, "")
    assert key.sealed_private_key


def test_a_token_that_is_not_configured_is_refused(project: Project, settings: Settings) -> None:
    settings.PKCS11_MODULE = ""
    answer = made_by_api(make_client(project), project, keyStore="pkcs11")
    assert answer.status_code == 400
    (detail,) = answer.json()["details"]
    assert (detail["pointer"], detail["code"]) == ("/configuration/keyStore", "key_store_not_configured")
    assert not CertificateAuthority.objects.exists()
    assert made_by_api(make_client(project, name="other"), project, keyStore="vault").status_code == 422


def test_a_ca_whose_storing_fails_leaves_no_key_in_the_token(
    token: SoftToken, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = in_another_process(token, "print(len(list(session.get_objects())))", "")

    def full(*_: Any, **__: Any) -> None:
        raise OperationalError("database or disk is full")

    monkeypatch.setattr("certificates.services.authorities.making.certify", full)
    answer = made_by_api(make_client(project), project, keyStore="pkcs11")

    assert answer.status_code == 503
    assert not CertificateAuthority.objects.exists()
    assert in_another_process(token, "print(len(list(session.get_objects())))", "") == before


def test_a_deleted_ca_takes_its_key_along(
    token: SoftToken,
    project: Project,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = make_client(project)
    roots = []
    for name in ("one", "two"):
        answer = post_json(
            client,
            AUTHORITIES,
            {
                "projectId": str(project.pk),
                "name": name,
                "configuration": {
                    "type": "root", "commonName": name, "keyAlgorithm": "EC_prime256v1", "keyStore": "pkcs11",
                },
            },
        )  # fmt: skip
        roots.append(CertificateAuthority.objects.get(pk=answer.json()["id"]))
    keys = [root.keys.get() for root in roots]

    with django_capture_on_commit_callbacks(execute=True):
        delete_authority(requester=SYSTEM, authority=roots[0])
    with pytest.raises(Unavailable, match="does not hold it"):
        check_authority_key(keys[0])

    token.take_away()
    close_token()
    with django_capture_on_commit_callbacks(execute=True):
        delete_authority(requester=SYSTEM, authority=roots[1])
    assert f"key {keys[1].token_label} of a deleted CA is left in its token" in caplog.text


def test_a_token_that_is_away_is_a_503_with_the_cas_name_and_its_crl_is_still_served(
    token: SoftToken, project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    client = make_client(project)
    root = CertificateAuthority.objects.get(pk=made_by_api(client, project, keyStore="pkcs11").json()["id"])
    profile = make_profile_of(root)
    revocation_list = root.keys.get().revocation_list
    token.take_away()
    caplog.set_level(logging.ERROR)

    answer = post_json(client, CERTIFICATES, issue_body(profile))

    body = answer.json()
    assert answer.status_code == 503
    assert body["message"].startswith("The key of CA hsm-root cannot be used: the token")
    assert body["reqId"] == answer["X-Request-Id"]
    assert int(answer["Retry-After"]) > 0
    assert "The key of CA hsm-root cannot be used" in caplog.text
    assert PIN not in caplog.text + answer.content.decode()
    assert not Certificate.objects.exists()
    crl = Client().get(f"/api/v1/cert-manager/crl/{revocation_list.pk}/der")
    assert (crl.status_code, crl.content) == (200, bytes(revocation_list.der or b""))
    due = timezone.now() + timedelta(days=6)
    assert current_crl(crl_id=revocation_list.pk, now=due).number == revocation_list.number
    with pytest.raises(Unavailable, match="CA hsm-root"):
        current_crl(crl_id=revocation_list.pk, now=due + timedelta(days=2))

    token.bring_back()

    assert post_json(client, CERTIFICATES, issue_body(profile)).status_code == 200
    assert (current_crl(crl_id=revocation_list.pk, now=due).number or 0) > (revocation_list.number or 0)


def test_a_ca_is_made_in_the_token_by_page(token: SoftToken, project: Project, settings: Settings) -> None:
    client = Client()
    client.force_login(make_user(project=project))
    address = f"/projects/{project.slug}/authorities/create/"
    typed = {"kind": "root", "name": "by-page", "common_name": "By page", "key_algorithm": P256.value}

    assert b"PKCS#11 token" in client.get(address).content
    token.take_away()
    refused = client.post(address, typed | {"key_store": "pkcs11"})
    assert refused.status_code == 503
    assert b"The key of CA by-page cannot be used" in refused.content
    assert refused["X-Request-Id"].encode() in refused.content
    token.bring_back()
    made = client.post(address, typed | {"key_store": "pkcs11"}, follow=True)
    assert b"in a PKCS#11 token" in made.content

    settings.PKCS11_MODULE = ""
    assert b"PKCS#11 token" not in client.get(address).content
    assert client.post(address, typed | {"name": "other"}).status_code == 302
    assert CertificateAuthority.objects.get(name="other").key_store == KeyStore.DATABASE
