import dataclasses

import pytest

from profiles.policy.request import BasicConstraints, IssuerFacts
from profiles.policy.rules import TemplateRules
from tests.profiles.policy.samples import ROOT_CA, RSA_CA, found, granted, judge, make_request, only, refused, rules_of


def ca_rules(state: str, max_path_length: int = -1) -> TemplateRules:
    return rules_of(basic_constraints={"is_ca": state, "max_path_length": max_path_length}, key_usages=None)


def issuer_with(path_length: int | None) -> IssuerFacts:
    return dataclasses.replace(ROOT_CA, path_length=path_length)


def ca(path_length: int | None = None) -> BasicConstraints:
    return BasicConstraints(is_ca=True, path_length=path_length)


@pytest.mark.parametrize("asked", [None, BasicConstraints(is_ca=False)])
def test_end_entity_is_what_nobody_has_to_ask_for(asked: BasicConstraints | None) -> None:
    plan = granted(rules_of(), make_request(basic_constraints=asked))
    assert plan.basic_constraints == BasicConstraints(is_ca=False)


def test_template_that_says_nothing_denies_cas() -> None:
    violation = only(refused(rules_of(key_usages=None), make_request(basic_constraints=ca()), issuer=ROOT_CA))
    assert found([violation]) == [("basic_constraints", "ca_denied")]


@pytest.mark.parametrize("state", ["allowed", "required"])
def test_ca_is_granted_where_it_is_allowed_or_required(state: str) -> None:
    plan = granted(ca_rules(state), make_request(basic_constraints=ca()), issuer=ROOT_CA)
    assert plan.basic_constraints == BasicConstraints(is_ca=True, path_length=None)


@pytest.mark.parametrize("asked", [None, BasicConstraints(is_ca=False)])
def test_required_ca_must_be_asked_for(asked: BasicConstraints | None) -> None:
    violation = only(refused(ca_rules("required"), make_request(basic_constraints=asked), issuer=ROOT_CA))
    assert found([violation]) == [("basic_constraints", "ca_required")]


def test_path_length_of_an_end_entity_means_nothing() -> None:
    asked = BasicConstraints(is_ca=False, path_length=0)
    violation = only(refused(rules_of(), make_request(basic_constraints=asked)))
    assert found([violation]) == [("basic_constraints/path_length", "path_length_without_ca")]


@pytest.mark.parametrize("path_length", [0, -1])
def test_ca_with_path_length_zero_signs_no_ca(path_length: int) -> None:
    violation = only(
        refused(ca_rules("allowed"), make_request(basic_constraints=ca(0)), issuer=issuer_with(path_length))
    )
    assert found([violation]) == [("basic_constraints", "issuer_allows_no_ca")]
    assert "Acme Root" in violation.asked


def test_path_length_not_asked_for_is_one_less_than_the_issuer_s() -> None:
    decision = judge(ca_rules("allowed"), make_request(basic_constraints=ca()), issuer=issuer_with(3))
    assert decision.granted().basic_constraints == ca(2)
    assert "no path length was asked for: 2 is filled in, one less than the CA's" in decision.warnings


@pytest.mark.parametrize(("asked", "fits"), [(0, True), (2, True), (3, False), (4, False)])
def test_path_length_is_below_the_issuer_s(asked: int, fits: bool) -> None:
    decision = judge(ca_rules("allowed"), make_request(basic_constraints=ca(asked)), issuer=issuer_with(3))
    if fits:
        assert decision.granted().basic_constraints == ca(asked)
    else:
        violation = only(decision.violations)
        assert found([violation]) == [("basic_constraints/path_length", "path_length_too_long")]
        assert violation.fix == "ask for a path length of at most 2"


def test_template_with_a_longest_path_wants_one_asked_for() -> None:
    violation = only(refused(ca_rules("allowed", 1), make_request(basic_constraints=ca()), issuer=ROOT_CA))
    assert found([violation]) == [("basic_constraints/path_length", "path_length_missing")]
    assert violation.fix == "ask for a path length of at most 1"


def test_template_s_longest_path_holds() -> None:
    assert granted(ca_rules("allowed", 1), make_request(basic_constraints=ca(1)), issuer=ROOT_CA)
    violation = only(refused(ca_rules("allowed", 1), make_request(basic_constraints=ca(2)), issuer=ROOT_CA))
    assert found([violation]) == [("basic_constraints/path_length", "path_length_too_long")]
    assert violation.rule == "template basic_constraints/max_path_length"


def test_template_and_issuer_are_both_told() -> None:
    violations = refused(ca_rules("allowed", 1), make_request(basic_constraints=ca(5)), issuer=issuer_with(1))
    assert [violation.allowed for violation in violations] == ["at most 1", "at most 0"]
    assert {violation.fix for violation in violations} == {"ask for a path length of at most 0"}


def test_absurd_path_lengths_are_refused() -> None:
    negative = only(refused(ca_rules("allowed"), make_request(basic_constraints=ca(-1)), issuer=ROOT_CA))
    assert negative.code == "path_length_out_of_range"
    huge = only(refused(ca_rules("allowed"), make_request(basic_constraints=ca(10**5000)), issuer=ROOT_CA))
    assert (huge.code, huge.asked) == ("path_length_too_long", "a huge path length")


def test_self_signed_ca_has_no_issuer_to_obey() -> None:
    plan = granted(ca_rules("allowed"), make_request(basic_constraints=ca(7)), issuer=None)
    assert plan.basic_constraints == ca(7)


def test_issuing_ca_of_the_samples_signs_end_entities_only() -> None:
    assert RSA_CA.path_length == 0
    assert granted(rules_of(), make_request(), issuer=RSA_CA)
