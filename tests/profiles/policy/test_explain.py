import json

from pki_portal.errors import Change
from profiles.policy.explain import decision_document
from profiles.policy.judges.findings import MOST_TOLD
from profiles.policy.plan import Decision, Verdict
from tests.profiles.policy.samples import ANYTHING, dns, judge, make_key, make_request, rules_of


def _told(decision: Decision) -> dict[str, list[str]]:
    """Fields by verdict."""
    return {
        verdict.value: [check.field for check in decision.checks if check.verdict is verdict] for verdict in Verdict
    }


def test_a_granted_request_leaves_a_row_for_every_rule_looked_at() -> None:
    decision = judge(rules_of(), make_request(subject_alternative_names=dns("a.test", "b.test")))
    assert _told(decision) == {
        "pass": [
            "subject/common_name",
            "subject_alternative_names/0",
            "subject_alternative_names/1",
            "basic_constraints",
            "ttl",
            "ttl",
            "issuer",
        ],
        "fail": [],
        "filled": ["key_algorithm", "signature_algorithm"],
    }
    assert all(check.rule and check.asked and check.allowed for check in decision.checks)
    assert not any(check.fix or check.changes or check.code for check in decision.checks)


def test_a_refused_one_has_its_violations_among_the_rows() -> None:
    rules = rules_of(ANYTHING, sans=[{"type": "dns_name", "allowed": ["*.acme.com"]}])
    decision = judge(rules, make_request(subject_alternative_names=dns("www.other.com", "www.acme.com")))
    (violation,) = decision.violations
    (row,) = [check for check in decision.checks if check.verdict is Verdict.FAIL]
    assert (row.field, row.code, row.rule, row.asked, row.allowed, row.fix, row.changes) == (
        violation.field,
        violation.code,
        violation.rule,
        violation.asked,
        violation.allowed,
        violation.fix,
        violation.changes,
    )
    value = {"type": "dns_name", "value": "www.acme.com"}
    assert row.changes == (Change("set", "subject_alternative_names/0", value),)


def test_the_document_is_json_and_says_what_would_be_issued() -> None:
    document = json.loads(json.dumps(decision_document(judge(rules_of(), make_request()))))
    assert document["decision"] == "would-issue"
    assert document["plan"] == {
        "subject": [{"type": "common_name", "value": "service.acme.com"}],
        "subject_alternative_names": [],
        "key_usages": [],
        "extended_key_usages": [],
        "key_algorithm": "EC_prime256v1",
        "signature_algorithm": "RSA-SHA256",
        "not_before": "2026-11-23T12:00:00Z",
        "not_after": "2026-12-23T12:00:00Z",
        "basic_constraints": {"is_ca": False, "path_length": None},
        "is_self_signed": False,
        "key_source": "portal",
    }
    assert document["warnings"] == [
        "no key algorithm was asked for: EC_prime256v1 is the first that fits",
        "no signature algorithm was asked for: RSA-SHA256 fits CA Acme RSA CA (RSA_3072)",
    ]


def test_the_document_of_a_refusal_has_no_plan() -> None:
    request = make_request(subject_alternative_names=dns("a_b.test"), applicant_key=make_key())
    document = json.loads(json.dumps(decision_document(judge(rules_of(), request))))
    assert (document["decision"], document["plan"]) == ("would-refuse", None)
    row = next(row for row in document["rules"] if row["verdict"] == "fail")
    assert row == {
        "field": "subject_alternative_names/0",
        "code": "invalid_value",
        "rule": "RFC 5280, 4.2.1.6",
        "asked": 'dns_name SAN "a_b.test"',
        "allowed": "host names have no underscores",
        "verdict": "fail",
        "fix": 'in a new CSR: use "a-b.test"',
        "changes": [],
    }


def test_the_trace_of_many_names_is_cut_and_says_so() -> None:
    good = dns(*(f"h{number}.test" for number in range(500)))
    checks = judge(rules_of(), make_request(subject_alternative_names=good)).checks
    assert len(checks) <= MOST_TOLD + 1
    assert "that passed" in checks[-1].asked
    bad = dns(*(f"h_{number}.test" for number in range(500)))
    checks = judge(rules_of(), make_request(subject_alternative_names=bad)).checks
    assert sum(check.verdict is Verdict.FAIL for check in checks) == MOST_TOLD + 1
    assert checks[-1].code == "too_many_violations"
