"""How a request was judged: the stored trace of a certificate or of a request."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from certificates.models import CertificateRequest
from certificates.services.retrieval import decision_of
from certificates.web.certificates import find_certificate_of
from certificates.web.requests import find_request_of
from pki_portal.access.permissions import Action
from pki_portal.access.web.pages import Page, project_page, show


@project_page(section="certificates", action=Action.CERTIFICATES_READ)
def certificate_decision(request: HttpRequest, page: Page, certificate_id: UUID) -> HttpResponse:
    """Of a certificate."""
    found = find_certificate_of(page, certificate_id)
    back = reverse("certificate", args=[page.project.slug, found.pk])
    return _show(request, page, found.issuing_request, {"list_url": "certificates", "back": back, "name": str(found)})


@project_page(section="requests", action=Action.CERTIFICATE_REQUESTS_READ)
def request_decision(request: HttpRequest, page: Page, request_id: UUID) -> HttpResponse:
    """Of a request, refused ones too."""
    found = find_request_of(page, request_id)
    back = reverse("request", args=[page.project.slug, found.pk])
    certificate = getattr(found, "certificate", None)
    name = found.common_name or (str(certificate) if certificate else "no name")
    return _show(request, page, found, {"list_url": "requests", "back": back, "name": name})


def _show(request: HttpRequest, page: Page, asked: CertificateRequest, context: Mapping[str, Any]) -> HttpResponse:
    decision = decision_of(asked)
    return show(
        request,
        page,
        "certificates/decision.html",
        {
            **context,
            "asked": asked,
            "trace": decision.trace,
            "profile_version": decision.profile_version,
            "template_version": decision.template_version,
        },
    )
