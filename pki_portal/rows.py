"""Rows as JSON values, for what is kept outside the database; the same from either database."""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from django.db import models

_PLAIN: Final = frozenset({str, int, bool, float, type(None)})


def bytes_value(value: bytes | memoryview) -> str:
    """Bytes as JSON: base64."""
    return b64encode(value).decode("ascii")


def column_value(field: "models.Field[Any, Any]", value: Any) -> Any:
    """The value of one column as JSON; :func:`python_value` is the way back."""
    if type(value) in _PLAIN or isinstance(field, models.JSONField):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(field, models.BinaryField):
        return bytes_value(value)
    if isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"no JSON for {type(value).__name__} in {field}")


def python_value(field: "models.Field[Any, Any]", value: Any) -> Any:
    """What a model's attribute holds for what :func:`column_value` made. Raises what reading another value raises."""
    if value is None or isinstance(field, models.JSONField):
        return value
    if isinstance(field, models.BinaryField):
        return b64decode(value, validate=True)
    return field.to_python(value)


def row_values(row: models.Model, *, leaving_out: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Every column of a row by its attribute's name, links as ids."""
    return {
        name: value if type(value := getattr(row, name)) in _PLAIN else column_value(field, value)
        for name, field in _columns(type(row))
        if name not in leaving_out
    }


@cache
def _columns(model: type[models.Model]) -> Sequence[tuple[str, "models.Field[Any, Any]"]]:
    return [(field.attname, field) for field in model._meta.concrete_fields]
