"""Profiles: a CA, a template and a way to enroll."""

import uuid
from collections.abc import Mapping
from typing import Any

from django.db import models

from pki_portal.access.models import Project
from profiles.enrollment import EnrollmentMethod
from profiles.models.template import CertificateTemplate
from profiles.policy.rules import ProfileDefaults
from profiles.policy.vocabulary import IssuerType, KeyRetention
from profiles.policy.waivers import LintWaiver, read_waivers

# Columns that a version of a profile keeps as they are: a new one belongs here.
DOCUMENTED = (
    *("slug", "description", "issuer_type", "enrollment_method", "defaults"),
    *("key_retention", "lint_waivers", "requires_approval"),
)
# Of the settings of each enrollment method what a version keeps: no secret, nor what is made of one.
DOCUMENTED_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "api": ("auto_renew", "renew_before_days"),
    "est": ("disable_bootstrap_ca_validation", "ca_chain"),
    "acme": ("skip_dns_ownership_verification", "skip_eab_binding"),
}


def issuer_types() -> list[tuple[str, str]]:
    return [(IssuerType.CA, "Certificate authority"), (IssuerType.SELF_SIGNED, "Self-signed")]


def enrollment_methods() -> list[tuple[str, str]]:
    return [(method.value, method.name) for method in EnrollmentMethod]


def key_retentions() -> list[tuple[str, str]]:
    return [(KeyRetention.ONCE, "Given once, not kept"), (KeyRetention.ESCROW, "Kept, encrypted")]


class CertificateProfile(models.Model):
    """What an applicant names when asking for a certificate."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="certificate_profiles")
    # By name: what a CA is belongs to `certificates`, which knows profiles, not the other way round.
    certificate_authority = models.ForeignKey(
        "certificates.CertificateAuthority",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="certificate_profiles",
    )
    template = models.ForeignKey(CertificateTemplate, on_delete=models.PROTECT, related_name="certificate_profiles")
    slug = models.CharField(max_length=255)
    description = models.CharField(max_length=1000, blank=True, default="")
    enrollment_method = models.CharField(max_length=16, choices=enrollment_methods)
    issuer_type = models.CharField(max_length=16, choices=issuer_types, default=IssuerType.CA)
    defaults = models.JSONField(default=dict, blank=True)
    # Of keys that the portal makes from now on; those that are kept already stay until they are destroyed.
    key_retention = models.CharField(max_length=16, choices=key_retentions, default=KeyRetention.ONCE)
    # [{"code": "pkix...", "reason": "...", "expires_at": ISO 8601 with offset, or null}]
    lint_waivers = models.JSONField(default=list, blank=True)
    # Whether somebody else must agree to each request; approval policies say who, and may demand it by themselves.
    requires_approval = models.BooleanField(default=False)
    # The number of the ProfileVersion that says the same as this row.
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-created_at", "id")
        constraints = (
            models.UniqueConstraint(fields=("project", "slug"), name="profile_slug_unique_in_project"),
            models.CheckConstraint(condition=~models.Q(slug=""), name="profile_slug_not_empty"),
            models.CheckConstraint(
                condition=models.Q(issuer_type=IssuerType.CA, certificate_authority__isnull=False)
                | models.Q(issuer_type=IssuerType.SELF_SIGNED, certificate_authority__isnull=True),
                name="profile_has_ca_unless_self_signed",
            ),
            models.CheckConstraint(
                condition=~models.Q(issuer_type=IssuerType.SELF_SIGNED)
                | models.Q(enrollment_method=EnrollmentMethod.API),
                name="profile_self_signed_by_api_only",
            ),
        )

    def __str__(self) -> str:
        return self.slug

    def profile_defaults(self) -> ProfileDefaults:
        """The stored defaults, compiled; pure, no query."""
        return ProfileDefaults.from_json(self.defaults)

    def waivers(self) -> tuple[LintWaiver, ...]:
        """The stored waivers of lint findings, compiled, expired ones too; pure, no query."""
        return read_waivers(self.lint_waivers)

    def document(self) -> dict[str, Any]:
        """The whole profile as JSON values, for its versions; reads CA, template and settings unless they are loaded.

        CA and template stand there by id and, for people, by the name that they had.
        """
        authority = self.certificate_authority
        return {column: getattr(self, column) for column in DOCUMENTED} | {
            "certificate_authority": None if authority is None else {"id": str(authority.pk), "name": authority.name},
            "template": {"id": str(self.template.pk), "name": self.template.name},
            "settings": {
                method: {column: getattr(row, column) for column in columns}
                for method, columns in DOCUMENTED_SETTINGS.items()
                if (row := getattr(self, f"{method}_enrollment", None)) is not None
            },
        }
