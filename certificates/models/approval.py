"""Approvals: who must agree before a certificate is issued, which requests wait for it, and who agreed."""

import uuid

from django.db import models

from certificates.models.request import CertificateRequest
from pki_portal.access.models import Project
from pki_portal.background.models import DueRow
from profiles.models import CertificateProfile

POLICY_NAME_MAX_LENGTH = 128


class ApprovalPolicy(models.Model):
    """Which requests of a project need whose approval.

    ``steps`` are taken in order: ``[{"name": "Security", "approvers": [{"type": "user", "id": "7"}, {"type": "role",
    "id": "operator"}], "required_approvals": 2}]``. Profiles are kept by id, so that a new name takes none out.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="approval_policies")
    name = models.CharField(max_length=POLICY_NAME_MAX_LENGTH)
    # For every profile of the project, those to come too; else for ``profiles`` alone.
    is_for_all_profiles = models.BooleanField(default=True)
    profiles = models.ManyToManyField(CertificateProfile, blank=True, related_name="approval_policies")
    steps = models.JSONField(default=list)
    bypass_for_machine_identities = models.BooleanField(default=False)
    # As it was written (``7d``), empty for the usual; the seconds are what counts.
    max_request_ttl = models.CharField(max_length=32, blank=True, default="")
    max_request_seconds = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("created_at", "id")
        verbose_name_plural = "approval policies"
        constraints = (
            models.UniqueConstraint(fields=("project", "name"), name="approval_policy_name_unique_in_project"),
            models.CheckConstraint(condition=~models.Q(name=""), name="approval_policy_has_name"),
        )

    def __str__(self) -> str:
        return self.name


class ApprovalRequest(DueRow):
    """What a certificate request waits for, as it was demanded when it was made: later changes of policies are for
    later requests. The state is that of the certificate request.

    Due when it expires while it waits, and at once when it is approved: then the certificate is issued.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    request = models.OneToOneField(CertificateRequest, on_delete=models.CASCADE, related_name="approval")
    # As those of a policy, with ``policy`` and, of users, ``name``, for people.
    steps = models.JSONField()
    expires_at = models.DateTimeField()
    approved_at = models.DateTimeField(null=True, blank=True)
    # Of a rejection or a cancellation.
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=255, blank=True, default="")
    comment = models.CharField(max_length=1000, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(DueRow.Meta):
        abstract = False
        ordering = ("-created_at", "id")

    def __str__(self) -> str:
        return f"approval of {self.request_id}"


class ApprovalMail(DueRow):
    """That one person is to be told by mail, once, that a request waits for them at a step; ``sent_at`` stays empty
    where it waited for them no more when the mail was due.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    approval_request = models.ForeignKey(ApprovalRequest, on_delete=models.CASCADE, related_name="mails")
    step = models.PositiveSmallIntegerField()
    user_id = models.PositiveBigIntegerField()
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta(DueRow.Meta):
        abstract = False
        constraints = (
            models.UniqueConstraint(fields=("approval_request", "step", "user_id"), name="approval_mail_once"),
        )

    def __str__(self) -> str:
        return f"mail to user {self.user_id}"


class Approval(models.Model):
    """That one person agreed, at one step; the name is for people, the id is what counts."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    approval_request = models.ForeignKey(ApprovalRequest, on_delete=models.CASCADE, related_name="approvals")
    step = models.PositiveSmallIntegerField()
    user_id = models.PositiveBigIntegerField()
    user_name = models.CharField(max_length=255)
    comment = models.CharField(max_length=1000, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("created_at", "id")
        constraints = (
            # Nobody approves twice, at whatever step.
            models.UniqueConstraint(fields=("approval_request", "user_id"), name="approval_once_per_user"),
        )

    def __str__(self) -> str:
        return f"approval by {self.user_name}"
