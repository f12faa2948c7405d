"""Pages of alerts."""

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from certificates.alerts.models import AlertRule, ChannelKind
from certificates.alerts.services.messages import SIGNATURE_HEADERS
from certificates.alerts.services.rules import (
    FilterField,
    SavedRule,
    create_rule,
    delete_rule,
    deliveries_of,
    find_rule,
    rules_visible_to,
    send_test,
    update_rule,
)
from certificates.alerts.web.alert_form import FIELD_LABELS, AlertForm
from pki_portal.access.permissions import Action
from pki_portal.access.web.pages import Page, project_page, show
from pki_portal.errors import NotFound, PortalError

ALERTS_A_PAGE = 20
DELIVERIES_A_PAGE = 20


@project_page(section="alerts", action=Action.PKI_ALERTS_READ)
def alerts(request: HttpRequest, page: Page) -> HttpResponse:
    """Newest first."""
    found = Paginator(rules_visible_to(page.requester, page.project), ALERTS_A_PAGE)
    return show(request, page, "alerts/alerts.html", {"page_obj": found.get_page(request.GET.get("page"))})


@project_page(section="alerts", action=Action.PKI_ALERTS_READ)
def alert(request: HttpRequest, page: Page, alert_id: UUID) -> HttpResponse:
    """What the alert watches, whom it tells, and what was sent."""
    found = _find(page, alert_id)
    log = Paginator(deliveries_of(found), DELIVERIES_A_PAGE)
    channels = list(found.channels.all())
    context = {
        "alert": found,
        "channels": channels,
        "conditions": [
            {**each, "label": FIELD_LABELS[FilterField(each["field"])], "words": each["operator"].replace("_", " ")}
            for each in found.filters
        ],
        "lacks_mail": not settings.SENDS_MAIL and any(each.kind == ChannelKind.EMAIL for each in channels),
        "page_obj": log.get_page(request.GET.get("page")),
    }
    return show(request, page, "alerts/alert.html", context)


@project_page(section="alerts", action=Action.PKI_ALERTS_CREATE, event="create-pki-alert")
def create(request: HttpRequest, page: Page) -> HttpResponse:
    """GET shows the form, POST makes the alert."""
    if request.method != "POST":
        return show(request, page, "alerts/alert_form.html", {"form": AlertForm(), "alert": None})
    form = AlertForm(request.POST)
    if form.is_valid():
        try:
            saved = create_rule(requester=page.requester, project=page.project, document=form.document())
        except PortalError as error:
            form.refuse(error)
        else:
            return _saved(request, page, saved)
    return show(request, page, "alerts/alert_form.html", {"form": form, "alert": None}, status=422)


@project_page(section="alerts", action=Action.PKI_ALERTS_EDIT, event="update-pki-alert")
def edit(request: HttpRequest, page: Page, alert_id: UUID) -> HttpResponse:
    """GET shows the form, POST changes the alert."""
    found = _find(page, alert_id)
    if request.method != "POST":
        return show(request, page, "alerts/alert_form.html", {"form": AlertForm(rule=found), "alert": found})
    form = AlertForm(request.POST, rule=found)
    if form.is_valid():
        try:
            saved = update_rule(requester=page.requester, rule=found, changes=form.changes())
        except PortalError as error:
            form.refuse(error)
        else:
            return _saved(request, page, saved)
    return show(request, page, "alerts/alert_form.html", {"form": form, "alert": found}, status=422)


@require_POST
@project_page(section="alerts", action=Action.PKI_ALERTS_EDIT, event="test-pki-alert")
def test(request: HttpRequest, page: Page, alert_id: UUID) -> HttpResponse:
    """Send a test; the log on the page tells what becomes of it."""
    found = _find(page, alert_id)
    try:
        send_test(requester=page.requester, rule=found)
    except PortalError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, "The test is on its way. Reload the page to see in the log what became of it.")
    return redirect("alert", page.project.slug, found.pk)


@require_POST
@project_page(section="alerts", action=Action.PKI_ALERTS_DELETE, event="delete-pki-alert")
def delete(request: HttpRequest, page: Page, alert_id: UUID) -> HttpResponse:
    """Remove the alert with its log."""
    found = _find(page, alert_id)
    delete_rule(requester=page.requester, rule=found)
    messages.success(request, f"Alert {found.name} was deleted.")
    return redirect("alerts", page.project.slug)


def _saved(request: HttpRequest, page: Page, saved: SavedRule) -> HttpResponse:
    """To the alert; with signing secrets to tell straight from the POST, for no address may serve them again."""
    if not saved.new_secrets:
        messages.success(request, "The alert was saved. It is looked at within seconds.")
        return redirect("alert", page.project.slug, saved.rule.pk)
    told = [
        {"url": channel.url, "secret": saved.new_secrets[channel.pk], "id": f"secret-{channel.pk}"}
        for channel in saved.rule.channels.all()
        if channel.pk in saved.new_secrets
    ]
    context = {"alert": saved.rule, "told": told, "header": SIGNATURE_HEADERS[0]}
    return show(request, page, "alerts/signing_secrets.html", context)


def _find(page: Page, alert_id: UUID) -> AlertRule:
    found = find_rule(requester=page.requester, rule_id=alert_id)
    if found.project_id != page.project.pk:
        raise NotFound("There is no such alert in this project.")
    return found
