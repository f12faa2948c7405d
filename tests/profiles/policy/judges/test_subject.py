import dataclasses

import pytest

from profiles.policy.amend import amended
from profiles.policy.errors import sentence
from profiles.policy.request import AttributeValue
from profiles.policy.rules import ProfileDefaults, Source, TemplateRules
from profiles.policy.vocabulary import ExtendedKeyUsage, NameType, SubjectAttribute
from tests.profiles.policy.samples import (
    ANYTHING,
    RSA_CA,
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


def test_subject_is_in_the_order_of_encoding_and_in_normal_form() -> None:
    asked = subject(
        locality="Bern", common_name=" Jane ", state="BE", organizational_unit="Ops", organization="Acme", country="ch"
    )
    plan = granted(rules_of(), make_request(subject=asked))
    assert plan.subject == subject(
        country="CH", organization="Acme", organizational_unit="Ops", state="BE", common_name="Jane", locality="Bern"
    )


def test_several_values_of_one_attribute_keep_their_order_and_are_each_judged() -> None:
    asked = (*subject(organizational_unit="B"), *subject(organizational_unit="A"), *subject(common_name="x"))
    assert granted(rules_of(), make_request(subject=asked)).subject == asked
    rules = rules_of(
        subject=[
            {"type": "organizational_unit", "required": ["A"]},
            {"type": "common_name", "allowed": ["*"]},
        ]
    )
    violation = only(refused(rules, make_request(subject=asked)))
    assert violation.asked == 'organizational_unit "B"'
    assert violation.rule == "template subject/organizational_unit required"


def test_attribute_without_an_entry_is_refused() -> None:
    rules = rules_of(subject=[{"type": "common_name", "allowed": ["*"]}])
    violation = only(refused(rules, make_request(subject=subject(common_name="x", locality="Bern"))))
    assert found([violation]) == [("subject/locality", "type_not_allowed")]
    assert violation.allowed == "common_name"


def test_without_entries_every_attribute_is_refused() -> None:
    violations = refused(rules_of(subject=[]), make_request(subject=subject(common_name="x", locality="Bern")))
    assert found(violations) == [
        ("subject/common_name", "type_not_allowed"),
        ("subject/locality", "type_not_allowed"),
    ]
    assert violations[0].allowed == "no subject attributes"


def test_attribute_that_no_template_speaks_of_is_refused() -> None:
    asked = (*subject(common_name="x"), AttributeValue("1.2.840.113549.1.9.1", "jane@example.com"))
    violation = only(refused(rules_of(), make_request(subject=asked, applicant_key=make_key())))
    assert found([violation]) == [("subject", "type_not_supported")]
    assert violation.fix == "in a new CSR: leave the attribute 1.2.840.113549.1.9.1 out of the subject"


def test_attribute_type_may_come_as_its_plain_name() -> None:
    plan = granted(rules_of(), make_request(subject=(AttributeValue("common_name", "x"),)))
    assert plan.subject == (AttributeValue(SubjectAttribute.COMMON_NAME, "x"),)


@pytest.mark.parametrize(
    ("value", "reason"), [("", "it is empty"), ("x" * 65, "65 characters"), ("a\x00", "control characters")]
)
def test_value_that_no_certificate_carries_is_refused_once(value: str, reason: str) -> None:
    rules = rules_of(subject=[{"type": "common_name", "required": ["*"]}])
    violation = only(refused(rules, make_request(subject=subject(common_name=value))))
    assert found([violation]) == [("subject/common_name", "invalid_value")]
    assert reason in violation.allowed


def test_country_is_two_letters() -> None:
    violation = only(refused(rules_of(), make_request(subject=subject(country="Switzerland"))))
    assert sentence(violation) == 'country "Switzerland" is not valid: a country is two letters'


@pytest.mark.parametrize("value", ["Evil Corp", "EVIL  corp", "\uff25vil Corp"])
def test_denied_value_has_no_way_around_by_spelling(value: str) -> None:
    rules = rules_of(subject=[{"type": "organization", "denied": ["evil corp"]}])
    assert found(refused(rules, make_request(subject=subject(organization=value)))) == [
        ("subject/organization", "value_denied")
    ]


def test_denied_only_rule_lets_the_rest_through_value_included() -> None:
    rules = rules_of(subject=[{"type": "organization", "denied": ["Evil*"]}])
    plan = granted(rules, make_request(subject=subject(organization="Good Corp")))
    assert plan.subject == subject(organization="Good Corp")
    violation = only(refused(rules, make_request(subject=subject(organization="Evil Inc"))))
    assert violation.fix == 'use another organization, for example "www"'


REQUIRED_AND_ALLOWED = [{"type": "common_name", "required": ["*.prod.test", "*.stage.test"], "allowed": ["*.dev.test"]}]


@pytest.mark.parametrize("value", ["a.prod.test", "a.stage.test"])
def test_one_of_the_required_patterns_is_enough(value: str) -> None:
    assert granted(rules_of(subject=REQUIRED_AND_ALLOWED), make_request(subject=subject(common_name=value)))


def test_allowed_value_alone_does_not_meet_what_is_required() -> None:
    violation = only(
        refused(rules_of(subject=REQUIRED_AND_ALLOWED), make_request(subject=subject(common_name="a.dev.test")))
    )
    assert found([violation]) == [("subject/common_name", "required_not_met")]
    assert 'for example "a.prod.test"' in violation.fix


def test_allowed_value_beside_a_required_one_is_granted() -> None:
    rules = rules_of(subject=[{**REQUIRED_AND_ALLOWED[0], "type": "organization"}])
    asked = subject(organization="a.dev.test") + subject(organization="a.prod.test")
    assert granted(rules, make_request(subject=asked)).subject == asked


def test_second_common_name_is_refused_for_some_programs_read_the_last() -> None:
    asked = subject(common_name="a.test") + subject(common_name="b.test")
    violation = only(refused(rules_of(), make_request(subject=asked)))
    assert found([violation]) == [("subject/common_name", "several_common_names")]
    assert violation.asked == "common_name a.test, b.test"


@pytest.mark.parametrize(
    "value", ["Evil\u200b Corp", "Evil Corp\u3164", "\u2800Evil Corp", "Ev\u00adil Corp", "E\ufe0fvil"]
)
def test_invisible_characters_have_no_business_in_a_subject(value: str) -> None:
    violation = only(refused(rules_of(), make_request(subject=subject(organization=value))))
    assert found([violation]) == [("subject/organization", "invalid_value")]
    assert "invisible" in violation.allowed
    assert violation.fix == "remove zero-width and filler characters from the organization"


ISSUER = dataclasses.replace(RSA_CA, subject=subject(country="CH", organization="Acme", common_name="Acme Root"))


@pytest.mark.parametrize(
    "asked",
    [
        subject(country="CH", organization="Acme", common_name="Acme Root"),
        subject(common_name=" acme  ROOT ", organization="ACME", country="ch"),
        subject(common_name="\uff21cme\u00a0Root", organization="acme", country="CH"),
    ],
)
def test_the_name_of_the_issuing_ca_is_nobody_elses(asked: tuple[AttributeValue, ...]) -> None:
    violation = only(refused(rules_of(), make_request(subject=asked), issuer=ISSUER))
    assert found([violation]) == [("subject", "subject_is_issuer")]


def test_part_of_the_name_of_the_issuing_ca_is_free_and_so_is_any_name_beside_an_unknown_one() -> None:
    assert granted(rules_of(), make_request(subject=ISSUER.subject[1:]), issuer=ISSUER)
    assert granted(rules_of(), make_request(subject=ISSUER.subject), issuer=RSA_CA)
    names_only = make_request(subject=(), subject_alternative_names=dns("a.test"))
    assert granted(rules_of(), names_only, issuer=RSA_CA)


@pytest.mark.parametrize(
    "value",
    [
        "admin.example.com",
        "ADMIN.example.com.",
        "admin.example.com..",
        "*.example.com",
        "*.EXAMPLE.com.",
        "ad*.example.com",
        "admin\u3002example.com",
        "admin.example.com/",
        "admin.example.com:443",
        "https://admin.example.com",
        "x@admin.example.com",
    ],
)
def test_denied_host_as_a_common_name_has_no_way_around(value: str) -> None:
    rules = rules_of(subject=[{"type": "common_name", "allowed": ["*"], "denied": ["admin.example.com"]}])
    violation = only(refused(rules, make_request(subject=subject(common_name=value))))
    assert found([violation]) == [("subject/common_name", "value_denied")]


@pytest.mark.parametrize("value", ["admin.example.org", "*.example.org", "xadmin.example.com", "Jane Admin", "*", "a*"])
def test_common_name_beside_a_denied_host_is_granted(value: str) -> None:
    rules = rules_of(subject=[{"type": "common_name", "allowed": ["*"], "denied": ["admin.example.com"]}])
    assert granted(rules, make_request(subject=subject(common_name=value)))


def test_denied_international_host_is_denied_as_a_common_name_in_either_form() -> None:
    rules = rules_of(subject=[{"type": "common_name", "allowed": ["*"], "denied": ["bücher.example"]}])
    for value in ("xn--bcher-kva.example", "BÜCHER.example", "bücher.example."):
        violation = only(refused(rules, make_request(subject=subject(common_name=value))))
        assert violation.code == "value_denied"


def test_value_that_is_neither_is_refused_once() -> None:
    violation = only(
        refused(rules_of(subject=REQUIRED_AND_ALLOWED), make_request(subject=subject(common_name="evil.test")))
    )
    assert found([violation]) == [("subject/common_name", "value_does_not_match")]
    assert violation.rule == "template subject/common_name required"


def test_required_attribute_that_is_absent_is_told_with_an_example() -> None:
    request = make_request(subject=(), subject_alternative_names=dns("a.test"))
    violation = only(refused(rules_of(subject=REQUIRED_AND_ALLOWED), request))
    assert found([violation]) == [("subject/common_name", "required_missing")]
    assert violation.fix.startswith("add a common_name that fits *.prod.test, *.stage.test, for example ")


def test_no_name_at_all_is_refused() -> None:
    violation = only(refused(rules_of(ANYTHING), make_request(subject=())))
    assert found([violation]) == [("subject/common_name", "name_missing")]
    assert violation.fix == "give a common_name or at least one subject alternative name"


def test_default_name_is_a_name() -> None:
    defaults = ProfileDefaults(subject=subject(common_name="device"))
    assert granted(rules_of(), make_request(subject=()), defaults=defaults).subject == subject(common_name="device")


def test_default_that_the_template_refuses_is_told_to_come_from_the_profile() -> None:
    rules = rules_of(subject=[{"type": "common_name", "allowed": ["*"]}, {"type": "country", "allowed": ["CH"]}])
    defaults = ProfileDefaults(subject=subject(country="US", locality="Bern"))
    violations = refused(rules, make_request(), defaults=defaults)
    assert [violation.asked for violation in violations] == [
        'country "US" (the profile\'s default)',
        'locality "Bern" (the profile\'s default)',
    ]
    assert violations[1].fix == "have the profile's locality removed, or have the template changed"


def test_what_a_renewal_takes_from_the_certificate_before_it_is_not_told_to_be_the_profile_s() -> None:
    rules = rules_of(
        subject=[{"type": "common_name", "allowed": ["*"]}, {"type": "email", "allowed": ["*"]}],
        sans=[{"type": "dns_name", "allowed": ["*"]}],
        extended_key_usages={"allowed": ["client_auth"]},
    )
    before = ProfileDefaults(
        subject=subject(locality="Bern", email="jane@acme.com"),
        extended_key_usages=(ExtendedKeyUsage.SERVER_AUTH,),
        source=Source.PREDECESSOR,
    )
    violations = refused(rules, make_request(), defaults=before)
    assert [(violation.asked, violation.fix) for violation in violations] == [
        (
            'locality "Bern" (as in the certificate before it)',
            "renew without locality, or have the template changed",
        ),
        (
            'email "jane@acme.com" in the subject',
            "renew without email, or have the template allow it as email SAN",
        ),
        (
            "extended key usage server_auth (as in the certificate before it)",
            "ask for extended key usages yourself, without server_auth",
        ),
    ]


def test_template_that_says_nothing_refuses_any_name() -> None:
    assert ("subject/common_name", "type_not_allowed") in found(refused(TemplateRules(), make_request()))


def test_a_subject_of_many_attributes_is_one_violation_and_takes_no_time() -> None:
    asked = tuple(AttributeValue(SubjectAttribute.COMMON_NAME, f"x{number}.test") for number in range(3_000))
    violation = only(refused(rules_of(), make_request(subject=asked)))
    assert found([violation]) == [("subject", "too_much_text")]


COMPONENTS = tuple(AttributeValue(SubjectAttribute.DOMAIN_COMPONENT, each) for each in ("com", "Acme"))


def test_domain_components_come_first_in_the_order_asked_and_serial_number_and_email_last() -> None:
    asked = (*subject(email="Jane@ACME.com", serial_number="SN-17/b", common_name="Jane", country="ch"), *COMPONENTS)
    assert granted(rules_of(), make_request(subject=asked)).subject == (
        *(AttributeValue(SubjectAttribute.DOMAIN_COMPONENT, each) for each in ("com", "acme")),
        *subject(country="CH", common_name="Jane", serial_number="SN-17/b", email="Jane@acme.com"),
    )


def test_each_domain_component_is_judged_and_mended_in_its_place() -> None:
    rules = rules_of(
        subject=[
            {"type": "DC", "allowed": ["com", "acme"], "denied": ["evil"]},
            {"type": "common_name", "allowed": ["*"]},
        ]
    )
    asked = (*COMPONENTS, AttributeValue(SubjectAttribute.DOMAIN_COMPONENT, "net"), *subject(common_name="x"))
    request = make_request(subject=asked)
    violation = only(refused(rules, request))
    assert found([violation]) == [("subject/domain_component/2", "value_not_in_list")]
    mended = amended(request, violation.changes)
    assert granted(rules, mended).subject[:2] == (
        AttributeValue(SubjectAttribute.DOMAIN_COMPONENT, "com"),
        AttributeValue(SubjectAttribute.DOMAIN_COMPONENT, "acme"),
    )


def test_a_required_domain_component_is_added() -> None:
    rules = rules_of(
        subject=[{"type": "DC", "required": ["com"], "allowed": ["*"]}, {"type": "common_name", "allowed": ["*"]}]
    )
    for asked, code in (
        (subject(common_name="x"), "required_missing"),
        ((*subject(common_name="x"), AttributeValue(SubjectAttribute.DOMAIN_COMPONENT, "acme")), "required_not_met"),
    ):
        request = make_request(subject=asked)
        violation = only(refused(rules, request))
        assert found([violation]) == [("subject/domain_component", code)]
        assert (
            AttributeValue(SubjectAttribute.DOMAIN_COMPONENT, "com")
            in granted(rules, amended(request, violation.changes)).subject
        )


def test_domain_components_of_the_profile_are_filled_in_together_or_not_at_all() -> None:
    defaults = ProfileDefaults.from_json(
        {"domain_components": ["com", "Acme"], "serial_number": "7", "email": "a@b.ch"}
    )
    filled = granted(rules_of(), make_request(), defaults=defaults).subject
    assert [(each.type.value, each.value) for each in filled] == [  # type: ignore[union-attr]
        ("domain_component", "com"),
        ("domain_component", "acme"),
        ("common_name", "service.acme.com"),
        ("serial_number", "7"),
        ("email", "a@b.ch"),
    ]
    own = (*subject(common_name="x"), AttributeValue(SubjectAttribute.DOMAIN_COMPONENT, "org"))
    asked = granted(rules_of(), make_request(subject=own), defaults=defaults).subject
    assert [each.value for each in asked if each.type == "domain_component"] == ["org"]


def test_domain_components_that_no_certificate_can_carry_are_refused_one_by_one() -> None:
    asked = tuple(AttributeValue(SubjectAttribute.DOMAIN_COMPONENT, each) for each in ("acme.com", "a_b", "com"))
    violations = refused(rules_of(), make_request(subject=asked))
    assert found(violations) == [
        ("subject/domain_component/0", "invalid_value"),
        ("subject/domain_component/1", "invalid_value"),
    ]
    assert violations[1].changes[0].value == "a-b"


def test_an_email_of_the_subject_stands_among_the_alternative_names_too() -> None:
    asked = make_request(subject=subject(common_name="Jane", email="Jane@ACME.com"))
    decision = judge(rules_of(), asked)
    assert decision.granted().subject_alternative_names == names(NameType.EMAIL, "Jane@acme.com")
    assert 'email "Jane@acme.com" is added as email SAN: it has to stand there too' in decision.warnings
    twice = make_request(subject=asked.subject, subject_alternative_names=names(NameType.EMAIL, "Jane@acme.com"))
    assert granted(rules_of(), twice).subject_alternative_names == twice.subject_alternative_names


@pytest.mark.parametrize("sans", [[], [{"type": "email", "allowed": ["*@other.com"]}]])
def test_an_email_of_the_subject_that_can_be_no_alternative_name_is_refused(sans: list[dict[str, object]]) -> None:
    rules = rules_of(sans=sans)
    request = make_request(subject=subject(common_name="Jane", email="jane@acme.com"))
    violation = only(refused(rules, request))
    assert found([violation]) == [("subject/email", "email_not_among_names")]
    assert granted(rules, amended(request, violation.changes)).subject == subject(common_name="Jane")
    by_profile = ProfileDefaults(subject=subject(email="jane@acme.com"))
    assert only(refused(rules, make_request(), defaults=by_profile)).changes == ()


def test_domain_components_are_together_no_longer_than_a_domain_name() -> None:
    label = AttributeValue(SubjectAttribute.DOMAIN_COMPONENT, "x" * 60)
    assert len(granted(rules_of(), make_request(subject=(label,) * 4)).subject) == 4
    request = make_request(subject=(label,) * 5)
    violation = only(refused(rules_of(), request))
    assert found([violation]) == [("subject/domain_component", "too_much_text")]
    assert len(granted(rules_of(), amended(request, violation.changes)).subject) == 3


def test_no_more_values_of_an_attribute_than_its_rule_lets_there_be() -> None:
    rules = rules_of(subject=[{"type": "DC", "allowed": ["*"], "max_count": 1}])
    request = make_request(subject=COMPONENTS)
    violation = only(refused(rules, request))
    assert found([violation]) == [("subject/domain_component", "too_many_values")]
    assert [each.value for each in granted(rules, amended(request, violation.changes)).subject] == ["com"]
    by_profile = ProfileDefaults(subject=COMPONENTS)
    assert only(refused(rules, make_request(subject=()), defaults=by_profile)).changes == ()
