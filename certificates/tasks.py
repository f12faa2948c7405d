"""Background work on certificates and CAs; each job calls a service."""

import logging
from datetime import datetime, time, timedelta

from certificates.gauges import measure_expiring
from certificates.models import CertificateRevocationList, IdempotencyRecord
from certificates.services.crl import RENEWED_AFTER, current_crl
from certificates.services.idempotency import KEPT_FOR
from pki_portal.background.schedule import Every, Job, Nightly, register_job
from pki_portal.background.work import delete_in_batches
from pki_portal.errors import PortalError, Unavailable

logger = logging.getLogger(__name__)


def renew_crls(now: datetime) -> None:
    """Sign every CRL anew that has passed three quarters of its life, whether or not anybody asks for it.

    One that cannot be signed keeps no other waiting. Raises Unavailable at the end, naming how many those were.
    """
    published = CertificateRevocationList.objects.filter(der__isnull=False).order_by("next_update")
    failed = []
    for crl_id, this_update, next_update in published.values_list("pk", "this_update", "next_update"):
        if (
            this_update is None
            or next_update is None
            or now < this_update + (next_update - this_update) * RENEWED_AFTER
        ):
            continue
        try:
            if current_crl(crl_id=crl_id, now=now).next_update == next_update:
                failed.append(crl_id)
        except PortalError as problem:
            logger.warning("CRL %s could not be signed anew: %s", crl_id, problem.message)
            failed.append(crl_id)
    if failed:
        raise Unavailable(f"{len(failed)} CRLs could not be signed anew; the log says why.")


def delete_idempotency_records(now: datetime) -> None:
    """Delete records of Idempotency-Keys that are no longer kept."""
    delete_in_batches(IdempotencyRecord.objects.filter(created_at__lt=now - KEPT_FOR))


def register_jobs() -> None:
    """Called once, when Django is ready."""
    register_job(Job("renew-crls", Every(timedelta(minutes=5)), renew_crls))
    register_job(Job("measure-expiring", Every(timedelta(minutes=15)), measure_expiring))
    register_job(Job("delete-idempotency-records", Nightly(time(1, 40)), delete_idempotency_records))
