"""What was found: one table, on the terminal and in docs/benchmarks.md."""

import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

HEADINGS: Final = ("goal", "metric", "ours", "peer", "ratio", "wanted", "verdict")
NOTE_WIDTH: Final = 160


class Verdict(StrEnum):
    """What a line says of a goal."""

    HELD = "held"
    MISSED = "missed"
    NOT_MEASURED = "not measured"
    TOLD = ""


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A goal that a ratio must reach."""

    value: float

    def is_held_by(self, ratio: float) -> bool:
        """Whether it does."""
        return ratio >= self.value

    def __str__(self) -> str:
        return f">= {self.value:g}"


@dataclass(frozen=True, slots=True)
class AtMost:
    """A goal that a ratio must not go beyond."""

    value: float

    def is_held_by(self, ratio: float) -> bool:
        """Whether it stays below."""
        return ratio <= self.value

    def __str__(self) -> str:
        return f"<= {self.value:g}"


@dataclass(frozen=True, slots=True)
class Line:
    """One metric, told only where nothing is ``wanted``.

    ``note`` says in what circumstances it was measured, or why it was not.
    """

    goal: str
    metric: str
    ours: str = ""
    peer: str = ""
    ratio: float | None = None
    wanted: AtLeast | AtMost | None = None
    note: str = ""
    is_measured: bool = True

    @property
    def verdict(self) -> Verdict:
        """Held, missed, or neither."""
        if not self.is_measured:
            return Verdict.NOT_MEASURED
        if self.wanted is None or self.ratio is None:
            return Verdict.TOLD
        return Verdict.HELD if self.wanted.is_held_by(self.ratio) else Verdict.MISSED

    def cells(self) -> tuple[str, ...]:
        """As the table shows it."""
        ratio = "" if self.ratio is None else f"{self.ratio:.{max(0, 3 - len(f'{self.ratio:.0f}'))}f}"
        note = textwrap.shorten(self.note, NOTE_WIDTH, placeholder="...")
        verdict = f"{self.verdict} ({note})" if note else str(self.verdict)
        wanted = "" if self.wanted is None else str(self.wanted)
        return self.goal, self.metric, self.ours, self.peer, ratio, wanted, verdict.strip()


def rate_text(rate: float) -> str:
    """So many a second."""
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"


def as_text(lines: Sequence[Line]) -> str:
    """A table for a terminal."""
    rows = [HEADINGS, *(line.cells() for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "".join(f"{row}\n" for row in padded)


def as_markdown(lines: Sequence[Line]) -> str:
    """The same for a document."""
    return markdown_table(HEADINGS, [line.cells() for line in lines])


def markdown_table(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Rows under headings."""
    rows = [headings, ["---"] * len(headings), *cells]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in rows)


def tell(line: str) -> None:
    """One line of what goes on."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
