"""Lengths of life and wildcards against second implementations that share nothing with the first."""

import fnmatch
import json
import os
import re
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pki_portal.errors import Violation
from profiles.policy import names
from profiles.policy.decide import decide
from profiles.policy.errors import DuplicateRule, RuleError
from profiles.policy.rules import ProfileDefaults, TemplateRules
from profiles.policy.validity import InvalidDuration, parse_max_validity, parse_ttl
from profiles.policy.vocabulary import NameType, SubjectAttribute
from tests.profiles.policy.samples import NOW, RSA_CA, make_request

# The tests of single rules show what is covered; these only take longer when they are watched.
pytestmark = pytest.mark.no_cover
EXAMPLES = 2_000 if os.environ.get("CI") else 200

# --- Lengths of life --------------------------------------------------------------------------------------------------

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "y": 31_536_000}
LONG_FORMS = {"seconds": "s", "mins": "m", "hours": "h", "day": "d", "weeks": "w", "years": "y"}
AMOUNTS = st.from_regex(r"\A[0-9]{1,6}(\.[0-9]{0,9})?\Z", fullmatch=True)


def reference_length(amount: str, seconds: int) -> timedelta:
    """Exact in rational numbers, cut to microseconds."""
    whole, _, decimals = amount.partition(".")
    exact = Fraction(int(whole + decimals), 10 ** len(decimals)) * seconds * 1_000_000
    return timedelta(microseconds=exact.numerator // exact.denominator)


@given(
    amount=AMOUNTS, unit=st.sampled_from([*SECONDS, *LONG_FORMS]), space=st.sampled_from(["", " "]), up=st.booleans()
)
@settings(max_examples=EXAMPLES)
def test_a_ttl_is_what_the_reference_computes(amount: str, unit: str, space: str, up: bool) -> None:
    expected = reference_length(amount, SECONDS[LONG_FORMS.get(unit, unit)])
    text = f"{amount}{space}{unit.upper() if up else unit}"
    if expected:
        assert parse_ttl(text) == expected
    else:
        with pytest.raises(InvalidDuration):
            parse_ttl(text)


@given(amount=st.integers(1, 9_999), unit=st.sampled_from([*SECONDS]))
@settings(max_examples=EXAMPLES)
def test_only_in_a_template_a_month_is_thirty_days(amount: int, unit: str) -> None:
    seconds = 30 * 86_400 if unit == "m" else SECONDS[unit]
    assert parse_max_validity(f"{amount}{unit}") == timedelta(seconds=amount * seconds)
    assert parse_ttl(f"{amount}{unit}") == timedelta(seconds=amount * SECONDS[unit])


# --- Wildcards --------------------------------------------------------------------------------------------------------

LETTERS = st.sampled_from(["a", "b", ".", "-", "ab.", "a.b", "[", "?", "\\"])
TEXTS = st.lists(LETTERS, max_size=6).map("".join)
PATTERNS = st.lists(LETTERS | st.just("*") | st.just("*."), max_size=6).map("".join)


def oracle(pattern: str, text: str) -> bool:
    """By a backtracking regular expression; fnmatch is asked too where its own special characters are absent."""
    by_regex = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None
    if not set(pattern) & set("[?"):
        assert fnmatch.fnmatchcase(text, pattern) == by_regex
    return by_regex


@given(pattern=PATTERNS, text=TEXTS)
@settings(max_examples=EXAMPLES)
def test_a_wildcard_of_a_subject_matches_as_the_oracle_says(pattern: str, text: str) -> None:
    pattern, text = pattern.strip(), text.strip()
    assert names.matches(pattern, text, SubjectAttribute.ORGANIZATION) == oracle(pattern, text)


HOSTS = st.lists(st.sampled_from(["a", "b", "ab", "ba", "x-y"]), min_size=1, max_size=4).map(".".join)
HOST_PATTERNS = st.lists(st.sampled_from(["*", "a", "b", "ab", "a*", "*b", "x-*"]), min_size=1, max_size=4).map(
    ".".join
)


@given(pattern=HOST_PATTERNS, host=HOSTS)
@settings(max_examples=EXAMPLES)
def test_a_wildcard_of_a_host_matches_as_the_oracle_says(pattern: str, host: str) -> None:
    expected = oracle(pattern, host)
    assert names.matches(pattern, host, NameType.DNS_NAME) == expected
    assert names.matches(f"*@{pattern}", f"jane@{host}", NameType.EMAIL) == expected
    assert names.denies(pattern, host, NameType.DNS_NAME) == expected


# --- Rules of any shape -----------------------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
WORDS = st.sampled_from(
    ["common_name", "dns_name", "CN", "server_auth", "RSA_2048", "90d", "*", "1.2.3", "required", ""]
)
LISTS = st.lists(WORDS | SCALARS, max_size=3)
ENTRIES = st.dictionaries(
    st.sampled_from(["type", "allowed", "required", "denied", "is_ca", "max_path_length", "max", "min", "max_count",
                     "signature", "key_algorithm", "x"]),
    WORDS | SCALARS | LISTS,
    max_size=5,
)  # fmt: skip
ANY_JSON = st.recursive(
    SCALARS | WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner), max_leaves=8
)
PARTS = ["subject", "sans", "key_usages", "extended_key_usages", "algorithms", "validity", "basic_constraints"]
DOCUMENTS = st.dictionaries(
    st.sampled_from([*PARTS, "ttl", "ttl_days", "country", "common_name", "key_algorithm"]),
    ENTRIES | st.lists(ENTRIES, max_size=3) | LISTS | ANY_JSON,
    max_size=6,
)


@given(document=DOCUMENTS)
@settings(max_examples=EXAMPLES)
def test_rules_of_any_shape_are_read_or_refused_by_name(document: dict[str, Any]) -> None:
    """What is read judges whatever is asked."""
    judging: dict[str, Any] = {"rules": TemplateRules(), "defaults": ProfileDefaults()}
    for part, read in (("rules", TemplateRules.from_json), ("defaults", ProfileDefaults.from_json)):
        try:
            judging[part] = read(document)
        except (RuleError, DuplicateRule) as refusal:
            assert refusal.violations  # noqa: PT017 - either outcome is right
            assert all(isinstance(each, Violation) and each.fix for each in refusal.violations)  # noqa: PT017
            json.dumps([each.asked for each in refusal.violations])
    decision = decide(**judging, request=make_request(), issuer=RSA_CA, now=NOW)
    assert (decision.plan is None) == bool(decision.violations)
