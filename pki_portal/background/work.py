"""Work on rows that become due: claimed under a lease, done one by one, tried again later where it failed.

**The row is the truth.** Whatever is to be done stands in a row of the domain that inherits :class:`DueRow`; ``due_at``
says when. Nothing else has to be kept or mended: a worker that dies loses its lease, and the next sweep finds the row
due as before. A queued task (``pki_portal.background.tasks``) is a hint that a row is due now, and may get lost.

What an application provides is a :class:`Work`, registered in its ``AppConfig.ready``:

- ``name``: a word for logs and metrics;
- ``model``: a model with the columns of :class:`DueRow`;
- ``do(row, now)``: does what this one row asks for, and returns when it is due again, or None when it is finished. It

  - is **idempotent**: it may run again although it was done (the process died before that was written down), and two
    may run at once (a lease ended while a slow worker lived). A unique constraint or a conditional UPDATE in the
    transaction of the act makes the second one harmless;
  - commits what it does by itself, and writes none of the columns of DueRow;
  - ends well within ``lease``, with timeouts on everything that waits for others;
  - raises :class:`GiveUp` where trying again cannot help, anything else where it can: then the row is due again after
    ``retry.delay(attempts)``, until ``retry.attempts`` is reached. The message of a ``PortalError`` is kept on the row
    for people to read; of any other exception only the kind, for its text may hold anything.

``finished``, if given, is called in the transaction that writes an outcome down, for columns that follow from it.
"""

import logging
import random
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from time import perf_counter
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

from django.db import connection, models, transaction
from django.db.models import F, Min, Q
from django.utils import timezone

from pki_portal.background.models import DueRow
from pki_portal.errors import PortalError
from pki_portal.metrics import ATTEMPT_SECONDS, BACKGROUND_ATTEMPTS, observe
from pki_portal.metrics import count as count_metric
from pki_portal.storable import storable

logger = logging.getLogger(__name__)

ERROR_LIMIT = 1000
Row = TypeVar("Row", bound=DueRow)


class GiveUp(Exception):
    """Trying again cannot help; the text is kept on the row for people."""


class Outcome(StrEnum):
    """How one attempt ended; ``FAILED`` is tried again, ``GAVE_UP`` is not."""

    DONE = "done"
    FAILED = "failed"
    GAVE_UP = "gave-up"


@dataclass(frozen=True, slots=True)
class Retry:
    """Growing delays: ``first``, twice that, and so on up to ``longest``, each a quarter shorter or longer by chance.

    ``attempts`` bounds how often a row is taken before it is given up; None: for ever.
    """

    first: timedelta = timedelta(seconds=30)
    longest: timedelta = timedelta(hours=1)
    attempts: int | None = None

    def delay(self, attempts: int) -> timedelta:
        """How long to wait after the attempt of this number, counted from 1."""
        doubled = self.first * (1 << min(max(attempts - 1, 0), 20))
        return min(self.longest, doubled) * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, guards nothing


@dataclass(frozen=True)
class Work(Generic[Row]):
    """One kind of background work; see the module's text for what it must promise."""

    name: str
    model: type[Row]
    do: Callable[[Row, datetime], datetime | None]
    retry: Retry = Retry()
    lease: timedelta = timedelta(minutes=5)
    # Taken at once by one worker; each is still done, and written down, by itself.
    batch: int = 10
    # Does many rows that are taken for the first time at once: commits what it does, ``due_at`` included, and answers
    # the keys of those that it settled. The others are then done one by one.
    together: Callable[[Sequence[Row], datetime], Collection[object]] | None = None
    # Narrows what this process may take.
    claimable: Callable[[], Q] = Q
    finished: Callable[[Row, Outcome, datetime], None] | None = None

    @property
    def rows(self) -> "models.QuerySet[Row]":
        """All of them, due or not."""
        return self.model._default_manager.all()

    def due(self, now: datetime) -> "models.QuerySet[Row]":
        """Those that wait to be taken, the longest waiting first."""
        # No lease ends as far ahead as the last one here: the clock was wrong when it was taken.
        free = Q(leased_until__isnull=True) | Q(leased_until__lte=now) | Q(leased_until__gt=now + 2 * self.lease)
        return self.rows.filter(self.claimable(), free, due_at__lte=now).order_by("due_at", "pk")


