"""Incidents and renewal information, wire <-> values."""
# ruff: noqa: N815 - the wire's spelling

from datetime import timedelta
from typing import Any

from django.core.validators import RegexValidator
from rest_framework import serializers

from certificates.api.fields import DurationField, FlagField, OptionalTextField
from certificates.api.revocation_serializers import NamedCertificateAnswer
from certificates.models.incident import REASON_LENGTH, Incident
from certificates.services.incidents import DEFAULT_SPREAD, MOST_IDS, Criteria
from certificates.services.renewal_information import WindowReason
from pki_portal.rest import StrictCharField, StrictListField, TimeField, UUIDField, WireSerializer

_CRITERIA = {
    "certificate_ids": "certificateIds",
    "authority_id": "caId",
    "profile_id": "profileId",
    "template_id": "templateId",
    "requester_id": "requesterId",
    "public_key_sha256": "publicKeySha256",
}
_FINGERPRINT = r"\A(?:[0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}\Z"


class DeclareIncidentSerializer(WireSerializer):
    """Body of POST /projects/{id}/incidents. Of what picks certificates at least one; all that are given must fit."""

    reason = StrictCharField(max_length=REASON_LENGTH, help_text="For people: why the certificates are replaced.")
    certificateIds = StrictListField(child=UUIDField(), required=False, min_length=1, max_length=MOST_IDS)
    caId = UUIDField(required=False, allow_null=True, help_text="What this CA issued.")
    profileId = UUIDField(required=False, allow_null=True)
    templateId = UUIDField(required=False, allow_null=True, help_text="What any profile with this template issued.")
    requesterId = StrictCharField(
        required=False,
        allow_null=True,
        max_length=64,
        help_text="What this machine identity, or the person with this `userId`, asked for.",
    )
    publicKeySha256 = StrictCharField(
        required=False,
        validators=[
            RegexValidator(_FINGERPRINT, "Expected the 64 hexadecimal digits of a SHA-256", code="invalid_hash")
        ],
        help_text="What has this key: hex of SHA-256 of its SubjectPublicKeyInfo.",
    )
    replaceWithin = DurationField(
        required=False,
        help_text="All are replaced within this time, one after the other: 1h unless given, at most 30d.",
    )
    dryRun = FlagField(required=False, default=False, help_text="true: say what is affected, and declare nothing.")

    @property
    def criteria(self) -> Criteria:
        """As the service's value."""
        asked = self.validated_data
        return Criteria(
            certificate_ids=tuple(dict.fromkeys(asked.get("certificateIds", ()))),
            authority_id=asked.get("caId"),
            profile_id=asked.get("profileId"),
            template_id=asked.get("templateId"),
            requester_id=(asked.get("requesterId") or "").lower(),
            public_key_sha256=asked.get("publicKeySha256", "").replace(":", "").lower(),
        )

    @property
    def over(self) -> timedelta:
        """The time for replacing."""
        asked: timedelta | None = self.validated_data.get("replaceWithin")
        return DEFAULT_SPREAD if asked is None else asked


class IncidentAnswer(serializers.Serializer[Any]):
    """One incident."""

    id = serializers.UUIDField()
    projectId = serializers.UUIDField(source="project_id")
    reason = serializers.CharField()
    criteria = serializers.SerializerMethodField(help_text="What picked the certificates, as it was sent.")
    declaredAt = TimeField(source="declared_at")
    declaredBy = serializers.CharField(source="declared_by")
    replaceBy = TimeField(source="replace_by")
    closedAt = TimeField(source="closed_at", allow_null=True)
    closedBy = OptionalTextField(source="closed_by")

    def get_criteria(self, incident: Incident) -> dict[str, Any]:
        """In the wire's spelling."""
        return {_CRITERIA[name]: value for name, value in incident.criteria.items()}


class ProgressAnswer(serializers.Serializer[Any]):
    """How far the replacing is."""

    total = serializers.IntegerField(help_text="Certificates in force when the incident was declared.")
    renewed = serializers.IntegerField(help_text="They have a successor.")
    waiting = serializers.IntegerField(help_text="In force, without a successor.")
    failed = serializers.IntegerField(
        help_text="Of those waiting: rules refused their renewal, see their renewalError."
    )
    gone = serializers.IntegerField(help_text="Revoked or ended without a successor.")
    renewedNotRevoked = serializers.IntegerField(
        source="not_revoked", help_text="Of those renewed: still valid, to be revoked once their successors are in use."
    )


class IncidentDetailAnswer(serializers.Serializer[Any]):
    """One incident, and how far it is."""

    incident = IncidentAnswer()
    progress = ProgressAnswer()


class DeclaredIncidentAnswer(serializers.Serializer[Any]):
    """What was declared, or of a dry run what would be affected; the first 100 by name."""

    message = serializers.CharField()
    dryRun = serializers.BooleanField()
    count = serializers.IntegerField()
    certificates = NamedCertificateAnswer(many=True)
    incident = IncidentAnswer(allow_null=True)
    warnings = serializers.ListField(child=serializers.CharField(), required=False)


class AffectedAnswer(serializers.Serializer[Any]):
    """One affected certificate and its turn."""

    certificateId = serializers.UUIDField(source="certificate_id")
    serialNumber = serializers.CharField(source="certificate.serial_number")
    commonName = OptionalTextField(source="certificate.common_name")
    status = serializers.CharField(source="certificate.status")
    notAfter = TimeField(source="certificate.not_after")
    replaceAt = TimeField(source="replace_at")
    renewsByItself = serializers.BooleanField(source="renews_by_itself")
    renewalError = OptionalTextField(source="certificate.renewal_error")
    renewedByCertificateId = serializers.UUIDField(source="successor_id", allow_null=True)


class WindowAnswer(serializers.Serializer[Any]):
    """From when to when; pick a moment within by chance."""

    start = TimeField()
    end = TimeField()


class RenewalInformationAnswer(serializers.Serializer[Any]):
    """When to renew a certificate. Ask again after the seconds of `Retry-After`."""

    certificateId = serializers.UUIDField(source="certificate.pk")
    suggestedWindow = WindowAnswer(source="window")
    reason = serializers.ChoiceField(choices=[(each.value, each.name) for each in WindowReason])
    explanation = serializers.CharField()
    renewedByCertificateId = serializers.UUIDField(source="successor_id", allow_null=True)
