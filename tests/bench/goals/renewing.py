"""G10: renewals that are due at once."""

import subprocess
import time
from typing import Any

import psycopg

from tests.bench.machine import wait_until_quiet
from tests.bench.report import AtLeast, AtMost, Line, rate_text, tell
from tests.bench.stage import ROOT, Stage
from tests.bench.targets import Broken

PROCESSES = 2
WANTED_RATE = 3000
# How much is done when the workers are killed, and how long that may take.
KILLED_AT, PATIENCE_SECONDS = 0.2, 300.0


def sweep_renewals(stage: Stage) -> list[Line]:
    """G10: renewals (P-256 keys, made and sealed here) by two workers, and after kill -9 of both."""
    wait_until_quiet(patience=stage.conditions.patience)
    environment, url = stage.portals.with_due_renewals(stage.scale.renewals, name="renewals")
    for worker in [_start_worker(environment) for _ in range(PROCESSES)]:
        worker.wait()
    rate = _rate(url)
    missing, doubled = _missing_and_doubled(url, stage.scale.renewals)
    tell(f"  {stage.scale.renewals:,} renewals: {rate:,.0f}/s, {missing} missing, {doubled} doubled")
    return [
        Line(
            "G10",
            f"renewals by {PROCESSES} workers, {stage.scale.renewals:,} due",
            rate_text(rate),
            f"{WANTED_RATE:,}/s",
            rate / WANTED_RATE,
            AtLeast(1.0),
        ),
        Line("G10", "renewals missing or done twice", str(missing + doubled), "0", float(missing + doubled), AtMost(0)),
        _killed(stage),
    ]


def _killed(stage: Stage) -> Line:
    """Both workers are killed in the middle; when their leases have ended, others do what is left."""
    count = max(stage.scale.renewals // 4, 100)
    environment, url = stage.portals.with_due_renewals(count, name="killed")
    victims = [_start_worker(environment) for _ in range(PROCESSES)]
    with psycopg.connect(url, autocommit=True) as connection:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while _renewed(connection) < KILLED_AT * count and time.monotonic() < deadline:
            time.sleep(0.1)
        for victim in victims:
            victim.kill()
            victim.wait()
        done_before = _renewed(connection)
        # Minutes later, in an instant: leases have ended.
        connection.execute(
            "UPDATE certificates_autorenewal SET leased_until = now() - interval '1 second' WHERE lease IS NOT NULL"
        )
    _start_worker(environment).wait()
    missing, doubled = _missing_and_doubled(url, count)
    return Line(
        "G10",
        f"missing or done twice after kill -9 at {done_before:,} of {count:,}",
        str(missing + doubled),
        "0",
        float(missing + doubled),
        AtMost(0),
        "" if 0 < done_before < count else "not killed in the middle",
    )


def _start_worker(environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    command = [".venv/bin/python", "manage.py", "worker", "--once"]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _renewed(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(
        "SELECT count(*) FROM certificates_certificate WHERE renewed_from_id IS NOT NULL"
    ).fetchone()
    assert row is not None
    return int(row[0])


def _rate(url: str) -> float:
    """Renewals a second between the first and the last; how long Python takes to start is left out."""
    query = """
        SELECT count(*), extract(epoch FROM max(created_at) - min(created_at))
        FROM certificates_certificate WHERE renewed_from_id IS NOT NULL
    """
    with psycopg.connect(url) as connection:
        count, seconds = connection.execute(query).fetchone() or (0, 0)
    if not seconds:
        raise Broken("nothing was renewed")
    return float(count) / float(seconds)


def _missing_and_doubled(url: str, count: int) -> tuple[int, int]:
    """How many of those that were due have no successor, and how many have several or share a serial number."""
    query = """
        SELECT count(*), count(DISTINCT renewed_from_id), count(DISTINCT serial_number)
        FROM certificates_certificate WHERE renewed_from_id IS NOT NULL
    """
    with psycopg.connect(url) as connection:
        rows, renewed, serial_numbers = connection.execute(query).fetchone() or (0, 0, 0)
    return count - renewed, 2 * rows - renewed - serial_numbers
