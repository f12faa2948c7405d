"""Alerts as a nested Django application."""

from importlib import import_module

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    """It looks at certificates and CAs; nothing of theirs knows it."""

    name = "certificates.alerts"
    label = "alerts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the work, and the column that holds sealed secrets."""
        import_module("certificates.alerts.tasks").register_all()
        channel = import_module("certificates.alerts.models").AlertChannel
        import_module("certificates.services.master_keys").register_sealed_column(channel, "sealed_secret")
