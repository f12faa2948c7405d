"""Issuing and keeping, as a Django application."""

from importlib import import_module

from django.apps import AppConfig


class CertificatesConfig(AppConfig):
    """CAs, certificates, and what is published about them."""

    name = "certificates"

    def ready(self) -> None:
        """Register checks, background work, gauges and what is remembered; answer what profiles ask of certificates."""
        import_module("certificates.checks")
        import_module("certificates.watching").watch_all()
        import_module("certificates.tallies").connect()
        import_module("certificates.trigrams").connect()
        import_module("certificates.tasks").register_all()
        import_module("certificates.gauges").register_all()
        import_module("pki_portal.access.web.pages").count_in_navigation(
            "approvals", import_module("certificates.services.approvals.standing").count_waiting_for
        )
        usage = import_module("certificates.usage").CertificatesUsage()
        import_module("profiles.usage").answer_with(usage)
