"""Alerts on the wire."""
# ruff: noqa: N815 - the wire's spelling

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from certificates.alerts.models import (
    NAME_MAX_LENGTH,
    AlertChannel,
    AlertKind,
    ChannelKind,
    DeliveryState,
)
from certificates.alerts.services.rules import (
    CHANNELS_LIMIT,
    DESCRIPTION_LIMIT,
    FILTERS_LIMIT,
    RECIPIENTS_LIMIT,
    TEXT_LIMIT,
    URL_LIMIT,
    ChannelDocument,
    FilterField,
    FilterOperator,
)
from pki_portal.rest import (
    EnumField,
    StrictBooleanField,
    StrictCharField,
    StrictListField,
    TimeField,
    UUIDField,
    WireSerializer,
)


class FilterSerializer(WireSerializer):
    """A condition; all of a rule's must hold."""

    field = EnumField(FilterField)
    operator = EnumField(FilterOperator)
    value = StrictCharField(max_length=TEXT_LIMIT)


class ChannelConfigSerializer(WireSerializer):
    """What a channel needs: `recipients` for email, `url` for a webhook, `webhookUrl` for Slack."""

    recipients = StrictListField(child=StrictCharField(max_length=320), required=False, max_length=RECIPIENTS_LIMIT)
    url = StrictCharField(required=False, max_length=URL_LIMIT)
    signingSecret = StrictCharField(
        required=False,
        max_length=256,
        write_only=True,
        help_text="16 to 256 characters; without one it is made here and told in this one answer.",
    )
    webhookUrl = StrictCharField(required=False, max_length=URL_LIMIT, write_only=True, help_text="Never shown again.")


class ChannelSerializer(WireSerializer):
    """A channel as it is asked for; `id` names one that the alert has, whose secret then stays."""

    id = UUIDField(required=False)
    channelType = EnumField(ChannelKind)
    enabled = StrictBooleanField(required=False, default=True)
    config = ChannelConfigSerializer(required=False)


class ChangesSerializer(WireSerializer):
    """What of an alert changes; `channels` and `filters` replace the lists that it has."""

    name = StrictCharField(required=False, max_length=NAME_MAX_LENGTH)
    description = StrictCharField(required=False, allow_blank=True, max_length=DESCRIPTION_LIMIT)
    alertBefore = StrictCharField(required=False, max_length=32, help_text="Such as `30d`; 1h to 3650d.")
    filters = StrictListField(child=FilterSerializer(), required=False, max_length=FILTERS_LIMIT)
    enabled = StrictBooleanField(required=False)
    channels = StrictListField(child=ChannelSerializer(), required=False, min_length=1, max_length=CHANNELS_LIMIT)


class NewAlertSerializer(ChangesSerializer):
    """An alert as it is asked for."""

    projectId = StrictCharField(max_length=64)
    type = EnumField(AlertKind)
    name = StrictCharField(max_length=NAME_MAX_LENGTH)
    alertBefore = StrictCharField(max_length=32, help_text="Such as `30d`; 1h to 3650d.")
    channels = StrictListField(child=ChannelSerializer(), min_length=1, max_length=CHANNELS_LIMIT)


class AlertsQuery(WireSerializer):
    """Whose alerts."""

    projectId = StrictCharField(max_length=64)


def channels_in(asked: list[Mapping[str, Any]]) -> tuple[ChannelDocument, ...]:
    """The channels of a body as the service takes them."""
    return tuple(_channel_in(each) for each in asked)


def _channel_in(asked: Mapping[str, Any]) -> ChannelDocument:
    config = asked.get("config", {})
    kind = ChannelKind(asked["channelType"])
    return ChannelDocument(
        kind=kind,
        recipients=tuple(config.get("recipients", ())) if kind == ChannelKind.EMAIL else (),
        url=config.get("url", "") if kind == ChannelKind.WEBHOOK else "",
        secret=config.get("webhookUrl" if kind == ChannelKind.SLACK else "signingSecret", ""),
        is_enabled=asked["enabled"],
        id=asked.get("id"),
    )


# --- Answers ----------------------------------------------------------------------------------------------------------


class ChannelConfigAnswer(serializers.Serializer[Any]):
    """Without secrets, but for a signing secret in the answer that made it."""

    recipients = serializers.ListField(child=serializers.CharField(), required=False)
    url = serializers.CharField(required=False)
    signingSecret = serializers.CharField(required=False, help_text="In the answer that made it and nowhere else.")


class ChannelAnswer(serializers.Serializer[AlertChannel]):
    """A stored channel."""

    id = serializers.UUIDField()
    channelType = EnumField(ChannelKind, source="kind")
    enabled = serializers.BooleanField(source="is_enabled")
    config = serializers.SerializerMethodField()

    @extend_schema_field(ChannelConfigAnswer)
    def get_config(self, channel: AlertChannel) -> dict[str, Any]:
        """What may be shown; ``new_secrets`` of the context are those that this answer tells, by channel id."""
        new_secrets: Mapping[UUID, str] = self.context.get("new_secrets", {})
        config: dict[str, Any] = {}
        if channel.kind == ChannelKind.EMAIL:
            config["recipients"] = channel.recipients
        if channel.kind == ChannelKind.WEBHOOK:
            config["url"] = channel.url
        if channel.pk in new_secrets:
            config["signingSecret"] = new_secrets[channel.pk]
        return config


class FilterAnswer(serializers.Serializer[Any]):
    """A stored condition."""

    field = EnumField(FilterField)
    operator = EnumField(FilterOperator)
    value = serializers.CharField()


class AlertAnswer(serializers.Serializer[Any]):
    """A stored alert."""

    id = serializers.UUIDField()
    projectId = serializers.UUIDField(source="project_id")
    name = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    type = EnumField(AlertKind, source="kind")
    alertBefore = serializers.CharField(source="alert_before")
    filters = FilterAnswer(many=True)
    enabled = serializers.BooleanField(source="is_enabled")
    channels = ChannelAnswer(many=True)
    createdAt = TimeField(source="created_at")
    updatedAt = TimeField(source="updated_at")


class DeliveryAnswer(serializers.Serializer[Any]):
    """One message to one receiver."""

    id = serializers.UUIDField()
    digestId = serializers.UUIDField(source="digest_id")
    channelId = serializers.UUIDField(source="channel_id", allow_null=True)
    channelType = EnumField(ChannelKind, source="channel_kind")
    target = serializers.CharField(allow_blank=True)
    status = EnumField(DeliveryState, source="state")
    isTest = serializers.BooleanField(source="digest.is_test")
    itemCount = serializers.IntegerField(source="digest.total")
    attempts = serializers.IntegerField()
    error = serializers.CharField(source="last_error", allow_blank=True)
    createdAt = TimeField(source="digest.created_at")
    deliveredAt = TimeField(source="delivered_at", allow_null=True)
    nextAttemptAt = TimeField(source="due_at", allow_null=True)
