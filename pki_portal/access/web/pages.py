"""What every page of a project shares: who looks at which project, what they may do there, and refusals as pages."""

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied as ForbiddenPage
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_http_methods

from pki_portal.access.models import Project, Role
from pki_portal.access.permissions import ACTIONS_OF_ROLE, Action, memberships_of, projects_visible_to, require
from pki_portal.access.refusals import record_at_the_door
from pki_portal.access.requester import Requester, requester_of
from pki_portal.audit.services import recorded_refusals
from pki_portal.errors import Forbidden, NotFound, PermissionDenied, PortalError, Unauthenticated, Unavailable

logger = logging.getLogger(__name__)

# A portal with more projects than this is walked by the list of all projects.
SWITCHER_LENGTH = 12
PAGE_METHODS = ["GET", "HEAD", "POST"]
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class NavigationEntry:
    """One line of the project's navigation; ``view`` is a URL name that takes the project's slug, ``count`` how many
    things wait there for whoever looks.
    """

    section: str
    label: str
    icon: str
    view: str
    action: Action
    count: int = 0


NAVIGATION = (
    NavigationEntry("overview", "Overview", "overview", "overview", Action.PROJECTS_READ),
    NavigationEntry("certificates", "Certificates", "certificate", "certificates", Action.CERTIFICATES_READ),
    NavigationEntry("requests", "Requests", "request", "requests", Action.CERTIFICATE_REQUESTS_READ),
    NavigationEntry("approvals", "Approvals", "success", "approvals", Action.CERTIFICATE_REQUESTS_READ),
    NavigationEntry("profiles", "Profiles", "profile", "profiles", Action.CERTIFICATE_PROFILES_READ),
    NavigationEntry("templates", "Templates", "template", "templates", Action.CERTIFICATE_TEMPLATES_READ),
    NavigationEntry("authorities", "Authorities", "authority", "authorities", Action.CERTIFICATE_AUTHORITIES_READ),
    NavigationEntry("alerts", "Alerting", "alert", "alerts", Action.PKI_ALERTS_READ),
    NavigationEntry("incidents", "Incidents", "warning", "incidents", Action.CERTIFICATES_READ),
    NavigationEntry("audit-log", "Audit log", "audit", "audit-log", Action.AUDIT_LOG_READ),
)


# By section: what is counted there for a requester in a project. Applications above this one fill it when they start.
_counts: dict[str, Callable[[Requester, Project], int]] = {}


def count_in_navigation(section: str, count: Callable[[Requester, Project], int]) -> None:
    """Show beside an entry of the navigation how many things wait there; asked once a page."""
    _counts[section] = count


@dataclass(frozen=True)
class Page:
    """The frame of one page: project, requester, and which entry of the navigation it belongs to."""

    project: Project
    requester: Requester
    section: str

    @cached_property
    def may(self) -> Mapping[str, bool]:
        """The names of the actions that the requester may do here, for hiding what would be refused. One query."""
        if self.requester.is_unlimited:
            role = Role.ADMIN
        else:
            membership = memberships_of(self.requester).filter(project_id=self.project.pk).first()
            role = Role(membership.role) if membership else Role.NO_ACCESS
        return {action.name: True for action in ACTIONS_OF_ROLE[role]}

    @cached_property
    def navigation(self) -> list[NavigationEntry]:
        """What of the navigation the requester may open."""
        return [self._counted(entry) for entry in NAVIGATION if entry.action.name in self.may]

    @cached_property
    def projects(self) -> list[Project]:
        """The first projects for the switcher. One query."""
        return list(projects_visible_to(self.requester)[:SWITCHER_LENGTH])

    def _counted(self, entry: NavigationEntry) -> NavigationEntry:
        count = _counts.get(entry.section)
        return entry if count is None else replace(entry, count=count(self.requester, self.project))


View = Callable[..., HttpResponse]


def project_page(
    *, section: str, action: Action, event: str = ""
) -> Callable[[Callable[Concatenate[HttpRequest, Page, P], HttpResponse]], View]:
    """Make a view of ``(request, page, ...)`` into one of ``(request, slug, ...)`` for those who may do ``action``.

    A POST that the role does not include never reaches the service that would record it: it is recorded here, as
    ``event``, where the view is an act.
    """

    def decorate(view: Callable[Concatenate[HttpRequest, Page, P], HttpResponse]) -> View:
        @require_http_methods(PAGE_METHODS)
        @wraps(view)
        def answer(request: HttpRequest, slug: str, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            def of_project() -> HttpResponse:
                requester = requester_of(request)
                project = projects_visible_to(requester).filter(slug=slug).first()
                if project is None:
                    raise NotFound(f"Project {slug} was not found.")
                with _refused_act(request, requester, project, event):
                    require(requester=requester, action=action, project_id=project.pk)
                return view(request, Page(project=project, requester=requester, section=section), *args, **kwargs)

            return as_page(request, of_project)

        return answer

    return decorate


def _refused_act(
    request: HttpRequest, requester: Requester, project: Project, event: str
) -> AbstractContextManager[None]:
    if not event or request.method != "POST":
        return nullcontext()
    return recorded_refusals(
        event=event,
        actor=requester.actor,
        project_id=project.pk,
        subject_type="project",
        subject_id=str(project.pk),
        data={"page": request.path},
    )


def signed_in_page(view: Callable[Concatenate[HttpRequest, Requester, P], HttpResponse]) -> View:
    """Make a view of ``(request, requester, ...)`` into one for whoever is signed in, outside of every project."""

    @require_http_methods(PAGE_METHODS)
    @wraps(view)
    def answer(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        return as_page(request, lambda: view(request, requester_of(request), *args, **kwargs))

    return answer


def as_page(request: HttpRequest, view: Callable[[], HttpResponse]) -> HttpResponse:
    """The view's answer, or its refusal as a page; no answer is kept by a cache, for all of them are someone's own."""
    try:
        response = _recorded(request, view)
    except Unauthenticated:
        response = _to_login(request)
    except NotFound as error:
        raise Http404 from error
    except (PermissionDenied, Forbidden) as error:
        raise ForbiddenPage from error
    except Unavailable as error:
        if not error.is_recorded:
            logger.error("%s", error.message)
        response = _fault_page(request, error.message)
    except PortalError as error:
        response = render(request, "refused.html", {"message": error.message}, status=400)
    except (OperationalError, InterfaceError):
        logger.exception("the database failed")
        response = _fault_page(request, "The database does not answer; nothing was done. Try again.")
    patch_cache_control(response, private=True, no_store=True)
    return response


def _fault_page(request: HttpRequest, message: str) -> HttpResponse:
    return render(request, "refused.html", {"message": message, "is_fault": True}, status=503)


def _recorded(request: HttpRequest, view: Callable[[], HttpResponse]) -> HttpResponse:
    try:
        return view()
    except PortalError as refusal:
        record_at_the_door(request, refusal)
        raise


def _to_login(request: HttpRequest) -> HttpResponse:
    if request.headers.get("HX-Request"):
        # A redirect would be followed inside the page; the session has ended, so the whole page must go.
        return HttpResponse(headers={"HX-Refresh": "true"})
    return redirect_to_login(request.get_full_path())


def show(
    request: HttpRequest, page: Page, template: str, context: Mapping[str, Any], *, status: int = 200
) -> HttpResponse:
    """Render a page of a project."""
    return render(request, template, {**context, "page": page}, status=status)
