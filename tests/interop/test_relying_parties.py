"""What is published about revocation, fetched from a running portal and believed by programs of others."""

import base64
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.ocsp import load_der_ocsp_response
from cryptography.x509.oid import AuthorityInformationAccessOID

from tests.portal import Portal, free_port

API = "/api/v1/cert-manager"
HOST = "service.acme.com"
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
INSTALL = "is needed: make programs installs it (Debian: apt-get install nginx-light gnutls-bin openssl)"


def program(name: str) -> str:
    """Its path; a test that lacks it fails and says what to install."""
    found = shutil.which(name, path=PATH)
    assert found, f"{name} {INSTALL}"
    return found


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A program of others in the folder of the files."""
    return subprocess.run(
        [program(command[0]), *command[1:]], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


# --- A certificate, and what it names ---------------------------------------------------------------------------------


@dataclass
class Issued:
    """A certificate from the portal and the files that programs read: leaf, key, issuing, root."""

    portal: Portal
    token: str
    folder: Path
    told: dict[str, Any]

    def revoke(self, reason: str = "KEY_COMPROMISE") -> None:
        path = f"{API}/certificates/{self.told['certificateId']}/revoke"
        self.portal.call("POST", path, {"revocationReason": reason}, token=self.token)

    def certificate(self, name: str = "leaf") -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.folder / f"{name}.pem").read_bytes())

    def fetch_crls(self) -> None:
        """``crls.pem`` of leaf and issuing CA, from where those say; each in DER beside it."""
        pem = b""
        for name in ("leaf", "issuing"):
            (point,) = self.certificate(name).extensions.get_extension_for_class(x509.CRLDistributionPoints).value
            assert point.full_name is not None
            document = fetch(point.full_name[0].value)
            (self.folder / f"crl-{name}.der").write_bytes(document)
            pem += x509.load_der_x509_crl(document).public_bytes(Encoding.PEM)
        (self.folder / "crls.pem").write_bytes(pem)

    def responder_url(self, name: str = "leaf") -> str:
        access = self.certificate(name).extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        (url,) = [
            each.access_location.value for each in access if each.access_method == AuthorityInformationAccessOID.OCSP
        ]
        return str(url)


def fetch(url: str) -> bytes:
    """GET without login."""
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - our own portal
        document: bytes = answer.read()
        return document


def issue(portal: Portal, token: str, profile_id: str, folder: Path, host: str = HOST) -> Issued:
    """A certificate for ``host`` and the address 127.0.0.1, and its files."""
    folder.mkdir()
    attributes = {
        "commonName": host,
        "ttl": "30d",
        "altNames": [{"type": "DNS", "value": host}, {"type": "IP", "value": "127.0.0.1"}],
    }
    told = portal.call("POST", f"{API}/certificates", {"profileId": profile_id, "attributes": attributes}, token=token)
    certificate = told["certificate"]
    path = x509.load_pem_x509_certificates(
        f"{certificate['certificate']}\n{certificate['certificateChain']}\n".encode()
    )
    for name, each in zip(("leaf", "issuing", "root"), path, strict=True):
        (folder / f"{name}.pem").write_bytes(each.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_text(certificate["privateKey"] + "\n")
    (folder / "cas.pem").write_bytes(b"".join((folder / f"{name}.pem").read_bytes() for name in ("issuing", "root")))
    (folder / "chain.pem").write_bytes(b"".join((folder / f"{name}.pem").read_bytes() for name in ("leaf", "issuing")))
    return Issued(portal, token, folder, certificate)


def make_profile(portal: Portal, token: str, key_algorithm: str) -> str:
    """A root and an issuing CA with such keys, and a profile of the latter whose template leaves algorithms open."""
    name = key_algorithm.lower().replace("_", "-")
    common = {"friendlyName": name, "organization": "Acme", "ou": "", "country": "US", "province": "", "locality": ""}
    cas: list[str] = []
    for kind in ("root", "intermediate"):
        configuration = {**common, "type": kind, "commonName": f"{kind} {name}", "keyAlgorithm": key_algorithm}
        configuration["maxPathLength"] = 1 - len(cas)  # type: ignore[assignment]
        if cas:
            configuration["parentCaId"] = cas[0]
        body = {"projectId": portal.made["projectId"], "name": f"{kind}-{name}", "configuration": configuration}
        cas.append(portal.call("POST", f"{API}/ca/internal", body, token=token)["id"])
    template = {
        "projectId": portal.made["projectId"],
        "name": name,
        "subject": [{"type": "common_name", "allowed": ["*"]}],
        "sans": [{"type": kind, "allowed": ["*"]} for kind in ("dns_name", "ip_address")],
        "keyUsages": {"required": ["digital_signature"]},
        "extendedKeyUsages": {"required": ["server_auth"]},
        "validity": {"max": "90d"},
    }
    made = portal.call("POST", f"{API}/certificate-templates", template, token=token)
    body = {
        "projectId": portal.made["projectId"],
        "caId": cas[1],
        "certificateTemplateId": made["certificateTemplate"]["id"],
        "slug": f"server-{name}",
        "enrollmentType": "API",
        "apiConfig": {"autoRenew": False},
    }
    made = portal.call("POST", f"{API}/certificate-profiles", body, token=token)
    return str(made["certificateProfile"]["id"])


# --- openssl, GnuTLS and pkilint; on CAs with every kind of key: test_every_kind_of_ca.py -----------------------------


@pytest.mark.timeout(300)
@pytest.mark.any_database  # what is published is judged, by others
def test_openssl_gnutls_and_pkilint_believe_crl_and_ocsp_of_a_running_portal(portal: Portal, tmp_path: Path) -> None:
    token = portal.token()
    issued = issue(portal, token, make_profile(portal, token, "RSA_2048"), tmp_path / "issued")
    issued.fetch_crls()
    assert_accepted_with_crls(issued)
    assert_gnutls_accepts_with_crls(issued)
    for name, issuer in (("leaf", "issuing"), ("issuing", "root")):
        assert "good" in asked_by_post(issued, name, issuer)
    assert "good" in asked_by_get(issued)

    issued.revoke()

    assert_accepted_with_crls(issued)  # by the lists that were fetched before
    issued.fetch_crls()
    assert_revoked_by_crls(issued)
    assert_gnutls_refuses_by_crls(issued)
    told = asked_by_post(issued, "leaf", "issuing")
    assert "revoked" in told
    assert "keyCompromise" in told
    assert "revoked" in asked_by_get(issued)
    assert_pkilint_is_silent(issued)


VERIFY = ("openssl", "verify", "-x509_strict", "-crl_check_all", "-CAfile", "root.pem", "-untrusted", "issuing.pem")


def assert_accepted_with_crls(issued: Issued) -> None:
    verdict = run(issued.folder, *VERIFY, "-CRLfile", "crls.pem", "leaf.pem")
    assert (verdict.returncode, verdict.stdout.strip()) == (0, "leaf.pem: OK"), verdict.stdout + verdict.stderr


def assert_revoked_by_crls(issued: Issued) -> None:
    verdict = run(issued.folder, *VERIFY, "-CRLfile", "crls.pem", "leaf.pem")
    assert verdict.returncode != 0
    assert "certificate revoked" in verdict.stderr, verdict.stderr


def by_gnutls(issued: Issued) -> subprocess.CompletedProcess[str]:
    (issued.folder / "path.pem").write_bytes(
        b"".join((issued.folder / f"{name}.pem").read_bytes() for name in ("leaf", "issuing", "root"))
    )
    files = ("--load-ca-certificate", "root.pem", "--load-crl", "crls.pem", "--infile", "path.pem")
    return run(issued.folder, "certtool", "--verify", "--verify-profile", "medium", "--verify-hostname", HOST, *files)


def assert_gnutls_accepts_with_crls(issued: Issued) -> None:
    verdict = by_gnutls(issued)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    assert "Chain verification output: Verified." in verdict.stdout


def assert_gnutls_refuses_by_crls(issued: Issued) -> None:
    verdict = by_gnutls(issued)
    assert "revoked" in verdict.stdout + verdict.stderr, verdict.stdout + verdict.stderr


def asked_by_post(issued: Issued, name: str, issuer: str) -> str:
    """openssl asks the responder that the certificate names, with a nonce, and verifies the answer."""
    told = run(
        issued.folder,
        *("openssl", "ocsp", "-issuer", f"{issuer}.pem", "-cert", f"{name}.pem", "-CAfile", "cas.pem"),
        *("-url", issued.responder_url(name), "-respout", f"ocsp-{name}.der"),
    )
    assert "Response verify OK" in told.stderr, told.stdout + told.stderr
    assert "WARNING" not in told.stdout + told.stderr
    return told.stdout


def asked_by_get(issued: Issued) -> str:
    """The same by GET, as caches and servers that staple do (RFC 5019); openssl makes the request and judges."""
    common = ("openssl", "ocsp", "-issuer", "issuing.pem", "-cert", "leaf.pem", "-no_nonce")
    made = run(issued.folder, *common, "-reqout", "request.der")
    assert made.returncode == 0, made.stderr
    encoded = quote(base64.b64encode((issued.folder / "request.der").read_bytes()).decode(), safe="")
    (issued.folder / "response.der").write_bytes(fetch(f"{issued.responder_url()}/{encoded}"))
    told = run(issued.folder, *common, "-respin", "response.der", "-CAfile", "cas.pem")
    assert "Response verify OK" in told.stderr, told.stdout + told.stderr
    return told.stdout


def assert_pkilint_is_silent(issued: Issued) -> None:
    """Neither error nor warning by pkilint's own commands on CRL and answer; the responder's certificate too."""
    answer = load_der_ocsp_response((issued.folder / "ocsp-leaf.der").read_bytes())
    (issued.folder / "responder.pem").write_bytes(answer.certificates[0].public_bytes(Encoding.PEM))
    for command in (
        ["lint_crl", "lint", "-t", "CRL", "-p", "PKIX", "-s", "WARNING", "crl-leaf.der"],
        ["lint_crl", "lint", "-t", "ARL", "-p", "PKIX", "-s", "WARNING", "crl-issuing.der"],
        ["lint_ocsp_response", "lint", "-s", "WARNING", "ocsp-leaf.der"],
        ["lint_pkix_cert", "lint", "-s", "WARNING", "responder.pem"],
    ):
        linter = str(Path(sys.executable).with_name(command[0]))
        verdict = subprocess.run(
            [linter, *command[1:]], cwd=issued.folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert (verdict.returncode, verdict.stdout.strip()) == (0, ""), f"{command}{verdict.stdout}{verdict.stderr}"


# --- nginx ------------------------------------------------------------------------------------------------------------


@contextmanager
def nginx(folder: Path, server: str) -> Iterator[int]:
    """nginx from the system's package with one TLS server, on a port of its own."""
    port = free_port()
    for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "nginx.conf").write_text(
        f"""
        daemon off; master_process on; pid {folder}/nginx.pid; error_log {folder}/error.log info;
        {"user root;" if os.geteuid() == 0 else ""}
        events {{ worker_connections 64; }}
        http {{
            access_log off;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
            server {{
                listen 127.0.0.1:{port} ssl;
                ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/key.pem;
                {server}
                location / {{ return 200 "welcome"; }}
            }}
        }}
        """
    )
    command = [program("nginx"), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log"), "-p", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_until_open(port, process)
        yield port
    finally:
        process.send_signal(signal.SIGQUIT)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stderr is not None:
            process.stderr.close()


def wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.poll() is None, "nginx ended instead of serving"
        try:
            ssl.get_server_certificate(("127.0.0.1", port), timeout=2)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("nginx did not answer in time")


def status_with(client: Issued, server: Issued, port: int) -> int:
    """What nginx answers to this client certificate."""
    context = ssl.create_default_context(cafile=str(server.folder / "root.pem"))
    context.load_cert_chain(client.folder / "chain.pem", client.folder / "key.pem")
    try:
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/", timeout=10, context=context) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        return refusal.code


@pytest.mark.timeout(180)
@pytest.mark.any_database  # what is published is judged, by others
def test_nginx_refuses_a_revoked_client_once_it_has_the_published_crl(portal: Portal, tmp_path: Path) -> None:
    token = portal.token()
    server = issue(portal, token, portal.made["profileIds"]["tls-server"], tmp_path / "server")
    client = issue(portal, token, portal.made["profileIds"]["tls-client"], tmp_path / "client", "client.acme.com")
    other = issue(portal, token, portal.made["profileIds"]["tls-client"], tmp_path / "other", "other.acme.com")
    client.fetch_crls()
    trust = f"ssl_client_certificate {client.folder}/cas.pem; ssl_crl {client.folder}/crls.pem;"
    configuration = f"ssl_verify_client on; ssl_verify_depth 2; {trust}"
    with nginx(server.folder, configuration) as port:
        assert status_with(client, server, port) == 200
        client.revoke()
        assert status_with(client, server, port) == 200  # nginx reads its list when it starts

    client.fetch_crls()

    with nginx(server.folder, configuration) as port:
        assert status_with(client, server, port) == 400
        assert "certificate revoked" in (server.folder / "error.log").read_text()
        assert status_with(other, server, port) == 200


@pytest.mark.timeout(180)
@pytest.mark.any_database  # what is published is judged, by others
def test_nginx_staples_our_answer(portal: Portal, tmp_path: Path) -> None:
    token = portal.token()
    server = issue(portal, token, portal.made["profileIds"]["tls-server"], tmp_path / "server")
    stapling = f"ssl_stapling on; ssl_stapling_verify on; ssl_trusted_certificate {server.folder}/cas.pem;"
    with nginx(server.folder, stapling) as port:
        deadline = time.monotonic() + 30
        while "OCSP Response Status: successful" not in (told := asked_in_handshake(server, port)):
            # The first handshake makes nginx ask; a later one has the answer.
            assert time.monotonic() < deadline, told + (server.folder / "error.log").read_text()
            time.sleep(0.2)
    assert "Cert Status: good" in told
    assert "Verify return code: 0 (ok)" in told


def asked_in_handshake(server: Issued, port: int) -> str:
    told = subprocess.run(
        [program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-status", "-CAfile", "root.pem"],
        cwd=server.folder, input="", capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return told.stdout + told.stderr
