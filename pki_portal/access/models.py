"""Users, projects, machine identities, who is what where, and the credentials of machines (hashes only)."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import uuid4

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q

SLUG_MAX_LENGTH = 36
# Tokens and secrets carry 256 random bits, so a plain SHA-256 is as strong as a slow hash and one indexed look-up finds
# it.
HASH_LENGTH = 64


class Role(StrEnum):
    """What a member may do in a project; ``pki_portal.access.permissions`` says what each includes."""

    ADMIN = "admin"
    OPERATOR = "operator"
    MEMBER = "member"
    VIEWER = "viewer"
    NO_ACCESS = "no-access"


def role_choices() -> list[tuple[str, str]]:
    """Role names for forms; a callable, so that a new role makes no migration."""
    return [(role.value, role.value) for role in Role]


def any_address() -> list[str]:
    """Every IPv4 and IPv6 address, as CIDR texts."""
    return ["0.0.0.0/0", "::/0"]


class User(AbstractUser):
    """A person. An active superuser is an administrator of the installation: every project, every act."""

    class Meta(AbstractUser.Meta):
        """As Django's own user, by name."""

        ordering = ("username",)


class Project(models.Model):
    """The tenant: everything else belongs to one project and is invisible from others."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    name = models.CharField(max_length=255)
    slug = models.CharField(max_length=SLUG_MAX_LENGTH, unique=True)
    description = models.CharField(max_length=1000, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        """By name."""

        ordering = ("name", "id")
        constraints = (
            models.CheckConstraint(condition=~Q(name=""), name="project_has_name"),
            models.CheckConstraint(condition=Q(slug__regex=r"^[a-z0-9]+(-[a-z0-9]+)*$"), name="project_slug_is_slug"),
        )

    def __str__(self) -> str:
        """Give the name."""
        return self.name


class MachineIdentity(models.Model):
    """A program. It may do nothing until a membership gives it a role in a project."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    name = models.CharField(max_length=255)
    can_create_projects = models.BooleanField(default=False, help_text="May create projects and becomes their admin.")
    created_by_user = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    created_by_identity = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    universal_auth: "UniversalAuth"

    class Meta:
        """By name."""

        ordering = ("name", "id")
        verbose_name = "machine identity"
        verbose_name_plural = "machine identities"
        constraints = (models.CheckConstraint(condition=~Q(name=""), name="machine_identity_has_name"),)

    def __str__(self) -> str:
        """Give the name."""
        return self.name


class Membership(models.Model):
    """The role of one user or one machine identity in one project."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, blank=True, related_name="memberships")
    identity = models.ForeignKey(
        MachineIdentity, on_delete=models.CASCADE, null=True, blank=True, related_name="memberships"
    )
    role = models.CharField(max_length=16, choices=role_choices)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        """One role a member and project; the unique constraints are also the indexes of the permission check."""

        ordering = ("created_at", "id")
        constraints = (
            models.CheckConstraint(
                condition=Q(user__isnull=False, identity__isnull=True) | Q(user__isnull=True, identity__isnull=False),
                name="membership_of_user_or_identity",
            ),
            models.CheckConstraint(condition=Q(role__in=[role.value for role in Role]), name="membership_role_known"),
            models.UniqueConstraint(fields=("user", "project"), name="membership_once_per_user"),
            models.UniqueConstraint(fields=("identity", "project"), name="membership_once_per_identity"),
        )

    def __str__(self) -> str:
        """Name the member and the role."""
        return f"{self.user or self.identity}: {self.role}"


class UniversalAuth(models.Model):
    """How one machine identity logs in with a client id and secrets. Durations are in seconds; a limit of 0 means none.

    ``access_token_ttl`` 0 stands for the longest life, ``access_token_max_ttl`` bounds all renewals together (0: the
    longest).
    """

    LONGEST_TTL: ClassVar[int] = 315_360_000
    # Short, since whoever reads a token may use it; a client renews it, or logs in again, for up to 30 days.
    DEFAULT_TTL: ClassVar[int] = 7200
    DEFAULT_MAX_TTL: ClassVar[int] = 2_592_000

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    identity = models.OneToOneField(MachineIdentity, on_delete=models.CASCADE, related_name="universal_auth")
    client_id = models.UUIDField(unique=True, default=uuid4, editable=False)
    client_secret_trusted_ips = models.JSONField(default=any_address)
    access_token_trusted_ips = models.JSONField(default=any_address)
    access_token_ttl = models.PositiveIntegerField(default=DEFAULT_TTL)
    access_token_max_ttl = models.PositiveIntegerField(default=DEFAULT_MAX_TTL)
    access_token_num_uses_limit = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        """The lives fit the wire's bounds."""

        verbose_name = "universal auth"
        verbose_name_plural = "universal auths"
        constraints = (
            models.CheckConstraint(
                condition=Q(access_token_ttl__lte=315_360_000) & Q(access_token_max_ttl__lte=315_360_000),
                name="universal_auth_ttl_bounded",
            ),
        )

    def __str__(self) -> str:
        """Give the client id, which is no secret."""
        return str(self.client_id)


