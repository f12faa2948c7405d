"""What was asked, issued or not."""

from functools import partial
from uuid import UUID

from django.http import HttpRequest, HttpResponse

from certificates.models import CertificateRequest
from certificates.models.request import RequestStatus
from certificates.querysets import (
    RequestFilters,
    id_in,
    narrowed_requests,
    requests_for_list,
    requests_visible_to,
)
from certificates.services.retrieval import find_request
from certificates.tallies import count_requests
from certificates.web.approval_panel import approval_of
from pki_portal.access.permissions import Action
from pki_portal.access.web.lists import page_of, told_total
from pki_portal.access.web.pages import Page, project_page, show
from pki_portal.errors import NotFound
from profiles.querysets import profiles_visible_to

REQUESTS_A_PAGE = 20


@project_page(section="requests", action=Action.CERTIFICATE_REQUESTS_READ)
def requests(request: HttpRequest, page: Page) -> HttpResponse:
    """Newest first; ``search``, ``status`` and ``profile`` narrow the table, alone for htmx."""
    status, profile = request.GET.get("status", ""), request.GET.get("profile", "")
    profile_id = id_in(profile)
    filters = RequestFilters(
        search=request.GET.get("search", "").replace("\x00", ""),
        status=RequestStatus(status) if status in RequestStatus.values else None,
        profile_ids=(profile_id,) if profile_id else (),
    )
    found = requests_for_list(narrowed_requests(requests_visible_to(page.requester, page.project), filters))
    listed = page_of(found, request, size=REQUESTS_A_PAGE)
    count = partial(count_requests, project_id=page.project.pk, filters=filters)
    context = {
        "listed": listed,
        "total": told_total(listed, found, count if filters.is_tallied else None),
        "search": filters.search,
        "status": status,
        "profile": profile,
        "statuses": RequestStatus.choices,
        "is_narrowed": filters != RequestFilters(),
    }
    if request.headers.get("HX-Target") == "requests":
        return show(request, page, "certificates/requests_table.html", context)
    profiles = profiles_visible_to(page.requester, page.project).order_by("slug")
    return show(request, page, "certificates/requests.html", {**context, "profiles": profiles})


@project_page(section="requests", action=Action.CERTIFICATE_REQUESTS_READ)
def request_detail(request: HttpRequest, page: Page, request_id: UUID) -> HttpResponse:
    """What was asked, by whom, and every reason of a refusal."""
    found = find_request_of(page, request_id)
    return show(
        request,
        page,
        "certificates/request.html",
        {
            "asked": found,
            "as_asked": {name: value for name, value in found.asked.items() if value is not None},
            "certificate": getattr(found, "certificate", None),
            "approval": approval_of(page, found),
        },
    )


def find_request_of(page: Page, request_id: UUID) -> CertificateRequest:
    """The request, if it is of the page's project. Raises NotFound, PermissionDenied."""
    found = find_request(requester=page.requester, request_id=request_id)
    if found.project_id != page.project.pk:
        raise NotFound("There is no such request in this project.")
    return found
