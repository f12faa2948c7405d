"""What holds for every request under every template, by generated examples."""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import Phase, given, settings
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
from profiles.policy.rules import (
    BasicConstraintsRule,
    ProfileDefaults,
    Source,
    TemplateRules,
    UsageRule,
    ValueRule,
)
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
# Down to what is no whole second: what reads them takes no less (validity.py).
LENGTHS = st.timedeltas(min_value=timedelta.resolution) | st.timedeltas(
    min_value=timedelta(seconds=1), max_value=timedelta(days=400)
)


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


# Rules that are open but for a part or two, with requests: where all is refused by chance, no plan shows anything.
FITTING_ATTRIBUTES: Mapping[SubjectAttribute, list[str]] = {
    SubjectAttribute.COMMON_NAME: ["a.test", "b.a.test", "*.test", "x.other"],
    SubjectAttribute.ORGANIZATION: ["Acme", "ACME north", "Other"],
    SubjectAttribute.COUNTRY: ["us", "CH"],
    SubjectAttribute.DOMAIN_COMPONENT: ["test", "a"],
    SubjectAttribute.SERIAL_NUMBER: ["SN-1", "1"],
    SubjectAttribute.EMAIL: ["jane@a.test", "jane@x.other"],
}
FITTING_NAMES: Mapping[NameType, list[str]] = {
    NameType.DNS_NAME: ["a.test", "b.a.test", "*.a.test", "x.other", "bücher.test"],
    NameType.IP_ADDRESS: ["10.0.0.1", "192.0.2.1", "2001:DB8::1", "::ffff:10.0.0.1"],
    NameType.EMAIL: ["jane@a.test", "jane@x.other"],
    NameType.URI: ["https://a.test/x", "https://x.other/a.test/", "urn:x:1"],
    NameType.UPN: ["Jane@A.test", "jane@x.other"],
}
FITTING_PATTERNS = [
    "*",
    "*.test",
    "*.a.test",
    "*@a.test",
    "10.0.0.0/8",
    "2001:db8::/32",
    "https://*",
    "acme*",
    "*other*",
]
OPEN_VALUE = ValueRule(allowed=("*",))
OPEN_RULES: Mapping[str, Any] = {
    "subject": dict.fromkeys(SubjectAttribute, OPEN_VALUE),
    "subject_alternative_names": dict.fromkeys(NameType, OPEN_VALUE),
    "key_usages": UsageRule(allowed=tuple(KeyUsage)),
    "extended_key_usages": UsageRule(allowed=(*ExtendedKeyUsage, "1.2.3.4", "1.2.3.5")),
    "basic_constraints": BasicConstraintsRule(BasicConstraintsState.ALLOWED),
}
Case = tuple[dict[str, Any], dict[str, Any]]


@st.composite
def value_cases(draw: st.DrawFn, path: str, fitting: Mapping[Any, list[str]], make: Any) -> Case:
    """Rules for one kind of value or two, and values of these and, at times, of another."""
    kinds = draw(st.lists(st.sampled_from([*fitting]), min_size=1, max_size=3, unique=True))
    rules = {}
    for kind in kinds[:2]:
        patterns = st.sampled_from(["*", *fitting[kind], *FITTING_PATTERNS])
        lists = {
            "allowed": tuples(patterns),
            "required": st.just(()) | tuples(patterns, 1),
            "denied": tuples(patterns, 1),
        }
        rules[kind] = draw(st.builds(ValueRule, max_count=COUNTS, **lists))
    # All others stay open, or say nothing.
    others = {} if draw(st.booleans()) else dict.fromkeys(fitting, OPEN_VALUE)
    values = [
        make(kind, value)
        for number, kind in enumerate(kinds)
        for value in draw(st.lists(st.sampled_from(fitting[kind]), min_size=number == 0, max_size=2))
    ]
    return {path: others | rules}, {path: tuple(values)}


def word_cases(path: str, words: Any) -> st.SearchStrategy[Case]:
    rules = st.none() | st.builds(
        UsageRule,
        allowed=tuples(st.sampled_from(words), 5),
        required=st.just(()) | tuples(st.sampled_from(words), 1),
        denied=tuples(st.sampled_from(words), 1),
    )
    asked = st.none() | tuples(st.sampled_from(words), 2)
    return st.tuples(rules.map(lambda rule: {path: rule}), asked.map(lambda usages: {path: usages}))


