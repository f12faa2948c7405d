"""What the judges of one request have found."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pki_portal.errors import Change, Violation
from profiles.policy.errors import Code
from profiles.policy.plan import Check, Verdict

# More than anybody reads; a request of 1,000 bad names would be answered with half a megabyte.
MOST_TOLD = 200
# Each tries values on the whole rule, which is the dear part of a refusal.
_MOST_EXAMPLES = 20
# What a CSR says stands in it, signed: only its owner can change that.
_SAID_BY_CSR = frozenset(
    {"subject", "subject_alternative_names", "key_usages", "extended_key_usages", "signature_algorithm"}
)


@dataclass(slots=True)
class Findings:
    """Collected over all judges; a request is granted when no violation was found.

    Attributes:
        has_csr: the request's names, usages and key are those of a CSR.
        violations, warnings, checks: the first ``MOST_TOLD`` of each kind, for ``told_violations`` and so on to
            complete.
    """

    has_csr: bool = False
    violations: list[Violation] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    _left_out: int = 0
    _passes: int = 0
    _examples: int = 0

    def refuse(
        self,
        path: str,
        code: Code,
        *,
        rule: str,
        asked: str,
        allowed: str,
        fix: str,
        changes: Sequence[Change] = (),
    ) -> None:
        # A missing validity makes a refusal of another kind: it is never left out.
        if len(self.violations) >= MOST_TOLD and code is not Code.VALIDITY_MISSING:
            self._left_out += 1
            return
        if changes and self.has_csr and not all(self._can_be_made(change) for change in changes):
            fix, changes = f"in a new CSR: {fix}", ()
        steps = tuple(changes)
        self.violations.append(Violation(path, code.value, rule, asked, allowed, fix, steps))
        self.checks.append(Check(path, rule, asked, allowed, Verdict.FAIL, fix, steps, code.value))

    def passed(self, path: str, rule: str, asked: str, allowed: str) -> None:
        """What was asked fits the rule."""
        self._tell(path, rule, asked, allowed, Verdict.PASS)

    def filled(self, path: str, rule: str, asked: str, allowed: str) -> None:
        """What the portal supplied fits the rule; ``asked`` says from where it came."""
        self._tell(path, rule, asked, allowed, Verdict.FILLED)

    def _tell(self, path: str, rule: str, asked: str, allowed: str, verdict: Verdict) -> None:
        self._passes += 1
        if self._passes <= MOST_TOLD:
            self.checks.append(Check(path, rule, asked, allowed, verdict))

    def note(self, warning: str) -> None:
        self.warnings.append(warning)

    def may_give_example(self) -> bool:
        """Whether one more refusal may look for a value that would pass; counts down."""
        self._examples += 1
        return self._examples <= _MOST_EXAMPLES

    def told_violations(self) -> tuple[Violation, ...]:
        """What was found, and how much more there is."""
        if not self._left_out:
            return tuple(self.violations)
        more = Violation(
            field="request",
            code=Code.TOO_MANY_VIOLATIONS.value,
            rule="limit of violations told",
            asked=f"a request with {self._left_out} violations more",
            allowed=f"{MOST_TOLD} are told",
            fix="mend these first and ask again",
        )
        return (*self.violations, more)

    def told_warnings(self) -> tuple[str, ...]:
        """What was noted, and how much more there is."""
        if len(self.warnings) <= MOST_TOLD:
            return tuple(self.warnings)
        return (*self.warnings[:MOST_TOLD], f"and {len(self.warnings) - MOST_TOLD} warnings more")

    def told_checks(self) -> tuple[Check, ...]:
        """Every rule looked at, in the order judged, and how many more there were."""
        told = tuple(self.checks)
        if self._passes > MOST_TOLD:
            asked = f"{self._passes - MOST_TOLD} values more that passed"
            told = (*told, Check("request", "limit of rules told", asked, f"{MOST_TOLD} are told", Verdict.PASS))
        if self._left_out:
            more = self.told_violations()[-1]
            told = (
                *told,
                Check(more.field, more.rule, more.asked, more.allowed, Verdict.FAIL, more.fix, (), more.code),
            )
        return told

    def _can_be_made(self, change: Change) -> bool:
        """Beside a CSR; the key algorithm there can only be left out."""
        part = change.field.partition("/")[0]
        return part not in _SAID_BY_CSR and (part != "key_algorithm" or change.op == "remove")
