"""Pages of a list by where the last one ended, not by how many rows came before: each costs what the first does."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, Self, TypeVar, cast

from django.core.exceptions import ValidationError
from django.db.models import Field, Model, Q, QuerySet

from pki_portal.storable import is_storable

M = TypeVar("M", bound=Model)

# Rows of a table that grows without bound: no more of them are counted to be told.
COUNTED_AT_MOST: Final = 10_000
# No list is longer, and no database takes a greater number.
_MOST = 2**53


class CursorMalformed(ValueError):
    """What was sent is no cursor of this list."""


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Beside which row a page is; ``position`` is how many rows stood before it when its reader went on from there."""

    is_backwards: bool
    position: int
    values: tuple[object, ...]

    def encode(self) -> str:
        """As it is sent: nothing that needs escaping in a URL."""
        told = [int(self.is_backwards), self.position, *map(_as_text, self.values)]
        return base64.urlsafe_b64encode(json.dumps(told, separators=(",", ":")).encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, fields: Sequence["Field[Any, Any]"]) -> Self:
        """Raises CursorMalformed."""
        try:
            told = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            is_backwards, position, *values = told
            read = tuple(_value(field, value) for field, value in zip(fields, values, strict=True))
        except (binascii.Error, ValueError, TypeError, RecursionError, ValidationError) as problem:
            raise CursorMalformed from problem
        if is_backwards not in (0, 1) or not isinstance(position, int) or not 0 <= position <= _MOST:
            raise CursorMalformed
        return cls(bool(is_backwards), position, read)


@dataclass(frozen=True, slots=True)
class KeysetPage(Generic[M]):
    """Some rows in order; ``next`` and ``previous`` are the cursors of the pages beside it, if there are any.

    ``position`` is how many rows came before the first, as far as its reader has seen.
    """

    rows: list[M]
    position: int
    next: str | None
    previous: str | None

    @property
    def start_index(self) -> int:
        """The number of the first row, from 1."""
        return self.position + 1

    @property
    def end_index(self) -> int:
        """The number of the last row."""
        return self.position + len(self.rows)


def keyset_page(queryset: QuerySet[M], *, size: int, cursor: str = "", offset: int = 0) -> KeysetPage[M]:
    """The page that a cursor names, of at most ``size`` rows; without one that after ``offset`` rows. One
    query, or two.

    Args:
        queryset: ordered by columns of the table itself that are never null, of which the last is unique.
        offset: all those rows are read to be left out.

    Raises:
        CursorMalformed: it is none of this list's.
    """
    order = tuple(str(name) for name in queryset.query.order_by or queryset.model._meta.ordering or ())
    names = [name.lstrip("-") for name in order]
    if not cursor:
        ordered = queryset.order_by(*order)
        if offset:
            # Of the rows that are left out nothing but the key is looked at.
            ordered = ordered.filter(pk__in=list(ordered.values_list("pk", flat=True)[offset : offset + size + 1]))
        rows = list(ordered[: size + 1])
        return _page(rows[:size], names, offset, has_next=len(rows) > size, has_previous=offset > 0)
    at = _Cursor.decode(cursor, [_field(queryset.model, name) for name in names])
    wanted = tuple(_turned(name) for name in order) if at.is_backwards else order
    rows = list(queryset.filter(_beyond(wanted, at.values)).order_by(*wanted)[: size + 1])
    has_more, rows = len(rows) > size, rows[:size]
    if not at.is_backwards:
        return _page(rows, names, at.position, has_next=has_more, has_previous=True)
    rows.reverse()
    before = max(at.position - len(rows), 0) if has_more else 0
    return _page(rows, names, before, has_next=True, has_previous=has_more)


def count_up_to(queryset: QuerySet[M], most: int) -> int:
    """How many rows there are; where there are more than ``most``, one more than that, and no more are counted."""
    return queryset.order_by()[: most + 1].count()


def _page(rows: list[M], names: Sequence[str], before: int, *, has_next: bool, has_previous: bool) -> KeysetPage[M]:
    if not rows:
        return KeysetPage(rows, before, None, None)
    first, last = (tuple(getattr(row, name) for name in names) for row in (rows[0], rows[-1]))
    return KeysetPage(
        rows=rows,
        position=before,
        next=_Cursor(False, before + len(rows), last).encode() if has_next else None,
        previous=_Cursor(True, before, first).encode() if has_previous else None,
    )


def _field(model: type[Model], name: str) -> "Field[Any, Any]":
    return cast("Field[Any, Any]", model._meta.get_field(name))


def _turned(name: str) -> str:
    return name[1:] if name.startswith("-") else f"-{name}"


def _beyond(order: Sequence[str], values: Sequence[object]) -> Q:
    """Rows that come after these values; said of the first column alone, too, which an index can begin at."""
    found, alike = Q(), Q()
    for name, value in zip(order, values, strict=True):
        column, comparison = name.lstrip("-"), "lt" if name.startswith("-") else "gt"
        found |= alike & Q(**{f"{column}__{comparison}": value})
        alike &= Q(**{column: value})
    first, comparison = order[0].lstrip("-"), "lte" if order[0].startswith("-") else "gte"
    return Q(**{f"{first}__{comparison}": values[0]}) & found


def _as_text(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat()
    return value if isinstance(value, int) else str(value)


def _value(field: "Field[Any, Any]", told: object) -> object:
    """Raises ValueError, TypeError or ValidationError."""
    kind = field.get_internal_type()
    if kind in {"BigAutoField", "AutoField"}:
        if not isinstance(told, int) or abs(told) > _MOST:
            raise ValueError
        return told
    if not isinstance(told, str) or not is_storable(told):
        raise ValueError
    if kind == "DateTimeField":
        moment = datetime.fromisoformat(told)
        if moment.tzinfo is not None:
            raise ValueError
        return moment.replace(tzinfo=UTC)
    return field.to_python(told)
