"""The table of certificates, and one certificate."""

from dataclasses import replace
from datetime import datetime
from functools import partial
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from certificates.models import AutoRenewal, Certificate
from certificates.models.certificate import CertificateSource, KeySource
from certificates.querysets import (
    CertificateFilters,
    StatusFilter,
    certificates_visible_to,
    for_list,
    id_in,
    narrowed,
)
from certificates.services import deletion
from certificates.services.file_names import file_stem
from certificates.services.kept_keys import (
    DESTROY_EVENT,
    READ_EVENT,
    destroy_private_key,
    is_key_kept,
    read_private_key,
    secret_of,
)
from certificates.services.retrieval import certificate_pem, chain_pem, find_certificate
from certificates.tallies import count_certificates
from certificates.web.export_form import PackForm
from certificates.web.renewal_changes import changes_of
from certificates.web.states import CertificateLine, line_of
from pki_portal.access.permissions import Action
from pki_portal.access.web.lists import page_of, told_total
from pki_portal.access.web.pages import Page, project_page, show
from pki_portal.errors import NotFound, PortalError
from profiles.enrollment import EnrollmentMethod
from profiles.querysets import profiles_visible_to

CERTIFICATES_A_PAGE = 25


@project_page(section="certificates", action=Action.CERTIFICATES_READ)
def certificates(request: HttpRequest, page: Page) -> HttpResponse:
    """Newest first; ``search`` and what may be chosen beside it narrow the table, alone for htmx."""
    now = timezone.now()
    filters = filters_of(request.GET)
    found = for_list(narrowed(certificates_visible_to(page.requester, page.project), filters, now=now))
    found = found.select_related("auto_renewal").defer("auto_renewal__rehearsal_violations")
    listed = page_of(found, request, size=CERTIFICATES_A_PAGE)
    count = partial(count_certificates, project_id=page.project.pk, filters=filters, now=now)
    context = {
        "listed": listed,
        "total": told_total(listed, found, count if filters.is_tallied else None),
        "lines": _lines_of(listed.rows, now),
        "search": filters.search,
        "status": request.GET.get("status", ""),
        "profile": request.GET.get("profile", ""),
        "source": filters.source or "",
        "renewal": "failing" if filters.failing_renewal_only else "",
        "is_narrowed": filters != CertificateFilters(),
    }
    if request.headers.get("HX-Target") == "certificates":
        return show(request, page, "certificates/certificates_table.html", context)
    profiles = profiles_visible_to(page.requester, page.project).order_by("slug")
    return show(request, page, "certificates/certificates.html", {**context, "profiles": profiles})


@project_page(section="certificates", action=Action.CERTIFICATES_READ)
def certificate(request: HttpRequest, page: Page, certificate_id: UUID) -> HttpResponse:
    """Facts, PEM and chain; never a key."""
    found, now = find_certificate_of(page, certificate_id), timezone.now()
    line = line_of(found, now)
    can_renew = (
        line.status in {"active", "expiring"}
        and getattr(found, "successor_id", None) is None
        and found.profile is not None
        and found.profile.enrollment_method == EnrollmentMethod.API
    )
    context = {
        "line": line,
        "can_renew": can_renew,
        "can_configure": can_renew and found.key_source == KeySource.PORTAL,
        "can_be_deleted": not any(deletion.deletion_violations(found, now=now)),
        "certificate": found,
        "certificate_pem": certificate_pem(found),
        "chain_pem": chain_pem(found),
        "secret": secret_of(found),
        "auto_renewal": AutoRenewal.objects.filter(pk=found.pk, due_at__isnull=False).first(),
        "changes": changes_of(found),
    }
    return show(request, page, "certificates/certificate.html", context)


@require_POST
@project_page(section="certificates", action=Action.CERTIFICATES_READ_PRIVATE_KEY, event=READ_EVENT)
def certificate_key(request: HttpRequest, page: Page, certificate_id: UUID) -> HttpResponse:
    """The private key that is kept or waits for its claim, straight from the POST: no address serves it."""
    found = find_certificate_of(page, certificate_id)
    context = {
        "certificate": found,
        "pack": PackForm(certificate=found),
        "private_key": read_private_key(requester=page.requester, certificate=found, via="page"),
        "is_kept": is_key_kept(found),
        "is_shown_again": False,
        "key_filename": f"{file_stem(found)}.key",
    }
    return show(request, page, "certificates/private_key.html", context)


@require_POST
@project_page(section="certificates", action=Action.CERTIFICATES_EDIT, event=DESTROY_EVENT)
def destroy_key(request: HttpRequest, page: Page, certificate_id: UUID) -> HttpResponse:
    """Destroy the private key that is kept; the certificate stays."""
    found = find_certificate_of(page, certificate_id)
    destroy_private_key(requester=page.requester, certificate=found)
    messages.success(request, "The private key was destroyed.")
    return redirect("certificate", page.project.slug, found.pk)


@require_POST
@project_page(section="certificates", action=Action.CERTIFICATES_DELETE, event=deletion.DELETE_EVENT)
def delete_certificate(request: HttpRequest, page: Page, certificate_id: UUID) -> HttpResponse:
    """Delete a certificate that has ended or is revoked, and lead to the list."""
    found = find_certificate_of(page, certificate_id)
    name = line_of(found, timezone.now()).name
    try:
        deletion.delete_certificate(requester=page.requester, certificate=found)
    except PortalError as error:
        messages.error(request, error.message)
        return redirect("certificate", page.project.slug, found.pk)
    messages.success(request, f"Certificate {name} was deleted.")
    return redirect("certificates", page.project.slug)


def _lines_of(found: list[Certificate], now: datetime) -> list[CertificateLine]:
    """Each as people look at it; an imported one with its issuer, whose encoding the list does not read."""
    imported = [each.pk for each in found if each.is_imported]
    rows = Certificate.objects.filter(pk__in=imported).only("der") if imported else ()
    issuers = {row.pk: row.issuer_name for row in rows}
    return [replace(line_of(each, now), issuer=issuers.get(each.pk, "")) for each in found]


def filters_of(query: QueryDict) -> CertificateFilters:
    """What the list is narrowed to; nonsense narrows nothing."""
    status, profile_id = query.get("status", ""), id_in(query.get("profile", ""))
    source = query.get("source", "")
    return CertificateFilters(
        search=query.get("search", "").replace("\x00", ""),
        status=StatusFilter(status) if status in set(StatusFilter) else None,
        source=CertificateSource(source) if source in set(CertificateSource) else None,
        profile_ids=(profile_id,) if profile_id else (),
        failing_renewal_only=query.get("renewal") == "failing",
        replaced_in=id_in(query.get("incident", "")),
    )


def find_certificate_of(page: Page, certificate_id: UUID) -> Certificate:
    """The certificate, if it is of the page's project. Raises NotFound, PermissionDenied."""
    found = find_certificate(requester=page.requester, reference=str(certificate_id))
    if found.project_id != page.project.pk:
        raise NotFound("There is no such certificate in this project.")
    return found
