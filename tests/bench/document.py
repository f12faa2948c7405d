"""``docs/benchmarks.md``: the table of one run, and all that is needed to judge it."""

import platform
import subprocess
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median
from typing import Final

from tests.bench import cfssl, django_ca, machine
from tests.bench.postgres import openssl_version
from tests.bench.report import Line, Verdict, as_markdown, markdown_table
from tests.bench.stage import ROOT, Stage
from tests.bench.targets import Target
from tests.bench.visits import Visits

DOCUMENT: Final = ROOT / "docs" / "benchmarks.md"
_HEADINGS: Final = (
    "target",
    "connections",
    "per second",
    "p50 ms",
    "p99 ms",
    "CPU ms, server + database",
    "RSS MiB",
    "PSS MiB",
    "cores used by others, at most",
)

_TEXT = """# Benchmarks

Written by `make bench`, not by hand: one run, on one machine, of the portal as it is served and of others beside it.
What was missed is in the table like what was held.

{date}, commit {commit}. {machine}. {versions}.

{verdicts}

{table}
## All visits

Answers a second of every round (certificates where one answer stands for many); latency, CPU and memory are medians.

{visits}
## How it is measured

- Portal, database, peers and load generator (`wrk`, one thread) share the machine, over loopback, without TLS. Absolute
  figures change from machine to machine, and by a third from day to day: look at the ratios. Each is the median of the
  ratios inside {rounds} rounds; in a round every target is visited once, for {seconds} s after a warm-up.
- The portal is served by gunicorn as the README says, on PostgreSQL (`fsync` and `synchronous_commit` on, one cluster
  for all), with {rows:,} certificates in its tables, and with all that it has: background worker, authentication,
  rules, lint, journal, audit.
- *cfssl* is Debian's, with `-db-config` on the same cluster ("with row"), or keeping nothing. It knows no users and no
  policy. *django-ca* is PyPI's, on the same versions of Django, cryptography and gunicorn, with as many workers and
  kept connections: as shipped, where each call checks a password by PBKDF2, and with that hasher taken out.
- A visit begins when others leave the machine alone (less than {quiet} cores), and is made again if they did not
  meanwhile; where that did not help, the line says so.
- A figure counts only if no answer was a refusal or lost, as many rows were added as answers given, as many audit
  events written, no serial number is there twice, and of twenty certificates at random each names what was asked for
  and is verified by openssl. Else the line says that nothing was measured, and why.
- CPU is what the kernel counted for all processes of a server, and of the database, divided by answers,
  or by certificates where one answer stands for many.
- Rows that are there before are copies of real ones with names, serial numbers, dates and hashes of their own.
"""


def document(lines: Sequence[Line], stage: Stage) -> str:
    """The whole text."""
    return _TEXT.format(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        commit=_commit(),
        machine=machine.description(),
        versions=_versions(stage),
        verdicts=_verdicts(lines),
        table=as_markdown(lines),
        visits=markdown_table(_HEADINGS, [row for visited in stage.visited for row in _rows(*visited)]),
        rounds=stage.conditions.rounds,
        seconds=stage.scale.seconds,
        rows=stage.scale.rows,
        quiet=machine.QUIET,
    )


def _rows(connections: int, targets: Sequence[Target], visits: Visits) -> list[tuple[str, ...]]:
    return [
        (
            target.name,
            str(connections),
            ", ".join(f"{visit.outcome.rate * max(target.issued, 1):,.4g}" for visit in visits.of(target)),
            f"{visits.p50(target):.2f}",
            f"{visits.p99(target):.1f}",
            visits.cost(target),
            *(f"{median(getattr(visit.memory, name) for visit in visits.of(target)):.0f}" for name in ("rss", "pss")),
            f"{max(visit.other for visit in visits.of(target)):.2f}",
        )
        for target in targets
    ]


def _verdicts(lines: Sequence[Line]) -> str:
    counts = Counter(line.verdict for line in lines)
    held, missed, rest = (counts[each] for each in (Verdict.HELD, Verdict.MISSED, Verdict.NOT_MEASURED))
    return f"Of {held + missed + rest} lines with a goal {held} are held, {missed} missed, {rest} not measured."


def _versions(stage: Stage) -> str:
    names = ("Django", "djangorestframework", "cryptography", "gunicorn", "psycopg")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"Python {platform.python_version()}, {packages}, PostgreSQL {stage.postgres.version()}, {openssl_version()}; "
        f"django-ca {django_ca.version()}, cfssl {cfssl.version()}"
    )


def _commit() -> str:
    head = _git("rev-parse", "--short", "HEAD")
    return f"{head} with changes" if _git("status", "--porcelain") else head or "unknown"


def _git(*arguments: str) -> str:
    """What git prints; nothing where it refuses."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
