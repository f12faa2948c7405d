"""New rows of several tables at once, for the one road whose queries are counted."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from django.db import connection, models
from django.db.backends.base.base import BaseDatabaseWrapper


def insert_together(rows: Iterable[models.Model]) -> None:
    """Insert new rows in this order, within the caller's transaction.

    As ``Model.save(force_insert=True)`` does, but for signals and for keys that the database makes: those stay None.
    One statement for all on PostgreSQL, however many they are; else one for each run of rows of one model.
    """
    runs = [list(run) for _, run in groupby(rows, key=type)]
    models_of_runs = tuple(type(run[0]) for run in runs)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_statement(models_of_runs), [_document(run) for run in runs])
        else:
            for model, run in zip(models_of_runs, runs, strict=True):
                cursor.executemany(_insert(model), [_values(row, cursor.db) for row in run])
    for run in runs:
        for row in run:
            row._state.adding = False
            row._state.db = connection.alias


@cache
def _fields(model: type[models.Model]) -> Sequence["models.Field[Any, Any]"]:
    return [field for field in model._meta.local_concrete_fields if not isinstance(field, models.AutoField)]


@cache
def _filling(model: type[models.Model]) -> Sequence["models.Field[Any, Any]"]:
    """Fields that fill themselves in as they are stored: times."""
    return [
        field for field in _fields(model) if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
    ]


def _complete(row: models.Model) -> Mapping[str, Any]:
    """The row's values by the names of their attributes. Nothing of a new row is deferred."""
    for field in _filling(type(row)):
        field.pre_save(row, add=True)
    return row.__dict__


@cache
def _columns(model: type[models.Model]) -> str:
    return ", ".join(connection.ops.quote_name(str(field.column)) for field in _fields(model))


# --- PostgreSQL: a run of rows is one JSON array. Its values are a hundred parameters fewer for each row, which is less
# --- work on both sides.


@cache
def _statement(models_of_runs: Sequence[type[models.Model]]) -> str:
    inserts = [_insert_from_json(model) for model in models_of_runs]
    # Each part sees the tables as they were, and foreign keys are looked at as the transaction ends.
    parts = ", ".join(f"part{number} AS ({insert})" for number, insert in enumerate(inserts[:-1]))
    return f"WITH {parts} {inserts[-1]}" if parts else inserts[-1]


def _insert_from_json(model: type[models.Model]) -> str:
    table, columns = connection.ops.quote_name(model._meta.db_table), _columns(model)
    rows = f"jsonb_populate_recordset(NULL::{table}, %s)"
    return f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {rows}"  # noqa: S608 - columns, no values


def _document(run: Iterable[models.Model]) -> str:
    return _JSON.encode([_json_row(row) for row in run])


def _json_row(row: models.Model) -> dict[str, Any]:
    values = _complete(row)
    return {str(field.column): values[field.attname] for field in _fields(type(row))}


def _json_value(value: object) -> str:
    """As the input functions of PostgreSQL's types read it."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    raise TypeError(f"no value of a row: {type(value).__name__}")


_JSON: Final = json.JSONEncoder(default=_json_value, separators=(",", ":"))


# --- Others ---------------------------------------------------------------------------------------------------------


@cache
def _insert(model: type[models.Model]) -> str:
    places = ", ".join(["%s"] * len(_fields(model)))
    table = connection.ops.quote_name(model._meta.db_table)
    return f"INSERT INTO {table} ({_columns(model)}) VALUES ({places})"  # noqa: S608 - columns, no values


# Classes whose plain values go into the database as they stand, which is most of them.
_PLAIN_FIELDS: Final = (models.CharField, models.TextField, models.IntegerField, models.BooleanField)
_PLAIN_VALUES: Final = frozenset({str, int, bool, type(None)})


@cache
def _preparing(model: type[models.Model]) -> Sequence[tuple["models.Field[Any, Any]", bool]]:
    """The fields, each with whether its plain values need no preparing."""
    return [(field, isinstance(field, _PLAIN_FIELDS)) for field in _fields(model)]


def _values(row: models.Model, database: BaseDatabaseWrapper) -> list[Any]:
    values = _complete(row)
    return [
        value
        if is_plain and type(value := values[field.attname]) in _PLAIN_VALUES
        else field.get_db_prep_save(values[field.attname], connection=database)
        for field, is_plain in _preparing(type(row))
    ]
