"""Background work as a Django application."""

from importlib import import_module

from django.apps import AppConfig


class BackgroundConfig(AppConfig):
    """Scheduled jobs, and the work on due rows that other applications register."""

    name = "pki_portal.background"
    label = "background"
    verbose_name = "Background work"

    def ready(self) -> None:
        """Register the rows of jobs as work, the job that keeps the queue of hints small, and the gauges."""
        import_module("pki_portal.background.schedule").register_schedule()
        import_module("pki_portal.background.jobs").register_jobs()
        import_module("pki_portal.background.gauges").register_all()
