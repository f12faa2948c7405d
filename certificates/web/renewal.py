"""Pages that renew a certificate, and say when it renews by itself."""

from dataclasses import replace
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from certificates.models import Certificate
from certificates.services.idempotency import IdempotencyKey, KeyReused
from certificates.services.issuance import IssuedCertificate
from certificates.services.kept_keys import is_key_kept, read_private_key
from certificates.services.renewal import (
    CONFIGURE_EVENT,
    RENEW_EVENT,
    RenewalKeySource,
    configure_renewal,
    renew_certificate,
)
from certificates.web.certificates import find_certificate_of
from certificates.web.issue import digest_of_form, new_token, show_issued
from certificates.web.renewal_form import RenewalConfigForm, RenewForm
from certificates.web.states import line_of
from pki_portal.access.permissions import Action
from pki_portal.access.web.pages import Page, project_page, show
from pki_portal.errors import PermissionDenied, PortalError

TEMPLATES = {"dialog-content": "renew_dialog", "renew-form": "renew_form"}


@project_page(section="certificates", action=Action.CERTIFICATE_PROFILES_ISSUE_CERT, event=RENEW_EVENT)
def renew(request: HttpRequest, page: Page, certificate_id: UUID) -> HttpResponse:
    """GET shows the form, whole or in the dialog; POST renews and shows the successor, with its key this once."""
    found = find_certificate_of(page, certificate_id)
    is_sent = request.method == "POST"
    form = RenewForm(request.POST if is_sent else None, certificate=found, token=new_token())
    status = 200
    if is_sent:
        status = 422
        if form.is_valid():
            try:
                renewed = _renewed(request, page, found, form)
            except PermissionDenied:
                raise
            except KeyReused:
                form.renew_token(new_token())
            except PortalError as error:
                form.refuse(error)
                status = form.refusal.status if form.refusal else 422
            else:
                return show_issued(request, page, _claimed(request, page, renewed))
    template = TEMPLATES.get(request.headers.get("HX-Target", ""), "renew")
    context = {"form": form, "certificate": found, "line": line_of(found, timezone.now())}
    return show(request, page, f"certificates/{template}.html", context, status=status)


def _renewed(request: HttpRequest, page: Page, certificate: Certificate, form: RenewForm) -> IssuedCertificate:
    key_source = form.cleaned_data["key_source"]
    key = f"form:{form.cleaned_data['token']}"
    digest = digest_of_form(request.POST, about=str(certificate.pk))
    return renew_certificate(
        certificate=certificate,
        requester=page.requester,
        key_source=key_source,
        csr=(form.cleaned_data["csr"] or None) if key_source is RenewalKeySource.CSR else None,
        idempotency=IdempotencyKey(key=key, body_digest=digest),
    )


def _claimed(request: HttpRequest, page: Page, renewed: IssuedCertificate) -> IssuedCertificate:
    """With the key that waited for its claim, if the person may have it; this is the claim."""
    may_read = Action.CERTIFICATES_READ_PRIVATE_KEY.name in page.may
    if renewed.is_replay or not renewed.is_key_kept or not may_read:
        return renewed
    try:
        private_key = read_private_key(requester=page.requester, certificate=renewed.certificate, via="page")
    except PortalError as problem:
        messages.warning(request, problem.message)
        return renewed
    return replace(renewed, private_key=private_key, is_key_kept=is_key_kept(renewed.certificate))


@require_POST
@project_page(section="certificates", action=Action.CERTIFICATES_EDIT, event=CONFIGURE_EVENT)
def renewal_config(request: HttpRequest, page: Page, certificate_id: UUID) -> HttpResponse:
    """Have the certificate renew by itself so many days before its end, or never."""
    found = find_certificate_of(page, certificate_id)
    form = RenewalConfigForm(request.POST)
    days = form.cleaned_data["renew_before_days"] if form.is_valid() else None
    if not form.is_valid() or (days is None and "off" not in request.POST):
        messages.error(request, "Give a number of days from 1 to 30.")
        return redirect("certificate", page.project.slug, found.pk)
    try:
        changed = configure_renewal(
            certificate=found, requester=page.requester, renew_before_days=None if "off" in request.POST else days
        )
    except PermissionDenied:
        raise
    except PortalError as error:
        messages.error(request, error.message)
    else:
        told = (
            f"It renews by itself on {changed.renew_at:%Y-%m-%d %H:%M} UTC."
            if changed.renew_at
            else "It no longer renews by itself."
        )
        messages.success(request, told)
    return redirect("certificate", page.project.slug, found.pk)
