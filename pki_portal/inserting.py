"""New rows of several tables at once, for the one road whose queries are counted."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import connection, models


def insert_together(*rows: models.Model) -> None:
    """Insert new rows in this order, within the caller's transaction: in one statement on PostgreSQL, else one each.

    As ``Model.save(force_insert=True)`` does, but for signals and for keys that the database makes: those stay None.
    """
    statements = _statements(connection.vendor, tuple(type(row) for row in rows))
    values = [_values(row) for row in rows]
    with connection.cursor() as cursor:
        if len(statements) == 1:
            cursor.execute(statements[0], [value for each in values for value in each])
        else:
            for statement, each in zip(statements, values, strict=True):
                cursor.execute(statement, each)
    for row in rows:
        row._state.adding = False
        row._state.db = connection.alias


def _values(row: models.Model) -> list[Any]:
    return [
        field.get_db_prep_save(field.pre_save(row, add=True), connection=connection) for field in _fields(type(row))
    ]


@cache
def _fields(model: type[models.Model]) -> Sequence["models.Field[Any, Any]"]:
    return [field for field in model._meta.local_concrete_fields if not isinstance(field, models.AutoField)]


@cache
def _statements(vendor: str, kinds: tuple[type[models.Model], ...]) -> Sequence[str]:
    inserts = [_insert(kind) for kind in kinds]
    if vendor != "postgresql" or len(inserts) == 1:
        return inserts
    # Each part sees the tables as they were, and foreign keys are looked at as the transaction ends.
    parts = ", ".join(f"part{number} AS ({insert})" for number, insert in enumerate(inserts[:-1]))
    return [f"WITH {parts} {inserts[-1]}"]


def _insert(model: type[models.Model]) -> str:
    quote = connection.ops.quote_name
    columns = ", ".join(quote(str(field.column)) for field in _fields(model))
    places = ", ".join(["%s"] * len(_fields(model)))
    return f"INSERT INTO {quote(model._meta.db_table)} ({columns}) VALUES ({places})"  # noqa: S608 - columns, no values
