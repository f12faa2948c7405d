"""What a change would do, on the wire."""
# ruff: noqa: N815 - the wire's spelling

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from pki_portal.errors import Violation
from pki_portal.rest import StrictBooleanField, TimeField, WireSerializer, pointer_of, read
from profiles.impact import Impact

PREVIEW = OpenApiParameter(
    "preview",
    OpenApiTypes.BOOL,
    description="true: tell what the change would do to requests like the recent ones and to renewals; save nothing. "
    "The answer is then a ChangePreview.",
)


class PreviewQuery(WireSerializer):
    """The query of a change."""

    preview = StrictBooleanField(required=False)


class TallySerializer(serializers.Serializer[Any]):
    """How many there are, how many of them, the newest, were judged anew, and what came of those."""

    total = serializers.IntegerField()
    lookedAt = serializers.IntegerField(source="looked_at")
    isSample = serializers.BooleanField(source="is_sample", help_text="Whether there are more than were looked at.")
    passing = serializers.IntegerField(help_text="Would pass, newlyPassing among them.")
    newlyPassing = serializers.IntegerField(source="newly_passing", help_text="Do not pass today and would.")
    newlyRefused = serializers.IntegerField(source="newly_refused", help_text="Pass today and would not.")
    refusedAnyway = serializers.IntegerField(source="refused_anyway", help_text="Pass neither today nor then.")


class ReasonSerializer(serializers.Serializer[Any]):
    """One reason why it would be refused."""

    pointer = serializers.SerializerMethodField(help_text="JSON pointer (RFC 6901) into the body of an issue request.")
    code = serializers.CharField()
    rule = serializers.CharField()
    asked = serializers.CharField(allow_blank=True)
    allowed = serializers.CharField(allow_blank=True)
    fix = serializers.CharField(help_text="What would pass.")

    def get_pointer(self, violation: Violation) -> str:
        """Where the value stands in an issue request."""
        return pointer_of(violation.field)


class NewlyRefusedSerializer(serializers.Serializer[Any]):
    """One request, or one renewal to come, that passes today and would not."""

    certificateRequestId = serializers.UUIDField(source="request_id")
    certificateId = serializers.UUIDField(
        source="certificate_id", allow_null=True, help_text="Of a renewal the certificate that renews."
    )
    name = serializers.CharField(allow_blank=True, help_text="Common name, else the first alternative name.")
    profile = serializers.CharField(source="profile_slug")
    at = TimeField(source="moment", help_text="When it was asked; of a renewal when it is due.")
    details = ReasonSerializer(source="violations", many=True)


class ImpactSerializer(serializers.Serializer[Any]):
    """What the change would do; the lists name the newest 100 at most."""

    days = serializers.IntegerField(help_text="So far back requests were looked for.")
    requests = TallySerializer()
    renewals = TallySerializer(help_text="Of every live certificate that renews by itself.")
    refusedRequests = NewlyRefusedSerializer(source="refused_requests", many=True)
    refusedRenewals = NewlyRefusedSerializer(source="refused_renewals", many=True)


@extend_schema_field({"type": "boolean", "const": True})
class TrueField(serializers.BooleanField):
    """Always true."""


class ChangePreviewSerializer(serializers.Serializer[Any]):
    """The answer of a change with ``preview=true``: nothing was saved."""

    preview = TrueField()
    impact = ImpactSerializer()
    warnings = serializers.ListField(child=serializers.CharField())


def saved_or_preview(name: str, saved: Any) -> Any:
    """What a change answers: ``saved``, or with ``preview=true`` a ChangePreview."""
    return PolymorphicProxySerializer(
        component_name=name, serializers=[saved, ChangePreviewSerializer], resource_type_field_name=None
    )


def is_preview(request: Request) -> bool:
    """Whether nothing is to be saved. Raises a refusal of the query."""
    return bool(read(PreviewQuery(data=request.query_params)).get("preview"))


def preview_answer(impact: Impact, warnings: list[str]) -> Response:
    """The impact, named in the warnings where renewals would fail."""
    answer = {"preview": True, "impact": impact, "warnings": [*warnings, *renewal_warnings(impact)]}
    return Response(ChangePreviewSerializer(answer).data)


def renewal_warnings(impact: Impact | None) -> list[str]:
    """A sentence where renewals that pass today would be refused, or are from now on."""
    if impact is None or not impact.renewals.newly_refused:
        return []
    count, first = impact.renewals.newly_refused, impact.first_refused_renewal
    due = f", the first on {first:%Y-%m-%d}" if first else ""
    sample = f" of the newest {impact.renewals.looked_at}" if impact.renewals.is_sample else ""
    return [f"{count} renewal{'' if count == 1 else 's'}{sample} that passed before this change will be refused{due}."]
