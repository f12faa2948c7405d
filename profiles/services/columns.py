"""What templates and profiles share when a value is about to be stored: plain checks, and changes as audit data."""

from collections.abc import Mapping
from typing import TypeVar

from django.db.models import Model

from pki_portal.audit.services import JSON
from pki_portal.errors import Violation
from pki_portal.storable import is_storable

DESCRIPTION_MAX_LENGTH = 1000

M = TypeVar("M", bound=Model)


def text_violations(*, field: str, value: object, max_length: int, min_length: int = 0) -> list[Violation]:
    """What is wrong with a line of text: its type, its length, characters that no database stores."""
    if not isinstance(value, str):
        return [
            shape_violation(
                field=field, code="invalid_type", asked=type(value).__name__, allowed="text", fix="Give text."
            )
        ]
    if not is_storable(value):
        return [
            shape_violation(
                field=field,
                code="invalid_string",
                asked="NUL or half of a surrogate pair",
                allowed="text without them",
                fix="Leave these characters out.",
            )
        ]
    if not min_length <= len(value) <= max_length:
        return [
            shape_violation(
                field=field,
                code="too_small" if len(value) < min_length else "too_big",
                asked=f"{len(value)} characters",
                allowed=f"{min_length} to {max_length} characters",
                fix="Give at least one character."
                if len(value) < min_length
                else f"Shorten it to {max_length} characters.",
            )
        ]
    return []


def shape_violation(*, field: str, code: str, asked: str, allowed: str, fix: str) -> Violation:
    """A violation of what the field itself may hold, whatever the others say."""
    return Violation(field=field, code=code, rule="the form of the value", asked=asked, allowed=allowed, fix=fix)


def apply(row: M, values: Mapping[str, object]) -> dict[str, JSON]:
    """Set the columns that differ and save those alone; return what changed as ``{column: {before, after}}``.

    Values are what JSON can hold.
    """
    changed: dict[str, JSON] = {}
    for column, after in values.items():
        before = getattr(row, column)
        if before != after:
            setattr(row, column, after)
            changed[column] = {"before": before, "after": after}  # type: ignore[dict-item]
    if changed:
        touched = ["updated_at"] if hasattr(row, "updated_at") else []
        row.save(update_fields=[*changed, *touched])
    return changed
