"""Hints: a row is done soon, and a lost hint loses nothing."""

from datetime import datetime, timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from pytest_django import DjangoCaptureOnCommitCallbacks

from pki_portal.background import tasks
from pki_portal.background.models import ScheduledJob
from pki_portal.background.schedule import Every, Job, register_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    monkeypatch.setattr("pki_portal.background.schedule._jobs", {})
    ran: list[datetime] = []
    register_job(Job("hinted", Every(timedelta(minutes=5)), ran.append))
    return ran


@pytest.fixture
def row() -> ScheduledJob:
    return ScheduledJob.objects.create(name="hinted", due_at=timezone.now())


def go_on() -> bool:
    return False


def test_a_hinted_row_is_done_without_a_sweep(
    ran: list[datetime], row: ScheduledJob, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        tasks.hint(row)
    tasks.take_hints(should_stop=go_on)
    assert len(ran) == 1


def test_a_hint_that_comes_twice_or_too_late_does_nothing(
    ran: list[datetime], row: ScheduledJob, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        tasks.hint(row)
        tasks.hint(row)
    tasks.take_hints(should_stop=go_on)
    assert len(ran) == 1
    assert not DBTaskResult.objects.ready().exists()


def test_a_hint_of_work_or_a_row_that_is_gone_does_nothing(ran: list[datetime]) -> None:
    tasks.do_now.call("no-such-work", "1")
    tasks.do_now.call("scheduled-jobs", "no-such-row")
    assert ran == []


def test_a_queue_that_does_not_answer_takes_nothing_down(
    row: ScheduledJob,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    def refuse(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("django_tasks_db.backend.DatabaseBackend.enqueue", refuse)
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        tasks.hint(row)
    row.refresh_from_db()
    assert row.due_at is not None


def test_a_stop_leaves_the_other_hints_in_the_queue(
    ran: list[datetime], row: ScheduledJob, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        tasks.hint(row)
        tasks.hint(row)
    tasks.take_hints(should_stop=lambda: bool(ran))
    assert DBTaskResult.objects.ready().count() == 1


def test_old_hints_are_deleted_whatever_became_of_them() -> None:
    for status in ("READY", "RUNNING", "SUCCESSFUL", "FAILED"):
        old, new = (
            DBTaskResult.objects.create(
                args_kwargs={}, task_path="x", backend_name="default", run_after=timezone.now(), status=status
            )
            for _ in range(2)
        )
        DBTaskResult.objects.filter(pk=old.pk).update(enqueued_at=timezone.now() - timedelta(days=2))
    tasks.delete_old_hints(timezone.now())
    assert DBTaskResult.objects.count() == 4
    assert DBTaskResult.objects.filter(pk=new.pk).exists()
