"""What was decided: the only value that may be signed, and who may make one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from pki_portal.errors import Change, Violation
from profiles.policy.errors import Code, PolicyViolation, ValidityMissing
from profiles.policy.request import AttributeValue, BasicConstraints, GeneralName, NameConstraints
from profiles.policy.vocabulary import (
    KeyAlgorithm,
    KeyUsage,
    Purpose,
    SignatureAlgorithm,
)

# Only `decide` and `decide_authority` hand this over: a plan that nobody judged cannot be made by accident.
JUDGED = object()


@dataclass(frozen=True, slots=True)
class IssuancePlan:
    """A certificate in every detail but serial number, issuer and key: made by ``decide`` alone.

    All values are in normal form: subject in the order of encoding, names as they will be encoded (A-labels,
    compressed addresses), usages in RFC order and those told by OID after them, times in whole seconds of UTC.

    Attributes:
        key_algorithm: of the key to be made, or of the applicant's key.
        subject_public_key_info: DER of the applicant's key; None where the portal makes the key.
        is_self_signed: the subject's own key signs, no CA.
        basic_constraints: what the extension will say; ``is_ca`` is false for an end entity.
        is_ocsp_responder: it answers for its issuer, and nobody asks whether it was revoked itself: it gets
            id-pkix-ocsp-nocheck (RFC 6960, 4.2.2.2.1).
    """

    subject: tuple[AttributeValue, ...]
    subject_alternative_names: tuple[GeneralName, ...]
    key_usages: tuple[KeyUsage, ...]
    extended_key_usages: tuple[Purpose, ...]
    key_algorithm: KeyAlgorithm
    signature_algorithm: SignatureAlgorithm
    not_before: datetime
    not_after: datetime
    basic_constraints: BasicConstraints
    subject_public_key_info: bytes | None
    is_self_signed: bool
    judged: object = field(repr=False, compare=False)
    is_ocsp_responder: bool = False

    def __post_init__(self) -> None:
        if self.judged is not JUDGED:
            raise TypeError("an IssuancePlan is made by profiles.policy.decide.decide alone")


@dataclass(frozen=True, slots=True)
class AuthorityPlan:
    """A CA certificate in every detail but serial number, issuer and key: made by ``decide_authority`` alone.

    Times are aware UTC in whole seconds; ``path_length`` None means no limit. ``encoded_subject`` is the DER of the
    name where earlier certificates of the CA have it, of which no byte may change: programs compare names so.
    """

    subject: tuple[AttributeValue, ...]
    not_before: datetime
    not_after: datetime
    path_length: int | None
    signature_algorithm: SignatureAlgorithm
    name_constraints: NameConstraints
    encoded_subject: bytes | None
    judged: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.judged is not JUDGED:
            raise TypeError("an AuthorityPlan is made by profiles.policy.authority.decide_authority alone")


class Verdict(StrEnum):
    """What came of one rule; ``filled`` is a pass of what the portal supplied where nothing was asked."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    FILLED = "filled"


class Check(NamedTuple):
    """One rule that was looked at: a row of the trace.

    A plain tuple, because every decision makes dozens. ``fix``, ``changes`` and ``code`` are those of the violation;
    empty where the rule was met.
    """

    field: str
    rule: str
    asked: str
    allowed: str
    verdict: Verdict
    fix: str = ""
    changes: tuple[Change, ...] = ()
    code: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on one request: a plan, or every violation; never both, never neither.

    Attributes:
        warnings: what was filled in, ignored or granted differently, each a sentence.
        checks: every rule looked at in the order judged, passes and refusals; the violations are among them.
    """

    plan: IssuancePlan | None
    violations: tuple[Violation, ...]
    warnings: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()

    def granted(self) -> IssuancePlan:
        """The plan.

        Raises:
            ValidityMissing: nobody says how long the certificate shall live; with every other violation too.
            PolicyViolation: refused; with every violation.
        """
        if self.plan is not None and not self.violations:
            return self.plan
        if any(violation.code == Code.VALIDITY_MISSING for violation in self.violations):
            raise ValidityMissing(self.violations)
        raise PolicyViolation(self.violations)


def refused(violations: Sequence[Violation], decision: Decision | None) -> Decision:
    """A refusal for reasons beside the rules; ``decision`` is what these said, None where they were not asked."""
    checks = tuple(
        Check(each.field, each.rule, each.asked, each.allowed, Verdict.FAIL, each.fix, each.changes, each.code)
        for each in violations
    )
    earlier = decision or Decision(plan=None, violations=())
    return Decision(
        plan=None,
        violations=(*earlier.violations, *violations),
        warnings=earlier.warnings,
        checks=(*earlier.checks, *checks),
    )
