"""IP addresses of clients, and the networks that credentials may be used from."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from pki_portal.errors import Malformed, Violation


@lru_cache(maxsize=1024)
def address_of(text: str) -> str | None:
    """The normal form of a peer's address; None where it is none (a Unix socket). IPv4 behind an IPv6 socket is read as
    IPv4.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return str(_unmapped(address))


def networks_of(texts: Iterable[str], *, field: str) -> list[str]:
    """Normal forms of addresses and CIDR networks. Raises Malformed with one violation for each that is neither."""
    networks: list[str] = []
    violations: list[Violation] = []
    for index, text in enumerate(texts):
        try:
            networks.append(str(ip_network(text.strip(), strict=False)))
        except ValueError:
            violations.append(
                Violation(
                    field=f"{field}/{index}/ip_address",
                    code="invalid_network",
                    rule="the form of the request",
                    asked=text[:100],
                    allowed="an IP address or a network such as 192.0.2.0/24",
                    fix="Give an IP address or a network in CIDR form.",
                )
            )
    if violations:
        raise Malformed("These are no networks.", violations=violations)
    return networks


def is_trusted(address: str | None, networks: Iterable[str]) -> bool:
    """Tell whether ``address`` lies in one of the networks; one without an address passes only where every network is
    trusted.
    """
    networks = set(networks)
    if {"0.0.0.0/0", "::/0"} <= networks:
        return True
    if address is None:
        return False
    parsed = ip_address(address)
    return any(parsed in ip_network(network) for network in networks)


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