LIVES = st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=120))
DAYS_TO_COME = st.integers(0, 120 * 86_400).map(lambda seconds: NOW + timedelta(seconds=seconds))
CASES: Mapping[str, st.SearchStrategy[Case]] = {
    "subject": value_cases("subject", FITTING_ATTRIBUTES, AttributeValue),
    "names": value_cases("subject_alternative_names", FITTING_NAMES, GeneralName),
    "key usages": word_cases("key_usages", [*KeyUsage][:5]),
    "purposes": word_cases("extended_key_usages", [*ExtendedKeyUsage, "1.2.3.4"]),
    "algorithms": st.tuples(
        st.fixed_dictionaries(
            {
                "key_algorithms": optional(tuples(st.sampled_from(KeyAlgorithm), 4)),
                "signature_algorithms": optional(tuples(st.sampled_from(SignatureAlgorithm), 6)),
            }
        ),
        st.fixed_dictionaries(
            {
                "key_algorithm": optional(st.sampled_from(KeyAlgorithm)),
                "signature_algorithm": optional(st.sampled_from(SignatureAlgorithm)),
                "applicant_key": st.none()
                | st.builds(ApplicantKey, st.just(b"DER"), st.sampled_from(KeyAlgorithm), st.just("key")),
            }
        ),
    ),
    "life": st.tuples(
        st.fixed_dictionaries({"min_validity": optional(LIVES), "max_validity": optional(LIVES)}),
        st.one_of(
            st.fixed_dictionaries({"ttl": LIVES}),
            st.fixed_dictionaries(
                {"ttl": st.none(), "not_before": optional(DAYS_TO_COME), "not_after": optional(DAYS_TO_COME)}
            ),
        ),
    ),
    "constraints": st.tuples(
        st.fixed_dictionaries(
            {
                "basic_constraints": st.builds(
                    BasicConstraintsRule, st.sampled_from(BasicConstraintsState), optional(st.integers(0, 2))
                )
            }
        ),
        st.fixed_dictionaries(
            {"basic_constraints": optional(st.builds(BasicConstraints, st.booleans(), optional(st.integers(0, 3))))}
        ),
    ),
}


@st.composite
def rules_and_requests(draw: st.DrawFn) -> tuple[TemplateRules, IssuanceRequest]:
    rules: dict[str, Any] = dict(OPEN_RULES)
    asked: dict[str, Any] = {
        "subject": (AttributeValue(SubjectAttribute.COMMON_NAME, "b.test"),),
        "ttl": timedelta(days=30),
    }
    for part in draw(st.sets(st.sampled_from([*CASES]), min_size=1, max_size=2)):
        of_rules, of_request = draw(CASES[part])
        rules |= of_rules
        asked |= of_request
    return TemplateRules(**rules), IssuanceRequest(**asked)


RULES_AND_REQUESTS = rules_and_requests()


def test_some_cases_are_granted_and_some_are_refused() -> None:
    """A property about plans proves little where there are none."""
    seen: Counter[str] = Counter()

    @settings(max_examples=1500, database=None, derandomize=True, phases=[Phase.generate])
    @given(case=RULES_AND_REQUESTS, issuer=EASY_ISSUERS)
    def count(case: tuple[TemplateRules, IssuanceRequest], issuer: IssuerFacts | None) -> None:
        rules, request = case
        plan = decide(rules=rules, defaults=ProfileDefaults(), request=request, issuer=issuer, now=NOW).plan
        seen["refused" if plan is None else "granted"] += 1
        if plan is not None:
            seen.update(
                {
                    *(str(each.type) for each in plan.subject),
                    *(str(each.type) for each in plan.subject_alternative_names),
                }
            )
            seen.update({"for a CA"} if plan.basic_constraints.is_ca else set())

    count()

    assert seen["granted"] > 100
    assert seen["refused"] > 100
    wanted = {*map(str, FITTING_ATTRIBUTES), *map(str, FITTING_NAMES), "for a CA"}
    assert wanted <= seen.keys(), wanted - seen.keys()


def _alike(violation: Violation, others: tuple[Violation, ...]) -> tuple[int, int]:
    """How many of the others say the same of the same value, and how many of whatever value was asked for."""

    def about(each: Violation) -> tuple[str, str, str]:
        # Of a field the first word alone: what is removed makes the places behind it move up.
        return each.code, each.rule, each.field.partition("/")[0]

    same = [each.asked for each in others if about(each) == about(violation)]
    if not violation.asked.endswith(Source.PROFILE.mark):
        # Where a value is left out, the profile's comes in, which is another's mistake.
        same = [asked for asked in same if not asked.endswith(Source.PROFILE.mark)]
    return same.count(violation.asked), len(same)


@given(
    case=RULES_AND_REQUESTS | st.tuples(RULES | EASY, REQUESTS),
    defaults=DEFAULTS | st.just(ProfileDefaults()),
    issuer=ISSUERS | EASY_ISSUERS,
    now=NOWS,
)
def test_every_change_that_is_offered_makes_its_violation_go_away(
    case: tuple[TemplateRules, IssuanceRequest],
    defaults: ProfileDefaults,
    issuer: IssuerFacts | None,
    now: datetime,
) -> None:
    rules, request_ = case

    def violations(request: IssuanceRequest) -> tuple[Violation, ...]:
        return decide(rules=rules, defaults=defaults, request=request, issuer=issuer, now=now).violations

    before = violations(request_)
    for violation in before:
        if violation.changes:
            after = violations(amended(request_, violation.changes))
            left, alike = _alike(violation, after)
            assert not left, violation
            # Nor does another value take its place.
            assert alike < _alike(violation, before)[1], violation


@given(case=RULES_AND_REQUESTS | st.tuples(RULES | EASY, EASY_REQUESTS), issuer=EASY_ISSUERS)
def test_a_plan_never_holds_what_its_rules_do_not_allow(
    case: tuple[TemplateRules, IssuanceRequest], issuer: IssuerFacts | None
) -> None:
    rules, request_ = case
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
