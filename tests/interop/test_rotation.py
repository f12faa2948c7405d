"""The master key is changed while clients issue, and killed half-way: nobody notices, and the old key can go."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from certificates.keystore.sealing import KeyRing
from tests.portal import ROOT, Portal

# What one rotation finds; ROTATION_ROWS=10000 for the measurement of a big one.
ROWS = int(os.environ.get("ROTATION_ROWS", "3000"))
CLIENTS = 4
TABLE = "certificates_authoritykey"


@pytest.mark.timeout(600)
def test_master_key_is_rotated_while_clients_issue_and_the_rotation_is_killed(portal: Portal) -> None:
    file = portal.state / "master-keys"
    _fill(portal, KeyRing.from_text(file.read_text()), ROWS)
    token = portal.token()
    answered: list[str] = []
    failed: list[str] = []
    done = threading.Event()

    def issue() -> None:
        while not done.is_set():
            name = f"{uuid4().hex}.example.com"
            body = {
                "profileId": portal.made["profileIds"]["tls-server"],
                "attributes": {"commonName": name, "ttl": "1d", "altNames": [{"type": "dns_name", "value": name}]},
            }
            try:
                answer = portal.call("POST", "/api/v1/cert-manager/certificates", body, token=token)
            except urllib.error.HTTPError as error:
                failed.append(f"{error.code} {error.read().decode(errors='replace')}")
            except OSError as error:
                failed.append(repr(error))
            else:
                answered.append(answer["certificate"]["certificateId"])

    clients = [threading.Thread(target=issue) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        _wait_until(lambda: len(answered) >= CLIENTS)
        killed = _rotation(portal, "--make-new")
        _wait_until(lambda: 0 < _rows_under(portal, "k1") <= ROWS * 2 // 3)
        killed.send_signal(signal.SIGKILL)
        killed.communicate(timeout=30)
        left = _rows_under(portal, "k1")
        assert left > 0, "the rotation was over before it was killed"
        before = len(answered)

        began = time.monotonic()
        finished = _rotation(portal)
        out, err = finished.communicate(timeout=300)
        seconds = time.monotonic() - began
        _wait_until(lambda: len(answered) > before)

        assert finished.returncode == 0, err
        assert "k1 can be removed" in out
        assert f"{left} of {left} rows re-wrapped" in err
        # The running portal reads it at its next use, so it never stands there half written.
        shorter = file.with_suffix(".new")
        shorter.write_text(file.read_text().split(",")[0] + "\n")
        shorter.replace(file)
        dropped = len(answered)
        _wait_until(lambda: len(answered) >= dropped + 2 * CLIENTS)
    finally:
        done.set()
        for client in clients:
            client.join(timeout=60)
    _assert_running_processes_follow(portal, token, file)
    sys.stderr.write(f"{left} rows in {seconds:.1f} s with the command's start; {len(answered)} certificates issued\n")

    assert failed == []
    assert _rows_under(portal, "k1") == 0
    assert portal.manage("rotate_master_key", "--check").returncode == 0
    ring = KeyRing.from_text(file.read_text())
    assert ring.key_ids == ("k2",)
    opened = [ring.open_sealed(bytes(sealed), b"copy") for sealed in _copies(portal)]
    assert opened == [b"secret"] * ROWS
    checked = portal.manage("check", "--database", "default")
    assert checked.returncode == 0, checked.stderr


def _assert_running_processes_follow(portal: Portal, token: str, file: Path) -> None:
    """Every worker has the CA's key in memory by now; none may use it past what the file and the row say."""

    def issue() -> int:
        body = {"profileId": portal.made["profileIds"]["tls-server"], "attributes": {"commonName": "a", "ttl": "1d"}}
        body["attributes"] |= {"altNames": [{"type": "dns_name", "value": "a.example.com"}]}
        try:
            portal.call("POST", "/api/v1/cert-manager/certificates", body, token=token)
        except urllib.error.HTTPError as error:
            told.append(error.read().decode())
            return error.code
        return 200

    told: list[str] = []
    away = file.with_name("away")
    file.rename(away)
    assert {issue() for _ in range(8)} == {503}
    assert all("The key of CA issuing-ec cannot be used: No master key" in each for each in told)
    away.rename(file)
    assert {issue() for _ in range(8)} == {200}
    address = f"/api/v1/cert-manager/ca/internal/{portal.made['caIds']['ec']}"
    portal.call("PATCH", address, {"status": "disabled"}, token=token)
    assert {issue() for _ in range(8)} == {400}
    portal.call("PATCH", address, {"status": "active"}, token=token)
    assert {issue() for _ in range(8)} == {200}


def _rotation(portal: Portal, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "manage.py", "rotate_master_key", *arguments],
        cwd=ROOT,
        env=portal.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _fill(portal: Portal, ring: KeyRing, count: int) -> None:
    """So many more sealed rows of one of the CAs."""
    (authority,), *_ = _query(portal, "SELECT id FROM certificates_certificateauthority LIMIT 1")
    columns = "id, authority_id, key_store, token_label, subject_public_key_info, sealed_private_key, created_at"
    sql = f"INSERT INTO {TABLE} ({columns}) VALUES (?, ?, 'database', '', ?, ?, CURRENT_TIMESTAMP)"  # noqa: S608
    rows = [(uuid4(), authority, b"copy", ring.seal(b"secret", b"copy")) for _ in range(count)]
    _execute_many(portal, sql, rows)


def _rows_under(portal: Portal, key_id: str) -> int:
    begin = b"\x01" + bytes([len(key_id)]) + key_id.encode()
    length = len(begin)
    ((count,),) = _query(
        portal,
        f"SELECT count(*) FROM {TABLE} WHERE substr(sealed_private_key, 1, {length}) = ?",  # noqa: S608 - constants
        begin,
    )
    return int(count)


def _copies(portal: Portal) -> list[Any]:
    rows = _query(portal, f"SELECT sealed_private_key FROM {TABLE} WHERE subject_public_key_info = ?", b"copy")  # noqa: S608
    return [sealed for (sealed,) in rows]


def _query(portal: Portal, sql: str, *parameters: object) -> list[Any]:
    if url := portal.environment["DATABASE_URL"]:
        with psycopg.connect(url) as server:
            return server.execute(sql.replace("?", "%s"), parameters).fetchall()
    with closing(_sqlite(portal.state)) as connection:
        return connection.execute(sql, parameters).fetchall()


def _execute_many(portal: Portal, sql: str, rows: list[tuple[Any, ...]]) -> None:
    if url := portal.environment["DATABASE_URL"]:
        with psycopg.connect(url) as server:
            server.cursor().executemany(sql.replace("?", "%s"), rows)
        return
    with closing(_sqlite(portal.state)) as connection, connection:
        connection.executemany(sql, [(row[0].hex, *row[1:]) for row in rows])


def _sqlite(state: Path) -> sqlite3.Connection:
    return sqlite3.connect(state / "db.sqlite3", timeout=20)


def _wait_until(condition: Any, *, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the portal stopped issuing, or the rotation stood still"
        time.sleep(0.01)
