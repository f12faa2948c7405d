"""Pages of certificate templates."""

from dataclasses import asdict
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from pki_portal.access.permissions import Action
from pki_portal.access.web.pages import Page, project_page, show
from pki_portal.errors import NotFound, PortalError
from profiles.models import CertificateTemplate
from profiles.presets import PRESETS, preset_named
from profiles.querysets import templates_matching, templates_visible_to
from profiles.services import (
    create_template,
    delete_template,
    find_template,
    preview_template,
    template_risks,
    update_template,
)
from profiles.web.impact import panel_before_saving
from profiles.web.template_form import TemplateForm, document_of

TEMPLATES_A_PAGE = 20


@project_page(section="templates", action=Action.CERTIFICATE_TEMPLATES_READ)
def templates(request: HttpRequest, page: Page) -> HttpResponse:
    """Newest first; ``search`` narrows by name and description."""
    search = request.GET.get("search", "").replace("\x00", "").strip()
    found = templates_matching(templates_visible_to(page.requester, page.project), search)
    found = found.annotate(profile_count=Count("certificate_profiles")).order_by("-created_at", "id")
    context = {"page_obj": Paginator(found, TEMPLATES_A_PAGE).get_page(request.GET.get("page")), "search": search}
    return show(request, page, "profiles/templates.html", context)


@project_page(section="templates", action=Action.CERTIFICATE_TEMPLATES_READ)
def template(request: HttpRequest, page: Page, template_id: UUID) -> HttpResponse:
    """What the template says, and the profiles that use it."""
    found = _find(page, template_id)
    context = {
        "template": found,
        "form": TemplateForm(document=document_of(found)),
        "rules": found.rules(),
        "profiles": found.certificate_profiles.order_by("slug"),
        "risks": template_risks(found, now=timezone.now()),
    }
    return show(request, page, "profiles/template.html", context)


@project_page(section="templates", action=Action.CERTIFICATE_TEMPLATES_CREATE, event="create-certificate-template")
def create(request: HttpRequest, page: Page) -> HttpResponse:
    """GET shows the form, from a preset if one is named; POST makes the template."""
    if request.method != "POST":
        preset = preset_named(request.GET.get("preset", ""))
        form = TemplateForm(document=preset.document if preset else None)
        return show(
            request,
            page,
            "profiles/template_form.html",
            {"form": form, "presets": PRESETS, "chosen": preset, "template": None, "impact": None},
        )
    form = TemplateForm(request.POST)
    if form.is_valid():
        try:
            made = create_template(requester=page.requester, project=page.project, document=form.document())
        except PortalError as error:
            form.refuse(error)
        else:
            messages.success(request, f"Template {made.name} was created.")
            return redirect("template", page.project.slug, made.pk)
    context = {"form": form, "presets": PRESETS, "chosen": None, "template": None, "impact": None}
    return show(request, page, "profiles/template_form.html", context, status=422)


@project_page(section="templates", action=Action.CERTIFICATE_TEMPLATES_EDIT, event="update-certificate-template")
def edit(request: HttpRequest, page: Page, template_id: UUID) -> HttpResponse:
    """GET shows the form, POST changes the template."""
    found = _find(page, template_id)
    if request.method != "POST":
        form = TemplateForm(document=document_of(found))
        return show(request, page, "profiles/template_form.html", {"form": form, "template": found, "impact": None})
    form = TemplateForm(request.POST)
    panel = None
    if form.is_valid():
        changes = asdict(form.document())
        try:
            panel = panel_before_saving(
                request,
                lambda: preview_template(requester=page.requester, template=found, changes=changes, now=timezone.now()),
            )
            if panel is None:
                update_template(requester=page.requester, template=found, changes=changes)
                messages.success(request, "The template was saved. It applies to what is issued from now on.")
                return redirect("template", page.project.slug, found.pk)
        except PortalError as error:
            form.refuse(error)
    context = {"form": form, "template": found, "impact": panel}
    return show(request, page, "profiles/template_form.html", context, status=200 if panel else 422)


@require_POST
@project_page(section="templates", action=Action.CERTIFICATE_TEMPLATES_READ)
def rules_in_words(request: HttpRequest, page: Page) -> HttpResponse:
    """What the form says, for the panel beside it; nothing is stored."""
    return show(request, page, "profiles/rules_in_words.html", {"words": TemplateForm(request.POST).words})


@require_POST
@project_page(section="templates", action=Action.CERTIFICATE_TEMPLATES_DELETE, event="delete-certificate-template")
def delete(request: HttpRequest, page: Page, template_id: UUID) -> HttpResponse:
    """Remove the template, or say what still uses it."""
    found = _find(page, template_id)
    try:
        delete_template(requester=page.requester, template=found)
    except PortalError as error:
        messages.error(request, error.message)
        return redirect("template", page.project.slug, found.pk)
    messages.success(request, f"Template {found.name} was deleted.")
    return redirect("templates", page.project.slug)


def _find(page: Page, template_id: UUID) -> CertificateTemplate:
    found = find_template(requester=page.requester, template_id=template_id)
    if found.project_id != page.project.pk:
        raise NotFound("There is no such template in this project.")
    return found
