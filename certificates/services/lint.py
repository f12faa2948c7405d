"""What the linter finds, as refusals."""

from collections.abc import Iterable

from certificates.x509.lint import Finding
from pki_portal.errors import Violation


def lint_violations(findings: Iterable[Finding], *, change: str) -> list[Violation]:
    """A violation for each finding; ``change`` names what its reader can change (``the CA``), for the fix.

    What is wrong is the certificate as a whole, so no field of the request is named.
    """
    return [
        Violation(
            field="",
            code=finding.code,
            rule="lint PKIX",
            asked=finding.node,
            allowed="what RFC 5280 allows",
            fix=f"Change {change} so that this no longer holds: {finding.message or finding.code}",
        )
        for finding in findings
    ]
