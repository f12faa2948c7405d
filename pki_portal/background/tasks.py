"""Hints: a queued task that says "this row is due now", so that nobody waits for the next sweep.

The queue is that of Django's Tasks API, and a setting chooses what keeps it (``TASKS``). A hint may be lost, doubled or
late: it does one row by :func:`do_row`, which does nothing unless the row is due and free.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib import import_module
from typing import Final

from django.conf import settings
from django.db import DatabaseError, transaction
from django_tasks import task
from django_tasks_db.management.commands.db_worker import Worker as QueueWorker
from django_tasks_db.models import DBTaskResult

from pki_portal.background.models import DueRow
from pki_portal.background.work import delete_in_batches, do_row, registered_works, work_on

logger = logging.getLogger(__name__)

DATABASE_BACKEND: Final = "django_tasks_db.DatabaseBackend"

# Only for running one task that is claimed already; its own loop is not used.
_runner = QueueWorker(
    queue_names=["*"],
    excluded_queue_names=[],
    interval=0,
    batch=True,
    backend_name="default",
    startup_delay=False,
    max_tasks=None,
    worker_id="worker",
)
# What became of a hint interests nobody for long, and one left over from a dead worker no one at all.
HINTS_KEPT = timedelta(days=1)


@task()
def do_now(work_name: str, key: str) -> None:
    """Do one row, if there is still anything to do about it."""
    for work in registered_works():
        if work.name == work_name:
            do_row(work, key)


def hint(row: DueRow) -> None:
    """Have ``row`` done soon, once the caller's transaction has committed; costs one insert into the queue.

    Never fails: if the queue does not answer, the row waits for the next sweep.
    """
    work_name, key = work_on(type(row)).name, str(row.pk)

    def enqueue() -> None:
        try:
            do_now.enqueue(work_name, key)
        except Exception:
            logger.warning("the queue takes no hint for %s %s; the next sweep does it", work_name, key, exc_info=True)

    transaction.on_commit(enqueue)


def take_hints(*, should_stop: Callable[[], bool]) -> None:
    """Do what the queue hints at, one row after the other, until it is empty."""
    take = _take_from_database if settings.TASKS["default"]["BACKEND"] == DATABASE_BACKEND else _take_from_redis
    while not should_stop() and take():
        pass


def count_hints() -> int | None:
    """How many hints wait in the queue; None where Redis keeps it and does not answer."""
    if settings.TASKS["default"]["BACKEND"] == DATABASE_BACKEND:
        return DBTaskResult.objects.ready().count()
    queue = import_module("django_rq").get_queue("default")
    try:
        return int(queue.connection.llen(queue.key))
    except import_module("redis.exceptions").RedisError:
        return None


def _take_from_database() -> bool:
    if not DBTaskResult.objects.ready().exists():
        return False
    with transaction.atomic():
        hinted = DBTaskResult.objects.ready().get_locked()
        if hinted is None:
            return False  # others are at it
        hinted.claim("worker")
    _runner.run_task(hinted)
    return True


def _take_from_redis() -> bool:
    """Take one from RQ's queue. Nobody asks what became of a hint, so no worker of RQ is needed, nor its bookkeeping.

    Nothing else is run, whatever may stand in the queue, and nothing that stands there ends the worker.
    """
    queue = import_module("django_rq").get_queue("default", job_class=import_module("django_tasks_rq").Job)
    try:
        hinted = queue.connection.lpop(queue.key)  # RQ's pop_job_id() raises where the queue is empty
        job = hinted and queue.fetch_job(hinted.decode())
        if job:
            if job.func_name == do_now.module_path:
                do_now.call(*map(str, job.args))
            job.delete()
    except DatabaseError:
        raise  # the worker's own matter
    except import_module("redis.exceptions").RedisError as problem:
        logger.warning("the queue does not answer (%s); the sweep does what is due", type(problem).__name__)
        return False
    except Exception:
        logger.warning("a hint cannot be read; the sweep does what is due", exc_info=True)
        return False
    return bool(hinted)


def delete_old_hints(now: datetime) -> None:
    """Delete hints that are older than a day, whatever became of them."""
    delete_in_batches(DBTaskResult.objects.filter(enqueued_at__lt=now - HINTS_KEPT))
