"""An alert, and certificates that end when told."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from certificates.alerts.models import AlertDelivery, AlertKind, AlertRule, ChannelKind
from certificates.alerts.services.rules import ChannelDocument, RuleDocument, SavedRule, create_rule
from certificates.models import Certificate
from pki_portal.access.models import Project
from pki_portal.background.work import do_row, registered_works
from profiles.models import CertificateProfile
from tests.factories import SYSTEM
from tests.pages import make_issued

MAIL = ChannelDocument(kind=ChannelKind.EMAIL, recipients=("pki@example.com",))
HOOK_URL = "https://hooks.example.com/pki"
HOOK = ChannelDocument(kind=ChannelKind.WEBHOOK, url=HOOK_URL)
SLACK_URL = "https://hooks.slack.example.com/services/T000/B000/secret"
SLACK = ChannelDocument(kind=ChannelKind.SLACK, secret=SLACK_URL)


def rule_document(**changes: Any) -> RuleDocument:
    values: dict[str, Any] = {
        "name": "expiring",
        "kind": AlertKind.CERTIFICATE_EXPIRY,
        "alert_before": "30d",
        "channels": (MAIL,),
    }
    return RuleDocument(**(values | changes))


def make_rule(project: Project, **changes: Any) -> SavedRule:
    return create_rule(requester=SYSTEM, project=project, document=rule_document(**changes))


def make_ending(profile: CertificateProfile, name: str, *, days: float, now: datetime | None = None) -> Certificate:
    """A certificate whose row ends so many days from now."""
    row = make_issued(profile, name)
    row.not_after = (now or timezone.now()) + timedelta(days=days)
    row.not_before = min(row.not_before, row.not_after - timedelta(days=1))
    row.save(update_fields=["not_before", "not_after"])
    return row


def look(rule: AlertRule) -> None:
    """What the worker does with a rule that is due."""
    AlertRule.objects.filter(pk=rule.pk).update(due_at=timezone.now())
    _do("alert-rules", rule.pk)


def attempt(delivery: AlertDelivery) -> AlertDelivery:
    """What the worker does with a delivery whose time has come, whenever that is."""
    AlertDelivery.objects.filter(pk=delivery.pk, due_at__isnull=False).update(due_at=timezone.now())
    _do("alert-deliveries", delivery.pk)
    return AlertDelivery.objects.select_related("digest").get(pk=delivery.pk)


def _do(name: str, key: object) -> None:
    (work,) = (work for work in registered_works() if work.name == name)
    do_row(work, key)
