"""Counting certificates and requests by triggers, so that no list has to count rows; and reading what they counted.

Triggers are made after each migration and not by one: SQLite loses a table's triggers whenever a migration alters it.
Where one was missing, everything is counted anew, while nobody else can write.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from django.apps import AppConfig
from django.db import connections, models, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models.signals import post_migrate

from certificates.models import Certificate, CertificateRequest, Tally
from certificates.models.certificate import CertificateStatus
from certificates.models.request import RequestStatus
from certificates.models.tally import NO_PROFILE, TallyKind
from certificates.querysets import CertificateFilters, RequestFilters, StatusFilter

# --- Reading ----------------------------------------------------------------------------------------------------------


_ALL: Final = CertificateFilters()


@dataclass(frozen=True, slots=True)
class StatusCounts:
    """How many certificates are in each state."""

    active: int
    expired: int
    revoked: int


def count_certificates(*, project_id: UUID, filters: CertificateFilters, now: datetime) -> int:
    """How many certificates of the project have the status, the source and a profile of ``filters``, whatever else
    those say. Two queries at most, of which none grows with the number of certificates.
    """
    if filters.status is None:
        return _sum(_certificate_tallies(project_id, filters))
    if filters.status is StatusFilter.REVOKED:
        return _sum(_certificate_tallies(project_id, filters).filter(status=CertificateStatus.REVOKED))
    counts = count_by_status(project_id=project_id, filters=filters, now=now)
    return counts.active if filters.status is StatusFilter.ACTIVE else counts.expired


def count_by_status(*, project_id: UUID, filters: CertificateFilters = _ALL, now: datetime) -> StatusCounts:
    """The certificates with the source and a profile of ``filters`` by their state at ``now``. Two queries."""
    ending = Certificate.objects.filter(project=project_id, status=CertificateStatus.ACTIVE).order_by()
    if filters.source is not None:
        ending = ending.filter(source=filters.source)
    if filters.profile_ids:
        ending = ending.filter(profile__in=filters.profile_ids)
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    is_active = models.Q(status=CertificateStatus.ACTIVE)
    found = _certificate_tallies(project_id, filters).aggregate(
        not_revoked=models.Sum("count", filter=is_active, default=0),
        ended_before=models.Sum("count", filter=is_active & models.Q(last_day__lt=midnight.date()), default=0),
        revoked=models.Sum("count", filter=models.Q(status=CertificateStatus.REVOKED), default=0),
    )
    # Those of one day alone; the index by project and end finds them.
    ended_today = ending.filter(not_after__gte=midnight, not_after__lte=now).count()
    expired = found["ended_before"] + ended_today
    return StatusCounts(active=found["not_revoked"] - expired, expired=expired, revoked=found["revoked"])


def count_requests(*, project_id: UUID, filters: RequestFilters) -> int:
    """How many requests of the project have the status and a profile of ``filters``, whatever else those say. One
    query.
    """
    wanted = models.Q(kind=TallyKind.REQUEST)
    if filters.status is not None:
        wanted &= models.Q(status=filters.status)
    if filters.status in {None, RequestStatus.ISSUED}:
        wanted |= models.Q(kind=TallyKind.ISSUED)
    return _sum(_of_profiles(Tally.objects.filter(wanted, project_id=project_id), filters.profile_ids))


def _certificate_tallies(project_id: UUID, filters: CertificateFilters) -> models.QuerySet[Tally]:
    kinds = (TallyKind.ISSUED, TallyKind.IMPORTED) if filters.source is None else (filters.source.value,)
    return _of_profiles(Tally.objects.filter(project_id=project_id, kind__in=kinds), filters.profile_ids)


def _of_profiles(tallies: models.QuerySet[Tally], profile_ids: tuple[UUID, ...]) -> models.QuerySet[Tally]:
    return tallies.filter(profile_id__in=profile_ids) if profile_ids else tallies


def _sum(tallies: models.QuerySet[Tally]) -> int:
    found: int = tallies.aggregate(total=models.Sum("count", default=0))["total"]
    return found


# --- Counting ---------------------------------------------------------------------------------------------------------

_TALLIES: Final = Tally._meta.db_table
_CERTIFICATES: Final = Certificate._meta.db_table
_REQUESTS: Final = CertificateRequest._meta.db_table
_KEY: Final = "project_id, kind, profile_id, status, last_day, slot"
# On PostgreSQL an advisory lock stands for each slot, a pair of this number and the slot's.
_LOCKS: Final = 20_117
_LAST_SLOT: Final = 63
# The six columns of a row's tally, without the slot, as each database writes them; {row} is its alias.
_UNKNOWN: Final = {"sqlite": f"'{NO_PROFILE.hex}'", "postgresql": f"'{NO_PROFILE}'::uuid"}
_LAST_DAY: Final = {
    "sqlite": "substr({row}.not_after, 1, 10)",
    "postgresql": "({row}.not_after AT TIME ZONE 'UTC')::date",
}
_NO_DAY: Final = {"sqlite": "'1970-01-01'", "postgresql": "'1970-01-01'::date"}
_HAS_NO_CERTIFICATE: Final = "NOT ({row}.status = 'issued' AND {row}.certificate_deleted_at IS NULL)"


def _of_certificate(row: str, vendor: str) -> str:
    day = _LAST_DAY[vendor].format(row=row)
    return f"{row}.project_id, {row}.source, coalesce({row}.profile_id, {_UNKNOWN[vendor]}), {row}.status, {day}"


def _of_request(row: str, vendor: str) -> str:
    profile = f"coalesce({row}.profile_id, {_UNKNOWN[vendor]})"
    return f"{row}.project_id, '{TallyKind.REQUEST.value}', {profile}, {row}.status, {_NO_DAY[vendor]}"


def _added(values: str) -> str:
    """The statement that counts what ``values``, a VALUES or SELECT, holds."""
    return (
        f"INSERT INTO {_TALLIES} ({_KEY}, count) {values}"
        f" ON CONFLICT ({_KEY}) DO UPDATE SET count = {_TALLIES}.count + excluded.count"
    )


def make_tallies(*, using: str, app_config: AppConfig, **_: object) -> None:
    """After migrations of certificates: the triggers; and all counts, where one was missing."""
    connection = connections[using]
    if app_config.label != Tally._meta.app_label:
        return
    with transaction.atomic(using=using), connection.cursor() as cursor:
        if not {_TALLIES, _CERTIFICATES, _REQUESTS} <= set(connection.introspection.table_names(cursor)):
            return  # migrated back to a time before them
        make = _make_on_sqlite if connection.vendor == "sqlite" else _make_on_postgresql
        if not make(cursor):
            _count_all(cursor, connection.vendor)


def connect() -> None:
    """Make them after every migration from now on."""
    post_migrate.connect(make_tallies, dispatch_uid="make_tallies")


def _count_all(cursor: CursorWrapper, vendor: str) -> None:
    """Nobody else writes meanwhile: whoever made a trigger has locked the tables."""
    certificates = f"SELECT {_of_certificate('each', vendor)}, 0, count(*) FROM {_CERTIFICATES} each"  # noqa: S608 - constants
    requests = f"SELECT {_of_request('each', vendor)}, 0, count(*) FROM {_REQUESTS} each"  # noqa: S608 - constants
    requests += f" WHERE {_HAS_NO_CERTIFICATE.format(row='each')}"
    cursor.execute(f"DELETE FROM {_TALLIES}")  # noqa: S608 - constants
    for counted in (certificates, requests):
        cursor.execute(f"INSERT INTO {_TALLIES} ({_KEY}, count) {counted} GROUP BY 1, 2, 3, 4, 5")


def _make_on_sqlite(cursor: CursorWrapper) -> bool:
    """Whether none was missing. There is one writer at a time, and so one slot."""
    make = "CREATE TRIGGER {name} AFTER {event} ON {table} {when} BEGIN {does}; END"
    wanted: dict[str, str] = {}
    for table, of_row, columns, is_counted in (
        (_CERTIFICATES, _of_certificate, "project_id, source, profile_id, status, not_after", "1"),
        (_REQUESTS, _of_request, "project_id, profile_id, status, certificate_deleted_at", _HAS_NO_CERTIFICATE),
    ):
        new, old = of_row("NEW", "sqlite"), of_row("OLD", "sqlite")
        more = _added(f"VALUES ({new}, 0, 1)")
        # No negative row where there is none: a table that is emptied may be the second of both.
        less = f"UPDATE {_TALLIES} SET count = count - 1 WHERE ({_KEY}) = ({old}, 0)"  # noqa: S608 - constants
        for event, row, does in (
            ("INSERT", "NEW", more),
            ("DELETE", "OLD", less),
            (f"UPDATE OF {columns}", "OLD", less),
            (f"UPDATE OF {columns}", "NEW", more),
        ):
            name = f"tallied_{table}_{event.split()[0].lower()}_{row.lower()}"
            when = f"WHEN {is_counted.format(row=row)}"
            wanted[name] = make.format(name=name, event=event, table=table, when=when, does=does)
    cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    missing = wanted.keys() - {name for (name,) in cursor.fetchall()}
    for name in missing:
        cursor.execute(wanted[name])
    return not missing


def _make_on_postgresql(cursor: CursorWrapper) -> bool:
    """Whether none was missing. Certificates are counted once for each statement, for that may insert a thousand."""
    pick_slot = (
        f"WHILE free < {_LAST_SLOT} AND NOT pg_try_advisory_xact_lock({_LOCKS}, free) LOOP free := free + 1; END LOOP;"
    )
    function = "CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$"
    new, old = (
        f"SELECT {_of_certificate('each', 'postgresql')}, free, {{}} FROM {rows} each"  # noqa: S608 - constants
        for rows in ("added", "gone")
    )
    by = "GROUP BY 1, 2, 3, 4, 5"
    both = f"{new.format('1')} UNION ALL {old.format('-1')}"
    changed = f"SELECT {_KEY}, sum(n) FROM ({both}) AS change ({_KEY}, n) GROUP BY {_KEY} HAVING sum(n) <> 0"  # noqa: S608
    cursor.execute(
        function.format(
            name="tally_certificates",
            body=f"DECLARE free integer := 0; BEGIN {pick_slot}"
            f" IF TG_OP = 'INSERT' THEN {_added(new.format('count(*)') + ' ' + by)};"
            f" ELSIF TG_OP = 'DELETE' THEN {_added(old.format('-count(*)') + ' ' + by)};"
            f" ELSE {_added(changed)}; END IF; RETURN NULL; END",
        )
    )
    more, less = (
        _added(f"VALUES ({_of_request(row, 'postgresql')}, free, {count})") for row, count in (("NEW", 1), ("OLD", -1))
    )
    is_new, is_old = (_HAS_NO_CERTIFICATE.format(row=row) for row in ("NEW", "OLD"))
    cursor.execute(
        function.format(
            name="tally_requests",
            body=f"DECLARE free integer := 0; BEGIN {pick_slot}"
            f" IF TG_OP <> 'INSERT' AND ({is_old}) THEN {less}; END IF;"
            f" IF TG_OP <> 'DELETE' AND ({is_new}) THEN {more}; END IF; RETURN NULL; END",
        )
    )
    certificates, requests = f"ON {_CERTIFICATES}", f"ON {_REQUESTS}"
    each_statement = "FOR EACH STATEMENT EXECUTE FUNCTION tally_certificates()"
    each_row = "EXECUTE FUNCTION tally_requests()"
    columns = "project_id, profile_id, status, certificate_deleted_at"
    wanted = {
        "tallied_insert": f"INSERT {certificates} REFERENCING NEW TABLE AS added {each_statement}",
        "tallied_delete": f"DELETE {certificates} REFERENCING OLD TABLE AS gone {each_statement}",
        "tallied_update": f"UPDATE {certificates} REFERENCING OLD TABLE AS gone NEW TABLE AS added {each_statement}",
        "tallied_request_insert": f"INSERT {requests} FOR EACH ROW WHEN ({is_new}) {each_row}",
        "tallied_request_delete": f"DELETE {requests} FOR EACH ROW WHEN ({is_old}) {each_row}",
        "tallied_request_update": f"UPDATE OF {columns} {requests} FOR EACH ROW WHEN ({is_old} OR {is_new}) {each_row}",
    }
    cursor.execute("SELECT tgname FROM pg_trigger WHERE tgname LIKE 'tallied\\_%%'")
    there = {name for (name,) in cursor.fetchall()}
    if there >= wanted.keys():
        return True
    # In the order in which an issue locks them. Nobody writes to either until both are counted.
    cursor.execute(f"LOCK TABLE {_REQUESTS}, {_CERTIFICATES} IN SHARE ROW EXCLUSIVE MODE")
    for name, trigger in wanted.items():
        if name not in there:
            cursor.execute(f"CREATE TRIGGER {name} AFTER {trigger}")
    return False
