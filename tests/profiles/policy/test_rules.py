from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pki_portal.errors import Forbidden, Malformed
from profiles.policy.errors import DuplicateRule, RuleError
from profiles.policy.request import AttributeValue
from profiles.policy.rules import BasicConstraintsRule, ProfileDefaults, TemplateRules, UsageRule, ValueRule
from profiles.policy.vocabulary import (
    BasicConstraintsState,
    ExtendedKeyUsage,
    KeyAlgorithm,
    KeyUsage,
    NameType,
    SignatureAlgorithm,
    SubjectAttribute,
)


def defects(document: Mapping[str, object]) -> list[tuple[str, str]]:
    with pytest.raises((RuleError, DuplicateRule)) as refusal:
        TemplateRules.from_json(document)
    for violation in refusal.value.violations:
        assert all((violation.asked, violation.allowed, violation.fix, violation.rule))
    return [(violation.field, violation.code) for violation in refusal.value.violations]


def test_a_whole_template_is_compiled_from_any_spelling() -> None:
    rules = TemplateRules.from_json(
        {
            "subject": [{"type": "commonName", "allowed": [" *.example.com "], "denied": ["x"]}],
            "sans": [{"type": "DNS", "required": ["*.example.com"]}, {"type": "ip_address", "allowed": ["10.0.0.0/8"]}],
            "key_usages": {"required": ["digitalSignature"], "allowed": ["key_encipherment"], "denied": ["cRLSign"]},
            "extended_key_usages": {"allowed": ["serverAuth"]},
            "algorithms": {
                "signature": ["SHA256-RSA", "ECDSA-SHA256"],
                "key_algorithm": ["RSA-2048", "EC_prime256v1", "P-256"],
            },
            "validity": {"max": "12m"},
            "basic_constraints": {"is_ca": "Allowed", "max_path_length": 2},
            "something_else": {"ignored": True},
        }
    )
    assert rules == TemplateRules(
        subject={SubjectAttribute.COMMON_NAME: ValueRule(allowed=("*.example.com",), denied=("x",))},
        subject_alternative_names={
            NameType.DNS_NAME: ValueRule(required=("*.example.com",)),
            NameType.IP_ADDRESS: ValueRule(allowed=("10.0.0.0/8",)),
        },
        key_usages=UsageRule(
            allowed=(KeyUsage.KEY_ENCIPHERMENT,), required=(KeyUsage.DIGITAL_SIGNATURE,), denied=(KeyUsage.CRL_SIGN,)
        ),
        extended_key_usages=UsageRule(allowed=(ExtendedKeyUsage.SERVER_AUTH,)),
        key_algorithms=(KeyAlgorithm.RSA_2048, KeyAlgorithm.EC_PRIME256V1),
        signature_algorithms=(SignatureAlgorithm.RSA_SHA256, SignatureAlgorithm.ECDSA_SHA256),
        max_validity=timedelta(days=360),
        basic_constraints=BasicConstraintsRule(BasicConstraintsState.ALLOWED, 2),
    )


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"subject": None, "sans": None, "key_usages": None, "algorithms": None, "validity": None},
        {"subject": [], "sans": [], "algorithms": {}, "validity": {}, "basic_constraints": None},
        {"validity": {"max": None}, "algorithms": {"signature": None}, "basic_constraints": {}},
    ],
)
def test_what_is_absent_says_nothing(document: Mapping[str, object]) -> None:
    assert TemplateRules.from_json(document) == TemplateRules()


def test_path_length_of_minus_one_is_no_limit() -> None:
    rules = TemplateRules.from_json({"basic_constraints": {"is_ca": "required", "max_path_length": -1}})
    assert rules.basic_constraints == BasicConstraintsRule(BasicConstraintsState.REQUIRED, None)


