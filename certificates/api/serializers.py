"""Wire <-> values: the one place of this app's API where camelCase and the wire's spellings exist."""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.fields import empty

from certificates.api.dates import parse_wire_datetime
from certificates.models import Certificate, CertificateRequest
from certificates.models.certificate import CertificateStatus, KeySource
from certificates.models.request import RequestStatus
from certificates.querysets import (
    CertificateFilters,
    CertificateOrder,
    RequestFilters,
    RequestOrder,
    StatusFilter,
)
from certificates.services.retrieval import certificate_pem
from pki_portal.rest import (
    EnumField,
    StrictBooleanField,
    StrictCharField,
    StrictIntegerField,
    StrictListField,
    TimeField,
    UUIDField,
    WireSerializer,
)
from pki_portal.rest.values import IssueCode
from profiles.api.fields import WordField
from profiles.policy.request import AttributeValue, BasicConstraints, GeneralName, IssuanceRequest
from profiles.policy.validity import InvalidDuration, parse_ttl
from profiles.policy.vocabulary import (
    ExtendedKeyUsage,
    KeyAlgorithm,
    KeyUsage,
    NameType,
    SignatureAlgorithm,
    SubjectAttribute,
    parse_extended_key_usage,
    parse_key_algorithm,
    parse_key_usage,
    parse_name_type,
    parse_signature_algorithm,
)

# 64 KiB of PEM: a 16384-bit RSA key with a thousand names still fits.
CSR_LIMIT = 64 * 1024
NAMES_LIMIT = 1000
USAGES_LIMIT = 20
METADATA_LIMIT = 100
# Wider than any rule allows: what is too long for a certificate is the policy's to say, with its fix.
SUBJECT_VALUE_LIMIT = 1024
NAME_VALUE_LIMIT = 4096

