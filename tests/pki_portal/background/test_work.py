"""Due rows: taken by one alone, done, tried again later, given up; and never lost."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import time_machine
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from pki_portal.background.models import ScheduledJob
from pki_portal.background.work import (
    GiveUp,
    Outcome,
    Retry,
    Work,
    claim,
    delete_in_batches,
    do_due,
    do_row,
    register,
    registered_works,
    seconds_until_due,
    sweep,
    work_on,
)
from pki_portal.errors import Unavailable

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def work(do: Callable[[ScheduledJob, datetime], datetime | None] = lambda row, now: None, **options: object) -> Work:  # type: ignore[type-arg]
    """Work on rows named here, whatever jobs there are besides."""
    return Work(name="test", model=ScheduledJob, do=do, claimable=lambda: Q(name__startswith="row-"), **options)  # type: ignore[arg-type]


def make_rows(count: int = 1, **columns: object) -> list[ScheduledJob]:
    due = {"due_at": NOW - timedelta(minutes=1)} | columns
    return [ScheduledJob.objects.create(name=f"row-{number}-{uuid4()}", **due) for number in range(count)]


@pytest.mark.django_db
class TestOneRow:
    @pytest.fixture(autouse=True)
    def at_noon(self) -> object:
        with time_machine.travel(NOW, tick=False) as clock:
            yield clock

    def test_is_done_and_due_when_its_work_says(self) -> None:
        (row,) = make_rows()
        assert do_due(work(lambda row, now: LATER)) == 1
        row.refresh_from_db()
        assert (row.due_at, row.lease, row.leased_until, row.attempts) == (LATER, None, None, 0)

    def test_is_finished_where_its_work_names_no_time(self) -> None:
        (row,) = make_rows()
        do_due(work())
        row.refresh_from_db()
        assert (row.due_at, row.gave_up_at) == (None, None)

    @pytest.mark.parametrize(
        "columns",
        [
            {"due_at": None},
            {"due_at": NOW + timedelta(seconds=1)},
            {"lease": uuid4(), "leased_until": NOW + timedelta(seconds=1)},
        ],
        ids=["nothing to do", "not yet", "in other hands"],
    )
    def test_is_left_alone(self, columns: dict[str, object]) -> None:
        make_rows(1, **columns)
        assert do_due(work(lambda row, now: pytest.fail("it was done"))) == 0

    def test_of_a_dead_worker_is_taken_when_the_lease_ends(self) -> None:
        make_rows(lease=uuid4(), leased_until=NOW)
        assert do_due(work()) == 1

    def test_is_taken_from_a_lease_that_a_clock_far_ahead_made(self) -> None:
        make_rows(lease=uuid4(), leased_until=NOW + timedelta(days=365))
        assert do_due(work()) == 1

    def test_that_failed_is_due_again_later_and_later(self, at_noon: time_machine.Traveller) -> None:
        (row,) = make_rows()

        def fail(row: ScheduledJob, now: datetime) -> None:
            raise Unavailable("The mail server does not answer.")

        waits = []
        for _ in range(3):
            assert do_due(work(fail, retry=Retry(first=timedelta(seconds=10)))) == 1
            row.refresh_from_db()
            assert row.due_at is not None
            waits.append((row.due_at - timezone.now()).total_seconds())
            at_noon.move_to(row.due_at)
        assert (row.attempts, row.last_error, row.gave_up_at) == (3, "The mail server does not answer.", None)
        assert all(0.75 * mean <= wait <= 1.25 * mean for wait, mean in zip(waits, (10, 20, 40), strict=True))

    def test_that_succeeds_at_last_has_no_error_left(self) -> None:
        (row,) = make_rows(attempts=3, last_error="It rained.")
        do_due(work())
        row.refresh_from_db()
        assert (row.attempts, row.last_error) == (0, "")

    def test_is_given_up_after_the_last_attempt(self) -> None:
        (row,) = make_rows(attempts=4)

        def fail(row: ScheduledJob, now: datetime) -> None:
            raise Unavailable("It rains.")

        do_due(work(fail, retry=Retry(attempts=5)))
        row.refresh_from_db()
        assert (row.due_at, row.gave_up_at, row.last_error) == (None, NOW, "It rains.")

    def test_is_given_up_at_once_where_trying_again_cannot_help(self) -> None:
        (row,) = make_rows()

        def fail(row: ScheduledJob, now: datetime) -> None:
            raise GiveUp("The receiver is gone for good.")

        do_due(work(fail))
        row.refresh_from_db()
        assert (row.due_at, row.gave_up_at, row.last_error) == (None, NOW, "The receiver is gone for good.")

    def test_that_kills_its_workers_is_given_up_without_killing_another(self) -> None:
        (row,) = make_rows(attempts=5)
        do_due(work(lambda row, now: pytest.fail("it was done"), retry=Retry(attempts=5)))
        row.refresh_from_db()
        assert (row.due_at, row.last_error) == (None, "5 attempts were begun and none ended.")

    def test_keeps_no_text_of_an_unforeseen_exception(self) -> None:
        (row,) = make_rows()

        def fail(row: ScheduledJob, now: datetime) -> None:
            raise ValueError("secret")

        do_due(work(fail))
        row.refresh_from_db()
        assert row.last_error == "ValueError, see the log"

    @pytest.mark.parametrize("wish", [NOW, None], ids=["again", "never"])
    def test_that_is_wanted_otherwise_while_it_is_done_is_due_as_wanted(self, wish: datetime | None) -> None:
        (row,) = make_rows()

        def change(row: ScheduledJob, now: datetime) -> datetime:
            ScheduledJob.objects.filter(pk=row.pk).update(due_at=wish)
            return LATER

        do_due(work(change))
        row.refresh_from_db()
        assert (row.due_at, row.lease) == (wish, None)

    def test_whose_lease_was_lost_is_written_down_by_the_other_one(self) -> None:
        (row,) = make_rows()
        others = uuid4()

        def lose(row: ScheduledJob, now: datetime) -> datetime:
            ScheduledJob.objects.filter(pk=row.pk).update(lease=others)
            return LATER

        outcomes: list[Outcome] = []
        do_due(work(lose, finished=lambda row, outcome, now: outcomes.append(outcome)))
        row.refresh_from_db()
        assert (row.lease, row.due_at, outcomes) == (others, NOW - timedelta(minutes=1), [])

    def test_tells_how_it_ended(self) -> None:
        make_rows()
        outcomes: list[Outcome] = []
        do_due(work(finished=lambda row, outcome, now: outcomes.append(outcome)))
        assert outcomes == [Outcome.DONE]

    def test_is_done_by_its_key_only_if_it_is_due(self) -> None:
        wanted, other = make_rows(2)
        done: list[str] = []
        one = work(lambda row, now: done.append(row.pk))
        do_row(one, wanted.pk)
        do_row(one, wanted.pk)
        assert done == [wanted.pk]
        other.refresh_from_db()
        assert other.due_at is not None


@pytest.mark.django_db
def test_a_stop_gives_back_what_is_left_of_a_batch_untried() -> None:
    make_rows(3)
    done: list[str] = []
    tried = do_due(work(lambda row, now: done.append(row.pk)), should_stop=lambda: bool(done))
    assert (tried, len(done)) == (1, 1)
    left = ScheduledJob.objects.filter(name__startswith="row-", due_at__isnull=False)
    assert list(left.values_list("lease", "leased_until", "attempts")) == [(None, None, 0)] * 2


@pytest.mark.django_db
def test_a_sweep_goes_on_until_nothing_is_due_and_keeps_no_kind_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pki_portal.background.work._works", {})
    order: list[str] = []
    for kind in ("a", "b"):
        for number in range(3):
            ScheduledJob.objects.create(name=f"{kind}-{number}", due_at=NOW)
        register(
            Work(
                name=kind,
                model=ScheduledJob,
                do=lambda row, now: order.append(row.pk[0]),
                batch=2,
                claimable=lambda kind=kind: Q(name__startswith=f"{kind}-"),  # type: ignore[misc]
            )
        )
    assert sweep() == 6
    assert "".join(order) == "aabbab"


@pytest.mark.django_db
def test_finding_nothing_takes_no_lock(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        assert claim(work(), now=NOW, limit=10) == []


@pytest.mark.django_db(transaction=True)
def test_workers_at_the_same_time_never_get_the_same_row() -> None:
    rows = {row.pk for row in make_rows(60)}
    done: list[str] = []
    start = threading.Barrier(4)

    def drain() -> None:
        try:
            start.wait()
            while do_due(work(lambda row, now: done.append(row.pk), batch=3)):
                pass
        finally:
            connection.close()

    workers = [threading.Thread(target=drain) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert sorted(done) == sorted(rows)


@pytest.mark.django_db(transaction=True)
def test_a_row_that_is_named_is_done_although_another_process_looks_at_it_just_then() -> None:
    (row,) = make_rows()
    done: list[str] = []

    def do() -> None:
        try:
            do_row(work(lambda row, now: done.append(row.pk)), row.pk)
        finally:
            connection.close()

    other = threading.Thread(target=do)
    with transaction.atomic():
        ScheduledJob.objects.select_for_update(no_key=True).get(pk=row.pk)
        other.start()
        other.join(0.3)  # it waits, or has skipped the row and is at its end
    other.join(60)
    assert done == [row.pk]


@pytest.mark.django_db
def test_deleting_in_batches_leaves_the_others() -> None:
    make_rows(5)
    kept = ScheduledJob.objects.create(name="kept")
    assert delete_in_batches(ScheduledJob.objects.filter(name__startswith="row-"), size=2) == 5
    assert list(ScheduledJob.objects.all()) == [kept]


def test_the_work_of_a_model_is_found_by_it() -> None:
    assert work_on(ScheduledJob) in registered_works()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("columns", "seconds"),
    [
        ({"due_at": NOW + timedelta(seconds=3)}, 3),
        ({"due_at": NOW + timedelta(seconds=30)}, 10),
        ({"due_at": NOW - timedelta(seconds=3)}, 10),
        ({"due_at": None}, 10),
    ],
    ids=["soon", "later", "in other hands or just tried", "never"],
)
def test_the_worker_knows_how_long_it_may_wait(
    columns: dict[str, object], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pki_portal.background.work._works", {})
    register(work())
    make_rows(1, **columns)
    with time_machine.travel(NOW, tick=False):
        assert seconds_until_due(at_most=10) == seconds
