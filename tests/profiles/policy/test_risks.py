"""What is risky is told, each risk by its code, and its remedy takes it away."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from profiles.policy.risks import END_OF_112_BITS, RiskCode, risks_of
from profiles.policy.rules import ProfileDefaults, TemplateRules

NOW = datetime(2027, 1, 1, tzinfo=UTC)
SOUND: dict[str, Any] = {
    "subject": [{"type": "common_name", "allowed": ["*.acme.com"]}],
    "sans": [{"type": "dns_name", "allowed": ["*.acme.com"]}],
    "extended_key_usages": {"required": ["server_auth"]},
    "algorithms": {"key_algorithm": ["EC_prime256v1"]},
    "validity": {"max": "90d"},
}
CLIENT = {"extended_key_usages": {"required": ["client_auth"]}}


def codes(document: dict[str, Any], **others: Any) -> list[str]:
    return [risk.code for risk in risks_of(TemplateRules.from_json(document), **{"now": NOW, **others})]


def san(kind: str, **lists: list[str]) -> dict[str, Any]:
    return {"sans": [{"type": kind, **lists}]}


def test_a_narrow_template_has_none() -> None:
    assert codes(SOUND, profile_count=1, issuer_ends=NOW + timedelta(days=90)) == []


def test_every_risk_says_why_and_what_helps() -> None:
    rules = TemplateRules.from_json(
        {"sans": [{"type": "dns_name", "allowed": ["*"]}], "basic_constraints": {"is_ca": "allowed"}}
    )
    for risk in risks_of(rules, profile_count=0, now=NOW):
        assert risk.reason.endswith(".")
        assert risk.remedy.endswith(".")


@pytest.mark.parametrize(
    "names",
    [
        san("dns_name", allowed=["*"]),
        san("dns_name", required=["*.acme.com"]),
        san("dns_name", denied=["*.acme.com"]),
        san("ip_address", allowed=["0.0.0.0/0"]),
        san("email", allowed=["*@*"]),
        san("uri", allowed=["https://*"]),
        san("upn", allowed=["*"]),
        {"subject": [{"type": "common_name", "allowed": ["*"]}]},
        {"subject": [{"type": "common_name", "denied": ["root"]}]},
    ],
)
@pytest.mark.parametrize(
    "purposes",
    [{"required": ["client_auth"]}, {"required": ["1.3.6.1.4.1.311.20.2.2"]}, {"allowed": ["server_auth"]}, None],
)
def test_any_name_where_clients_are_authenticated(names: dict[str, Any], purposes: Any) -> None:
    assert RiskCode.ANY_NAME_FOR_CLIENTS in codes(SOUND | names | {"extended_key_usages": purposes})


@pytest.mark.parametrize(
    "names",
    [
        {},
        san("dns_name", allowed=["*.acme.com"], required=["*.acme.com"]),
        san("ip_address", allowed=["10.0.0.0/8"]),
        san("email", allowed=["*@acme.com"]),
        san("upn", allowed=["*@acme.com"]),
        {"subject": [{"type": "common_name", "required": ["*.acme.com"]}]},
        {"subject": [{"type": "common_name", "allowed": ["*"], "denied": ["*.*", "* *"]}]},
    ],
)
def test_names_of_ones_own_are_no_risk_for_clients(names: dict[str, Any]) -> None:
    assert codes(SOUND | CLIENT | names) == []


def test_any_name_of_a_server_is_a_risk_by_its_wildcards_alone() -> None:
    assert codes(SOUND | san("dns_name", allowed=["*"])) == [RiskCode.ANY_WILDCARD]
    assert codes(SOUND | san("dns_name", allowed=["*.com", "*.test"])) == [RiskCode.ANY_WILDCARD]
    assert codes(SOUND | san("dns_name", allowed=["*.com"])) == []


@pytest.mark.parametrize(
    ("state", "found"), [("allowed", [RiskCode.CA_ALLOWED]), ("required", [RiskCode.CA_ALLOWED]), ("denied", [])]
)
def test_certificates_for_cas(state: str, found: list[str]) -> None:
    assert codes(SOUND | {"basic_constraints": {"is_ca": state}}) == found


def test_a_server_lives_398_days_at_most() -> None:
    for validity in ({"max": "399d"}, None):
        assert codes(SOUND | {"validity": validity}) == [RiskCode.LONG_SERVER_LIFE]
        assert codes(SOUND | {"validity": validity} | CLIENT) == []
    assert codes(SOUND | {"validity": {"max": "398d"}}) == []


def test_rsa_2048_is_weak_for_what_lives_past_2030() -> None:
    rsa = SOUND | {"algorithms": {"key_algorithm": ["RSA_2048", "RSA_3072"]}}
    life = timedelta(days=90)
    assert codes(rsa, now=END_OF_112_BITS - life) == []
    assert codes(rsa, now=END_OF_112_BITS - life + timedelta(seconds=1)) == [RiskCode.WEAK_ALGORITHM]
    assert codes(rsa, now=None) == []
    assert codes(SOUND, now=END_OF_112_BITS) == []


def test_a_ca_that_ends_too_soon() -> None:
    soon = NOW + timedelta(days=30)
    for ttl, found in ((None, RiskCode.CA_ENDS_BEFORE_LONGEST), (60, RiskCode.CA_ENDS_BEFORE_DEFAULT), (30, None)):
        defaults = ProfileDefaults(ttl=timedelta(days=ttl) if ttl else None)
        assert codes(SOUND, defaults=defaults, issuer_ends=soon) == ([found] if found else [])
    assert codes(SOUND, issuer_ends=soon) == [RiskCode.CA_ENDS_BEFORE_LONGEST]
    assert codes(SOUND, issuer_ends=soon, now=None) == []


def test_a_template_without_profiles() -> None:
    assert codes(SOUND, profile_count=0) == [RiskCode.UNUSED]
    assert codes(SOUND, profile_count=None) == []
