"""The first page of a project: what there is, what ends next, whether the CAs are well."""

from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from certificates.models import CertificateAuthority
from certificates.querysets import (
    certificates_visible_to,
    failing_renewals,
    for_list,
)
from certificates.tallies import count_by_status
from certificates.web.states import EXPIRING_WITHIN, expiring_soon, line_of
from pki_portal.access.permissions import Action
from pki_portal.access.web.lists import told_count
from pki_portal.access.web.pages import Page, project_page, show

LINES = 5
# Each is looked up in the table: the index does not know which were renewed.
COUNTED_AT_MOST = 1_000


@project_page(section="overview", action=Action.PROJECTS_READ)
def overview(request: HttpRequest, page: Page) -> HttpResponse:
    """Counts, the certificates that end next, the newest, and every CA."""
    now = timezone.now()
    certificates = certificates_visible_to(page.requester, page.project)
    counts = count_by_status(project_id=page.project.pk, now=now)
    ending = expiring_soon(certificates, now)
    failing = failing_renewals(certificates, now)
    authorities = CertificateAuthority.objects.filter(project=page.project).order_by("not_before", "name")
    context = {
        "counts": counts,
        "total": counts.active + counts.expired + counts.revoked,
        "ending_count": told_count(ending, COUNTED_AT_MOST),
        "ending": [line_of(certificate, now) for certificate in for_list(ending)[:LINES]],
        "newest": [line_of(certificate, now) for certificate in for_list(certificates)[:LINES]],
        "authorities": authorities,
        "expiring_days": EXPIRING_WITHIN.days,
        "failing": failing.aggregate(count=Count("pk"), first=Min("auto_renewal__due_at")),
    }
    return show(request, page, "certificates/overview.html", context)
