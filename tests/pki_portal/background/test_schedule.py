"""Jobs by the clock: one row each, made once, run when due, told how they went."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta

import pytest
import time_machine

from pki_portal.background.models import ScheduledJob
from pki_portal.background.schedule import Every, Job, Nightly, make_job_rows, register_job, registered_jobs
from pki_portal.background.work import sweep
from pki_portal.errors import Unavailable

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_other_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pki_portal.background.schedule._jobs", {})


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


@pytest.mark.parametrize(
    ("at", "earliest"),
    [(time(13), NOON + timedelta(hours=1)), (time(11), NOON + timedelta(hours=23)), (time(12), NOON + timedelta(1))],
)
def test_a_nightly_job_comes_next_at_its_time_or_a_little_later(at: time, earliest: datetime) -> None:
    for _ in range(20):
        assert earliest <= Nightly(at, spread=timedelta(minutes=30)).following(NOON) <= earliest + timedelta(minutes=30)


def test_nightly_jobs_are_spread() -> None:
    assert len({Nightly(time(1)).following(NOON) for _ in range(20)}) > 10


def test_every_so_often_begins_at_once() -> None:
    schedule = Every(timedelta(minutes=5))
    assert schedule.first(NOON) == NOON
    assert timedelta(minutes=5) <= schedule.following(NOON) - NOON <= timedelta(minutes=5.5)


@pytest.mark.django_db
def test_rows_are_made_once_and_keep_their_time(clock: time_machine.Traveller) -> None:
    register_job(Job("often", Every(timedelta(minutes=5)), lambda now: None))
    register_job(Job("nightly", Nightly(time(1)), lambda now: None))
    make_job_rows(NOON)
    before = dict(ScheduledJob.objects.values_list("name", "due_at"))
    make_job_rows(NOON + timedelta(days=3))
    assert dict(ScheduledJob.objects.values_list("name", "due_at")) == before
    assert before["often"] == NOON
    assert (before["nightly"] or NOON) > NOON


@pytest.mark.django_db
def test_a_job_that_a_clock_far_ahead_put_off_comes_back(clock: time_machine.Traveller) -> None:
    register_job(Job("often", Every(timedelta(minutes=5)), lambda now: None))
    register_job(Job("nightly", Nightly(time(1)), lambda now: None))
    make_job_rows(NOON)
    ScheduledJob.objects.update(due_at=NOON + timedelta(days=365))
    make_job_rows(NOON)
    back = dict(ScheduledJob.objects.values_list("name", "due_at"))
    assert back["often"] == NOON
    assert back["nightly"] is not None
    assert timedelta() < back["nightly"] - NOON < timedelta(days=1)


@pytest.mark.django_db
def test_a_due_job_runs_once_and_says_so(clock: time_machine.Traveller) -> None:
    ran: list[datetime] = []
    register_job(Job("often", Every(timedelta(minutes=5)), ran.append))
    make_job_rows(NOON)
    assert sweep() == 1
    assert ran == [NOON]
    row = ScheduledJob.objects.get()
    assert (row.last_started_at, row.last_finished_at, row.last_succeeded_at) == (NOON, NOON, NOON)
    assert (row.runs, row.failures) == (1, 0)
    assert row.due_at is not None
    assert row.due_at >= NOON + timedelta(minutes=5)
    assert sweep() == 0


@pytest.mark.django_db
def test_a_job_that_fails_is_counted_and_comes_again_soon(clock: time_machine.Traveller) -> None:
    def fail(now: datetime) -> None:
        raise Unavailable("No key.")

    register_job(Job("nightly", Nightly(time(1)), fail))
    ScheduledJob.objects.create(name="nightly", due_at=NOON, last_succeeded_at=NOON - timedelta(days=1))
    sweep()
    row = ScheduledJob.objects.get()
    assert (row.runs, row.failures, row.last_error) == (1, 1, "No key.")
    assert (row.last_finished_at, row.last_succeeded_at) == (NOON, NOON - timedelta(days=1))
    assert row.due_at is not None
    assert row.due_at < NOON + timedelta(minutes=2)


@pytest.mark.django_db
def test_a_job_of_another_version_is_left_to_it(clock: time_machine.Traveller) -> None:
    ScheduledJob.objects.create(name="unknown-here", due_at=NOON)
    assert sweep() == 0


def test_the_last_registration_of_a_name_counts() -> None:
    for minutes in (5, 6):
        register_job(Job("often", Every(timedelta(minutes=minutes)), lambda now: None))
    assert [job.schedule for job in registered_jobs()] == [Every(timedelta(minutes=6))]
