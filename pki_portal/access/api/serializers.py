"""The wire's forms of projects, members, machine identities and logins; camelCase exists only here."""

# ruff: noqa: N815, N802  # the names are the wire's

from ipaddress import ip_network
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from pki_portal.access.models import ClientSecret, MachineIdentity, Membership, Project, Role, UniversalAuth
from pki_portal.access.services import SLUG_MIN_LENGTH
from pki_portal.access.universal_auth import Settings
from pki_portal.rest import (
    EnumField,
    StrictCharField,
    StrictIntegerField,
    StrictListField,
    TimeField,
    WireSerializer,
)
from pki_portal.rest.paging import NEXT_HELP

# The reference groups projects in organizations; one installation is one organization, and its id never changes.
ORGANIZATION_ID = UUID("6f72672d-0000-4000-8000-000000000001")
PROJECT_TYPE = "cert-manager"
# The reference counts the generations of its secret storage here; clients want an integer.
PROJECT_VERSION = 3


class SlugField(StrictCharField):
    """A slug as clients may choose it: 5 to 36 characters, read in lower case."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_length=SLUG_MIN_LENGTH, max_length=36, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Lower the case."""
        return super().to_internal_value(data).lower()


# --- Projects ---------------------------------------------------------------------------------------------------------


@extend_schema_field({"type": "string", "enum": [PROJECT_TYPE]})
class ProjectTypeField(StrictCharField):
    """``cert-manager``: the only kind of project here."""

    default_error_messages = {"invalid_choice": "Invalid enum value. Expected 'cert-manager', received '{input}'"}  # noqa: RUF012

    def to_internal_value(self, data: Any) -> str:
        """Take the one value, in any case."""
        value = super().to_internal_value(data)
        if value.lower() != PROJECT_TYPE:
            self.fail("invalid_choice", input=value[:100])
        return PROJECT_TYPE


class CreateProjectSerializer(WireSerializer):
    """Body of ``POST /projects``; what else the reference takes (``template``, ``kmsKeyId`` ...) means nothing here."""

    projectName = StrictCharField(max_length=255)
    projectDescription = StrictCharField(max_length=1000, required=False, allow_blank=True, allow_null=True)
    slug = SlugField(required=False)
    type = ProjectTypeField(required=False)


class UpdateProjectSerializer(WireSerializer):
    """Body of ``PATCH /projects/{id}``."""

    name = StrictCharField(max_length=255, required=False)
    description = StrictCharField(max_length=1000, required=False, allow_blank=True)
    slug = SlugField(required=False)


class ProjectSerializer(serializers.Serializer[Any]):
    """A project in answers."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    slug = serializers.CharField()
    type = serializers.SerializerMethodField()
    description = serializers.CharField()
    orgId = serializers.SerializerMethodField()
    version = serializers.SerializerMethodField()
    environments = serializers.SerializerMethodField()
    createdAt = TimeField(source="created_at")
    updatedAt = TimeField(source="updated_at")

    def get_type(self, _project: Project) -> str:
        """Always the same."""
        return PROJECT_TYPE

    @extend_schema_field({"type": "string", "format": "uuid"})
    def get_orgId(self, _project: Project) -> str:
        """Always the same."""
        return str(ORGANIZATION_ID)

    def get_version(self, _project: Project) -> int:
        """Always the same."""
        return PROJECT_VERSION

    @extend_schema_field({"type": "array", "items": {"type": "object"}, "maxItems": 0})
    def get_environments(self, _project: Project) -> list[object]:
        """None: they belong to secrets."""
        return []


class Warned(serializers.Serializer[Any]):
    """An answer to a body: what of it was ignored."""

    warnings = serializers.ListField(child=serializers.CharField(), required=False)


class ProjectAnswer(Warned):
    """One project, wrapped."""

    project = ProjectSerializer()


class ProjectsAnswer(serializers.Serializer[Any]):
    """A page of projects."""

    projects = ProjectSerializer(many=True)
    totalCount = serializers.IntegerField()


# --- Members ----------------------------------------------------------------------------------------------------------


class RoleSerializer(WireSerializer):
    """Body that gives a role."""

    role = EnumField(Role)


class AddUserSerializer(RoleSerializer):
    """Body of ``POST /projects/{id}/memberships``."""

    username = StrictCharField(max_length=150)


class MembershipRoleSerializer(serializers.Serializer[Any]):
    """One of the roles of a membership; here it has exactly one."""

    role = serializers.ChoiceField(choices=[role.value for role in Role])


class MembershipSerializer(serializers.Serializer[Any]):
    """What every membership answers."""

    id = serializers.UUIDField()
    projectId = serializers.UUIDField(source="project_id")
    role = serializers.ChoiceField(choices=[role.value for role in Role])
    roles = serializers.SerializerMethodField()
    createdAt = TimeField(source="created_at")
    updatedAt = TimeField(source="updated_at")

    @extend_schema_field(MembershipRoleSerializer(many=True))
    def get_roles(self, membership: Membership) -> list[dict[str, str]]:
        """The list in which the reference keeps several."""
        return [{"role": membership.role}]


class MemberIdentitySerializer(serializers.Serializer[Any]):
    """The identity inside its membership."""

    id = serializers.UUIDField()
    name = serializers.CharField()


class IdentityMembershipSerializer(MembershipSerializer):
    """The role of a machine identity."""

    identityId = serializers.UUIDField(source="identity_id")
    identity = MemberIdentitySerializer()


class MemberUserSerializer(serializers.Serializer[Any]):
    """The user inside a membership: no name or e-mail address, for an admin could learn anyone's by adding them."""

    id = serializers.CharField(source="pk")
    username = serializers.CharField()


