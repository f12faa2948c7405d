from importlib import import_module

from django.apps import AppConfig


class ProfilesConfig(AppConfig):
    """What may be issued: templates and profiles."""

    name = "profiles"

    def ready(self) -> None:
        """Have every change of what may be issued told to all processes."""
        import_module("profiles.watching").watch_all()
