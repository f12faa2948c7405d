"""Changes as JSON Patch: applied to the body as it was sent, each patch is one that RFC 6902 can apply."""

import copy
from typing import Any

import pytest

from pki_portal.errors import Change
from pki_portal.rest import json_patch
from tests.patching import applied

NAME = {"type": "dns_name", "value": "a.test"}
BODY = {
    "profileId": "p",
    "attributes": {
        "commonName": "x",
        "altNames": [{"type": "DNS", "value": "b.test"}, {"type": "DNS", "value": "c.test"}],
        "keyUsages": ["crl_sign"],
        "extendedKeyUsages": None,
        "basicConstraints": {"isCA": True},
        "ttl": "9y",
    },
}


@pytest.mark.parametrize(
    ("changes", "path", "value"),
    [
        ([Change("set", "subject/common_name", "y")], "commonName", "y"),
        ([Change("set", "subject/organizational_unit", "y")], "organizationalUnit", "y"),
        ([Change("remove", "subject/common_name")], "commonName", None),
        ([Change("add", "subject_alternative_names", NAME)], "altNames", [*BODY["attributes"]["altNames"], NAME]),  # type: ignore[index]
        (
            [Change("remove", "subject_alternative_names/1"), Change("set", "subject_alternative_names/0", NAME)],
            "altNames",
            [NAME],
        ),
        ([Change("remove", "key_usages/0")], "keyUsages", []),
        ([Change("add", "extended_key_usages", "server_auth")], "extendedKeyUsages", ["server_auth"]),
        ([Change("set", "ttl", "90d")], "ttl", "90d"),
        (
            [Change("set", "basic_constraints", {"is_ca": True, "path_length": 0})],
            "basicConstraints",
            {"isCA": True, "pathLength": 0},
        ),
        ([Change("set", "basic_constraints/path_length", 0)], "basicConstraints", {"isCA": True, "pathLength": 0}),
    ],
)
def test_a_change_is_a_patch_of_the_body(changes: list[Change], path: str, value: object) -> None:
    patch = json_patch(changes, BODY)
    assert patch is not None
    after = applied(patch, BODY)
    assert after["attributes"].pop(path, None) == value
    rest: dict[str, Any] = copy.deepcopy(BODY)
    rest["attributes"].pop(path, None)
    assert after == rest


@pytest.mark.parametrize("body", [{"profileId": "p"}, {"profileId": "p", "attributes": None}])
def test_objects_and_lists_that_the_body_lacks_are_made(body: dict[str, Any]) -> None:
    changes = [
        Change("add", "subject_alternative_names", NAME),
        Change("add", "subject_alternative_names", NAME),
        Change("set", "basic_constraints/path_length", 1),
    ]
    patch = json_patch(changes, body)
    assert patch is not None
    assert applied(patch, body)["attributes"] == {"altNames": [NAME, NAME], "basicConstraints": {"pathLength": 1}}


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ([], BODY),
        ([Change("set", "ttl", "1d")], None),
        ([Change("set", "ttl", "1d")], ["profileId"]),
        ([Change("set", "ttl", "1d")], {"name": "a template"}),
        ([Change("remove", "not_after")], BODY),
        ([Change("remove", "subject_alternative_names/2")], BODY),
        ([Change("set", "subject_alternative_names/2", NAME)], BODY),
    ],
)
def test_what_the_body_does_not_say_is_not_patched(changes: list[Change], body: object) -> None:
    assert json_patch(changes, body) is None
