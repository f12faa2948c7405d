"""Visits: every target in turn, round by round, under the same load, with what it cost and whether it counts."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench import machine, wrk
from tests.bench.guards import SAMPLE, require_good, require_kept
from tests.bench.report import tell
from tests.bench.targets import Broken, Target

WARM_UP_SECONDS, LONGEST_WARM_UP_SECONDS = 1, 16


@dataclass(frozen=True, slots=True)
class Load:
    """What a load generator does to a target."""

    connections: int = 8
    seconds: int = 4


@dataclass(frozen=True, slots=True)
class Conditions:
    """Of the whole run: rounds, how long to wait for a quiet machine, and how often a disturbed visit is made again."""

    rounds: int = 3
    patience: float = 120.0
    repeats: int = 2


@dataclass(frozen=True, slots=True)
class Visit:
    """One measurement; CPU in ms for each answer (or certificate, where it stands for several), ``other`` in cores that
    were used by what is no part of it.
    """

    outcome: wrk.Outcome
    server_cpu: float
    database_cpu: float
    other: float
    memory: machine.Memory

    @property
    def is_quiet(self) -> bool:
        """Whether the machine was left alone."""
        return self.other <= machine.QUIET


class Visits:
    """The visits of several targets, a list each in the order of the rounds."""

    def __init__(self, visits: dict[str, list[Visit]]) -> None:
        self.by_target = visits

    def of(self, target: Target) -> list[Visit]:
        """Round by round."""
        return self.by_target[target.name]

    def rate(self, target: Target) -> float:
        """Median of what was issued (or answered) a second."""
        return median(visit.outcome.rate for visit in self.of(target)) * max(target.issued, 1)

    def p50(self, target: Target) -> float:
        """Median, ms."""
        return median(visit.outcome.p50 for visit in self.of(target))

    def p99(self, target: Target) -> float:
        """Median, ms."""
        return median(visit.outcome.p99 for visit in self.of(target))

    def cost(self, target: Target) -> str:
        """Medians of CPU ms, server and database."""
        server, database = (
            median(getattr(visit, name) for visit in self.of(target)) for name in ("server_cpu", "database_cpu")
        )
        return f"{server:.2f} + {database:.2f}"

    def ratio_of_rates(self, ours: Target, peer: Target) -> float:
        """Median of the ratios, each inside a round."""
        factor = max(ours.issued, 1) / max(peer.issued, 1)
        pairs = zip(self.of(ours), self.of(peer), strict=True)
        return median(factor * one.outcome.rate / other.outcome.rate for one, other in pairs)

    def ratio_of_p50(self, ours: Target, peer: Target) -> float:
        """Likewise."""
        pairs = zip(self.of(ours), self.of(peer), strict=True)
        return median(one.outcome.p50 / other.outcome.p50 for one, other in pairs)

    def ratio_of_p99(self, ours: Target, peer: Target) -> float:
        """Likewise."""
        pairs = zip(self.of(ours), self.of(peer), strict=True)
        return median(one.outcome.p99 / other.outcome.p99 for one, other in pairs)


def interleaved(targets: Sequence[Target], load: Load, conditions: Conditions, *, database: int) -> Visits:
    """Visit every target once in each round. ``database`` is the root of PostgreSQL's processes. Raises Broken."""
    visits: dict[str, list[Visit]] = {target.name: [] for target in targets}
    for number in range(conditions.rounds):
        for target in targets:
            visit = _undisturbed(target, load, conditions, database)
            visits[target.name].append(visit)
            tell(f"  round {number + 1}, {load.connections} connections, {target.name}: {as_text(visit, target)}")
    return Visits(visits)


def _undisturbed(target: Target, load: Load, conditions: Conditions, database: int) -> Visit:
    """The first visit that nobody disturbed, or the quietest of all that were allowed."""
    tries: list[Visit] = []
    while not tries or (not tries[-1].is_quiet and len(tries) <= conditions.repeats):
        try:
            tries.append(_visit(target, load, conditions.patience, database))
        except Broken as fault:
            raise Broken(f"{target.name}: {fault}") from fault
    return min(tries, key=lambda visit: visit.other)