@pytest.mark.parametrize(
    ("document", "place", "code"),
    [
        ({"subject": "x"}, "subject", "malformed_rule"),
        ({"subject": {"type": "common_name"}}, "subject", "malformed_rule"),
        ({"subject": ["x"]}, "subject/0", "malformed_rule"),
        ({"subject": [None]}, "subject/0", "malformed_rule"),
        ({"subject": [{"allowed": ["*"]}]}, "subject/0", "malformed_rule"),
        ({"subject": [{"type": "planet", "allowed": ["*"]}]}, "subject/0/type", "malformed_rule"),
        ({"subject": [{"type": 5, "allowed": ["*"]}]}, "subject/0/type", "malformed_rule"),
        ({"subject": [{"type": "common_name"}]}, "subject/0", "empty_rule"),
        ({"subject": [{"type": "common_name", "allowed": []}]}, "subject/0", "empty_rule"),
        ({"subject": [{"type": "common_name", "allowed": "*"}]}, "subject/0/allowed", "malformed_rule"),
        ({"subject": [{"type": "common_name", "allowed": [5]}]}, "subject/0/allowed/0", "malformed_rule"),
        ({"subject": [{"type": "common_name", "allowed": [None]}]}, "subject/0/allowed/0", "malformed_rule"),
        ({"subject": [{"type": "common_name", "allowed": ["*", " "]}]}, "subject/0/allowed/1", "malformed_rule"),
        ({"subject": [{"type": "common_name", "allowed": ["a\x00"]}]}, "subject/0/allowed/0", "malformed_rule"),
        ({"subject": [{"type": "common_name", "allowed": ["x" * 501]}]}, "subject/0/allowed/0", "malformed_rule"),
        (
            {"subject": [{"type": "common_name", "allowed": [str(n) for n in range(251)]}]},
            "subject/0/allowed",
            "malformed_rule",
        ),
        (
            {"subject": [{"type": "common_name", "required": ["x"], "denied": ["x"]}]},
            "subject/0/denied",
            "contradictory_rule",
        ),
        ({"sans": [{"type": "dns_name"}, {"type": "host", "allowed": ["*"]}]}, "sans/1/type", "malformed_rule"),
        ({"sans": [{"type": "IP", "allowed": ["10.0.0.0/99"]}]}, "sans/0/allowed/0", "malformed_rule"),
        ({"key_usages": []}, "key_usages", "malformed_rule"),
        ({"key_usages": {}}, "key_usages", "empty_rule"),
        ({"key_usages": {"allowed": ["fly"]}}, "key_usages/allowed/0", "malformed_rule"),
        (
            {"key_usages": {"allowed": ["crl_sign"], "denied": ["cRLSign"]}},
            "key_usages/denied",
            "contradictory_rule",
        ),
        ({"extended_key_usages": {"denied": ["crl_sign"]}}, "extended_key_usages/denied/0", "malformed_rule"),
        ({"algorithms": []}, "algorithms", "malformed_rule"),
        ({"algorithms": {"signature": []}}, "algorithms/signature", "malformed_rule"),
        ({"algorithms": {"signature": ["MD5-RSA"]}}, "algorithms/signature/0", "malformed_rule"),
        ({"algorithms": {"key_algorithm": ["RSA-1024"]}}, "algorithms/key_algorithm/0", "malformed_rule"),
        ({"validity": "90d"}, "validity", "malformed_rule"),
        ({"validity": {"max": 90}}, "validity/max", "malformed_rule"),
        ({"validity": {"max": "90"}}, "validity/max", "malformed_rule"),
        ({"validity": {"max": "0d"}}, "validity/max", "malformed_rule"),
        ({"validity": {"max": "invalid"}}, "validity/max", "malformed_rule"),
        ({"basic_constraints": {"is_ca": "perhaps"}}, "basic_constraints/is_ca", "malformed_rule"),
        ({"basic_constraints": {"is_ca": True}}, "basic_constraints/is_ca", "malformed_rule"),
        ({"basic_constraints": {"max_path_length": -2}}, "basic_constraints/max_path_length", "malformed_rule"),
        ({"basic_constraints": {"max_path_length": True}}, "basic_constraints/max_path_length", "malformed_rule"),
        ({"basic_constraints": {"max_path_length": 1.0}}, "basic_constraints/max_path_length", "malformed_rule"),
        ({"basic_constraints": {"max_path_length": 10**400}}, "basic_constraints/max_path_length", "malformed_rule"),
    ],
)
def test_each_defect_is_malformed_and_named_by_its_place(document: Mapping[str, object], place: str, code: str) -> None:
    with pytest.raises(Malformed):
        TemplateRules.from_json(document)
    assert (place, code) in defects(document)


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (
            {"subject": [{"type": "common_name", "allowed": ["a"]}, {"type": "commonName", "denied": ["b"]}]},
            "subject/1/type",
        ),
        ({"subject": [{"type": "common_name", "allowed": ["a", "b", " a"]}]}, "subject/0/allowed/2"),
        ({"sans": [{"type": "dns_name", "allowed": ["a"]}, {"type": "DNS", "allowed": ["a"]}]}, "sans/1/type"),
        ({"key_usages": {"allowed": ["crl_sign", "cRLSign"]}}, "key_usages/allowed/1"),
    ],
)
def test_what_stands_twice_is_forbidden(document: Mapping[str, object], place: str) -> None:
    with pytest.raises(Forbidden):
        TemplateRules.from_json(document)
    assert defects(document) == [(place, "duplicate_rule")]


def test_two_spellings_of_one_algorithm_are_one() -> None:
    rules = TemplateRules.from_json({"algorithms": {"key_algorithm": ["RSA_2048", "RSA-2048"]}})
    assert rules.key_algorithms == (KeyAlgorithm.RSA_2048,)


