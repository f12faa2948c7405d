"""The way in: the list of projects, and the project of someone who has but one."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from pki_portal.access.permissions import projects_visible_to
from pki_portal.access.requester import Requester
from pki_portal.access.web.pages import signed_in_page


@signed_in_page
def home(request: HttpRequest, requester: Requester) -> HttpResponse:
    """Lead to the only project there is, else to the list of them."""
    found = list(projects_visible_to(requester)[:2])
    if len(found) == 1:
        return redirect("overview", found[0].slug)
    return redirect("projects")


@signed_in_page
def projects(request: HttpRequest, requester: Requester) -> HttpResponse:
    """Every project that the requester may see."""
    return render(request, "access/projects.html", {"projects": projects_visible_to(requester)})
