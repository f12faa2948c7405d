"""The issue request as the wire has it, and its answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from rest_framework import serializers

from certificates.api.fields import DurationField, FlagField, MomentField
from certificates.api.serializers import CertificateMetadataSerializer
from certificates.models.request import RequestStatus
from pki_portal.rest import (
    StrictBooleanField,
    StrictCharField,
    StrictIntegerField,
    StrictListField,
    UUIDField,
    WireSerializer,
    ignored_keys,
    read_by,
)
from profiles.api.fields import PurposeField, WordField
from profiles.policy.request import AttributeValue, BasicConstraints, GeneralName, IssuanceRequest
from profiles.policy.vocabulary import (
    KeyAlgorithm,
    KeyUsage,
    NameType,
    SignatureAlgorithm,
    SubjectAttribute,
    parse_key_algorithm,
    parse_key_usage,
    parse_name_type,
    parse_signature_algorithm,
)

# 64 KiB of PEM: a 16384-bit RSA key with a thousand names still fits.
CSR_LIMIT = 64 * 1024
NAMES_LIMIT = 1000
# A host name of 253 characters has no more labels.
COMPONENTS_LIMIT = 127
USAGES_LIMIT = 20
METADATA_LIMIT = 100
# Wider than any rule allows: what is too long for a certificate is the policy's to say, with its fix.
SUBJECT_VALUE_LIMIT = 1024
NAME_VALUE_LIMIT = 4096

SUBJECT_FIELDS: Mapping[str, SubjectAttribute] = {
    "commonName": SubjectAttribute.COMMON_NAME,
    "organization": SubjectAttribute.ORGANIZATION,
    "organizationalUnit": SubjectAttribute.ORGANIZATIONAL_UNIT,
    "country": SubjectAttribute.COUNTRY,
    "state": SubjectAttribute.STATE,
    "locality": SubjectAttribute.LOCALITY,
    "serialNumber": SubjectAttribute.SERIAL_NUMBER,
    "email": SubjectAttribute.EMAIL,
}
# What a CSR says itself, so that the attributes beside it are not read.
_SAID_BY_CSR = (
    *SUBJECT_FIELDS,
    "domainComponents",
    "altNames",
    "keyUsages",
    "extendedKeyUsages",
    "keyAlgorithm",
    "signatureAlgorithm",
)


class RequestedNameSerializer(WireSerializer):
    """One subject alternative name."""

    type = WordField(
        NameType,
        parse=parse_name_type,
        help_text="Also read: DNS, IP, EMAIL, URI, URL, UPN and other spellings, in any case.",
    )
    value = StrictCharField(max_length=NAME_VALUE_LIMIT)


class RequestedConstraintsSerializer(WireSerializer):
    """RFC 5280, 4.2.1.9."""

    isCA = StrictBooleanField()  # noqa: N815
    pathLength = StrictIntegerField(required=False, allow_null=True, min_value=0, max_value=255)  # noqa: N815


def _subject_field() -> StrictCharField:
    return StrictCharField(required=False, allow_null=True, allow_blank=True, max_length=SUBJECT_VALUE_LIMIT)


class RequestedAttributesSerializer(WireSerializer):
    """What shall be in the certificate; for a CSR only life and basic constraints are read, it says the rest."""

    commonName = _subject_field()  # noqa: N815
    organization = _subject_field()
    organizationalUnit = _subject_field()  # noqa: N815
    country = _subject_field()
    state = _subject_field()
    locality = _subject_field()
    domainComponents = StrictListField(  # noqa: N815
        child=StrictCharField(max_length=SUBJECT_VALUE_LIMIT),
        required=False,
        allow_null=True,
        max_length=COMPONENTS_LIMIT,
        help_text="One label each, the top one first as in the encoding: com, acme.",
    )
    serialNumber = _subject_field()  # noqa: N815
    email = _subject_field()
    altNames = StrictListField(child=RequestedNameSerializer(), required=False, allow_null=True, max_length=NAMES_LIMIT)  # noqa: N815
    keyUsages = StrictListField(  # noqa: N815
        child=WordField(KeyUsage, parse=parse_key_usage), required=False, allow_null=True, max_length=USAGES_LIMIT
    )
    extendedKeyUsages = StrictListField(  # noqa: N815
        child=PurposeField(),
        required=False,
        allow_null=True,
        max_length=USAGES_LIMIT,
    )
    signatureAlgorithm = WordField(  # noqa: N815
        SignatureAlgorithm,
        parse=parse_signature_algorithm,
        required=False,
        allow_null=True,
        help_text="Also read: SHA256-RSA and other spellings, in any case.",
    )
    keyAlgorithm = WordField(  # noqa: N815
        KeyAlgorithm,
        parse=parse_key_algorithm,
        required=False,
        allow_null=True,
        help_text="Also read: RSA-2048, ECDSA-P256, P-256 and other spellings, in any case.",
    )
    ttl = DurationField(
        required=False,
        allow_null=True,
        max_length=100,
        help_text="A number and s, m (minutes), h, d, w or y (365 days): 90d. Not together with notBefore or notAfter.",
    )
    notBefore = MomentField(  # noqa: N815
        required=False, allow_null=True, max_length=100, help_text="ISO 8601, a bare date too."
    )
    notAfter = MomentField(  # noqa: N815
        required=False, allow_null=True, max_length=100, help_text="ISO 8601, a bare date too."
    )
    basicConstraints = RequestedConstraintsSerializer(required=False, allow_null=True)  # noqa: N815
    removeRootsFromChain = FlagField(  # noqa: N815
        required=False, allow_null=True, help_text="Read here too, because clients send it here."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One way of saying how long, and no end before the beginning."""
        not_before, not_after = attrs.get("notBefore"), attrs.get("notAfter")
        if attrs.get("ttl") is not None and (not_before is not None or not_after is not None):
            raise serializers.ValidationError({"ttl": ["Give either ttl or notBefore and notAfter, not both."]})
        if not_before is not None and not_after is not None and not_before >= not_after:
            raise serializers.ValidationError({"notAfter": ["notAfter must be later than notBefore."]})
        return attrs


