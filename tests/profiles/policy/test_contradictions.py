"""Templates that cannot be meant are told before they are saved; all others are left alone."""

from typing import Any

import pytest

from profiles.policy.contradictions import contradictions, refuse_contradictions
from profiles.policy.errors import RuleError
from tests.profiles.policy.samples import ANYTHING, SAMPLE, rules_of


def fields(**changes: Any) -> list[str]:
    return [violation.field for violation in contradictions(rules_of(**changes)).malformed]


@pytest.mark.parametrize("document", [ANYTHING, SAMPLE, {}])
def test_a_template_that_can_be_met_is_left_alone(document: dict[str, object]) -> None:
    refuse_contradictions(rules_of(document))


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        ("dns_name", "a_b.acme.com"),
        ("dns_name", "*_.acme.com"),
        ("dns_name", "*.acme..com"),
        ("dns_name", ".acme.com"),
        ("dns_name", "*b\u00fc*.acme.com"),
        ("dns_name", "acme.*.com/x"),
        ("dns_name", "10.0.0.1"),
        ("email", "acme.com"),
        ("email", "*@a@acme.com"),
        ("email", "* smith@acme.com"),
        ("ip_address", "10.0.0.256"),
        ("ip_address", "host*"),
        ("uri", "/path"),
        ("uri", "https://acme.com/ *"),
        ("upn", "jane"),
    ],
)
def test_a_name_pattern_that_nothing_can_match_is_refused(kind: str, pattern: str) -> None:
    for verdict in ("allowed", "required"):
        assert f"sans/0/{verdict}/0" in fields(sans=[{"type": kind, verdict: [pattern]}])
    assert fields(sans=[{"type": kind, "allowed": ["*"], "denied": [pattern]}]) == []


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        ("country", "USA"),
        ("country", "U"),
        ("country", "U*S*A"),
        ("country", "1*"),
        ("domain_component", "*.com"),
        ("serial_number", "*_*"),
        ("email", "acme.com"),
    ],
)
def test_a_pattern_of_the_subject_that_nothing_can_match_is_refused(kind: str, pattern: str) -> None:
    assert fields(subject=[{"type": kind, "allowed": [pattern]}]) == ["subject/0/allowed/0"]


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        ("dns_name", "*.ACME.com."),
        ("dns_name", "b\u00fccher.example"),
        ("dns_name", "*"),
        ("dns_name", "a*b"),
        ("email", "*"),
        ("email", "*.acme.com"),
        ("email", "O'Brien+x@acme.com"),
        ("ip_address", "10.*"),
        ("ip_address", "2001:DB8:*"),
        ("ip_address", "10.0.0.0/8"),
        ("ip_address", "2001:db8::/32"),
        ("uri", "https://*.acme.com/*"),
        ("uri", "urn:*"),
        ("uri", "https://acme.com"),
        ("upn", "*@acme.com"),
    ],
)
def test_a_name_pattern_that_something_can_match_is_left_alone(kind: str, pattern: str) -> None:
    assert fields(sans=[{"type": kind, "required": [pattern]}]) == []


@pytest.mark.parametrize("pattern", ["US", "u*", "*s", "*"])
def test_a_country_pattern_that_two_letters_fit_is_left_alone(pattern: str) -> None:
    assert fields(subject=[{"type": "country", "allowed": [pattern]}]) == []


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"required": ["a.acme.com"], "denied": ["*.acme.com"]}, ["sans/0/required/0"]),
        ({"required": ["*.a.acme.com", "b.test"], "denied": ["*.acme.com"]}, ["sans/0/required/0"]),
        ({"allowed": ["a.acme.com", "*.b.acme.com"], "denied": ["*.acme.com"]}, ["sans/0/denied"]),
        ({"allowed": ["a.acme.com", "b.test"], "denied": ["*.acme.com"]}, []),
        ({"allowed": ["*.com"], "denied": ["*.acme.com"]}, []),
        ({"required": ["a.test", "A.TEST."], "max_count": 1}, []),
        ({"required": ["a.test", "b.test"], "max_count": 1}, ["sans/0/max_count"]),
        ({"required": ["*.test", "a.*"], "max_count": 1}, []),
    ],
)
def test_what_is_required_or_allowed_is_not_all_denied_or_too_much(
    rule: dict[str, object], expected: list[str]
) -> None:
    assert fields(sans=[{"type": "dns_name", **rule}]) == expected


def test_a_denied_network_takes_in_smaller_ones_of_its_family_alone() -> None:
    def of(*required: str) -> list[str]:
        return fields(sans=[{"type": "ip_address", "required": list(required), "denied": ["10.0.0.0/8", "fe80::/10"]}])

    assert of("10.1.0.0/16", "fe80::1", "10.2.3.4") == [f"sans/0/required/{index}" for index in range(3)]
    assert of("0.0.0.0/0", "11.0.0.1", "2001:db8::/32") == []


def test_one_required_value_of_the_subject_that_is_not_denied_is_enough() -> None:
    entry = {"type": "organization", "required": ["Acme", "Bad Corp"], "denied": ["bad*"]}
    assert fields(subject=[entry]) == []
    assert fields(subject=[{**entry, "required": ["Bad Corp"]}]) == ["subject/0/required/0"]


def test_the_shortest_life_is_no_longer_than_the_longest() -> None:
    assert fields(validity={"min": "91d", "max": "90d"}) == ["validity/min"]
    assert fields(validity={"min": "90d", "max": "90d"}) == []


@pytest.mark.parametrize(
    ("required", "keys", "expected"),
    [
        (["encipher_only", "decipher_only", "key_agreement"], ["ECDSA-P256"], ["key_usages/required"]),
        (["encipher_only"], ["ECDSA-P256"], ["key_usages/required"]),
        (["encipher_only", "key_agreement"], ["ECDSA-P256"], []),
        (["key_encipherment"], ["ECDSA-P256"], ["key_usages/required"]),
        (["key_encipherment"], ["ECDSA-P256", "RSA-2048"], []),
        (["key_encipherment", "key_agreement"], ["ECDSA-P256", "RSA-2048"], ["key_usages/required"]),
        (["key_cert_sign"], ["RSA-2048"], ["key_usages/required"]),
    ],
)
def test_required_key_usages_can_stand_together(required: list[str], keys: list[str], expected: list[str]) -> None:
    assert fields(key_usages={"required": required}, algorithms={"key_algorithm": keys}) == expected


def test_a_template_for_cas_lets_them_sign_certificates() -> None:
    for_cas = {"basic_constraints": {"is_ca": "required"}}
    assert fields(key_usages={"allowed": ["digital_signature"]}, **for_cas) == ["key_usages"]
    assert fields(key_usages={"required": ["key_cert_sign"]}, **for_cas) == []
    assert fields(key_usages={"denied": ["crl_sign"]}, **for_cas) == []
    assert fields(key_usages=None, **for_cas) == []


def test_every_defect_is_told_at_once() -> None:
    rules = rules_of(sans=[{"type": "dns_name", "allowed": ["a_b"]}], validity={"min": "2d", "max": "1d"})
    with pytest.raises(RuleError) as refusal:
        refuse_contradictions(rules)
    assert {violation.code for violation in refusal.value.violations} == {"impossible_rule"}
    assert len(refusal.value.violations) == 2
