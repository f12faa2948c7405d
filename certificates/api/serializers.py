"""Certificates and certificate requests as the wire has them."""

from typing import Any, Final
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from certificates.api.fields import (
    WIRE_EXTENDED_KEY_USAGES,
    WIRE_KEY_USAGES,
    AltNamesField,
    AskedAttributeField,
    AskedAttributesField,
    OptionalTextField,
    SubjectValueField,
    SubjectValuesField,
    WireUsagesField,
)
from certificates.models import Certificate, CertificateRequest
from certificates.models.certificate import CertificateSource, CertificateStatus, KeySource
from certificates.models.request import RequestStatus
from certificates.services.retrieval import certificate_pem
from pki_portal.rest import StrictCharField, TimeField, WireSerializer, pointer_of
from pki_portal.rest.paging import NEXT_HELP, TOTAL_HELP
from profiles.policy.vocabulary import SubjectAttribute

# What the poll answers to clients that know nothing of approvals.
POLL_STATUSES = (RequestStatus.PENDING.value, RequestStatus.ISSUED.value, RequestStatus.FAILED.value)


class CertificateMetadataSerializer(WireSerializer):
    """A note kept with the certificate."""

    key = StrictCharField(max_length=255)
    value = StrictCharField(max_length=1020, allow_blank=True, required=False, default="")


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
    enrollmentType = serializers.CharField(  # noqa: N815
        source="request.method", allow_null=True, help_text="Null where it was imported."
    )
    source = serializers.ChoiceField(choices=CertificateSource.values)  # type: ignore[assignment] # as in queries
    pkiSubscriberId = serializers.SerializerMethodField()  # noqa: N815
    status = serializers.ChoiceField(choices=CertificateStatus.choices, help_text="Expiry is told by notAfter.")
    serialNumber = serializers.CharField(source="serial_number", help_text="40 hexadecimal digits.")  # noqa: N815
    friendlyName = OptionalTextField(source="friendly_name")  # noqa: N815
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
    keyUsages = WireUsagesField(WIRE_KEY_USAGES, source="key_usages")  # noqa: N815
    extendedKeyUsages = WireUsagesField(WIRE_EXTENDED_KEY_USAGES, source="extended_key_usages")  # noqa: N815
    keyAlgorithm = serializers.CharField(source="key_algorithm")  # noqa: N815
    signatureAlgorithm = serializers.CharField(source="signature_algorithm")  # noqa: N815
    fingerprintSha256 = serializers.CharField(source="fingerprint_sha256")  # noqa: N815
    fingerprintSha1 = serializers.CharField(source="fingerprint_sha1")  # noqa: N815
    isCA = serializers.BooleanField(source="is_ca")  # noqa: N815
    pathLength = serializers.IntegerField(source="path_length", allow_null=True)  # noqa: N815
    keySource = serializers.ChoiceField(source="key_source", choices=KeySource.choices)  # noqa: N815
    hasPrivateKey = serializers.BooleanField(  # noqa: N815
        source="has_private_key", help_text="Whether the private key is kept and can be read."
    )
    renewedFromCertificateId = serializers.UUIDField(source="renewed_from_id", allow_null=True)  # noqa: N815
    renewedByCertificateId = serializers.UUIDField(source="successor_id", allow_null=True)  # noqa: N815
    renewBeforeDays = serializers.IntegerField(source="renew_before_days", allow_null=True)  # noqa: N815
    renewAt = TimeField(source="renew_at", allow_null=True)  # noqa: N815
    renewalError = OptionalTextField(source="renewal_error")  # noqa: N815
    metadata = CertificateMetadataSerializer(many=True)

    def get_caType(self, certificate: Certificate) -> str | None:  # noqa: N802
        """Every CA here is internal; null for a self-signed certificate and an imported one."""
        return "internal" if certificate.authority_id else None

    def get_pkiSubscriberId(self, certificate: Certificate) -> str | None:  # noqa: N802
        """There are no subscribers here; the key is for clients that read it."""
        return None


