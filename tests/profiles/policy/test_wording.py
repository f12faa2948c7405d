from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from profiles.policy.wording import a, listed, quoted, shown, time


def test_text_is_cut_and_escaped() -> None:
    assert shown("a\x00b\n\u202e") == "a\\u{0}b\\u{a}\\u{202e}"
    assert shown("x" * 101) == "x" * 100 + "…"
    assert quoted("é") == '"é"'


@given(st.text(alphabet=st.characters(), max_size=200))
def test_whatever_is_shown_is_printable_and_can_be_encoded(text: str) -> None:
    assert shown(text).isprintable()
    assert shown(text).encode().decode() == shown(text)


def test_long_lists_tell_how_many_more() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(number) for number in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 2 more"
    assert listed([]) == ""


def test_times_are_iso_8601() -> None:
    assert time(datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)) == "2026-11-23T12:00:05Z"
    assert time(datetime(33, 4, 3, tzinfo=UTC)) == "year 33"


def test_articles() -> None:
    assert (a("email SAN"), a("uri SAN"), a("common_name")) == ("an email SAN", "a uri SAN", "a common_name")