_works: dict[str, Work[Any]] = {}


def register(work: Work[Any]) -> None:
    """Have the worker do it; the same name again replaces it."""
    _works[work.name] = work


def registered_works() -> tuple[Work[Any], ...]:
    """Everything that the worker does, in the order of registration."""
    return tuple(_works.values())


def work_on(model: type[models.Model]) -> Work[Any]:
    """The work whose rows these are. Raises LookupError."""
    return next(work for work in _works.values() if work.model is model)


def claim(work: Work[Row], *, now: datetime, limit: int, key: object = None) -> list[Row]:
    """Take up to ``limit`` due rows for this process alone (of the one with primary key ``key``, if given).

    No two processes get one row: PostgreSQL skips what another one is just taking, elsewhere it is a single UPDATE. A
    row that is named is waited for: whoever locks it may only be looking at it.
    """
    due = work.due(now) if key is None else work.due(now).filter(pk=key)
    if not due.exists():
        return []  # reading alone: a sweep that finds nothing asks for no lock
    lease = uuid4()
    taken = {"lease": lease, "leased_until": now + work.lease, "attempts": F("attempts") + 1}
    if connection.features.has_select_for_update_skip_locked:
        with transaction.atomic():
            keys = list(due.select_for_update(skip_locked=key is None).values_list("pk", flat=True)[:limit])
            work.rows.filter(pk__in=keys).update(**taken)
    else:
        work.rows.filter(pk__in=due.values("pk")[:limit]).update(**taken)
    return list(work.rows.filter(lease=lease).order_by("due_at", "pk"))


def do_due(work: Work[Row], *, should_stop: Callable[[], bool] = bool) -> int:
    """Claim one batch and do it; how many were tried. What is left when ``should_stop`` is given back untried."""
    rows = claim(work, now=timezone.now(), limit=work.batch)
    left = _do_together(work, rows)
    for position, row in enumerate(left):
        if should_stop():
            _give_back(work, left[position:])
            return len(rows) - len(left) + position
        _do(work, row)
    return len(rows)


def do_row(work: Work[Row], key: object) -> None:
    """Do one row now if it is due and nobody has it; otherwise nothing."""
    for row in claim(work, now=timezone.now(), limit=1, key=key):
        _do(work, row)


def sweep(*, should_stop: Callable[[], bool] = bool) -> int:
    """Do everything that is due; how many rows were tried.

    Each kind of work in turn gets one batch, so that many rows of one kind do not keep the others waiting.
    """
    tried = 0
    waiting: Iterable[Work[Any]] = registered_works()
    while waiting and not should_stop():
        counts = [(work, do_due(work, should_stop=should_stop)) for work in waiting]
        tried += sum(count for _, count in counts)
        waiting = [work for work, count in counts if count]
    return tried


def seconds_until_due(*, at_most: float) -> float:
    """How long until the next row becomes due, or ``at_most``; one indexed query for each kind of work."""
    now = timezone.now()
    coming = Q(due_at__gt=now, due_at__lte=now + timedelta(seconds=at_most))
    soonest = [
        work.rows.filter(work.claimable(), coming).aggregate(at=Min("due_at"))["at"] for work in registered_works()
    ]
    return min([(due_at - now).total_seconds() for due_at in soonest if due_at is not None], default=at_most)


def delete_in_batches(queryset: "models.QuerySet[Any]", size: int = 500) -> int:
    """Delete the rows of a queryset in transactions of ``size`` each, so that nobody waits long; how many."""
    deleted = 0
    while keys := list(queryset.order_by().values_list("pk", flat=True)[:size]):
        queryset.model._default_manager.filter(pk__in=keys).delete()
        deleted += len(keys)
    return deleted


