"""The portal as an application of its own: it registers the checks of the configuration."""

from importlib import import_module

from django.apps import AppConfig


class PortalConfig(AppConfig):
    """No models: the applications of the house hold those."""

    name = "pki_portal"
    verbose_name = "PKI Portal"

    def ready(self) -> None:
        import_module("pki_portal.checks")
