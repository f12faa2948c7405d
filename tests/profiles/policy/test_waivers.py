from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from profiles.policy.errors import DuplicateRule, RuleError
from profiles.policy.waivers import MOST_WAIVERS, LintWaiver, read_waivers, waivers_as_json

REASON = "The old load balancers need it until they are replaced."
WAIVER = {"code": "pkix.invalid_uri_syntax", "reason": REASON}
END = datetime(2027, 6, 30, tzinfo=UTC)


def test_waivers_are_read_and_written_back() -> None:
    waivers = read_waivers([{**WAIVER, "expires_at": "2027-06-30T00:00:00Z"}, {**WAIVER, "code": "pkix.name_empty"}])

    assert waivers == (
        LintWaiver("pkix.invalid_uri_syntax", REASON, END),
        LintWaiver("pkix.name_empty", REASON, None),
    )
    assert read_waivers(waivers_as_json(waivers)) == waivers


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_none_are_none(nothing: object) -> None:
    assert read_waivers(nothing) == ()


def test_a_waiver_ends_at_its_instant() -> None:
    waiver = LintWaiver("pkix.name_empty", REASON, END)

    assert waiver.counts_at(END - timedelta(microseconds=1))
    assert not waiver.counts_at(END)
    assert LintWaiver("pkix.name_empty", REASON).counts_at(datetime.max.replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2027-06-30T02:00:00+02:00", END),
        ("2027-06-30", END),
        ("2027-06-30T00:00:00", END),
    ],
)
def test_times_without_offset_are_utc(text: str, instant: datetime) -> None:
    assert read_waivers([{**WAIVER, "expires_at": text}])[0].expires_at == instant


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ("x", "lint_waivers"),
        ([WAIVER] * (MOST_WAIVERS + 1), "lint_waivers"),
        ([None], "lint_waivers/0"),
        (["x"], "lint_waivers/0"),
        ([{"reason": REASON}], "lint_waivers/0/code"),
        ([{**WAIVER, "code": 7}], "lint_waivers/0/code"),
        ([{**WAIVER, "code": "no-such-form"}], "lint_waivers/0/code"),
        ([{**WAIVER, "code": "*"}], "lint_waivers/0/code"),
        ([{"code": "pkix.name_empty"}], "lint_waivers/0/reason"),
        ([{**WAIVER, "reason": "too short"}], "lint_waivers/0/reason"),
        ([{**WAIVER, "reason": "    x    y    "}], "lint_waivers/0/reason"),
        ([{**WAIVER, "reason": "x" * 501}], "lint_waivers/0/reason"),
        ([{**WAIVER, "reason": "a reason\x00with a NUL"}], "lint_waivers/0/reason"),
        ([{**WAIVER, "expires_at": "soon"}], "lint_waivers/0/expires_at"),
        ([{**WAIVER, "expires_at": "0001-01-01T00:00:00+14:00"}], "lint_waivers/0/expires_at"),
        ([{**WAIVER, "expires_at": 5}], "lint_waivers/0/expires_at"),
    ],
)
def test_what_no_waiver_can_be(document: Any, field: str) -> None:
    with pytest.raises(RuleError) as refusal:
        read_waivers(document)

    assert field in [violation.field for violation in refusal.value.violations]


def test_a_finding_is_waived_once() -> None:
    with pytest.raises(DuplicateRule) as refusal:
        read_waivers([WAIVER, WAIVER])

    assert [violation.field for violation in refusal.value.violations] == ["lint_waivers/1/code"]
