"""What the judges of one request have found."""

from dataclasses import dataclass, field

from pki_portal.errors import Violation
from profiles.policy.errors import Code


@dataclass(slots=True)
class Findings:
    """Collected over all judges; a request is granted when no violation was found."""

    violations: list[Violation] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def refuse(self, path: str, code: Code, *, rule: str, asked: str, allowed: str, fix: str) -> None:
        self.violations.append(Violation(field=path, code=code.value, rule=rule, asked=asked, allowed=allowed, fix=fix))

    def note(self, warning: str) -> None:
        self.warnings.append(warning)
