"""Renewals that the portal does by itself."""

from django.db import models

from certificates.models.certificate import Certificate
from pki_portal.background.models import DueRow


class AutoRenewal(DueRow):
    """The coming renewal of one certificate, as a row for the worker.

    There is one for each certificate that has a ``renew_at``; ``due_at`` is that instant, and some more by chance, so
    that what was issued together does not come back together. None once there is nothing left to renew.
    """

    certificate = models.OneToOneField(
        Certificate, on_delete=models.CASCADE, primary_key=True, related_name="auto_renewal"
    )
    # The last dry run: when, why the renewal would fail (for people; empty where it would not), and every reason.
    rehearsed_at = models.DateTimeField(null=True, blank=True, editable=False)
    rehearsal_error = models.TextField(blank=True, default="", editable=False)
    rehearsal_violations = models.JSONField(default=list, blank=True, editable=False)

    class Meta(DueRow.Meta):
        abstract = False
        indexes = (
            *DueRow.Meta.indexes,
            models.Index(
                fields=("due_at",), condition=~models.Q(rehearsal_error=""), name="autorenewal_rehearsal_failed"
            ),
        )

    def __str__(self) -> str:
        return f"renewal of certificate {self.certificate_id}"