def leaves_out_roots(asked: Mapping[str, Any]) -> bool:
    """Whether a body asks for a chain without roots; the top level wins over ``attributes``."""
    at_the_top: bool | None = asked.get("removeRootsFromChain")
    within: bool | None = (asked.get("attributes") or {}).get("removeRootsFromChain")
    return bool(within if at_the_top is None else at_the_top)


class IssueCertificateSerializer(WireSerializer):
    """Body of an issue request: with ``csr`` the applicant's key is certified, without it the portal makes one."""

    profileId = UUIDField()  # noqa: N815
    csr = StrictCharField(required=False, allow_null=True, max_length=CSR_LIMIT, help_text="PKCS#10 in PEM.")
    attributes = RequestedAttributesSerializer(required=False, allow_null=True)
    removeRootsFromChain = FlagField(required=False, allow_null=True)  # noqa: N815
    metadata = StrictListField(
        child=CertificateMetadataSerializer(), required=False, allow_null=True, max_length=METADATA_LIMIT
    )


# Made once: to make a serializer costs several times what reading by it does.
_ISSUE = IssueCertificateSerializer()


@dataclass(frozen=True, slots=True)
class IssueBody:
    """The body of an issue request as it was read.

    Attributes:
        values: by the wire's names; those that were not sent lack.
        ignored_keys: JSON pointers of what nothing read.
    """

    values: Mapping[str, Any]
    ignored_keys: Sequence[str]

    @property
    def profile_id(self) -> UUID:
        """The profile asked for."""
        found: UUID = self.values["profileId"]
        return found

    @property
    def csr_pem(self) -> str | None:
        """The CSR as sent; None where the portal shall make the key."""
        csr: str | None = self.values.get("csr")
        return csr

    @property
    def without_roots(self) -> bool:
        """Whether roots shall be left out of the chain."""
        return leaves_out_roots(self.values)

    @property
    def metadata_entries(self) -> list[dict[str, str]]:
        """The notes to keep."""
        return [dict(entry) for entry in self.values.get("metadata") or []]

    def issuance_request(self, said: IssuanceRequest | None) -> IssuanceRequest:
        """What is asked, as the policy's value; ``said`` is what the CSR says, None without one."""
        unknown = tuple(self.ignored_keys)
        if said is not None:
            return self._beside_csr(said, unknown)
        asked = self._attributes
        return IssuanceRequest(
            subject=(
                *(
                    AttributeValue(SubjectAttribute.DOMAIN_COMPONENT, each)
                    for each in asked.get("domainComponents") or ()
                ),
                *(
                    AttributeValue(attribute, asked[name])
                    for name, attribute in SUBJECT_FIELDS.items()
                    if asked.get(name)
                ),
            ),
            subject_alternative_names=tuple(
                GeneralName(name["type"], name["value"]) for name in asked.get("altNames") or []
            ),
            key_usages=_tuple_or_none(asked.get("keyUsages")),
            extended_key_usages=_tuple_or_none(asked.get("extendedKeyUsages")),
            key_algorithm=asked.get("keyAlgorithm"),
            signature_algorithm=asked.get("signatureAlgorithm"),
            ttl=asked.get("ttl"),
            not_before=asked.get("notBefore"),
            not_after=asked.get("notAfter"),
            basic_constraints=self._basic_constraints,
            ignored=unknown,
        )

    def _beside_csr(self, said: IssuanceRequest, unknown: tuple[str, ...]) -> IssuanceRequest:
        asked = self._attributes
        overruled = tuple(f"/attributes/{name} (the CSR says it)" for name in _SAID_BY_CSR if asked.get(name))
        return replace(
            said,
            ttl=asked.get("ttl"),
            not_before=asked.get("notBefore"),
            not_after=asked.get("notAfter"),
            basic_constraints=self._basic_constraints or said.basic_constraints,
            ignored=(*said.ignored, *overruled, *unknown),
        )

    @property
    def _attributes(self) -> Mapping[str, Any]:
        return self.values.get("attributes") or {}

    @property
    def _basic_constraints(self) -> BasicConstraints | None:
        asked = self._attributes.get("basicConstraints")
        return None if asked is None else BasicConstraints(is_ca=asked["isCA"], path_length=asked.get("pathLength"))


