"""Findings as violations."""

from certificates.services.lint import lint_violations
from certificates.x509.lint import Finding, Severity


def test_each_finding_becomes_one_violation_that_tells_what_to_change() -> None:
    told = Finding(Severity.ERROR, "pkix.some_rule", "a value is missing", "certificate.tbsCertificate")
    silent = Finding(Severity.FATAL, "pkix.other_rule", "", "certificate")

    violations = lint_violations([told, silent], change="the CA")

    assert [violation.fix for violation in violations] == [
        "Change the CA so that this no longer holds: a value is missing.",
        "Change the CA so that this no longer holds: pkix.other_rule.",
    ]
    assert {violation.field for violation in violations} == {""}
    assert [violation.asked for violation in violations] == ["certificate.tbsCertificate", "certificate"]
