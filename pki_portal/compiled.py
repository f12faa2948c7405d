"""Queries of the ORM whose SQL is made once, for roads that are taken so often that it counts.

Django makes the SQL of a query anew each time, which takes longer than the database takes to answer a small one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

from django.db import connection, models


@dataclass(frozen=True, slots=True)
class _Argument:
    """Stands for the value of an argument among the parameters of a statement."""

    name: str


@dataclass(frozen=True, slots=True)
class _Compiled:
    sql: str
    parameters: Sequence[Any]
    # How values of a row become Python's, by their position.
    converters: Mapping[int, tuple[Sequence[Callable[..., Any]], Any]]


class CompiledQuery:
    """A query that has the same SQL whatever its arguments are: texts and UUIDs, never None.

    Args:
        make: gives the query set, one of ``values_list``, for arguments of these names; called once.
        **types: of the arguments, ``str`` or ``UUID``.
    """

    def __init__(
        self, make: Callable[..., models.QuerySet[Any, tuple[Any, ...]]], **types: type[str] | type[UUID]
    ) -> None:
        self._make = make
        self._types = types

    def first(self, **arguments: str | UUID) -> tuple[Any, ...] | None:
        """The first row, in the order of the query set, or None. One query."""
        compiled = self._compiled
        values = {name: _parameter(value) for name, value in arguments.items()}
        with connection.cursor() as cursor:
            cursor.execute(
                compiled.sql,
                [values[each.name] if isinstance(each, _Argument) else each for each in compiled.parameters],
            )
            row = cursor.fetchone()
        if row is None:
            return None
        return tuple(
            _converted(value, *compiled.converters[position]) if position in compiled.converters else value
            for position, value in enumerate(row)
        )

    @cached_property
    def _compiled(self) -> _Compiled:
        # Values that no constant of a statement equals.
        examples = {name: uuid4() if of is UUID else uuid4().hex for name, of in self._types.items()}
        places = {_parameter(value): _Argument(name) for name, value in examples.items()}
        compiler = self._make(**examples)[:1].query.get_compiler(connection=connection)
        sql, parameters = compiler.as_sql()
        return _Compiled(
            sql=sql,
            parameters=[places.get(each, each) for each in parameters],
            converters=compiler.get_converters([expression for expression, *_ in compiler.select]),
        )


def _parameter(value: str | UUID) -> str | UUID:
    """As the database takes it."""
    return value.hex if isinstance(value, UUID) and not connection.features.has_native_uuid_field else value


def _converted(value: Any, converters: Sequence[Callable[..., Any]], expression: Any) -> Any:
    for convert in converters:
        value = convert(value, expression, connection)
    return value