def read_issue_body(data: object) -> IssueBody:
    """Read a body. Raises the REST framework's ValidationError (422)."""
    return IssueBody(read_by(_ISSUE, data), ignored_keys(_ISSUE, data))


def _tuple_or_none(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)


class IssuedCertificateSerializer(serializers.Serializer[Any]):
    """A new certificate; ``privateKey`` is there only where the portal made the key, and only this once."""

    certificate = serializers.CharField(help_text="PEM.")
    issuingCaCertificate = serializers.CharField(  # noqa: N815
        help_text="PEM; empty for a self-signed certificate.", allow_blank=True
    )
    certificateChain = serializers.CharField(  # noqa: N815
        help_text="PEM, issuing CA first and root last.", allow_blank=True
    )
    privateKey = serializers.CharField(  # noqa: N815
        required=False, help_text="PKCS#8 in PEM; absent for a CSR. It is not kept: store it now."
    )
    serialNumber = serializers.CharField(help_text="40 hexadecimal digits.")  # noqa: N815
    certificateId = serializers.UUIDField()  # noqa: N815


class IssueCertificateAnswerSerializer(serializers.Serializer[Any]):
    """Answer to an issue request."""

    certificate = IssuedCertificateSerializer(
        allow_null=True, help_text="Null where others must agree first, and where none came of a request that waited."
    )
    certificateRequestId = serializers.UUIDField()  # noqa: N815
    status = serializers.ChoiceField(choices=RequestStatus.choices)
    message = serializers.CharField()
    warnings = serializers.ListField(
        child=serializers.CharField(), help_text="What was filled in, ignored or granted differently."
    )
    idempotentReplay = serializers.BooleanField(  # noqa: N815
        required=False, help_text="true where the Idempotency-Key stood for this certificate already."
    )
