"""The 26 CSRs of cryptography's own test vectors, sent to the API: each is signed, or refused for its stated reason."""

import base64
import textwrap
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509
from django.test import Client

from certificates.models import Certificate
from tests.assertions import assert_error
from tests.wire import CERTIFICATES, Pki, load_pem, make_client, make_pki, post_json

pytestmark = pytest.mark.django_db

VECTORS = Path(cryptography_vectors.__file__).parent / "x509" / "requests"

# Signed: a good self-signature by a key that may be certified, whatever harmless attributes stand beside it.
SIGNED = {
    "challenge-unstructured.pem": "a challenge password and an unstructured name, both ignored",
    "challenge.pem": "a challenge password, ignored",
    "ec_sha256.der": "EC P-384",
    "ec_sha256.pem": "EC P-384",
    "ec_sha256_old_header.pem": "EC P-384 under the header NEW CERTIFICATE REQUEST",
    "rsa_sha256.der": "RSA 2048",
    "rsa_sha256.pem": "RSA 2048",
}
# Refused: file -> (status, code, why).
REFUSED = {
    "bad-version.pem": (422, "version", "RFC 2986, 4.1 knows version 0 only; this says 1"),
    "basic_constraints.pem": (400, "weak_signature", "proof of possession by SHA-1"),
    "challenge-invalid.der": (400, "bad_signature", "changed after it was signed"),
    "challenge-multi-valued.der": (400, "bad_signature", "changed after it was signed"),
    "dsa_sha1.der": (400, "weak_signature", "DSA with SHA-1"),
    "dsa_sha1.pem": (400, "weak_signature", "DSA with SHA-1"),
    "freeipa-bad-critical.pem": (400, "unreadable", "a BOOLEAN that is no DER (X.690, 11.1)"),
    "invalid_signature.pem": (400, "bad_signature", "made so"),
    "long-form-attribute.pem": (400, "bad_signature", "changed after it was signed"),
    "rsa_md4.der": (400, "weak_signature", "proof of possession by MD4"),
    "rsa_md4.pem": (400, "weak_signature", "proof of possession by MD4"),
    "rsa_sha1.der": (400, "weak_signature", "proof of possession by SHA-1"),
    "rsa_sha1.pem": (400, "weak_signature", "proof of possession by SHA-1"),
    "san_rsa_sha1.der": (400, "weak_signature", "proof of possession by SHA-1"),
    "san_rsa_sha1.pem": (400, "weak_signature", "proof of possession by SHA-1"),
    "two_basic_constraints.pem": (400, "duplicate_extension", "RFC 5280, 4.2: no extension twice"),
    "unsupported_extension.pem": (400, "weak_signature", "proof of possession by SHA-1"),
    "unsupported_extension_critical.pem": (400, "weak_signature", "proof of possession by SHA-1"),
    "zero-element-attribute.pem": (400, "unreadable", "an attribute without a value (RFC 2986, 4.1: SIZE(1..MAX))"),
}


@pytest.fixture
def pki() -> Pki:
    subject = ("common_name", "organization", "organizational_unit", "country", "state", "locality")
    return make_pki(
        subject=[{"type": kind, "allowed": ["*"]} for kind in subject],
        key_usages={"allowed": ["digital_signature", "key_encipherment"]},
        extended_key_usages={"allowed": ["server_auth"]},
    )


@pytest.fixture
def robot(pki: Pki) -> Client:
    return make_client(pki.project)


def as_text(path: Path) -> str:
    """A vector as a client would send it: PEM as it is, DER armoured."""
    if path.suffix == ".pem":
        return path.read_text()
    lines = textwrap.wrap(base64.b64encode(path.read_bytes()).decode(), 64)
    return "\n".join(["-----BEGIN CERTIFICATE REQUEST-----", *lines, "-----END CERTIFICATE REQUEST-----", ""])


def test_every_vector_has_a_verdict() -> None:
    assert {path.name for path in VECTORS.iterdir()} == SIGNED.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", SIGNED)
def test_a_sound_csr_is_signed_for_its_own_key_and_subject(pki: Pki, robot: Client, name: str) -> None:
    text = as_text(VECTORS / name)

    response = post_json(robot, CERTIFICATES, {"profileId": str(pki.profile.pk), "csr": text})

    assert response.status_code == 200, response.json()
    certificate = load_pem(response.json()["certificate"]["certificate"])
    csr = x509.load_pem_x509_csr(text.encode())
    assert certificate.public_key() == csr.public_key()
    assert {(part.oid, part.value) for part in certificate.subject} == {(part.oid, part.value) for part in csr.subject}
    if "challenge" in name:
        assert "challenge_password" in " ".join(response.json()["warnings"])


@pytest.mark.parametrize("name", REFUSED)
def test_an_unsound_csr_is_refused_for_its_reason(pki: Pki, robot: Client, name: str) -> None:
    status, code, _ = REFUSED[name]

    response = post_json(robot, CERTIFICATES, {"profileId": str(pki.profile.pk), "csr": as_text(VECTORS / name)})

    error = "ValidationFailure" if status == 422 else "BadRequest"
    details = assert_error(response, status=status, error=error, field="/csr")["details"]
    assert code in [detail["code"] for detail in details]
    assert Certificate.objects.count() == 0
