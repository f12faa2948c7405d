"""Refusals of the policy."""

from collections.abc import Sequence

from pki_portal.errors import Invalid, Malformed, Violation


class PolicyViolation(Invalid):
    """A request that its template, profile or CA refuses, with every violation at once."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(f"{violation.asked}: {violation.allowed}" for violation in violations), violations=violations)


class ValidityMissing(Malformed):
    """Neither the request nor profile nor template says how long the certificate shall live."""
