"""Queries of the ORM whose SQL is made once, for roads that are taken so often that it counts.

Django makes the SQL of a query anew each time, which takes longer than the database takes to answer a small one.
"""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property, partial
from secrets import randbelow
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

from django.db import connection, connections
from django.db.models import Model, QuerySet
from django.db.models.sql.compiler import SQLCompiler

Row_co = TypeVar("Row_co", covariant=True)
Value = str | int | UUID


@dataclass(frozen=True, slots=True)
class _Argument:
    """Stands for the value of an argument among the parameters of a statement."""

    name: str


@dataclass(frozen=True, slots=True)
class _Compiled:
    queryset: QuerySet[Any, Any]
    # Set up: it knows the columns, and what becomes of them.
    compiler: SQLCompiler
    sql: str
    parameters: Sequence[Any]


class CompiledQuery(Generic[Row_co]):
    """A query that has the same SQL whatever its arguments are: texts, numbers and UUIDs, never None.

    Args:
        make: gives the query set, without prefetching, for arguments of these names; called once.
        **types: of the arguments, ``str``, ``int`` or ``UUID``.
    """

    def __init__(self, make: Callable[..., QuerySet[Model, Row_co]], **types: type[Value]) -> None:
        self._make = make
        self._types = types

    def rows(self, **arguments: Value) -> list[Row_co]:
        """What the query set of these arguments holds. One query."""
        compiled = self._compiled
        values = {name: _parameter(value) for name, value in arguments.items()}
        parameters = [values[each.name] if isinstance(each, _Argument) else each for each in compiled.parameters]
        # Copies, for all requests share what was compiled; the wrapper of the connection is each thread's own.
        compiler = copy(compiled.compiler)
        compiler.connection = connections[connection.alias]
        compiler.execute_sql = partial(_executed, compiled.sql, parameters)  # type: ignore[assignment, method-assign]
        queryset = compiled.queryset._chain()  # type: ignore[attr-defined]
        queryset.query.get_compiler = lambda *args, **options: compiler
        return list(queryset._iterable_class(queryset))

    @cached_property
    def _compiled(self) -> _Compiled:
        examples = {name: _example(of) for name, of in self._types.items()}
        places = {_parameter(value): _Argument(name) for name, value in examples.items()}
        queryset = self._make(**examples)
        compiler = queryset.query.get_compiler(connection=connection)
        sql, parameters = compiler.as_sql()
        return _Compiled(queryset, compiler, sql, [places.get(each, each) for each in parameters])


def _example(of: type[Value]) -> Value:
    """A value that no constant of a statement equals."""
    if of is int:
        return 2**30 + randbelow(2**30)
    return uuid4() if of is UUID else uuid4().hex


def _parameter(value: Value) -> Value:
    """As the database takes it."""
    return value.hex if isinstance(value, UUID) and not connection.features.has_native_uuid_field else value


def _executed(sql: str, parameters: Sequence[Any], *args: Any, **options: Any) -> list[list[Any]]:
    """As ``SQLCompiler.execute_sql`` gives rows: in chunks, here one of all."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [cursor.fetchall()]
