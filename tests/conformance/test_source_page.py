"""The samples of the enrollment documentation, pasted as they are there: only ids and token are filled in."""

import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from django.test import Client

from certificates.models import Certificate
from certificates.x509.lint import Severity, lint
from profiles.policy.vocabulary import KeyAlgorithm
from profiles.services import create_template
from tests.factories import SYSTEM
from tests.scenery import server_template
from tests.wire import ALGORITHMS, CERTIFICATES, PROFILES, Pki, load_pem, make_client, make_csr, make_pki

pytestmark = pytest.mark.django_db

CREATE_PROFILE = """{
"projectId": "<project-id>",
"caId": "<ca-id>",
"certificateTemplateId": "<certificate-template-id>",
"slug": "my-api-profile",
"description": "Certificate profile for API enrollment",
"enrollmentType": "API",
"apiConfig": {
"autoRenew": true,
"renewBeforeDays": 7
}
}"""
ISSUE = """{
"profileId": "<certificate-profile-id>",
"attributes": {
"commonName": "service.acme.com",
"ttl": "1y",
"signatureAlgorithm": "RSA-SHA256",
"keyAlgorithm": "RSA_2048",
"keyUsages": ["digital_signature", "key_encipherment"],
"extendedKeyUsages": ["server_auth"],
"altNames": [
{
"type": "DNS",
"value": "service.acme.com"
},
{
"type": "DNS",
"value": "www.service.acme.com"
}
]
}
}"""
SIGN = """{
"profileId": "<certificate-profile-id>",
"csr": "<csr>",
"attributes": {
"ttl": "1y"
}
}"""


@pytest.fixture(scope="module")
def applicant_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def pki() -> Pki:
    return make_pki(key_algorithm=KeyAlgorithm.RSA_3072)


@pytest.fixture
def robot(pki: Pki) -> Client:
    return make_client(pki.project)


def paste(client: Client, path: str, body: str, **fillings: str) -> dict[str, Any]:
    """Send a sample with its placeholders filled in."""
    for placeholder, value in fillings.items():
        body = body.replace(f"<{placeholder.replace('_', '-')}>", value)
    response = client.post(path, body, content_type="application/json")
    answer: dict[str, Any] = response.json()
    assert response.status_code == 200, answer
    return answer


def create_profile(pki: Pki, robot: Client) -> dict[str, Any]:
    document = server_template(name=f"t-{uuid4()}", algorithms=ALGORITHMS)
    template = create_template(requester=SYSTEM, project=pki.project, document=document)
    answer = paste(
        robot,
        PROFILES,
        CREATE_PROFILE,
        project_id=str(pki.project.pk),
        ca_id=str(pki.issuing.pk),
        certificate_template_id=str(template.pk),
    )
    profile: dict[str, Any] = answer["certificateProfile"]
    return profile


def test_sample_one_makes_a_profile_with_auto_renewal(pki: Pki, robot: Client) -> None:
    profile = create_profile(pki, robot)

    assert profile["projectId"] == str(pki.project.pk)
    assert profile["caId"] == str(pki.issuing.pk)
    assert profile["slug"] == "my-api-profile"
    assert profile["description"] == "Certificate profile for API enrollment"
    assert profile["enrollmentType"] == "api"
    assert profile["apiConfigId"] is not None
    for name in ("id", "certificateTemplateId", "createdAt", "updatedAt"):
        assert profile[name]


def test_sample_two_issues_exactly_what_it_asks(pki: Pki, robot: Client, tmp_path: Path) -> None:
    profile = create_profile(pki, robot)

    answer = paste(robot, CERTIFICATES, ISSUE, certificate_profile_id=profile["id"])

    told = answer["certificate"]
    assert set(told) == {
        "certificate", "certificateChain", "issuingCaCertificate", "privateKey", "serialNumber", "certificateId",
    }  # fmt: skip
    assert answer["certificateRequestId"]
    assert answer["warnings"] == []
    certificate = load_pem(told["certificate"])
    assert certificate.subject.rfc4514_string() == "CN=service.acme.com"
    assert dns_names(certificate) == ["service.acme.com", "www.service.acme.com"]
    assert certificate.not_valid_after_utc.year - certificate.not_valid_before_utc.year == 1
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days == 365
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_encipherment, usage.key_cert_sign) == (True, True, False)
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [purpose.dotted_string for purpose in purposes] == ["1.3.6.1.5.5.7.3.1"]
    key = load_pem_private_key(told["privateKey"].encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 2048
    assert key.public_key() == certificate.public_key()
    assert certificate.signature_algorithm_oid == x509.SignatureAlgorithmOID.RSA_WITH_SHA256
    assert Certificate.objects.get().renew_before_days == 7
    assert_openssl_accepts(told, tmp_path)
    assert_lint_is_clean(told)


def test_sample_three_signs_the_csr_without_any_private_key(
    pki: Pki, robot: Client, applicant_key: rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    profile = create_profile(pki, robot)
    csr = make_csr(applicant_key).strip().replace("\n", "\\n")

    answer = paste(robot, CERTIFICATES, SIGN, certificate_profile_id=profile["id"], csr=csr)

    told = answer["certificate"]
    assert "privateKey" not in told
    assert load_pem(told["certificate"]).public_key() == applicant_key.public_key()
    assert_openssl_accepts(told, tmp_path)
    assert_lint_is_clean(told)


def test_the_certificate_of_sample_two_is_told_to_renew_7_days_before_its_end(pki: Pki, robot: Client) -> None:
    profile = create_profile(pki, robot)
    told = paste(robot, CERTIFICATES, ISSUE, certificate_profile_id=profile["id"])["certificate"]

    found = robot.get(f"{CERTIFICATES}/{told['certificateId']}").json()["certificate"]

    assert found["renewBeforeDays"] == 7
    assert (found["keyAlgorithm"], found["signatureAlgorithm"]) == ("RSA_2048", "RSA-SHA256")
    assert found["altNames"] == "service.acme.com,www.service.acme.com"
    profile_again = robot.get(f"{PROFILES}/{profile['id']}").json()["certificateProfile"]
    assert profile_again["apiConfigId"] == profile["apiConfigId"]


def dns_names(certificate: x509.Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName)


def assert_openssl_accepts(told: dict[str, Any], folder: Path) -> None:
    """``openssl verify -x509_strict`` accepts the path, with the answer's own chain."""
    chain = told["certificateChain"].split("-----\n-----")
    root = f"-----{chain[-1]}"
    for name, pem in (("leaf", told["certificate"]), ("issuing", told["issuingCaCertificate"]), ("root", root)):
        (folder / f"{name}.pem").write_text(f"{pem}\n")
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "service.acme.com"]
    command += ["-CAfile", "root.pem", "-untrusted", "issuing.pem", "leaf.pem"]
    verdict = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    assert (verdict.returncode, verdict.stdout.strip()) == (0, "leaf.pem: OK"), verdict.stderr


def assert_lint_is_clean(told: dict[str, Any]) -> None:
    """pkilint's PKIX rules find neither error nor warning in the certificate and all above it."""
    chain = x509.load_pem_x509_certificates(told["certificateChain"].encode())
    for certificate in (load_pem(told["certificate"]), *chain):
        findings = lint(certificate.public_bytes(Encoding.DER))
        assert not [finding for finding in findings if finding.severity is not Severity.NOTICE], certificate.subject
