"""Pages of certificate profiles."""

from dataclasses import asdict
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from pki_portal.access.permissions import Action
from pki_portal.access.web.pages import Page, project_page, show
from pki_portal.errors import NotFound, PortalError
from profiles.enrollment import EnrollmentMethod
from profiles.models import CertificateProfile
from profiles.policy.rules import ProfileDefaults
from profiles.policy.vocabulary import IssuerType
from profiles.querysets import profiles_matching, profiles_visible_to
from profiles.services import (
    MoveTo,
    create_profile,
    default_violations,
    delete_profile,
    find_profile,
    preview_profile,
    profile_risks,
    update_profile,
)
from profiles.usage import usage
from profiles.web.impact import Panel, panel_before_saving
from profiles.web.profile_form import ProfileForm
from profiles.web.profile_parts import MoveForm, WaiverForm, waivers_without

PROFILES_A_PAGE = 20


@project_page(section="profiles", action=Action.CERTIFICATE_PROFILES_READ)
def profiles(request: HttpRequest, page: Page) -> HttpResponse:
    """Newest first; ``search`` narrows by name and description."""
    search = request.GET.get("search", "").replace("\x00", "").strip()
    found = profiles_matching(profiles_visible_to(page.requester, page.project), search)
    context = {"page_obj": Paginator(found, PROFILES_A_PAGE).get_page(request.GET.get("page")), "search": search}
    return show(request, page, "profiles/profiles.html", context)


@project_page(section="profiles", action=Action.CERTIFICATE_PROFILES_READ)
def profile(request: HttpRequest, page: Page, profile_id: UUID) -> HttpResponse:
    """What the profile joins, and how a program asks for a certificate from it."""
    found = _find(page, profile_id)
    now = timezone.now()
    context = {
        "profile": found,
        "renewal": getattr(found, "api_enrollment", None),
        "site_url": settings.SITE_URL,
        "sample_ttl": found.defaults.get("ttl") or "90d",
        "defaults": _as_facts(found.profile_defaults()),
        "default_violations": default_violations(found, now=now),
        "risks": profile_risks(found, now=now),
        "waivers": [(waiver, waiver.counts_at(now)) for waiver in found.waivers()],
    }
    return show(request, page, "profiles/profile.html", context)


@project_page(section="profiles", action=Action.CERTIFICATE_PROFILES_CREATE, event="create-certificate-profile")
def create(request: HttpRequest, page: Page) -> HttpResponse:
    """GET shows the form, POST makes the profile."""
    if request.method != "POST":
        form = ProfileForm(project=page.project, initial={"template": request.GET.get("template", "")})
        return show(request, page, "profiles/profile_form.html", {"form": form, "profile": None, "impact": None})
    form = ProfileForm(request.POST, project=page.project)
    if form.is_valid():
        try:
            made = _create(page, form)
        except PortalError as error:
            form.refuse(error)
        else:
            messages.success(request, f"Profile {made.slug} was created.")
            return redirect("profile", page.project.slug, made.pk)
    context = {"form": form, "profile": None, "impact": None}
    return show(request, page, "profiles/profile_form.html", context, status=422)


@project_page(section="profiles", action=Action.CERTIFICATE_PROFILES_EDIT, event="update-certificate-profile")
def edit(request: HttpRequest, page: Page, profile_id: UUID) -> HttpResponse:
    """GET shows the form, POST changes the profile."""
    found = _find(page, profile_id)
    if request.method != "POST":
        form = ProfileForm(project=page.project, profile=found)
        return show(request, page, "profiles/profile_form.html", {"form": form, "profile": found, "impact": None})
    form = ProfileForm(request.POST, project=page.project, profile=found)
    panel = None
    if form.is_valid():
        changes: dict[str, object] = {
            "slug": form.cleaned_data["slug"],
            "description": form.cleaned_data["description"],
            "defaults": form.defaults(),
            "key_retention": form.chosen_retention(),
            "requires_approval": form.cleaned_data["requires_approval"],
        }
        if "auto_renew" in form.fields:
            changes["api"] = asdict(form.api_settings())
        try:
            # A renewal repeats what was granted, whatever the defaults are: this takes none away.
            panel = _panel(request, page, found, changes, None) if request.POST.get("preview") else None
            if panel is None:
                update_profile(requester=page.requester, profile=found, changes=changes)
                messages.success(request, "The profile was saved. It applies to what is issued from now on.")
                return redirect("profile", page.project.slug, found.pk)
        except PortalError as error:
            form.refuse(error)
    context = {"form": form, "profile": found, "impact": panel}
    return show(request, page, "profiles/profile_form.html", context, status=200 if panel else 422)


