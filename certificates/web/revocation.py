"""Pages that revoke: one certificate, a hold and its release, all that a filter finds."""

from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from certificates.services.authorities import (
    RevokedVersion,
    authority_certificates_of,
    revoke_authority_certificate,
)
from certificates.services.revocation import (
    Revoked,
    Selection,
    preview_revocation,
    release_hold,
    revoke_certificate,
    revoke_selected,
)
from certificates.web.authorities import find_authority_of
from certificates.web.certificates import filters_of, find_certificate_of
from certificates.web.revocation_form import RevokeForm
from certificates.web.states import line_of
from pki_portal.access.permissions import Action
from pki_portal.access.web.pages import Page, project_page, show
from pki_portal.errors import PortalError, Unavailable


@project_page(section="certificates", action=Action.CERTIFICATES_REVOKE, event="revoke-cert")
def revoke(request: HttpRequest, page: Page, certificate_id: UUID) -> HttpResponse:
    """GET shows the form, whole or in the dialog; POST revokes and leads to the certificate."""
    found = find_certificate_of(page, certificate_id)
    line = line_of(found, timezone.now())
    form = RevokeForm(request.POST if request.method == "POST" else None, wanted=line.name)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                revoked = revoke_certificate(
                    requester=page.requester,
                    certificate=found,
                    reason=form.cleaned_data["reason"],
                    invalidity_date=form.since(),
                )
            except Unavailable as problem:
                messages.warning(request, problem.message)
                return _to(request, reverse("certificate", args=[page.project.slug, found.pk]))
            except PortalError as error:
                form.refuse(error)
            else:
                messages.success(request, _told(line.name, revoked))
                return _to(request, reverse("certificate", args=[page.project.slug, found.pk]))
    templates = {"dialog-content": "revoke_dialog", "revoke-form": "revoke_form"}
    template = templates.get(request.headers.get("HX-Target", ""), "revoke")
    context = {"form": form, "certificate": found, "line": line}
    return show(request, page, f"certificates/{template}.html", context, status=status)


@project_page(section="certificates", action=Action.CERTIFICATES_REVOKE, event="release-cert-hold")
def release(request: HttpRequest, page: Page, certificate_id: UUID) -> HttpResponse:
    """POST takes a certificate off hold."""
    found = find_certificate_of(page, certificate_id)
    if request.method == "POST":
        try:
            release_hold(requester=page.requester, certificate=found)
            messages.success(request, f"{line_of(found, timezone.now()).name} is off hold: it is valid again.")
        except PortalError as error:
            messages.error(request, error.message)
    return redirect("certificate", page.project.slug, found.pk)


@project_page(section="authorities", action=Action.CERTIFICATE_AUTHORITIES_ISSUE_CA_CERTIFICATE, event="revoke-ca-cert")
def revoke_authority(request: HttpRequest, page: Page, authority_id: UUID, version: int) -> HttpResponse:
    """GET shows the form, POST revokes one version of a CA's certificate and leads to the CA."""
    found = find_authority_of(page, authority_id)
    row = authority_certificates_of(found).filter(version=version).first()
    if row is None:
        raise Http404
    form = RevokeForm(request.POST if request.method == "POST" else None, wanted=found.name, can_hold=False)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                revoked = revoke_authority_certificate(
                    requester=page.requester,
                    certificate=row,
                    reason=form.cleaned_data["reason"],
                    invalidity_date=form.since(),
                )
            except Unavailable as problem:
                messages.warning(request, problem.message)
                return redirect("authority", page.project.slug, found.pk)
            except PortalError as error:
                form.refuse(error)
            else:
                messages.success(request, _authority_told(found.name, revoked))
                return redirect("authority", page.project.slug, found.pk)
    context = {"form": form, "authority": found, "version": row}
    return show(request, page, "certificates/revoke_authority.html", context, status=status)


@project_page(section="certificates", action=Action.CERTIFICATES_REVOKE, event="revoke-certs")
def revoke_many(request: HttpRequest, page: Page) -> HttpResponse:
    """GET previews what the filters of the list find; POST revokes exactly that, or shows what it is by now."""
    filters = filters_of(request.GET)
    try:
        selection = preview_revocation(requester=page.requester, project=page.project, filters=filters)
    except PortalError as error:
        messages.error(request, error.message)
        return redirect("certificates", page.project.slug)
    form, status = RevokeForm(wanted=_wanted(selection)), 200
    if request.method == "POST":
        form, status = RevokeForm(request.POST, wanted=_wanted(selection)), 422
        if form.is_valid():
            try:
                done = revoke_selected(
                    requester=page.requester,
                    project=page.project,
                    filters=filters,
                    reason=form.cleaned_data["reason"],
                    count=_number(request.POST),
                    digest=request.POST.get("selection", ""),
                )
            except Unavailable as problem:
                messages.warning(request, problem.message)
                return redirect("certificates", page.project.slug)
            except PortalError as error:
                form.refuse(error)
            else:
                messages.success(request, f"{done.count} certificates were revoked.")
                return redirect("certificates", page.project.slug)
    context = {
        "form": form,
        "selection": selection,
        "lines": [line_of(each, timezone.now()) for each in selection.first],
    }
    return show(request, page, "certificates/revoke_many.html", context, status=status)


def _wanted(selection: Selection) -> str:
    return f"revoke {selection.count}"


def _number(sent: QueryDict) -> int:
    text = sent.get("count", "")
    return int(text) if text.isdecimal() and len(text) < 9 else 0


def _told(name: str, revoked: Revoked) -> str:
    if not revoked.siblings:
        return f"{name} is revoked; the CRL says so."
    names = ", ".join(str(sibling) for sibling in revoked.siblings[:5])
    more = f" and {len(revoked.siblings) - 5} more" if len(revoked.siblings) > 5 else ""
    return f"{name} is revoked and its key blocked. Other live certificates have the same key: {names}{more}."


def _authority_told(name: str, revoked: RevokedVersion) -> str:
    told = (
        f"Version {revoked.certificate.version} of the certificate of {name} is revoked; the CRL of its issuer says so."
    )
    if not revoked.siblings:
        return told
    versions = ", ".join(str(sibling.version) for sibling in revoked.siblings)
    return f"{told} The key is blocked, and these versions hold it too: {versions}."


def _to(request: HttpRequest, address: str) -> HttpResponse:
    """Lead a whole page there, also where htmx sent the form of the dialog."""
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": address})
    return redirect(address)
