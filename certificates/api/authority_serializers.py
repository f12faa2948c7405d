"""CAs, wire <-> values."""
# ruff: noqa: N815 - the wire's spelling

import base64
import binascii
from contextlib import suppress
from enum import StrEnum
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.fields import empty

from certificates.api.fields import MomentField
from certificates.models import AuthorityCertificate, CertificateAuthority
from certificates.models.authority import AuthorityKind, AuthorityStatus, ChainPhase, KeyStore
from certificates.services.authorities import AuthoritySubject, KeyFile, chain_of
from certificates.services.authorities.rules import FRIENDLY_NAME_LENGTH, name_of
from certificates.x509.inspect import pem_of
from certificates.x509.names import distinguished_name
from pki_portal.rest import (
    EnumField,
    StrictBooleanField,
    StrictCharField,
    StrictIntegerField,
    StrictListField,
    TimeField,
    UUIDField,
    WireSerializer,
    iso,
)
from profiles.api.fields import WordField
from profiles.policy.vocabulary import KeyAlgorithm, parse_key_algorithm

UNLIMITED = -1
# Wider than any rule allows: what is too long for a certificate is the service's to say, with its fix.
TEXT_LIMIT = 1024
PEM_LIMIT = 256 * 1024
CSR_LIMIT = 64 * 1024
# MAX_KEY_BYTES in base64.
KEY_LIMIT = 360 * 1024

# The CA's name on the wire and inside.
SUBJECT_FIELDS = {
    "commonName": "common_name",
    "organization": "organization",
    "ou": "organizational_unit",
    "country": "country",
    "province": "state",
    "locality": "locality",
}


class Kind(StrEnum):
    """What a CA can be made as."""

    ROOT = AuthorityKind.ROOT.value
    INTERMEDIATE = AuthorityKind.INTERMEDIATE.value


class Status(StrEnum):
    """States of a CA."""

    ACTIVE = AuthorityStatus.ACTIVE.value
    DISABLED = AuthorityStatus.DISABLED.value
    PENDING_CERTIFICATE = AuthorityStatus.PENDING_CERTIFICATE.value


class Store(StrEnum):
    """Where a CA's key is."""

    DATABASE = KeyStore.DATABASE.value
    PKCS11 = KeyStore.PKCS11.value


class RenewalType(StrEnum):
    """How a CA is renewed."""

    EXISTING = "existing"
    NEW_KEY = "new-key"


class Phase(StrEnum):
    """Which key of a re-keyed root signs, and which chain is handed out."""

    OLD = ChainPhase.OLD.value
    CROSS_SIGNED = ChainPhase.CROSS_SIGNED.value
    NEW = ChainPhase.NEW.value


# --- Fields -----------------------------------------------------------------------------------------------------------


class AttributeField(StrictCharField):
    """One attribute of a CA's name; absent, null and empty all leave it out."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", TEXT_LIMIT)
        super().__init__(required=False, allow_blank=True, allow_null=True, **kwargs)


class OptionalMomentField(MomentField):
    """A date; absent, null and empty all mean that none is asked."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, allow_null=True, **kwargs)

    def run_validation(self, data: Any = empty) -> Any:
        """Empty is null."""
        return super().run_validation(None if data == "" else data)


class OptionalIdField(UUIDField):
    """An id; absent, null and empty all mean that none is named."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, allow_null=True, **kwargs)

    def run_validation(self, data: Any = empty) -> Any:
        """Empty is null."""
        return super().run_validation(None if data == "" else data)


class PathLengthField(StrictIntegerField):
    """RFC 5280, 4.2.1.9; -1 means no limit."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=UNLIMITED, allow_null=True, required=False, **kwargs)


class NameField(StrictCharField):
    """The slug of a CA: blanks around it and capitals do not count."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=TEXT_LIMIT, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Lower the case."""
        return super().to_internal_value(data).lower()


# --- Bodies and queries -----------------------------------------------------------------------------------------------


