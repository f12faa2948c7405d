"""What the judges of one request have found."""

from dataclasses import dataclass, field

from pki_portal.errors import Violation
from profiles.policy.errors import Code

# More than anybody reads; a request of 1,000 bad names would be answered with half a megabyte.
MOST_TOLD = 200
# Each tries values on the whole rule, which is the dear part of a refusal.
_MOST_EXAMPLES = 20


@dataclass(slots=True)
class Findings:
    """Collected over all judges; a request is granted when no violation was found.

    Attributes:
        violations, warnings: the first ``MOST_TOLD``, for ``told_violations`` and ``told_warnings`` to complete.
    """

    violations: list[Violation] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _left_out: int = 0
    _examples: int = 0

    def refuse(self, path: str, code: Code, *, rule: str, asked: str, allowed: str, fix: str) -> None:
        # A missing validity makes a refusal of another kind: it is never left out.
        if len(self.violations) >= MOST_TOLD and code is not Code.VALIDITY_MISSING:
            self._left_out += 1
            return
        self.violations.append(Violation(field=path, code=code.value, rule=rule, asked=asked, allowed=allowed, fix=fix))

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
