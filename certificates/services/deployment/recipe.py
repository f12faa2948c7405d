"""The parts of a kit, and the names that its texts are made of.

What a certificate says may be anything: a name gets into a text only if it is a host name or an IP address in the
narrowest form, and file names are of letters, digits, dots, hyphens and underscores. None of them means anything to a
shell or to a configuration, so that nothing has to be quoted, and nothing can be forgotten.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Final

from certificates.models import Certificate
from certificates.services.file_names import file_stem
from profiles.policy.vocabulary import NameType

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST: Final = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")
LONGEST_HOST: Final = 253


class Group(StrEnum):
    """What a recipe is for."""

    SERVER = "server"
    CHECK = "check"
    TRUST = "trust"


@dataclass(frozen=True, slots=True)
class Block:
    """Something to paste: into ``path``, or into a shell where that is empty.

    Attributes:
        language: ``shell``, ``powershell``, or that of a configuration (``nginx``, ``yaml`` ...).
    """

    title: str
    language: str
    text: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that one program or system needs, in order."""

    id: str
    group: Group
    title: str
    blocks: tuple[Block, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Names:
    """What of a certificate stands in the texts.

    Attributes:
        stem: the first part of every file's name.
        hosts: host names, a wildcard as the first label included.
        left_out: how many of its names are neither of these.
    """

    stem: str
    hosts: tuple[str, ...]
    addresses: tuple[str, ...]
    left_out: int = 0

    @property
    def file(self) -> str:
        """The certificate alone."""
        return f"{self.stem}.pem"

    @property
    def fullchain(self) -> str:
        """The certificate and its intermediates."""
        return f"{self.stem}.fullchain.pem"

    @property
    def chain(self) -> str:
        """Everything above it."""
        return f"{self.stem}.chain.pem"

    @property
    def root(self) -> str:
        """The trust anchor."""
        return f"{self.stem}.root.pem"

    @property
    def key(self) -> str:
        """The private key."""
        return f"{self.stem}.key"

    @property
    def plain_hosts(self) -> tuple[str, ...]:
        """Host names that stand for one host."""
        return tuple(host for host in self.hosts if not host.startswith("*."))

    @property
    def probe(self) -> str:
        """A host to connect to; of a wildcard, one that it covers."""
        covered = [f"www{host.removeprefix('*')}" for host in self.hosts]
        return next(iter((*self.plain_hosts, *covered, *self.addresses)), "localhost")


def names_of(certificate: Certificate) -> Names:
    """The names of a certificate that can stand in a text; of one without alternative names, its common name."""
    said = [(name["type"], name["value"]) for name in certificate.subject_alternative_names]
    if not said and certificate.common_name:
        said = [(NameType.DNS_NAME, certificate.common_name)]
    hosts = [value for kind, value in said if kind == NameType.DNS_NAME and is_host(value)]
    addresses = [value for kind, value in said if kind == NameType.IP_ADDRESS and is_address(value)]
    others = sum(kind in {NameType.DNS_NAME, NameType.IP_ADDRESS} for kind, _ in said) - len(hosts) - len(addresses)
    return Names(
        stem=file_stem(certificate),
        hosts=tuple(dict.fromkeys(hosts)),
        addresses=tuple(dict.fromkeys(addresses)),
        left_out=others,
    )


def is_host(value: str) -> bool:
    """Whether a name is one of labels of letters, digits, hyphens and underscores, and means nothing else anywhere."""
    return len(value) <= LONGEST_HOST and _HOST.fullmatch(value) is not None


def is_address(value: str) -> bool:
    """Whether a name is an IP address without a zone, which could be any text."""
    try:
        return "%" not in value and bool(ip_address(value))
    except ValueError:
        return False


def in_url(host: str) -> str:
    """A host as it stands before a port: an IPv6 address in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def text_of(lines: Sequence[str]) -> str:
    """Lines as a text, without a final newline."""
    return "\n".join(lines)


def installed(names: Names, folder: str, *, owner: str = "") -> list[str]:
    """Commands that put certificate and key where a server reads them; the key is for the server alone."""
    who = f" -o {owner} -g {owner}" if owner else ""
    return [
        f"sudo install -D -m 0644 {names.fullchain} {folder}/{names.fullchain}",
        f"sudo install -D -m 0600{who} {names.key} {folder}/{names.key}",
    ]
