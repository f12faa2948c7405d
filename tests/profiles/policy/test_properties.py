"""What holds for every request under every template, by generated examples."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pki_portal.errors import Violation
from profiles.policy import names
from profiles.policy.amend import amended
from profiles.policy.decide import decide
from profiles.policy.errors import VERDICTS, PolicyViolation, ValidityMissing, sentence
from profiles.policy.explain import decision_document
from profiles.policy.judges.usages import fits
from profiles.policy.plan import IssuancePlan, Verdict
from profiles.policy.request import (
    ApplicantKey,
    AttributeValue,
    BasicConstraints,
    GeneralName,
    IssuanceRequest,
    IssuerFacts,
)
from profiles.policy.rules import BasicConstraintsRule, ProfileDefaults, TemplateRules, UsageRule, ValueRule
from profiles.policy.vocabulary import (
    BasicConstraintsState,
    ExtendedKeyUsage,
    KeyAlgorithm,
    KeyFamily,
    KeyUsage,
    NameType,
    SignatureAlgorithm,
    SubjectAttribute,
)
from tests.profiles.policy.samples import NOW

# 2,000 examples each where CI is thorough.
pytestmark = [pytest.mark.timeout(900), pytest.mark.no_cover]

VALUES = st.sampled_from(
    [
        "a.test",
        "b.a.test",
        "*.test",
        "*.a.test",
        "A.TEST.",
        "bücher.test",
        "10.0.0.1",
        "::ffff:10.0.0.1",
        "2002:0a01:0203::1",
        "https://a.test",
        "https://a.test:443/%2e%2e/",
        "a\u3002test/",
        "a.test\u3164",
        "jane@a.test",
        "\uff2aANE@a.test",
        "https://a.test/x",
        "urn:x:1",
        "us",
        "acme",
        "SN-1/2",
        "",
        "a_b",
        "a\x00",
    ]
) | st.text(alphabet=st.characters(), max_size=12)
PATTERNS = st.sampled_from(
    ["*", "*.test", "a.test", "*@a.test", "10.0.0.0/8", "10.*", "https://*", "us", "1/2"]
) | st.text(max_size=6)


def tuples(elements: st.SearchStrategy[Any], size: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(elements, max_size=size).map(tuple)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


COUNTS = st.sampled_from([None, None, 1, 2])
VALUE_RULES = st.builds(
    ValueRule,
    allowed=tuples(PATTERNS),
    required=tuples(PATTERNS, 1),
    denied=tuples(PATTERNS, 1),
    max_count=COUNTS,
)
MOMENTS = st.datetimes(
    timezones=st.sampled_from([None, UTC, timezone(timedelta(hours=14)), timezone(-timedelta(hours=12))])
) | st.datetimes(
    min_value=NOW.replace(tzinfo=None) - timedelta(days=300),
    max_value=NOW.replace(tzinfo=None) + timedelta(days=500),
    timezones=st.just(UTC),
)
LENGTHS = st.timedeltas() | st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=400))


def usage_rules(usages: Any) -> st.SearchStrategy[UsageRule[Any]]:
    words = st.sampled_from(usages)
    return st.builds(UsageRule, allowed=tuples(words, 9), required=tuples(words, 1), denied=tuples(words, 1))


RULES = st.builds(
    TemplateRules,
    subject=st.dictionaries(st.sampled_from(SubjectAttribute), VALUE_RULES),
    subject_alternative_names=st.dictionaries(st.sampled_from(NameType), VALUE_RULES),
    key_usages=optional(usage_rules(KeyUsage)),
    extended_key_usages=optional(usage_rules([*ExtendedKeyUsage, "1.2.3.4", "1.2.3.5"])),
    key_algorithms=optional(tuples(st.sampled_from(KeyAlgorithm))),
    signature_algorithms=optional(tuples(st.sampled_from(SignatureAlgorithm))),
    max_validity=optional(LENGTHS),
    min_validity=optional(LENGTHS),
    basic_constraints=st.builds(
        BasicConstraintsRule, st.sampled_from(BasicConstraintsState), optional(st.integers(-3, 3))
    ),
)
ATTRIBUTES = tuples(st.builds(AttributeValue, st.sampled_from([*SubjectAttribute, "1.2.3", "common_name"]), VALUES), 2)
REQUESTS = st.builds(
    IssuanceRequest,
    subject=ATTRIBUTES,
    subject_alternative_names=tuples(
        st.builds(GeneralName, st.sampled_from([*NameType, "directoryName", "dns_name"]), VALUES), 2
    ),
    key_usages=optional(tuples(st.sampled_from(KeyUsage))),
    extended_key_usages=optional(
        tuples(st.sampled_from([*ExtendedKeyUsage, "1.2.3", "1.2", "server_auth", "2.5.29.37.0"]))
    ),
    key_algorithm=optional(st.sampled_from(KeyAlgorithm)),
    signature_algorithm=optional(st.sampled_from(SignatureAlgorithm)),
    ttl=optional(LENGTHS),
    not_before=st.none() | st.none() | MOMENTS,
    not_after=st.none() | st.none() | MOMENTS,
    basic_constraints=optional(st.builds(BasicConstraints, st.booleans(), optional(st.integers(-1, 10**30)))),
    applicant_key=optional(
        st.builds(
            ApplicantKey, st.just(b"DER"), optional(st.sampled_from(KeyAlgorithm)), VALUES, tuples(st.just("weak"), 1)
        )
    ),
    ignored=tuples(st.just("x was ignored"), 1),
)
DEFAULTS = st.builds(
    ProfileDefaults,
    # Unlike a CSR, a profile cannot speak of other attributes.
    subject=tuples(st.builds(AttributeValue, st.sampled_from(SubjectAttribute), VALUES), 2),
    key_usages=optional(tuples(st.sampled_from(KeyUsage))),
    extended_key_usages=optional(tuples(st.sampled_from(ExtendedKeyUsage))),
    key_algorithm=optional(st.sampled_from(KeyAlgorithm)),
    signature_algorithm=optional(st.sampled_from(SignatureAlgorithm)),
    ttl=optional(LENGTHS),
)
ISSUERS = optional(
    st.builds(
        IssuerFacts,
        name=st.text(max_size=5),
        key_family=st.sampled_from(KeyFamily),
        key_algorithm=st.sampled_from([*KeyAlgorithm, "RSA_8192", "?"]),
        not_before=MOMENTS,
        not_after=MOMENTS,
        path_length=optional(st.integers(-1, 3)),
        is_active=st.booleans(),
        subject=ATTRIBUTES,
    )
)
EASY_ISSUERS = optional(
    st.builds(
        IssuerFacts,
        name=st.just("CA"),
        key_family=st.sampled_from(KeyFamily),
        key_algorithm=st.just("?"),
        not_before=st.just(datetime(2026, 1, 1, tzinfo=UTC)),
        not_after=st.just(datetime(2050, 1, 1, tzinfo=UTC)),
        path_length=optional(st.integers(0, 3)),
        subject=st.sampled_from([(), (AttributeValue(SubjectAttribute.COMMON_NAME, "A.test"),)]),
    )
)
NOWS = MOMENTS | st.just(NOW)


@given(rules=RULES, defaults=DEFAULTS, request_=REQUESTS, issuer=ISSUERS, now=NOWS)
def test_decide_is_total(
    rules: TemplateRules,
    defaults: ProfileDefaults,
    request_: IssuanceRequest,
    issuer: IssuerFacts | None,
    now: datetime,
) -> None:
    decision = decide(rules=rules, defaults=defaults, request=request_, issuer=issuer, now=now)
    assert (decision.plan is None) == bool(decision.violations)
    for violation in decision.violations:
        assert violation.code in VERDICTS
        assert all((violation.field, violation.rule, violation.asked, violation.allowed, violation.fix))
        assert sentence(violation).isprintable()
    try:
        assert decision.granted() is decision.plan
    except (PolicyViolation, ValidityMissing) as refusal:
        assert refusal.violations == decision.violations  # noqa: PT017 - either outcome is right


EASY = st.builds(
    TemplateRules,
    subject=st.fixed_dictionaries(
        {kind: st.builds(ValueRule, allowed=st.just(("*",)), denied=tuples(PATTERNS, 1)) for kind in SubjectAttribute}
    ),
    subject_alternative_names=st.fixed_dictionaries(
        {
            kind: st.builds(ValueRule, allowed=tuples(PATTERNS), denied=tuples(PATTERNS, 1), max_count=COUNTS)
            for kind in NameType
        }
    ),
    key_usages=st.builds(UsageRule, allowed=st.just(tuple(KeyUsage)), required=tuples(st.sampled_from(KeyUsage), 1)),
    extended_key_usages=optional(usage_rules([*ExtendedKeyUsage, "1.2.3.4"])),
    key_algorithms=optional(st.just(tuple(KeyAlgorithm))),
    signature_algorithms=optional(st.permutations(list(SignatureAlgorithm)).map(tuple)),
    min_validity=optional(st.just(timedelta(days=2))),
    max_validity=optional(st.timedeltas(min_value=timedelta(days=1), max_value=timedelta(days=800))),
    basic_constraints=st.builds(BasicConstraintsRule, st.sampled_from(BasicConstraintsState), st.none()),
)
GOOD_NAMES = {
    NameType.DNS_NAME: ["a.test", "*.test", "bücher.test"],
    NameType.EMAIL: ["jane@a.test"],
    NameType.URI: ["https://a.test/x"],
    NameType.IP_ADDRESS: ["10.0.0.1", "2001:DB8::1"],
    NameType.UPN: ["Jane@A.test", "jürg@a.test"],
}
EASY_REQUESTS = st.builds(
    IssuanceRequest,
    subject=st.sampled_from([(AttributeValue(SubjectAttribute.COMMON_NAME, "a.test"),), ()]),
    subject_alternative_names=tuples(
        st.sampled_from([GeneralName(kind, value) for kind, values in GOOD_NAMES.items() for value in values])
    ),
    key_usages=optional(tuples(st.sampled_from(KeyUsage), 2)),
    extended_key_usages=optional(tuples(st.sampled_from([*ExtendedKeyUsage, "1.2.3.4", "1.2.3.5"]), 2)),
    key_algorithm=optional(st.sampled_from(KeyAlgorithm)),
    signature_algorithm=optional(st.sampled_from(SignatureAlgorithm)),
    ttl=optional(st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=900))),
    basic_constraints=optional(st.builds(BasicConstraints, st.booleans(), st.none())),
    applicant_key=optional(st.builds(ApplicantKey, st.just(b"DER"), st.sampled_from(KeyAlgorithm), st.just("key"))),
)


def _is_the_same(one: Violation, other: Violation) -> bool:
    return (one.code, one.rule, one.asked) == (other.code, other.rule, other.asked)


@given(rules=RULES | EASY, defaults=DEFAULTS | st.just(ProfileDefaults()), request_=REQUESTS, issuer=ISSUERS, now=NOWS)
def test_every_change_that_is_offered_makes_its_violation_go_away(
    rules: TemplateRules,
    defaults: ProfileDefaults,
    request_: IssuanceRequest,
    issuer: IssuerFacts | None,
    now: datetime,
) -> None:
    def violations(request: IssuanceRequest) -> tuple[Violation, ...]:
        return decide(rules=rules, defaults=defaults, request=request, issuer=issuer, now=now).violations

    for violation in violations(request_):
        if violation.changes:
            after = violations(amended(request_, violation.changes))
            assert not any(_is_the_same(violation, other) for other in after), violation


@given(rules=RULES | EASY, defaults=DEFAULTS, request_=REQUESTS, issuer=ISSUERS, now=NOWS)
def test_the_trace_holds_every_violation_and_is_json(
    rules: TemplateRules,
    defaults: ProfileDefaults,
    request_: IssuanceRequest,
    issuer: IssuerFacts | None,
    now: datetime,
) -> None:
    decision = decide(rules=rules, defaults=defaults, request=request_, issuer=issuer, now=now)
    failed = [check for check in decision.checks if check.verdict is Verdict.FAIL]
    assert [(check.field, check.code, check.changes) for check in failed] == [
        (violation.field, violation.code, violation.changes) for violation in decision.violations
    ]
    document = decision_document(decision)
    assert document == json.loads(json.dumps(document))
    assert (document["plan"] is None) == (document["decision"] == "would-refuse")


@given(rules=RULES | EASY, request_=EASY_REQUESTS, issuer=EASY_ISSUERS)
def test_a_plan_never_holds_what_its_rules_do_not_allow(
    rules: TemplateRules, request_: IssuanceRequest, issuer: IssuerFacts | None
) -> None:
    plan = decide(rules=rules, defaults=ProfileDefaults(), request=request_, issuer=issuer, now=NOW).plan
    if plan is None:
        return
    _assert_names_allowed(plan, rules)
    _assert_usages_allowed(plan, rules)
    _assert_algorithms_allowed(plan, rules, issuer)
    life = plan.not_after - plan.not_before
    assert (rules.min_validity or timedelta(seconds=1)) <= life <= (rules.max_validity or timedelta.max)
    assert plan.not_before.microsecond == plan.not_after.microsecond == 0
    assert issuer is None or plan.not_after <= issuer.not_after
    assert issuer is None or not issuer.subject or not names.same_subject(plan.subject, issuer.subject)
    assert sum(each.type is SubjectAttribute.COMMON_NAME for each in plan.subject) <= 1
    for kind, rule in rules.subject_alternative_names.items():
        count = sum(each.type is kind for each in plan.subject_alternative_names)
        assert rule.max_count is None or count <= rule.max_count
    state = rules.basic_constraints.state
    assert state is not (
        BasicConstraintsState.DENIED if plan.basic_constraints.is_ca else BasicConstraintsState.REQUIRED
    )


def _assert_names_allowed(plan: IssuancePlan, rules: TemplateRules) -> None:
    assert plan.subject or plan.subject_alternative_names
    assert len(set(plan.subject_alternative_names)) == len(plan.subject_alternative_names)
    judged: list[tuple[ValueRule, str, Any]] = [
        (rules.subject[SubjectAttribute(each.type)], each.value, each.type) for each in plan.subject
    ]
    judged += [
        (rules.subject_alternative_names[NameType(each.type)], each.value, each.type)
        for each in plan.subject_alternative_names
    ]
    for rule, value, kind in judged:
        assert not any(names.denies(pattern, value, kind) for pattern in rule.denied)
        if rule.allowed:
            assert any(names.matches(pattern, value, kind) for pattern in (*rule.allowed, *rule.required))


def _assert_usages_allowed(plan: IssuancePlan, rules: TemplateRules) -> None:
    rule: Any
    usages: tuple[Any, ...]
    for rule, usages in (
        (rules.key_usages, plan.key_usages),
        (rules.extended_key_usages, plan.extended_key_usages),
    ):
        if rule is None:
            implied = {KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN} if plan.basic_constraints.is_ca else set()
            assert set(usages) <= implied
            continue
        assert set(rule.required) <= set(usages)
        assert not set(rule.denied) & set(usages)
        if rule.allowed or rule.required:
            assert set(usages) <= {*rule.allowed, *rule.required}
    assert all(fits(usage, plan.key_algorithm) for usage in plan.key_usages)
    assert (KeyUsage.KEY_CERT_SIGN in plan.key_usages) == plan.basic_constraints.is_ca


def _assert_algorithms_allowed(plan: IssuancePlan, rules: TemplateRules, issuer: IssuerFacts | None) -> None:
    if rules.key_algorithms is not None:
        assert plan.key_algorithm in rules.key_algorithms
    if rules.signature_algorithms is not None:
        assert plan.signature_algorithm in rules.signature_algorithms
    signer = plan.key_algorithm.family if issuer is None else issuer.key_family
    assert plan.signature_algorithm.family is signer
    assert plan.is_self_signed == (issuer is None)
