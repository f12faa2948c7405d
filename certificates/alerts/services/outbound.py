"""HTTP requests to addresses that users choose: they must not become a way into the portal's own network.

The host is resolved once, every address that came of it is judged, and the connection goes to one of those; the peer is
judged again when it stands, so that no second answer of a name server can lead elsewhere. No redirect is followed, no
proxy of the environment is used, little of the answer is read, and all of it ends after a while.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from pki_portal.background.work import GiveUp
from pki_portal.errors import Unavailable

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 10.0
# Whatever the receiver does, drop by drop or not at all.
TOTAL_SECONDS: Final = 20.0
ANSWER_BYTES: Final = 4096

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# Well-known prefix of NAT64 (RFC 6052): an IPv4 address in IPv6 clothes.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def problem_with_url(url: str) -> str:
    """What forbids this address, as far as it shows without asking any name server; empty if nothing does."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not an address"
    if parts.scheme not in {"http", "https"} or not host or port == 0:
        return "is not an address that begins with https://"
    if parts.username is not None or parts.password is not None:
        return "holds a user or a password"
    if any(not "!" <= character <= "~" for character in url):
        return "holds characters that no address has"
    address = _literal(host)
    if address is not None and not is_allowed(address):
        return "is not an address of the public internet"
    if parts.scheme == "http" and (address is None or not _is_allowed_network(address)):
        return "is not encrypted: it must begin with https://"
    return ""


def is_allowed(address: Address) -> bool:
    """Whether the portal may connect there: public, or in a network that WEBHOOK_ALLOWED_NETWORKS names."""
    return _is_allowed_network(address) or all(_is_public(each) for each in _meant_by(address))


def post(url: str, *, body: bytes, headers: Mapping[str, str]) -> int:
    """POST and give the status of the answer, whatever it is.

    Raises:
        GiveUp: the address is one that must not be reached.
        Unavailable: no connection, no answer, or a broken one.
    """
    if problem := problem_with_url(url):
        raise GiveUp(f"The address {problem}.")
    parts = urlsplit(url)
    host = str(parts.hostname)
    try:
        plain = _connected(host, parts.port or (443 if parts.scheme == "https" else 80))
        return _exchange(plain, parts, host, body, headers)
    except ssl.SSLError as problem:
        reason = str(getattr(problem, "reason", "") or type(problem).__name__)
        raise Unavailable(f"{host}: no TLS connection ({reason}).") from None
    except (OSError, http.client.HTTPException, ValueError) as problem:
        raise Unavailable(f"{host}: no answer ({_words(problem)}).") from None


def _words(problem: Exception) -> str:
    if isinstance(problem, TimeoutError):
        return "it took too long"
    return getattr(problem, "strerror", None) or type(problem).__name__


def _connected(host: str, port: int) -> socket.socket:
    """A connection to one of the host's addresses, each of which was judged. Raises GiveUp, OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_, target in found:
        _require_allowed(host, target)
    trouble: OSError = OSError("no address")
    end = time.monotonic() + TOTAL_SECONDS
    for family, kind, protocol, _, target in found:
        if time.monotonic() > end:
            raise TimeoutError  # whoever names hundreds of silent addresses does not keep the worker for an hour
        plain = socket.socket(family, kind, protocol)
        try:
            plain.settimeout(CONNECT_SECONDS)
            plain.connect(target)
            _require_allowed(host, plain.getpeername())
        except OSError as problem:
            plain.close()
            trouble = problem
        except BaseException:
            plain.close()
            raise
        else:
            plain.settimeout(READ_SECONDS)
            return plain
    raise trouble


def _exchange(plain: socket.socket, parts: SplitResult, host: str, body: bytes, headers: Mapping[str, str]) -> int:
    connection = http.client.HTTPConnection(host, parts.port)
    connection.auto_open = 0  # never one of its own, which nobody judged
    connection.sock = plain
    is_late = threading.Event()

    def cut() -> None:
        is_late.set()
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)

    watchdog = threading.Timer(TOTAL_SECONDS, cut)
    watchdog.start()
    try:
        if parts.scheme == "https":
            # The handshake comes after the watchdog knows the socket that makes it.
            connection.sock = encrypted = ssl.create_default_context().wrap_socket(
                plain, server_hostname=host, do_handshake_on_connect=False
            )
            encrypted.do_handshake()
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        # The Host header is of the address as written: http.client would leave out a port that is only usual for http.
        connection.request("POST", target, body=body, headers={"Host": parts.netloc, **headers})
        answer = connection.getresponse()
        with suppress(OSError, http.client.HTTPException):
            answer.read(ANSWER_BYTES)
        if is_late.is_set():
            raise TimeoutError  # an answer cut short looks whole to http.client
        return answer.status
    finally:
        watchdog.cancel()
        connection.close()


def _require_allowed(host: str, target: tuple[Any, ...]) -> None:
    address = _literal(str(target[0]))
    if address is None or not is_allowed(address):
        raise GiveUp(
            f"{host} is not on the public internet. An administrator can allow its network (WEBHOOK_ALLOWED_NETWORKS)."
        )


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _meant_by(address: Address) -> tuple[Address, ...]:
    """The address, and what it stands for where it wraps another one."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    wrapped = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        wrapped.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    inner = tuple(each for each in wrapped if each is not None)
    return inner if address.ipv4_mapped is not None else (address, *inner)


def _is_public(address: Address) -> bool:
    # Site-local addresses (RFC 3879) are out of use, and global to the library, but some networks have them still.
    is_of_a_site = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified or is_of_a_site
    )


def _is_allowed_network(address: Address) -> bool:
    plain = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped else address
    return any(plain in ipaddress.ip_network(network) for network in settings.WEBHOOK_ALLOWED_NETWORKS)
