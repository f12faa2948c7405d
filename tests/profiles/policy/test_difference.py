"""What differs, told by type and key."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.policy.difference import Difference, differences

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "a", "b"]), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.sampled_from(["a", "b", "c"]), ANY, max_size=3)


def entry(kind: str, **lists: list[str]) -> dict[str, Any]:
    return {"type": kind, **lists}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"name": "a"}, {"name": "a"}, []),
        ({"name": "a"}, {"name": "b"}, [("name", "a", "b")]),
        ({}, {"name": "b"}, [("name", None, "b")]),
        ({"name": "a"}, {}, [("name", "a", None)]),
        ({"validity": None}, {}, []),
        ({"validity": None}, {"validity": {"max": "90d"}}, [("validity/max", None, "90d")]),
        ({"validity": {"max": "90d"}}, {"validity": {"max": "30d"}}, [("validity/max", "90d", "30d")]),
        ({"defaults": {}}, {"defaults": None}, []),
        (
            {"settings": {}},
            {"settings": {"api": {"auto_renew": False}}},
            [("settings/api/auto_renew", None, False)],
        ),
        (
            {"key_usages": {"required": ["a"]}},
            {"key_usages": {"required": ["a", "b"], "denied": ["c"]}},
            [("key_usages/required", ["a"], ["a", "b"]), ("key_usages/denied", None, ["c"])],
        ),
        (
            {"validity": {"max": "1d"}, "b": 1, "a": 1, "sans": [], "name": "n"},
            {"a": 2, "name": "m", "b": 2, "validity": None, "sans": [entry("uri", denied=["x"], allowed=["*"])]},
            [
                ("name", "n", "m"),
                ("sans[uri]/allowed", None, ["*"]),
                ("sans[uri]/denied", None, ["x"]),
                ("validity/max", "1d", None),
                ("a", 1, 2),
                ("b", 1, 2),
            ],
        ),
        (
            {"subject": [entry("common_name", allowed=["*"]), entry("country", required=["US"])]},
            {"subject": [entry("country", required=["US"]), entry("common_name", allowed=["*.acme.com"])]},
            [("subject[common_name]/allowed", ["*"], ["*.acme.com"])],
        ),
        (
            {"sans": []},
            {"sans": [entry("dns_name", allowed=["*"], denied=["x"])]},
            [("sans[dns_name]/allowed", None, ["*"]), ("sans[dns_name]/denied", None, ["x"])],
        ),
        ({"sans": [entry("uri", allowed=["*"])]}, {"sans": []}, [("sans[uri]/allowed", ["*"], None)]),
        (
            {"sans": [entry("uri", allowed=["*"]), entry("email", allowed=["*"])]},
            {"sans": [entry("email", allowed=["*"]), entry("uri", allowed=["*"])]},
            [("sans", ["uri", "email"], ["email", "uri"])],
        ),
        ({"x": [1, 2]}, {"x": [2, 1]}, [("x", [1, 2], [2, 1])]),
        ({"x": "text"}, {"x": [entry("a")]}, [("x", "text", [entry("a")])]),
        (
            {"x": [entry("a", allowed=["1"]), entry("a", allowed=["2"])]},
            {"x": []},
            [("x", [entry("a", allowed=["1"]), entry("a", allowed=["2"])], [])],
        ),
    ],
)
def test_each_place_is_told_once(before: Any, after: Any, expected: list[tuple[str, Any, Any]]) -> None:
    assert list(differences(before, after)) == [Difference(*each) for each in expected]


@given(DOCUMENTS)
def test_a_document_does_not_differ_from_itself(document: dict[str, Any]) -> None:
    assert differences(document, document) == ()


@given(DOCUMENTS, DOCUMENTS)
def test_turned_around_the_same_places_differ_the_other_way(before: dict[str, Any], after: dict[str, Any]) -> None:
    there = {(each.path, repr(each.before), repr(each.after)) for each in differences(before, after)}
    back = {(each.path, repr(each.after), repr(each.before)) for each in differences(after, before)}
    assert there == back
