"""A service's refusal, put beside the fields of the form that asked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pki_portal.errors import PortalError, Unavailable, Violation


@dataclass(frozen=True, slots=True)
class Refusal:
    """What stands above a refused form: a sentence, and the violations that belong to no field shown.

    ``is_fault``: nothing that was typed is wrong, a part of the portal does not work.
    """

    title: str
    text: str = ""
    elsewhere: tuple[Violation, ...] = ()
    is_fault: bool = False

    @property
    def status(self) -> int:
        """Of the page that shows it."""
        return 503 if self.is_fault else 422


@dataclass(slots=True)
class PlacedViolations:
    """Violations by the name of the form field that they belong to."""

    by_field: dict[str, list[Violation]] = field(default_factory=dict)
    elsewhere: list[Violation] = field(default_factory=list)


def place(violations: Sequence[Violation], field_of: Callable[[str], str | None]) -> PlacedViolations:
    """Sort violations by the form field that ``field_of`` names for their path; None is "elsewhere"."""
    placed = PlacedViolations()
    for violation in violations:
        name = field_of(violation.field)
        if name is None:
            placed.elsewhere.append(violation)
        else:
            placed.by_field.setdefault(name, []).append(violation)
    return placed


def refusal_of(error: PortalError, placed: PlacedViolations, *, title: str) -> Refusal:
    """What to say above the form: the message itself only where no violation says it better."""
    return Refusal(
        title=title,
        text="" if error.violations else error.message,
        elsewhere=tuple(placed.elsewhere),
        is_fault=isinstance(error, Unavailable),
    )
