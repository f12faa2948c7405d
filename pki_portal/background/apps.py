"""Background work as a Django application."""

from importlib import import_module

from django.apps import AppConfig


class BackgroundConfig(AppConfig):
    """Scheduled jobs, and the work on due rows that other applications register."""

    name = "pki_portal.background"
    label = "background"
    verbose_name = "Background work"

    def ready(self) -> None:
        """Register the jobs, and the job that keeps the queue of hints small."""
        import_module("pki_portal.background.schedule").register_schedule()
        import_module("pki_portal.background.jobs").register_jobs()
