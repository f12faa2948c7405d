"""A server whose certificate the worker renews, kept alive by the script that the documentation offers: curl, openssl,
nginx.
"""

import json
import os
import re
import ssl
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.interop.test_relying_parties import API, HOST, PATH, nginx, program, run
from tests.portal import ROOT, Portal

SCRIPT = ROOT / "docs" / "examples" / "renew-with-curl.sh"
CERTIFICATES = f"{API}/certificates"
# Two thirds of it pass before each renewal.
LIFE_SECONDS = 36
RENEWALS = 3


@dataclass
class Server:
    """nginx with one file for certificate, chain and key, and what the script needs beside it."""

    portal: Portal
    token: str
    folder: Path
    port: int
    certificate_id: str

    @property
    def pem(self) -> Path:
        return self.folder / "server.pem"

    def script(self, **changes: str) -> subprocess.CompletedProcess[str]:
        """One run of it, by the smallest shell that there is."""
        nginx_here = f"{program('nginx')} -c {self.folder}/nginx.conf -e {self.folder}/error.log -p {self.folder}"
        environment = {
            "PATH": PATH,
            "PKI_URL": self.portal.base_url,
            "PKI_LOGIN": str(self.folder / "login.json"),
            "PKI_CA": str(self.folder / "root.pem"),
            "PKI_PEM": str(self.pem),
            "RELOAD": f"{nginx_here} -t -q && {nginx_here} -s reload",
        }
        return subprocess.run(
            ["sh", str(SCRIPT)], env=environment | changes, capture_output=True, text=True, timeout=60, check=False
        )

    def served(self) -> x509.Certificate:
        """What nginx shows, accepted by openssl: path, names and dates."""
        told = run(
            self.folder,
            *("openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-servername", HOST),
            *("-CAfile", "root.pem", "-verify_return_error", "-verify_hostname", HOST),
        )
        assert told.returncode == 0, told.stdout + told.stderr
        assert "Verify return code: 0 (ok)" in told.stdout
        return x509.load_pem_x509_certificate(told.stdout.encode())

    def serves(self, certificate: x509.Certificate) -> bool:
        """Within a moment: nginx has new processes ready before it ends the old ones."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if self.served() == certificate:
                return True
            time.sleep(0.05)
        return False

    def in_file(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.pem.read_bytes())

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        return self.portal.call(method, path, body, token=self.token)

    def renew(self) -> str:
        """The last certificate, by call; the id of the successor."""
        return str(self.call("POST", f"{CERTIFICATES}/{self.line()[-1]}/renew")["certificateId"])

    def line(self) -> list[str]:
        """Ids of the first certificate and its successors."""
        ids = [self.certificate_id]
        while following := self.call("GET", f"{CERTIFICATES}/{ids[-1]}")["certificate"]["renewedByCertificateId"]:
            ids.append(following)
        return ids

    def successors(self) -> int:
        """How many came after the first certificate."""
        return len(self.line()) - 1


@pytest.fixture
def server(portal: Portal, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    """Serving with a first certificate, of the life that the test asks for."""
    folder = tmp_path / "server"
    folder.mkdir()
    token = portal.token()
    attributes = {
        "commonName": HOST,
        "ttl": getattr(request, "param", "30d"),
        "altNames": [{"type": "DNS", "value": HOST}],
    }
    body = {"profileId": portal.made["profileIds"]["tls-server"], "attributes": attributes}
    told = portal.call("POST", CERTIFICATES, body, token=token)["certificate"]
    path = f"{told['certificate']}\n{told['certificateChain']}\n"
    root = x509.load_pem_x509_certificates(path.encode())[-1]
    (folder / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    pem = folder / "server.pem"
    pem.touch(0o600)
    pem.write_text(f"{path}{told['privateKey']}\n")
    (folder / "chain.pem").symlink_to("server.pem")
    (folder / "key.pem").symlink_to("server.pem")
    login = {name: portal.made[name] for name in ("clientId", "clientSecret")}
    (folder / "login.json").write_text(json.dumps(login))
    portal.call("PATCH", f"{CERTIFICATES}/{told['certificateId']}/config", {"renewBeforeDays": 1}, token=token)
    with nginx(folder, server="") as port:
        yield Server(portal, token, folder, port, told["certificateId"])


def assert_nothing_left(server: Server) -> None:
    """The file alone remembers, and nobody else reads it; the one before it is kept for people."""
    left = {path.name for path in server.folder.glob("server.pem*")}
    assert left <= {"server.pem", "server.pem.previous"}
    assert {stat.S_IMODE((server.folder / name).stat().st_mode) for name in left} == {0o600}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("server", [f"{LIFE_SECONDS}s"], indirect=True)
def test_a_server_is_kept_alive_over_three_renewals_by_the_worker(server: Server) -> None:
    shown = [server.served()]
    assert shown[0] == server.in_file()
    while len(shown) <= RENEWALS:
        ran = server.script()
        assert ran.returncode == 0, ran.stderr
        served = server.served()  # at all times one that openssl accepts
        if "was renewed" in ran.stdout:
            renewed = server.in_file()
            assert renewed != shown[-1]
            assert server.serves(renewed)
            shown.append(renewed)
        else:
            assert served == shown[-1]
            time.sleep(1)

    assert len({each.serial_number for each in shown}) == RENEWALS + 1
    assert len({public_key_of(each) for each in shown}) == RENEWALS + 1
    for before, after in pairwise(shown):
        assert after.not_valid_before_utc < before.not_valid_after_utc
        assert after.subject == before.subject
    assert server.successors() == RENEWALS
    assert_nothing_left(server)


@pytest.mark.any_database  # it is the script that is judged
@pytest.mark.timeout(300)
def test_whatever_fails_the_old_pair_goes_on_until_a_run_succeeds(server: Server) -> None:
    first = server.in_file()
    assert (server.script().returncode, server.successors()) == (0, 0)
    server.renew()
    before = server.pem.read_bytes()

    unreachable = server.script(PKI_URL="http://127.0.0.1:9")
    nobody = server.folder / "nobody.json"
    nobody.write_text(json.dumps({"clientId": server.portal.made["clientId"], "clientSecret": "wrong"}))
    refused = server.script(PKI_LOGIN=str(nobody))
    other_root = server.folder / "other-root.pem"
    make_root(other_root)
    untrusted = server.script(PKI_CA=str(other_root))
    not_taken = server.script(RELOAD="false")

    for ran in (unreachable, refused, untrusted, not_taken):
        assert (ran.returncode, ran.stdout) == (1, "")
        assert "stays as it is" in ran.stderr
        assert server.portal.made["clientSecret"] not in ran.stderr
    assert server.pem.read_bytes() == before
    assert server.serves(first)

    # The key was claimed by the run that did not trust it, and is not lost: no further renewal is needed.
    assert server.script().returncode == 0
    assert server.successors() == 1
    assert server.serves(server.in_file())
    assert server.in_file() != first
    assert_nothing_left(server)

    # A claim whose answer was lost leads to a new key.
    lost = server.call("GET", f"{CERTIFICATES}/{server.renew()}/bundle")
    assert lost["privateKey"]
    ran = server.script()
    assert ran.returncode == 0, ran.stderr
    assert server.successors() == 3
    assert server.serves(server.in_file())
    assert server.in_file() != x509.load_pem_x509_certificate(lost["certificate"].encode())
    assert_nothing_left(server)


def public_key_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def make_root(file: Path) -> None:
    """Somebody else's."""
    made = run(
        file.parent,
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-subj", "/CN=Elsewhere", "-keyout", os.devnull, "-out", file.name),
    )
    assert made.returncode == 0, made.stderr
    assert re.search(ssl.PEM_HEADER, file.read_text())
