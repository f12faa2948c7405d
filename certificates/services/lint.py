"""What the linter finds, as refusals; and what a profile waives of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from certificates.x509.lint import Finding
from pki_portal.errors import Violation
from profiles.policy.waivers import LintWaiver


@dataclass(frozen=True, slots=True)
class Waivers:
    """What one profile waives at one instant."""

    profile: str
    listed: Sequence[LintWaiver]
    now: datetime

    @property
    def counting(self) -> tuple[LintWaiver, ...]:
        """Those that have not expired."""
        return tuple(waiver for waiver in self.listed if waiver.counts_at(self.now))


def lint_violations(findings: Iterable[Finding], *, change: str, profile: str = "") -> list[Violation]:
    """A violation for each finding; ``change`` names what its reader can change (``the CA``), for the fix.

    What is wrong is the certificate as a whole, so no field of the request is named. Where ``profile`` (its slug) is
    given, the fix names its waivers too.
    """
    waive = f" Or an operator can waive it on the profile {profile}, with a written reason." if profile else ""
    return [
        Violation(
            field="",
            code=finding.code,
            rule="lint PKIX",
            asked=finding.node,
            allowed="what RFC 5280 allows",
            fix=f"Change {change} so that this no longer holds: {finding.message or finding.code}."
            + (waive if finding.is_waivable else ""),
        )
        for finding in findings
    ]
