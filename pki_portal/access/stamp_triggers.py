"""The triggers that change the stamps: on every table that something remembered is read from.

They are made after each migration and not by one: SQLite loses a table's triggers whenever a migration alters it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
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


def make_stamps(*, using: str, app_config: AppConfig, plan: Sequence[object] | None = None, **_: object) -> None:
    """After migrations of an app: its triggers where they lack, and new stamps where there was anything to do at all,
    for nobody knows what was changed meanwhile. ``plan`` None: not migrated, but emptied.
    """
    if app_config.label not in _watched:
        return
    connection = connections[using]
    with transaction.atomic(using=using), connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
        if STAMPS not in tables:
            return
        make, count = _BY_VENDOR[connection.vendor]
        cursor.execute(count)
        before = cursor.fetchone()
        make(cursor, [each for each in _watched[app_config.label] if each.table in tables])
        cursor.execute(count)
        is_changed = plan is None or bool(plan) or cursor.fetchone() != before
        new = _NEW[connection.vendor]
        then = "UPDATE SET access = excluded.access, rules = excluded.rules" if is_changed else "NOTHING"
        cursor.execute(
            f"INSERT INTO {STAMPS} (id, access, rules) VALUES ({Stamp.ONLY}, {new}, {new})"  # noqa: S608 - constants
            f" ON CONFLICT (id) DO {then}"
        )


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


# How triggers are made there, and how they are counted.
_BY_VENDOR: Final[Mapping[str, tuple[Callable[[CursorWrapper, Iterable[_Watched]], None], str]]] = {
    "sqlite": (
        _make_on_sqlite,
        "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'stamped@_%' ESCAPE '@'",
    ),
    "postgresql": (
        _make_on_postgresql,
        "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'stamped@_%' ESCAPE '@'",
    ),
}


def connect() -> None:
    """Make them after every migration from now on."""
    post_migrate.connect(make_stamps, dispatch_uid="make_stamps")
