"""Jobs that come round by the clock: each is one row of ``ScheduledJob``, which is done like any other due row."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Protocol

from django.db.models import F, Q

from pki_portal.background.models import ScheduledJob
from pki_portal.background.work import GiveUp, Outcome, Retry, Work, register


class Schedule(Protocol):
    """When a job comes round."""

    def first(self, now: datetime) -> datetime:
        """When it runs in an installation that has never run it."""

    def following(self, now: datetime) -> datetime:
        """When it runs after a success at ``now``."""


@dataclass(frozen=True, slots=True)
class Every:
    """Again and again, ``interval`` apart; the first time at once. Up to a tenth later by chance."""

    interval: timedelta

    def first(self, now: datetime) -> datetime:
        return now

    def following(self, now: datetime) -> datetime:
        return now + self.interval * random.uniform(1.0, 1.1)  # noqa: S311 - spreads load, guards nothing


@dataclass(frozen=True, slots=True)
class Nightly:
    """Once a day at ``at`` (UTC), up to ``spread`` later by chance."""

    at: time
    spread: timedelta = timedelta(minutes=30)

    def first(self, now: datetime) -> datetime:
        return self.following(now)

    def following(self, now: datetime) -> datetime:
        begin = datetime.combine(now.astimezone(UTC).date(), self.at, tzinfo=UTC)
        if begin <= now:
            begin += timedelta(days=1)
        return begin + self.spread * random.random()  # noqa: S311 - spreads load, guards nothing


@dataclass(frozen=True, slots=True)
class Job:
    """``run(now)`` is idempotent and ends within minutes; a failure is tried again sooner than the schedule says.

    One that has more to do than that does a part, and returns when it shall go on.
    """

    name: str
    schedule: Schedule
    run: Callable[[datetime], datetime | None]


_jobs: dict[str, Job] = {}
# Later than chance and a retry ever put a job off.
_LATE = timedelta(hours=2)


def register_job(job: Job) -> None:
    """Have the worker run it; the same name again replaces it."""
    _jobs[job.name] = job


def registered_jobs() -> tuple[Job, ...]:
    """Every job, in the order of registration."""
    return tuple(_jobs.values())


def make_job_rows(now: datetime) -> None:
    """Make the rows of jobs that the database does not know yet, and bring back those that a clock which was ahead for
    a while put off; safe beside others that do the same. One query where there is nothing to do.
    """
    known: dict[str, datetime | None] = dict(ScheduledJob.objects.values_list("name", "due_at"))
    for job in _jobs.values():
        due_at = known.get(job.name)
        if due_at is not None and due_at > job.schedule.following(now) + _LATE:
            ScheduledJob.objects.filter(name=job.name, due_at=due_at).update(due_at=job.schedule.first(now))
    if known.keys() >= _jobs.keys():
        return
    ScheduledJob.objects.bulk_create(
        [
            ScheduledJob(name=job.name, due_at=job.schedule.first(now))
            for job in _jobs.values()
            if job.name not in known
        ],
        ignore_conflicts=True,
    )


def _run(row: ScheduledJob, now: datetime) -> datetime:
    job = _jobs.get(row.name)
    if job is None:
        raise GiveUp("No such job any more.")
    ScheduledJob.objects.filter(pk=row.pk).update(last_started_at=now)
    return job.run(now) or job.schedule.following(now)


def _count(row: ScheduledJob, outcome: Outcome, now: datetime) -> None:
    counts: dict[str, object] = {"last_finished_at": now, "runs": F("runs") + 1}
    counts |= {"last_succeeded_at": now} if outcome is Outcome.DONE else {"failures": F("failures") + 1}
    ScheduledJob.objects.filter(pk=row.pk).update(**counts)


def register_schedule() -> None:
    """Have the worker do the rows of jobs that this process knows: an older or newer one may know others."""
    register(
        Work(
            name="scheduled-jobs",
            model=ScheduledJob,
            do=_run,
            retry=Retry(first=timedelta(minutes=1), longest=timedelta(hours=1)),
            lease=timedelta(minutes=15),
            batch=1,
            claimable=lambda: Q(name__in=list(_jobs)),
            finished=_count,
        )
    )