_SUBJECT_FIELDS: Mapping[str, SubjectAttribute] = {
    "commonName": SubjectAttribute.COMMON_NAME,
    "organization": SubjectAttribute.ORGANIZATION,
    "organizationalUnit": SubjectAttribute.ORGANIZATIONAL_UNIT,
    "country": SubjectAttribute.COUNTRY,
    "state": SubjectAttribute.STATE,
    "locality": SubjectAttribute.LOCALITY,
}
# What a CSR says itself, so that the attributes beside it are not read.
_SAID_BY_CSR = (
    *_SUBJECT_FIELDS,
    "altNames",
    "keyUsages",
    "extendedKeyUsages",
    "keyAlgorithm",
    "signatureAlgorithm",
)
# Stored values are answered in camelCase; RFC 5280 writes cRLSign so.
_WIRE_KEY_USAGES: Mapping[str, str] = {
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
_WIRE_EXTENDED_KEY_USAGES: Mapping[str, str] = {
    ExtendedKeyUsage.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsage.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsage.CODE_SIGNING: "codeSigning",
    ExtendedKeyUsage.EMAIL_PROTECTION: "emailProtection",
    ExtendedKeyUsage.TIME_STAMPING: "timeStamping",
    ExtendedKeyUsage.OCSP_SIGNING: "ocspSigning",
}


# --- Fields -----------------------------------------------------------------------------------------------------------


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


# --- Issue ------------------------------------------------------------------------------------------------------------


class RequestedNameSerializer(WireSerializer):
    """One subject alternative name."""

    type = WordField(
        NameType,
        parse=parse_name_type,
        help_text="Also read: DNS, IP, EMAIL, URI, URL and other spellings, in any case.",
    )
    value = StrictCharField(max_length=NAME_VALUE_LIMIT)


class RequestedConstraintsSerializer(WireSerializer):
    """RFC 5280, 4.2.1.9."""

    isCA = StrictBooleanField()  # noqa: N815
    pathLength = StrictIntegerField(required=False, allow_null=True, min_value=0, max_value=255)  # noqa: N815


class CertificateMetadataSerializer(WireSerializer):
    """A note kept with the certificate."""

    key = StrictCharField(max_length=255)
    value = StrictCharField(max_length=1020, allow_blank=True, required=False, default="")


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
    altNames = StrictListField(child=RequestedNameSerializer(), required=False, allow_null=True, max_length=NAMES_LIMIT)  # noqa: N815
    keyUsages = StrictListField(  # noqa: N815
        child=WordField(KeyUsage, parse=parse_key_usage), required=False, allow_null=True, max_length=USAGES_LIMIT
    )
    extendedKeyUsages = StrictListField(  # noqa: N815
        child=WordField(ExtendedKeyUsage, parse=parse_extended_key_usage),
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


class IssueCertificateSerializer(WireSerializer):
    """Body of an issue request: with ``csr`` the applicant's key is certified, without it the portal makes one."""

    profileId = UUIDField()  # noqa: N815
    csr = StrictCharField(required=False, allow_null=True, max_length=CSR_LIMIT, help_text="PKCS#10 in PEM.")
    attributes = RequestedAttributesSerializer(required=False, allow_null=True)
    removeRootsFromChain = FlagField(required=False, allow_null=True)  # noqa: N815
    metadata = StrictListField(
        child=CertificateMetadataSerializer(), required=False, allow_null=True, max_length=METADATA_LIMIT
    )

    @property
    def profile_id(self) -> UUID:
        """The profile asked for."""
        found: UUID = self.validated_data["profileId"]
        return found

    @property
    def csr_pem(self) -> str | None:
        """The CSR as sent; None where the portal shall make the key."""
        csr: str | None = self.validated_data.get("csr")
        return csr

    @property
    def without_roots(self) -> bool:
        """Whether roots shall be left out of the chain; the top level wins over ``attributes``."""
        asked = self.validated_data.get("removeRootsFromChain")
        if asked is None:
            asked = self._attributes.get("removeRootsFromChain")
        return bool(asked)

    @property
    def metadata_entries(self) -> list[dict[str, str]]:
        """The notes to keep."""
        return [dict(entry) for entry in self.validated_data.get("metadata") or []]

    def issuance_request(self, said: IssuanceRequest | None) -> IssuanceRequest:
        """What is asked, as the policy's value; ``said`` is what the CSR says, None without one."""
        unknown = tuple(self.ignored_keys)
        if said is not None:
            return self._beside_csr(said, unknown)
        asked = self._attributes
        return IssuanceRequest(
            subject=tuple(
                AttributeValue(attribute, asked[name]) for name, attribute in _SUBJECT_FIELDS.items() if asked.get(name)
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
        return self.validated_data.get("attributes") or {}

    @property
    def _basic_constraints(self) -> BasicConstraints | None:
        asked = self._attributes.get("basicConstraints")
        return None if asked is None else BasicConstraints(is_ca=asked["isCA"], path_length=asked.get("pathLength"))


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

    certificate = IssuedCertificateSerializer(allow_null=True)
    certificateRequestId = serializers.UUIDField()  # noqa: N815
    status = serializers.ChoiceField(choices=RequestStatus.choices)
    message = serializers.CharField()
    warnings = serializers.ListField(
        child=serializers.CharField(), help_text="What was filled in, ignored or granted differently."
    )
    idempotentReplay = serializers.BooleanField(  # noqa: N815
        required=False, help_text="true where the Idempotency-Key stood for this certificate already."
    )


# --- Certificates -----------------------------------------------------------------------------------------------------


class CertificateSerializer(serializers.Serializer[Any]):
    """A certificate without its encoding. Reads what ``querysets.with_links`` joins; no query of its own."""

    id = serializers.UUIDField()
    createdAt = TimeField(source="created_at")  # noqa: N815
    updatedAt = TimeField(source="updated_at")  # noqa: N815
    projectId = serializers.UUIDField(source="project_id")  # noqa: N815
    caId = serializers.UUIDField(source="authority_id", allow_null=True)  # noqa: N815
    caCertId = serializers.UUIDField(source="authority_certificate_id", allow_null=True)  # noqa: N815
    caName = serializers.CharField(source="authority.name", allow_null=True)  # noqa: N815
    caType = serializers.SerializerMethodField()  # noqa: N815
    certificateTemplateId = serializers.UUIDField(source="profile.template_id", allow_null=True)  # noqa: N815
    profileId = serializers.UUIDField(source="profile_id", allow_null=True)  # noqa: N815
    profileName = serializers.CharField(source="profile.slug", allow_null=True)  # noqa: N815
    enrollmentType = serializers.CharField(source="request.method")  # noqa: N815
    pkiSubscriberId = serializers.SerializerMethodField()  # noqa: N815
    status = serializers.ChoiceField(choices=CertificateStatus.choices, help_text="Expiry is told by notAfter.")
    serialNumber = serializers.CharField(source="serial_number", help_text="40 hexadecimal digits.")  # noqa: N815
    friendlyName = serializers.SerializerMethodField()  # noqa: N815
    commonName = OptionalTextField(source="common_name")  # noqa: N815
    subjectOrganization = OptionalTextField(source="organization")  # noqa: N815
    subjectOrganizationalUnit = OptionalTextField(source="organizational_unit")  # noqa: N815
    subjectCountry = OptionalTextField(source="country")  # noqa: N815
    subjectState = OptionalTextField(source="state")  # noqa: N815
    subjectLocality = OptionalTextField(source="locality")  # noqa: N815
    altNames = AltNamesField(source="subject_alternative_names")  # noqa: N815
    notBefore = TimeField(source="not_before")  # noqa: N815
    notAfter = TimeField(source="not_after")  # noqa: N815
    revokedAt = TimeField(source="revoked_at", allow_null=True)  # noqa: N815
    revocationReason = serializers.IntegerField(  # noqa: N815
        source="revocation_reason", allow_null=True, help_text="CRLReason (RFC 5280, 5.3.1)."
    )
    keyUsages = WireUsagesField(_WIRE_KEY_USAGES, source="key_usages")  # noqa: N815
    extendedKeyUsages = WireUsagesField(_WIRE_EXTENDED_KEY_USAGES, source="extended_key_usages")  # noqa: N815
    keyAlgorithm = serializers.CharField(source="key_algorithm")  # noqa: N815
    signatureAlgorithm = serializers.CharField(source="signature_algorithm")  # noqa: N815
    fingerprintSha256 = serializers.CharField(source="fingerprint_sha256")  # noqa: N815
    fingerprintSha1 = serializers.CharField(source="fingerprint_sha1")  # noqa: N815
    isCA = serializers.BooleanField(source="is_ca")  # noqa: N815
    pathLength = serializers.IntegerField(source="path_length", allow_null=True)  # noqa: N815
    keySource = serializers.ChoiceField(source="key_source", choices=KeySource.choices)  # noqa: N815
    hasPrivateKey = serializers.SerializerMethodField(help_text="Whether the private key can still be read.")  # noqa: N815
    renewedFromCertificateId = serializers.UUIDField(source="renewed_from_id", allow_null=True)  # noqa: N815
    renewedByCertificateId = serializers.UUIDField(source="successor_id", allow_null=True)  # noqa: N815
    renewBeforeDays = serializers.IntegerField(source="renew_before_days", allow_null=True)  # noqa: N815
    renewAt = TimeField(source="renew_at", allow_null=True)  # noqa: N815
    renewalError = OptionalTextField(source="renewal_error")  # noqa: N815
    metadata = CertificateMetadataSerializer(many=True)

    def get_caType(self, certificate: Certificate) -> str | None:  # noqa: N802
        """Every CA here is internal; null for a self-signed certificate."""
        return "internal" if certificate.authority_id else None

    def get_pkiSubscriberId(self, certificate: Certificate) -> str | None:  # noqa: N802
        """There are no subscribers here; the key is for clients that read it."""
        return None

    def get_friendlyName(self, certificate: Certificate) -> str | None:  # noqa: N802
        """Certificates have no name besides those inside; the key is for clients that read it."""
        return None

    def get_hasPrivateKey(self, certificate: Certificate) -> bool:  # noqa: N802
        """Keys that the portal made are given once, in the issue answer, and not kept."""
        return False


class CertificateSubjectSerializer(serializers.Serializer[Any]):
    """Subject attributes; null where the certificate has none."""

    commonName = OptionalTextField(source="common_name")  # noqa: N815
    organization = OptionalTextField()
    organizationalUnit = OptionalTextField(source="organizational_unit")  # noqa: N815
    country = OptionalTextField()
    state = OptionalTextField()
    locality = OptionalTextField()


class CertificateFingerprintsSerializer(serializers.Serializer[Any]):
    """Hashes of the DER, lower-case hex."""

    sha256 = serializers.CharField(source="fingerprint_sha256")
    sha1 = serializers.CharField(source="fingerprint_sha1")


class CertificateConstraintsSerializer(serializers.Serializer[Any]):
    """RFC 5280, 4.2.1.9; ``pathLength`` is absent where there is no limit."""

    isCA = serializers.BooleanField(source="is_ca")  # noqa: N815
    pathLength = serializers.IntegerField(source="path_length", required=False)  # noqa: N815

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Leave an unlimited path length out."""
        return {key: value for key, value in super().to_representation(instance).items() if value is not None}


class CertificateDetailSerializer(CertificateSerializer):
    """A certificate as one object, with its subject, fingerprints and constraints as groups."""

    subject = CertificateSubjectSerializer(source="*")
    fingerprints = CertificateFingerprintsSerializer(source="*")
    basicConstraints = CertificateConstraintsSerializer(source="*")  # noqa: N815


class CertificateAnswerSerializer(serializers.Serializer[Any]):
    """One certificate."""

    certificate = CertificateDetailSerializer()


class CertificatesAnswerSerializer(serializers.Serializer[Any]):
    """A page of certificates."""

    certificates = CertificateSerializer(many=True)
    totalCount = serializers.IntegerField()  # noqa: N815


class SearchCertificatesAnswerSerializer(CertificatesAnswerSerializer):
    """A page of search hits."""

    warnings = serializers.ListField(child=serializers.CharField(), help_text="Keys of the body that nothing read.")


class CertificateBodySerializer(serializers.Serializer[Any]):
    """A certificate and the path above it."""

    certificate = serializers.CharField(help_text="PEM.")
    certificateChain = serializers.CharField(  # noqa: N815
        allow_null=True, allow_blank=True, help_text="PEM, issuing CA first and root last."
    )
    serialNumber = serializers.CharField()  # noqa: N815


class CertificateBundleSerializer(CertificateBodySerializer):
    """Certificate, path and private key; the key is null once it was given."""

    privateKey = serializers.CharField(allow_null=True)  # noqa: N815


class LatestCertificateBundleSerializer(serializers.Serializer[Any]):
    """As a bundle; all four are null where there is no valid certificate."""

    certificate = serializers.CharField(allow_null=True)
    certificateChain = serializers.CharField(allow_null=True, allow_blank=True)  # noqa: N815
    privateKey = serializers.CharField(allow_null=True)  # noqa: N815
    serialNumber = serializers.CharField(allow_null=True)  # noqa: N815


class ProfileCertificateSerializer(serializers.Serializer[Any]):
    """A certificate in the list of its profile."""

    id = serializers.UUIDField()
    serialNumber = serializers.CharField(source="serial_number")  # noqa: N815
    cn = OptionalTextField(source="common_name")
    status = serializers.ChoiceField(choices=CertificateStatus.choices)
    notBefore = TimeField(source="not_before")  # noqa: N815
    notAfter = TimeField(source="not_after")  # noqa: N815
    revokedAt = TimeField(source="revoked_at", allow_null=True)  # noqa: N815
    createdAt = TimeField(source="created_at")  # noqa: N815


class ProfileCertificatesAnswerSerializer(serializers.Serializer[Any]):
    """A page of a profile's certificates."""

    certificates = ProfileCertificateSerializer(many=True)
    totalCount = serializers.IntegerField()  # noqa: N815


# --- Certificate requests ---------------------------------------------------------------------------------------------


class CertificateRequestSerializer(serializers.Serializer[Any]):
    """One certificate request and what came of it. Reads what ``find_request`` joins; no query of its own."""

    status = serializers.ChoiceField(choices=RequestStatus.choices)
    certificate = serializers.SerializerMethodField(help_text="PEM; null where none was issued.")
    certificateId = serializers.UUIDField(source="certificate.id", allow_null=True)  # noqa: N815
    privateKey = serializers.SerializerMethodField(help_text="Null: a key is given in the issue answer only.")  # noqa: N815
    serialNumber = serializers.CharField(source="certificate.serial_number", allow_null=True)  # noqa: N815
    notBefore = TimeField(source="certificate.not_before", allow_null=True)  # noqa: N815
    notAfter = TimeField(source="certificate.not_after", allow_null=True)  # noqa: N815
    errorMessage = OptionalTextField(source="error_message")  # noqa: N815
    createdAt = TimeField(source="created_at")  # noqa: N815
    updatedAt = TimeField(source="updated_at")  # noqa: N815
    commonName = OptionalTextField(source="common_name")  # noqa: N815
    organization = AskedAttributeField(SubjectAttribute.ORGANIZATION)
    organizationalUnit = AskedAttributeField(SubjectAttribute.ORGANIZATIONAL_UNIT)  # noqa: N815
    country = AskedAttributeField(SubjectAttribute.COUNTRY)
    state = AskedAttributeField(SubjectAttribute.STATE)
    locality = AskedAttributeField(SubjectAttribute.LOCALITY)
    basicConstraints = CertificateConstraintsSerializer(source="asked.basic_constraints", allow_null=True)  # noqa: N815
    profileId = serializers.UUIDField(source="profile_id", allow_null=True)  # noqa: N815
    profileName = serializers.CharField(source="profile_slug")  # noqa: N815
    warnings = serializers.ListField(child=serializers.CharField())
    metadata = CertificateMetadataSerializer(many=True)

    def get_certificate(self, request: CertificateRequest) -> str | None:
        """PEM of what was issued."""
        certificate = getattr(request, "certificate", None)
        return None if certificate is None else certificate_pem(certificate)

    def get_privateKey(self, request: CertificateRequest) -> str | None:  # noqa: N802
        """A key that the portal made is in the issue answer and nowhere else."""
        return None


class CertificateOfRequestSerializer(serializers.Serializer[Any]):
    """What was issued, in the list of requests."""

    id = serializers.UUIDField()
    serialNumber = serializers.CharField(source="serial_number")  # noqa: N815
    status = serializers.ChoiceField(choices=CertificateStatus.choices)


class CertificateRequestItemSerializer(serializers.Serializer[Any]):
    """One row of the list of requests. Reads what ``requests_for_list`` joins; no query of its own."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=RequestStatus.choices)
    commonName = OptionalTextField(source="common_name")  # noqa: N815
    altNames = AltNamesField(source="asked.subject_alternative_names")  # noqa: N815
    profileId = serializers.UUIDField(source="profile_id", allow_null=True)  # noqa: N815
    profileName = serializers.CharField(source="profile_slug")  # noqa: N815
    caId = serializers.UUIDField(source="profile.certificate_authority_id", allow_null=True)  # noqa: N815
    certificateId = serializers.UUIDField(source="certificate.id", allow_null=True)  # noqa: N815
    approvalRequestId = serializers.SerializerMethodField()  # noqa: N815
    errorMessage = OptionalTextField(source="error_message")  # noqa: N815
    createdAt = TimeField(source="created_at")  # noqa: N815
    updatedAt = TimeField(source="updated_at")  # noqa: N815
    certificate = CertificateOfRequestSerializer(allow_null=True)

    def get_approvalRequestId(self, request: CertificateRequest) -> str | None:  # noqa: N802
        """No request waits for an approval here; the key is for clients that read it."""
        return None


class CertificateRequestsAnswerSerializer(serializers.Serializer[Any]):
    """A page of certificate requests."""

    certificateRequests = CertificateRequestItemSerializer(many=True)  # noqa: N815
    totalCount = serializers.IntegerField()  # noqa: N815


# --- Queries ----------------------------------------------------------------------------------------------------------

_CERTIFICATE_ORDERS = {
    "createdAt": CertificateOrder.CREATED_AT,
    "notBefore": CertificateOrder.NOT_BEFORE,
    "notAfter": CertificateOrder.NOT_AFTER,
    "commonName": CertificateOrder.COMMON_NAME,
    "keyAlgorithm": CertificateOrder.KEY_ALGORITHM,
    "status": CertificateOrder.STATUS,
}
_REQUEST_ORDERS = {
    "createdAt": RequestOrder.CREATED_AT,
    "updatedAt": RequestOrder.UPDATED_AT,
    "commonName": RequestOrder.COMMON_NAME,
    "status": RequestOrder.STATUS,
}


class SortDirection(StrEnum):
    """Which end comes first."""

    ASCENDING = "asc"
    DESCENDING = "desc"


class RequestState(StrEnum):
    """What a certificate request can have come to."""

    PENDING = "pending"
    ISSUED = "issued"
    FAILED = "failed"


def _search_field(**kwargs: Any) -> StrictCharField:
    return StrictCharField(required=False, allow_blank=True, max_length=255, **kwargs)


class ProfileCertificatesQuery(WireSerializer):
    """Query of a profile's certificates; paging is read by the paginator."""

    status = EnumField(StatusFilter, required=False)
    search = _search_field(help_text="In names and serial number, or an id.")

    @property
    def filters(self) -> CertificateFilters:
        """As the query's value."""
        return CertificateFilters(
            search=self.validated_data.get("search", ""), status=self.validated_data.get("status")
        )


class CertificatesQuery(WireSerializer):
    """Query of a project's certificates; paging is read by the paginator."""

    search = _search_field(help_text="In names and serial number, or an id.")
    commonName = _search_field(help_text="In the common name.")  # noqa: N815
    friendlyName = _search_field(help_text="Certificates have none, so anything here finds nothing.")  # noqa: N815
    status = EnumField(StatusFilter, required=False)
    profileIds = IdListField(required=False)  # noqa: N815
    fromDate = MomentField(required=False, max_length=100, help_text="Made at or after.")  # noqa: N815
    toDate = MomentField(required=False, max_length=100, help_text="Made at or before.")  # noqa: N815
    forPkiSync = FlagField(required=False, help_text="Only active ones that were not renewed.")  # noqa: N815

    @property
    def filters(self) -> CertificateFilters:
        """As the query's value."""
        asked = self.validated_data
        return CertificateFilters(
            search=asked.get("search", ""),
            common_name=asked.get("commonName", ""),
            friendly_name=asked.get("friendlyName", ""),
            status=asked.get("status"),
            profile_ids=tuple(asked.get("profileIds", ())),
            created_from=asked.get("fromDate"),
            created_to=asked.get("toDate"),
            deployable_only=asked.get("forPkiSync", False),
        )


class SearchCertificatesSerializer(CertificatesQuery):
    """Body of a certificate search."""

    offset = StrictIntegerField(required=False, min_value=0, default=0)
    limit = StrictIntegerField(required=False, min_value=1, max_value=100, default=25)
    sortBy = serializers.ChoiceField(choices=list(_CERTIFICATE_ORDERS), required=False, default="createdAt")  # noqa: N815
    sortOrder = EnumField(SortDirection, required=False, default=SortDirection.DESCENDING)  # noqa: N815

    @property
    def order(self) -> CertificateOrder:
        """The column to sort by."""
        return _CERTIFICATE_ORDERS[self.validated_data["sortBy"]]

    @property
    def is_descending(self) -> bool:
        """Whether the last comes first."""
        return bool(self.validated_data["sortOrder"] is SortDirection.DESCENDING)


class RequestsQuery(WireSerializer):
    """Query of a project's certificate requests; paging is read by the paginator."""

    projectSlug = StrictCharField(max_length=255)  # noqa: N815
    search = _search_field(help_text="In the names, or an id.")
    status = EnumField(RequestState, required=False)
    profileIds = IdListField(required=False)  # noqa: N815
    fromDate = MomentField(required=False, max_length=100, help_text="Asked at or after.")  # noqa: N815
    toDate = MomentField(required=False, max_length=100, help_text="Asked at or before.")  # noqa: N815
    sortBy = serializers.ChoiceField(choices=list(_REQUEST_ORDERS), required=False, default="createdAt")  # noqa: N815
    sortOrder = EnumField(SortDirection, required=False, default=SortDirection.DESCENDING)  # noqa: N815

    @property
    def filters(self) -> RequestFilters:
        """As the query's value."""
        asked = self.validated_data
        status = asked.get("status")
        return RequestFilters(
            search=asked.get("search", ""),
            status=None if status is None else RequestStatus(status.value),
            profile_ids=tuple(asked.get("profileIds", ())),
            created_from=asked.get("fromDate"),
            created_to=asked.get("toDate"),
        )

    @property
    def order(self) -> RequestOrder:
        """The column to sort by."""
        return _REQUEST_ORDERS[self.validated_data["sortBy"]]

    @property
    def is_descending(self) -> bool:
        """Whether the last comes first."""
        return bool(self.validated_data["sortOrder"] is SortDirection.DESCENDING)