class UserMembershipSerializer(MembershipSerializer):
    """The role of a user."""

    userId = serializers.CharField(source="user_id")
    user = MemberUserSerializer()


class IdentityMembershipAnswer(Warned):
    """One identity's membership, wrapped."""

    identityMembership = IdentityMembershipSerializer()


class IdentityMembershipsAnswer(serializers.Serializer[Any]):
    """A page of identities' memberships."""

    identityMemberships = IdentityMembershipSerializer(many=True)
    totalCount = serializers.IntegerField()


class UserMembershipAnswer(Warned):
    """One user's membership, wrapped."""

    membership = UserMembershipSerializer()


class UserMembershipsAnswer(serializers.Serializer[Any]):
    """A page of users' memberships."""

    memberships = UserMembershipSerializer(many=True)
    totalCount = serializers.IntegerField()


# --- Machine identities -----------------------------------------------------------------------------------------------


class IdentityNameSerializer(WireSerializer):
    """Body that names a machine identity."""

    name = StrictCharField(max_length=255)


class IdentitySerializer(serializers.Serializer[Any]):
    """A machine identity in answers."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    orgId = serializers.SerializerMethodField()
    canCreateProjects = serializers.BooleanField(source="can_create_projects")
    authMethods = serializers.SerializerMethodField()
    createdAt = TimeField(source="created_at")
    updatedAt = TimeField(source="updated_at")

    @extend_schema_field({"type": "string", "format": "uuid"})
    def get_orgId(self, _identity: MachineIdentity) -> str:
        """Always the same."""
        return str(ORGANIZATION_ID)

    @extend_schema_field({"type": "array", "items": {"type": "string", "enum": ["universal-auth"]}})
    def get_authMethods(self, identity: MachineIdentity) -> list[str]:
        """How it can log in."""
        return ["universal-auth"] if hasattr(identity, "universal_auth") else []


class IdentityAnswer(Warned):
    """One machine identity, wrapped."""

    identity = IdentitySerializer()


class IdentitiesAnswer(serializers.Serializer[Any]):
    """A page of machine identities."""

    identities = IdentitySerializer(many=True)
    totalCount = serializers.IntegerField()


# --- Universal auth ---------------------------------------------------------------------------------------------------


class LoginSerializer(WireSerializer):
    """Body of a login; ``organizationSlug`` and ``subOrganizationName`` are read past."""

    clientId = StrictCharField(max_length=255)
    clientSecret = StrictCharField(max_length=255, write_only=True)


class AccessTokenSerializer(WireSerializer):
    """Body that presents a token."""

    accessToken = StrictCharField(max_length=255, write_only=True)


class LoginAnswer(serializers.Serializer[Any]):
    """A bearer token; lives in whole seconds."""

    accessToken = serializers.CharField()
    expiresIn = serializers.IntegerField()
    accessTokenMaxTTL = serializers.IntegerField()
    tokenType = serializers.ChoiceField(choices=["Bearer"])


class MessageAnswer(serializers.Serializer[Any]):
    """A sentence."""

    message = serializers.CharField()


class TrustedIpSerializer(WireSerializer):
    """One trusted address or network."""

    ipAddress = StrictCharField(max_length=100)


class UniversalAuthSettingsSerializer(WireSerializer):
    """Body that configures universal auth; lives in seconds."""

    clientSecretTrustedIps = StrictListField(child=TrustedIpSerializer(), max_length=100, required=False)
    accessTokenTrustedIps = StrictListField(child=TrustedIpSerializer(), max_length=100, required=False)
    accessTokenTTL = StrictIntegerField(min_value=0, max_value=UniversalAuth.LONGEST_TTL, required=False)
    accessTokenMaxTTL = StrictIntegerField(min_value=0, max_value=UniversalAuth.LONGEST_TTL, required=False)
    accessTokenNumUsesLimit = StrictIntegerField(min_value=0, required=False)

    def settings(self) -> Settings:
        """The validated body as the service's value."""
        given = self.validated_data
        return Settings(
            access_token_ttl=given.get("accessTokenTTL"),
            access_token_max_ttl=given.get("accessTokenMaxTTL"),
            access_token_num_uses_limit=given.get("accessTokenNumUsesLimit"),
            client_secret_trusted_ips=_addresses(given.get("clientSecretTrustedIps")),
            access_token_trusted_ips=_addresses(given.get("accessTokenTrustedIps")),
        )


