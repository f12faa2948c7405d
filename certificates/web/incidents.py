"""Pages of incidents: what is replaced now, and how far that is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from certificates.models import AffectedCertificate, CertificateAuthority, CertificateRequest
from certificates.services.incidents import (
    CLOSE_EVENT,
    DECLARE_EVENT,
    AffectedState,
    affected_by,
    close_incident,
    declare_incident,
    find_incident,
    incidents_visible_to,
    preview_incident,
    progress_of,
)
from certificates.web.incident_form import IncidentForm
from certificates.web.states import CertificateLine, line_of
from pki_portal.access.models import Project
from pki_portal.access.permissions import Action
from pki_portal.access.web.pages import Page, project_page, show
from pki_portal.errors import Invalid, PermissionDenied, PortalError
from profiles.models import CertificateProfile, CertificateTemplate

A_PAGE = 25


@project_page(section="incidents", action=Action.CERTIFICATES_READ)
def incidents(request: HttpRequest, page: Page) -> HttpResponse:
    """Newest first, each with how far it is."""
    now = timezone.now()
    page_obj = Paginator(incidents_visible_to(page.requester, page.project), A_PAGE).get_page(request.GET.get("page"))
    lines = [(incident, progress_of(incident, now)) for incident in page_obj]
    return show(request, page, "certificates/incidents.html", {"page_obj": page_obj, "lines": lines})


@project_page(section="incidents", action=Action.CERTIFICATES_REVOKE, event=DECLARE_EVENT)
def declare(request: HttpRequest, page: Page) -> HttpResponse:
    """GET shows the form; POST what is affected, and declares it once that was looked at."""
    now = timezone.now()
    form = IncidentForm(request.POST if request.method == "POST" else None, project=page.project)
    context: dict[str, Any] = {"form": form, "affected": None}
    status = 422 if form.is_bound else 200
    if form.is_bound and form.is_valid():
        try:
            if request.POST.get("previewed") == form.previewed:
                incident = declare_incident(
                    requester=page.requester,
                    project=page.project,
                    reason=form.cleaned_data["reason"],
                    criteria=form.criteria,
                    over=form.cleaned_data["replace_within"],
                )
                messages.success(request, f"{incident.affected.count()} certificates are to be replaced.")
                return redirect("incident", page.project.slug, incident.pk)
            affected = preview_incident(requester=page.requester, project=page.project, criteria=form.criteria)
        except PermissionDenied:
            raise
        except PortalError as error:
            form.refuse(error)
        else:
            status = 200
            context |= {"affected": affected, "lines": [line_of(each, now) for each in affected.first]}
    return show(request, page, "certificates/declare_incident.html", context, status=status)


@project_page(section="incidents", action=Action.CERTIFICATES_READ)
def incident(request: HttpRequest, page: Page, incident_id: UUID) -> HttpResponse:
    """What it is about, how far it is, and its certificates; ``state`` narrows them."""
    now = timezone.now()
    found = find_incident(requester=page.requester, project_id=page.project.pk, incident_id=incident_id)
    asked = request.GET.get("state", "")
    state = AffectedState(asked) if asked in set(AffectedState) else None
    members = affected_by(found, state=state, now=now).select_related("certificate__auto_renewal")
    page_obj = Paginator(members, A_PAGE).get_page(request.GET.get("page"))
    context = {
        "incident": found,
        "progress": progress_of(found, now),
        "criteria": _in_words(page.project, found.criteria),
        "state": state or "",
        "page_obj": page_obj,
        "lines": [_line(each, now) for each in page_obj],
    }
    return show(request, page, "certificates/incident.html", context)


@require_POST
@project_page(section="incidents", action=Action.CERTIFICATES_REVOKE, event=CLOSE_EVENT)
def close(request: HttpRequest, page: Page, incident_id: UUID) -> HttpResponse:
    """Replace nothing more because of it."""
    found = find_incident(requester=page.requester, project_id=page.project.pk, incident_id=incident_id)
    try:
        close_incident(requester=page.requester, incident=found)
        messages.success(request, "The incident is closed: what still waits is renewed on its own day again.")
    except Invalid as refusal:
        messages.error(request, refusal.message)
    return redirect("incident", page.project.slug, found.pk)


@dataclass(frozen=True, slots=True)
class AffectedLine:
    """One affected certificate: ``state`` is ``renewed``, ``waiting``, ``failed`` or what ended it; ``reason`` of what
    stands in the way.
    """

    member: AffectedCertificate
    line: CertificateLine
    state: str
    reason: str = ""
    successor_id: UUID | None = None
    renews_by_itself: bool = False


def _line(member: Any, now: datetime) -> AffectedLine:
    """Of a row of :func:`affected_by`."""
    certificate = member.certificate
    line = line_of(certificate, now)
    if member.successor_id is not None:
        return AffectedLine(member, line, "renewed", successor_id=member.successor_id)
    if line.status not in {"active", "expiring"}:
        return AffectedLine(member, line, line.status)
    renewal = getattr(certificate, "auto_renewal", None)
    state = "failed" if certificate.renewal_error else "waiting"
    reason = certificate.renewal_error or (renewal.last_error if renewal else "")
    return AffectedLine(member, line, state, reason, renews_by_itself=member.renews_by_itself)


def _in_words(project: Project, criteria: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """What picked the certificates, by the names that things have now; of what is gone its id."""
    named: Mapping[str, tuple[str, type[Model], str]] = {
        "authority_id": ("CA", CertificateAuthority, "name"),
        "profile_id": ("Profile", CertificateProfile, "slug"),
        "template_id": ("Template", CertificateTemplate, "name"),
    }
    for name, value in criteria.items():
        if name in named:
            label, model, column = named[name]
            found = model._default_manager.filter(pk=value, project=project).values_list(column, flat=True).first()
            yield label, found or value
        elif name == "requester_id":
            asked = CertificateRequest.objects.filter(project=project, requester_id=value)
            yield "Requester", asked.values_list("requester_name", flat=True).first() or value
        elif name == "certificate_ids":
            yield "Certificates", f"{len(value)} named one by one"
        else:
            yield "Key", value
