"""Whether a call costs more CPU than before: this tree and the commit before it, in turn, in processes of their own.

    make bench-regression
    .venv/bin/python -m tests.bench.regression --base main

No server, no load: each tree's application is called in its own process on a SQLite of its own, for a round at a time,
and of nine rounds the cheapest counts. The machine's noise is some ten percent, so only more than half as much again is
a failure. Without the history, or where the older tree cannot be run, there is nothing to compare and that is said.
"""

import argparse
import io
import json
import os
import selectors
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.bench.report import tell

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 9
GROSS = 1.5
START_SECONDS, ROUND_SECONDS = 60, 30


class Tree:
    """A tree of the portal in a process that measures whenever it is told."""

    def __init__(self, folder: Path, state: Path) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        environment = kept | {
            "PYTHONPATH": str(folder),
            "DJANGO_SETTINGS_MODULE": "pki_portal.settings",
            "PKI_PORTAL_VAR": str(state),
            "DATABASE_URL": "",
            "WORKER": "false",
        }
        self._errors = (state.parent / f"{state.name}.log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("calls.py"))],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def wait_until_ready(self) -> None:
        """Raises CannotRun."""
        while self._line(START_SECONDS) != "ready":
            pass  # quickstart may have something to say

    def round(self) -> dict[str, float]:
        """ms of CPU for each kind of call. Raises CannotRun."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("again\n")
            self._process.stdin.flush()
        except OSError:
            raise CannotRun(self._last_words()) from None
        costs: dict[str, float] = json.loads(self._line(ROUND_SECONDS))
        return costs

    def end(self) -> None:
        """Whatever it does."""
        self._process.kill()
        self._process.wait()
        self._errors.close()

    def _line(self, seconds: float) -> str:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline().strip() if selector.select(seconds) else ""
        if not line:
            raise CannotRun(self._last_words())
        return line

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else "it told nothing in time"


class CannotRun(Exception):
    """A tree does not do what is measured."""


def compare(
    current: Sequence[Mapping[str, float]], before: Sequence[Mapping[str, float]]
) -> dict[str, tuple[float, float]]:
    """The cheapest of the rounds of both, by kind of call: now, and before."""
    return {kind: (min(each[kind] for each in current), min(each[kind] for each in before)) for kind in current[0]}


def has_regressed(costs: Mapping[str, tuple[float, float]]) -> bool:
    """Whether any kind of call costs grossly more."""
    return any(now > GROSS * before for now, before in costs.values())


def as_text(costs: Mapping[str, tuple[float, float]]) -> str:
    """A line for each kind of call."""
    return "".join(
        f"{kind:22} {now:7.2f} ms of CPU, {before:7.2f} before: {now / before:.2f}x\n"
        for kind, (now, before) in costs.items()
    )


def main() -> int:
    """Exit code 1 where a call costs grossly more; CannotRun where this tree does not work at all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.regression", description=__doc__)
    parser.add_argument(
        "--base", help="the commit to compare with; by default the one before, or HEAD if anything changed"
    )
    base = parser.parse_args().base or ("HEAD" if _git("status", "--porcelain", "--untracked-files=no") else "HEAD~1")
    archive = _git("archive", "--format=tar", base)
    if not archive:
        tell(f"There is no commit {base} here to compare with: nothing was measured.")
        return 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="regression-", dir=_memory())))
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder / "before")  # noqa: S202 - made by git, of this repository
        trees = [Tree(ROOT, folder / "state-now"), Tree(folder / "before", folder / "state-before")]
        for tree in trees:
            stack.callback(tree.end)
        rounds: list[list[dict[str, float]]] = [[], []]
        try:
            trees[1].wait_until_ready()
        except CannotRun as reason:
            tell(f"The commit {base} cannot be run as this one is ({reason}): nothing was compared.")
            return 0
        trees[0].wait_until_ready()
        for _ in range(ROUNDS):
            for tree, done in zip(trees, rounds, strict=True):
                done.append(tree.round())
    costs = compare(*rounds)
    tell(as_text(costs))
    if has_regressed(costs):
        tell(f"More than {GROSS} times what it was before: see where the time goes.")
        return 1
    return 0


def _git(*arguments: str) -> bytes:
    """What git prints; nothing where it refuses, or is not there."""
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False).stdout
    except OSError:
        return b""


def _memory() -> str | None:
    """Where flushing costs nothing; None for the usual place."""
    memory = Path("/dev/shm")  # noqa: S108 - only the place; the folder is made anew, and nobody else may read it
    return str(memory) if os.access(memory, os.W_OK) else None


if __name__ == "__main__":
    sys.exit(main())
