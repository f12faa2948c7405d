"""Who is asked, what, and where what it did can be counted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from tests.bench.wrk import Request


class Broken(Exception):
    """A run skipped work, or did it wrongly: its figures say nothing."""


class NotThere(Exception):
    """What is to be measured is not part of the product, or of the peer."""


@dataclass(frozen=True)
class Server:
    """A server that runs: ``pid`` is the root of its processes."""

    name: str
    base_url: str
    pid: int


@dataclass(frozen=True)
class Ledger:
    """Where a server keeps the certificates that it issued, and what else it writes for each.

    ``certificates`` and ``audit`` count rows, ``newest`` gives serial number and encoding (DER or PEM) of the newest
    rows of a number.
    """

    url: str = field(repr=False)
    certificates: LiteralString
    newest: LiteralString
    audit: LiteralString | None = None

    def counts(self) -> tuple[int, int]:
        """Certificates and audit events so far; without an audit the former twice."""
        with psycopg.connect(self.url) as connection:
            certificates = _number(connection, self.certificates)
            return certificates, _number(connection, self.audit) if self.audit else certificates

    def last(self, count: int) -> list[tuple[str, bytes]]:
        """Serial numbers and encodings of the newest certificates."""
        with psycopg.connect(self.url) as connection:
            rows = connection.execute(self.newest, [count]).fetchall()
        return [(serial, found.encode() if isinstance(found, str) else bytes(found)) for serial, found in rows]


def _number(connection: psycopg.Connection[Any], query: LiteralString) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


@dataclass(frozen=True)
class Target:
    """One server and one kind of request.

    Attributes:
        issued: certificates that one answer stands for; 0 where it issues none.
        ledger: where they are counted; None where the server keeps none.
        issuers: PEM file of the CAs that they must verify by, root included.
        read_answer: the certificates (PEM or DER) in one answer's body; where that does not hold them, None, and the
            ledger's are judged.
        prepare: done just before it is measured, after the warm-up; tells how many certificates that issued.
        least_seconds: of a visit, for servers so slow that a shorter one would see hardly an answer.
        judge_answer: raises :class:`Broken` where one answer's body is not what was asked for.
    """

    name: str
    server: Server
    requests: Sequence[Request]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    issued: int = 0
    ledger: Ledger | None = None
    issuers: Path | None = None
    read_answer: Callable[[bytes], list[bytes]] | None = None
    judge_answer: Callable[[bytes], None] | None = None
    prepare: Callable[[], int] | None = None
    least_seconds: int = 0
