"""For half an hour as much as 80 % of what the portal can do: no error, and memory and p99 as at the beginning.

    .venv/bin/python -m tests.bench.soak
    .venv/bin/python -m tests.bench.soak --database sqlite --minutes 20

Certificates from CSRs, on PostgreSQL as the README says, on SQLite with its two web processes, each with the background
worker. Requests begin at their times, whether earlier ones are answered or not, and latency counts from then on: nobody
waits with the next one for a server that has become slow.
"""

import argparse
import http.client
import itertools
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlsplit

from tests import portal as installation
from tests.bench import wrk
from tests.bench.machine import memory
from tests.bench.portal import Portal, Portals
from tests.bench.portal_targets import issuing
from tests.bench.postgres import Postgres
from tests.bench.report import tell
from tests.bench.servers import Servers
from tests.bench.stage import ROOT
from tests.bench.targets import Target

SLICES = 6
SHARE = 0.8
ROWS = 100_000
CONNECTIONS, CAPACITY_SECONDS = 8, 20
# As many may be under way at once; a client more would only wait in the server's queue.
CLIENTS = 32
# The last slice against the median of all, and the end against the end of the first slice.
P99_GROWTH, MEMORY_GROWTH = 1.5, 1.05


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the time: latencies (ms) of answers with 200, all else by what it was, and MiB at its end."""

    latencies: Sequence[float]
    errors: Sequence[str]
    pss: float

    @property
    def p99(self) -> float:
        return quantiles(self.latencies, n=100)[98]

    def __str__(self) -> str:
        return (
            f"{len(self.latencies):7,} answers, {len(self.errors)} errors, p50 {median(self.latencies):.1f} ms,"
            f" p99 {self.p99:.1f} ms, PSS {self.pss:.0f} MiB"
        )


@dataclass
class _Load:
    """Requests at a steady rate, from threads that share one timetable."""

    target: Target
    rate: float
    _latencies: list[float] = field(default_factory=list)
    _errors: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, seconds: float) -> Slice:
        """One slice of it."""
        self._latencies, self._errors = [], []
        timetable = iter([number / self.rate for number in range(round(seconds * self.rate))])
        bodies = itertools.cycle(self.target.requests)
        began = time.monotonic()
        clients = [threading.Thread(target=self._client, args=(began, timetable, bodies)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        return Slice(self._latencies, self._errors, memory(self.target.server.pid).pss)

    def _client(self, began: float, timetable: Iterator[float], bodies: Iterator[wrk.Request]) -> None:
        while True:
            with self._lock:
                due, request = next(timetable, None), next(bodies)
            if due is None:
                return
            time.sleep(max(0.0, began + due - time.monotonic()))
            error = self._error(request)
            with self._lock:
                if error:
                    self._errors.append(error)
                else:
                    self._latencies.append((time.monotonic() - began - due) * 1000)

    def _error(self, request: wrk.Request) -> str:
        """Empty where it was answered with 200."""
        connection = http.client.HTTPConnection(urlsplit(self.target.server.base_url).netloc, timeout=60)
        try:
            connection.request(request.method, request.path, request.body, dict(self.target.headers))
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as problem:
            return f"{type(problem).__name__}: {problem}"
        finally:
            connection.close()
        return "" if answer.status == 200 else f"{answer.status}: {text[:300].decode(errors='replace')}"


def main() -> int:
    """Exit code 0 where everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--minutes", type=float, default=30.0)
    options = parser.parse_args()
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="soak-", dir=build, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with _served(folder, options.database) as portal:
            target = issuing(portal, "tls-server")
            before = target.ledger.counts() if target.ledger and options.database == "postgresql" else None
            load = _Load(target, SHARE * _capacity(folder, target))
            tell(f"{options.database}: {load.rate:.0f} certificates a second for {options.minutes:g} minutes")
            slices = []
            for number in range(SLICES):
                slices.append(load.run(options.minutes * 60 / SLICES))
                tell(f"  {number + 1} of {SLICES}: {slices[-1]}")
            problems = _problems(slices)
            if before is not None and target.ledger is not None:
                certificates, events = (now - then for now, then in zip(target.ledger.counts(), before, strict=True))
                tell(f"  {certificates:,} certificates and {events:,} events were added")
                problems += [] if certificates == events else ["not every certificate has its event"]
        log = "".join(file.read_text(errors="replace") for file in folder.rglob("*.log"))
    problems += [f"the log has {word!r}" for word in ("database is locked", "Traceback") if word in log]
    tell("\n".join(problems) or "Everything held.")
    return int(bool(problems))


def _problems(slices: Sequence[Slice]) -> list[str]:
    errors = [error for each in slices for error in each.errors]
    usual, first, last = median(each.p99 for each in slices), slices[0], slices[-1]
    found = [f"{len(errors)} errors, such as {errors[0]}"] if errors else []
    if last.p99 > P99_GROWTH * usual:
        found.append(f"p99 is {last.p99:.1f} ms at the end, {usual:.1f} ms as a median")
    if last.pss > MEMORY_GROWTH * first.pss:
        found.append(f"memory grew from {first.pss:.0f} to {last.pss:.0f} MiB")
    return found


def _capacity(folder: Path, target: Target) -> float:
    """Answers a second, with as many connections as are used elsewhere; after a warm-up."""
    requests = folder / "requests"
    wrk.write_requests(requests, target.requests)
    for seconds in (5, CAPACITY_SECONDS):
        outcome = wrk.run(
            target.server.base_url,
            requests,
            connections=CONNECTIONS,
            seconds=seconds,
            headers=target.headers,
        )
    return outcome.rate


@contextmanager
def _served(folder: Path, database: str) -> Iterator[Portal]:
    servers = Servers()
    try:
        if database == "sqlite":
            yield _on_sqlite(folder, servers)
            return
        postgres = Postgres(folder / "postgres")
        try:
            yield Portals(folder / "portal", postgres, servers).with_certificates(ROWS)
            servers.end_all()
        finally:
            postgres.stop()
    finally:
        servers.end_all()


def _on_sqlite(folder: Path, servers: Servers) -> Portal:
    installed = installation.install(folder / "var")
    server = servers.start(
        "portal",
        [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "pki_portal.wsgi:application"],
        port=int(installed.environment["PORT"]),
        environment=installed.environment,
        log=folder / "portal.log",
        folder=ROOT,
        probe="/readyz",
    )
    portal = Portal(server, "", {"DATABASE_URL": ""}, "", installed.made, folder / "issuers.pem")
    credentials = {"clientId": installed.made["clientId"], "clientSecret": installed.made["clientSecret"]}
    return replace(portal, token=portal.call("POST", "/api/v1/auth/universal-auth/login", credentials)["accessToken"])


if __name__ == "__main__":
    sys.exit(main())
