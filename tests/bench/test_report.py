"""The table, and what it says of a goal."""

import pytest

from tests.bench.report import AtLeast, AtMost, Line, Verdict, as_markdown, as_text


@pytest.mark.parametrize(
    ("ratio", "wanted", "verdict"),
    [
        (1.0, AtLeast(1.0), Verdict.HELD),
        (0.99, AtLeast(1.0), Verdict.MISSED),
        (0.5, AtMost(0.5), Verdict.HELD),
        (0.51, AtMost(0.5), Verdict.MISSED),
        (3.0, None, Verdict.TOLD),
    ],
)
def test_a_goal_is_held_or_missed(ratio: float, wanted: AtLeast | AtMost | None, verdict: Verdict) -> None:
    assert Line("G1", "issue", ratio=ratio, wanted=wanted).verdict is verdict
    assert Line("G1", "issue", wanted=wanted, is_measured=False).verdict is Verdict.NOT_MEASURED


@pytest.mark.parametrize(("ratio", "told"), [(0.0123, "0.01"), (1.234, "1.23"), (12.34, "12.3"), (345.6, "346")])
def test_ratios_are_told_with_three_digits(ratio: float, told: str) -> None:
    assert told in Line("G1", "issue", ratio=ratio).cells()


def test_the_tables_have_a_row_for_each_line_and_break_none() -> None:
    lines = [
        Line("G1", "issue", "500/s", "cfssl: 400/s", 1.25, AtLeast(1.0)),
        Line("G4", "batch", note="POST /batch answers 404 | 405", is_measured=False),
    ]
    text = as_text(lines).splitlines()
    assert len(text) == 3
    assert text[1].split("  ")[-1] == "held"
    markdown = as_markdown(lines).splitlines()
    assert {row.count("|") for row in markdown} == {8}
    assert "(POST /batch answers 404 / 405)" in markdown[-1]
