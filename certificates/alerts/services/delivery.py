"""Delivering a digest to one receiver."""

from datetime import datetime

from django.conf import settings
from django.utils import timezone

from certificates.alerts.models import AlertChannel, AlertDelivery, ChannelKind
from certificates.alerts.services import messages, outbound
from certificates.services.mail import send_mail
from certificates.services.sealed_text import open_text
from pki_portal.background.work import GiveUp, Outcome
from pki_portal.errors import Unavailable

PURPOSE = "alert-channel"
_GONE = 410


def deliver(delivery: AlertDelivery, now: datetime) -> None:
    """Try once. Raises GiveUp, Unavailable; twice is possible (the process died in between), so receivers go by id."""
    delivery = AlertDelivery.objects.select_related("channel", "digest__rule__project").get(pk=delivery.pk)
    if delivery.channel is None:
        raise GiveUp("The channel was removed.")
    if delivery.delivered_at is not None:
        return
    {ChannelKind.EMAIL: _mail, ChannelKind.WEBHOOK: _webhook, ChannelKind.SLACK: _slack}[
        ChannelKind(delivery.channel.kind)
    ](delivery, delivery.channel)


def note_outcome(delivery: AlertDelivery, outcome: Outcome, now: datetime) -> None:
    """Write down when it arrived, in the transaction that ends the attempt."""
    if outcome is Outcome.DONE:
        AlertDelivery.objects.filter(pk=delivery.pk, delivered_at__isnull=True).update(delivered_at=now)


def _mail(delivery: AlertDelivery, channel: AlertChannel) -> None:
    digest = delivery.digest
    send_mail(
        key=delivery.pk, to=channel.recipients, subject=messages.subject_line(digest), body=messages.plain_text(digest)
    )


def _webhook(delivery: AlertDelivery, channel: AlertChannel) -> None:
    body = messages.cloud_event(delivery.digest)
    signed = messages.signature(secret=_secret(channel), body=body, now=timezone.now())
    headers = dict.fromkeys(messages.SIGNATURE_HEADERS, signed)
    _require_success(outbound.post(channel.url, body=body, headers=headers | _headers("application/cloudevents+json")))


def _slack(delivery: AlertDelivery, channel: AlertChannel) -> None:
    body = messages.slack_body(delivery.digest)
    _require_success(outbound.post(_secret(channel), body=body, headers=_headers("application/json")))


def _headers(content_type: str) -> dict[str, str]:
    return {"Content-Type": content_type, "User-Agent": f"pki-portal/{settings.VERSION}"}


def _require_success(status: int) -> None:
    if status == _GONE:
        raise GiveUp("The receiver answered 410: it is gone for good.")
    if not 200 <= status < 300:
        raise Unavailable(f"The receiver answered {status}.")


def _secret(channel: AlertChannel) -> str:
    if channel.sealed_secret is None:
        raise GiveUp("The channel has no secret.")
    return open_text(bytes(channel.sealed_secret), purpose=PURPOSE, row_id=channel.pk)