class CertificateSubjectSerializer(serializers.Serializer[Any]):
    """Subject attributes; null where the certificate has none."""

    commonName = OptionalTextField(source="common_name")  # noqa: N815
    organization = OptionalTextField()
    organizationalUnit = OptionalTextField(source="organizational_unit")  # noqa: N815
    country = OptionalTextField()
    state = OptionalTextField()
    locality = OptionalTextField()
    domainComponents = SubjectValuesField(SubjectAttribute.DOMAIN_COMPONENT)  # noqa: N815
    serialNumber = SubjectValueField(SubjectAttribute.SERIAL_NUMBER)  # noqa: N815
    email = SubjectValueField(SubjectAttribute.EMAIL)


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


class RehearsalViolationSerializer(serializers.Serializer[Any]):
    """One reason why a renewal would fail, as in the answer of a refusal."""

    pointer = serializers.SerializerMethodField(help_text="JSON pointer (RFC 6901) into the body of an issue request.")
    code = serializers.CharField()
    rule = serializers.CharField()
    asked = serializers.CharField(allow_blank=True)
    allowed = serializers.CharField(allow_blank=True)
    fix = serializers.CharField(allow_blank=True)

    def get_pointer(self, violation: dict[str, Any]) -> str:
        """Where it stands in a request."""
        return pointer_of(violation["field"])


class RehearsalSerializer(serializers.Serializer[Any]):
    """The last dry run of a certificate's automatic renewal, as of the moment when it is due."""

    at = TimeField(source="rehearsed_at")
    error = OptionalTextField(source="rehearsal_error", help_text="Null where the renewal would succeed.")
    violations = RehearsalViolationSerializer(source="rehearsal_violations", many=True)


class CertificateDetailSerializer(CertificateSerializer):
    """A certificate as one object, with its subject, fingerprints and constraints as groups."""

    subject = CertificateSubjectSerializer(source="*")
    issuerName = serializers.CharField(source="issuer_name", allow_blank=True)  # noqa: N815
    fingerprints = CertificateFingerprintsSerializer(source="*")
    basicConstraints = CertificateConstraintsSerializer(source="*")  # noqa: N815
    renewalRehearsal = serializers.SerializerMethodField()  # noqa: N815

    @extend_schema_field(RehearsalSerializer(allow_null=True))
    def get_renewalRehearsal(self, certificate: Certificate) -> dict[str, Any] | None:  # noqa: N802
        """Null where nothing renews by itself, or not within 45 days."""
        renewal = getattr(certificate, "auto_renewal", None)
        if renewal is None or renewal.due_at is None or renewal.rehearsed_at is None:
            return None
        return RehearsalSerializer(renewal).data


class CertificateAnswerSerializer(serializers.Serializer[Any]):
    """One certificate."""

    certificate = CertificateDetailSerializer()


# Made once: they keep nothing of what they show, and to make them takes longer than to show one certificate.
CERTIFICATE: Final = CertificateSerializer()
CERTIFICATE_ANSWER: Final = CertificateAnswerSerializer()


class CertificatesAnswerSerializer(serializers.Serializer[Any]):
    """A page of certificates."""

    certificates = CertificateSerializer(many=True)
    totalCount = serializers.IntegerField(help_text=TOTAL_HELP)  # noqa: N815
    nextCursor = serializers.CharField(allow_null=True, help_text=NEXT_HELP)  # noqa: N815


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


class PrivateKeyDestroyedSerializer(serializers.Serializer[Any]):
    """A private key that is no more."""

    message = serializers.CharField()
    serialNumber = serializers.CharField(source="serial_number")  # noqa: N815
    destroyedAt = TimeField(source="destroyed_at")  # noqa: N815


class CertificateBundleSerializer(CertificateBodySerializer):
    """Certificate, path and private key; the key is null where none is kept or the caller may not read it."""

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
    totalCount = serializers.IntegerField(help_text=TOTAL_HELP)  # noqa: N815
    nextCursor = serializers.CharField(allow_null=True, help_text=NEXT_HELP)  # noqa: N815


