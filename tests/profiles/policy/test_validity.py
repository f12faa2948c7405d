from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.policy.validity import InvalidDuration, parse_max_validity, parse_ttl
from profiles.policy.wording import duration


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("25s", timedelta(seconds=25)),
        ("2m", timedelta(minutes=2)),
        ("24h", timedelta(hours=24)),
        ("90d", timedelta(days=90)),
        ("2w", timedelta(days=14)),
        ("1y", timedelta(days=365)),
        ("7776000s", timedelta(days=90)),
        ("8760h", timedelta(days=365)),
        ("1.5h", timedelta(minutes=90)),
        (".5d", timedelta(hours=12)),
        ("2. d", timedelta(days=2)),
        ("30 days", timedelta(days=30)),
        ("1 Day", timedelta(days=1)),
        ("10 Minutes", timedelta(minutes=10)),
        ("3 hrs", timedelta(hours=3)),
        ("2 YEARS", timedelta(days=730)),
        ("5 weeks", timedelta(days=35)),
        ("60000ms", timedelta(minutes=1)),
        ("  90d\n", timedelta(days=90)),
    ],
)
def test_ttl_is_read(text: str, length: timedelta) -> None:
    assert parse_ttl(text) == length


@pytest.mark.parametrize("text", ["30", "1.5", " 90 ", ".5"])
def test_bare_number_is_refused_with_advice_to_add_a_unit(text: str) -> None:
    with pytest.raises(InvalidDuration, match="has no unit; write a number and a unit"):
        parse_ttl(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "d",
        "1q",
        "1 month",
        "-1d",
        "+1d",
        "1d2h",
        "1,5d",
        "one day",
        "1e3d",
        "٣d",
        "1\x00d",
        "9" * 100_000 + "d",
    ],
)
def test_what_is_no_ttl_is_refused(text: str) -> None:
    with pytest.raises(InvalidDuration, match="is not a length of time"):
        parse_ttl(text)


@pytest.mark.parametrize("text", ["0d", "0.0h", "0ms", "0.000000001ms"])
def test_no_time_at_all_is_refused(text: str) -> None:
    with pytest.raises(InvalidDuration, match="is no time at all"):
        parse_ttl(text)


@pytest.mark.parametrize("text", ["999999999999999y", "3000000y"])
def test_length_beyond_every_calendar_is_refused(text: str) -> None:
    with pytest.raises(InvalidDuration, match="longer than any calendar"):
        parse_ttl(text)


def test_m_is_months_in_a_template_only() -> None:
    assert parse_max_validity("3m") == timedelta(days=90)
    assert parse_max_validity("12 months") == timedelta(days=360)
    assert parse_max_validity("1y") == timedelta(days=365)
    assert parse_max_validity("24h") == timedelta(days=1)
    assert parse_ttl("3m") == timedelta(minutes=3)


def test_invalid_max_validity_names_the_months() -> None:
    with pytest.raises(InvalidDuration, match="months of 30 days"):
        parse_max_validity("invalid")


SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}


@given(
    whole=st.integers(0, 10_000),
    decimals=st.text("0123456789", max_size=6),
    space=st.sampled_from(["", " ", "  "]),
    unit=st.sampled_from(sorted(SECONDS)),
    capital=st.booleans(),
)
def test_ttl_equals_exact_arithmetic(whole: int, decimals: str, space: str, unit: str, capital: bool) -> None:
    number = f"{whole}.{decimals}" if decimals else str(whole)
    text = number + space + (unit.upper() if capital else unit)
    microseconds = int(Fraction(number) * SECONDS[unit] * 1_000_000)
    if microseconds:
        assert parse_ttl(text) == timedelta(microseconds=microseconds)
    else:
        with pytest.raises(InvalidDuration):
            parse_ttl(text)


@given(st.text(max_size=60))
def test_any_text_is_a_positive_length_or_an_invalid_duration(text: str) -> None:
    for parse in (parse_ttl, parse_max_validity):
        try:
            assert parse(text) > timedelta()
        except InvalidDuration as reason:
            assert str(reason)  # noqa: PT017 - either outcome is right


@given(st.integers(1, 10**9))
def test_durations_are_shown_as_they_are_read(seconds: int) -> None:
    length = timedelta(seconds=seconds)
    assert parse_ttl(duration(length)) == length


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(days=90), "90d"),
        (timedelta(hours=36), "36h"),
        (timedelta(minutes=61), "61m"),
        (timedelta(seconds=61), "61s"),
        (timedelta(seconds=61, microseconds=5), "61s"),
        (timedelta(milliseconds=500), "0.5s"),
        (-timedelta(days=1), "-86400s"),
    ],
)
def test_duration_uses_the_largest_exact_unit(length: timedelta, text: str) -> None:
    assert duration(length) == text