class UrlsField(StrictListField):
    """Mirrors of a CA's CRL."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("help_text", "Further http(s) addresses of the CRL, at most 4, written after our own.")
        super().__init__(child=StrictCharField(max_length=TEXT_LIMIT), **kwargs)


def _names_field(help_text: str) -> StrictListField:
    return StrictListField(
        child=StrictCharField(max_length=TEXT_LIMIT), required=False, allow_null=True, help_text=help_text
    )


def _ocsp_field(**kwargs: Any) -> StrictBooleanField:
    help_text = "Whether OCSP is answered for its certificates, and the next ones name the responder."
    return StrictBooleanField(required=False, help_text=help_text, **kwargs)


class SubtreesSerializer(WireSerializer):
    """Names on one side of the constraints."""

    dns = _names_field("Domains, each with all names below it: example.com.")
    ip = _names_field("Networks: 10.0.0.0/8.")
    email = _names_field("Hosts (example.com), hosts below a domain (.example.com), mailboxes (ca@example.com).")
    uri = _names_field("Hosts (example.com), hosts below a domain (.example.com).")


class NameConstraintsSerializer(WireSerializer):
    """RFC 5280, 4.2.1.10; a kind that no permitted name is given of is not limited by them."""

    permitted = SubtreesSerializer(required=False, allow_null=True)
    excluded = SubtreesSerializer(required=False, allow_null=True)


class AuthorityConfigurationSerializer(WireSerializer):
    """A CA to be made; at least one attribute of its name is not empty."""

    type = EnumField(Kind)
    friendlyName = AttributeField(max_length=FRIENDLY_NAME_LENGTH)
    commonName = AttributeField()
    organization = AttributeField()
    ou = AttributeField()
    country = AttributeField(help_text="Two letters (ISO 3166).")
    province = AttributeField()
    locality = AttributeField()
    notBefore = OptionalMomentField()
    notAfter = OptionalMomentField(help_text="Without it a root lives 10 years, an intermediate under a parent 5.")
    maxPathLength = PathLengthField()
    nameConstraints = NameConstraintsSerializer(required=False, allow_null=True)
    crlDistributionPointUrls = UrlsField(required=False, allow_null=True)
    isOcspEnabled = _ocsp_field(default=True)
    keyAlgorithm = WordField(KeyAlgorithm, parse=parse_key_algorithm)
    keyStore = EnumField(
        Store,
        required=False,
        help_text="Where the key is made and stays; pkcs11 is the token of this installation, if it has one.",
    )
    parentCaId = OptionalIdField(help_text="Of an intermediate that is to be signed at once.")


class CreateAuthoritySerializer(WireSerializer):
    """Body of POST /ca/internal."""

    projectId = StrictCharField()
    name = NameField(help_text="Lower-case letters, digits and single hyphens.")
    status = EnumField(Status, required=False, help_text="Not read: an active CA is active once it has a certificate.")
    configuration = AuthorityConfigurationSerializer()


class ChangedConfigurationSerializer(WireSerializer):
    """What of a CA's configuration can change."""

    crlDistributionPointUrls = UrlsField(required=False)
    chainPhase = EnumField(Phase, required=False, help_text="Of a root that has got a new key.")
    isOcspEnabled = _ocsp_field()


class ChangeAuthoritySerializer(WireSerializer):
    """Body of PATCH /ca/internal/{id}."""

    name = NameField(required=False)
    status = EnumField(Status, required=False)
    configuration = ChangedConfigurationSerializer(required=False, help_text="The rest a certificate says for good.")


class IssueAuthorityCertificateSerializer(WireSerializer):
    """Body of POST /ca/internal/{id}/certificate."""

    notBefore = OptionalMomentField()
    notAfter = MomentField()
    maxPathLength = PathLengthField(help_text="Without it that of the CA.")
    parentCaId = OptionalIdField(help_text="Without it the CA's present parent.")


class SignIntermediateSerializer(WireSerializer):
    """Body of POST /ca/internal/{id}/sign-intermediate."""

    csr = StrictCharField(max_length=CSR_LIMIT)
    notBefore = OptionalMomentField()
    notAfter = MomentField()
    maxPathLength = PathLengthField(help_text="Without it no limit, which a limited CA refuses.")
    nameConstraints = NameConstraintsSerializer(required=False, allow_null=True)


class ImportAuthorityCertificateSerializer(WireSerializer):
    """Body of POST /ca/internal/{id}/import-certificate."""

    certificate = StrictCharField(max_length=PEM_LIMIT)
    certificateChain = StrictCharField(max_length=PEM_LIMIT, help_text="Every certificate above it, up to the root.")


class ImportAuthoritySerializer(WireSerializer):
    """Body of POST /ca/internal/import; the key is never answered."""

    projectId = StrictCharField()
    name = NameField(help_text="Lower-case letters, digits and single hyphens.")
    friendlyName = AttributeField(max_length=FRIENDLY_NAME_LENGTH)
    privateKey = StrictCharField(
        max_length=KEY_LIMIT, help_text="PKCS#8 in PEM, encrypted or not; or PKCS#8 or PKCS#12 in DER, as base64."
    )
    password = StrictCharField(
        required=False, allow_blank=True, allow_null=True, max_length=TEXT_LIMIT, trim_whitespace=False
    )
    certificate = StrictCharField(
        required=False, allow_blank=True, max_length=PEM_LIMIT, help_text="Not needed where a PKCS#12 file holds it."
    )
    certificateChain = StrictCharField(
        required=False, allow_blank=True, max_length=PEM_LIMIT, help_text="Every certificate above it, up to the root."
    )


