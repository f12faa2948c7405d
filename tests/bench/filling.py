"""A database as years of use leave it: rows copied by SQL from real ones, each with values of its own.

What is copied is whatever columns a table has; what must differ, or is to be spread, stands here.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

CHUNK = 100_000
# n is the number of a copy. Serial numbers have 40 digits and begin as positive ones do.
SERIAL_NUMBER = "'4' || substr(md5('serial' || n) || md5('number' || n), 1, 39)"
HOST = "'host-' || n || '.bench.example.com'"

REQUEST = {
    "id": "md5('request' || n)::uuid",
    "common_name": HOST,
    # Spread over years, the newest first made.
    "created_at": "now() - n * interval '53 seconds'",
    "updated_at": "now() - n * interval '53 seconds'",
}
CERTIFICATE = {
    "id": "md5('certificate' || n)::uuid",
    "request_id": "md5('request' || n)::uuid",
    "serial_number": SERIAL_NUMBER,
    "common_name": HOST,
    "subject_alternative_names": f"jsonb_build_array(jsonb_build_object('type', 'dns_name', 'value', {HOST}))",
    "alt_names": HOST,
    "not_before": "now() - interval '1 day'",
    "not_after": "now() + interval '1 hour' + mod(n, 100000) * interval '331 seconds'",
    "fingerprint_sha256": "md5('one' || n) || md5('two' || n)",
    "fingerprint_sha1": "md5('three' || n) || substr(md5('four' || n), 1, 8)",
    "public_key_sha256": "md5('five' || n) || md5('six' || n)",
    "created_at": "now() - n * interval '53 seconds'",
    "updated_at": "now() - n * interval '53 seconds'",
}
# A certificate that renews by itself and is due; it stays the pattern's in all that renewal looks at.
RENEWING = {name: CERTIFICATE[name] for name in ("id", "request_id", "serial_number", "fingerprint_sha256")} | {
    "fingerprint_sha1": CERTIFICATE["fingerprint_sha1"],
    "renew_at": "now() - interval '1 hour'",
}
RENEWAL = {"certificate_id": "md5('certificate' || n)::uuid", "due_at": "now() - interval '1 hour'"}
ENTRY = {
    "id": "md5('entry' || n)::uuid",
    "certificate_id": "NULL",
    "serial_number": SERIAL_NUMBER,
    # The serial number in the encoding: 20 octets, as long as the pattern's.
    "der": f"overlay(p.der PLACING decode({SERIAL_NUMBER}, 'hex')"
    " FROM position(decode(p.serial_number, 'hex') IN p.der))",
    "revoked_at": "now() - n * interval '1 second'",
    # Each by an act of its own.
    "revision": "n",
}


def fill_certificates(url: str, *, rows: int, pattern: str) -> None:
    """Have about ``rows`` certificates of a kind, with their requests."""
    with psycopg.connect(url, autocommit=True) as connection:
        request = _request_of(connection, pattern)
        for first, last in _chunks(rows):
            _copy(connection, "certificates_certificaterequest", "id", request, REQUEST, first, last)
            _copy(connection, "certificates_certificate", "id", pattern, CERTIFICATE, first, last)


def fill_due_renewals(url: str, *, rows: int, pattern: str) -> None:
    """So many certificates that renew by themselves, all due."""
    request_columns = {"id": REQUEST["id"]}
    with psycopg.connect(url, autocommit=True) as connection:
        request = _request_of(connection, pattern)
        for first, last in _chunks(rows):
            _copy(connection, "certificates_certificaterequest", "id", request, request_columns, first, last)
            _copy(connection, "certificates_certificate", "id", pattern, RENEWING, first, last)
            _copy(connection, "certificates_autorenewal", "certificate_id", pattern, RENEWAL, first, last)


def fill_revocations(url: str, *, rows: int, pattern: str) -> None:
    """So many entries of the list that the revoked certificate ``pattern`` is on, without their certificates."""
    with psycopg.connect(url, autocommit=True) as connection:
        entry, revocation_list = _row(
            connection,
            "SELECT id, revocation_list_id FROM certificates_revocationentry WHERE certificate_id = %s",
            pattern,
        )
        for first, last in _chunks(rows):
            _copy(connection, "certificates_revocationentry", "id", entry, ENTRY, first, last)
        connection.execute(
            "UPDATE certificates_certificaterevocationlist SET revision = %s WHERE id = %s", [rows + 1, revocation_list]
        )


def _request_of(connection: psycopg.Connection[Any], certificate: str) -> Any:
    return _row(connection, "SELECT request_id FROM certificates_certificate WHERE id = %s", certificate)[0]


def _row(connection: psycopg.Connection[Any], query: Any, key: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = connection.execute(query, [key]).fetchone()
    assert row is not None, "the pattern is not there"
    return row


def _chunks(rows: int) -> list[tuple[int, int]]:
    return [(first, min(first + CHUNK - 1, rows)) for first in range(1, rows + 1, CHUNK)]


def _copy(
    connection: psycopg.Connection[Any],
    table: str,
    key_column: str,
    key: object,
    changes: Mapping[str, str],
    first: int,
    last: int,
) -> None:
    """The row of ``key`` again and again, with the expressions of ``changes`` for the numbers from first to last."""
    columns = [
        name
        for (name,) in connection.execute(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND table_name = %s AND is_generated = 'NEVER'",
            [table],
        )
    ]
    values = [sql.SQL(changes[name]) if name in changes else sql.Identifier("p", name) for name in columns]
    statement = sql.SQL(
        "INSERT INTO {table} ({columns}) SELECT {values} "
        "FROM {table} p, generate_series(%s::int, %s) n WHERE p.{key} = %s"
    ).format(
        table=sql.Identifier(table),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        values=sql.SQL(", ").join(values),
        key=sql.Identifier(key_column),
    )
    connection.execute(statement, [first, last, key])
