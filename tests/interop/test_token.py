"""A CA whose key is in SoftHSM, served by the portal's own processes: the token goes away and comes back, they stay."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.portal import Portal
from tests.tokens import PIN, SoftToken, make_token


@pytest.fixture
def token(tmp_path: Path) -> SoftToken:
    return make_token(tmp_path / "token")


@pytest.mark.timeout(300)
def test_a_running_portal_outlives_its_token(portal: Portal, token: SoftToken) -> None:
    portal.kill()
    portal.environment |= token.environment
    portal.start()
    access = portal.token()
    root = portal.call(
        "POST",
        "/api/v1/cert-manager/ca/internal",
        {
            "projectId": portal.made["projectId"],
            "name": "hsm-root",
            "configuration": {
                "type": "root",
                "commonName": "HSM Root",
                "keyAlgorithm": "EC_secp384r1",
                "keyStore": "pkcs11",
            },
        },
        token=access,
    )
    profile = portal.call(
        "POST",
        "/api/v1/cert-manager/certificate-profiles",
        {
            "projectId": portal.made["projectId"],
            "slug": "hsm",
            "caId": root["id"],
            "certificateTemplateId": portal.made["templateIds"]["tls-server"],
            "enrollmentType": "api",
            "apiConfig": {"autoRenew": False},
        },
        token=access,
    )["certificateProfile"]

    def issue() -> x509.Certificate:
        body = {"profileId": profile["id"], "attributes": {"commonName": "service.acme.com", "ttl": "1d"}}
        answer = portal.call("POST", "/api/v1/cert-manager/certificates", body, token=access)
        return x509.load_pem_x509_certificate(answer["certificate"]["certificate"].encode())

    # So often that every worker has a session.
    first = [issue() for _ in range(8)][-1]
    (point,) = first.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert point.full_name
    published = _fetched(point.full_name[0].value)

    token.take_away()

    told = [_refusal(issue) for _ in range(8)]
    assert {each["statusCode"] for each in told} == {503}
    assert all("The key of CA hsm-root cannot be used: the token" in each["message"] for each in told)
    assert all(each["reqId"].startswith("req-") and PIN not in json.dumps(each) for each in told)
    assert _fetched(point.full_name[0].value) == published

    token.bring_back()

    issuer = portal.call("GET", f"/api/v1/cert-manager/ca/internal/{root['id']}/certificate", token=access)
    certificate = x509.load_pem_x509_certificate(issuer["certificate"].encode())
    for again in [issue() for _ in range(8)]:
        again.verify_directly_issued_by(certificate)
    assert x509.load_der_x509_crl(published).is_signature_valid(certificate.public_key())  # type: ignore[arg-type]
    assert portal.manage("check_certificates").returncode == 0


def _refusal(act: Any) -> dict[str, Any]:
    with pytest.raises(urllib.error.HTTPError) as caught:
        act()
    read: dict[str, Any] = json.load(caught.value)
    return read


def _fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own address
        content: bytes = answer.read()
        return content
