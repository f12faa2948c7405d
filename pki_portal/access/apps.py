import importlib

from django.apps import AppConfig


class AccessConfig(AppConfig):
    """Who and where: users, projects, machine identities, their roles and tokens."""

    name = "pki_portal.access"
    label = "access"
    verbose_name = "Access"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Make the API description know how requests are authenticated, the audit when people log in and out, and the
        worker what has run out.
        """
        importlib.import_module("pki_portal.access.openapi")  # registers itself with drf-spectacular
        importlib.import_module("pki_portal.access.sign_ins")  # connects itself to the signals
        importlib.import_module("pki_portal.access.tasks").register_jobs()
        importlib.import_module("pki_portal.access.watching").watch_all()