class RenewAuthoritySerializer(WireSerializer):
    """Body of POST /ca/internal/{id}/renew."""

    type = EnumField(RenewalType, required=False, help_text="The same key (without it), or a new one.")
    notAfter = MomentField()
    keyAlgorithm = WordField(
        KeyAlgorithm, parse=parse_key_algorithm, required=False, help_text="Of a new key; without it the present one."
    )


class AuthoritiesQuery(WireSerializer):
    """Query of the lists of CAs."""

    projectId = UUIDField()


class ProjectAuthoritiesQuery(WireSerializer):
    """Query of the list of a project's CAs."""

    status = EnumField(Status, required=False)
    friendlyName = StrictCharField(required=False, allow_blank=True)
    commonName = StrictCharField(required=False, allow_blank=True)
    offset = StrictIntegerField(required=False, min_value=0)
    limit = StrictIntegerField(required=False, min_value=1, max_value=100)


def key_file_in(values: dict[str, Any]) -> KeyFile:
    """The key in a checked body: PEM text as it is, anything else out of base64 (what is no base64, as it is)."""
    text: str = values["privateKey"]
    content = text.encode()
    if "-----BEGIN" not in text:
        with suppress(binascii.Error, ValueError):
            content = base64.b64decode("".join(text.split()), validate=True)
    return KeyFile(content=content, password=values.get("password") or "")


def subject_in(configuration: dict[str, Any]) -> AuthoritySubject:
    """The CA's name in a checked configuration."""
    return AuthoritySubject(**{inside: configuration.get(wire) or "" for wire, inside in SUBJECT_FIELDS.items()})


def path_length_in(values: dict[str, Any], default: int | None = None) -> int | None:
    """The path length in a checked body; -1 is None, no limit."""
    asked: int | None = values.get("maxPathLength")
    if asked is None:
        return default
    return None if asked == UNLIMITED else asked


# --- Answers ----------------------------------------------------------------------------------------------------------


class AuthorityConfigurationAnswer(serializers.Serializer[Any]):
    """What a CA is; empty texts for attributes that its name does not have."""

    type = serializers.ChoiceField([each.value for each in Kind], source="kind")
    friendlyName = serializers.CharField(source="friendly_name", allow_blank=True)
    commonName = serializers.CharField(source="common_name", allow_blank=True)
    organization = serializers.CharField(allow_blank=True)
    ou = serializers.CharField(source="organizational_unit", allow_blank=True)
    country = serializers.CharField(allow_blank=True)
    province = serializers.CharField(source="state", allow_blank=True)
    locality = serializers.CharField(allow_blank=True)
    notBefore = TimeField(source="not_before", allow_null=True)
    notAfter = TimeField(source="not_after", allow_null=True)
    maxPathLength = serializers.SerializerMethodField()
    keyAlgorithm = serializers.CharField(source="key_algorithm")
    keyStore = serializers.ChoiceField([each.value for each in Store], source="key_store")
    chainPhase = serializers.SerializerMethodField()
    nameConstraints = serializers.SerializerMethodField()
    crlDistributionPointUrls = serializers.ListField(
        source="crl_distribution_point_urls", child=serializers.CharField()
    )
    dn = serializers.SerializerMethodField()
    parentCaId = serializers.UUIDField(source="parent_id", allow_null=True)
    serialNumber = serializers.SerializerMethodField()
    activeCaCertId = serializers.UUIDField(source="active_certificate_id", allow_null=True)
    isOcspEnabled = serializers.BooleanField(source="is_ocsp_enabled")

    def get_maxPathLength(self, authority: CertificateAuthority) -> int:  # noqa: N802
        """-1 is no limit."""
        return UNLIMITED if authority.max_path_length is None else authority.max_path_length

    @extend_schema_field({"type": ["string", "null"], "enum": [*(each.value for each in Phase), None]})
    def get_chainPhase(self, authority: CertificateAuthority) -> str | None:  # noqa: N802
        """Null where the CA never changed its key, and for intermediates."""
        return authority.chain_phase or None

    @extend_schema_field(NameConstraintsSerializer(allow_null=True))
    def get_nameConstraints(self, authority: CertificateAuthority) -> dict[str, Any] | None:  # noqa: N802
        """Null where nothing is constrained."""
        return authority.name_constraints or None

    def get_dn(self, authority: CertificateAuthority) -> str:
        """The whole name."""
        return distinguished_name(name_of(authority))

    def get_serialNumber(self, authority: CertificateAuthority) -> str | None:  # noqa: N802
        """Of the active certificate."""
        return authority.active_certificate.serial_number if authority.active_certificate else None


