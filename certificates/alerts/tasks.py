"""Background work on alerts."""

from datetime import datetime, time, timedelta

from certificates.alerts.models import AlertDelivery, AlertDigest, AlertNotice, AlertRule
from certificates.alerts.services.delivery import deliver, note_outcome
from certificates.alerts.services.evaluation import evaluate
from certificates.services.mail import MAIL_RETRY
from pki_portal.background.schedule import Job, Nightly, register_job
from pki_portal.background.work import Work, delete_in_batches, register

LOG_KEPT = timedelta(days=90)


def delete_old_alerts(now: datetime) -> None:
    """Delete digests with their deliveries after 90 days, and notices of what ended long ago."""
    delete_in_batches(AlertDigest.objects.filter(created_at__lt=now - LOG_KEPT))
    delete_in_batches(AlertNotice.objects.filter(forget_after__lt=now))


def register_all() -> None:
    """Called once, when Django is ready."""
    register(Work(name="alert-rules", model=AlertRule, do=evaluate, batch=1))
    register(
        Work(
            name="alert-deliveries",
            model=AlertDelivery,
            do=deliver,
            finished=note_outcome,
            retry=MAIL_RETRY,
            batch=5,  # a few at once only, for each may wait for its receiver
        )
    )
    register_job(Job("delete-old-alerts", Nightly(time(1, 50)), delete_old_alerts))
