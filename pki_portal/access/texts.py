"""Texts fit their columns: SQLite takes any length, PostgreSQL does not, and neither takes every character."""

from pki_portal.errors import Invalid, Violation
from pki_portal.storable import is_storable

NAME_MAX_LENGTH = 255
DESCRIPTION_MAX_LENGTH = 1000
SECRET_DESCRIPTION_MAX_LENGTH = 255


def check_name(name: str) -> None:
    """Return if ``name`` can be that of a project or an identity. Raises Invalid."""
    _check(field="name", text=name, shortest=1, longest=NAME_MAX_LENGTH)


def check_description(description: str, *, longest: int = DESCRIPTION_MAX_LENGTH) -> None:
    """Return if ``description`` can be stored. Raises Invalid."""
    _check(field="description", text=description, shortest=0, longest=longest)


def _check(*, field: str, text: str, shortest: int, longest: int) -> None:
    if is_storable(text) and shortest <= len(text.strip()) and len(text) <= longest:
        return
    allowed = f"{shortest} to {longest} characters, without NUL"
    raise Invalid(
        f"This {field} cannot be stored: {allowed} can.",
        violations=[
            Violation(
                field=field,
                code="invalid_text",
                rule=f"the length of a {field}",
                asked=text[:100],
                allowed=allowed,
                fix=f"Use {allowed}.",
            )
        ],
    )
