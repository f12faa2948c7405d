"""One road, three doors: API, page and command make the same TBSCertificate, up to serial number, key and time."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import core, keys
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.management import CommandError

from certificates.models import Certificate, CertificateRequest
from pki_portal.audit.models import AuditEvent
from tests.doors.doors import by_api, by_command, by_page
from tests.wire import Pki, make_csr, make_pki

pytestmark = pytest.mark.django_db


@pytest.fixture
def pki() -> Pki:
    return make_pki(
        key_usages={"allowed": ["digital_signature", "key_agreement"]},
        extended_key_usages={"allowed": ["server_auth", "client_auth"]},
    )


def comparable(certificate: Certificate) -> bytes:
    """The TBSCertificate with serial number, validity, key and subject key identifier blanked out."""
    tbs = asn1_x509.Certificate.load(bytes(certificate.der))["tbs_certificate"]
    tbs["serial_number"] = 1
    tbs["subject_public_key_info"]["public_key"] = keys.ECPointBitString(b"\x04" + bytes(64))
    for end in ("not_before", "not_after"):
        tbs["validity"][end] = asn1_x509.Time({"utc_time": core.UTCTime("260101000000Z")})
    for extension in tbs["extensions"]:
        if extension["extn_id"].native == "key_identifier":
            extension["extn_value"] = core.ParsableOctetString(b"\x04\x00")
    dumped: bytes = tbs.dump(force=True)
    return dumped


def unordered(asked: dict[str, Any]) -> dict[str, Any]:
    """What was asked, without the order of the subject's attributes: a JSON object and a form have none."""
    return asked | {"subject": sorted(asked["subject"], key=lambda attribute: str(attribute["type"]))}


def assert_all_the_same(count: int) -> list[Certificate]:
    """All certificates in the database are of one kind, were asked for alike and left one event each."""
    made = list(Certificate.objects.select_related("request").order_by("created_at"))
    assert len(made) == count
    assert len({comparable(certificate) for certificate in made}) == 1
    lives = {certificate.not_after - certificate.not_before for certificate in made}
    assert len(lives) == 1
    asked = [unordered(certificate.issuing_request.asked) for certificate in made]
    assert all(each == asked[0] for each in asked)
    assert len({certificate.serial_number for certificate in made}) == count
    for certificate in made:
        assert AuditEvent.objects.filter(subject_id=str(certificate.pk), outcome="done").count() == 1
    return made


def test_fields_make_the_same_certificate(pki: Pki) -> None:
    answer = by_api(
        pki,
        {
            "attributes": {
                "commonName": "service.acme.com",
                "organization": "Acme",
                "altNames": [
                    {"type": "DNS", "value": "service.acme.com"},
                    {"type": "IP", "value": "192.0.2.7"},
                    {"type": "DNS", "value": "www.service.acme.com"},
                ],
                "ttl": "45d",
                "keyAlgorithm": "EC_prime256v1",
                "signatureAlgorithm": "ECDSA-SHA384",
                "keyUsages": ["digital_signature"],
                "extendedKeyUsages": ["client_auth"],
            }
        },
    )
    assert answer.status_code == 200, answer.json()
    page = by_page(
        pki,
        {
            "method": "fields",
            "common_name": "service.acme.com",
            "organization": "Acme",
            "san_type": ["dns_name", "ip_address", "dns_name"],
            "san_value": ["service.acme.com", "192.0.2.7", "www.service.acme.com"],
            "ttl": "45d",
            "key_algorithm": "EC_prime256v1",
            "signature_algorithm": "ECDSA-SHA384",
            "key_usages": ["digital_signature"],
            "extended_key_usages": ["client_auth"],
        },
    )
    assert page.status_code == 200
    by_command(
        pki, "--common-name", "service.acme.com", "--organization", "Acme", "--dns", "service.acme.com", "--ip",
        "192.0.2.7", "--dns", "www.service.acme.com", "--ttl", "45d", "--key-algorithm", "EC_prime256v1",
        "--signature-algorithm", "ECDSA-SHA384", "--key-usage", "digital_signature", "--extended-key-usage",
        "client_auth",
    )  # fmt: skip

    made = assert_all_the_same(3)

    assert {certificate.renew_before_days for certificate in made} == {7}
    assert {certificate.key_source for certificate in made} == {"portal"}
    assert len({certificate.fingerprint_sha256 for certificate in made}) == 3


def test_the_least_that_can_be_said_is_filled_alike(pki: Pki) -> None:
    name = "service.acme.com"
    sans = [{"type": "DNS", "value": name}]
    answer = by_api(pki, {"attributes": {"commonName": name, "altNames": sans, "ttl": "90d"}})
    assert answer.status_code == 200, answer.json()
    page = by_page(pki, {"common_name": name, "common_name_as_dns": "on", "ttl": "90d"})
    assert page.status_code == 200
    by_command(pki, "--common-name", name, "--dns", name, "--ttl", "90d")

    assert_all_the_same(3)


def test_a_csr_makes_the_same_certificate(pki: Pki, tmp_path: Path) -> None:
    csr = make_csr(ec.generate_private_key(ec.SECP256R1()))
    (tmp_path / "service.csr").write_text(csr)

    assert by_api(pki, {"csr": csr, "attributes": {"ttl": "30d"}}).status_code == 200
    assert by_page(pki, {"method": "csr", "csr": csr, "ttl": "30d"}).status_code == 200
    by_command(pki, "--csr", str(tmp_path / "service.csr"), "--ttl", "30d")

    made = assert_all_the_same(3)
    assert {certificate.key_source for certificate in made} == {"applicant"}


def test_all_doors_refuse_alike(pki: Pki) -> None:
    name, ttl = "service.acme.com", "400d"
    refusals: list[Callable[[], Any]] = [
        lambda: by_api(pki, {"attributes": {"commonName": name, "ttl": ttl, "extendedKeyUsages": ["code_signing"]}}),
        lambda: by_command(pki, "--common-name", name, "--ttl", ttl, "--extended-key-usage", "code_signing"),
    ]

    assert refusals[0]().status_code == 400
    with pytest.raises(CommandError):
        refusals[1]()
    # The page offers only what the template allows, so it can be asked for too long a life alone.
    assert by_page(pki, {"common_name": name, "ttl": ttl}).status_code == 422

    assert Certificate.objects.count() == 0
    api, command, page = CertificateRequest.objects.order_by("created_at")
    assert _told(api) == _told(command)
    assert [violation for violation in _told(api) if violation["field"] == "ttl"] == _told(page)
    assert AuditEvent.objects.filter(event="issue-certificate-from-profile", outcome="refused").count() == 3


def _told(row: CertificateRequest) -> list[dict[str, Any]]:
    """The violations without the instants that a fix names: each door asked at its own second."""
    instant = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
    told: list[dict[str, Any]] = json.loads(instant.sub("(then)", json.dumps(row.violations)))
    return told
