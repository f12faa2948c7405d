"""The form of a profile that enrolls by page and API."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from django import forms
from django.http import QueryDict

from pki_portal.access.models import Project
from pki_portal.access.web.refusals import Refusal, place, refusal_of
from pki_portal.errors import PortalError, Violation
from profiles.models import ApiEnrollment, CertificateProfile
from profiles.policy.documents import LONGEST_TEXT
from profiles.policy.vocabulary import (
    ExtendedKeyUsage,
    IssuerType,
    KeyAlgorithm,
    KeyRetention,
    KeyUsage,
    SignatureAlgorithm,
    SubjectAttribute,
)
from profiles.services import ApiSettings

USUAL_RENEWAL_DAYS = 7


@dataclass(frozen=True, slots=True)
class Option:
    """One usage to tick."""

    value: str
    is_ticked: bool


def _algorithm(label: str, members: type[StrEnum]) -> forms.ChoiceField:
    choices = [("", "The template's first that fits"), *((member.value, member.value) for member in members)]
    return forms.ChoiceField(label=label, choices=choices, required=False)


class ProfileForm(forms.Form):
    """Name, issuer, template, renewal, keys and defaults. A stored profile has a form of its own for moving."""

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

    key_retention = forms.ChoiceField(
        label="Private keys",
        choices=[
            (KeyRetention.ONCE.value, "Given once, not kept"),
            (KeyRetention.ESCROW.value, "Kept, encrypted, for those who may read private keys"),
        ],
        required=False,
        help_text="Of keys that the portal makes from now on. Keys that are kept already stay readable until each is"
        " destroyed, on its certificate's page or by the API.",
    )
    requires_approval = forms.BooleanField(
        label="Requests wait for approval",
        required=False,
        help_text="Somebody else must agree to each: whom the approval policies for this profile name, else one admin"
        " or operator. Renewals that ask for nothing new are judged by the rules alone.",
    )
    default_key_algorithm = _algorithm("Key algorithm", KeyAlgorithm)
    default_signature_algorithm = _algorithm("Signature algorithm", SignatureAlgorithm)

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
        self.violations: dict[str, list[Violation]] = {name: [] for name in _USAGES}
        self._sent = data
        self._stored = profile.defaults if profile else {}
        for attribute in SubjectAttribute:
            self.fields[_field_name(attribute)] = forms.CharField(
                label=_LABELS[attribute],
                required=False,
                max_length=LONGEST_TEXT,
                initial=self._stored.get(attribute.value, ""),
            )
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

    @property
    def subject_fields(self) -> list[forms.BoundField]:
        """The subject attributes that can be filled in, the common name first."""
        ordered = sorted(SubjectAttribute, key=lambda attribute: attribute is not SubjectAttribute.COMMON_NAME)
        return [self[_field_name(attribute)] for attribute in ordered]

    @property
    def key_usage_options(self) -> list[Option]:
        return self._options("key_usages", KeyUsage)

    @property
    def extended_key_usage_options(self) -> list[Option]:
        return self._options("extended_key_usages", ExtendedKeyUsage)

    def defaults(self) -> dict[str, object]:
        """The defaults as the form spells them; what it cannot show (usages by OID, an empty list) stays."""
        typed = self.cleaned_data
        said: dict[str, object] = {attribute.value: typed[_field_name(attribute)] for attribute in SubjectAttribute}
        said |= {name: typed[f"default_{name}"] for name in ("key_algorithm", "signature_algorithm")}
        said["ttl"] = typed["ttl"]
        for name, options in (
            ("key_usages", self.key_usage_options),
            ("extended_key_usages", self.extended_key_usage_options),
        ):
            stored = self._stored.get(name)
            shown = {option.value for option in options}
            usages = [option.value for option in options if option.is_ticked]
            usages += [usage for usage in stored or () if usage not in shown]
            said[name] = usages or ([] if stored == [] else None)
        return {name: value for name, value in said.items() if value not in ("", None)}

    def chosen_retention(self) -> str:
        """What was chosen, else what was so far."""
        return str(self.cleaned_data["key_retention"] or self.initial.get("key_retention", KeyRetention.ONCE))

    def chosen_authority(self) -> UUID | None:
        """The CA chosen from the list."""
        chosen = self.cleaned_data["certificate_authority"]
        return UUID(chosen) if chosen else None

    def refuse(self, error: PortalError) -> None:
        """Put the violations of a refusal beside the fields that they speak of."""
        placed = place(error.violations, self._field_of)
        self.violations |= placed.by_field
        self.refusal = refusal_of(error, placed, title="Not saved.")

    def _choice(self, name: str) -> forms.ChoiceField:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - for the type checker: declared above
        return field

    def _field_of(self, path: str) -> str | None:
        last = path.split("/")[-1]
        if path.startswith("defaults/"):
            return self._default_field_of(path.split("/")[1])
        known = {
            "certificate_authority_id": "certificate_authority",
            "ca_id": "certificate_authority",
            "template_id": "template",
            "certificate_template_id": "template",
        }
        name = known.get(last, last)
        return name if name in self.fields else None

    def _default_field_of(self, name: str) -> str | None:
        if name in _USAGES:
            return name
        name = "ttl" if name in {"ttl", "ttl_days"} else f"default_{name}"
        return name if name in self.fields else None

    def _options(self, name: str, members: type[StrEnum]) -> list[Option]:
        ticked = set(self._stored.get(name) or ()) if self._sent is None else set(self._sent.getlist(f"default_{name}"))
        return [Option(member.value, member.value in ticked) for member in members]


_USAGES = ("key_usages", "extended_key_usages")
_LABELS = {attribute: attribute.value.replace("_", " ").capitalize() for attribute in SubjectAttribute}


def _field_name(attribute: SubjectAttribute) -> str:
    return f"default_{attribute.value}"


def _as_choices(rows: Iterable[tuple[UUID, str]]) -> list[tuple[str, str]]:
    return [(str(key), name) for key, name in rows]


def _stored(profile: CertificateProfile) -> dict[str, Any]:
    ttl = profile.defaults.get("ttl") or (
        f"{profile.defaults['ttl_days']}d" if profile.defaults.get("ttl_days") else ""
    )
    defaults = profile.profile_defaults()
    settings: ApiEnrollment | None = getattr(profile, "api_enrollment", None)
    return {
        "slug": profile.slug,
        "description": profile.description,
        "ttl": ttl,
        "key_retention": profile.key_retention,
        "requires_approval": profile.requires_approval,
        "default_key_algorithm": defaults.key_algorithm or "",
        "default_signature_algorithm": defaults.signature_algorithm or "",
        "auto_renew": bool(settings and settings.auto_renew),
        "renew_before_days": settings.renew_before_days if settings else None,
    }
