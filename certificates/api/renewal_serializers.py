"""Renewal, wire <-> values."""
# ruff: noqa: N815 - the wire's spelling

from typing import Any

from rest_framework import serializers

from certificates.api.fields import FlagField
from certificates.api.issue_serializers import (
    CSR_LIMIT,
    SUBJECT_FIELDS,
    RequestedAttributesSerializer,
    leaves_out_roots,
)
from certificates.services.renewal import RenewalKeySource
from pki_portal.rest import EnumField, StrictBooleanField, StrictCharField, StrictIntegerField, WireSerializer
from pki_portal.rest.values import IssueCode
from profiles.policy.renewal import RenewalChanges
from profiles.policy.request import BasicConstraints, GeneralName
from profiles.policy.vocabulary import SubjectAttribute

# Wire name, and the field of IssuanceRequest that takes its members.
_LISTS = {"keyUsages": "key_usages", "extendedKeyUsages": "extended_key_usages"}
_VALUES = {"keyAlgorithm": "key_algorithm", "signatureAlgorithm": "signature_algorithm"}
# To clear these would leave no life to renew: null is as good as nothing.
_LIFE = {"ttl": "ttl", "notBefore": "not_before", "notAfter": "not_after"}


class RenewSerializer(WireSerializer):
    """Body of POST /certificates/{id}/renew; all of it may be left out."""

    renewalKeySource = EnumField(
        RenewalKeySource,
        required=False,
        allow_null=True,
        help_text="new (the default): the portal makes a key; reuse: the same public key; csr: that of a new CSR.",
    )
    csr = StrictCharField(required=False, allow_null=True, max_length=CSR_LIMIT, help_text="PKCS#10 in PEM.")
    attributes = RequestedAttributesSerializer(
        required=False,
        allow_null=True,
        help_text="What shall be different; a list replaces the old one, null clears. The rest stays as it was asked.",
    )
    removeRootsFromChain = FlagField(required=False, allow_null=True)

    @property
    def key_source(self) -> RenewalKeySource:
        """Whose key is certified."""
        asked: RenewalKeySource | None = self.validated_data.get("renewalKeySource")
        return asked or RenewalKeySource.NEW

    @property
    def without_roots(self) -> bool:
        """Whether roots shall be left out of the chain."""
        return leaves_out_roots(self.validated_data)

    @property
    def changes(self) -> RenewalChanges:
        """What was supplied, and only that."""
        asked = self._attributes
        subject = {
            kind: (asked[name],) if asked[name] else () for name, kind in SUBJECT_FIELDS.items() if name in asked
        }
        if "domainComponents" in asked:
            subject[SubjectAttribute.DOMAIN_COMPONENT] = tuple(asked["domainComponents"] or ())
        fields: dict[str, Any] = {_VALUES[name]: asked[name] for name in _VALUES if name in asked}
        fields |= {_LIFE[name]: asked[name] for name in _LIFE if asked.get(name) is not None}
        fields |= {
            _LISTS[name]: None if asked[name] is None else tuple(asked[name]) for name in _LISTS if name in asked
        }
        if "altNames" in asked:
            fields["subject_alternative_names"] = tuple(
                GeneralName(name["type"], name["value"]) for name in asked["altNames"] or ()
            )
        if "basicConstraints" in asked:
            said = asked["basicConstraints"]
            fields["basic_constraints"] = said and BasicConstraints(said["isCA"], said.get("pathLength"))
        return RenewalChanges(subject=subject, fields=fields)

    @property
    def _attributes(self) -> dict[str, Any]:
        return self.validated_data.get("attributes") or {}


class RenewedAnswer(serializers.Serializer[Any]):
    """The successor. A key that the portal made is not here: it waits for its one claim."""

    certificate = serializers.CharField(help_text="PEM.")
    issuingCaCertificate = serializers.CharField(
        help_text="PEM; empty for a self-signed certificate.", allow_blank=True
    )
    certificateChain = serializers.CharField(help_text="PEM, issuing CA first and root last.", allow_blank=True)
    serialNumber = serializers.CharField(help_text="40 hexadecimal digits.")
    certificateId = serializers.UUIDField()
    certificateRequestId = serializers.UUIDField()
    message = serializers.CharField()
    warnings = serializers.ListField(
        child=serializers.CharField(), help_text="What was filled in, ignored or granted differently."
    )
    idempotentReplay = serializers.BooleanField(
        required=False, help_text="true where the Idempotency-Key stood for this renewal already."
    )


class RenewalDifferenceLine(serializers.Serializer[Any]):
    """One place where a certificate and its predecessor differ."""

    path = serializers.CharField(help_text="For example subject/common_name or extensions/crl_urls.")
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class RenewalDifferenceAnswer(serializers.Serializer[Any]):
    """What a renewal changed. Serial numbers, dates and fingerprints, which are always new, are left out."""

    certificateId = serializers.UUIDField(source="certificate.pk")
    renewedFromCertificateId = serializers.UUIDField(source="predecessor.pk")
    hasSameKey = serializers.BooleanField(source="has_same_key")
    differences = RenewalDifferenceLine(many=True)
    unchanged = serializers.ListField(child=serializers.CharField(), help_text="Fields in which both agree.")


class RenewalConfigSerializer(WireSerializer):
    """Body of PATCH /certificates/{id}/config."""

    renewBeforeDays = StrictIntegerField(
        required=False, min_value=1, max_value=30, help_text="Renew by itself so many days before the end."
    )
    enableAutoRenewal = StrictBooleanField(required=False, help_text="false: never renew by itself.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """To set a day and to switch off at once is a contradiction."""
        if "renewBeforeDays" in attrs and attrs.get("enableAutoRenewal") is False:
            code = IssueCode("contradiction", asked="both", allowed="one of them")
            text = "Send renewBeforeDays, or enableAutoRenewal false, not both."
            raise serializers.ValidationError({"enableAutoRenewal": [serializers.ErrorDetail(text, code=code)]})
        return attrs


class RenewalConfigAnswer(serializers.Serializer[Any]):
    """What holds now."""

    message = serializers.CharField()
    renewBeforeDays = serializers.IntegerField(required=False)
    warnings = serializers.ListField(child=serializers.CharField(), required=False)
