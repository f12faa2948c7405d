"""Rules, channels, what was told, and the deliveries."""

import uuid
from enum import StrEnum

from django.db import models

from pki_portal.access.models import Project
from pki_portal.background.models import DueRow

NAME_MAX_LENGTH = 64


class AlertKind(StrEnum):
    """What a rule watches; a kind stands here only when something can raise it."""

    CERTIFICATE_EXPIRY = "certificate-expiry"
    AUTHORITY_EXPIRY = "ca-expiry"
    CRL_EXPIRY = "crl-expiry"
    RENEWAL_FAILURE = "renewal-failure"
    RENEWAL_REHEARSAL = "renewal-rehearsal"
    UNCLAIMED_KEY = "unclaimed-key"
    RISKY_ISSUANCE = "risky-issuance"


class ChannelKind(StrEnum):
    """How it is told."""

    EMAIL = "email"
    WEBHOOK = "webhook"
    SLACK = "slack"


def alert_kinds() -> list[tuple[str, str]]:
    """With their labels, for forms; a callable, so that a new kind makes no migration."""
    labels = {
        AlertKind.CERTIFICATE_EXPIRY: "Certificates near their end",
        AlertKind.AUTHORITY_EXPIRY: "CAs near their end",
        AlertKind.CRL_EXPIRY: "CRLs near their end",
        AlertKind.RENEWAL_FAILURE: "Failed renewals",
        AlertKind.RENEWAL_REHEARSAL: "Renewals that will fail",
        AlertKind.UNCLAIMED_KEY: "Private keys that nobody claims",
        AlertKind.RISKY_ISSUANCE: "Issuance from risky profiles",
    }
    return [(kind.value, labels[kind]) for kind in AlertKind]


def channel_kinds() -> list[tuple[str, str]]:
    """As :func:`alert_kinds`."""
    return [(kind.value, kind.value.capitalize()) for kind in ChannelKind]


class AlertRule(DueRow):
    """What of a project is watched, and how long before its end it is told. Due when it is looked at next; a disabled
    one never is.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="alert_rules")
    name = models.CharField(max_length=NAME_MAX_LENGTH)
    description = models.CharField(max_length=1000, blank=True, default="")
    kind = models.CharField(max_length=32, choices=alert_kinds)
    # As it was written (``30d``); the seconds are what counts.
    alert_before = models.CharField(max_length=32)
    alert_before_seconds = models.PositiveBigIntegerField()
    # [{"field": "common_name", "operator": "ends_with", "value": ".example.com"}]: all of them must fit.
    filters = models.JSONField(default=list, blank=True)
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta(DueRow.Meta):
        abstract = False
        ordering = ("-created_at", "id")
        constraints = (
            models.UniqueConstraint(fields=("project", "name"), name="alert_rule_name_unique_in_project"),
            models.CheckConstraint(condition=models.Q(alert_before_seconds__gt=0), name="alert_rule_before_something"),
            models.CheckConstraint(
                condition=models.Q(is_enabled=True) | models.Q(due_at__isnull=True), name="alert_rule_disabled_not_due"
            ),
        )

    def __str__(self) -> str:
        return self.name


class AlertChannel(models.Model):
    """One receiver of a rule. ``sealed_secret`` holds a webhook's signing secret, or the whole address of a Slack
    webhook, for whoever knows that may post; it is bound to this row's id and never shown again.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="channels")
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=16, choices=channel_kinds)
    recipients = models.JSONField(default=list, blank=True)
    url = models.TextField(blank=True, default="")
    sealed_secret = models.BinaryField(null=True, blank=True)
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("position", "id")
        constraints = (
            models.CheckConstraint(
                condition=models.Q(kind="email", sealed_secret__isnull=True)
                | models.Q(~models.Q(kind="email"), sealed_secret__isnull=False),
                name="alert_channel_secret_unless_email",
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.target}".strip()

    @property
    def target(self) -> str:
        """Where it goes, without a secret: addresses, or the address of a webhook; of Slack nothing."""
        return ", ".join(self.recipients) if self.kind == ChannelKind.EMAIL else self.url


class AlertDigest(models.Model):
    """What one run of a rule found to tell: one message, however many things are in it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="digests")
    is_test = models.BooleanField(default=False)
    # The first of them as they were found; ``total`` counts all.
    items = models.JSONField(default=list)
    total = models.PositiveIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("-created_at", "id")
        indexes = (models.Index(fields=("created_at",), name="alert_digest_oldest"),)

    def __str__(self) -> str:
        return f"digest {self.id}"


class AlertNotice(models.Model):
    """That a rule has told of one thing at one threshold: it is never told again. ``forget_after`` is when the thing
    has ended for so long that nobody can find it again.
    """

    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="notices")
    subject_id = models.CharField(max_length=100)
    threshold = models.PositiveBigIntegerField()
    forget_after = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("rule", "subject_id", "threshold"), name="alert_notice_never_twice"),
        )
        indexes = (models.Index(fields=("forget_after",), name="alert_notice_forgotten"),)

    def __str__(self) -> str:
        return f"told of {self.subject_id}"


class DeliveryState(StrEnum):
    """What became of a delivery so far."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class AlertDelivery(DueRow):
    """One message to one receiver, tried until it arrives or is given up. ``target`` stays when the channel goes."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    digest = models.ForeignKey(AlertDigest, on_delete=models.CASCADE, related_name="deliveries")
    channel = models.ForeignKey(
        AlertChannel, on_delete=models.SET_NULL, null=True, blank=True, related_name="deliveries"
    )
    channel_kind = models.CharField(max_length=16)
    target = models.TextField(blank=True, default="")
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta(DueRow.Meta):
        abstract = False
        verbose_name_plural = "alert deliveries"
        constraints = (models.UniqueConstraint(fields=("digest", "channel"), name="alert_delivery_once"),)

    def __str__(self) -> str:
        return f"delivery {self.id}"

    @property
    def state(self) -> DeliveryState:
        """From the columns."""
        if self.delivered_at is not None:
            return DeliveryState.DELIVERED
        return DeliveryState.FAILED if self.gave_up_at is not None else DeliveryState.PENDING
