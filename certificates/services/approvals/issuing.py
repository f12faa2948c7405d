"""What the worker does with approvals: it issues what was approved, and ends what nobody agreed to in time.

The process that takes the last approval does the same at once, under the same lease.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Final

from django.db import transaction
from django.utils import timezone

from certificates.models import ApprovalRequest, CertificateRequest
from certificates.models.request import RequestStatus
from certificates.services.approvals.acts import EXPIRE_EVENT, SUBJECT_TYPE
from certificates.services.approvals.mails import plan_mails
from certificates.services.approvals.standing import Standing, applicant_of, standing_of, with_requests
from certificates.services.issuance import ISSUE_EVENT, issue_certificate
from certificates.services.requests import Approved, request_of
from pki_portal.access.requester import system_requester
from pki_portal.audit.services import JSON, record, record_refusal
from pki_portal.background.work import Outcome, Retry
from pki_portal.errors import Forbidden, Invalid, Malformed, NotFound, PermissionDenied, Violation
from pki_portal.storable import storable, storable_json
from profiles.enrollment import EnrollmentMethod
from profiles.models import CertificateProfile
from profiles.querysets import with_relations

# Something passing stands in the way (the CA's key, a rule changed at that moment): about two days in all.
RETRY: Final = Retry(attempts=60)
_FOR_GOOD: Final = (Forbidden, Invalid, Malformed, NotFound, PermissionDenied)


def work_off(row: ApprovalRequest, now: datetime) -> datetime | None:
    """Issue an approved request, or end one that waited too long; when to look again.

    Raises a PortalError where trying again may help.
    """
    row = with_requests(ApprovalRequest.objects.filter(pk=row.pk)).get()
    if row.request.status == RequestStatus.PENDING_APPROVAL:
        return _expire(row, now)
    if row.request.status != RequestStatus.PENDING:
        return None
    standing = standing_of(row)
    if standing.current is not None:
        return _wait_again(row, now)
    try:
        _issue(row, standing)
    except _FOR_GOOD as refusal:
        record_refusal(
            refusal,
            event=ISSUE_EVENT,
            actor=system_requester("worker").actor,
            project_id=row.request.project_id,
            subject_type=SUBJECT_TYPE,
            subject_id=str(row.request_id),
            data={"profileName": row.request.profile_slug},
        )
        _fail(row, refusal.message, refusal.violations)
    return None


def note_outcome(row: ApprovalRequest, outcome: Outcome, now: datetime) -> None:
    """Tell on the request that its certificate was given up, in the transaction that ends the last attempt."""
    if outcome is Outcome.GAVE_UP:
        row.refresh_from_db(fields=["last_error"])
        _fail(row, row.last_error)


def _fail(row: ApprovalRequest, reason: str, violations: Sequence[Violation] = ()) -> None:
    """End an approved request; where rules refused it, that is written already, with the decision."""
    CertificateRequest.objects.filter(pk=row.request_id, status=RequestStatus.PENDING).update(
        status=RequestStatus.FAILED,
        error_message=storable(reason),
        violations=storable_json([asdict(each) for each in violations]),
        updated_at=timezone.now(),
    )


def _issue(row: ApprovalRequest, standing: Standing) -> None:
    """The one road, as who asked, by the rules of now. Raises as it does."""
    request = row.request
    applicant = applicant_of(row)
    profile = with_relations(CertificateProfile.objects.filter(certificate_requests=request)).first()
    if profile is None:
        raise NotFound(f"Certificate profile {request.profile_slug} was deleted while the request waited.")
    issue_certificate(
        profile=profile,
        request=request_of(request),
        requester=applicant,
        method=EnrollmentMethod(request.method),
        metadata=request.metadata,
        approved=Approved(request, approvals_as_data(standing)),
    )


def approvals_as_data(standing: Standing) -> tuple[dict[str, JSON], ...]:
    """Who agreed, when and at which step, for the records of the certificate."""
    return tuple(
        {
            "step": step.number + 1,
            "userId": str(each.approval.user_id),
            "name": each.approval.user_name,
            "comment": each.approval.comment,
            "at": each.approval.created_at.isoformat(),
        }
        for step in standing.steps
        for each in step.approvals
        if each.counts
    )


def _expire(row: ApprovalRequest, now: datetime) -> datetime | None:
    if row.expires_at > now:
        return row.expires_at
    told = f"Nobody who could agreed before {row.expires_at:%Y-%m-%d %H:%M:%S} UTC; the request expired."
    with transaction.atomic():
        waiting = CertificateRequest.objects.filter(pk=row.request_id, status=RequestStatus.PENDING_APPROVAL)
        if waiting.update(status=RequestStatus.EXPIRED, error_message=told, updated_at=now) == 1:
            record(
                event=EXPIRE_EVENT,
                actor=system_requester("worker").actor,
                project_id=row.request.project_id,
                subject_type=SUBJECT_TYPE,
                subject_id=str(row.request_id),
                data={"approvalRequestId": str(row.pk), "profileName": row.request.profile_slug},
            )
    return None


def _wait_again(row: ApprovalRequest, now: datetime) -> datetime:
    """An approver left before the certificate was issued: their step is open again."""
    with transaction.atomic():
        approved = CertificateRequest.objects.filter(pk=row.request_id, status=RequestStatus.PENDING)
        if approved.update(status=RequestStatus.PENDING_APPROVAL, updated_at=timezone.now()) == 1:
            ApprovalRequest.objects.filter(pk=row.pk).update(approved_at=None)
            plan_mails(row, now)
    return row.expires_at
