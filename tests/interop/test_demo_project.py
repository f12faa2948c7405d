"""The certificates of the project that quickstart makes, issued by a running portal, judged by programs of others."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from tests.portal import Portal

API = "/api/v1/cert-manager"
HOST = "service.acme.com"
GNUTLS = shutil.which("certtool")


@pytest.mark.timeout(180)
# What quickstart makes is read back on both databases elsewhere; here others judge bytes that no database changes.
@pytest.mark.any_database
def test_openssl_and_pkilint_accept_leaf_intermediate_and_root_of_both_families(portal: Portal, tmp_path: Path) -> None:
    token = portal.token()
    profiles = {"ec": portal.made["profileIds"]["tls-server"], "rsa": make_rsa_profile(portal, token)}
    issuer_keys: dict[str, type] = {"ec": ec.EllipticCurvePublicKey, "rsa": rsa.RSAPublicKey}

    for family, profile_id in profiles.items():
        folder = tmp_path / family
        folder.mkdir()
        told = issue(portal, token, profile_id)
        chain = write_path(told, folder)
        assert isinstance(chain[1].public_key(), issuer_keys[family])
        assert chain[-1].subject == chain[-1].issuer

        assert_openssl_accepts(folder)
        if GNUTLS:
            assert_gnutls_accepts(folder)
        for name in ("leaf", "issuing", "root"):
            assert_pkilint_is_silent(folder / f"{name}.pem")


def make_rsa_profile(portal: Portal, token: str) -> str:
    body = {
        "projectId": portal.made["projectId"],
        "caId": portal.made["caIds"]["rsa"],
        "certificateTemplateId": portal.made["templateIds"]["tls-server"],
        "slug": "tls-server-rsa",
        "enrollmentType": "API",
        "apiConfig": {"autoRenew": True, "renewBeforeDays": 7},
    }
    made = portal.call("POST", f"{API}/certificate-profiles", body, token=token)
    return str(made["certificateProfile"]["id"])


def issue(portal: Portal, token: str, profile_id: str) -> dict[str, Any]:
    attributes = {
        "commonName": HOST,
        "organization": "Acme",
        "country": "US",
        "ttl": "1y",
        "altNames": [{"type": "DNS", "value": HOST}, {"type": "IP", "value": "192.0.2.7"}],
    }
    answer = portal.call(
        "POST", f"{API}/certificates", {"profileId": profile_id, "attributes": attributes}, token=token
    )
    certificate: dict[str, Any] = answer["certificate"]
    return certificate


def write_path(told: dict[str, Any], folder: Path) -> list[x509.Certificate]:
    """Leaf, issuing CA and root of the answer, each in a file of its own."""
    path = x509.load_pem_x509_certificates(f"{told['certificate']}\n{told['certificateChain']}\n".encode())
    for name, certificate in zip(("leaf", "issuing", "root"), path, strict=True):
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    return path


def assert_openssl_accepts(folder: Path) -> None:
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", HOST]
    verdict = run([*command, "-CAfile", "root.pem", "-untrusted", "issuing.pem", "leaf.pem"], folder)
    assert (verdict.returncode, verdict.stdout.strip()) == (0, "leaf.pem: OK"), verdict.stdout + verdict.stderr


def assert_gnutls_accepts(folder: Path) -> None:
    files = (folder / f"{name}.pem" for name in ("leaf", "issuing", "root"))
    (folder / "path.pem").write_text("".join(file.read_text() for file in files))
    command = [str(GNUTLS), "--verify", "--verify-profile", "medium", "--verify-hostname", HOST]
    verdict = run([*command, "--load-ca-certificate", "root.pem", "--infile", "path.pem"], folder)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    assert "Chain verification output: Verified." in verdict.stdout


def assert_pkilint_is_silent(file: Path) -> None:
    """Neither error nor warning by pkilint's own command, with none of our waivers."""
    linter = str(Path(sys.executable).with_name("lint_pkix_cert"))
    verdict = run([linter, "lint", "--severity", "WARNING", str(file)], file.parent)
    assert (verdict.returncode, verdict.stdout.strip()) == (0, ""), file.name + verdict.stdout + verdict.stderr


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
