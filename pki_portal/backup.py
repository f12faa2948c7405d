"""Backups: every row of the portal as it was at one moment, in a file that either database can be made from.

The file is gzip of lines: a header, then each model with its columns followed by its rows, then the count of rows and
the SHA-256 of all that stands before. It is written while the portal works, from one snapshot of the database. It holds
no master key; what it holds of private keys is sealed.
"""

import gzip
import hashlib
import json
import os
import secrets
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import DatabaseError, connection, models, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from pki_portal.rows import column_value, python_value

FORMAT: Final = "pki-portal-backup-1"
BATCH: Final = 500
# Sessions and tokens would give back what was taken from somebody since, as would links that were used; hints of
# background work, answers of OCSP and tallies are made anew.
LEFT_OUT: Final = frozenset(
    {
        "sessions.session",
        "access.accesstoken",
        "access.setpasswordlink",
        "access.stamp",
        "certificates.ocspresponse",
        "certificates.tally",
        "django_tasks_database.dbtaskresult",
    }
)
# Filled by migrations and by the first worker: rows in them are no reason to keep a database.
_FILLED_BY_ITSELF: Final = frozenset({"contenttypes", "auth", "background"})


class BackupRefused(Exception):
    """A backup that cannot be made or restored; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a backup holds."""

    made_at: str
    rows: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.rows.values())


# --- Making one -------------------------------------------------------------------------------------------------------


def make_backup(path: Path) -> Summary:
    """Write a backup to ``path``, which appears in one step, of mode 0600, and on the disk.

    Raises:
        BackupRefused: the database has not every migration, or the folder is not there.
        OSError, DatabaseError: it cannot be written or read; ``path`` is as it was.
    """
    if not (parent := path.absolute().parent).is_dir():
        raise BackupRefused(
            f"There is no folder {parent}. Make it, for whoever makes backups alone: mkdir -m 700 {parent}"
        )
    migrations = _applied_migrations()
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file, _snapshot():
            summary = _write(file, migrations)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.absolute().parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return summary


