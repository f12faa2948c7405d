"""What the page of a request says of its approval, and which buttons it has."""

from collections.abc import Sequence
from dataclasses import dataclass

from certificates.models import ApprovalRequest, CertificateRequest
from certificates.models.request import RequestStatus
from certificates.services.approvals.acts import can_cancel
from certificates.services.approvals.changes import changes_since
from certificates.services.approvals.standing import (
    StepStanding,
    can_approve,
    can_reject,
    standing_of,
    with_requests,
)
from pki_portal.access.web.pages import Page
from profiles.policy.difference import differences
from profiles.web.history import Told, told


@dataclass(frozen=True, slots=True)
class Changed:
    """What of a profile or template is different from what judged the request, in words."""

    title: str
    differences: Sequence[Told]


@dataclass(frozen=True, slots=True)
class ApprovalPanel:
    """Steps with who agreed, what changed since, and what whoever looks may do."""

    row: ApprovalRequest
    steps: Sequence[StepStanding]
    current: int | None
    changes: Sequence[Changed]
    can_approve: bool
    can_reject: bool
    can_cancel: bool


def approval_of(page: Page, request: CertificateRequest) -> ApprovalPanel | None:
    """Of a request that waits or waited; None of one that never had to."""
    row = with_requests(ApprovalRequest.objects.filter(request=request)).first()
    if row is None:
        return None
    standing = standing_of(row)
    is_waiting = request.status == RequestStatus.PENDING_APPROVAL
    current = standing.current if is_waiting else None
    return ApprovalPanel(
        row=row,
        steps=standing.steps,
        current=None if current is None else current.number,
        changes=_changes(request) if is_waiting else (),
        can_approve=is_waiting and can_approve(row, page.requester),
        can_reject=is_waiting and can_reject(row, page.requester),
        can_cancel=(is_waiting or request.status == RequestStatus.PENDING) and can_cancel(row, page.requester),
    )


def _changes(request: CertificateRequest) -> list[Changed]:
    return [
        Changed(
            title=f"{change.rules.capitalize()} {change.after.name}, version {change.before.number} to"
            f" {change.after.number}",
            differences=[told(each) for each in differences(change.before.document, change.after.document)],
        )
        for change in changes_since(request)
    ]
