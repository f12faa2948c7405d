"""Delivering a digest to one receiver."""

import smtplib
from datetime import datetime
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone

from certificates.alerts.models import AlertChannel, AlertDelivery, ChannelKind
from certificates.alerts.services import messages, outbound
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
    if not settings.SENDS_MAIL:
        raise Unavailable("This portal sends no mail: an administrator must set EMAIL_URL.")
    host = urlsplit(settings.SITE_URL).hostname or "localhost"
    message = EmailMessage(
        subject=messages.subject_line(delivery.digest),
        body=messages.plain_text(delivery.digest),
        to=channel.recipients,
        # One id for all attempts: a mail that arrives twice is seen to be one. No out-of-office answers.
        headers={"Message-ID": f"<{delivery.pk}@{host}>", "Auto-Submitted": "auto-generated"},
    )
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused as refusal:
        told = "; ".join(f"{address}: {code}" for address, (code, _) in refusal.recipients.items())
        if all(code >= 500 for code, _ in refusal.recipients.values()):
            raise GiveUp(f"The mail server refuses every recipient ({told}).") from None
        raise Unavailable(f"The mail server refuses every recipient for now ({told}).") from None
    except smtplib.SMTPResponseException as answer:
        raise Unavailable(f"The mail server answered {answer.smtp_code}.") from None
    except (OSError, smtplib.SMTPException) as problem:
        raise Unavailable(f"The mail server does not answer ({type(problem).__name__}).") from None


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
