"""The Issue form: shows what a profile's template speaks of, and reads the answer into an ``IssuanceRequest``.

It judges nothing: what is allowed is asked of the service, and its violations are put beside their fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.http import QueryDict

from certificates.services.requests import read_applicant_csr
from pki_portal.access.requester import Requester
from pki_portal.access.templatetags.portal import words
from pki_portal.access.web.refusals import Refusal, place, refusal_of
from pki_portal.errors import PortalError, Violation
from profiles.models import CertificateProfile
from profiles.policy.request import AttributeValue, BasicConstraints, GeneralName, IssuanceRequest
from profiles.policy.rules import ProfileDefaults, TemplateRules, UsageRule
from profiles.policy.validity import parse_ttl
from profiles.policy.vocabulary import (
    BasicConstraintsState,
    ExtendedKeyUsage,
    KeyAlgorithm,
    KeyUsage,
    NameType,
    SignatureAlgorithm,
    SubjectAttribute,
)

USUAL_LIFE = timedelta(days=90)
BY_FIELDS, BY_CSR = "fields", "csr"
LABELS: Mapping[SubjectAttribute, str] = {
    SubjectAttribute.COMMON_NAME: "Common name",
    SubjectAttribute.ORGANIZATION: "Organization",
    SubjectAttribute.ORGANIZATIONAL_UNIT: "Organizational unit",
    SubjectAttribute.COUNTRY: "Country",
    SubjectAttribute.STATE: "State or province",
    SubjectAttribute.LOCALITY: "Locality",
    SubjectAttribute.DOMAIN_COMPONENT: "Domain components",
    SubjectAttribute.SERIAL_NUMBER: "Serial number (subject)",
    SubjectAttribute.EMAIL: "Email address (subject)",
}
VALIDITY_FIELDS = {"ttl", "validity", "not_before", "not_after", "attributes"}


@dataclass(slots=True)
class NameRow:
    """One line of the alternative names: as typed, and what it was refused for."""

    type: str
    value: str
    violations: list[Violation] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class UsageOption:
    """One usage to tick; a locked one is required and so always on."""

    value: str
    is_ticked: bool
    is_locked: bool


@dataclass(frozen=True, slots=True)
class UsageGroup:
    """Key usages or extended key usages."""

    name: str
    legend: str
    options: tuple[UsageOption, ...]
    violations: tuple[Violation, ...]


class IssueForm(forms.Form):
    """What one profile's template lets an applicant say. ``profile`` comes with its template loaded."""

    subject_order: ClassVar[tuple[SubjectAttribute, ...]] = tuple(LABELS)

    token = forms.CharField(max_length=64, widget=forms.HiddenInput)
    method = forms.ChoiceField(
        choices=[(BY_FIELDS, "Fill in fields"), (BY_CSR, "Paste a CSR")], initial=BY_FIELDS, required=False
    )
    csr = forms.CharField(
        label="Certificate signing request",
        required=False,
        strip=False,
        widget=forms.Textarea(
            attrs={"rows": 8, "spellcheck": "false", "placeholder": "-----BEGIN CERTIFICATE REQUEST-----"}
        ),
        help_text="The key stays with you: the portal never sees it. PEM, or drop a file below.",
    )
    ttl = forms.CharField(
        label="Valid for",
        required=False,
        max_length=64,
        help_text="A number and a unit: 12h, 30d, 90d, 1y.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "list": "lives"}),
    )

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        profile: CertificateProfile,
        token: str,
        typed: QueryDict | None = None,
    ) -> None:
        """``data`` is a sent form; ``typed`` what was typed so far when another profile is chosen."""
        self.profile = profile
        self.rules: TemplateRules = profile.template.rules()
        self.defaults: ProfileDefaults = profile.profile_defaults()
        source = data if data is not None else typed if typed is not None else QueryDict()
        kept = {name: source[name] for name in source if name not in {"token", "ttl", "profile"} and source[name]}
        super().__init__(data, initial={"ttl": life_text(self._usual_life()), **kept, "token": token})
        self.refusal: Refusal | None = None
        self.violations: dict[str, list[Violation]] = {}
        self._sent = source
        self._row_of_name: list[int] = []
        self._add_subject_fields()
        self._add_algorithm_fields()
        self._add_basic_constraints()
        self.name_rows = self._read_name_rows()

    # ------------------------------------------------------------------ what is shown

    @property
    def is_self_signed(self) -> bool:
        """Whether no CA signs: then there is no CSR to sign either."""
        return self.profile.certificate_authority_id is None

    @property
    def subject_fields(self) -> list[forms.BoundField]:
        """The subject's attributes beyond the common name."""
        return [self[name.value] for name in self.subject_order[1:] if name.value in self.fields]

    @property
    def algorithm_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("key_algorithm", "signature_algorithm") if name in self.fields]

    @property
    def common_name(self) -> forms.BoundField | None:
        return self["common_name"] if "common_name" in self.fields else None

    @property
    def common_name_as_dns(self) -> forms.BoundField | None:
        return self["common_name_as_dns"] if "common_name_as_dns" in self.fields else None

    @property
    def is_ca(self) -> forms.BoundField | None:
        return self["is_ca"] if "is_ca" in self.fields else None

    @property
    def name_types(self) -> list[NameType]:
        """The kinds of alternative name that the template speaks of, the usual ones first."""
        usual = (NameType.DNS_NAME, NameType.IP_ADDRESS, NameType.EMAIL, NameType.URI, NameType.UPN)
        return [name for name in usual if name in self.rules.subject_alternative_names]

    @property
    def name_violations(self) -> list[Violation]:
        """What is wrong with the alternative names as a whole (a required one that is missing)."""
        return self.violations.get("subject_alternative_names", [])

    @property
    def has_trouble_in_details(self) -> bool:
        """Whether something inside the folded part was refused, so that it must stand open."""
        folded = {*(name.value for name in self.subject_order[1:]), "key_algorithm", "signature_algorithm"}
        return bool((folded | {"key_usages", "extended_key_usages", "is_ca", "path_length"}) & self.violations.keys())

    @property
    def usage_groups(self) -> list[UsageGroup]:
        """Usages to tick: the template's required ones locked, its allowed ones free, denied ones not shown."""
        groups = [
            self._usage_group("key_usages", "Key usages", self.rules.key_usages, self.defaults.key_usages),
            self._usage_group(
                "extended_key_usages",
                "Extended key usages",
                self.rules.extended_key_usages,
                self.defaults.extended_key_usages,
            ),
        ]
        return [group for group in groups if group.options]

    # ------------------------------------------------------------------ what was asked

    def asked(self, requester: Requester) -> IssuanceRequest:
        """The request that the form spells.

        Raises:
            PermissionDenied: there is a CSR, and the requester may not have it signed.
            Malformed, Invalid: the CSR cannot be read, or its self-signature does not hold.
        """
        if self.cleaned_data["method"] == BY_CSR:
            said = read_applicant_csr(profile=self.profile, requester=requester, csr=self.cleaned_data["csr"])
            return replace(said, ttl=self.cleaned_data["ttl"])
        return IssuanceRequest(
            subject=tuple(
                AttributeValue(attribute, value)
                for attribute in SubjectAttribute
                for value in self._asked_values(attribute)
            ),
            subject_alternative_names=self._asked_names(),
            key_usages=self._asked_usages("key_usages", KeyUsage),
            extended_key_usages=self._asked_usages("extended_key_usages", ExtendedKeyUsage),
            key_algorithm=_member(KeyAlgorithm, self.cleaned_data.get("key_algorithm")),
            signature_algorithm=_member(SignatureAlgorithm, self.cleaned_data.get("signature_algorithm")),
            ttl=self.cleaned_data["ttl"],
            basic_constraints=(
                BasicConstraints(is_ca=True, path_length=self.cleaned_data.get("path_length"))
                if self.cleaned_data.get("is_ca")
                else None
            ),
        )

    def _asked_values(self, attribute: SubjectAttribute) -> list[str]:
        text = self.cleaned_data.get(attribute.value) or ""
        if attribute is SubjectAttribute.DOMAIN_COMPONENT:
            return [part for part in (part.strip() for part in text.split(",")) if part]
        return [text] if text else []

    def clean_method(self) -> str:
        return str(self.cleaned_data["method"] or BY_FIELDS)

    def clean_ttl(self) -> timedelta | None:
        text = self.cleaned_data["ttl"]
        if not text:
            return None
        try:
            return parse_ttl(text)
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error

    def refuse(self, error: PortalError) -> None:
        """Put the violations of a refusal beside the fields that they speak of."""
        placed = place(error.violations, self._field_of)
        for name, violations in placed.by_field.items():
            if name.startswith("row:"):
                self.name_rows[int(name.removeprefix("row:"))].violations.extend(violations)
            else:
                self.violations[name] = violations
        self.refusal = refusal_of(error, placed, title="Not issued. Nothing was signed.")
        if "PRIVATE KEY" in self.data.get("csr", ""):
            # A key pasted by mistake is not sent back into a page.
            self._change_sent("csr", "")

    def renew_token(self, token: str) -> None:
        """Let the form, whose token another certificate has used, be sent once more."""
        self._change_sent("token", token)
        self.refusal = Refusal(
            title="This form has issued a certificate already.",
            text="What stands here now was changed after that. Press Issue again to make another certificate.",
        )

    # ------------------------------------------------------------------ parts

    def _change_sent(self, name: str, value: str) -> None:
        sent = self._sent.copy()
        sent[name] = value
        self.data = self._sent = sent

    def _usual_life(self) -> timedelta:
        if self.defaults.ttl is not None:
            return self.defaults.ttl
        return min(USUAL_LIFE, self.rules.max_validity or USUAL_LIFE)

    def _add_subject_fields(self) -> None:
        for attribute in self.subject_order:
            rule = self.rules.subject.get(attribute)
            if rule is None:
                continue
            default = ", ".join(value.value for value in self.defaults.subject if value.type == attribute)
            patterns = [pattern for pattern in (*rule.required, *rule.allowed) if pattern != "*"]
            widget = forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"})
            if attribute is SubjectAttribute.COMMON_NAME:
                widget.attrs["autofocus"] = True
            self.fields[attribute.value] = forms.CharField(
                label=LABELS[attribute],
                required=False,
                initial=default,
                help_text=_help(attribute, patterns),
                widget=widget,
            )
        names = self.rules.subject_alternative_names
        if SubjectAttribute.COMMON_NAME in self.rules.subject and NameType.DNS_NAME in names:
            self.fields["common_name_as_dns"] = forms.BooleanField(
                label="Also as DNS name",
                required=False,
                initial=True,
                help_text="Browsers and most programs look at the DNS names only.",
            )

    def _add_algorithm_fields(self) -> None:
        choices: list[tuple[str, str, tuple[Any, ...] | None]] = [
            ("key_algorithm", "Key algorithm", self.rules.key_algorithms),
            ("signature_algorithm", "Signature algorithm", self.rules.signature_algorithms),
        ]
        for name, label, offered in choices:
            if offered:
                self.fields[name] = forms.ChoiceField(
                    label=label,
                    required=False,
                    choices=[("", "Default"), *((member.value, words(member.value)) for member in offered)],
                )

    def _add_basic_constraints(self) -> None:
        state = self.rules.basic_constraints.state
        if state is BasicConstraintsState.DENIED:
            return
        self.fields["is_ca"] = forms.BooleanField(
            label="The certificate is for a CA",
            required=False,
            initial=state is BasicConstraintsState.REQUIRED,
            help_text="Whoever holds its key can issue certificates.",
        )
        self.fields["path_length"] = forms.IntegerField(label="Path length", required=False, min_value=0, max_value=255)

    def _read_name_rows(self) -> list[NameRow]:
        types, values = self._sent.getlist("san_type"), self._sent.getlist("san_value")
        offered = {name.value for name in self.name_types}
        rows = [
            NameRow(name_type, value.strip())
            for name_type, value in zip(types, values, strict=False)
            if value.strip() and name_type in offered
        ]
        return rows or [NameRow(name_type.value, "") for name_type in self.name_types[:1]]

    def _asked_names(self) -> tuple[GeneralName, ...]:
        names: list[GeneralName] = []
        self._row_of_name = []
        common_name = self.cleaned_data.get("common_name")
        typed = {row.value for row in self.name_rows if row.type == NameType.DNS_NAME}
        if common_name and self.cleaned_data.get("common_name_as_dns") and common_name not in typed:
            names.append(GeneralName(NameType.DNS_NAME, common_name))
            self._row_of_name.append(-1)
        for position, row in enumerate(self.name_rows):
            if row.value:
                names.append(GeneralName(NameType(row.type), row.value))
                self._row_of_name.append(position)
        return tuple(names)

    def _usage_group(
        self, name: str, legend: str, rule: UsageRule[Any] | None, defaults: tuple[Any, ...] | None
    ) -> UsageGroup:
        if rule is None:
            return UsageGroup(name, legend, (), ())
        ticked = set(self._sent.getlist(name)) if "token" in self._sent else {str(usage) for usage in defaults or ()}
        named = KeyUsage if name == "key_usages" else ExtendedKeyUsage
        offered = [usage for usage in _each(named, rule) if usage not in rule.denied]
        options = tuple(
            UsageOption(str(usage), usage in rule.required or str(usage) in ticked, usage in rule.required)
            for usage in offered
            if usage in rule.required or usage in rule.allowed
        )
        return UsageGroup(name, legend, options, tuple(self.violations.get(name, ())))

    def _asked_usages(self, name: str, members: type[KeyUsage] | type[ExtendedKeyUsage]) -> tuple[Any, ...] | None:
        """The ticked usages; None where they are as offered, for then they are fitted to the key."""
        rule: UsageRule[Any] | None = getattr(self.rules, name)
        if rule is None:
            return None
        defaults: tuple[Any, ...] | None = getattr(self.defaults, name)
        offered = {*rule.required, *(defaults or ())}
        known = {str(usage): usage for usage in _each(members, rule)}
        ticked = {known[value] for value in self._sent.getlist(name) if value in known} | set(rule.required)
        return None if ticked == offered else tuple(usage for usage in known.values() if usage in ticked)

    def _field_of(self, path: str) -> str | None:
        head, *rest = path.split("/")
        if head in VALIDITY_FIELDS:
            return "ttl"
        if self.data.get("method") == BY_CSR:
            return "csr"
        if head == "subject_alternative_names":
            return self._field_of_name(rest)
        name = rest[0] if head == "subject" and rest else {"basic_constraints": "is_ca"}.get(head, head)
        return name if name in self.fields or name in {"key_usages", "extended_key_usages"} else None

    def _field_of_name(self, rest: list[str]) -> str:
        if rest and rest[0].isdecimal() and int(rest[0]) < len(self._row_of_name):
            row = self._row_of_name[int(rest[0])]
            return "common_name_as_dns" if row < 0 else f"row:{row}"
        return "subject_alternative_names"


def _each(named: type[KeyUsage] | type[ExtendedKeyUsage], rule: UsageRule[Any]) -> list[Any]:
    """The usages with a name, then those that the template tells by OID."""
    others = (usage for usage in (*rule.required, *rule.allowed) if usage not in set(named))
    return [*named, *dict.fromkeys(others)]


def _help(attribute: SubjectAttribute, patterns: list[str]) -> str:
    parts = ["Top one first, with commas: com, acme."] if attribute is SubjectAttribute.DOMAIN_COMPONENT else []
    return " ".join([*parts, f"Allowed: {', '.join(patterns)}"] if patterns else parts)


def _member(members: type[Any], value: str | None) -> Any:
    return members(value) if value else None


def life_text(life: timedelta) -> str:
    """A duration in its largest whole unit, as the form reads it back."""
    seconds = int(life.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
