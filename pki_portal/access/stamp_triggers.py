"""The triggers that change the stamps: on every table that something remembered is read from.

They are made after each migration and not by one: SQLite loses a table's triggers whenever a migration alters it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.apps import AppConfig
from django.db import connections, models, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models.signals import post_migrate

from pki_portal.access.models import Stamp
from pki_portal.access.remembering import STAMPS, TRIGGER, Scope

_EVENTS: Final = ("INSERT", "UPDATE", "DELETE")
_NEW: Final[Mapping[str, str]] = {
    "sqlite": "lower(hex(randomblob(16)))",
    "postgresql": "replace(gen_random_uuid()::text, '-', '')",
}


@dataclass(frozen=True, slots=True)
class _Watched:
    """A table, and which of its changes change the stamp of ``scope``; ``events`` as SQL spells them."""

    scope: Scope
    table: str
    events: tuple[str, ...]

    @property
    def trigger(self) -> str:
        return TRIGGER.format(scope=self.scope)


_watched: Final[dict[str, list[_Watched]]] = {}


def watch(
    scope: Scope, model: type[models.Model], *, fields: Sequence[str] = (), events: Sequence[str] = _EVENTS
) -> None:
    """Have the stamp of ``scope`` change with every row of ``model`` that is inserted, updated or deleted.

    A later change of these arguments needs a migration that drops the table's trigger.

    Args:
        fields: of an update only one that names one of these counts; any, if there are none.
    """
    columns = ", ".join(str(each.column) for each in model._meta.concrete_fields if each.name in fields)
    spelled = tuple(f"UPDATE OF {columns}" if event == "UPDATE" and columns else event for event in events)
    _watched.setdefault(model._meta.app_label, []).append(_Watched(scope, model._meta.db_table, spelled))


def make_stamps(*, using: str, app_config: AppConfig, **_: object) -> None:
    """After migrations of an app: its triggers where they lack, and new stamps, for nobody knows what was migrated."""
    if app_config.label not in _watched:
        return
    connection = connections[using]
    with transaction.atomic(using=using), connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
        if STAMPS not in tables:
            return
        new = _NEW[connection.vendor]
        cursor.execute(
            f"INSERT INTO {STAMPS} (id, access, rules) VALUES ({Stamp.ONLY}, {new}, {new})"  # noqa: S608 - constants
            " ON CONFLICT (id) DO UPDATE SET access = excluded.access, rules = excluded.rules"
        )
        wanted = [each for each in _watched[app_config.label] if each.table in tables]
        if wanted:
            (_make_on_sqlite if connection.vendor == "sqlite" else _make_on_postgresql)(cursor, wanted)


def _change(scope: Scope, new: str) -> str:
    return f"UPDATE {STAMPS} SET {scope} = {new} WHERE id = {Stamp.ONLY}"  # noqa: S608 - constants


def _make_on_sqlite(cursor: CursorWrapper, wanted: Iterable[_Watched]) -> None:
    for each in wanted:
        for event in each.events:
            cursor.execute(
                f"CREATE TRIGGER IF NOT EXISTS {each.trigger}_{each.table}_{event.split()[0].lower()}"
                f" AFTER {event} ON {each.table} BEGIN {_change(each.scope, _NEW['sqlite'])}; END"
            )


def _make_on_postgresql(cursor: CursorWrapper, wanted: Iterable[_Watched]) -> None:
    """Deferred, so that whoever changes something holds the stamps' one row no longer than its commit takes."""
    cursor.execute("SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE tgname LIKE 'stamped\\_%%'")
    there = set(cursor.fetchall())
    for scope in Scope:
        cursor.execute(
            f"CREATE OR REPLACE FUNCTION {TRIGGER.format(scope=scope)}() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN {_change(scope, _NEW['postgresql'])}; RETURN NULL; END $$"
        )
    for each in wanted:
        if (each.table, each.trigger) not in there:
            cursor.execute(
                f"CREATE TRIGGER {each.trigger}_truncate AFTER TRUNCATE ON {each.table}"
                f" EXECUTE FUNCTION {each.trigger}()"
            )
            cursor.execute(
                f"CREATE CONSTRAINT TRIGGER {each.trigger} AFTER {' OR '.join(each.events)} ON {each.table}"
                f" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {each.trigger}()"
            )


def connect() -> None:
    """Make them after every migration from now on."""
    post_migrate.connect(make_stamps, dispatch_uid="make_stamps")