def _applied_migrations() -> list[list[str]]:
    """Those of the applications whose rows are kept, all of which must be there."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise BackupRefused("The database has not every migration of this version: run manage.py migrate first.")
    labels = {model._meta.app_label for model in _models(apps)}
    return sorted([app, name] for app, name in executor.loader.applied_migrations if app in labels)


@contextmanager
def _snapshot() -> Iterator[None]:
    """Read the database as it is now, whatever is written meanwhile, and keep no writer waiting."""
    if connection.vendor == "postgresql":
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
        return
    with connection.cursor() as cursor:  # not atomic(): it would take the lock of writers
        cursor.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


def _write(file: IO[bytes], migrations: list[list[str]]) -> Summary:
    digest, rows = hashlib.sha256(), dict[str, int]()
    made_at = timezone.now().isoformat()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=3, filename="", mtime=0) as packed:

        def put(value: object) -> None:
            line = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
            digest.update(line)
            packed.write(line)

        put({"format": FORMAT, "madeAt": made_at, "portal": settings.VERSION, "migrations": migrations})
        for model in _models(apps):
            fields = model._meta.concrete_fields
            put({"model": model._meta.label_lower, "columns": [field.attname for field in fields]})
            count = 0
            found = model._base_manager.order_by("pk").values_list(*(field.attname for field in fields))
            for values in found.iterator(chunk_size=BATCH):
                put([column_value(field, value) for field, value in zip(fields, values, strict=True)])
                count += 1
            rows[model._meta.label_lower] = count
        end = {"rows": sum(rows.values()), "sha256": digest.hexdigest()}
        put(end)
    return Summary(made_at=made_at, rows=rows)


def _models(registry: Any) -> list[type[models.Model]]:
    found = (
        model
        for model in registry.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy and model._meta.label_lower not in LEFT_OUT
    )
    return sorted(found, key=lambda model: str(model._meta.label_lower))


# --- Restoring one ----------------------------------------------------------------------------------------------------


def restore_backup(path: Path, *, is_forced: bool) -> Summary:
    """Make the configured database from a backup; the portal must not be running.

    The whole file is verified before anything is touched. Tables are made as they were when the backup was made, filled
    in one transaction, and brought to this version. ``is_forced``: what the database holds is thrown away.

    Raises:
        BackupRefused: it is not whole, not a backup, or of a later version; or the database is not empty.
        OSError, DatabaseError: it cannot be read or written; the database may then be empty.
    """
    migrations = _verified(path)
    executor = MigrationExecutor(connection)
    _refuse_foreign(migrations, executor)
    if not is_forced and (table := _table_with_rows()):
        raise BackupRefused(
            f"The database is not empty ({table} has rows). Restore into an empty one, or throw away what it holds with"
            " --force."
        )
    _drop_tables()
    executor.loader.build_graph()
    targets = _leaves(migrations, executor)
    state = executor.migrate(targets)
    try:
        with transaction.atomic(durable=True):
            summary = _fill(path, state.apps)
    except (DatabaseError, LookupError, ValueError, TypeError) as problem:
        raise BackupRefused(f"The rows do not fit, and the database is left empty: {problem}") from problem
    call_command("migrate", interactive=False, verbosity=0)
    call_command("createcachetable", verbosity=0)
    return summary


def _verified(path: Path) -> list[list[str]]:
    """The migrations that a backup was made with, once all of it was read."""
    digest, rows, header, last = hashlib.sha256(), 0, b"", b""
    try:
        with gzip.open(path, "rb") as file:
            header = file.readline()
            digest.update(header)
            for line in file:
                if last:
                    digest.update(last)
                    rows += last.startswith(b"[")
                last = line
        told, end = json.loads(header), json.loads(last)
    except (EOFError, gzip.BadGzipFile, zlib.error, ValueError) as problem:
        raise BackupRefused(f"{path} is no backup of the portal, or not all of one: {problem}") from problem
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise BackupRefused(f"{path} is no backup that this version knows.")
    if end != {"rows": rows, "sha256": digest.hexdigest()}:
        raise BackupRefused(f"{path} was cut off or altered: its checksum is another one.")
    migrations: list[list[str]] = told["migrations"]
    return migrations


def _refuse_foreign(migrations: list[list[str]], executor: MigrationExecutor) -> None:
    unknown = [f"{app}.{name}" for app, name in migrations if (app, name) not in executor.loader.graph.nodes]
    if unknown:
        raise BackupRefused(
            f"The backup is of another or a later version of the portal, which has {', '.join(unknown[:5])}: restore it"
            " with that version."
        )


def _table_with_rows() -> str:
    """The name of a table with rows that somebody made, or nothing."""
    present = set(connection.introspection.table_names())
    for model in _models(apps):
        table = model._meta.db_table
        if table not in present or model._meta.app_label in _FILLED_BY_ITSELF:
            continue
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM {connection.ops.quote_name(table)} LIMIT 1")  # noqa: S608 - our own table
            if cursor.fetchone():
                return str(table)
    return ""


def _drop_tables() -> None:
    """The portal's, and no other application's that shares the database."""
    ours = {model._meta.db_table for model in apps.get_models(include_auto_created=True)}
    ours |= {"django_migrations", settings.CACHES["default"]["LOCATION"]}
    tables = [connection.ops.quote_name(table) for table in connection.introspection.table_names() if table in ours]
    if not tables:
        return
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"DROP TABLE {', '.join(tables)} CASCADE")
            return
        cursor.execute("PRAGMA foreign_keys=OFF")
        try:
            with transaction.atomic(durable=True):
                for table in tables:
                    cursor.execute(f"DROP TABLE {table}")
        finally:
            cursor.execute("PRAGMA foreign_keys=ON")


def _leaves(migrations: list[list[str]], executor: MigrationExecutor) -> list[tuple[str, str]]:
    """The last migrations of a set that holds whatever each of its members needs."""
    nodes = {(app, name) for app, name in migrations}
    needed = {
        (parent.key[0], parent.key[1])
        for node in nodes
        for parent in executor.loader.graph.node_map[node].parents
        if parent.key in nodes
    }
    return sorted(nodes - needed)


def _fill(path: Path, registry: Any) -> Summary:
    """Replace every row, in the caller's transaction; links are checked at its end."""
    by_label = {model._meta.label_lower: model for model in _models(registry)}
    for model in by_label.values():
        model._base_manager.all()._raw_delete(connection.alias)  # what migrations filled in
    rows: dict[str, int] = {}
    with gzip.open(path, "rb") as file:
        made_at = json.loads(file.readline())["madeAt"]
        for label, columns, values in _tables(file):
            if label not in by_label:
                raise BackupRefused(f"There is no table for {label}.")
            rows[label] = _insert(by_label[label], columns, values)
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), list(by_label.values())):
            cursor.execute(statement)
    return Summary(made_at=made_at, rows=rows)


def _tables(file: gzip.GzipFile) -> Iterator[tuple[str, list[str], Iterator[list[Any]]]]:
    """Each model with its columns and rows; the rows of one are to be taken before the next is asked for."""
    line = json.loads(file.readline())
    while "model" in line:
        following: list[Any] = []

        def values(following: list[Any] = following) -> Iterator[list[Any]]:
            while isinstance(row := json.loads(file.readline()), list):
                yield row
            following.append(row)

        yield line["model"], line["columns"], values()
        [line] = following


def _insert(model: type[models.Model], columns: Sequence[str], rows: Iterator[list[Any]]) -> int:
    fields = {field.attname: field for field in model._meta.concrete_fields}
    for field in fields.values():
        if isinstance(field, models.DateTimeField):
            field.auto_now = field.auto_now_add = False  # of a class that exists for this restoration alone
    known = [fields[column] for column in columns]
    count = 0
    while some := list(islice(rows, BATCH)):
        model._base_manager.bulk_create(
            model(**{field.attname: python_value(field, value) for field, value in zip(known, row, strict=True)})
            for row in some
        )
        count += len(some)
    return count
