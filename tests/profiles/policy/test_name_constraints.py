"""Name constraints: their normal form, and the verdicts that they lead to."""

import dataclasses

import pytest

from pki_portal.errors import Change
from profiles.policy.authority import decide_authority
from profiles.policy.errors import PolicyViolation
from profiles.policy.judges.lifetime import Validity
from profiles.policy.name_constraints import (
    MOST_SUBTREES,
    constraint_violations,
    constraints_of,
    document_of,
    normalised,
)
from profiles.policy.plan import Verdict
from profiles.policy.request import AttributeValue, IssuerFacts, NameConstraints, PathConstraint, Subtree
from profiles.policy.vocabulary import NameType, SubjectAttribute
from tests.profiles.policy.samples import (
    RSA_CA,
    SECOND,
    dns,
    found,
    granted,
    judge,
    make_request,
    names,
    refused,
    rules_of,
)


def constrained(*sides: dict[str, dict[str, list[str]]]) -> IssuerFacts:
    """The RSA CA below CAs of these constraints, its own first."""
    path = tuple(PathConstraint(f"CA {number}", constraints_of(side)) for number, side in enumerate(sides))
    return dataclasses.replace(RSA_CA, name_constraints=path)


def test_a_document_is_read_and_written_back_in_normal_form() -> None:
    document = {
        "permitted": {"dns": ["Example.COM.", "example.com"], "ip": ["10.0.0.1"], "email": [".Example.com"], "uri": []},
        "excluded": {"email": ["Root@EXAMPLE.com"], "uri": ["münchen.example"]},
    }
    assert document_of(normalised(constraints_of(document))) == {
        "permitted": {"dns": ["example.com"], "ip": ["10.0.0.1/32"], "email": [".example.com"]},
        "excluded": {"email": ["Root@example.com"], "uri": ["xn--mnchen-3ya.example"]},
    }


@pytest.mark.parametrize("document", [None, {}, {"permitted": None}, {"permitted": {"dns": None}, "excluded": {}}])
def test_nothing_constrains_nothing(document: dict[str, dict[str, list[str]] | None] | None) -> None:
    assert not constraints_of(document)
    assert document_of(constraints_of(document)) == {}


@pytest.mark.parametrize(
    ("kind", "value", "fix"),
    [
        ("dns", ".example.com", 'Write "example.com": it covers all names below.'),
        ("dns", "*.example.com", 'Write "example.com".'),
        ("dns", "10.0.0.1", "Ask for it as ip_address"),
        ("dns", "", "Give the dns_name a value"),
        ("dns", "a" * 400, "Shorten it."),
        ("ip", "10.0.0.1/8", "Write 10.0.0.0/8."),
        ("ip", "ten", "Write it as 10.0.0.0/8"),
        ("email", "@", "Use a plain host name"),
        ("email", "ü@example.com", "Use an ASCII address"),
        ("uri", "https://example.com/", "Give the host alone"),
        ("uri", "exa mple.com", "Use a plain host name"),
    ],
)
def test_what_cannot_be_written_is_refused_at_its_place_with_a_fix(kind: str, value: str, fix: str) -> None:
    constraints = normalised(constraints_of({"excluded": {kind: [value]}}))
    (violation,) = constraint_violations(constraints)
    assert (violation.field, violation.code) == (f"name_constraints/excluded/{kind}/0", "name_constraint_invalid")
    assert violation.fix.startswith(fix)


def test_too_many_are_refused() -> None:
    constraints = constraints_of({"permitted": {"dns": [f"h{number}.example" for number in range(MOST_SUBTREES + 1)]}})
    assert [violation.code for violation in constraint_violations(constraints)] == ["too_many_constraints"]


def test_every_name_that_breaks_a_constraint_is_told_with_its_rule() -> None:
    issuer = constrained({"permitted": {"dns": ["example.com"]}, "excluded": {"ip": ["10.6.0.0/16"]}})
    request = make_request(
        subject_alternative_names=(
            *dns("www.example.com", "www.evil.test"),
            *names(NameType.IP_ADDRESS, "10.6.0.1", "10.7.0.1"),
        )
    )
    violations = refused(rules_of(), request, issuer=issuer)
    assert found(violations) == [
        ("subject_alternative_names/1", "name_not_permitted"),
        ("subject_alternative_names/2", "name_excluded"),
    ]
    assert violations[0].rule == "name constraints of CA 0 (RFC 5280, 4.2.1.10)"
    assert violations[0].asked == 'dns_name "www.evil.test"'
    assert violations[0].fix == "ask for dns_name within example.com, or use a profile of another CA"
    assert violations[1].allowed == "names outside 10.6.0.0/16"
    assert violations[1].changes == (Change("remove", "subject_alternative_names/2"),)


