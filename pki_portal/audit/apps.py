from django.apps import AppConfig


class AuditConfig(AppConfig):
    """What happened: the append-only record of acts and refusals."""

    name = "pki_portal.audit"
    label = "audit"
    verbose_name = "Audit"
    default_auto_field = "django.db.models.BigAutoField"
