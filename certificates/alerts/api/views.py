"""Alerts over HTTP: each view reads the wire, calls one service and answers."""

import re
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from certificates.alerts.api.serializers import (
    AlertAnswer,
    AlertsQuery,
    ChangesSerializer,
    DeliveryAnswer,
    NewAlertSerializer,
    channels_in,
)
from certificates.alerts.models import AlertKind, AlertRule, ChannelKind
from certificates.alerts.services.rules import (
    RuleDocument,
    SavedRule,
    create_rule,
    delete_rule,
    deliveries_of,
    find_rule,
    rules_visible_to,
    send_test,
    update_rule,
)
from pki_portal.access.querysets import find_project
from pki_portal.access.requester import Requester, requester_of
from pki_portal.rest import WirePaginator, parse_uuid, read
from pki_portal.rest.schema import answers, listed, uuid_parameters, wrapped
from pki_portal.rest.views import WireView

TAG = "Alerts"
PAGE_SIZE = 20
_ALERT = answers(wrapped("AlertAnswerWrapped", "alert", AlertAnswer))
_SAVED = answers(wrapped("AlertSaved", "alert", AlertAnswer, with_warnings=True), with_body=True)
_ALERT_ID = uuid_parameters("alert_id")
_DELIVERIES = inline_serializer(
    "AlertTestAnswer", {"digestId": serializers.UUIDField(), "deliveries": DeliveryAnswer(many=True)}
)
_SECRET_OR_PLACE = re.compile(r"^channels/(\d+)/(recipients|url|webhook_url|signing_secret)")
_COLUMNS = {"name": "name", "description": "description", "alertBefore": "alert_before", "enabled": "is_enabled"}
NO_MAIL = "This portal sends no mail: email channels stay undelivered until an administrator sets EMAIL_URL."


class AlertView(WireView):
    """Base of the views here."""

    def on_the_wire(self, field: str) -> str:
        """What belongs to one kind of channel stands in its config."""
        return _SECRET_OR_PLACE.sub(r"channels/\1/config/\2", field)

    def requester(self) -> Requester:
        """Who asks."""
        return requester_of(self.request)

    def rule(self, alert_id: str) -> AlertRule:
        """The alert in the path. Raises Malformed, NotFound, PermissionDenied."""
        return find_rule(requester=self.requester(), rule_id=parse_uuid(alert_id, field="alert_id"))


class AlertsView(AlertView):
    """The alerts of a project."""

    @extend_schema(
        operation_id="listAlerts",
        summary="List the alerts of a project, newest first",
        tags=[TAG],
        parameters=[AlertsQuery],
        responses=answers(listed("AlertList", "alerts", AlertAnswer)),
    )
    def get(self, request: Request) -> Response:
        """List them."""
        query = read(AlertsQuery(data=request.query_params))
        project = find_project(requester=self.requester(), reference=query["projectId"])
        paginator = WirePaginator(plural="alerts", default_limit=PAGE_SIZE)
        rows = paginator.paginate_queryset(rules_visible_to(self.requester(), project), request)
        return paginator.get_paginated_response(AlertAnswer(rows, many=True).data)

    @extend_schema(
        operation_id="createAlert", summary="Create an alert", tags=[TAG], request=NewAlertSerializer, responses=_SAVED
    )
    def post(self, request: Request) -> Response:
        """Make one. A signing secret that was made for a webhook is in this answer and nowhere else."""
        serializer = NewAlertSerializer(data=request.data)
        asked = read(serializer)
        saved = create_rule(
            requester=self.requester(),
            project=find_project(requester=self.requester(), reference=asked["projectId"]),
            document=RuleDocument(
                name=asked["name"],
                kind=AlertKind(asked["type"]),
                alert_before=asked["alertBefore"],
                description=asked.get("description", ""),
                filters=tuple(asked.get("filters", ())),
                is_enabled=asked.get("enabled", True),
                channels=channels_in(asked["channels"]),
            ),
        )
        return _saved(saved, serializer.ignored_warnings)


class AlertDetailView(AlertView):
    """One alert."""

    @extend_schema(operation_id="getAlert", summary="Read an alert", tags=[TAG], parameters=_ALERT_ID, responses=_ALERT)
    def get(self, request: Request, alert_id: str) -> Response:
        """Read it."""
        return Response({"alert": AlertAnswer(self.rule(alert_id)).data})

    @extend_schema(
        operation_id="updateAlert",
        summary="Change an alert; what is absent stays as it is",
        tags=[TAG],
        parameters=_ALERT_ID,
        request=ChangesSerializer,
        responses=_SAVED,
    )
    def patch(self, request: Request, alert_id: str) -> Response:
        """Change it."""
        rule = self.rule(alert_id)
        serializer = ChangesSerializer(data=request.data)
        asked = read(serializer)
        changes: dict[str, Any] = {inside: asked[name] for name, inside in _COLUMNS.items() if name in asked}
        if "filters" in asked:
            changes["filters"] = tuple(asked["filters"])
        if "channels" in asked:
            changes["channels"] = channels_in(asked["channels"])
        saved = update_rule(requester=self.requester(), rule=rule, changes=changes)
        return _saved(saved, serializer.ignored_warnings)

    @extend_schema(
        operation_id="deleteAlert",
        summary="Delete an alert with its log",
        tags=[TAG],
        parameters=_ALERT_ID,
        responses=_ALERT,
    )
    def delete(self, request: Request, alert_id: str) -> Response:
        """Remove it."""
        rule = self.rule(alert_id)
        answer = AlertAnswer(rule).data
        delete_rule(requester=self.requester(), rule=rule)
        return Response({"alert": answer})


class AlertTestView(AlertView):
    """A message that says it is a test."""

    @extend_schema(
        operation_id="testAlert",
        summary="Send a test to every enabled channel of an alert",
        tags=[TAG],
        parameters=_ALERT_ID,
        request=None,
        responses=answers(_DELIVERIES),
    )
    def post(self, request: Request, alert_id: str) -> Response:
        """Queue it; the deliveries tell what became of it."""
        digest = send_test(requester=self.requester(), rule=self.rule(alert_id))
        deliveries = digest.deliveries.select_related("digest").order_by("pk")
        return Response({"digestId": str(digest.pk), "deliveries": DeliveryAnswer(deliveries, many=True).data})


class AlertDeliveriesView(AlertView):
    """The delivery log of an alert."""

    @extend_schema(
        operation_id="listAlertDeliveries",
        summary="List what was sent for an alert, newest first",
        tags=[TAG],
        parameters=_ALERT_ID,
        responses=answers(listed("AlertDeliveryList", "deliveries", DeliveryAnswer)),
    )
    def get(self, request: Request, alert_id: str) -> Response:
        """List them."""
        paginator = WirePaginator(plural="deliveries", default_limit=PAGE_SIZE)
        rows = paginator.paginate_queryset(deliveries_of(self.rule(alert_id)), request)
        return paginator.get_paginated_response(DeliveryAnswer(rows, many=True).data)


def _saved(saved: SavedRule, warnings: list[str]) -> Response:
    kinds = {channel.kind for channel in saved.rule.channels.all()}
    if ChannelKind.EMAIL in kinds and not settings.SENDS_MAIL:
        warnings = [*warnings, NO_MAIL]
    answer = AlertAnswer(saved.rule, context={"new_secrets": saved.new_secrets})
    return Response({"alert": answer.data, "warnings": warnings})
