"""The job says in a file that it has begun, waits for another file, and says in a third that it is done."""

import os
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from django.apps import AppConfig

LEASE_SECONDS = 3


class SlowConfig(AppConfig):
    name = "tests.pki_portal.background.slow"

    def ready(self) -> None:
        from pki_portal.background import schedule, work

        schedule.register_job(schedule.Job("slow", schedule.Every(timedelta(hours=1)), slow))
        (jobs,) = (known for known in work.registered_works() if known.name == "scheduled-jobs")
        work.register(replace(jobs, lease=timedelta(seconds=LEASE_SECONDS)))


def slow(now: datetime) -> None:
    folder = Path(os.environ["SLOW_FOLDER"])
    with (folder / "begun").open("a") as begun:
        begun.write(f"{os.getpid()}\n")
    deadline = time.monotonic() + 60
    while not (folder / "go").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (folder / "done").touch()
