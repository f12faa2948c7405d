"""Decisions as the wire has them: the stored trace, with JSON pointers instead of fields."""
# ruff: noqa: N815 - the wire's spelling

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from certificates.api.fields import WIRE_EXTENDED_KEY_USAGES, WIRE_KEY_USAGES, WireUsagesField
from certificates.api.serializers import CertificateConstraintsSerializer
from pki_portal.errors import Change
from pki_portal.rest import json_patch, pointer_of
from profiles.policy.explain import WOULD_ISSUE, WOULD_REFUSE


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

    patch = serializers.SerializerMethodField(
        help_text="JSON Patch (RFC 6902) of the body of the dry run after which the rule is met; null where none helps."
    )

    def get_pointer(self, outcome: Mapping[str, Any]) -> str:
        """Where it stands in the body."""
        return pointer_of(outcome["field"])

    @extend_schema_field(serializers.ListField(child=serializers.DictField(), allow_null=True))
    def get_patch(self, outcome: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """For the body that was sent; a stored decision has none."""
        return json_patch([Change(**step) for step in outcome.get("changes", ())], self.context.get("body"))


class ExplanationSerializer(serializers.Serializer[Any]):
    """What the issue request would come to, and why; nothing was signed or stored."""

    decision = serializers.ChoiceField(choices=(WOULD_ISSUE, WOULD_REFUSE))
    plan = PlanSerializer(allow_null=True, help_text="What the certificate would say; null where it would be refused.")
    rules = RuleOutcomeSerializer(many=True, help_text="Every rule that was looked at, in the order judged.")
    warnings = serializers.ListField(child=serializers.CharField())


class AgreedSerializer(serializers.Serializer[Any]):
    """One approval that counted when the certificate was issued."""

    step = serializers.IntegerField(help_text="From 1.")
    userId = serializers.CharField()
    name = serializers.CharField()
    comment = serializers.CharField(allow_blank=True)
    at = serializers.DateTimeField()


class StoredDecisionSerializer(serializers.Serializer[Any]):
    """How a request was judged, and by which versions of profile and template."""

    certificateId = serializers.UUIDField(allow_null=True)
    certificateRequestId = serializers.UUIDField()
    profileId = serializers.UUIDField()
    profileVersion = serializers.IntegerField()
    certificateTemplateId = serializers.UUIDField()
    templateVersion = serializers.IntegerField()
    decision = serializers.ChoiceField(choices=("issued", "refused", "pending-approval"))
    plan = PlanSerializer(allow_null=True, help_text="Null where rules refused the request.")
    rules = RuleOutcomeSerializer(many=True)
    warnings = serializers.ListField(child=serializers.CharField())
    approvals = AgreedSerializer(many=True, help_text="Who agreed before it was issued; empty where nobody had to.")
