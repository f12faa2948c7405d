"""Forms of what is changed beside a profile's own form: where it stands, and its waivers."""

from uuid import UUID

from django import forms
from django.http import QueryDict

from pki_portal.access.models import Project
from pki_portal.access.web.refusals import Refusal, place, refusal_of
from pki_portal.errors import PortalError, Violation
from profiles.models import CertificateProfile
from profiles.policy.vocabulary import IssuerType
from profiles.policy.waivers import LONGEST_REASON, waivers_as_json
from profiles.services import MoveTo


class PartForm(forms.Form):
    """A form that shows a service's refusal beside its fields."""

    def __init__(self, data: QueryDict | None = None) -> None:
        super().__init__(data)
        self.refusal: Refusal | None = None
        self.violations: dict[str, list[Violation]] = {}

    def refuse(self, error: PortalError) -> None:
        """Put the violations of a refusal beside the fields that they speak of."""
        placed = place(error.violations, self.field_of)
        self.violations = placed.by_field
        self.refusal = refusal_of(error, placed, title="Not saved.")

    def field_of(self, path: str) -> str | None:
        """The form's field for the path of a violation."""
        last = path.split("/")[-1]
        return last if last in self.fields else None


class MoveForm(PartForm):
    """Another CA, another template, or both."""

    certificate_authority_id = forms.ChoiceField(label="Issuing CA", required=False)
    template_id = forms.ChoiceField(label="Template", required=False)

    def __init__(self, data: QueryDict | None = None, *, project: Project, profile: CertificateProfile) -> None:
        super().__init__(data)
        self._profile = profile
        authorities = project.certificate_authorities.order_by("name").values_list("pk", "name")
        templates = project.certificate_templates.order_by("name").values_list("pk", "name")
        for name, rows in (("certificate_authority_id", authorities), ("template_id", templates)):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)  # noqa: S101 - for the type checker: declared above
            field.choices = [(str(key), label) for key, label in rows]
            field.initial = str(getattr(profile, name) or "")
        if profile.issuer_type == IssuerType.SELF_SIGNED:
            del self.fields["certificate_authority_id"]

    def move_to(self) -> MoveTo:
        """What was chosen that is not so already."""
        return MoveTo(**{name: self._chosen(name) for name in self.fields})

    def _chosen(self, name: str) -> UUID | None:
        chosen = self.cleaned_data[name]
        return None if not chosen or chosen == str(getattr(self._profile, name)) else UUID(chosen)


class WaiverForm(PartForm):
    """One more waiver."""

    code = forms.CharField(
        label="Finding",
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"list": "lint-codes", "autocomplete": "off", "spellcheck": "false"}),
        help_text="Its id, as a refusal names it: pkix.invalid_uri_syntax.",
    )
    reason = forms.CharField(
        label="Reason",
        required=False,
        widget=forms.TextInput(attrs={"maxlength": LONGEST_REASON}),
        help_text="Why certificates of this profile may have it. It is kept with each certificate that does.",
    )
    expires_at = forms.DateField(
        label="Until",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="From the start of that day (UTC) the waiver no longer counts. Empty: it does not end.",
    )

    def added_to(self, profile: CertificateProfile) -> list[dict[str, str | None]]:
        """The profile's waivers with this one at their end."""
        day = self.cleaned_data["expires_at"]
        new = {
            "code": self.cleaned_data["code"],
            "reason": self.cleaned_data["reason"],
            "expires_at": f"{day:%Y-%m-%d}T00:00:00Z" if day else None,
        }
        return [*waivers_as_json(profile.waivers()), new]


def waivers_without(profile: CertificateProfile, code: str) -> list[dict[str, str | None]]:
    """The profile's waivers but for one."""
    return waivers_as_json(waiver for waiver in profile.waivers() if waiver.code != code)
