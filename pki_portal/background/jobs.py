"""The jobs that background work has itself."""

from datetime import time

from pki_portal.background.schedule import Job, Nightly, register_job
from pki_portal.background.tasks import delete_old_hints


def register_jobs() -> None:
    """Called once, when Django is ready."""
    register_job(Job("delete-task-results", Nightly(time(1, 0)), delete_old_hints))
