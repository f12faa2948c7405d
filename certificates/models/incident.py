"""Incidents: certificates that are to be replaced now."""

import uuid

from django.db import models

from certificates.models.certificate import Certificate
from pki_portal.access.models import Project

REASON_LENGTH = 1000


class Incident(models.Model):
    """That something happened for which certificates must be replaced; open until somebody closes it.

    ``criteria`` is what picked them, in inside spelling. The names are for people, the audit log has the ids.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="incidents")
    reason = models.CharField(max_length=REASON_LENGTH)
    criteria = models.JSONField(default=dict)
    declared_at = models.DateTimeField()
    declared_by = models.CharField(max_length=255)
    # When the last of the affected certificates is to be replaced.
    replace_by = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=255, blank=True, default="")

    class Meta:
        ordering = ("-declared_at", "id")
        indexes = (models.Index(fields=("project", "-declared_at", "id"), name="incident_newest"),)

    def __str__(self) -> str:
        return f"incident {self.id}"


class AffectedCertificate(models.Model):
    """A certificate that was in force when an incident that affects it was declared, and its turn to be replaced."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="affected")
    certificate = models.ForeignKey(Certificate, on_delete=models.CASCADE, related_name="incidents")
    replace_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("incident", "certificate"), name="affected_once_by_an_incident"),
        )

    def __str__(self) -> str:
        return f"certificate {self.certificate_id} in incident {self.incident_id}"
