"""Is it alive, can it work: for supervisors, load balancers and clients that look before they speak."""

import hmac
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from pki_portal import journal
from pki_portal.background.gauges import last_worker_sign
from pki_portal.checks import LOOPBACK
from pki_portal.metrics import exposition
from pki_portal.rest import iso

# Some job is due every five minutes.
WORKER_SILENCE = timedelta(minutes=15)
# Some 12,000 certificates.
JOURNAL_ROOM = 100 * 1024**2


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 while the process answers; touches nothing else."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when the database answers and has every migration, else 503 with what is missing.

    ``warnings`` tells what a person should look at although the portal works.
    """
    try:
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return JsonResponse({"status": "unavailable", "reason": "the database does not answer"}, status=503)
    if pending:
        return JsonResponse({"status": "unavailable", "reason": f"{len(pending)} migrations are missing"}, status=503)
    return JsonResponse({"status": "ok", "warnings": _warnings()})


def _warnings() -> list[str]:
    """What should not be, but does not keep the portal from answering."""
    found = []
    last = last_worker_sign()
    if last is None or timezone.now() - last > WORKER_SILENCE:
        minutes = WORKER_SILENCE // timedelta(minutes=1)
        found.append(f"no background worker has been at work for {minutes} minutes")
    try:
        is_short = journal.free_bytes() < JOURNAL_ROOM
    except OSError:
        is_short = True
    if is_short:
        found.append("the journal's disk is nearly full or away: without it nothing is issued or revoked")
    return found


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus: with the token of the configuration; without one, within a portal of this machine only.

    Whoever may not read it is told of no such address.
    """
    if not _may_read_metrics(request):
        raise Http404
    try:
        text = exposition()
    except DatabaseError:
        return HttpResponse("the database does not answer\n", status=503, content_type="text/plain")
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


def _may_read_metrics(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        expected = f"Bearer {settings.METRICS_TOKEN}".encode()
        return hmac.compare_digest(request.headers.get("Authorization", "").encode(errors="replace"), expected)
    # A proxy on this machine would make everybody look local: then the site has another name or address.
    addresses = {settings.HOST, urlsplit(settings.SITE_URL).hostname, request.META.get("REMOTE_ADDR")}
    return addresses <= LOOPBACK and "X-Forwarded-For" not in request.headers


@never_cache
@require_safe
def status(request: HttpRequest) -> JsonResponse:
    """What API clients ask before they log in."""
    return JsonResponse({"date": iso(timezone.now()), "message": "Ok"})