@project_page(section="profiles", action=Action.CERTIFICATE_PROFILES_EDIT, event="update-certificate-profile")
def move(request: HttpRequest, page: Page, profile_id: UUID) -> HttpResponse:
    """GET shows where the profile stands, POST moves it to another CA or template."""
    found = _find(page, profile_id)
    form = MoveForm(request.POST if request.method == "POST" else None, project=page.project, profile=found)
    panel = None
    if form.is_valid():
        try:
            panel = _panel(request, page, found, {}, form.move_to())
            if panel is None:
                update_profile(requester=page.requester, profile=found, changes={}, move_to=form.move_to())
                messages.success(request, "The profile was moved. It applies to what is issued from now on.")
                return redirect("profile", page.project.slug, found.pk)
        except PortalError as error:
            form.refuse(error)
    status = 422 if form.is_bound and panel is None else 200
    context = {"form": form, "profile": found, "impact": panel}
    return show(request, page, "profiles/move_profile.html", context, status=status)


@project_page(section="profiles", action=Action.CERTIFICATE_PROFILES_EDIT, event="update-certificate-profile")
def waive(request: HttpRequest, page: Page, profile_id: UUID) -> HttpResponse:
    """GET shows the form, POST adds a waiver."""
    found = _find(page, profile_id)
    form = WaiverForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            changes = {"lint_waivers": form.added_to(found)}
            update_profile(requester=page.requester, profile=found, changes=changes)
        except PortalError as error:
            form.refuse(error)
        else:
            messages.success(request, "The finding is waived for what is issued from now on.")
            return redirect("profile", page.project.slug, found.pk)
    context = {"form": form, "profile": found, "codes": sorted(usage().lint_codes())}
    return show(request, page, "profiles/waive.html", context, status=422 if form.is_bound else 200)


@require_POST
@project_page(section="profiles", action=Action.CERTIFICATE_PROFILES_EDIT, event="update-certificate-profile")
def remove_waiver(request: HttpRequest, page: Page, profile_id: UUID) -> HttpResponse:
    """Take one waiver away; certificates that were issued under it keep its reason."""
    found = _find(page, profile_id)
    changes = {"lint_waivers": waivers_without(found, request.POST.get("code", ""))}
    update_profile(requester=page.requester, profile=found, changes=changes)
    messages.success(request, "The waiver was removed. The finding blocks again.")
    return redirect("profile", page.project.slug, found.pk)


@require_POST
@project_page(section="profiles", action=Action.CERTIFICATE_PROFILES_DELETE, event="delete-certificate-profile")
def delete(request: HttpRequest, page: Page, profile_id: UUID) -> HttpResponse:
    """Remove the profile; its certificates stay."""
    found = _find(page, profile_id)
    try:
        delete_profile(requester=page.requester, profile=found)
    except PortalError as error:
        messages.error(request, error.message)
        return redirect("profile", page.project.slug, found.pk)
    messages.success(request, f"Profile {found.slug} was deleted. Its certificates stay.")
    return redirect("profiles", page.project.slug)


def _panel(
    request: HttpRequest, page: Page, profile: CertificateProfile, changes: dict[str, object], move_to: MoveTo | None
) -> Panel | None:
    return panel_before_saving(
        request,
        lambda: preview_profile(
            requester=page.requester, profile=profile, changes=changes, move_to=move_to, now=timezone.now()
        ),
    )


def _create(page: Page, form: ProfileForm) -> CertificateProfile:
    issuer_type = form.cleaned_data["issuer_type"] or IssuerType.CA.value
    return create_profile(
        requester=page.requester,
        project=page.project,
        slug=form.cleaned_data["slug"],
        description=form.cleaned_data["description"],
        certificate_authority_id=None if issuer_type == IssuerType.SELF_SIGNED else form.chosen_authority(),
        template_id=UUID(form.cleaned_data["template"]),
        enrollment_method=EnrollmentMethod.API,
        issuer_type=issuer_type,
        api=form.api_settings(),
        defaults=form.defaults(),
        key_retention=form.chosen_retention(),
        requires_approval=form.cleaned_data["requires_approval"],
    )


def _find(page: Page, profile_id: UUID) -> CertificateProfile:
    found = find_profile(requester=page.requester, profile_id=profile_id)
    if found.project_id != page.project.pk:
        raise NotFound("There is no such profile in this project.")
    return found


def _as_facts(defaults: ProfileDefaults) -> list[tuple[str, list[str]]]:
    """What the profile fills in, but for the life, which has a line of its own."""
    facts = [(str(attribute.type), [attribute.value]) for attribute in defaults.subject]
    facts += [
        (name, [str(usage) for usage in usages] or ["none"])
        for name, usages in (
            ("key_usages", defaults.key_usages),
            ("extended_key_usages", defaults.extended_key_usages),
        )
        if usages is not None
    ]
    algorithms = (("key_algorithm", defaults.key_algorithm), ("signature_algorithm", defaults.signature_algorithm))
    return facts + [(name, [algorithm.value]) for name, algorithm in algorithms if algorithm is not None]