def _visit(target: Target, load: Load, patience: float, database: int) -> Visit:
    with tempfile.TemporaryDirectory() as folder:
        requests, answers = Path(folder) / "requests", Path(folder) / "answers"
        wrk.write_requests(requests, target.requests)
        before = target.ledger.counts() if target.ledger else (0, 0)
        warm = _warm_up(target, load.connections, requests, answers)
        machine.wait_until_idle(target.server.pid, database)
        machine.wait_until_quiet(patience=patience)
        prepared = target.prepare() if target.prepare is not None else 0
        usage = _Usage.now(target.server.pid, database)
        outcome = _run(target, load.connections, max(load.seconds, target.least_seconds), requests)
        used = _Usage.now(target.server.pid, database).since(usage)
        if not outcome.requests:
            raise Broken("nothing was answered in time")
        memory = machine.memory(target.server.pid)
        machine.wait_until_idle(target.server.pid, database)
        rows: list[tuple[str, bytes]] = []
        if target.ledger is not None and target.issued:
            rows = require_kept(
                target.ledger,
                (before[0] + prepared, before[1] + prepared),
                answers=sum(each.requests for each in (*warm, outcome)),
                issued=target.issued,
                in_flight=(len(warm) + 1) * load.connections,
            )
        require_good(target, wrk.read_answers(answers), rows)
    done = outcome.requests * max(target.issued, 1)
    return Visit(
        outcome=outcome,
        server_cpu=used.server / done * 1000,
        database_cpu=used.database / done * 1000,
        other=used.other / used.at,
        memory=memory,
    )


def load_until(target: Target, is_enough: Callable[[], bool], *, seconds: int, connections: int = 8) -> None:
    """The same load, a while at a time, without measuring. Raises Broken where something is refused."""
    with tempfile.TemporaryDirectory() as folder:
        requests = Path(folder) / "requests"
        wrk.write_requests(requests, target.requests)
        while not is_enough():
            _run(target, connections, seconds, requests)


def _warm_up(target: Target, connections: int, requests: Path, answers: Path) -> list[wrk.Outcome]:
    """The same load, for longer each time until there are answers enough to judge, or patience ends."""
    outcomes: list[wrk.Outcome] = []
    # A server that is hung up on goes on with what it was asked: where answers take long, never for short.
    seconds = max(WARM_UP_SECONDS, target.least_seconds)
    while seconds <= LONGEST_WARM_UP_SECONDS and sum(each.requests for each in outcomes) < SAMPLE:
        outcomes.append(_run(target, connections, seconds, requests, answers))
        seconds *= 2
    return outcomes


def _run(target: Target, connections: int, seconds: int, requests: Path, answers: Path | None = None) -> wrk.Outcome:
    outcome = wrk.run(
        target.server.base_url,
        requests,
        connections=connections,
        seconds=seconds,
        headers=target.headers,
        answers=answers,
    )
    if outcome.refused or outcome.lost:
        raise Broken(f"{outcome.refused} answers were refusals, {outcome.lost} were lost")
    return outcome


@dataclass(frozen=True, slots=True)
class _Usage:
    """Seconds on the clock, and of CPU: of the server, of the database, and of all that is neither nor this process."""

    at: float
    server: float
    database: float
    other: float

    @classmethod
    def now(cls, server: int, database: int) -> "_Usage":
        servers, databases = machine.cpu_seconds(server), machine.cpu_seconds(database)
        other = machine.busy_seconds() - servers - databases - machine.own_cpu_seconds()
        return cls(time.monotonic(), servers, databases, other)

    def since(self, before: "_Usage") -> "_Usage":
        return _Usage(
            self.at - before.at, self.server - before.server, self.database - before.database, self.other - before.other
        )


def as_text(visit: Visit, target: Target) -> str:
    """One line."""
    outcome = visit.outcome
    return (
        f"{outcome.rate * max(target.issued, 1):,.0f}/s, p50 {outcome.p50:.2f} ms, p99 {outcome.p99:.1f} ms, "
        f"CPU {visit.server_cpu:.2f} + {visit.database_cpu:.2f} ms, RSS {visit.memory.rss:.0f} MiB, "
        f"PSS {visit.memory.pss:.0f} MiB" + ("" if visit.is_quiet else f" (others used {visit.other:.1f} cores)")
    )