def _do_together(work: Work[Row], rows: list[Row]) -> list[Row]:
    """Do at once what can be; those that are left. One that was tried before is left: it may be what killed others."""
    first = [row for row in rows if row.attempts == 1]
    if work.together is None or len(first) < 2:
        return rows
    began = perf_counter()
    try:
        settled = work.together(first, timezone.now())
    except Exception:
        logger.exception("%s: %s rows could not be done at once and are done one by one", work.name, len(first))
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()  # it may be what failed
        return rows
    held = work.rows.filter(pk__in=settled, lease=first[0].lease)
    held.update(lease=None, leased_until=None, last_error="", gave_up_at=None, attempts=0)
    seconds = perf_counter() - began
    for _ in settled:
        observe(ATTEMPT_SECONDS, seconds / len(settled), work=work.name)
        count_metric(BACKGROUND_ATTEMPTS, work=work.name, outcome=Outcome.DONE.value)
    return [row for row in rows if row.pk not in settled]


def _do(work: Work[Row], row: Row) -> None:
    now = timezone.now()
    if row.leased_until is None or row.leased_until <= now:
        return  # the rows before it took long: it may be another's by now
    if work.retry.attempts is not None and row.attempts > work.retry.attempts:
        # Not by our own count, which ends below: every process that took it died.
        _write(work, row, Outcome.GAVE_UP, error=f"{row.attempts - 1} attempts were begun and none ended.")
        return
    try:
        due_at = _timed(work, row, now)
    except GiveUp as reason:
        logger.warning("%s %s was given up: %s", work.name, row.pk, reason)
        _write(work, row, Outcome.GAVE_UP, error=str(reason))
    except Exception as problem:
        is_last = work.retry.attempts is not None and row.attempts >= work.retry.attempts
        error = problem.message if isinstance(problem, PortalError) else f"{type(problem).__name__}, see the log"
        if isinstance(problem, PortalError):
            logger.warning("%s %s failed (attempt %s): %s", work.name, row.pk, row.attempts, error)
        else:
            logger.exception("%s %s failed (attempt %s)", work.name, row.pk, row.attempts)
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()  # it may be what failed
        _write(work, row, Outcome.GAVE_UP if is_last else Outcome.FAILED, error=error)
    else:
        _write(work, row, Outcome.DONE, due_at=due_at)


def _timed(work: Work[Row], row: Row, now: datetime) -> datetime | None:
    """Do it, and count how long that took."""
    began = perf_counter()
    try:
        return work.do(row, now)
    finally:
        observe(ATTEMPT_SECONDS, perf_counter() - began, work=work.name)


def _write(work: Work[Row], row: Row, outcome: Outcome, *, due_at: datetime | None = None, error: str = "") -> None:
    """Write down how it ended and give the row back, unless the lease was lost meanwhile."""
    now = timezone.now()
    if outcome is Outcome.FAILED:
        due_at = now + work.retry.delay(row.attempts)
    changes: dict[str, Any] = {
        "due_at": due_at,
        "lease": None,
        "leased_until": None,
        "last_error": storable(error)[:ERROR_LIMIT],
        "gave_up_at": now if outcome is Outcome.GAVE_UP else None,
    }
    if outcome is Outcome.DONE:
        changes["attempts"] = 0
    with transaction.atomic():
        held = work.rows.filter(pk=row.pk, lease=row.lease)
        # Somebody wanted it again, or never, while it was being done: that stands.
        changed = held.exclude(due_at=row.due_at)
        is_ours = changed.update(**{name: value for name, value in changes.items() if name != "due_at"}) or held.update(
            **changes
        )
        if is_ours and work.finished is not None:
            work.finished(row, outcome, now)
    count_metric(BACKGROUND_ATTEMPTS, work=work.name, outcome=outcome.value)
    if not is_ours:
        logger.warning(
            "%s %s took longer than its lease; what it did stands, its outcome is not kept", work.name, row.pk
        )


def _give_back(work: Work[Row], rows: list[Row]) -> None:
    lease: UUID | None = rows[0].lease
    keys = [row.pk for row in rows]
    work.rows.filter(pk__in=keys, lease=lease).update(lease=None, leased_until=None, attempts=F("attempts") - 1)