class CertificateRequestSerializer(serializers.Serializer[Any]):
    """One certificate request and what came of it. Reads what ``find_request`` joins; no query of its own.

    ``status`` is one of the three that clients from before approvals know; ``requestStatus`` says it in full.
    """

    status = serializers.SerializerMethodField(
        help_text="pending, also while it waits for approval; issued; or failed, also where it was rejected, cancelled"
        " or expired."
    )
    requestStatus = serializers.ChoiceField(  # noqa: N815
        source="status", choices=RequestStatus.choices, help_text="The status in full."
    )
    approvalRequestId = serializers.UUIDField(  # noqa: N815
        source="approval.id", allow_null=True, help_text="Of a request that waits, or waited, for approval."
    )
    certificate = serializers.SerializerMethodField(help_text="PEM; null where none was issued.")
    certificateId = serializers.UUIDField(source="certificate.id", allow_null=True)  # noqa: N815
    privateKey = serializers.SerializerMethodField(  # noqa: N815
        help_text="Null where no key is kept, or the caller may not read it."
    )
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
    domainComponents = AskedAttributesField(SubjectAttribute.DOMAIN_COMPONENT)  # noqa: N815
    subjectSerialNumber = AskedAttributeField(SubjectAttribute.SERIAL_NUMBER)  # noqa: N815
    email = AskedAttributeField(SubjectAttribute.EMAIL)
    basicConstraints = CertificateConstraintsSerializer(source="asked.basic_constraints", allow_null=True)  # noqa: N815
    profileId = serializers.UUIDField(source="profile_id", allow_null=True)  # noqa: N815
    profileName = serializers.CharField(source="profile_slug")  # noqa: N815
    warnings = serializers.ListField(child=serializers.CharField())
    metadata = CertificateMetadataSerializer(many=True)

    @extend_schema_field(serializers.ChoiceField(choices=POLL_STATUSES))
    def get_status(self, request: CertificateRequest) -> str:
        """As a client that knows nothing of approvals needs it."""
        if request.status in {RequestStatus.PENDING_APPROVAL, RequestStatus.PENDING}:
            return RequestStatus.PENDING.value
        return RequestStatus.ISSUED.value if request.status == RequestStatus.ISSUED else RequestStatus.FAILED.value

    def get_certificate(self, request: CertificateRequest) -> str | None:
        """PEM of what was issued."""
        certificate = getattr(request, "certificate", None)
        return None if certificate is None else certificate_pem(certificate)

    def get_privateKey(self, request: CertificateRequest) -> str | None:  # noqa: N802
        """The view puts a key that is kept in its place: reading one is an act of its own."""
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
    caId = serializers.SerializerMethodField()  # noqa: N815
    certificateId = serializers.UUIDField(source="certificate.id", allow_null=True)  # noqa: N815
    approvalRequestId = serializers.UUIDField(source="approval.id", allow_null=True)  # noqa: N815
    errorMessage = OptionalTextField(source="error_message")  # noqa: N815
    createdAt = TimeField(source="created_at")  # noqa: N815
    updatedAt = TimeField(source="updated_at")  # noqa: N815
    certificate = CertificateOfRequestSerializer(allow_null=True)

    def get_caId(self, request: CertificateRequest) -> UUID | None:  # noqa: N802
        """The CA that issued; where none did, the one that the profile has now."""
        certificate = getattr(request, "certificate", None)
        if certificate is not None:
            issued_by: UUID | None = certificate.authority_id
            return issued_by
        return None if request.profile is None else request.profile.certificate_authority_id


class CertificateRequestsAnswerSerializer(serializers.Serializer[Any]):
    """A page of certificate requests."""

    certificateRequests = CertificateRequestItemSerializer(many=True)  # noqa: N815
    totalCount = serializers.IntegerField(help_text=TOTAL_HELP)  # noqa: N815
    nextCursor = serializers.CharField(allow_null=True, help_text=NEXT_HELP)  # noqa: N815
