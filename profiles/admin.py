"""Django admin for templates and profiles: the services save, and what they refuse stands in the form."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from pki_portal.access.admin import ServiceAdmin, ServiceForm
from pki_portal.access.permissions import Action, projects_allowing
from pki_portal.access.requester import requester_of
from pki_portal.admin_base import PortalAdmin
from pki_portal.errors import PortalError
from profiles import services
from profiles.enrollment import EnrollmentMethod
from profiles.models import CertificateProfile, CertificateTemplate, ProfileVersion, TemplateVersion
from profiles.models.version import Version
from profiles.querysets import with_relations
from profiles.services import AcmeSettings, ApiSettings, EstSettings, TemplateDocument
from profiles.services.settings import settings_of

_TEMPLATE_FIELDS = (
    "name",
    "description",
    "subject",
    "sans",
    "key_usages",
    "extended_key_usages",
    "algorithms",
    "validity",
    "basic_constraints",
)
# Where the form's fields for a method's settings differ from the settings' own names.
_SETTINGS_FIELDS: Mapping[str, Mapping[str, str]] = {
    EnrollmentMethod.API: {"auto_renew": "auto_renew", "renew_before_days": "renew_before_days"},
    EnrollmentMethod.EST: {
        "passphrase": "est_passphrase",
        "ca_chain": "est_ca_chain",
        "disable_bootstrap_ca_validation": "est_disable_bootstrap_ca_validation",
    },
    EnrollmentMethod.ACME: {
        "skip_dns_ownership_verification": "acme_skip_dns_ownership_verification",
        "skip_eab_binding": "acme_skip_eab_binding",
    },
}
_CHANGEABLE = (
    "slug",
    "description",
    "enrollment_method",
    "defaults",
    "key_retention",
    "lint_waivers",
    "requires_approval",
)


class RefusalForm(ServiceForm):
    """Puts each violation of a refusal beside the field that it is about."""

    def _get_validation_exclusions(self) -> set[str]:
        """Leave the model's own checks to the service, which says what its refusals are about."""
        return {field.name for field in self._meta.model._meta.get_fields()}

    def perform(self) -> Model:
        """Save; a refusal names fields of this form."""
        try:
            return self.saved()
        except PortalError as refusal:
            refusal.violations = tuple(
                replace(
                    violation, field=self.field_of(violation.field), allowed=f"{violation.field}: {violation.allowed}"
                )
                for violation in refusal.violations
            )
            raise

    def saved(self) -> Model:
        """Call the service."""
        raise NotImplementedError

    def field_of(self, path: str) -> str:
        """The form's field for the path of a violation."""
        return path.split("/")[0]


