"""The form of a template: rows of patterns and choices, read into the document that the service judges."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, ClassVar

from django import forms
from django.http import QueryDict

from pki_portal.access.web.refusals import Refusal, place, refusal_of
from pki_portal.errors import PortalError, Violation
from profiles.models import CertificateTemplate
from profiles.models.template import RULES
from profiles.policy.errors import DuplicateRule, RuleError
from profiles.policy.rules import TemplateRules
from profiles.policy.vocabulary import (
    BasicConstraintsState,
    ExtendedKeyUsage,
    KeyAlgorithm,
    KeyUsage,
    SignatureAlgorithm,
)
from profiles.policy.words import in_words
from profiles.services import TemplateDocument

_UNREADABLE = ("The form cannot be read as it stands.",)
VERDICTS = ("allowed", "required", "denied")
MAX_COUNT = "max_count"
_COUNT = re.compile(r"[0-9]{1,6}")
PARTS = ("subject", "sans", "key_usages", "extended_key_usages", "key_algorithms", "signature_algorithms")


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One pattern for one kind of value, or how many of the kind there may be."""

    type: str
    verdict: str
    pattern: str


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One usage and what the template says of it; empty where it says nothing."""

    value: str
    verdict: str


@dataclass(frozen=True, slots=True)
class AlgorithmOption:
    """One algorithm to tick."""

    value: str
    is_ticked: bool


class TemplateForm(forms.Form):
    """A template's name, rules and limits. What no rule says is refused, so an empty part refuses everything."""

    subject_types: ClassVar[tuple[str, ...]] = (
        "common_name",
        "organization",
        "organizational_unit",
        "country",
        "state",
        "locality",
        "domain_component",
        "serial_number",
        "email",
    )
    name_types: ClassVar[tuple[str, ...]] = ("dns_name", "ip_address", "email", "uri", "upn")
    verdicts: ClassVar[tuple[tuple[str, str], ...]] = (
        ("allowed", "Allow"),
        ("required", "Require"),
        ("denied", "Deny"),
    )
    # What a row of patterns may be besides: how many values there may be.
    row_verdicts: ClassVar[tuple[tuple[str, str], ...]] = (*verdicts, (MAX_COUNT, "At most"))
    usage_verdicts: ClassVar[tuple[tuple[str, str], ...]] = (("", "—"), *verdicts)

    name = forms.CharField(
        label="Name", required=False, max_length=255, help_text="Lower-case letters, digits and hyphens."
    )
    description = forms.CharField(label="Description", required=False, max_length=1000)
    validity_max = forms.CharField(
        label="Longest validity",
        required=False,
        max_length=32,
        help_text="A number and a unit: 90d, 12m (months of 30 days), 1y. Empty: only the CA's own end limits it.",
    )
    validity_min = forms.CharField(
        label="Shortest validity", required=False, max_length=32, help_text="Written like the longest. Empty: none."
    )
    is_ca = forms.ChoiceField(
        label="Certificates for CAs",
        required=False,
        choices=[
            (BasicConstraintsState.DENIED.value, "Never"),
            (BasicConstraintsState.ALLOWED.value, "Allowed"),
            (BasicConstraintsState.REQUIRED.value, "Always"),
        ],
    )
    max_path_length = forms.IntegerField(
        label="Longest path",
        required=False,
        min_value=0,
        max_value=255,
        help_text="CAs below such a certificate. Empty: no limit.",
    )

    def __init__(self, data: QueryDict | None = None, *, document: Mapping[str, Any] | None = None) -> None:
        """``document`` is what the form starts from (inside spelling): a stored template or a preset."""
        document = document or {}
        constraints = document.get("basic_constraints") or {}
        longest = constraints.get("max_path_length")
        super().__init__(
            data,
            initial={
                "name": document.get("name", ""),
                "description": document.get("description", ""),
                "validity_max": (document.get("validity") or {}).get("max", "") if document else "365d",
                "validity_min": (document.get("validity") or {}).get("min", ""),
                "is_ca": constraints.get("is_ca", BasicConstraintsState.DENIED.value),
                "max_path_length": None if longest == -1 else longest,
            },
        )
        self.refusal: Refusal | None = None
        self.violations: dict[str, list[Violation]] = {part: [] for part in PARTS}
        self._sent = data
        self._document = document

    # ------------------------------------------------------------------ what is shown

    @property
    def subject_rows(self) -> list[RuleRow]:
        return self._rows("subject")

    @property
    def name_rows(self) -> list[RuleRow]:
        return self._rows("sans")

    @property
    def key_usage_rows(self) -> list[UsageRow]:
        return self._usage_rows("key_usages", KeyUsage)

    @property
    def extended_key_usage_rows(self) -> list[UsageRow]:
        return self._usage_rows("extended_key_usages", ExtendedKeyUsage)

    @property
    def all_purpose_rows(self) -> list[UsageRow]:
        """Extended key usages by name and by OID."""
        return [*self.extended_key_usage_rows, *self.purpose_rows]

    @property
    def purpose_rows(self) -> list[UsageRow]:
        """Extended key usages by OID."""
        if self._sent is not None:
            sent = (self._sent.getlist(f"extended_key_usage_oid{column}") for column in ("", "_verdict"))
            rows = [UsageRow(*map(str.strip, row)) for row in zip(*sent, strict=False)]
            return [
                UsageRow(row.value, row.verdict if row.verdict in VERDICTS else "allowed") for row in rows if row.value
            ]
        stored = self._document.get("extended_key_usages") or {}
        named = set(ExtendedKeyUsage)
        return [
            UsageRow(str(value), verdict)
            for verdict in VERDICTS
            for value in stored.get(verdict) or ()
            if value not in named
        ]

    @property
    def key_algorithm_options(self) -> list[AlgorithmOption]:
        return self._algorithm_options("key_algorithms", "key_algorithm", KeyAlgorithm)

    @property
    def signature_algorithm_options(self) -> list[AlgorithmOption]:
        return self._algorithm_options("signature_algorithms", "signature", SignatureAlgorithm)

    # ------------------------------------------------------------------ what was sent

    def document(self) -> TemplateDocument:
        """The template that the form spells."""
        values = self.cleaned_data
        algorithms = {
            name: chosen
            for part, name, members in (
                ("key_algorithms", "key_algorithm", KeyAlgorithm),
                ("signature_algorithms", "signature", SignatureAlgorithm),
            )
            if (chosen := [option.value for option in self._algorithm_options(part, name, members) if option.is_ticked])
        }
        constraints: dict[str, object] = {"is_ca": values["is_ca"] or BasicConstraintsState.DENIED.value}
        if values["max_path_length"] is not None:
            constraints["max_path_length"] = values["max_path_length"]
        return TemplateDocument(
            name=values["name"],
            description=values["description"],
            subject=_grouped(self.subject_rows),
            sans=_grouped(self.name_rows),
            key_usages=_by_verdict(self.key_usage_rows),
            extended_key_usages=_by_verdict([*self.extended_key_usage_rows, *self.purpose_rows]),
            algorithms=algorithms or None,
            validity={bound: text for bound in ("min", "max") if (text := values[f"validity_{bound}"])} or None,
            basic_constraints=None if constraints["is_ca"] == BasicConstraintsState.DENIED else constraints,
        )

    @property
    def words(self) -> Sequence[str]:
        """The rules as sentences; what cannot be read is told instead."""
        rules = self._document
        if self._sent is not None:
            if not self.is_valid():
                return _UNREADABLE
            rules = asdict(self.document())
        try:
            return in_words(TemplateRules.from_json({rule: rules.get(rule) for rule in RULES}))
        except RuleError as refusal:
            return [f"{violation.asked}: {violation.allowed}." for violation in refusal.violations]
        except DuplicateRule as refusal:
            return [refusal.message]

    def refuse(self, error: PortalError) -> None:
        """Put the violations of a refusal beside the parts that they speak of."""
        placed = place(error.violations, self._field_of)
        self.violations |= placed.by_field
        self.refusal = refusal_of(error, placed, title="Not saved.")

    # ------------------------------------------------------------------ parts

    def _field_of(self, path: str) -> str | None:
        head, *rest = path.split("/")
        if head == "algorithms":
            return "signature_algorithms" if rest[:1] == ["signature"] else "key_algorithms"
        if head == "basic_constraints":
            return "max_path_length" if rest[:1] == ["max_path_length"] else "is_ca"
        if head == "validity":
            return "validity_min" if rest[:1] == ["min"] else "validity_max"
        name = head
        return name if name in self.fields or name in PARTS else None

    def _rows(self, part: str) -> list[RuleRow]:
        if self._sent is not None:
            lists = (self._sent.getlist(f"{part}_{column}") for column in ("type", "verdict", "pattern"))
            return [RuleRow(*map(str.strip, row)) for row in zip(*lists, strict=False) if row[2].strip()]
        return [
            RuleRow(str(entry["type"]), verdict, pattern)
            for entry in self._document.get(part) or ()
            for verdict, patterns in _lists_of(entry)
            for pattern in patterns
        ]

    def _usage_rows(self, part: str, members: type[StrEnum]) -> list[UsageRow]:
        if self._sent is not None:
            sent = {member.value: self._sent.get(f"{part}-{member.value}", "") for member in members}
            return [UsageRow(value, verdict if verdict in VERDICTS else "") for value, verdict in sent.items()]
        stored = self._document.get(part) or {}
        said = {str(value): verdict for verdict in VERDICTS for value in stored.get(verdict) or ()}
        return [UsageRow(member.value, said.get(member.value, "")) for member in members]

    def _algorithm_options(self, part: str, name: str, members: type[StrEnum]) -> list[AlgorithmOption]:
        ticked = (
            set(self._sent.getlist(part))
            if self._sent is not None
            else {str(value) for value in (self._document.get("algorithms") or {}).get(name) or ()}
        )
        return [AlgorithmOption(member.value, member.value in ticked) for member in members]


