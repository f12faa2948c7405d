"""Wire <-> values: the one place of this app's API where camelCase and the wire's spellings exist."""
# ruff: noqa: N815 - the wire's spelling

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.fields import empty

from pki_portal.errors import Violation
from pki_portal.rest import (
    EnumField,
    PageQuery,
    StrictBooleanField,
    StrictCharField,
    StrictIntegerField,
    StrictListField,
    TimeField,
    UUIDField,
    WireSerializer,
    iso,
)
from profiles.api.fields import PurposeField, WordField
from profiles.enrollment import EnrollmentMethod
from profiles.models import CertificateProfile
from profiles.policy.documents import LONGEST_TEXT, MOST_ENTRIES
from profiles.policy.risks import Risk
from profiles.policy.rules import DOMAIN_COMPONENTS, LARGEST_COUNT
from profiles.policy.vocabulary import (
    BasicConstraintsState,
    IssuerType,
    KeyRetention,
    KeyUsage,
    NameType,
    SubjectAttribute,
    parse_key_usage,
    parse_name_type,
    parse_subject_attribute,
)
from profiles.policy.waivers import LONGEST_REASON, MOST_WAIVERS, SHORTEST_REASON
from profiles.services.columns import DESCRIPTION_MAX_LENGTH
from profiles.services.settings import (
    CA_CHAIN_MAX_LENGTH,
    PASSPHRASE_MAX_LENGTH,
    RENEW_BEFORE_DAYS_MAX,
    RENEW_BEFORE_DAYS_MIN,
)
from profiles.services.templates import NAME_MAX_LENGTH
from profiles.services.violations import SLUG_MAX_LENGTH


class DescriptionField(StrictCharField):
    """Free text that is empty inside and null on the wire where there is none."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_null=True, allow_blank=True, max_length=DESCRIPTION_MAX_LENGTH, **kwargs)

    def run_validation(self, data: Any = empty) -> Any:
        """Null is empty."""
        text = super().run_validation(data)
        return "" if text is None else text

    def to_representation(self, value: Any) -> str | None:  # type: ignore[override]
        """Empty is null."""
        return str(value) or None


class SparseSerializer(WireSerializer):
    """An object whose keys are all optional; in answers those without a value are absent, not null."""

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Leave out what there is not."""
        return {key: value for key, value in super().to_representation(instance).items() if value is not None}


# --- Templates --------------------------------------------------------------------------------------------------------


class PatternsField(StrictListField):
    """Values or patterns with ``*``."""

    def __init__(self, **kwargs: Any) -> None:
        child = StrictCharField(max_length=LONGEST_TEXT)
        super().__init__(child=child, required=False, allow_null=True, max_length=MOST_ENTRIES, **kwargs)


def _max_count() -> StrictIntegerField:
    return StrictIntegerField(
        source="max_count",
        required=False,
        allow_null=True,
        min_value=1,
        max_value=LARGEST_COUNT,
        help_text="How many there may be at most.",
    )


class SubjectRuleSerializer(SparseSerializer):
    """What one subject attribute may be; at least one of the lists is not empty."""

    type = WordField(SubjectAttribute, parse=parse_subject_attribute)
    allowed = PatternsField()
    required = PatternsField()  # type: ignore[assignment]
    denied = PatternsField()
    maxCount = _max_count()


class SanRuleSerializer(SparseSerializer):
    """What one kind of subject alternative name may be; at least one of the lists is not empty."""

    type = WordField(NameType, parse=parse_name_type)
    allowed = PatternsField()
    required = PatternsField()  # type: ignore[assignment]
    denied = PatternsField()
    maxCount = _max_count()


class KeyUsagesField(StrictListField):
    """Key usages."""

    def __init__(self, **kwargs: Any) -> None:
        child = WordField(KeyUsage, parse=parse_key_usage)
        super().__init__(child=child, required=False, allow_null=True, max_length=MOST_ENTRIES, **kwargs)


