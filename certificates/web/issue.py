"""The Issue button: form, its check, and the new certificate's page straight from the POST, the one time its key is
shown.
"""

import hashlib
import secrets

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse

from certificates.services.approvals.asking import StoredRequest, request_certificate
from certificates.services.explaining import explain_request
from certificates.services.file_names import file_stem
from certificates.services.idempotency import IdempotencyKey, KeyReused
from certificates.services.issuance import IssuedCertificate
from certificates.services.retrieval import certificate_pem
from certificates.web.explain import Explanation, explain, mended
from certificates.web.export_form import PackForm
from certificates.web.issue_form import IssueForm
from pki_portal.access.permissions import Action, require
from pki_portal.access.web.pages import Page, project_page, show
from pki_portal.errors import PermissionDenied, PortalError
from profiles.enrollment import EnrollmentMethod
from profiles.models import CertificateProfile
from profiles.policy.plan import Decision
from profiles.querysets import profiles_visible_to
from profiles.services import find_profile

# What htmx asks to be replaced, and with what.
FORM_TEMPLATES = {
    "dialog-content": "certificates/issue_dialog.html",
    "issue-form": "certificates/issue_form.html",
    "issue-fields": "certificates/issue_fields.html",
}


@project_page(section="certificates", action=Action.CERTIFICATE_PROFILES_READ)
def issue(request: HttpRequest, page: Page) -> HttpResponse:
    """GET shows the form (whole, in the dialog, or its fields for another profile), POST issues.

    A POST with ``check`` tells what issuing would come to, one with ``apply`` makes the changes of a fix and then does
    the same: neither signs, stores or uses up the form's token.
    The form is for those who may issue; of a POST the service judges that, and records a refusal.
    The form's token is the idempotency key: of two equal POSTs one makes the certificate. A repeated POST (a reload)
    leads to the certificate's own page, which knows no key. A changed form with a used token comes back with a new one.
    """
    if request.method != "POST":
        require(
            requester=page.requester,
            action=Action.CERTIFICATE_PROFILES_ISSUE_CERT,
            project_id=page.project.pk,
        )
    profiles = list(
        profiles_visible_to(page.requester, page.project)
        .filter(enrollment_method=EnrollmentMethod.API)
        .order_by("created_at", "slug")
    )
    chosen = _chosen(request.POST.get("profile") or request.GET.get("profile"), profiles)
    if chosen is None:
        return _show_form(request, page, profiles, None)
    profile = find_profile(requester=page.requester, profile_id=chosen.pk)
    if request.method != "POST":
        return _show_form(request, page, profiles, IssueForm(profile=profile, token=new_token(), typed=request.GET))
    if "check" in request.POST or "apply" in request.POST:
        return _check(request, page, profiles, profile)
    form = _sent_form(request.POST, profile)
    if not form.is_valid():
        return _show_form(request, page, profiles, form, status=422)
    try:
        issued = request_certificate(
            profile=profile,
            request=form.asked_of(page.requester),
            requester=page.requester,
            idempotency=IdempotencyKey(
                key=f"form:{form.cleaned_data['token']}", body_digest=digest_of_form(request.POST)
            ),
        )
    except PermissionDenied:
        raise
    except KeyReused:
        form.renew_token(new_token())
        return _show_form(request, page, profiles, form, status=422)
    except PortalError as error:
        form.refuse(error)
        return _show_form(request, page, profiles, form, status=form.refusal.status if form.refusal else 422)
    if isinstance(issued, StoredRequest):
        return _show_waiting(request, page, issued)
    return show_issued(request, page, issued)


def _chosen(wanted: str | None, profiles: list[CertificateProfile]) -> CertificateProfile | None:
    """The profile asked for by id, else the first."""
    return next((profile for profile in profiles if str(profile.pk) == wanted), profiles[0] if profiles else None)


def _sent_form(sent: QueryDict, profile: CertificateProfile) -> IssueForm:
    return IssueForm(sent, profile=profile, token=sent.get("token", ""))


def _check(
    request: HttpRequest, page: Page, profiles: list[CertificateProfile], profile: CertificateProfile
) -> HttpResponse:
    def judge(form: IssueForm) -> Decision:
        asked = form.asked_to_explain(page.requester)
        return explain_request(profile=profile, request=asked, requester=page.requester)

    if "apply" in request.POST:
        form = mended(lambda sent: _sent_form(sent, profile), request.POST, judge)
    else:
        form = _sent_form(request.POST, profile)
    explanation = explain(form, lambda: judge(form)) if form.refusal is None else None
    status = 422 if explanation is None else 200
    return _show_form(request, page, profiles, form, explanation=explanation, status=status)


def _show_form(
    request: HttpRequest,
    page: Page,
    profiles: list[CertificateProfile],
    form: IssueForm | None,
    *,
    explanation: Explanation | None = None,
    status: int = 200,
) -> HttpResponse:
    template = FORM_TEMPLATES.get(request.headers.get("HX-Target", ""), "certificates/issue.html")
    context = {"profiles": profiles, "form": form, "explanation": explanation, "takes_focus": True}
    return show(request, page, template, context, status=status)


def show_issued(request: HttpRequest, page: Page, issued: IssuedCertificate) -> HttpResponse:
    """The new certificate's page, with its key if there is one: never to be shown again."""
    address = reverse("certificate", args=[page.project.slug, issued.certificate.pk])
    is_htmx = bool(request.headers.get("HX-Request"))
    if issued.is_replay and not is_htmx:
        return redirect(address)
    may_read_key = Action.CERTIFICATES_READ_PRIVATE_KEY.name in page.may
    context = {
        "certificate": issued.certificate,
        "pack": PackForm(certificate=issued.certificate),
        "certificate_pem": certificate_pem(issued.certificate),
        "chain_pem": "\n".join(issued.certification_path),
        "private_key": issued.private_key if may_read_key else None,
        "warnings": issued.warnings,
        "key_filename": f"{file_stem(issued.certificate)}.key",
        "is_replay": issued.is_replay,
        "is_key_kept": issued.is_key_kept,
        "address": address,
        "layout": "fragment.html" if is_htmx else "base.html",
    }
    response = show(request, page, "certificates/issued.html", context)
    if is_htmx:
        response["HX-Retarget"] = "#main"
        response["HX-Reswap"] = "innerHTML"
        response["HX-Push-Url"] = address
    return response


def _show_waiting(request: HttpRequest, page: Page, stored: StoredRequest) -> HttpResponse:
    """To the request's own page, which tells whose approval it waits for."""
    address = reverse("request", args=[page.project.slug, stored.request.pk])
    messages.success(request, f"{stored.message} Its id is {stored.request.pk}.")
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": address})
    return redirect(address)


def new_token() -> str:
    """For a form that may be sent once."""
    return secrets.token_urlsafe(24)


def digest_of_form(sent: QueryDict, *, about: str = "") -> str:
    """What a form's token stands for: everything that was sent beside it, and what the form is ``about``."""
    told = {name: sent.getlist(name) for name in sorted(sent) if name not in {"token", "csrfmiddlewaretoken"}}
    return hashlib.sha256(repr((about, told)).encode()).hexdigest()
