"""The audit log of a project, read only. It stands here, for the log itself knows neither projects nor requesters."""

from django.http import HttpRequest, HttpResponse

from pki_portal.access.permissions import Action
from pki_portal.access.web.lists import page_of, told_total
from pki_portal.access.web.pages import Page, project_page, show
from pki_portal.audit.models import AuditEvent, Outcome

EVENTS_A_PAGE = 50


@project_page(section="audit-log", action=Action.AUDIT_LOG_READ)
def audit_log(request: HttpRequest, page: Page) -> HttpResponse:
    """Newest events first; ``outcome`` and ``search`` (event, actor or subject) narrow them."""
    events = AuditEvent.objects.filter(project_id=page.project.pk)
    outcome = request.GET.get("outcome", "")
    if outcome in Outcome.values:
        events = events.filter(outcome=outcome)
    search = request.GET.get("search", "").replace("\x00", "").strip()
    if search:
        events = (
            events.filter(event__icontains=search)
            | events.filter(actor_name__icontains=search)
            | events.filter(subject_id__icontains=search)
        )
    listed = page_of(events, request, size=EVENTS_A_PAGE)
    template = "audit/events.html" if request.headers.get("HX-Target") == "events" else "audit/audit_log.html"
    context = {"listed": listed, "total": told_total(listed, events), "search": search, "outcome": outcome}
    return show(request, page, template, context)