class ExtendedKeyUsagesField(StrictListField):
    """Extended key usages."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=PurposeField(), required=False, allow_null=True, max_length=MOST_ENTRIES, **kwargs)


class KeyUsageRuleSerializer(SparseSerializer):
    """Key usages by verdict; at least one of the lists is not empty."""

    allowed = KeyUsagesField()
    required = KeyUsagesField()  # type: ignore[assignment]
    denied = KeyUsagesField()


class ExtendedKeyUsageRuleSerializer(SparseSerializer):
    """Extended key usages by verdict; at least one of the lists is not empty."""

    allowed = ExtendedKeyUsagesField()
    required = ExtendedKeyUsagesField()  # type: ignore[assignment]
    denied = ExtendedKeyUsagesField()


class AlgorithmsField(StrictListField):
    """Algorithm names in any spelling, kept and answered as they were written."""

    def __init__(self, **kwargs: Any) -> None:
        child = StrictCharField(max_length=LONGEST_TEXT)
        super().__init__(child=child, required=False, allow_null=True, max_length=MOST_ENTRIES, **kwargs)


class AlgorithmRulesSerializer(SparseSerializer):
    """Which algorithms may be chosen; a list that is absent lets none be chosen."""

    signature = AlgorithmsField(help_text="For example SHA256-RSA or RSA-SHA256.")
    keyAlgorithm = AlgorithmsField(source="key_algorithm", help_text="For example RSA-2048 or EC_prime256v1.")


class ValidityRuleSerializer(SparseSerializer):
    """How long a certificate may live."""

    min = StrictCharField(
        required=False, allow_null=True, max_length=LONGEST_TEXT, help_text="For example 1d; written like max."
    )
    max = StrictCharField(
        required=False, allow_null=True, max_length=LONGEST_TEXT, help_text="For example 90d; here m is 30 days, y 365."
    )


class BasicConstraintsRuleSerializer(SparseSerializer):
    """Whether certificates for CAs may be asked."""

    isCA = EnumField(BasicConstraintsState, source="is_ca", required=False, allow_null=True)
    maxPathLength = StrictIntegerField(
        source="max_path_length", required=False, allow_null=True, min_value=-1, help_text="-1 for no limit."
    )


class TemplateRulesSerializer(WireSerializer):
    """The rules of a template."""

    subject = SubjectRuleSerializer(  # type: ignore[call-arg]  # many=True makes a list, which has a length
        many=True, required=False, allow_null=True, max_length=MOST_ENTRIES
    )
    sans = SanRuleSerializer(  # type: ignore[call-arg]  # many=True makes a list, which has a length
        many=True, required=False, allow_null=True, max_length=MOST_ENTRIES
    )
    keyUsages = KeyUsageRuleSerializer(source="key_usages", required=False, allow_null=True)
    extendedKeyUsages = ExtendedKeyUsageRuleSerializer(source="extended_key_usages", required=False, allow_null=True)
    algorithms = AlgorithmRulesSerializer(required=False, allow_null=True)
    validity = ValidityRuleSerializer(required=False, allow_null=True)
    basicConstraints = BasicConstraintsRuleSerializer(source="basic_constraints", required=False, allow_null=True)


class CertificateTemplateChangesSerializer(TemplateRulesSerializer):
    """What PATCH takes: what is absent stays as it is, null empties a rule."""

    name = StrictCharField(required=False, max_length=NAME_MAX_LENGTH)
    description = DescriptionField(required=False)


class NewCertificateTemplateSerializer(CertificateTemplateChangesSerializer):
    """What POST takes."""

    projectId = StrictCharField()
    name = StrictCharField(max_length=NAME_MAX_LENGTH, help_text="Becomes a slug; a taken one gets a random end.")


class CertificateTemplateSerializer(TemplateRulesSerializer):
    """A template in answers."""

    id = serializers.UUIDField()
    projectId = serializers.CharField(source="project_id")
    name = serializers.CharField()
    description = DescriptionField()
    subject = SubjectRuleSerializer(many=True)
    sans = SanRuleSerializer(many=True)
    keyUsages = KeyUsageRuleSerializer(source="key_usages", allow_null=True)
    extendedKeyUsages = ExtendedKeyUsageRuleSerializer(source="extended_key_usages", allow_null=True)
    algorithms = AlgorithmRulesSerializer(allow_null=True)
    validity = ValidityRuleSerializer(allow_null=True)
    basicConstraints = BasicConstraintsRuleSerializer(source="basic_constraints", allow_null=True)
    version = serializers.IntegerField(help_text="Counts up with every change; what judged a certificate stays.")
    createdAt = TimeField(source="created_at")
    updatedAt = TimeField(source="updated_at")


class TemplatePresetSerializer(serializers.Serializer[Any]):
    """A starting point for a template."""

    slug = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    when = serializers.CharField(help_text="When to use it.")
    certificateTemplate = CertificateTemplateChangesSerializer(
        source="document", help_text="With a projectId beside it, the body of a create request; narrow the names first."
    )


class PresetsQuery(WireSerializer):
    """The query of the presets."""

    projectId = StrictCharField()


class ListTemplatesQuery(PageQuery):
    """The query of a list of templates."""

    projectId = StrictCharField()
    search = StrictCharField(required=False, allow_blank=True, help_text="Part of name or description, in any case.")


# --- Profiles ---------------------------------------------------------------------------------------------------------


class ApiConfigSerializer(WireSerializer):
    """Enrollment by page or API call."""

    autoRenew = StrictBooleanField(source="auto_renew", required=False)
    renewBeforeDays = StrictIntegerField(
        source="renew_before_days",
        required=False,
        allow_null=True,
        min_value=RENEW_BEFORE_DAYS_MIN,
        max_value=RENEW_BEFORE_DAYS_MAX,
    )


class EstConfigSerializer(WireSerializer):
    """Enrollment over Secure Transport."""

    disableBootstrapCaValidation = StrictBooleanField(source="disable_bootstrap_ca_validation", required=False)
    passphrase = StrictCharField(max_length=PASSPHRASE_MAX_LENGTH, trim_whitespace=False, write_only=True)
    caChain = StrictCharField(
        source="ca_chain",
        required=False,
        allow_null=True,
        allow_blank=True,
        max_length=CA_CHAIN_MAX_LENGTH,
        help_text="PEM certificates.",
    )


class AcmeConfigSerializer(WireSerializer):
    """Enrollment by ACME."""

    skipDnsOwnershipVerification = StrictBooleanField(source="skip_dns_ownership_verification", required=False)
    skipEabBinding = StrictBooleanField(source="skip_eab_binding", required=False)


def _attribute(name: str) -> StrictCharField:
    return StrictCharField(source=name, required=False, allow_null=True, allow_blank=True, max_length=LONGEST_TEXT)


class ProfileDefaultsSerializer(SparseSerializer):
    """What a profile fills in where a request is silent."""

    commonName = _attribute("common_name")
    organization = StrictCharField(required=False, allow_null=True, allow_blank=True, max_length=LONGEST_TEXT)
    organizationalUnit = _attribute("organizational_unit")
    country = StrictCharField(required=False, allow_null=True, allow_blank=True, max_length=LONGEST_TEXT)
    state = StrictCharField(required=False, allow_null=True, allow_blank=True, max_length=LONGEST_TEXT)
    locality = StrictCharField(required=False, allow_null=True, allow_blank=True, max_length=LONGEST_TEXT)
    domainComponents = StrictListField(
        source=DOMAIN_COMPONENTS,
        child=StrictCharField(max_length=LONGEST_TEXT),
        required=False,
        allow_null=True,
        max_length=MOST_ENTRIES,
        help_text="One label each, the top one first as in the encoding: com, acme.",
    )
    serialNumber = _attribute("serial_number")
    email = StrictCharField(required=False, allow_null=True, allow_blank=True, max_length=LONGEST_TEXT)
    ttlDays = StrictIntegerField(source="ttl_days", required=False, allow_null=True, min_value=1)
    ttl = StrictCharField(
        required=False, allow_null=True, max_length=LONGEST_TEXT, help_text="For example 90d; excludes ttlDays."
    )
    keyUsages = KeyUsagesField(source="key_usages")
    extendedKeyUsages = ExtendedKeyUsagesField(source="extended_key_usages")
    keyAlgorithm = StrictCharField(source="key_algorithm", required=False, allow_null=True, max_length=LONGEST_TEXT)
    signatureAlgorithm = StrictCharField(
        source="signature_algorithm", required=False, allow_null=True, max_length=LONGEST_TEXT
    )


_WIRE_DEFAULTS = {field.source or name: name for name, field in ProfileDefaultsSerializer().fields.items()}


def default_warning(violation: Violation) -> str:
    """A default that cannot pass, as a sentence with its place on the wire."""
    _, name, *rest = violation.field.split("/")
    pointer = "/".join(["/defaults", _WIRE_DEFAULTS.get(name, name), *rest])
    return f"{pointer} cannot pass: {violation.asked}; {violation.rule}: {violation.allowed}."


def risk_warning(risk: Risk) -> str:
    """A risk as one text, its code first."""
    return f"{risk.code}: {risk.reason} {risk.remedy}"


class InstantField(StrictCharField):
    """A time as text, for the service to read; answered as every time is."""

    def to_representation(self, value: Any) -> str:
        """Write it with milliseconds and ``Z``."""
        return iso(datetime.fromisoformat(value))


class LintWaiverSerializer(SparseSerializer):
    """A finding of the linter that certificates of this profile may have."""

    code = StrictCharField(
        max_length=LONGEST_TEXT, help_text="The id of the finding as a refusal names it, such as pkix.name_empty."
    )
    reason = StrictCharField(min_length=SHORTEST_REASON, max_length=LONGEST_REASON)
    expiresAt = InstantField(
        source="expires_at",
        required=False,
        allow_null=True,
        max_length=64,
        help_text="From then on the waiver no longer counts, as in 2027-06-30T00:00:00Z. Absent: it does not end.",
    )


class LintWaiversField(StrictListField):
    """Waivers of one profile."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(child=LintWaiverSerializer(), required=False, max_length=MOST_WAIVERS, **kwargs)


