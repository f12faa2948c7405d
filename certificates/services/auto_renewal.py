"""What the worker does with a certificate whose renewal is due."""

import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Final
from uuid import UUID

from django.db.models import F, Q, QuerySet

from certificates.models import AutoRenewal, Certificate
from certificates.models.certificate import CertificateStatus, RevocationReason
from certificates.services.issuance import BatchItem, BatchTooSlow, IssuedCertificate, issue_certificates
from certificates.services.renewal import AUTOMATED_EVENT, keep_error, renew_certificate, renewal_item
from certificates.services.succession import plan_auto_renewal, successor_id
from pki_portal.access.remembering import remembering
from pki_portal.access.requester import system_requester
from pki_portal.background.work import Outcome
from pki_portal.errors import Conflict, Invalid, PortalError, Unavailable
from pki_portal.metrics import RENEWALS, count
from profiles.policy.renewal import DAY

logger = logging.getLogger(__name__)

RENEWER: Final = system_requester("automatic renewal")
# What rules refuse is judged again this often, so that to mend a template or a CA is enough.
JUDGED_AGAIN: Final = timedelta(days=1)


def renew_automatically(row: AutoRenewal, now: datetime) -> datetime | None:
    """Renew the certificate of a due row; when it is due again, or None when there is nothing left to renew.

    Idempotent: a certificate that has a successor, is revoked, has ended or no longer renews by itself is left alone.
    A refusal stands on the certificate as its ``renewal_error``, and so does that it came too late.
    Raises Conflict, Unavailable: try again soon.
    """
    certificate = Certificate.objects.select_related("request", "profile", "authority").get(pk=row.pk)
    if certificate.renew_at is None or successor_id(certificate.pk):
        return None
    if certificate.not_after <= now:
        _keep_too_late(certificate, row)
        return None
    if certificate.status == CertificateStatus.REVOKED:
        is_on_hold = certificate.revocation_reason == RevocationReason.CERTIFICATE_HOLD
        return _again(certificate, now) if is_on_hold else None
    try:
        with remembering():
            renew_certificate(certificate=certificate, requester=RENEWER, event=AUTOMATED_EVENT)
    except (Conflict, Unavailable):
        count(RENEWALS, outcome="failed")
        raise
    except PortalError as refusal:
        return _refused(certificate, refusal, now)
    count(RENEWALS, outcome="renewed")
    return None


def renew_together(rows: Sequence[AutoRenewal], now: datetime) -> Collection[UUID]:
    """Renew in one transaction what can be renewed as it stands; the keys of the rows that this settled, be it by a
    refusal.

    What stands in the way of one, or has to be told of it, is left to :func:`renew_automatically`, and so are all where
    one of them was renewed or revoked in this moment, or a key cannot be used.
    """
    certificates = renewable(now).filter(pk__in=[row.pk for row in rows])
    settled: set[UUID] = set()
    due = {row.pk: row.due_at for row in rows}
    with remembering():
        for project_id, of_project in groupby(certificates.order_by("project_id", "pk"), key=attrgetter("project_id")):
            items = {}
            for certificate in of_project:
                with suppress(PortalError):
                    items[certificate.pk] = renewal_item(certificate, requester=RENEWER, event=AUTOMATED_EVENT)
            try:
                outcomes = issue_certificates(project_id=project_id, requester=RENEWER, items=list(items.values()))
            except PortalError as problem:
                logger.warning("%s renewals could not be made at once: %s", len(items), problem.message)
                continue
            for key, outcome in zip(items, outcomes, strict=True):
                settled |= _settle(items[key], outcome, due[key], now)
    return settled


def _settle(
    item: BatchItem, outcome: IssuedCertificate | PortalError, due_at: datetime | None, now: datetime
) -> set[UUID]:
    assert item.succession is not None  # noqa: S101 - for the type checker
    certificate = item.succession.predecessor
    if isinstance(outcome, Conflict | Unavailable | BatchTooSlow):
        return set()
    if isinstance(outcome, PortalError):
        again = _refused(certificate, outcome, now)
        # Somebody wanted it at another time while it was judged: that stands.
        AutoRenewal.objects.filter(pk=certificate.pk, due_at=due_at).update(due_at=again)
    else:
        count(RENEWALS, outcome="renewed")
    return {certificate.pk}


def renewable(now: datetime) -> QuerySet[Certificate]:
    """What renews by itself and nothing is known to stand in the way of."""
    return Certificate.objects.select_related("request").filter(
        renew_at__isnull=False, status=CertificateStatus.ACTIVE, not_after__gt=now, renewed_by__isnull=True
    )


def _refused(certificate: Certificate, refusal: PortalError, now: datetime) -> datetime | None:
    """Keep on the certificate why it was not renewed; when to try again, None where somebody else just renewed it."""
    if successor_id(certificate.pk):
        return None
    count(RENEWALS, outcome="refused")
    keep_error(certificate, refusal)
    logger.warning("certificate %s is not renewed: %s", certificate.pk, refusal.message)
    return _again(certificate, now)


def keep_within_life(row: AutoRenewal, outcome: Outcome, now: datetime) -> None:
    """Have a renewal that failed tried again while the certificate lives, in the transaction that ends the attempt."""
    if outcome is not Outcome.FAILED:
        return
    again = _again(Certificate.objects.only("not_after").get(pk=row.pk), now)
    AutoRenewal.objects.filter(pk=row.pk, due_at__gt=again).update(due_at=again)


def plan_lost_renewals(*, now: datetime) -> int:
    """Plan anew what nothing would come back to although it renews by itself and has not ended; how many that were.

    A clock that was ahead for a while leaves such: it made the worker think that a certificate had ended, or put a
    renewal off.
    """
    renewing = renewable(now)
    # Chance puts a renewal off by a day at most, and so does a refusal.
    is_far_off = Q(auto_renewal__due_at__gt=F("renew_at") + 2 * DAY) & Q(auto_renewal__due_at__gt=now + 2 * DAY)
    lost = list(renewing.filter(Q(auto_renewal__due_at__isnull=True) | is_far_off).order_by())
    for certificate in lost:
        logger.warning("the renewal of certificate %s was lost and is planned anew", certificate.pk)
        plan_auto_renewal(certificate)
    return len(lost)


def _keep_too_late(certificate: Certificate, row: AutoRenewal) -> None:
    """Say on the certificate why it has no successor, unless a refusal stands there."""
    if certificate.status == CertificateStatus.ACTIVE and not certificate.renewal_error:
        count(RENEWALS, outcome="too late")
        why = f"the last attempt failed: {row.last_error}" if row.last_error else "no worker came to it in time."
        keep_error(certificate, Invalid(f"The certificate ended before it was renewed; {why}"))
        logger.warning("certificate %s ended before it was renewed", certificate.pk)


def _again(certificate: Certificate, now: datetime) -> datetime:
    """In a day, or halfway to the end where that is sooner; the end itself tells that it is over."""
    left = certificate.not_after - now
    return certificate.not_after if left < timedelta(seconds=2) else now + min(JUDGED_AGAIN, left / 2)
