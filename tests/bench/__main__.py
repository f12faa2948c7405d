"""Measure the portal against its goals and its peers; prints one table, and writes docs/benchmarks.md if told so.

make bench          all of it, more than half an hour
make bench-quick    G1, G3, G4 and G7, one short round, fewer rows
.venv/bin/python -m tests.bench --only G1,G3 --rows 20000 --rounds 1 --seconds 2 --patience 0
"""

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable

import psycopg

from tests.bench.document import DOCUMENT, document
from tests.bench.goals import batches, growth, issuing, memory, ocsp, renewing, revocation_lists, server_keys
from tests.bench.report import Line, as_text, tell
from tests.bench.stage import Scale, Stage, set_up
from tests.bench.targets import Broken, NotThere
from tests.bench.visits import Conditions

Goal = Callable[[Stage], list[Line]]
GOALS: dict[str, Goal] = {
    "G1": issuing.issue_from_csr,
    "G3": issuing.issue_at_rest,
    "G4": batches.issue_batches,
    "G5": issuing.issue_by_rsa,
    "G6": server_keys.make_rsa_keys,
    "G7": ocsp.answer_ocsp,
    "G8": revocation_lists.publish_and_revoke,
    "G9": growth.look_up,
    "G10": renewing.sweep_renewals,
    "G11": memory.hold_memory,
}
QUICK = ("G1", "G3", "G4", "G7")
# How often a visit that others disturbed is made again.
REPEATS = 2


def main() -> int:
    """Exit code 0 whatever was missed, 1 where a goal could not be measured."""
    # Ended from outside, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = _options()
    chosen = [name for name in GOALS if name in options.only]
    scale = Scale(
        rows=options.rows,
        sizes=tuple(options.sizes),
        seconds=options.seconds,
        renewals=options.renewals,
        issued=options.issued,
        has_shipped_hasher=not options.quick,
    )
    conditions = Conditions(
        rounds=options.rounds, patience=options.patience, repeats=REPEATS if options.patience else 0
    )
    lines: list[Line] = []
    with set_up(scale, conditions) as stage:
        for name in chosen:
            tell(f"{name}: {_title(name)}")
            lines += _measured(name, stage)
        tell("\n" + as_text(lines))
        if options.write:
            DOCUMENT.write_text(document(lines, stage))
            tell(f"written to {DOCUMENT}")
    return int(any(not line.is_measured for line in lines))


def _measured(name: str, stage: Stage) -> list[Line]:
    try:
        return GOALS[name](stage)
    except (Broken, NotThere) as reason:
        note = str(reason)
    except (RuntimeError, OSError, psycopg.Error, subprocess.SubprocessError) as problem:
        # The rest of the goals are not lost by it.
        note = f"{type(problem).__name__}: {problem}"
    tell(f"  not measured: {note}")
    return [Line(name, _title(name), note=note, is_measured=False)]


def _title(name: str) -> str:
    return (GOALS[name].__doc__ or "").partition(": ")[2].rstrip(".")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true", help="also write docs/benchmarks.md")
    parser.add_argument("--only", type=lambda text: text.split(","))
    parser.add_argument("--rows", type=int)
    parser.add_argument("--sizes", type=lambda text: [int(each) for each in text.split(",")])
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--patience", type=float)
    parser.add_argument("--renewals", type=int, default=20_000)
    parser.add_argument("--issued", type=int, default=100_000)
    options = parser.parse_args()
    quick = {"only": QUICK, "rows": 20_000, "sizes": [1000, 20_000], "rounds": 1, "seconds": 2, "patience": 5.0}
    whole = {
        "only": list(GOALS),
        "rows": 10**6,
        "sizes": [10**3, 10**5, 10**6],
        "rounds": 3,
        "seconds": 4,
        "patience": 120.0,
    }
    for name, value in (quick if options.quick else whole).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


if __name__ == "__main__":
    sys.exit(main())
