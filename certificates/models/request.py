"""What was asked, and what came of it."""

import uuid

from django.db import models

from pki_portal.access.models import Project
from profiles.enrollment import EnrollmentMethod
from profiles.models import CertificateProfile, ProfileVersion, TemplateVersion


class RequestStatus(models.TextChoices):
    """States of a request. ``pending`` is approved and about to be issued; the last three are where approvals end."""

    PENDING_APPROVAL = "pending_approval", "Waits for approval"
    PENDING = "pending", "Pending"
    ISSUED = "issued", "Issued"
    FAILED = "failed", "Failed"
    REJECTED = "rejected", "Rejected"
    CANCELLED = "cancelled", "Cancelled"
    EXPIRED = "expired", "Expired"


def request_methods() -> list[tuple[str, str]]:
    return [(method.value, method.name) for method in EnrollmentMethod]


class CertificateRequest(models.Model):
    """The stored row of one request: values as asked, requester, outcome. Holds no key."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # The indexes below that begin with these do for their own.
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="certificate_requests", db_index=False)
    profile = models.ForeignKey(
        CertificateProfile,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="certificate_requests",
        db_index=False,
    )
    # What judged it; None where nothing did, and in rows from before there were versions.
    profile_version = models.ForeignKey(
        ProfileVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="certificate_requests"
    )
    template_version = models.ForeignKey(
        TemplateVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="certificate_requests"
    )
    profile_slug = models.CharField(max_length=255)
    method = models.CharField(max_length=16, choices=request_methods)
    status = models.CharField(max_length=16, choices=RequestStatus.choices)
    common_name = models.CharField(max_length=255, blank=True, default="")
    # As asked, in inside spelling: subject, subject_alternative_names, usages, algorithms, validity.
    asked = models.JSONField(default=dict)
    csr = models.TextField(blank=True, default="")
    requester_kind = models.CharField(max_length=16)
    requester_id = models.CharField(max_length=64)
    requester_name = models.CharField(max_length=255)
    error_message = models.TextField(blank=True, default="")
    violations = models.JSONField(default=list, blank=True)
    warnings = models.JSONField(default=list, blank=True)
    # {decision, plan, rules, warnings}: the trace of how it was judged; None where it was not.
    decision = models.JSONField(null=True, blank=True)
    metadata = models.JSONField(default=list, blank=True)
    # When the certificate that came of it was deleted; the request stays.
    certificate_deleted_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-created_at", "id")
        indexes = (
            models.Index(fields=("project", "-created_at", "id"), name="request_by_project_newest"),
            models.Index(fields=("profile", "-created_at", "id", "status"), name="request_by_profile_newest"),
            models.Index(
                fields=("project", "created_at"),
                condition=models.Q(status=RequestStatus.PENDING_APPROVAL),
                name="request_waiting",
            ),
        )

    def __str__(self) -> str:
        return f"{self.common_name or self.id} ({self.status})"
