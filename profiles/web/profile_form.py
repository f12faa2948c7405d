"""The form of a profile that enrolls by page and API."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django import forms
from django.http import QueryDict

from pki_portal.access.models import Project
from pki_portal.access.web.refusals import Refusal, place, refusal_of
from pki_portal.errors import PortalError, Violation
from profiles.models import ApiEnrollment, CertificateProfile
from profiles.policy.vocabulary import IssuerType
from profiles.services import ApiSettings

USUAL_RENEWAL_DAYS = 7


class ProfileForm(forms.Form):
    """Name, issuer, template and renewal. CA and template of a stored profile never change, so an edit lacks them."""

    slug = forms.CharField(
        label="Name",
        required=False,
        max_length=255,
        help_text="Lower-case letters, digits and hyphens; programs ask for it.",
    )
    description = forms.CharField(label="Description", required=False, max_length=1000)
    issuer_type = forms.ChoiceField(
        label="Issuer",
        choices=[(IssuerType.CA.value, "Certificate authority"), (IssuerType.SELF_SIGNED.value, "Self-signed")],
        required=False,
    )
    certificate_authority = forms.ChoiceField(label="Issuing CA", required=False)
    template = forms.ChoiceField(label="Template", error_messages={"required": "Choose a template."})
    ttl = forms.CharField(
        label="Usual validity",
        required=False,
        max_length=64,
        help_text="For requests that name none: 30d, 90d, 1y. Empty: the longest that the template allows.",
    )
    auto_renew = forms.BooleanField(
        label="Enable Auto-Renewal By Default",
        required=False,
        initial=True,
        help_text="Certificates whose key the portal made are renewed before they end.",
    )
    renew_before_days = forms.IntegerField(
        label="Days before the end",
        required=False,
        initial=USUAL_RENEWAL_DAYS,
        widget=forms.NumberInput(attrs={"min": 1, "max": 30}),
        help_text="1 to 30.",
    )

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        project: Project,
        profile: CertificateProfile | None = None,
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=_stored(profile) if profile else dict(initial or {}))
        self.refusal: Refusal | None = None
        self.violations: dict[str, list[Violation]] = {}
        if profile is None:
            authorities = project.certificate_authorities.order_by("name").values_list("pk", "name")
            templates = project.certificate_templates.order_by("name").values_list("pk", "name")
            self._choice("certificate_authority").choices = [("", "Choose a CA"), *_as_choices(authorities)]
            self._choice("template").choices = [("", "Choose a template"), *_as_choices(templates)]
        else:
            for name in ("issuer_type", "certificate_authority", "template"):
                del self.fields[name]
            if not hasattr(profile, "api_enrollment"):
                del self.fields["auto_renew"], self.fields["renew_before_days"]

    def api_settings(self) -> ApiSettings:
        """Auto-renewal as chosen."""
        return ApiSettings(
            auto_renew=self.cleaned_data["auto_renew"], renew_before_days=self.cleaned_data["renew_before_days"]
        )

    def defaults(self, stored: Mapping[str, object]) -> dict[str, object]:
        """The stored defaults with the life that the form names, if any."""
        kept = {name: value for name, value in stored.items() if name not in {"ttl", "ttl_days"}}
        return {**kept, "ttl": self.cleaned_data["ttl"]} if self.cleaned_data["ttl"] else kept

    def chosen_authority(self) -> UUID | None:
        """The CA chosen from the list."""
        chosen = self.cleaned_data["certificate_authority"]
        return UUID(chosen) if chosen else None

    def refuse(self, error: PortalError) -> None:
        """Put the violations of a refusal beside the fields that they speak of."""
        placed = place(error.violations, self._field_of)
        self.violations = placed.by_field
        self.refusal = refusal_of(error, placed, title="Not saved.")

    def _choice(self, name: str) -> forms.ChoiceField:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - for the type checker: declared above
        return field

    def _field_of(self, path: str) -> str | None:
        last = path.split("/")[-1]
        known = {
            "certificate_authority_id": "certificate_authority",
            "ca_id": "certificate_authority",
            "template_id": "template",
            "certificate_template_id": "template",
            "ttl_days": "ttl",
        }
        name = known.get(last, last)
        return name if name in self.fields else None


def _as_choices(rows: Iterable[tuple[UUID, str]]) -> list[tuple[str, str]]:
    return [(str(key), name) for key, name in rows]


def _stored(profile: CertificateProfile) -> dict[str, Any]:
    ttl = profile.defaults.get("ttl") or (
        f"{profile.defaults['ttl_days']}d" if profile.defaults.get("ttl_days") else ""
    )
    settings: ApiEnrollment | None = getattr(profile, "api_enrollment", None)
    return {
        "slug": profile.slug,
        "description": profile.description,
        "ttl": ttl,
        "auto_renew": bool(settings and settings.auto_renew),
        "renew_before_days": settings.renew_before_days if settings else None,
    }