class MoveToSerializer(WireSerializer):
    """Where a profile goes; ``certificatePolicyId`` is another name of ``certificateTemplateId``."""

    caId = UUIDField(source="certificate_authority_id", required=False, allow_null=True)
    certificateTemplateId = UUIDField(required=False, allow_null=True)
    certificatePolicyId = UUIDField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Read the template under either name."""
        given = {attrs.pop(name) for name in ("certificateTemplateId", "certificatePolicyId") if attrs.get(name)}
        if len(given) > 1:
            raise serializers.ValidationError({"certificatePolicyId": [_ONE_TEMPLATE]})
        return {
            "certificate_authority_id": attrs.get("certificate_authority_id"),
            "template_id": given.pop() if given else None,
        }


_ONE_TEMPLATE = "It is another name of certificateTemplateId: give one, or the same."


class CertificateProfileChangesSerializer(WireSerializer):
    """What PATCH and POST share."""

    slug = StrictCharField(
        required=False, max_length=SLUG_MAX_LENGTH, help_text="Lower-case letters, digits and hyphens."
    )
    description = DescriptionField(required=False)
    enrollmentType = EnumField(EnrollmentMethod, source="enrollment_method", required=False)
    issuerType = EnumField(IssuerType, source="issuer_type", required=False)
    apiConfig = ApiConfigSerializer(source="api", required=False, allow_null=True)
    estConfig = EstConfigSerializer(source="est", required=False, allow_null=True)
    acmeConfig = AcmeConfigSerializer(source="acme", required=False, allow_null=True)
    externalConfigs = serializers.DictField(source="external_settings", required=False, allow_null=True)
    defaults = ProfileDefaultsSerializer(required=False, allow_null=True)
    keyRetention = EnumField(
        KeyRetention,
        source="key_retention",
        required=False,
        help_text="once: a key is given in the issue answer and not kept. escrow: it is kept, encrypted, for whoever "
        "may read private keys. A change is for keys made from then on; kept ones stay until they are destroyed.",
    )
    lintWaivers = LintWaiversField(source="lint_waivers", allow_null=True)
    requiresApproval = StrictBooleanField(
        source="requires_approval",
        required=False,
        help_text="Whether each request waits until somebody else agrees: whom the approval policies name that are for"
        " the profile, else one admin or operator.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Null settings are absent ones, and so are null values within."""
        for name in ("api", "est", "acme"):
            if name in attrs and attrs[name] is None:
                del attrs[name]
        if (attrs.get("est") or {}).get("ca_chain", "") is None:
            attrs["est"]["ca_chain"] = ""
        if attrs.get("lint_waivers", ()) is None:
            attrs["lint_waivers"] = []
        return attrs