class CertificateTemplateForm(RefusalForm):
    """The rules as JSON, in the structure that the API has, with snake_case keys."""

    class Meta:
        """What is edited."""

        model = CertificateTemplate
        fields = ("project", *_TEMPLATE_FIELDS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("subject", "sans"):
            if name in self.fields:
                self.fields[name].required = False
        if "project" in self.fields:
            self.fields["project"].queryset = projects_allowing(  # type: ignore[attr-defined]
                requester=self.requester, action=Action.CERTIFICATE_TEMPLATES_CREATE
            )

    def saved(self) -> CertificateTemplate:
        """Create or update."""
        given = {name: self.cleaned_data[name] for name in _TEMPLATE_FIELDS}
        given |= {name: given[name] or [] for name in ("subject", "sans")}
        if self.instance._state.adding:
            return services.create_template(
                requester=self.requester, project=self.cleaned_data["project"], document=TemplateDocument(**given)
            )
        return services.update_template(requester=self.requester, template=self.instance, changes=given)


@admin.register(CertificateTemplate)
class CertificateTemplateAdmin(ServiceAdmin):
    """Templates of the projects whose templates the requester may read."""

    form = CertificateTemplateForm
    list_display = ("name", "project", "description", "created_at")
    list_filter = (("project", admin.RelatedOnlyFieldListFilter),)
    list_select_related = ("project",)
    search_fields = ("name", "description")
    actions = ("remove",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CertificateTemplate]:
        """Only what the requester may read."""
        projects = projects_allowing(requester=requester_of(request), action=Action.CERTIFICATE_TEMPLATES_READ)
        return CertificateTemplate.objects.filter(project__in=projects)

    def get_readonly_fields(self, request: HttpRequest, obj: CertificateTemplate | None = None) -> tuple[str, ...]:
        """A template stays in its project."""
        return () if obj is None else ("id", "project", "version", "created_at", "updated_at")

    @admin.action(description="Delete, where no profile uses it")
    def remove(self, request: HttpRequest, templates: QuerySet[CertificateTemplate]) -> None:
        """Delete each, or say why not."""
        requester = requester_of(request)
        self.apply(
            request,
            templates,
            lambda row: services.delete_template(requester=requester, template=row),
            "deleted",
        )


class CertificateProfileForm(RefusalForm):
    """A profile with the settings of its enrollment method; those of the other methods are not read."""

    auto_renew = forms.BooleanField(required=False, label="Auto-renew", help_text="API: renew certificates by default.")
    renew_before_days = forms.IntegerField(
        required=False, label="Renew before", help_text="API: days before the end of a certificate, 1 to 30."
    )
    est_passphrase = forms.CharField(
        required=False,
        strip=False,
        label="EST pass phrase",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Stored as a hash. Empty keeps the present one.",
    )
    est_ca_chain = forms.CharField(required=False, label="EST CA chain", widget=forms.Textarea, help_text="PEM.")
    est_disable_bootstrap_ca_validation = forms.BooleanField(
        required=False, label="EST without bootstrap CA validation"
    )
    acme_skip_dns_ownership_verification = forms.BooleanField(
        required=False, label="ACME without DNS ownership verification"
    )
    acme_skip_eab_binding = forms.BooleanField(required=False, label="ACME without external account binding")

    class Meta:
        """What is edited."""

        model = CertificateProfile
        fields = (
            "project",
            "slug",
            "description",
            "issuer_type",
            "certificate_authority",
            "template",
            "enrollment_method",
            "defaults",
            "key_retention",
            "lint_waivers",
            "requires_approval",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "project" in self.fields:
            projects = projects_allowing(requester=self.requester, action=Action.CERTIFICATE_PROFILES_CREATE)
            self._choices("project", projects)
            for name in ("template", "certificate_authority"):
                field: Any = self.fields[name]
                self._choices(name, field.queryset.filter(project__in=projects))
        if not self.instance._state.adding:
            self.initial.update(self._stored_settings())

    def saved(self) -> CertificateProfile:
        """Create or update."""
        method = self.cleaned_data["enrollment_method"]
        settings = {setting: self.cleaned_data[field] for setting, field in _SETTINGS_FIELDS[method].items()}
        given = {name: self.cleaned_data[name] for name in _CHANGEABLE}
        given["lint_waivers"] = given["lint_waivers"] or []
        if self.instance._state.adding:
            return self._created(given, method, settings)
        if not settings.get("passphrase", True):
            del settings["passphrase"]
        return services.update_profile(
            requester=self.requester, profile=self.instance, changes=given | {method: settings}
        )

    def field_of(self, path: str) -> str:
        """Settings stand under their method; of a template and a CA the form has the row, not the id."""
        first, _, setting = path.partition("/")
        fields = _SETTINGS_FIELDS.get(first, {})
        return fields.get(setting, first.removesuffix("_id"))

    def _created(self, given: dict[str, Any], method: str, settings: dict[str, Any]) -> CertificateProfile:
        authority = self.cleaned_data["certificate_authority"]
        return services.create_profile(
            requester=self.requester,
            project=self.cleaned_data["project"],
            template_id=self.cleaned_data["template"].pk,
            certificate_authority_id=None if authority is None else authority.pk,
            issuer_type=self.cleaned_data["issuer_type"],
            api=ApiSettings(**settings) if method == EnrollmentMethod.API else None,
            est=EstSettings(**settings) if method == EnrollmentMethod.EST else None,
            acme=AcmeSettings(**settings) if method == EnrollmentMethod.ACME else None,
            **given,
        )

    def _choices(self, name: str, rows: QuerySet[Any]) -> None:
        self.fields[name].queryset = rows  # type: ignore[attr-defined]

    def _stored_settings(self) -> dict[str, Any]:
        return {
            field: getattr(row, setting)
            for method, fields in _SETTINGS_FIELDS.items()
            if (row := settings_of(self.instance, method)) is not None
            for setting, field in fields.items()
            if setting != "passphrase"
        }


@admin.register(CertificateProfile)
class CertificateProfileAdmin(ServiceAdmin):
    """Profiles of the projects whose profiles the requester may read."""

    form = CertificateProfileForm
    list_display = ("slug", "project", "enrollment_method", "issuer_type", "certificate_authority", "template")
    list_filter = (("project", admin.RelatedOnlyFieldListFilter), "enrollment_method", "issuer_type")
    list_select_related = ("project", "certificate_authority", "template")
    search_fields = ("slug", "description")
    actions = ("remove",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CertificateProfile]:
        """Only what the requester may read."""
        projects = projects_allowing(requester=requester_of(request), action=Action.CERTIFICATE_PROFILES_READ)
        return with_relations(CertificateProfile.objects.filter(project__in=projects))

    def get_readonly_fields(self, request: HttpRequest, obj: CertificateProfile | None = None) -> tuple[str, ...]:
        """A profile stays with its project, CA and template."""
        if obj is None:
            return ()
        return (
            *("id", "project", "issuer_type", "certificate_authority", "template"),
            *("version", "created_at", "updated_at"),
        )

    @admin.action(description="Delete; certificates stay and are not renewed any more")
    def remove(self, request: HttpRequest, profiles: QuerySet[CertificateProfile]) -> None:
        """Delete each, or say why not."""
        requester = requester_of(request)
        self.apply(
            request,
            profiles,
            lambda row: services.delete_profile(requester=requester, profile=row),
            "deleted",
        )


class VersionAdmin(PortalAdmin):
    """Versions are read here and changed nowhere."""

    list_display = ("name", "number", "project", "author_kind", "author_name", "created_at")
    list_filter = (("project", admin.RelatedOnlyFieldListFilter),)
    list_select_related = ("project",)
    search_fields = ("name",)
    actions = None
    action_to_read: Action

    def get_queryset(self, request: HttpRequest) -> QuerySet[Version]:
        """Only what the requester may read."""
        versions: QuerySet[Version] = super().get_queryset(request)
        return versions.filter(
            project__in=projects_allowing(requester=requester_of(request), action=self.action_to_read)
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


@admin.register(TemplateVersion)
class TemplateVersionAdmin(VersionAdmin):
    """Versions of templates, of those that are gone too."""

    action_to_read = Action.CERTIFICATE_TEMPLATES_READ


@admin.register(ProfileVersion)
class ProfileVersionAdmin(VersionAdmin):
    """Versions of profiles, of those that are gone too."""

    action_to_read = Action.CERTIFICATE_PROFILES_READ