def test_every_ca_of_the_path_is_asked() -> None:
    """Permitted subtrees of a path intersect, excluded ones add up (RFC 5280, 6.1.4 g)."""
    issuer = constrained(
        {"permitted": {"dns": ["a.example.com", "other.test"]}}, {"permitted": {"dns": ["example.com"]}}
    )
    granted(rules_of(), make_request(subject_alternative_names=dns("x.a.example.com")), issuer=issuer)
    wide = refused(
        rules_of(), make_request(subject_alternative_names=dns("b.example.com", "other.test")), issuer=issuer
    )
    assert [violation.rule.split(" (")[0] for violation in wide] == [
        "name constraints of CA 0",
        "name constraints of CA 1",
    ]
    checks = judge(rules_of(), make_request(subject_alternative_names=dns("other.test")), issuer=issuer).checks
    told = {check.rule: check.verdict for check in checks if check.rule.startswith("name constraints")}
    assert told == {
        "name constraints of CA 0 (RFC 5280, 4.2.1.10)": Verdict.PASS,
        "name constraints of CA 1 (RFC 5280, 4.2.1.10)": Verdict.FAIL,
    }


def test_kinds_that_nobody_limits_are_free() -> None:
    issuer = constrained({"permitted": {"dns": ["service.acme.com"]}})
    asked = (*names(NameType.EMAIL, "alice@evil.test"), *names(NameType.URI, "urn:a:b"), *dns("service.acme.com"))
    granted(rules_of(), make_request(subject_alternative_names=asked), issuer=issuer)


def test_a_host_name_in_the_common_name_is_judged_too() -> None:
    issuer = constrained({"permitted": {"dns": ["example.com"]}})
    assert found(refused(rules_of(), make_request(), issuer=issuer)) == [("subject", "name_not_permitted")]


def test_an_email_address_in_the_subject_is_judged() -> None:
    """RFC 5280, 4.2.1.10; for CAs, whose subjects no template limits."""
    constraints = NameConstraints(excluded=(Subtree(NameType.EMAIL, "example.com"),))
    issuer = dataclasses.replace(RSA_CA, path_length=None, name_constraints=(PathConstraint("Root", constraints),))
    with pytest.raises(PolicyViolation) as refusal:
        decide_authority(
            subject=(
                AttributeValue(SubjectAttribute.COMMON_NAME, "Issuing"),
                AttributeValue("1.2.840.113549.1.9.1", "ca@example.com"),
            ),
            validity=Validity(SECOND, RSA_CA.not_after),
            path_length=None,
            issuer=issuer,
            key_name="EC_prime256v1",
            now=SECOND,
        )
    assert "name_excluded" in [violation.code for violation in refusal.value.violations]


def test_a_ca_below_is_judged_by_its_whole_name() -> None:
    base = (AttributeValue(SubjectAttribute.COUNTRY, "US"), AttributeValue(SubjectAttribute.ORGANIZATION, "Acme"))
    constraints = NameConstraints(permitted=(Subtree("directoryName", "C=US, O=Acme", base),))
    issuer = dataclasses.replace(RSA_CA, path_length=None, name_constraints=(PathConstraint("Root", constraints),))

    def decided(*subject: AttributeValue) -> list[str]:
        try:
            decide_authority(
                subject=subject,
                validity=Validity(SECOND, RSA_CA.not_after),
                path_length=None,
                issuer=issuer,
                key_name="EC_prime256v1",
                now=SECOND,
            )
        except PolicyViolation as refusal:
            return [violation.code for violation in refusal.violations]
        return []

    assert decided(*base, AttributeValue(SubjectAttribute.COMMON_NAME, "Issuing")) == []
    assert decided(base[1], AttributeValue(SubjectAttribute.COMMON_NAME, "Issuing")) == ["name_not_permitted"]