class ClientSecret(models.Model):
    """One secret of an identity: its hash and the few characters that people recognise it by."""

    LONGEST_TTL = 315_360_000
    MOST_USES = 2**31 - 1

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    universal_auth = models.ForeignKey(UniversalAuth, on_delete=models.CASCADE, related_name="client_secrets")
    description = models.CharField(max_length=255, blank=True)
    secret_hash = models.CharField(max_length=HASH_LENGTH, unique=True, editable=False)
    prefix = models.CharField(max_length=4, editable=False)
    num_uses = models.PositiveIntegerField(default=0, editable=False)
    num_uses_limit = models.PositiveIntegerField(default=0, help_text="How many logins; 0 for no limit.")
    ttl = models.PositiveIntegerField(default=0, help_text="Life in seconds; 0 for no end.")
    expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        """Newest first."""

        ordering = ("-created_at", "id")
        constraints = (
            models.CheckConstraint(
                condition=Q(num_uses_limit=0) | Q(num_uses__lte=models.F("num_uses_limit")),
                name="client_secret_uses_within_limit",
            ),
        )

    def __str__(self) -> str:
        """Give the visible prefix."""
        return f"{self.prefix}…"

    def is_usable(self, now: datetime) -> bool:
        """Tell whether a login with it would be taken at ``now``."""
        return (
            self.revoked_at is None
            and (self.expires_at is None or now < self.expires_at)
            and (self.num_uses_limit == 0 or self.num_uses < self.num_uses_limit)
        )


class AccessToken(models.Model):
    """A bearer token of a machine identity: its hash, its life, its uses. ``num_uses`` is counted only where a limit is
    set.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    universal_auth = models.ForeignKey(UniversalAuth, on_delete=models.CASCADE, related_name="access_tokens")
    client_secret = models.ForeignKey(ClientSecret, on_delete=models.CASCADE, null=True, related_name="access_tokens")
    token_hash = models.CharField(max_length=HASH_LENGTH, unique=True, editable=False)
    ttl = models.PositiveIntegerField()
    expires_at = models.DateTimeField(db_index=True)
    max_expires_at = models.DateTimeField()
    num_uses = models.PositiveIntegerField(default=0)
    num_uses_limit = models.PositiveIntegerField(default=0)
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Newest first."""

        ordering = ("-created_at", "id")
        constraints = (
            models.CheckConstraint(
                condition=Q(expires_at__lte=models.F("max_expires_at")), name="access_token_within_max_life"
            ),
            models.CheckConstraint(
                condition=Q(num_uses_limit=0) | Q(num_uses__lte=models.F("num_uses_limit")),
                name="access_token_uses_within_limit",
            ),
        )

    def __str__(self) -> str:
        """Give the row id, which opens nothing."""
        return str(self.id)


class LoginFailure(models.Model):
    """How often a machine login failed lately, per client id and address (``key`` is a hash of both) or per address."""

    key = models.CharField(max_length=HASH_LENGTH, primary_key=True)
    failures = models.PositiveIntegerField(default=0)
    last_failed_at = models.DateTimeField(db_index=True)

    class Meta:
        """Rows older than a day are swept by the next failure."""

        verbose_name = "login failure"

    def __str__(self) -> str:
        """Give the count."""
        return f"{self.failures} failures"


class SetPasswordLink(models.Model):
    """A one-time link by which a person sets the password; only the hash of its token is stored."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="set_password_links")
    token_hash = models.CharField(max_length=HASH_LENGTH, unique=True, editable=False)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Newest first."""

        ordering = ("-created_at", "id")

    def __str__(self) -> str:
        """Name the person."""
        return f"set-password link of {self.user}"


class Stamp(models.Model):
    """One row of two random texts that triggers change: see ``pki_portal.access.remembering``."""

    ONLY: ClassVar[int] = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY)
    access = models.CharField(max_length=32)
    rules = models.CharField(max_length=32)

    class Meta:
        """There is one."""

        constraints = (models.CheckConstraint(condition=Q(id=1), name="stamp_is_one_row"),)

    def __str__(self) -> str:
        """Give both."""
        return f"{self.access} {self.rules}"
