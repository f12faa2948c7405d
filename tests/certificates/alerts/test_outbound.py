"""Webhooks reach the public internet, and nothing of the portal's own network unless a setting names it."""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pytest_django import Settings

from certificates.alerts.services import outbound
from pki_portal.background.work import GiveUp
from pki_portal.errors import Unavailable
from tests.certificates.alerts.receivers import LOOPBACK, webhook_receiver


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),  # noqa: S104
        *("224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1"),
        *("::1", "::", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1"),
        # The same in other clothes: mapped, NAT64, 6to4, Teredo.
        *(
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2002:a00:1::",
        ),
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ],
)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert not outbound.is_allowed(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"])
def test_what_is_public_is_allowed(address: str) -> None:
    assert outbound.is_allowed(ipaddress.ip_address(address))


def test_a_setting_allows_networks_and_nothing_beside_them(settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = ["10.1.0.0/16", "fd00::/8"]
    allowed = [
        address
        for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1", "10.2.0.1", "127.0.0.1", "fc00::1")
        if outbound.is_allowed(ipaddress.ip_address(address))
    ]
    assert allowed == ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://hooks.example.com/x", ""),
        ("https://93.184.216.34:8443/x", ""),
        ("http://hooks.example.com/x", "encrypted"),
        ("http://93.184.216.34/x", "encrypted"),
        ("https://127.0.0.1/x", "public"),
        ("https://[::1]/x", "public"),
        ("https://user:pass@hooks.example.com/", "password"),
        ("ftp://hooks.example.com/", "https"),
        ("https:///x", "https"),
        ("https://hooks.example.com:0/", "https"),
        ("https://hooks.example.com:99999/", "not an address"),
        ("https://hooks.example.com/a b", "characters"),
        ("https://hooks.example.com/\r\nHost: x", "characters"),
        ("https://b\u00fccher.example/", "characters"),
        ("javascript:alert(1)", "https"),
        ("", "https"),
    ],
)
def test_addresses_are_judged_before_any_name_is_resolved(url: str, problem: str) -> None:
    assert problem in outbound.problem_with_url(url)
    assert bool(outbound.problem_with_url(url)) == bool(problem)


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def answer(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", answer)


def post(url: str) -> int:
    return outbound.post(url, body=b"{}", headers={"Content-Type": "application/json"})


def test_a_name_of_a_private_address_is_refused_before_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook_receiver() as receiver:
        port = receiver.url.rsplit(":")[-1].split("/")[0]
        for addresses in (["127.0.0.1"], ["93.184.216.34", "127.0.0.1"]):
            resolving(monkeypatch, *addresses)
            monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("it connected"))
            with pytest.raises(GiveUp, match="WEBHOOK_ALLOWED_NETWORKS"):
                post(f"https://hooks.example.com:{port}/")
    assert receiver.received == []


def test_a_peer_that_is_another_than_was_judged_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever leads the connection elsewhere (a rule of the kernel, a second answer): the peer itself is judged."""
    with webhook_receiver() as receiver:
        port = int(receiver.url.rsplit(":")[-1].split("/")[0])
        resolving(monkeypatch, "93.184.216.34")
        connect = socket.socket.connect
        monkeypatch.setattr(socket.socket, "connect", lambda self, _: connect(self, ("127.0.0.1", port)))
        with pytest.raises(GiveUp, match="not on the public internet"):
            post(f"https://hooks.example.com:{port}/")
    assert receiver.received == []


def test_the_name_is_resolved_once(monkeypatch: pytest.MonkeyPatch, settings: Settings, tls: "TlsServer") -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = LOOPBACK
    asked: list[str] = []

    def answer(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", tls.port))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    monkeypatch.setattr(ssl, "create_default_context", lambda: tls.trusting)
    assert post(f"https://hooks.example.com:{tls.port}/x") == 204
    assert asked == ["hooks.example.com"]
    assert b"POST /x HTTP/1.1\r\n" in tls.received
    assert f"Host: hooks.example.com:{tls.port}\r\n".encode() in tls.received


def test_a_certificate_of_another_name_or_of_nobody_trusted_is_refused(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, tls: "TlsServer"
) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = LOOPBACK
    resolving(monkeypatch, "127.0.0.1")
    with pytest.raises(Unavailable, match="no TLS connection"):
        post(f"https://hooks.example.com:{tls.port}/")
    monkeypatch.setattr(ssl, "create_default_context", lambda: tls.trusting)
    with pytest.raises(Unavailable, match="no TLS connection"):
        post(f"https://other.example.com:{tls.port}/")
    assert tls.received == b""


def test_a_receiver_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = LOOPBACK
    monkeypatch.setattr(outbound, "TOTAL_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        thread = threading.Thread(target=_drip, args=(server,))
        thread.start()
        began = time.monotonic()
        with pytest.raises(Unavailable, match="no answer"):
            post(f"http://127.0.0.1:{port}/")
        assert time.monotonic() - began < 5
        thread.join()


def test_a_name_of_many_silent_addresses_is_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "TOTAL_SECONDS", 0.1)
    resolving(monkeypatch, *["93.184.216.34"] * 500)
    tried: list[object] = []

    def silent(_: socket.socket, target: object) -> None:
        tried.append(target)
        time.sleep(0.03)
        raise TimeoutError

    monkeypatch.setattr(socket.socket, "connect", silent)
    with pytest.raises(Unavailable, match="it took too long"):
        post("https://hooks.example.com/")
    assert len(tried) < 10


def _drip(server: socket.socket) -> None:
    """Send a header without end, a byte at a time, so that no single read takes long."""
    peer, _ = server.accept()
    with peer:
        peer.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        try:
            for _ in range(200):
                peer.sendall(b"a")
                time.sleep(0.05)
        except OSError:
            pass


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = LOOPBACK
    with webhook_receiver() as receiver, webhook_receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert post(receiver.url) == 200
    assert (len(receiver.received), proxy.received) == (1, [])


class TlsServer:
    """Answers one request after another with 204, as hooks.example.com, by a certificate that nobody trusts."""

    def __init__(self, folder: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example.com")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example.com")]), critical=False)
            .sign(key, hashes.SHA256())
        )
        pem = certificate.public_bytes(Encoding.PEM)
        file = folder / "server.pem"
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + pem)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(file)
        self.trusting = ssl.create_default_context(cadata=pem.decode())
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.received = b""
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            try:
                with peer, self._context.wrap_socket(peer, server_side=True) as encrypted:
                    while b"{}" not in self.received:
                        self.received += encrypted.recv(4096)
                    encrypted.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            except OSError:
                continue

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[TlsServer]:
    server = TlsServer(tmp_path)
    yield server
    server.close()
