"""Fields of the certificate API, for what the wire writes otherwise than the portal."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.fields import empty

from certificates.api.dates import parse_wire_datetime
from certificates.x509.inspect import subject_of_der
from pki_portal.rest import StrictBooleanField, StrictCharField, StrictListField, UUIDField
from pki_portal.rest.values import IssueCode
from profiles.policy.validity import InvalidDuration, parse_ttl
from profiles.policy.vocabulary import ExtendedKeyUsage, KeyUsage, SubjectAttribute

# Stored values are answered in camelCase; RFC 5280 writes cRLSign so.
WIRE_KEY_USAGES: Mapping[str, str] = {
    KeyUsage.DIGITAL_SIGNATURE: "digitalSignature",
    KeyUsage.NON_REPUDIATION: "nonRepudiation",
    KeyUsage.KEY_ENCIPHERMENT: "keyEncipherment",
    KeyUsage.DATA_ENCIPHERMENT: "dataEncipherment",
    KeyUsage.KEY_AGREEMENT: "keyAgreement",
    KeyUsage.KEY_CERT_SIGN: "keyCertSign",
    KeyUsage.CRL_SIGN: "cRLSign",
    KeyUsage.ENCIPHER_ONLY: "encipherOnly",
    KeyUsage.DECIPHER_ONLY: "decipherOnly",
}
WIRE_EXTENDED_KEY_USAGES: Mapping[str, str] = {
    ExtendedKeyUsage.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsage.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsage.CODE_SIGNING: "codeSigning",
    ExtendedKeyUsage.EMAIL_PROTECTION: "emailProtection",
    ExtendedKeyUsage.TIME_STAMPING: "timeStamping",
    ExtendedKeyUsage.OCSP_SIGNING: "ocspSigning",
}


class DurationField(StrictCharField):
    """A length of life such as ``90d``; becomes a timedelta."""

    def run_validation(self, data: Any = empty) -> Any:
        """Read number and unit out of the checked text."""
        text = super().run_validation(data)
        try:
            return parse_ttl(text) if isinstance(text, str) else text
        except InvalidDuration as problem:
            code = IssueCode("invalid_ttl", asked=text, allowed="a number and a unit: s, m, h, d, w or y")
            raise serializers.ValidationError(str(problem), code=code) from None


class MomentField(StrictCharField):
    """A date or a date and time, UTC where no offset stands; becomes an aware datetime."""

    def run_validation(self, data: Any = empty) -> Any:
        """Read the moment out of the checked text."""
        text = super().run_validation(data)
        try:
            return parse_wire_datetime(text) if isinstance(text, str) else text
        except ValueError as problem:
            code = IssueCode(
                "invalid_date", asked=text, allowed="an ISO 8601 date, from 1950 on, with or without a time"
            )
            raise serializers.ValidationError(str(problem), code=code) from None


class FlagField(StrictBooleanField):
    """A boolean, or its name as text: clients send both."""

    def to_internal_value(self, data: Any) -> bool:
        """Read it."""
        if isinstance(data, str):
            data = {"true": True, "false": False}.get(data.strip().lower(), data)
        return super().to_internal_value(data)


class OptionalTextField(serializers.CharField):
    """Text in answers that is null where the column is empty."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_null=True, **kwargs)

    def to_representation(self, value: Any) -> str | None:  # type: ignore[override]
        """Empty is null."""
        return str(value) or None


class WireUsagesField(serializers.ListField):
    """Usages in answers: camelCase names in RFC order, dotted OIDs as they are."""

    child = serializers.CharField()

    def __init__(self, spellings: Mapping[str, str], **kwargs: Any) -> None:
        self._spellings = spellings
        super().__init__(**kwargs)

    def to_representation(self, data: Any) -> list[str]:
        """Respell."""
        return [self._spellings.get(usage, usage) for usage in data]


class AltNamesField(serializers.CharField):
    """Alternative names in answers: their values, comma-joined in the order of the certificate; null without any."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_null=True, **kwargs)

    def to_representation(self, value: Any) -> str | None:  # type: ignore[override]
        """Join."""
        return ",".join(name["value"] for name in value) or None


class AskedAttributeField(serializers.CharField):
    """One subject attribute out of what a stored request asked; null where it asked none."""

    def __init__(self, attribute: SubjectAttribute, **kwargs: Any) -> None:
        self._attribute = attribute
        super().__init__(source="asked", allow_null=True, **kwargs)

    def to_representation(self, value: Any) -> str | None:  # type: ignore[override]
        """Find the first."""
        asked = (entry["value"] for entry in value.get("subject", []) if entry["type"] == self._attribute)
        return next(asked, None)


class AskedAttributesField(serializers.ListField):
    """All values of one subject attribute out of what a stored request asked."""

    child = serializers.CharField()

    def __init__(self, attribute: SubjectAttribute, **kwargs: Any) -> None:
        self._attribute = attribute
        super().__init__(source="asked", **kwargs)

    def to_representation(self, data: Any) -> list[str]:
        """Find them."""
        return [entry["value"] for entry in data.get("subject", []) if entry["type"] == self._attribute]


class SubjectValuesField(serializers.ListField):
    """All values of one attribute of a certificate's subject, in the order encoded."""

    child = serializers.CharField()

    def __init__(self, attribute: SubjectAttribute, **kwargs: Any) -> None:
        self._attribute = attribute
        super().__init__(source="der", **kwargs)

    def to_representation(self, data: Any) -> list[str]:
        """Read them from the encoding, the one place where they stand."""
        return [each.value for each in subject_of_der(bytes(data)) if each.type == self._attribute]


class SubjectValueField(serializers.CharField):
    """The values of one attribute of a certificate's subject, comma-joined; null without any."""

    def __init__(self, attribute: SubjectAttribute, **kwargs: Any) -> None:
        self._attribute = attribute
        super().__init__(source="der", allow_null=True, **kwargs)

    def to_representation(self, value: Any) -> str | None:  # type: ignore[override]
        """Read them from the encoding, the one place where they stand."""
        found = [each.value for each in subject_of_der(bytes(value)) if each.type == self._attribute]
        return ", ".join(found) or None


class IdListField(StrictListField):
    """UUIDs: a list, one text with commas, or (in a query) the parameter repeated."""

    child = UUIDField()

    def __init__(self, **kwargs: Any) -> None:
        # With 40 the request line stays below the 4 KiB that the server reads.
        super().__init__(max_length=40, **kwargs)

    def to_internal_value(self, data: Any) -> list[Any]:
        """Split at commas and read each."""
        members = [data] if isinstance(data, str) else data
        if isinstance(members, list):
            members = [
                part
                for member in members
                for part in (member.split(",") if isinstance(member, str) else [member])
                if part != ""
            ]
        return super().to_internal_value(members)
