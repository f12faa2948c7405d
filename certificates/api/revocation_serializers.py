"""Revocation, wire <-> values."""
# ruff: noqa: N815 - the wire's spelling

from enum import StrEnum
from typing import Any

from rest_framework import serializers

from certificates.api.fields import FlagField, MomentField, OptionalTextField
from certificates.api.queries import CertificatesQuery, filters_in
from certificates.models.certificate import RevocationReason
from certificates.querysets import CertificateFilters
from pki_portal.rest import EnumField, StrictCharField, StrictIntegerField, TimeField, WireSerializer
from pki_portal.rest.values import IssueCode


class WireReason(StrEnum):
    """CRLReason (RFC 5280, 5.3.1) as the wire writes it; removeFromCRL is no reason to revoke."""

    UNSPECIFIED = "UNSPECIFIED"
    KEY_COMPROMISE = "KEY_COMPROMISE"
    CA_COMPROMISE = "CA_COMPROMISE"
    AFFILIATION_CHANGED = "AFFILIATION_CHANGED"
    SUPERSEDED = "SUPERSEDED"
    CESSATION_OF_OPERATION = "CESSATION_OF_OPERATION"
    CERTIFICATE_HOLD = "CERTIFICATE_HOLD"
    PRIVILEGE_WITHDRAWN = "PRIVILEGE_WITHDRAWN"
    A_A_COMPROMISE = "A_A_COMPROMISE"

    @property
    def reason(self) -> RevocationReason:
        """The same inside."""
        return RevocationReason[self.name]


# RFC 5280 writes keyCompromise and aACompromise.
_RFC_SPELLINGS = {member.value.replace("_", ""): member for member in WireReason}


def _reason_field(**kwargs: Any) -> EnumField[WireReason]:
    return EnumField(WireReason, synonyms=_RFC_SPELLINGS, **kwargs)


class RevokeSerializer(WireSerializer):
    """Body of POST /certificates/{id}/revoke."""

    revocationReason = _reason_field()
    invalidityDate = MomentField(
        required=False,
        allow_null=True,
        max_length=100,
        help_text="Since when the key is known or suspected to be in other hands (RFC 5280, 5.3.2).",
    )


class VersionAnswer(serializers.Serializer[Any]):
    """Enough of a CA's certificate to know it by."""

    certId = serializers.UUIDField(source="id")
    version = serializers.IntegerField()
    serialNumber = serializers.CharField(source="serial_number")
    notAfter = TimeField(source="not_after")


class RevokedAuthorityCertificateAnswer(serializers.Serializer[Any]):
    """That a CA's certificate is revoked; the CRL and OCSP of the CA that signed it say so already."""

    message = serializers.CharField()
    caId = serializers.UUIDField()
    serialNumber = serializers.CharField()
    revokedAt = TimeField()
    siblings = VersionAnswer(many=True, help_text="Other live certificates for the CA's key, where it is compromised.")
    warnings = serializers.ListField(child=serializers.CharField(), required=False)


class RevokeSelectedSerializer(WireSerializer):
    """Body of POST /projects/{id}/certificates/revoke."""

    filter = CertificatesQuery(help_text="As in a search. Of what it finds, the live certificates of CAs are revoked.")
    revocationReason = _reason_field()
    dryRun = FlagField(required=False, default=False, help_text="true: say what would be revoked, and revoke nothing.")
    expectedCount = StrictIntegerField(required=False, min_value=0, help_text="`count` of the dry run.")
    selection = StrictCharField(required=False, max_length=64, help_text="`selection` of the dry run.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The act needs what the preview said."""
        if not attrs["dryRun"]:
            code = IssueCode("preview_needed", asked="nothing", allowed="what the dry run answered")
            text = "Send it as the dry run answered it: what was previewed is what is revoked."
            missing = [name for name in ("expectedCount", "selection") if name not in attrs]
            if missing:
                raise serializers.ValidationError(
                    {name: [serializers.ErrorDetail(text, code=code)] for name in missing}
                )
        return attrs

    @property
    def filters(self) -> CertificateFilters:
        """As the query's value."""
        return filters_in(self.validated_data["filter"])


class NamedCertificateAnswer(serializers.Serializer[Any]):
    """Enough of a certificate to know it by."""

    id = serializers.UUIDField()
    serialNumber = serializers.CharField(source="serial_number")
    commonName = OptionalTextField(source="common_name")
    notAfter = TimeField(source="not_after")


class RevokedAnswer(serializers.Serializer[Any]):
    """That it is revoked; the CRL and OCSP say so already."""

    message = serializers.CharField()
    serialNumber = serializers.CharField()
    revokedAt = TimeField()
    siblings = NamedCertificateAnswer(
        many=True, help_text="Other live certificates with the same key, where that was compromised; at most 100."
    )
    idempotentReplay = serializers.BooleanField(
        required=False, help_text="true where the Idempotency-Key stood for this revocation already."
    )
    warnings = serializers.ListField(child=serializers.CharField(), required=False)


class ReleasedAnswer(serializers.Serializer[Any]):
    """That it is valid again."""

    message = serializers.CharField()
    serialNumber = serializers.CharField()


class RevokedSelectionAnswer(serializers.Serializer[Any]):
    """What is or would be revoked."""

    message = serializers.CharField()
    dryRun = serializers.BooleanField()
    count = serializers.IntegerField()
    selection = serializers.CharField(help_text="Stands for exactly these certificates.")
    certificates = NamedCertificateAnswer(many=True, help_text="The first ten.")
    idempotentReplay = serializers.BooleanField(
        required=False, help_text="true where the Idempotency-Key stood for this act already."
    )
    warnings = serializers.ListField(child=serializers.CharField(), required=False)
