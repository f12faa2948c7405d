"""Conformance check-list of the reference, lines 36 to 72 and 95 to 99, as far as product decisions let it stand."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from profiles.policy.decide import decide
from profiles.policy.errors import sentence
from profiles.policy.request import GeneralName, IssuanceRequest
from profiles.policy.rules import ProfileDefaults, TemplateRules
from profiles.policy.validity import InvalidDuration, parse_ttl
from profiles.policy.vocabulary import (
    ExtendedKeyUsage,
    KeyAlgorithm,
    KeyUsage,
    NameType,
    SignatureAlgorithm,
    SubjectAttribute,
)
from tests.profiles.policy.samples import (
    ANYTHING,
    NOW,
    RSA_CA,
    SAMPLE,
    SECOND,
    dns,
    found,
    granted,
    judge,
    make_key,
    make_request,
    names,
    only,
    refused,
    rules_of,
    subject,
)

SAMPLE_RULES = rules_of(SAMPLE)


def sample_request(**changes: Any) -> IssuanceRequest:
    good: dict[str, Any] = {
        "subject": subject(common_name="api.example.com", organization="Example Corp"),
        "subject_alternative_names": dns("api.example.com") + names(NameType.EMAIL, "ops@example.com"),
        "key_usages": (KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_ENCIPHERMENT),
        "extended_key_usages": (ExtendedKeyUsage.SERVER_AUTH,),
        "signature_algorithm": SignatureAlgorithm.RSA_SHA256,
        "key_algorithm": KeyAlgorithm.RSA_2048,
        "ttl": timedelta(days=30),
    }
    return IssuanceRequest(**{**good, **changes})


def test_source_page_sample_passes_under_an_rsa_ca() -> None:
    request = IssuanceRequest(
        subject=subject(common_name="service.acme.com"),
        subject_alternative_names=dns("service.acme.com", "www.service.acme.com"),
        ttl=parse_ttl("1y"),
        signature_algorithm=SignatureAlgorithm.RSA_SHA256,
        key_algorithm=KeyAlgorithm.RSA_2048,
        key_usages=(KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_ENCIPHERMENT),
        extended_key_usages=(ExtendedKeyUsage.SERVER_AUTH,),
    )
    decision = judge(rules_of(ANYTHING), request)
    plan = decision.granted()
    assert decision.warnings == ()
    assert plan.subject == request.subject
    assert plan.subject_alternative_names == request.subject_alternative_names
    assert plan.key_usages == request.key_usages
    assert plan.extended_key_usages == request.extended_key_usages
    assert (plan.key_algorithm, plan.signature_algorithm) == (KeyAlgorithm.RSA_2048, SignatureAlgorithm.RSA_SHA256)
    assert (plan.not_before, plan.not_after) == (SECOND, SECOND + timedelta(days=365))
    assert plan.subject_public_key_info is None
    assert not plan.is_self_signed
    assert not plan.basic_constraints.is_ca


def test_line_36_fitting_request_is_granted_without_warnings() -> None:
    decision = judge(SAMPLE_RULES, sample_request())
    assert (decision.violations, decision.warnings) == ((), ())
    assert decision.plan is not None


def test_line_38_common_name_outside_the_patterns_names_value_and_patterns() -> None:
    request = sample_request(subject=subject(common_name="api.evil.test"))
    violation = only(refused(SAMPLE_RULES, request))
    assert violation.field == "subject/common_name"
    assert sentence(violation) == 'common_name "api.evil.test" does not match: *.example.com, example.com'
    assert violation.rule == "template subject/common_name allowed"
    assert violation.fix == 'use a common_name that fits *.example.com, example.com, for example "api.example.com"'


def test_line_39_denied_organization_is_refused() -> None:
    rules = rules_of(SAMPLE, subject=[{"type": "organization", "allowed": ["*"], "denied": ["Bad Corp"]}])
    violation = only(refused(rules, sample_request(subject=subject(organization="BAD  corp"))))
    assert found([violation]) == [("subject/organization", "value_denied")]
    assert sentence(violation) == 'organization "BAD  corp" is denied: not Bad Corp, but *'


def test_line_40_missing_required_key_usage_is_named() -> None:
    violation = only(refused(SAMPLE_RULES, sample_request(key_usages=(KeyUsage.DIGITAL_SIGNATURE,))))
    assert found([violation]) == [("key_usages", "required_missing")]
    assert "no key usage key_encipherment where one is required" in sentence(violation)
    assert violation.fix == "add key_encipherment"


def test_line_41_unlisted_key_usage_is_named() -> None:
    usages = (KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_ENCIPHERMENT, KeyUsage.NON_REPUDIATION)
    violation = only(refused(SAMPLE_RULES, sample_request(key_usages=usages)))
    assert found([violation]) == [("key_usages", "value_not_in_list")]
    assert "key usage non_repudiation is not in the allowed list" in sentence(violation)


def test_line_42_missing_required_extended_key_usage_is_named() -> None:
    violation = only(refused(SAMPLE_RULES, sample_request(extended_key_usages=(ExtendedKeyUsage.CLIENT_AUTH,))))
    assert found([violation]) == [("extended_key_usages", "required_missing")]
    assert "no extended key usage server_auth" in violation.asked


def test_line_43_unlisted_extended_key_usage_is_named() -> None:
    usages = (ExtendedKeyUsage.SERVER_AUTH, ExtendedKeyUsage.CODE_SIGNING)
    violation = only(refused(SAMPLE_RULES, sample_request(extended_key_usages=usages)))
    assert found([violation]) == [("extended_key_usages", "value_not_in_list")]
    assert "code_signing" in violation.asked


def test_line_44_missing_required_email_is_named_with_its_pattern() -> None:
    request = sample_request(subject_alternative_names=dns("api.example.com"))
    violation = only(refused(SAMPLE_RULES, request))
    assert found([violation]) == [("subject_alternative_names", "required_missing")]
    assert sentence(violation) == "no email SAN where one is required: *@example.com"
    assert "add an email SAN that fits *@example.com, for example" in violation.fix


def test_line_45_dns_name_outside_the_patterns_is_named() -> None:
    request = sample_request(
        subject_alternative_names=dns("api.example.com", "api.evil.test") + names(NameType.EMAIL, "ops@example.com")
    )
    violation = only(refused(SAMPLE_RULES, request))
    assert found([violation]) == [("subject_alternative_names/1", "value_does_not_match")]
    assert 'dns_name SAN "api.evil.test" does not match: *.example.com, example.com' in sentence(violation)
    assert violation.fix.endswith('for example "api.example.com"')


@pytest.mark.parametrize("denied", ["root@example.com", "ROOT@Example.com", "jane@bad.example.com"])
def test_line_46_denied_name_is_named_exact_and_by_pattern(denied: str) -> None:
    request = sample_request(
        subject_alternative_names=dns("api.example.com") + names(NameType.EMAIL, "ops@example.com", denied)
    )
    violation = only(refused(SAMPLE_RULES, request))
    assert found([violation]) == [("subject_alternative_names/2", "value_denied")]
    assert violation.rule == "template sans/email denied"


def test_line_47_unlisted_signature_algorithm_is_refused() -> None:
    violation = only(refused(SAMPLE_RULES, sample_request(signature_algorithm=SignatureAlgorithm.RSA_SHA512)))
    assert found([violation]) == [("signature_algorithm", "value_not_in_list")]
    assert violation.fix == "use RSA-SHA256, RSA-SHA384"


def test_line_48_unlisted_key_algorithm_is_refused() -> None:
    violation = only(refused(SAMPLE_RULES, sample_request(key_algorithm=KeyAlgorithm.RSA_3072)))
    assert found([violation]) == [("key_algorithm", "value_not_in_list")]
    assert violation.allowed == "RSA_2048, RSA_4096"


@pytest.mark.parametrize("ttl", ["180d", "100d"])
def test_line_49_ttl_over_the_longest_is_refused(ttl: str) -> None:
    violation = only(refused(SAMPLE_RULES, sample_request(ttl=parse_ttl(ttl))))
    assert found([violation]) == [("ttl", "ttl_too_long")]
    assert sentence(violation) == f"a life of {ttl} is more than the template allows: at most 90d"
    assert violation.fix == "ask for a ttl of at most 90d, or a notAfter of 2027-02-21T12:00:00Z or before"


@pytest.mark.parametrize("ttl", ["24h", "30d", "90d", "3m"])
def test_line_50_ttl_up_to_the_longest_is_granted(ttl: str) -> None:
    plan = granted(SAMPLE_RULES, sample_request(ttl=parse_ttl(ttl)))
    assert plan.not_after - plan.not_before == parse_ttl(ttl)


def test_line_50_a_year_is_too_long_and_nonsense_is_no_ttl() -> None:
    assert found(refused(SAMPLE_RULES, sample_request(ttl=parse_ttl("1y")))) == [("ttl", "ttl_too_long")]
    with pytest.raises(InvalidDuration):
        parse_ttl("invalid")


def test_line_51_allowed_usages_may_be_added() -> None:
    usages = (KeyUsage.DATA_ENCIPHERMENT, KeyUsage.KEY_ENCIPHERMENT, KeyUsage.DIGITAL_SIGNATURE)
    extended = (ExtendedKeyUsage.CLIENT_AUTH, ExtendedKeyUsage.SERVER_AUTH)
    plan = granted(SAMPLE_RULES, sample_request(key_usages=usages, extended_key_usages=extended))
    assert plan.key_usages == (
        KeyUsage.DIGITAL_SIGNATURE,
        KeyUsage.KEY_ENCIPHERMENT,
        KeyUsage.DATA_ENCIPHERMENT,
    )
    assert plan.extended_key_usages == (ExtendedKeyUsage.SERVER_AUTH, ExtendedKeyUsage.CLIENT_AUTH)


def test_line_52_common_name_only_allowed_may_be_absent() -> None:
    assert granted(SAMPLE_RULES, sample_request(subject=())).subject == ()


def test_line_53_minimal_template_takes_a_minimal_request() -> None:
    rules = TemplateRules.from_json(
        {
            "subject": [{"type": "common_name", "allowed": ["*"]}],
            "key_usages": {"required": ["digital_signature"]},
            "extended_key_usages": {"allowed": ["server_auth"]},
            "sans": [],
        }
    )
    plan = granted(rules, IssuanceRequest(subject=subject(common_name="Jane Doe"), ttl=timedelta(days=1)))
    assert plan.key_usages == (KeyUsage.DIGITAL_SIGNATURE,)
    assert plan.extended_key_usages == ()


def test_line_54_all_allowing_template_takes_a_name_and_a_ttl() -> None:
    request = IssuanceRequest(subject_alternative_names=dns("a.test"), ttl=timedelta(days=1))
    assert granted(rules_of(ANYTHING), request).subject == ()


def test_line_54_adjusted_a_ttl_alone_names_nobody() -> None:
    violation = only(refused(rules_of(ANYTHING), IssuanceRequest(ttl=timedelta(days=1))))
    assert found([violation]) == [("subject/common_name", "name_missing")]


def test_line_55_email_and_uri_denied_altogether_are_both_reported() -> None:
    rules = rules_of(sans=[{"type": "email", "denied": ["*"]}, {"type": "uri", "denied": ["*"]}])
    asked = names(NameType.EMAIL, "jane@example.com") + names(NameType.URI, "https://example.com/")
    violations = refused(rules, make_request(subject_alternative_names=asked))
    assert found(violations) == [
        ("subject_alternative_names/0", "value_denied"),
        ("subject_alternative_names/1", "value_denied"),
    ]
    assert violations[0].fix == "leave the email SAN out, or have the template changed"


def test_line_56_value_outside_a_list_of_plain_values_is_not_in_the_list() -> None:
    rules = rules_of(subject=[{"type": "common_name", "allowed": ["a.example.com", "b.example.com"]}])
    violation = only(refused(rules, make_request(subject=subject(common_name="c.example.com"))))
    assert 'common_name "c.example.com" is not in the allowed list: a.example.com, b.example.com' in sentence(violation)


MIXED_RULES = rules_of(
    sans=[
        {"type": "dns_name", "required": ["*.example.com"]},
        {"type": "ip_address", "allowed": ["192.168.1.*"]},
        {"type": "email", "required": ["*@example.com"]},
    ]
)


def test_line_57_mixed_rules_complete() -> None:
    asked = dns("a.example.com") + names(NameType.IP_ADDRESS, "192.168.1.7") + names(NameType.EMAIL, "jane@example.com")
    assert granted(MIXED_RULES, make_request(subject_alternative_names=asked)).subject_alternative_names == asked


def test_line_57_mixed_rules_without_the_email() -> None:
    asked = dns("a.example.com") + names(NameType.IP_ADDRESS, "192.168.1.7")
    violation = only(refused(MIXED_RULES, make_request(subject_alternative_names=asked)))
    assert violation.asked == "no email SAN"


def test_line_58_key_usage_beyond_required_and_allowed_is_reported() -> None:
    usages = (KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_ENCIPHERMENT, KeyUsage.CRL_SIGN)
    violations = refused(SAMPLE_RULES, sample_request(key_usages=usages))
    assert ("key_usages", "value_not_in_list") in found(violations)
    assert all("crl_sign" in violation.asked for violation in violations)


REQUEST_SPELLING = rules_of(algorithms={"signature": ["RSA-SHA256"], "key_algorithm": ["RSA_2048"]})


def test_line_59_request_spelling_in_a_template_works() -> None:
    request = make_request(signature_algorithm=SignatureAlgorithm.RSA_SHA256, key_algorithm=KeyAlgorithm.RSA_2048)
    assert granted(REQUEST_SPELLING, request).signature_algorithm is SignatureAlgorithm.RSA_SHA256


def test_line_59_wrong_algorithms_are_reported_separately() -> None:
    request = make_request(signature_algorithm=SignatureAlgorithm.RSA_SHA384, key_algorithm=KeyAlgorithm.RSA_3072)
    assert found(refused(REQUEST_SPELLING, request)) == [
        ("key_algorithm", "value_not_in_list"),
        ("signature_algorithm", "value_not_in_list"),
    ]


@pytest.mark.parametrize("ttl", ["1d", "365d", "23h", "24h", "8760h", "12m", "1y"])
def test_line_60_up_to_365_days_is_granted(ttl: str) -> None:
    assert granted(rules_of(validity={"max": "365d"}), make_request(ttl=parse_ttl(ttl)))


def test_line_60_366_days_are_not() -> None:
    rules = rules_of(validity={"max": "365d"})
    assert found(refused(rules, make_request(ttl=parse_ttl("366d")))) == [("ttl", "ttl_too_long")]


def test_line_61_unlisted_encipher_only_is_reported() -> None:
    usages = (KeyUsage.KEY_AGREEMENT, KeyUsage.ENCIPHER_ONLY)
    request = make_request(key_usages=usages, key_algorithm=KeyAlgorithm.EC_PRIME256V1)
    assert found(refused(rules_of(), request)) == [("key_usages", "value_not_in_list")]


def test_line_62_kind_of_name_without_an_entry_is_reported() -> None:
    rules = rules_of(sans=[{"type": "dns_name", "allowed": ["*"]}])
    request = make_request(subject_alternative_names=names(NameType.IP_ADDRESS, "10.0.0.1"))
    violation = only(refused(rules, request))
    assert found([violation]) == [("subject_alternative_names/0", "type_not_allowed")]
    assert violation.allowed == "dns_name SAN"


def test_line_62_without_any_entries_each_name_is_reported() -> None:
    violations = refused(rules_of(sans=[]), make_request(subject_alternative_names=dns("a.test", "b.test")))
    assert found(violations) == [
        ("subject_alternative_names/0", "type_not_allowed"),
        ("subject_alternative_names/1", "type_not_allowed"),
    ]


def test_line_63_usages_where_the_template_has_none_are_reported() -> None:
    rules = rules_of(key_usages=None, extended_key_usages=None)
    request = make_request(
        key_usages=(KeyUsage.DIGITAL_SIGNATURE,), extended_key_usages=(ExtendedKeyUsage.SERVER_AUTH,)
    )
    assert found(refused(rules, request)) == [
        ("key_usages", "type_not_allowed"),
        ("extended_key_usages", "type_not_allowed"),
    ]


def test_line_64_algorithms_where_the_template_lists_none_are_both_reported() -> None:
    request = make_request(signature_algorithm=SignatureAlgorithm.RSA_SHA256, key_algorithm=KeyAlgorithm.RSA_2048)
    assert found(refused(rules_of(algorithms=None), request)) == [
        ("key_algorithm", "choice_not_offered"),
        ("signature_algorithm", "choice_not_offered"),
    ]


def test_line_64_adjusted_the_key_of_a_csr_passes_where_the_template_lists_none() -> None:
    key = make_key(KeyAlgorithm.EC_SECP384R1)
    plan = granted(rules_of(algorithms=None), make_request(applicant_key=key))
    assert (plan.key_algorithm, plan.subject_public_key_info) == (KeyAlgorithm.EC_SECP384R1, b"DER")


def test_line_65_required_star_asks_for_presence_only() -> None:
    rules = rules_of(subject=[{"type": "common_name", "required": ["*"]}, {"type": "organization", "allowed": ["*"]}])
    assert granted(rules, make_request(subject=subject(common_name="Whoever")))
    violation = only(refused(rules, make_request(subject=subject(organization="Acme"))))
    assert sentence(violation) == "no common_name where one is required: *"


@pytest.mark.parametrize("asked", ["axb.example-1.com", "a.b.exampleX1.com", "a.bexample-1.com", "a.b+.example-1.com"])
def test_line_66_characters_of_regular_expressions_are_literal(asked: str) -> None:
    rules = rules_of(subject=[{"type": "common_name", "allowed": ["a.b.example-1.com", "a.[b]+(c)?^$|\\"]}])
    assert granted(rules, make_request(subject=subject(common_name="a.b.example-1.com")))
    assert granted(rules, make_request(subject=subject(common_name="a.[b]+(c)?^$|\\")))
    assert refused(rules, make_request(subject=subject(common_name=asked)))


def test_line_67_no_algorithms_asked_is_fine_where_the_template_lists_some() -> None:
    decision = judge(SAMPLE_RULES, sample_request(signature_algorithm=None, key_algorithm=None))
    plan = decision.granted()
    assert (plan.key_algorithm, plan.signature_algorithm) == (KeyAlgorithm.RSA_2048, SignatureAlgorithm.RSA_SHA256)
    assert any("RSA_2048" in warning for warning in decision.warnings)
    assert any("RSA-SHA256" in warning for warning in decision.warnings)


def test_line_68_no_algorithms_listed_and_none_asked_is_fine() -> None:
    plan = granted(rules_of(algorithms=None), make_request())
    assert plan.key_algorithm is KeyAlgorithm.EC_PRIME256V1
    assert plan.signature_algorithm is SignatureAlgorithm.RSA_SHA256


def test_line_69_any_of_several_patterns_is_enough_and_none_lists_all() -> None:
    rules = rules_of(subject=[{"type": "common_name", "allowed": ["*.a.com", "*.b.com", "c.com"]}])
    for fitting in ("x.a.com", "x.b.com", "c.com"):
        assert granted(rules, make_request(subject=subject(common_name=fitting)))
    violation = only(refused(rules, make_request(subject=subject(common_name="x.d.com"))))
    assert violation.allowed == "*.a.com, *.b.com, c.com"


def test_line_70_each_wrong_attribute_is_reported() -> None:
    rules = rules_of(subject=[{"type": "organization", "allowed": ["Example*"]}, {"type": "country", "denied": ["XX"]}])
    assert granted(rules, make_request(subject=subject(organization="Example Ltd", country="us")))
    violations = refused(rules, make_request(subject=subject(organization="Other", country="xx")))
    assert found(violations) == [
        ("subject/organization", "value_does_not_match"),
        ("subject/country", "value_denied"),
    ]


@pytest.mark.parametrize(
    ("pattern", "asked", "passes"),
    [
        ("*.acme.com", "api.acme.com", True),
        ("*.acme.com", "acme.com", False),
        ("*.acme.com", "api.notacme.com", False),
        ("*.api.acme.com", "api.acme.com", False),
    ],
)
def test_line_71_wildcards_are_anchored(pattern: str, asked: str, passes: bool) -> None:
    rules = rules_of(sans=[{"type": "dns_name", "allowed": [pattern]}])
    assert (judge(rules, make_request(subject_alternative_names=dns(asked))).plan is not None) == passes


def test_line_72_several_required_kinds_must_all_be_met() -> None:
    rules = rules_of(
        sans=[
            {"type": "dns_name", "required": ["*.example.com"]},
            {"type": "email", "required": ["*@example.com"]},
            {"type": "uri", "required": ["https://*.example.com/*"]},
        ]
    )
    asked = (
        *dns("a.example.com"),
        GeneralName(NameType.EMAIL, "jane@example.com"),
        GeneralName(NameType.URI, "https://a.example.com/x"),
    )
    assert granted(rules, make_request(subject_alternative_names=asked)).subject_alternative_names == asked
    for left_out in range(3):
        rest = asked[:left_out] + asked[left_out + 1 :]
        violation = only(refused(rules, make_request(subject_alternative_names=rest)))
        assert violation.asked == f"no {asked[left_out].type} SAN"


DEFAULTS = ProfileDefaults(
    subject=subject(common_name="default.example.com", organization="Default Org"),
    key_usages=(KeyUsage.DIGITAL_SIGNATURE,),
    extended_key_usages=(ExtendedKeyUsage.CLIENT_AUTH,),
    key_algorithm=KeyAlgorithm.RSA_3072,
    signature_algorithm=SignatureAlgorithm.RSA_SHA256,
    ttl=timedelta(days=7),
)


def test_line_95_usages_that_a_csr_omits_come_from_the_defaults() -> None:
    decision = judge(rules_of(), make_request(applicant_key=make_key()), defaults=DEFAULTS)
    plan = decision.granted()
    assert plan.key_usages == (KeyUsage.DIGITAL_SIGNATURE,)
    assert plan.extended_key_usages == (ExtendedKeyUsage.CLIENT_AUTH,)
    assert "no key usages were asked for: digital_signature as the profile fills in" in decision.warnings
    assert granted(rules_of(), make_request(applicant_key=make_key())).key_usages == ()


def test_line_95_usages_of_a_csr_win_so_that_a_denied_one_still_fails() -> None:
    rules = rules_of(key_usages={"denied": ["key_agreement"]})
    request = make_request(applicant_key=make_key(), key_usages=(KeyUsage.KEY_AGREEMENT,))
    assert found(refused(rules, request, defaults=DEFAULTS)) == [("key_usages", "value_denied")]


def test_line_97_names_of_a_csr_are_untouched() -> None:
    request = make_request(applicant_key=make_key(), subject_alternative_names=dns("b.test", "a.test"))
    assert granted(rules_of(), request, defaults=DEFAULTS).subject_alternative_names == dns("b.test", "a.test")


def test_line_98_common_name_of_a_csr_wins_and_the_default_serves_an_empty_subject_only() -> None:
    own = make_request(applicant_key=make_key(), subject=subject(locality="Bern"))
    assert granted(rules_of(), own, defaults=DEFAULTS).subject == subject(locality="Bern")
    empty = make_request(applicant_key=make_key(), subject=())
    plan = granted(rules_of(), empty, defaults=DEFAULTS)
    assert {attribute.value for attribute in plan.subject} == {"default.example.com", "Default Org"}


def test_line_98_without_a_csr_each_missing_attribute_is_filled() -> None:
    decision = judge(rules_of(), make_request(), defaults=DEFAULTS)
    assert [(each.type, each.value) for each in decision.granted().subject] == [
        (SubjectAttribute.ORGANIZATION, "Default Org"),
        (SubjectAttribute.COMMON_NAME, "service.acme.com"),
    ]
    assert 'organization was not asked for: "Default Org" is filled in from the profile' in decision.warnings


def test_line_99_algorithms_and_validity_asked_for_are_untouched_by_defaults() -> None:
    request = make_request(
        key_algorithm=KeyAlgorithm.RSA_2048, signature_algorithm=SignatureAlgorithm.RSA_SHA256, ttl=timedelta(days=9)
    )
    plan = granted(rules_of(), request, defaults=DEFAULTS)
    assert plan.key_algorithm is KeyAlgorithm.RSA_2048
    assert plan.not_after - plan.not_before == timedelta(days=9)


# --- The verdict as a whole -----------------------------------------------------------------------------------------


def test_everything_wrong_is_told_at_once() -> None:
    request = IssuanceRequest(
        subject=subject(common_name="x" * 65, organization="Other"),
        subject_alternative_names=dns("a_b.test") + names("directoryName", "CN=x"),
        key_usages=(KeyUsage.CRL_SIGN,),
        extended_key_usages=("1.2.3.4",),
        key_algorithm=KeyAlgorithm.ED25519,
        signature_algorithm=SignatureAlgorithm.ED25519,
        ttl=timedelta(days=9000),
    )
    issuer = dataclasses.replace(RSA_CA, is_active=False)
    fields = {violation.field for violation in refused(SAMPLE_RULES, request, issuer=issuer)}
    assert fields == {
        "subject/common_name",
        "subject/organization",
        "subject_alternative_names",
        "subject_alternative_names/0",
        "subject_alternative_names/1",
        "key_usages",
        "extended_key_usages",
        "key_algorithm",
        "signature_algorithm",
        "ttl",
        "issuer",
    }


def test_what_was_ignored_is_told_first() -> None:
    decision = judge(rules_of(), make_request(ignored=("/attributes/color",)), now=NOW)
    assert decision.warnings[0] == "/attributes/color was ignored."


def test_self_signed_certificate_without_a_subject_is_refused() -> None:
    request = IssuanceRequest(
        subject_alternative_names=(GeneralName(NameType.DNS_NAME, "host.example.com"),), ttl=timedelta(days=1)
    )
    decision = decide(rules=TemplateRules(), defaults=ProfileDefaults(), request=request, issuer=None, now=NOW)
    told = [violation for violation in decision.violations if violation.rule == "RFC 5280, 4.1.2.4"]
    assert [violation.field for violation in told] == ["subject/common_name"]