def test_every_defect_is_told_at_once_duplicates_too() -> None:
    found = defects(
        {
            "subject": [{"type": "planet", "allowed": ["*"]}, {"type": "common_name", "allowed": ["a", "a"]}],
            "sans": 7,
            "key_usages": {"allowed": ["fly", "crl_sign"]},
            "validity": {"max": "soon"},
        }
    )
    assert found == [
        ("subject/0/type", "malformed_rule"),
        ("sans", "malformed_rule"),
        ("key_usages/allowed/0", "malformed_rule"),
        ("validity/max", "malformed_rule"),
        ("subject/1/allowed/1", "duplicate_rule"),
    ]


def test_messages_show_what_stood_there() -> None:
    document = {
        "subject": [{"type": value, "allowed": ["*"]} for value in (True, False, 1.5, 10**30, 12, {"a": 1}, [1])],
        "sans": [{"type": "gopher", "allowed": ["*"]}],
    }
    with pytest.raises(RuleError) as refusal:
        TemplateRules.from_json(document)
    shown = [violation.asked for violation in refusal.value.violations]
    assert shown == ["true", "false", "a number", "a number", "12", "an object", "a list", '"gopher"']
    assert "use one of email, dns_name, uri, ip_address, upn" in refusal.value.message


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["*", "DNS", "1d"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "allowed",
                    "required",
                    "denied",
                    "max",
                    "signature",
                    "key_algorithm",
                    "is_ca",
                    "max_path_length",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
KEYS = [
    "subject",
    "sans",
    "key_usages",
    "extended_key_usages",
    "algorithms",
    "validity",
    "basic_constraints",
]


@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_any_document_is_rules_or_a_rule_error(document: dict[str, Any]) -> None:
    try:
        rules = TemplateRules.from_json(document)
    except (RuleError, DuplicateRule) as refusal:
        assert refusal.violations  # noqa: PT017 - either outcome is right
    else:
        assert all(rule.allowed or rule.required or rule.denied for rule in rules.subject.values())


# --- Defaults of profiles -------------------------------------------------------------------------------------------


def test_defaults_are_compiled_from_any_spelling() -> None:
    defaults = ProfileDefaults.from_json(
        {
            "common_name": " Device ",
            "country": "us",
            "organization": "",
            "locality": None,
            "ttl_days": 30,
            "key_usages": ["digitalSignature"],
            "extended_key_usages": [],
            "key_algorithm": "RSA-2048",
            "signature_algorithm": "SHA256-RSA",
        }
    )
    assert defaults == ProfileDefaults(
        subject=(
            AttributeValue(SubjectAttribute.COUNTRY, "US"),
            AttributeValue(SubjectAttribute.COMMON_NAME, "Device"),
        ),
        key_usages=(KeyUsage.DIGITAL_SIGNATURE,),
        extended_key_usages=(),
        key_algorithm=KeyAlgorithm.RSA_2048,
        signature_algorithm=SignatureAlgorithm.RSA_SHA256,
        ttl=timedelta(days=30),
    )


def test_line_96_camel_case_defaults_are_read() -> None:
    defaults = ProfileDefaults.from_json(
        {"key_usages": ["digitalSignature", "keyEncipherment"], "extended_key_usages": ["serverAuth"]}
    )
    assert defaults.key_usages == (KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_ENCIPHERMENT)
    assert defaults.extended_key_usages == (ExtendedKeyUsage.SERVER_AUTH,)


def test_no_defaults_fill_nothing() -> None:
    assert ProfileDefaults.from_json({}) == ProfileDefaults()
    assert ProfileDefaults.from_json({"ttl": "90d"}).ttl == timedelta(days=90)


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"country": "USA"}, "country"),
        ({"common_name": "x" * 65}, "common_name"),
        ({"common_name": 5}, "common_name"),
        ({"ttl": "30"}, "ttl"),
        ({"ttl": "1d", "ttl_days": 1}, "ttl"),
        ({"ttl_days": 0}, "ttl_days"),
        ({"ttl_days": True}, "ttl_days"),
        ({"ttl_days": "30"}, "ttl_days"),
        ({"ttl_days": 10**30}, "ttl_days"),
        ({"key_usages": "digital_signature"}, "key_usages"),
        ({"key_usages": ["fly"]}, "key_usages/0"),
        ({"extended_key_usages": [7]}, "extended_key_usages/0"),
        ({"key_algorithm": "DSA"}, "key_algorithm"),
        ({"signature_algorithm": ["RSA-SHA256"]}, "signature_algorithm"),
    ],
)
def test_each_defect_of_defaults_is_named(document: Mapping[str, object], place: str) -> None:
    with pytest.raises(RuleError) as refusal:
        ProfileDefaults.from_json(document)
    assert [violation.field for violation in refusal.value.violations] == [place]


def test_default_usage_twice_is_forbidden() -> None:
    with pytest.raises(DuplicateRule):
        ProfileDefaults.from_json({"key_usages": ["crl_sign", "cRLSign"]})
