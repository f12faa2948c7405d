"""What people do with a request that waits: approve, reject, cancel."""

from contextlib import AbstractContextManager
from typing import Final

from django.db import transaction
from django.utils import timezone

from certificates.models import Approval, ApprovalRequest, CertificateRequest
from certificates.models.request import RequestStatus
from certificates.services.approvals.mails import plan_mails
from certificates.services.approvals.standing import (
    applicant_of,
    find_approval,
    is_own,
    require_approver,
    require_rejecter,
    standing_of,
    with_requests,
)
from pki_portal.access.permissions import Action, has_permission, require
from pki_portal.access.requester import Requester
from pki_portal.audit.services import JSON, record, recorded_refusals
from pki_portal.background.work import do_row, work_on
from pki_portal.errors import Conflict
from pki_portal.storable import storable

SUBJECT_TYPE: Final = "certificate-request"
CREATE_EVENT: Final = "approval-request-create"
APPROVE_EVENT: Final = "approval-request-approve"
REJECT_EVENT: Final = "approval-request-reject"
CANCEL_EVENT: Final = "approval-request-cancel"
EXPIRE_EVENT: Final = "approval-request-expire"
COMMENT_LIMIT: Final = 1000


def approve_request(*, requester: Requester, approval: ApprovalRequest, comment: str = "") -> ApprovalRequest:
    """Agree to a request at its current step; with the last approval the certificate is issued before this returns.

    What this told is committed: if the process dies after the last approval, the worker issues. Whether the certificate
    could be issued is in the request's status, not in an exception: the approval stands either way.

    Raises:
        PermissionDenied, NotFound: the requester may not see the request.
        Forbidden: the requester is no approver of the current step, or who asked, or agreed before; or who asked may no
            longer issue there.
        Conflict: it does not wait any more.
    """
    comment = storable(comment)[:COMMENT_LIMIT]
    with _refusals(APPROVE_EVENT, requester, approval):
        require(requester=requester, action=Action.CERTIFICATE_REQUESTS_READ, project_id=approval.request.project_id)
        with transaction.atomic():
            row = _locked(approval)
            now = timezone.now()
            _require_waiting(row)
            if row.expires_at <= now:
                raise Conflict(f"This request expired at {row.expires_at:%Y-%m-%d %H:%M:%S} UTC.")
            applicant_of(row)
            step, user_id = require_approver(row, requester)
            Approval.objects.create(
                approval_request=row,
                step=step.number,
                user_id=user_id,
                user_name=requester.name[:255],
                comment=comment,
            )
            row = with_requests(ApprovalRequest.objects.filter(pk=row.pk)).get()
            is_complete = standing_of(row).current is None
            if is_complete:
                _change_status(row, RequestStatus.PENDING)
                ApprovalRequest.objects.filter(pk=row.pk).update(approved_at=now, due_at=now)
            else:
                plan_mails(row, now)
            _record(APPROVE_EVENT, requester, row, step=step.number + 1, comment=comment, isComplete=is_complete)
    if is_complete:
        do_row(work_on(ApprovalRequest), row.pk)
    return with_requests(ApprovalRequest.objects.filter(pk=row.pk)).get()


def reject_request(*, requester: Requester, approval: ApprovalRequest, comment: str = "") -> ApprovalRequest:
    """End a request that waits; for whoever is an approver at any of its steps.

    Raises as :func:`approve_request`.
    """
    comment = storable(comment)[:COMMENT_LIMIT]
    with _refusals(REJECT_EVENT, requester, approval):
        require(requester=requester, action=Action.CERTIFICATE_REQUESTS_READ, project_id=approval.request.project_id)
        with transaction.atomic():
            row = _locked(approval)
            _require_waiting(row)
            require_rejecter(row, requester)
            told = f"Rejected by {requester.name}" + (f": {comment}" if comment else ".")
            _close(row, requester, RequestStatus.REJECTED, told, comment)
            _record(REJECT_EVENT, requester, row, comment=comment)
    return find_approval(requester=requester, approval_id=approval.pk)


def cancel_request(*, requester: Requester, approval: ApprovalRequest, comment: str = "") -> ApprovalRequest:
    """Take a request back, approved or not, as long as it is not issued: for who asked and for who may edit requests.

    Raises:
        PermissionDenied, NotFound: the requester is neither.
        Conflict: it was settled.
    """
    comment = storable(comment)[:COMMENT_LIMIT]
    with _refusals(CANCEL_EVENT, requester, approval):
        needed = Action.CERTIFICATE_REQUESTS_READ if is_own(approval, requester) else Action.CERTIFICATE_REQUESTS_EDIT
        require(requester=requester, action=needed, project_id=approval.request.project_id)
        with transaction.atomic():
            row = _locked(approval)
            _require_waiting(row, RequestStatus.PENDING_APPROVAL, RequestStatus.PENDING)
            told = f"Cancelled by {requester.name}" + (f": {comment}" if comment else ".")
            _close(row, requester, RequestStatus.CANCELLED, told, comment)
            _record(CANCEL_EVENT, requester, row, comment=comment)
    return find_approval(requester=requester, approval_id=approval.pk)


def can_cancel(row: ApprovalRequest, requester: Requester) -> bool:
    """Whether :func:`cancel_request` would let the requester, as long as the request waits."""
    return is_own(row, requester) or has_permission(
        requester=requester, action=Action.CERTIFICATE_REQUESTS_EDIT, project_id=row.request.project_id
    )


def _locked(approval: ApprovalRequest) -> ApprovalRequest:
    """The row, locked until the caller's transaction ends, with its request as it stands then."""
    ApprovalRequest.objects.select_for_update(no_key=True).get(pk=approval.pk)
    return with_requests(ApprovalRequest.objects.filter(pk=approval.pk)).get()


def _require_waiting(row: ApprovalRequest, *states: RequestStatus) -> None:
    if row.request.status not in (states or (RequestStatus.PENDING_APPROVAL,)):
        label = RequestStatus(row.request.status).label.lower()
        raise Conflict(f"This request does not wait for approval any more: {label}.")


def _change_status(row: ApprovalRequest, status: RequestStatus, **columns: str) -> None:
    """From whatever the locked row says."""
    changed = CertificateRequest.objects.filter(pk=row.request_id, status=row.request.status)
    if changed.update(status=status, updated_at=timezone.now(), **columns) != 1:
        raise Conflict("This request was settled by another process; look at what came of it.", retry_after=1)


def _close(row: ApprovalRequest, requester: Requester, status: RequestStatus, told: str, comment: str) -> None:
    _change_status(row, status, error_message=storable(told))
    ApprovalRequest.objects.filter(pk=row.pk).update(
        closed_at=timezone.now(),
        closed_by=requester.name[:255],
        comment=comment,
        due_at=None,
    )


def _record(event: str, requester: Requester, row: ApprovalRequest, **data: JSON) -> None:
    record(
        event=event,
        actor=requester.actor,
        project_id=row.request.project_id,
        subject_type=SUBJECT_TYPE,
        subject_id=str(row.request_id),
        data=_told(row) | data,
    )


def _refusals(event: str, requester: Requester, row: ApprovalRequest) -> AbstractContextManager[None]:
    return recorded_refusals(
        event=event,
        actor=requester.actor,
        project_id=row.request.project_id,
        subject_type=SUBJECT_TYPE,
        subject_id=str(row.request_id),
        data=_told(row),
    )


def _told(row: ApprovalRequest) -> dict[str, JSON]:
    return {
        "approvalRequestId": str(row.pk),
        "profileName": row.request.profile_slug,
        "commonName": row.request.common_name,
        "requesterName": row.request.requester_name,
    }