class AuthorityAnswer(serializers.Serializer[Any]):
    """A CA."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    projectId = serializers.UUIDField(source="project_id")
    type = serializers.SerializerMethodField()
    status = serializers.ChoiceField([each.value for each in Status])
    configuration = AuthorityConfigurationAnswer(source="*")
    warnings = serializers.ListField(child=serializers.CharField(), required=False)

    @extend_schema_field({"type": "string", "enum": ["internal"]})
    def get_type(self, authority: CertificateAuthority) -> str:
        """Where its key is; so far always here."""
        return "internal"


class AuthoritiesAnswer(serializers.Serializer[Any]):
    """CAs of every kind."""

    certificateAuthorities = AuthorityAnswer(many=True)


class ProjectAuthorityAnswer(AuthorityConfigurationAnswer):
    """A CA in the older, flat form."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    projectId = serializers.UUIDField(source="project_id")
    status = serializers.ChoiceField([each.value for each in Status])
    createdAt = TimeField(source="created_at")
    updatedAt = TimeField(source="updated_at")


class ProjectAuthoritiesAnswer(serializers.Serializer[Any]):
    """CAs of a project."""

    cas = ProjectAuthorityAnswer(many=True)


class AuthorityCsrAnswer(serializers.Serializer[Any]):
    """A CSR."""

    csr = serializers.CharField()


class AuthorityCertificateAnswer(serializers.Serializer[Any]):
    """A CA's certificate; the chain holds what is above it, issuer first, empty for a root."""

    certificate = serializers.CharField()
    certificateChain = serializers.CharField(allow_blank=True)
    serialNumber = serializers.CharField()


class AuthorityCertificateVersionAnswer(AuthorityCertificateAnswer):
    """The same with its id and version, 1 for the first; the reason of a revocation is that of RFC 5280, 5.3.1."""

    certId = serializers.UUIDField()
    version = serializers.IntegerField()
    revokedAt = TimeField(allow_null=True)
    revocationReason = serializers.IntegerField(allow_null=True)


class IssuedAuthorityCertificateAnswer(AuthorityCertificateAnswer):
    """The same with its id."""

    certId = serializers.UUIDField()
    warnings = serializers.ListField(child=serializers.CharField(), required=False)


class RenewedAuthorityCertificateAnswer(AuthorityCertificateAnswer):
    """The same after a renewal; ``csr`` where a new key waits for a certificate from elsewhere."""

    csr = serializers.CharField(required=False)

    warnings = serializers.ListField(child=serializers.CharField(), required=False)


class SignedIntermediateAnswer(AuthorityCertificateAnswer):
    """What was signed for a CSR; the chain begins with the issuing CA."""

    issuingCaCertificate = serializers.CharField()
    warnings = serializers.ListField(child=serializers.CharField(), required=False)


class ImportedAuthorityCertificateAnswer(serializers.Serializer[Any]):
    """That it worked."""

    message = serializers.CharField()
    caId = serializers.UUIDField()
    warnings = serializers.ListField(child=serializers.CharField(), required=False)


class CrlAnswer(serializers.Serializer[Any]):
    """A CRL in PEM."""

    id = serializers.UUIDField()
    crl = serializers.CharField()


def certificate_answer(certificate: AuthorityCertificate) -> dict[str, Any]:
    """One version of a CA's certificate on the wire."""
    own, *above = (pem_of(der) for der in chain_of(certificate))
    return {
        "certificate": own,
        "certificateChain": "\n".join(above),
        "serialNumber": certificate.serial_number,
    }


def version_answer(certificate: AuthorityCertificate) -> dict[str, Any]:
    """The same in the list of versions; with its revocation, if that was loaded or there is one."""
    revocation = getattr(certificate, "revocation", None)
    return {
        **certificate_answer(certificate),
        "certId": str(certificate.pk),
        "version": certificate.version,
        "revokedAt": iso(certificate.revoked_at) if certificate.revoked_at else None,
        "revocationReason": revocation.reason if revocation else None,
    }
