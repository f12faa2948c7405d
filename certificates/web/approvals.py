"""Pages of approvals: what waits, and what people do about it."""

from collections.abc import Callable, Iterable
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from certificates.models import ApprovalRequest
from certificates.models.request import RequestStatus
from certificates.services.approvals.acts import (
    APPROVE_EVENT,
    CANCEL_EVENT,
    REJECT_EVENT,
    approve_request,
    cancel_request,
    reject_request,
)
from certificates.services.approvals.standing import approvals_visible_to, standings_of, waiting_for
from certificates.web.requests import find_request_of
from pki_portal.access.permissions import Action
from pki_portal.access.web.pages import Page, project_page, show
from pki_portal.errors import Conflict, Forbidden, NotFound

APPROVALS_A_PAGE = 20


@project_page(section="approvals", action=Action.CERTIFICATE_REQUESTS_READ)
def approvals(request: HttpRequest, page: Page) -> HttpResponse:
    """What waits for whoever looks, then everything else that waits."""
    mine = waiting_for(page.requester, page.project)
    waiting = approvals_visible_to(page.requester, page.project).filter(request__status=RequestStatus.PENDING_APPROVAL)
    others = waiting.exclude(pk__in=[row.pk for row in mine])
    page_obj = Paginator(others, APPROVALS_A_PAGE).get_page(request.GET.get("page"))
    context = {"mine": _lines(mine), "others": _lines(page_obj.object_list), "page_obj": page_obj}
    return show(request, page, "certificates/approvals.html", context)


@require_POST
@project_page(section="approvals", action=Action.CERTIFICATE_REQUESTS_READ, event=APPROVE_EVENT)
def approve(request: HttpRequest, page: Page, request_id: UUID) -> HttpResponse:
    """Agree; with the last approval the certificate is issued."""
    row = _act(request, page, request_id, approve_request)
    if row is not None and row.request.status == RequestStatus.PENDING_APPROVAL:
        messages.success(request, "Approved. Others must agree as well.")
    elif row is not None and row.request.status == RequestStatus.ISSUED:
        messages.success(request, "Approved, and the certificate was issued.")
    elif row is not None and row.request.status == RequestStatus.PENDING:
        messages.warning(request, f"Approved. The certificate is not issued yet, and tried again: {row.last_error}")
    elif row is not None:
        messages.error(request, f"Approved, but nothing was issued: {row.request.error_message}")
    return redirect("request", page.project.slug, request_id)


@require_POST
@project_page(section="approvals", action=Action.CERTIFICATE_REQUESTS_READ, event=REJECT_EVENT)
def reject(request: HttpRequest, page: Page, request_id: UUID) -> HttpResponse:
    """Refuse, for good."""
    if _act(request, page, request_id, reject_request) is not None:
        messages.success(request, "The request was rejected.")
    return redirect("request", page.project.slug, request_id)


@require_POST
@project_page(section="approvals", action=Action.CERTIFICATE_REQUESTS_READ, event=CANCEL_EVENT)
def cancel(request: HttpRequest, page: Page, request_id: UUID) -> HttpResponse:
    """Take back what is not issued yet."""
    if _act(request, page, request_id, cancel_request) is not None:
        messages.success(request, "The request was cancelled.")
    return redirect("request", page.project.slug, request_id)


def _act(
    request: HttpRequest, page: Page, request_id: UUID, do: Callable[..., ApprovalRequest]
) -> ApprovalRequest | None:
    """Do it with the comment that was typed; None where it was refused, which the page tells."""
    found = find_request_of(page, request_id)
    row = ApprovalRequest.objects.select_related("request").filter(request=found).first()
    if row is None:
        raise NotFound("This request waits for no approval.")
    comment = request.POST.get("comment", "").replace("\x00", "").strip()
    try:
        return do(requester=page.requester, approval=row, comment=comment)
    except (Conflict, Forbidden) as refusal:
        messages.error(request, refusal.message)
        return None


def _lines(rows: Iterable[ApprovalRequest]) -> list[dict[str, object]]:
    """Requests in the tables, with whom they wait for. Two queries beside the rows."""
    found = list(rows)
    steps = {key: known.standing.current for key, known in standings_of(found).items()}
    return [{"row": row, "waits_for": str(step.step) if (step := steps[row.pk]) else ""} for row in found]
