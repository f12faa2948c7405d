"""The form of an approval policy."""

from dataclasses import dataclass, fields, replace
from typing import Any
from uuid import UUID

from django import forms
from django.http import QueryDict

from certificates.models import ApprovalPolicy
from certificates.models.approval import POLICY_NAME_MAX_LENGTH
from certificates.services.approvals.policies import APPROVER_ROLES, STEPS_LIMIT, PolicyDocument, document_of
from certificates.services.approvals.steps import Approver, ApproverKind, Step
from pki_portal.access.models import Project, User
from pki_portal.access.web.refusals import Refusal, place, refusal_of
from pki_portal.errors import PortalError, Violation

# Lines for steps that a new policy has; a stored one has one more than its steps.
NEW_STEPS = 2


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step as it was typed: names of approvers as ``role:operator`` or ``user:7``."""

    number: int
    name: str
    required: str
    chosen: frozenset[str]
    is_notified: bool = False
    violations: tuple[Violation, ...] = ()

    @property
    def owner(self) -> str:
        """What its violations are told beside."""
        return f"step-{self.number}"


class ApprovalPolicyForm(forms.Form):
    """Name, profiles, waiting time; the steps stand in rows beside the fields."""

    name = forms.CharField(label="Name", required=False, max_length=POLICY_NAME_MAX_LENGTH)
    is_for_all_profiles = forms.BooleanField(
        label="For every profile",
        required=False,
        initial=True,
        help_text="Those to come too. Otherwise for the profiles chosen below, under whatever name they have later.",
    )
    profiles = forms.MultipleChoiceField(
        label="Profiles", required=False, help_text="Counts where the policy is not for every profile."
    )
    max_request_ttl = forms.CharField(
        label="Requests wait",
        required=False,
        max_length=32,
        help_text="1h to 30d, then they expire. Empty: 30d.",
    )
    bypass_for_machine_identities = forms.BooleanField(
        label="Machine identities need no approval", required=False, help_text="Their requests are issued at once."
    )

    def __init__(
        self, data: QueryDict | None = None, *, project: Project, policy: ApprovalPolicy | None = None
    ) -> None:
        document = document_of(policy) if policy else None
        super().__init__(data, initial=_stored(document) if document else None)
        choices: Any = self.fields["profiles"]
        choices.choices = [
            (str(key), slug) for key, slug in project.certificate_profiles.order_by("slug").values_list("pk", "slug")
        ]
        choices.widget.attrs["size"] = min(8, max(3, len(choices.choices)))
        members = User.objects.filter(memberships__project=project, is_active=True).order_by("username")
        self.approvers = [(f"role:{role.value}", f"Everyone with role {role.value}") for role in APPROVER_ROLES]
        self.approvers += [(f"user:{key}", name) for key, name in members.values_list("pk", "username")]
        known = {value for value, _ in self.approvers}
        named = [each for step in document.steps for each in step.approvers] if document else []
        self.approvers += [
            (_value_of(each), f"{each} (no member any more)") for each in named if _value_of(each) not in known
        ]
        self.refusal: Refusal | None = None
        self.violations: dict[str, list[Violation]] = {}
        self.step_rows = _sent(data) if data is not None else _rows_of(document)
        self._numbers = [row.number for row in self.step_rows if row.chosen]

    def document(self) -> PolicyDocument:
        """What was typed, for the service to judge; steps without approvers are none."""
        typed = self.cleaned_data
        return PolicyDocument(
            name=typed["name"],
            steps=tuple(_step_in(row) for row in self.step_rows if row.chosen),
            profile_ids=None if typed["is_for_all_profiles"] else tuple(map(UUID, typed["profiles"])),
            bypass_for_machine_identities=typed["bypass_for_machine_identities"],
            max_request_ttl=typed["max_request_ttl"],
        )

    def changes(self) -> dict[str, Any]:
        """What was typed, as changes of the stored policy: all of it."""
        document = self.document()
        return {each.name: getattr(document, each.name) for each in fields(document)}

    def refuse(self, error: PortalError) -> None:
        """Put the violations of a refusal beside the fields and steps that they speak of."""
        placed = place(error.violations, self._field_of)
        self.violations |= placed.by_field
        self.refusal = refusal_of(error, placed, title="Not saved.")
        self.step_rows = [replace(row, violations=tuple(self.violations.get(row.owner, ()))) for row in self.step_rows]

    def _field_of(self, path: str) -> str | None:
        head, *rest = path.split("/")
        if head == "steps" and rest:
            return f"step-{self._numbers[int(rest[0])]}"
        name = "profiles" if head == "conditions" else head
        return name if name in self.fields else None


def _value_of(approver: Approver) -> str:
    return f"{approver.kind.value}:{approver.id}"


def _step_in(row: StepRow) -> Step:
    approvers = [value.partition(":") for value in sorted(row.chosen)]
    return Step(
        approvers=tuple(Approver(ApproverKind(kind), identifier) for kind, _, identifier in approvers),
        # What is no number is none, which the service refuses.
        required_approvals=int(row.required) if row.required.isascii() and row.required.isdecimal() else 0,
        name=row.name,
        notify_approvers=row.is_notified,
    )


def _sent(sent: QueryDict) -> list[StepRow]:
    rows = []
    for number in range(STEPS_LIMIT):
        if f"step_{number}_required" in sent:
            chosen = frozenset(value for value in sent.getlist(f"step_{number}_approvers") if _is_approver(value))
            name, required = (sent.get(f"step_{number}_{each}", "").strip()[:1000] for each in ("name", "required"))
            rows.append(StepRow(number, name, required[:9], chosen, is_notified=f"step_{number}_notify" in sent))
    return rows


def _is_approver(value: str) -> bool:
    kind, _, identifier = value.partition(":")
    return kind == ApproverKind.ROLE or (
        kind == ApproverKind.USER and identifier.isascii() and identifier.isdecimal() and len(identifier) < 19
    )


def _rows_of(document: PolicyDocument | None) -> list[StepRow]:
    steps = document.steps if document else ()
    rows = [
        StepRow(
            number,
            step.name,
            str(step.required_approvals),
            frozenset(map(_value_of, step.approvers)),
            step.notify_approvers,
        )
        for number, step in enumerate(steps)
    ]
    lines = min(STEPS_LIMIT, max(NEW_STEPS, len(rows) + 1))
    return rows + [StepRow(number, "", "1", frozenset()) for number in range(len(rows), lines)]


def _stored(document: PolicyDocument) -> dict[str, Any]:
    return {
        "name": document.name,
        "is_for_all_profiles": document.profile_ids is None,
        "profiles": [str(each) for each in document.profile_ids or ()],
        "max_request_ttl": document.max_request_ttl,
        "bypass_for_machine_identities": document.bypass_for_machine_identities,
    }
