"""Decisions as the wire has them: the stored trace, with JSON pointers instead of fields."""
# ruff: noqa: N815 - the wire's spelling

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from certificates.api.fields import WIRE_EXTENDED_KEY_USAGES, WIRE_KEY_USAGES, WireUsagesField
from certificates.api.serializers import CertificateConstraintsSerializer
from pki_portal.rest import pointer_of


class TypedValueSerializer(serializers.Serializer[Any]):
    """A subject attribute or an alternative name."""

    type = serializers.CharField()
    value = serializers.CharField()


class PlanSerializer(serializers.Serializer[Any]):
    """What the certificate says beside its issuer, serial number and key."""

    subject = TypedValueSerializer(many=True)
    altNames = TypedValueSerializer(source="subject_alternative_names", many=True)
    keyUsages = WireUsagesField(WIRE_KEY_USAGES, source="key_usages")
    extendedKeyUsages = WireUsagesField(WIRE_EXTENDED_KEY_USAGES, source="extended_key_usages")
    keyAlgorithm = serializers.CharField(source="key_algorithm")
    signatureAlgorithm = serializers.CharField(source="signature_algorithm")
    notBefore = serializers.CharField(source="not_before")
    notAfter = serializers.CharField(source="not_after")
    basicConstraints = CertificateConstraintsSerializer(source="basic_constraints")


class RuleOutcomeSerializer(serializers.Serializer[Any]):
    """One rule that was looked at."""

    pointer = serializers.SerializerMethodField(help_text="JSON pointer (RFC 6901) into the body of an issue request.")
    code = serializers.CharField(allow_blank=True, help_text="Of the violation; empty where the rule was met.")
    rule = serializers.CharField()
    asked = serializers.CharField(allow_blank=True)
    allowed = serializers.CharField(allow_blank=True)
    verdict = serializers.CharField(help_text="pass, fail, or filled: met by what the portal supplied.")
    fix = serializers.CharField(allow_blank=True, help_text="What would pass; empty where the rule was met.")

    def get_pointer(self, outcome: Mapping[str, Any]) -> str:
        """Where it stands in the body."""
        return pointer_of(outcome["field"])


class StoredDecisionSerializer(serializers.Serializer[Any]):
    """How a request was judged, and by which versions of profile and template."""

    certificateId = serializers.UUIDField(allow_null=True)
    certificateRequestId = serializers.UUIDField()
    profileId = serializers.UUIDField()
    profileVersion = serializers.IntegerField()
    certificateTemplateId = serializers.UUIDField()
    templateVersion = serializers.IntegerField()
    decision = serializers.ChoiceField(choices=("issued", "refused"))
    plan = PlanSerializer(allow_null=True, help_text="Null where rules refused the request.")
    rules = RuleOutcomeSerializer(many=True)
    warnings = serializers.ListField(child=serializers.CharField())