def document_of(template: CertificateTemplate) -> dict[str, Any]:
    """A stored template as the form starts from it; algorithms in the one inside spelling."""
    rules = template.rules()
    algorithms = {"key_algorithm": rules.key_algorithms or (), "signature": rules.signature_algorithms or ()}
    columns = ("name", "description", "subject", "sans", "key_usages", "extended_key_usages", "validity")
    return {
        **{column: getattr(template, column) for column in columns},
        "algorithms": algorithms,
        "basic_constraints": template.basic_constraints,
    }


def _grouped(rows: Iterable[RuleRow]) -> list[dict[str, object]]:
    """One entry for each kind of value, in the order in which the kinds first appear."""
    entries: dict[str, dict[str, Any]] = {}
    for row in rows:
        entry = entries.setdefault(row.type, {})
        if row.verdict == MAX_COUNT:
            entry[MAX_COUNT] = int(row.pattern) if _COUNT.fullmatch(row.pattern) else row.pattern
        else:
            entry.setdefault(row.verdict, []).append(row.pattern)
    return [{"type": kind, **lists} for kind, lists in entries.items()]


def _lists_of(entry: Mapping[str, Any]) -> Iterable[tuple[str, Iterable[str]]]:
    yield from ((verdict, entry.get(verdict) or ()) for verdict in VERDICTS)
    if entry.get(MAX_COUNT) is not None:
        yield MAX_COUNT, (str(entry[MAX_COUNT]),)


def _by_verdict(rows: Iterable[UsageRow]) -> dict[str, list[str]] | None:
    lists: dict[str, list[str]] = {}
    for row in rows:
        if row.verdict:
            lists.setdefault(row.verdict, []).append(row.value)
    return lists or None
