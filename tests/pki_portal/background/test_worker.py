"""The worker as a process: it does what is due, ends cleanly, and loses nothing when it is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from pki_portal.background.models import ScheduledJob
from pki_portal.background.schedule import Every, Job, register_job
from pki_portal.background.worker import Worker
from tests.portal import ROOT


@pytest.mark.django_db
def test_once_does_what_is_due_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pki_portal.background.schedule._jobs", {})
    ran: list[datetime] = []
    register_job(Job("often", Every(timedelta(minutes=5)), ran.append))
    for expected in ("1 done", "0 done"):
        out = StringIO()
        call_command("worker", "--once", stdout=out)
        assert out.getvalue().strip() == expected
    assert len(ran) == 1


def test_a_worker_whose_parent_is_gone_stops() -> None:
    assert Worker(parent=os.getppid() + 1).should_stop()
    assert not Worker(parent=os.getppid()).should_stop()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    """Starts workers with a slow job on the test's own database; all are dead at the end."""
    name = str(connection.settings_dict["NAME"])
    url = f"sqlite:///{name}"
    if connection.vendor == "postgresql":
        url = urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))
    environment = os.environ | {
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "tests.pki_portal.background.slow.settings",
        "PKI_PORTAL_VAR": str(tmp_path / "var"),
        "SLOW_FOLDER": str(tmp_path),
        "SECRET_KEY": "for-tests-only",
    }
    processes = []

    def start() -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "manage.py", "worker"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.django_db(transaction=True)
def test_kill_9_in_the_middle_of_a_job_loses_nothing_and_sigterm_finishes_it(
    started: Callable[[], "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    ScheduledJob.objects.create(name="slow", due_at=timezone.now())
    begun = tmp_path / "begun"
    first = started()
    _wait_until(lambda: begun.exists() and _lines(begun) == 1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert ScheduledJob.objects.get(name="slow").lease is not None, "the dead worker's claim"

    second = started()
    _wait_until(lambda: _lines(begun) == 2)
    second.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(0.5)
    (tmp_path / "go").touch()
    assert second.wait(20) == 0, second.communicate()[1]
    assert (tmp_path / "done").exists()
    row = ScheduledJob.objects.get(name="slow")
    assert (row.lease, row.runs, row.failures, row.attempts) == (None, 1, 0, 0)
    assert row.due_at is not None
    assert row.due_at > timezone.now()


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def _wait_until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