class PatchCertificateProfileSerializer(CertificateProfileChangesSerializer):
    """What PATCH takes; CA and template change by ``moveTo`` alone."""

    moveTo = MoveToSerializer(source="move_to", required=False)


class NewCertificateProfileSerializer(CertificateProfileChangesSerializer):
    """What POST takes; ``certificatePolicyId`` is another name of ``certificateTemplateId``."""

    projectId = StrictCharField()
    caId = UUIDField(source="certificate_authority_id", required=False, allow_null=True)
    certificateTemplateId = UUIDField(required=False)
    certificatePolicyId = UUIDField(required=False)
    slug = StrictCharField(max_length=SLUG_MAX_LENGTH, help_text="Lower-case letters, digits and hyphens.")
    enrollmentType = EnumField(EnrollmentMethod, source="enrollment_method")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Read the template under either name."""
        attrs = super().validate(attrs)
        given = {attrs.pop(name) for name in ("certificateTemplateId", "certificatePolicyId") if name in attrs}
        if not given:
            raise serializers.ValidationError({"certificateTemplateId": [ErrorDetail("Required", code="required")]})
        if len(given) > 1:
            raise serializers.ValidationError({"certificatePolicyId": [_ONE_TEMPLATE]})
        attrs["template_id"] = given.pop()
        return attrs


class ApiConfigAnswerSerializer(serializers.Serializer[Any]):
    """Settings in answers."""

    id = serializers.UUIDField()
    autoRenew = serializers.BooleanField(source="auto_renew")
    renewBeforeDays = serializers.IntegerField(source="renew_before_days", allow_null=True)


class EstConfigAnswerSerializer(serializers.Serializer[Any]):
    """Settings in answers: the pass phrase is never among them."""

    id = serializers.UUIDField()
    disableBootstrapCaValidation = serializers.BooleanField(source="disable_bootstrap_ca_validation")
    caChain = serializers.CharField(source="ca_chain", allow_blank=True)


class AcmeConfigAnswerSerializer(serializers.Serializer[Any]):
    """Settings in answers."""

    id = serializers.UUIDField()
    skipDnsOwnershipVerification = serializers.BooleanField(source="skip_dns_ownership_verification")
    skipEabBinding = serializers.BooleanField(source="skip_eab_binding")


class AuthorityOfProfileSerializer(serializers.Serializer[Any]):
    """The CA of a profile in answers."""

    id = serializers.UUIDField()
    projectId = serializers.CharField(source="project_id")
    status = serializers.CharField()
    name = serializers.CharField()
    isExternal = serializers.SerializerMethodField()

    def get_isExternal(self, _authority: object) -> bool:  # noqa: N802 - named by the field
        """Every CA of the portal is an internal one."""
        return False


class TemplateOfProfileSerializer(serializers.Serializer[Any]):
    """The template of a profile in answers."""

    id = serializers.UUIDField()
    projectId = serializers.CharField(source="project_id")
    name = serializers.CharField()
    description = DescriptionField()


class CertificateProfileSerializer(serializers.Serializer[Any]):
    """A profile in answers."""

    id = serializers.UUIDField()
    projectId = serializers.CharField(source="project_id")
    caId = serializers.UUIDField(source="certificate_authority_id", allow_null=True)
    certificateTemplateId = serializers.UUIDField(source="template_id")
    certificatePolicyId = serializers.UUIDField(source="template_id")
    slug = serializers.CharField()
    description = DescriptionField()
    enrollmentType = EnumField(EnrollmentMethod, source="enrollment_method")
    issuerType = EnumField(IssuerType, source="issuer_type")
    estConfigId = serializers.UUIDField(source="est_enrollment.id", allow_null=True)
    apiConfigId = serializers.UUIDField(source="api_enrollment.id", allow_null=True)
    acmeConfigId = serializers.UUIDField(source="acme_enrollment.id", allow_null=True)
    externalConfigs = serializers.SerializerMethodField()
    defaults = serializers.SerializerMethodField()
    keyRetention = EnumField(KeyRetention, source="key_retention")
    lintWaivers = LintWaiverSerializer(source="lint_waivers", many=True)
    requiresApproval = serializers.BooleanField(source="requires_approval")
    version = serializers.IntegerField(help_text="Counts up with every change; what judged a certificate stays.")
    createdAt = TimeField(source="created_at")
    updatedAt = TimeField(source="updated_at")

    @extend_schema_field({"type": "null"})
    def get_externalConfigs(self, _profile: object) -> None:  # noqa: N802 - named by the field
        """There are none: every CA of the portal is an internal one."""
        return

    @extend_schema_field(ProfileDefaultsSerializer(allow_null=True))
    def get_defaults(self, profile: CertificateProfile) -> Mapping[str, Any] | None:
        """Null where the profile fills in nothing."""
        return ProfileDefaultsSerializer(profile.defaults).data if profile.defaults else None


_ABSENT_WHERE_NONE = frozenset({"certificateAuthority", "apiConfig", "estConfig", "acmeConfig"})


class CertificateProfileDetailSerializer(CertificateProfileSerializer):
    """A profile in answers, with what it refers to unless that is not wanted; the key of what it has not is absent."""

    certificateAuthority = AuthorityOfProfileSerializer(source="certificate_authority", required=False)
    certificateTemplate = TemplateOfProfileSerializer(source="template", required=False)
    certificatePolicy = TemplateOfProfileSerializer(source="template", required=False)
    apiConfig = ApiConfigAnswerSerializer(source="api_enrollment", required=False)
    estConfig = EstConfigAnswerSerializer(source="est_enrollment", required=False)
    acmeConfig = AcmeConfigAnswerSerializer(source="acme_enrollment", required=False)

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Leave out what there is not."""
        answer = super().to_representation(instance)
        return {key: value for key, value in answer.items() if value is not None or key not in _ABSENT_WHERE_NONE}


class ListProfilesQuery(PageQuery):
    """The query of a list of profiles."""

    projectId = StrictCharField()
    search = StrictCharField(required=False, allow_blank=True, help_text="Part of slug or description, in any case.")
    enrollmentType = EnumField(EnrollmentMethod, required=False)
    issuerType = EnumField(IssuerType, required=False)
    caId = UUIDField(required=False)


class ReadProfileQuery(WireSerializer):
    """The query of one profile."""

    includeConfigs = StrictBooleanField(
        required=False, help_text="Whether CA, template and settings stand in the answer."
    )


class ReadProfileBySlugQuery(ReadProfileQuery):
    """The query of one profile by its slug."""

    projectId = StrictCharField()
