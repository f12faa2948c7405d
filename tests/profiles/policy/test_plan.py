import dataclasses

import pytest

from pki_portal.errors import Invalid, Malformed
from profiles.policy.errors import PolicyViolation, ValidityMissing
from profiles.policy.plan import IssuancePlan
from profiles.policy.rules import TemplateRules
from tests.profiles.policy.samples import NOW, dns, judge, make_request, rules_of


def test_granted_hands_over_the_plan() -> None:
    decision = judge(rules_of(), make_request())
    assert decision.granted() is decision.plan
    assert decision.violations == ()


def test_granted_raises_every_violation() -> None:
    decision = judge(rules_of(), make_request(subject_alternative_names=dns("a_b.test", "c_d.test")))
    with pytest.raises(PolicyViolation) as refusal:
        decision.granted()
    assert refusal.value.violations == decision.violations
    assert len(decision.violations) == 2
    assert isinstance(refusal.value, Invalid)


def test_missing_validity_is_malformed_and_carries_the_other_violations_too() -> None:
    decision = judge(TemplateRules(), make_request(ttl=None))
    with pytest.raises(ValidityMissing) as refusal:
        decision.granted()
    assert isinstance(refusal.value, Malformed)
    assert {violation.field for violation in refusal.value.violations} == {"ttl", "subject/common_name"}


def test_nobody_but_decide_makes_a_plan() -> None:
    plan = judge(rules_of(), make_request()).granted()
    values = {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)}
    assert IssuancePlan(**values) == plan
    with pytest.raises(TypeError, match="made by"):
        IssuancePlan(**{**values, "judged": object()})


def test_decision_does_not_depend_on_the_moment_within_a_second() -> None:
    early, late = (judge(rules_of(), make_request(), now=NOW.replace(microsecond=each)) for each in (0, 999_999))
    assert early == late
