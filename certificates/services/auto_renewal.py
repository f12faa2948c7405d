"""What the worker does with a certificate whose renewal is due."""

import logging
from datetime import datetime, timedelta
from typing import Final

from certificates.models import AutoRenewal, Certificate
from certificates.models.certificate import CertificateStatus, RevocationReason
from certificates.services.renewal import AUTOMATED_EVENT, keep_error, renew_certificate
from certificates.services.succession import successor_id
from pki_portal.access.requester import system_requester
from pki_portal.background.work import Outcome
from pki_portal.errors import Conflict, PortalError, Unavailable
from pki_portal.metrics import RENEWALS, count

logger = logging.getLogger(__name__)

RENEWER: Final = system_requester("automatic renewal")
# What rules refuse is judged again this often, so that to mend a template or a CA is enough.
JUDGED_AGAIN: Final = timedelta(days=1)


def renew_automatically(row: AutoRenewal, now: datetime) -> datetime | None:
    """Renew the certificate of a due row; when it is due again, or None when there is nothing left to renew.

    Idempotent: a certificate that has a successor, is revoked, has ended or no longer renews by itself is left alone.
    A refusal stands on the certificate as its ``renewal_error``. Raises Conflict, Unavailable: try again soon.
    """
    certificate = Certificate.objects.select_related("request", "profile", "authority").get(pk=row.pk)
    if certificate.renew_at is None or certificate.not_after <= now or successor_id(certificate.pk):
        return None
    if certificate.status == CertificateStatus.REVOKED:
        is_on_hold = certificate.revocation_reason == RevocationReason.CERTIFICATE_HOLD
        return _again(certificate, now) if is_on_hold else None
    try:
        renew_certificate(certificate=certificate, requester=RENEWER, event=AUTOMATED_EVENT)
    except (Conflict, Unavailable):
        count(RENEWALS, outcome="failed")
        raise
    except PortalError as refusal:
        count(RENEWALS, outcome="refused")
        keep_error(certificate, refusal)
        logger.warning("certificate %s is not renewed: %s", certificate.pk, refusal.message)
        return _again(certificate, now)
    count(RENEWALS, outcome="renewed")
    return None


def keep_within_life(row: AutoRenewal, outcome: Outcome, now: datetime) -> None:
    """Have a renewal that failed tried again while the certificate lives, in the transaction that ends the attempt."""
    if outcome is not Outcome.FAILED:
        return
    again = _again(Certificate.objects.only("not_after").get(pk=row.pk), now)
    AutoRenewal.objects.filter(pk=row.pk, due_at__gt=again).update(due_at=again)


def _again(certificate: Certificate, now: datetime) -> datetime:
    """In a day, or halfway to the end where that is sooner; the end itself tells that it is over."""
    left = certificate.not_after - now
    return certificate.not_after if left < timedelta(seconds=2) else now + min(JUDGED_AGAIN, left / 2)