def _addresses(entries: list[dict[str, str]] | None) -> list[str] | None:
    return None if entries is None else [entry["ipAddress"] for entry in entries]


class TrustedIpAnswer(serializers.Serializer[Any]):
    """One trusted network, taken apart as in the reference."""

    ipAddress = serializers.CharField()
    type = serializers.ChoiceField(choices=["ipv4", "ipv6"])
    prefix = serializers.IntegerField()


def _network_as_wire(text: str) -> dict[str, str | int]:
    network = ip_network(text)
    return {"ipAddress": str(network.network_address), "type": f"ipv{network.version}", "prefix": network.prefixlen}


class UniversalAuthSerializer(serializers.Serializer[Any]):
    """The configuration in answers."""

    id = serializers.UUIDField()
    clientId = serializers.UUIDField(source="client_id")
    identityId = serializers.UUIDField(source="identity_id")
    accessTokenTTL = serializers.IntegerField(source="access_token_ttl")
    accessTokenMaxTTL = serializers.IntegerField(source="access_token_max_ttl")
    accessTokenNumUsesLimit = serializers.IntegerField(source="access_token_num_uses_limit")
    clientSecretTrustedIps = serializers.SerializerMethodField()
    accessTokenTrustedIps = serializers.SerializerMethodField()
    createdAt = TimeField(source="created_at")
    updatedAt = TimeField(source="updated_at")

    @extend_schema_field(TrustedIpAnswer(many=True))
    def get_clientSecretTrustedIps(self, universal_auth: UniversalAuth) -> list[dict[str, str | int]]:
        """Where logins may come from."""
        return [_network_as_wire(text) for text in universal_auth.client_secret_trusted_ips]

    @extend_schema_field(TrustedIpAnswer(many=True))
    def get_accessTokenTrustedIps(self, universal_auth: UniversalAuth) -> list[dict[str, str | int]]:
        """Where tokens may be used."""
        return [_network_as_wire(text) for text in universal_auth.access_token_trusted_ips]


class UniversalAuthAnswer(Warned):
    """The configuration, wrapped."""

    identityUniversalAuth = UniversalAuthSerializer()


class CreateClientSecretSerializer(WireSerializer):
    """Body of a new client secret; ``ttl`` in seconds, 0 for no end."""

    description = StrictCharField(max_length=255, allow_blank=True, required=False)
    numUsesLimit = StrictIntegerField(min_value=0, required=False)
    ttl = StrictIntegerField(min_value=0, max_value=UniversalAuth.LONGEST_TTL, required=False)


class ClientSecretDataSerializer(serializers.Serializer[Any]):
    """A client secret's record."""

    id = serializers.UUIDField()
    createdAt = TimeField(source="created_at")
    updatedAt = TimeField(source="updated_at")
    description = serializers.CharField()
    clientSecretPrefix = serializers.CharField(source="prefix")
    clientSecretNumUses = serializers.IntegerField(source="num_uses")
    clientSecretNumUsesLimit = serializers.IntegerField(source="num_uses_limit")
    clientSecretTTL = serializers.IntegerField(source="ttl")
    identityUAId = serializers.UUIDField(source="universal_auth_id")
    isClientSecretRevoked = serializers.SerializerMethodField()

    def get_isClientSecretRevoked(self, row: ClientSecret) -> bool:
        """Whether it is revoked."""
        return row.revoked_at is not None


class ClientSecretAnswer(Warned):
    """A client secret's record, wrapped."""

    clientSecretData = ClientSecretDataSerializer()


class NewClientSecretAnswer(ClientSecretAnswer):
    """A new client secret: the only answer that ever holds its text."""

    clientSecret = serializers.CharField()


class ClientSecretsAnswer(serializers.Serializer[Any]):
    """All secrets of one identity."""

    clientSecretData = ClientSecretDataSerializer(many=True)


# --- Audit ------------------------------------------------------------------------------------------------------------


class AuditActorSerializer(serializers.Serializer[Any]):
    """Who acted."""

    type = serializers.CharField(source="actor_kind")
    id = serializers.CharField(source="actor_id")
    name = serializers.CharField(source="actor_name")


class AuditEventSerializer(serializers.Serializer[Any]):
    """One act or refusal."""

    id = serializers.CharField()
    createdAt = TimeField(source="occurred_at")
    event = serializers.CharField()
    outcome = serializers.CharField()
    actor = AuditActorSerializer(source="*")
    ipAddress = serializers.CharField(source="address", allow_null=True)
    requestId = serializers.CharField(source="request_id")
    projectId = serializers.UUIDField(source="project_id", allow_null=True)
    subjectType = serializers.CharField(source="subject_type")
    subjectId = serializers.CharField(source="subject_id")
    metadata = serializers.DictField(source="data")


class AuditEventsAnswer(serializers.Serializer[Any]):
    """A page of audit events, newest first."""

    auditLogs = AuditEventSerializer(many=True)
    totalCount = serializers.IntegerField()
    nextCursor = serializers.CharField(allow_null=True, help_text=NEXT_HELP)
