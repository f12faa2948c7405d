"""Mails of background work: one attempt to hand one to the mail server."""

import smtplib
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage

from pki_portal.background.work import GiveUp, Retry
from pki_portal.errors import Unavailable

# About 8 hours in all.
MAIL_RETRY: Final = Retry(first=timedelta(seconds=30), longest=timedelta(hours=1), attempts=14)


def send_mail(*, key: UUID, to: Sequence[str], subject: str, body: str) -> None:
    """Try once. ``key`` is the same for all attempts, so that a mail that arrives twice is seen to be one.

    Raises:
        GiveUp: the server refuses every recipient for good.
        Unavailable: it does not take the mail now, or the portal knows of none.
    """
    if not settings.SENDS_MAIL:
        raise Unavailable("This portal sends no mail: an administrator must set EMAIL_URL.")
    host = urlsplit(settings.SITE_URL).hostname or "localhost"
    message = EmailMessage(
        subject=subject,
        body=body,
        to=to,
        # No out-of-office answers.
        headers={"Message-ID": f"<{key}@{host}>", "Auto-Submitted": "auto-generated"},
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
