"""The form of a request: shows what rules speak of, and reads the answer into an ``IssuanceRequest``.

It judges nothing: what is allowed is asked of the service, and its violations are put beside their fields.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.http import QueryDict

from pki_portal.access.templatetags.portal import words
from pki_portal.access.web.refusals import PlacedViolations, Refusal, place, refusal_of
from pki_portal.errors import Change, PortalError, Violation
from profiles.policy.amend import ImpossibleChange, amended
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
# The parts of a request that the form can write a change into.
_WRITTEN = {
    "subject",
    "subject_alternative_names",
    "key_usages",
    "extended_key_usages",
    "key_algorithm",
    "signature_algorithm",
    "ttl",
    "basic_constraints",
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


class RequestForm(forms.Form):
    """What rules let an applicant say."""

    subject_order: ClassVar[tuple[SubjectAttribute, ...]] = tuple(LABELS)

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
        data: QueryDict | None,
        *,
        rules: TemplateRules,
        defaults: ProfileDefaults,
        is_self_signed: bool,
        initial: Mapping[str, Any],
        typed: QueryDict | None = None,
    ) -> None:
        """``data`` is a sent form; ``typed`` what stood there when a form that was not sent is shown again."""
        self.rules = rules
        self.defaults = defaults
        self.is_self_signed = is_self_signed
        self._sent = data if data is not None else typed if typed is not None else QueryDict()
        super().__init__(data, initial={"ttl": life_text(usual_life(rules, defaults)), **initial})
        self.refusal: Refusal | None = None
        self.violations: dict[str, list[Violation]] = {}
        self._row_of_name: list[int] = []
        self._add_subject_fields()
        self._add_algorithm_fields()
        self._add_basic_constraints()
        self.name_rows = self._read_name_rows()

    # ------------------------------------------------------------------ what is shown

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
        return self["for_ca"] if "for_ca" in self.fields else None

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
        return bool((folded | {"key_usages", "extended_key_usages", "for_ca"}) & self.violations.keys())

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

    def asked(self, read_csr: Callable[[str], IssuanceRequest]) -> IssuanceRequest:
        """The request that the form spells; a CSR is read by ``read_csr``, whose refusals pass."""
        if self.is_by_csr:
            return replace(read_csr(self.cleaned_data["csr"]), ttl=self.cleaned_data["ttl"])
        return self._asked_by_fields()

    def after(self, changes: Sequence[Change], *, refused: Collection[str] = ()) -> QueryDict:
        """What would be sent with the changes made; the form is cleaned, whether valid or not.

        ``refused`` holds the paths of the request that rules refuse as it stands. A DNS name that only repeats the
        common name, and is refused with it, follows it; any other stays as it is.

        Raises:
            ImpossibleChange: the changes do not fit the request, or the form has no place for what comes of them.
        """
        sent = self._sent.copy()
        for name, values in self._written(changes, refused).items():
            sent.setlist(name, values)
        return sent

    def takes(self, changes: Sequence[Change]) -> bool:
        """Whether :meth:`after` would make these changes."""
        try:
            self._written(changes, ())
        except ImpossibleChange:
            return False
        return True

    def _asked_by_fields(self) -> IssuanceRequest:
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
            ttl=self.cleaned_data.get("ttl"),
            basic_constraints=(
                BasicConstraints(is_ca=True, path_length=self.cleaned_data.get("path_length"))
                if self.cleaned_data.get("for_ca")
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

    def full_clean(self) -> None:
        """Judge the fields; whatever comes of it, a key pasted by mistake is not sent back into a page."""
        super().full_clean()
        if "PRIVATE KEY" in self.data.get("csr", ""):
            self._change_sent("csr", "")

    @property
    def is_by_csr(self) -> bool:
        """Whether a CSR says what is asked, but for the length of life."""
        return self.data.get("method") == BY_CSR

    def put(self, violations: Sequence[Violation]) -> PlacedViolations:
        """Put violations beside the fields that they speak of; those that none shows are returned as elsewhere."""
        placed = place([self.mendable(violation) for violation in violations], self._field_of)
        for name, found in placed.by_field.items():
            if name.startswith("row:"):
                self.name_rows[int(name.removeprefix("row:"))].violations.extend(found)
            else:
                self.violations[name] = found
        return placed

    def mendable(self, violation: Violation) -> Violation:
        """The violation, without the changes that this form cannot make."""
        if not violation.changes or self.takes(violation.changes):
            return violation
        return replace(violation, changes=())

    def refuse(self, error: PortalError) -> None:
        """Put the violations of a refusal beside the fields that they speak of."""
        placed = self.put(error.violations)
        self.refusal = refusal_of(error, placed, title="Not issued. Nothing was signed.")

    # ------------------------------------------------------------------ parts

    @property
    def _is_told(self) -> bool:
        """Whether what is ticked was ticked by somebody, and is not how a new form stands."""
        return self.is_bound

    def _change_sent(self, name: str, value: str) -> None:
        sent = self._sent.copy()
        sent[name] = value
        self.data = self._sent = sent

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
        self.fields["for_ca"] = forms.BooleanField(
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
        ticked = set(self._sent.getlist(name)) if self._is_told else {str(usage) for usage in defaults or ()}
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
        if self.is_by_csr:
            return "csr"
        if head == "subject_alternative_names":
            return self._field_of_name(rest)
        name = rest[0] if head == "subject" and rest else {"basic_constraints": "for_ca"}.get(head, head)
        return name if name in self.fields or name in {"key_usages", "extended_key_usages"} else None

    def _field_of_name(self, rest: list[str]) -> str:
        if rest and rest[0].isdecimal() and int(rest[0]) < len(self._row_of_name):
            row = self._row_of_name[int(rest[0])]
            return "common_name_as_dns" if row < 0 else f"row:{row}"
        return "subject_alternative_names"

    # ------------------------------------------------------------------ writing changes

    def _written(self, changes: Sequence[Change], refused: Collection[str]) -> dict[str, list[str]]:
        """What the controls hold after the changes, by name; of those alone that the changes touch."""
        touched = {change.field.partition("/")[0] for change in changes}
        if touched - ({"ttl"} if self.is_by_csr else _WRITTEN):
            raise ImpossibleChange("the form has no place for it")
        before = self._asked_by_fields()
        request = amended(before, changes)
        written: dict[str, list[str]] = {}
        if "ttl" in touched:
            written["ttl"] = [] if request.ttl is None else [life_text(request.ttl)]
        if "subject" in touched:
            written |= self._written_subject(request)
        if touched & {"subject", "subject_alternative_names"}:
            written |= self._written_names(before, request, refused)
        for name in touched & {"key_usages", "extended_key_usages"}:
            written[name] = self._written_usages(name, getattr(request, name))
        for name in touched & {"key_algorithm", "signature_algorithm"}:
            written[name] = self._written_algorithm(name, getattr(request, name))
        if "basic_constraints" in touched:
            written |= self._written_constraints(request.basic_constraints)
        return written

    def _written_subject(self, request: IssuanceRequest) -> dict[str, list[str]]:
        asked: dict[str, list[str]] = {}
        for each in request.subject:
            asked.setdefault(str(each.type), []).append(each.value)
        several = SubjectAttribute.DOMAIN_COMPONENT.value
        is_too_many = any(len(values) > 1 for kind, values in asked.items() if kind != several)
        if is_too_many or not asked.keys() <= self.fields.keys():
            raise ImpossibleChange("the form has no place for this subject")
        if several in asked:
            asked[several] = [", ".join(asked[several])]
        return {kind.value: asked.get(kind.value, []) for kind in self.subject_order if kind.value in self.fields}

    def _written_names(
        self, before: IssuanceRequest, request: IssuanceRequest, refused: Collection[str]
    ) -> dict[str, list[str]]:
        names = list(request.subject_alternative_names)
        if not {name.type for name in names} <= set(self.name_types):
            raise ImpossibleChange("the form has no place for this kind of name")
        written: dict[str, list[str]] = {}
        old, new = _common_name(before), _common_name(request)
        if old and self.cleaned_data.get("common_name_as_dns"):
            repeated = GeneralName(NameType.DNS_NAME, old)
            stands_by_tick = self._row_of_name[:1] == [-1] and repeated in names
            follows = new == old or (new and "subject_alternative_names/0" in refused)
            if stands_by_tick and follows:
                names.remove(repeated)
            elif new != old or repeated not in names:
                written["common_name_as_dns"] = []
        written["san_type"] = [str(name.type) for name in names]
        written["san_value"] = [name.value for name in names]
        return written

    def _written_usages(self, name: str, usages: tuple[Any, ...] | None) -> list[str]:
        rule: UsageRule[Any] = getattr(self.rules, name) or UsageRule()
        wanted = set(usages or ())
        offered = {*rule.required, *rule.allowed} - set(rule.denied)
        if not set(rule.required) <= wanted <= offered:
            raise ImpossibleChange("the form does not offer these usages")
        return [str(usage) for usage in usages or ()]

    def _written_algorithm(self, name: str, algorithm: Any) -> list[str]:
        if algorithm is None:
            return []
        if algorithm not in (getattr(self.rules, f"{name}s") or ()):
            raise ImpossibleChange("the form does not offer this algorithm")
        return [algorithm.value]

    def _written_constraints(self, constraints: BasicConstraints | None) -> dict[str, list[str]]:
        if constraints is None or not constraints.is_ca:
            return {"for_ca": [], "path_length": []}
        if "for_ca" not in self.fields:
            raise ImpossibleChange("the form asks for no CAs")
        length = constraints.path_length
        return {"for_ca": ["on"], "path_length": [] if length is None else [str(length)]}


def _common_name(request: IssuanceRequest) -> str:
    return next((each.value for each in request.subject if each.type == SubjectAttribute.COMMON_NAME), "")


def usual_life(rules: TemplateRules, defaults: ProfileDefaults) -> timedelta:
    """What stands in the field of a form that is new."""
    if defaults.ttl is not None:
        return defaults.ttl
    return min(USUAL_LIFE, rules.max_validity or USUAL_LIFE)


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
