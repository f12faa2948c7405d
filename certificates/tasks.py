"""Background work on certificates and CAs; each job calls a service."""

import logging
from datetime import datetime, time, timedelta

from certificates.gauges import measure_expiring, measure_renewals
from certificates.models import ApprovalMail, ApprovalRequest, AutoRenewal, IdempotencyRecord
from certificates.services.approvals.issuing import RETRY, note_outcome, work_off
from certificates.services.approvals.mails import tell_approver
from certificates.services.auto_renewal import keep_within_life, plan_lost_renewals, renew_automatically, renew_together
from certificates.services.crl import publish_due
from certificates.services.idempotency import KEPT_FOR
from certificates.services.kept_keys import destroy_unclaimed_keys
from certificates.services.mail import MAIL_RETRY
from certificates.services.rehearsal import rehearse_renewals
from pki_portal.background.schedule import Every, Job, Nightly, register_job
from pki_portal.background.work import Retry, Work, delete_in_batches, register
from pki_portal.errors import Unavailable

logger = logging.getLogger(__name__)


def renew_crls(now: datetime) -> None:
    """Sign every CRL anew that misses a revocation or has passed three quarters of its life, whether or not anybody
    asks for it.

    One that cannot be signed keeps no other waiting. Raises Unavailable at the end, naming how many those were.
    """
    failed = 0
    for revocation_list, problem in publish_due(now=now):
        if problem is not None:
            logger.warning("%s could not be signed anew: %s", revocation_list, problem)
            failed += 1
    if failed:
        raise Unavailable(f"{failed} CRLs could not be signed anew; the log says why.")


def delete_idempotency_records(now: datetime) -> None:
    """Delete records of Idempotency-Keys that are no longer kept."""
    delete_in_batches(IdempotencyRecord.objects.filter(created_at__lt=now - KEPT_FOR))


def destroy_overdue_keys(now: datetime) -> None:
    """Destroy keys that nobody claimed in time."""
    destroy_unclaimed_keys(now=now)


def find_lost_renewals(now: datetime) -> None:
    """Bring back renewals that a wrong clock lost."""
    plan_lost_renewals(now=now)


def rehearse_coming_renewals(now: datetime) -> datetime | None:
    """Rehearse what is due within 45 days, each once a night; goes on at once where there is more to do."""
    return now if rehearse_renewals(now=now) else None


def register_all() -> None:
    """Called once, when Django is ready."""
    register(Work(name="approvals", model=ApprovalRequest, do=work_off, finished=note_outcome, retry=RETRY))
    # A few at once only, for each may wait for the mail server.
    register(Work(name="approval-mails", model=ApprovalMail, do=tell_approver, retry=MAIL_RETRY, batch=5))
    register(
        Work(
            name="renewals",
            model=AutoRenewal,
            do=renew_automatically,
            together=renew_together,
            finished=keep_within_life,
            retry=Retry(first=timedelta(seconds=5), longest=timedelta(hours=1)),
            batch=50,
        )
    )
    register_job(Job("destroy-unclaimed-keys", Every(timedelta(hours=1)), destroy_overdue_keys))
    register_job(Job("find-lost-renewals", Every(timedelta(hours=1)), find_lost_renewals))
    register_job(Job("rehearse-renewals", Every(timedelta(minutes=15)), rehearse_coming_renewals))
    register_job(Job("renew-crls", Every(timedelta(minutes=5)), renew_crls))
    register_job(Job("measure-expiring", Every(timedelta(minutes=15)), measure_expiring))
    register_job(Job("measure-renewals", Every(timedelta(minutes=15)), measure_renewals))
    register_job(Job("delete-idempotency-records", Nightly(time(1, 40)), delete_idempotency_records))
