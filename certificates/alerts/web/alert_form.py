"""The form of an alert: rows of filters and channels, read into the document that the service judges."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.http import QueryDict

from certificates.alerts.models import AlertKind, AlertRule, ChannelKind, alert_kinds, channel_kinds
from certificates.alerts.services.rules import (
    FIELDS_OF_KIND,
    ChannelDocument,
    FilterField,
    FilterOperator,
    RuleDocument,
    document_of,
)
from pki_portal.access.web.refusals import Refusal, place, refusal_of
from pki_portal.errors import PortalError, Violation

FIELD_LABELS = {
    FilterField.PROFILE_NAME: "Profile name",
    FilterField.COMMON_NAME: "Common name",
    FilterField.SAN: "Alternative name",
    FilterField.CA_NAME: "CA name",
}


@dataclass(frozen=True, slots=True)
class FilterRow:
    """One line of the filters as it was typed."""

    field: str = ""
    operator: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """One line of the channels as it was typed. A stored Slack address is not shown: an empty target keeps it."""

    id: str = ""
    kind: str = ""
    target: str = ""
    is_enabled: bool = True


class AlertForm(forms.Form):
    """Type, name, lead time; filters and channels stand in rows beside the fields."""

    kind = forms.ChoiceField(label="Type", choices=alert_kinds)
    name = forms.CharField(label="Name", required=False, max_length=64)
    description = forms.CharField(label="Description", required=False, max_length=1000)
    alert_before = forms.CharField(
        label="Alert before",
        required=False,
        max_length=32,
        initial="30d",
        help_text="How long before the end, renewal or destruction: 30d, 2w, 24h. Of risky profiles: how often.",
    )
    is_enabled = forms.BooleanField(label="Enabled", required=False, initial=True)

    operators: ClassVar[list[tuple[str, str]]] = [
        (operator.value, operator.value.replace("_", " ")) for operator in FilterOperator
    ]
    kinds_of_channels: ClassVar[list[tuple[str, str]]] = channel_kinds()

    def __init__(self, data: QueryDict | None = None, *, rule: AlertRule | None = None) -> None:
        document = document_of(rule) if rule else None
        stored = (
            {name: getattr(document, name) for name in ("name", "description", "alert_before", "is_enabled")}
            if document
            else {}
        )
        super().__init__(data, initial=stored)
        if rule is not None:
            del self.fields["kind"]
        self._kind = AlertKind(rule.kind) if rule else None
        self.refusal: Refusal | None = None
        self.violations: dict[str, list[Violation]] = {"filters": [], "channels": []}
        self.filter_rows = _sent_filters(data) if data is not None else _filters_of(document)
        stored_kinds = {str(each.id): each.kind.value for each in document.channels} if document else {}
        self.channel_rows = _sent_channels(data, stored_kinds) if data is not None else _channels_of(document)

    @property
    def filter_fields(self) -> list[tuple[str, str]]:
        """What can be filtered by: for a stored alert what its type knows, for a new one everything."""
        known = FIELDS_OF_KIND[self._kind] if self._kind else frozenset(FilterField)
        return [(each.value, FIELD_LABELS[each]) for each in FilterField if each in known]

    def document(self) -> RuleDocument:
        """What was typed, for the service to judge."""
        return RuleDocument(
            name=self.cleaned_data["name"],
            kind=self._kind or AlertKind(self.cleaned_data["kind"]),
            alert_before=self.cleaned_data["alert_before"],
            description=self.cleaned_data["description"],
            filters=tuple(
                {"field": row.field, "operator": row.operator, "value": row.value} for row in self.filter_rows
            ),
            is_enabled=self.cleaned_data["is_enabled"],
            channels=tuple(_channel_in(row) for row in self.channel_rows),
        )

    def changes(self) -> dict[str, Any]:
        """What was typed, as changes of the stored alert: all of it."""
        document = self.document()
        return {each.name: getattr(document, each.name) for each in fields(document)}

    def refuse(self, error: PortalError) -> None:
        """Put the violations of a refusal beside the fields that they speak of."""
        placed = place(error.violations, self._field_of)
        self.violations |= placed.by_field
        self.refusal = refusal_of(error, placed, title="Not saved.")

    def _field_of(self, path: str) -> str | None:
        head = path.split("/")[0]
        return head if head in self.fields or head in {"filters", "channels"} else None


def _sent_filters(sent: QueryDict) -> list[FilterRow]:
    columns = (sent.getlist(f"filter_{name}") for name in ("field", "operator", "value"))
    rows = [FilterRow(*map(str.strip, row)) for row in zip(*columns, strict=False)]
    fields, operators = {each.value for each in FilterField}, {each.value for each in FilterOperator}
    return [row for row in rows if row.value and row.field in fields and row.operator in operators]


def _sent_channels(sent: QueryDict, stored_kinds: Mapping[str, str]) -> list[ChannelRow]:
    """Lines with a target, and stored Slack channels without a new one. A line of another kind is a new channel."""
    columns = (sent.getlist(f"channel_{name}") for name in ("kind", "state", "target", "id"))
    rows = []
    for kind, state, target, identifier in (map(str.strip, row) for row in zip(*columns, strict=False)):
        known = identifier if stored_kinds.get(identifier) == kind else ""
        if kind in set(ChannelKind) and (target or (known and kind == ChannelKind.SLACK)):
            rows.append(ChannelRow(known, kind, target, state != "off"))
    return rows


def _channel_in(row: ChannelRow) -> ChannelDocument:
    kind = ChannelKind(row.kind)
    addresses = row.target.replace(";", ",").replace("\n", ",").split(",")
    return ChannelDocument(
        kind=kind,
        recipients=tuple(each.strip() for each in addresses if each.strip()) if kind == ChannelKind.EMAIL else (),
        url=row.target if kind == ChannelKind.WEBHOOK else "",
        secret=row.target if kind == ChannelKind.SLACK else "",
        is_enabled=row.is_enabled,
        id=_uuid_of(row.id),
    )


def _uuid_of(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _filters_of(document: RuleDocument | None) -> list[FilterRow]:
    return [FilterRow(each["field"], each["operator"], each["value"]) for each in document.filters] if document else []


def _channels_of(document: RuleDocument | None) -> list[ChannelRow]:
    if document is None:
        return []
    return [
        ChannelRow(
            str(channel.id),
            channel.kind.value,
            ", ".join(channel.recipients) if channel.kind == ChannelKind.EMAIL else channel.url,
            channel.is_enabled,
        )
        for channel in document.channels
    ]
