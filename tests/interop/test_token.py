"""A CA whose key is in SoftHSM, served by the portal's own processes: the token goes away and comes back, they stay."""

import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.portal import Portal
from tests.tokens import PIN, SoftToken, make_token


@pytest.fixture
def token(tmp_path: Path) -> SoftToken:
    return make_token(tmp_path / "token")


@pytest.mark.timeout(300)
@pytest.mark.any_database  # it is the token that goes away
def test_a_running_portal_outlives_its_token(portal: Portal, token: SoftToken, tmp_path: Path) -> None:
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
    *_, other, first = [issue() for _ in range(8)]
    revoke = f"/api/v1/cert-manager/certificates/{other.serial_number:040x}/revoke"
    portal.call("POST", revoke, {"revocationReason": "SUPERSEDED"}, token=access)
    (point,) = first.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert point.full_name
    published = _fetched(point.full_name[0].value)
    issuer = portal.call("GET", f"/api/v1/cert-manager/ca/internal/{root['id']}/certificate", token=access)
    files = {"root": issuer["certificate"].encode(), "good": _pem(first), "revoked": _pem(other)}
    files["crl"] = x509.load_der_x509_crl(published).public_bytes(Encoding.PEM)
    for name, content in files.items():
        (tmp_path / f"{name}.pem").write_bytes(content)
    # openssl on what the key in the token signed, and on the answers of the responder that it certified.
    verify = ("verify", "-x509_strict", "-crl_check_all", "-CAfile", "root.pem", "-CRLfile", "crl.pem")
    assert "good.pem: OK" in _openssl(tmp_path, *verify, "good.pem")
    assert "certificate revoked" in _openssl(tmp_path, *verify, "revoked.pem")
    responder = f"{portal.base_url}/api/v1/cert-manager/ocsp/{root['id']}"
    for name in ("good", "revoked"):
        assert _asked(tmp_path, responder, name) == name

    token.take_away()

    told = [_refusal(issue) for _ in range(8)]
    assert {each["statusCode"] for each in told} == {503}
    assert all("The key of CA hsm-root cannot be used: the token" in each["message"] for each in told)
    assert all(each["reqId"].startswith("req-") and PIN not in json.dumps(each) for each in told)
    assert _fetched(point.full_name[0].value) == published
    # The responder's key is not in the token: whoever asks is answered.
    assert _asked(tmp_path, responder, "good") == "good"

    token.bring_back()

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


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _openssl(folder: Path, *arguments: str) -> str:
    command = ["openssl", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def _asked(folder: Path, responder: str, name: str) -> str:
    """The status of a certificate, by an answer that openssl verified; with a nonce, so that it is signed now."""
    files = ("-issuer", "root.pem", "-cert", f"{name}.pem", "-CAfile", "root.pem")
    told = _openssl(folder, "ocsp", "-url", responder, *files)
    assert "Response verify OK" in told, told
    return told.partition(f"{name}.pem: ")[2].split()[0]


def _fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own address
        content: bytes = answer.read()
        return content
