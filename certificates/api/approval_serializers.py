"""Approval policies, and the requests that wait by them, on the wire."""
# ruff: noqa: N815 - the wire's spelling

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from certificates.models import ApprovalPolicy, ApprovalRequest
from certificates.models.approval import POLICY_NAME_MAX_LENGTH
from certificates.models.request import RequestStatus
from certificates.services.approvals.acts import COMMENT_LIMIT
from certificates.services.approvals.changes import changes_since
from certificates.services.approvals.policies import (
    APPROVERS_LIMIT,
    PROFILES_LIMIT,
    STEPS_LIMIT,
    TTL_MAX_LENGTH,
    document_of,
)
from certificates.services.approvals.standing import standing_of
from certificates.services.approvals.steps import Approver, ApproverKind, Step
from pki_portal.rest import (
    EnumField,
    StrictBooleanField,
    StrictCharField,
    StrictIntegerField,
    StrictListField,
    TimeField,
    WireSerializer,
)
from profiles.api.doors import document_on_the_wire
from profiles.policy.difference import differences

LONGEST_ID = 64


class ApprovalState(StrEnum):
    """What became of a request for approval."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


# The certificate request tells the rest: an approved one may have failed.
_STATES: Mapping[str, ApprovalState] = {
    RequestStatus.PENDING_APPROVAL: ApprovalState.PENDING,
    RequestStatus.PENDING: ApprovalState.APPROVED,
    RequestStatus.ISSUED: ApprovalState.APPROVED,
    RequestStatus.FAILED: ApprovalState.APPROVED,
    RequestStatus.REJECTED: ApprovalState.REJECTED,
    RequestStatus.CANCELLED: ApprovalState.CANCELLED,
    RequestStatus.EXPIRED: ApprovalState.EXPIRED,
}


class ApproverSerializer(WireSerializer):
    """One person, or everyone with a role in the project."""

    type = EnumField(ApproverKind)
    id = StrictCharField(
        max_length=LONGEST_ID, help_text="Of a user the `userId` of the membership; of a role its name."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A user's id is a number."""
        if attrs["type"] is ApproverKind.USER and not (attrs["id"].isascii() and attrs["id"].isdecimal()):
            raise serializers.ValidationError({"id": "Expected the userId of a membership"})
        if attrs["type"] is ApproverKind.USER and len(attrs["id"]) > 18:
            raise serializers.ValidationError({"id": "There is no such user"})
        return attrs


class StepSerializer(WireSerializer):
    """One step: so many different people of those who are named."""

    name = StrictCharField(required=False, allow_blank=True, allow_null=True, max_length=POLICY_NAME_MAX_LENGTH)
    approvers = StrictListField(child=ApproverSerializer(), min_length=1, max_length=APPROVERS_LIMIT)
    requiredApprovals = StrictIntegerField(required=False, default=1, min_value=1, max_value=100)
    notifyApprovers = StrictBooleanField(
        required=False,
        default=False,
        help_text="Whether approvers with an email address are told by mail when a request comes to wait for them.",
    )


class ConditionSerializer(WireSerializer):
    """Profiles by name; they stay bound under any later name."""

    profileNames = StrictListField(child=StrictCharField(max_length=255), min_length=1, max_length=PROFILES_LIMIT)


class ConstraintsSerializer(WireSerializer):
    """There are none for certificate requests."""


class PolicyChangesSerializer(WireSerializer):
    """What of a policy changes; `steps` and `conditions` replace the lists that it has."""

    name = StrictCharField(required=False, max_length=POLICY_NAME_MAX_LENGTH)
    maxRequestTtl = StrictCharField(
        required=False,
        allow_null=True,
        allow_blank=True,
        max_length=TTL_MAX_LENGTH,
        help_text="How long a request waits before it expires: 1h to 30d, 30d unless it is given.",
    )
    conditions = StrictListField(
        child=ConditionSerializer(),
        required=False,
        max_length=PROFILES_LIMIT,
        help_text="Which profiles; none: all of the project, those to come too.",
    )
    constraints = ConstraintsSerializer(required=False, allow_null=True)
    steps = StrictListField(child=StepSerializer(), required=False, min_length=1, max_length=STEPS_LIMIT)
    bypassForMachineIdentities = StrictBooleanField(required=False)


class NewPolicySerializer(PolicyChangesSerializer):
    """A policy as it is asked for."""

    projectId = StrictCharField(max_length=LONGEST_ID)
    name = StrictCharField(max_length=POLICY_NAME_MAX_LENGTH)
    steps = StrictListField(child=StepSerializer(), min_length=1, max_length=STEPS_LIMIT)


class ApprovalsQuery(WireSerializer):
    """Whose policies or requests."""

    projectId = StrictCharField(max_length=LONGEST_ID)


class ApprovalRequestsQuery(ApprovalsQuery):
    """Which requests of a project."""

    status = EnumField(ApprovalState, required=False)


class CommentSerializer(WireSerializer):
    """What goes with an approval, a rejection or a cancellation."""

    comment = StrictCharField(required=False, allow_blank=True, allow_null=True, max_length=COMMENT_LIMIT)


def states_of(state: ApprovalState) -> list[str]:
    """The statuses of certificate requests whose approval is in that state."""
    return [status for status, each in _STATES.items() if each is state]


def steps_in(asked: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    """The steps of a body as the service takes them."""
    return tuple(
        Step(
            approvers=tuple(Approver(each["type"], each["id"]) for each in step["approvers"]),
            required_approvals=step["requiredApprovals"],
            name=step.get("name") or "",
            notify_approvers=step["notifyApprovers"],
        )
        for step in asked
    )


def profile_names_in(asked: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every profile that the conditions of a body name."""
    return [name for condition in asked for name in condition["profileNames"]]


# --- Answers ----------------------------------------------------------------------------------------------------------


class ApproverAnswer(serializers.Serializer[Any]):
    """An approver, with a name for people."""

    type = EnumField(ApproverKind, source="kind")
    id = serializers.CharField()
    name = serializers.CharField(allow_blank=True)


class StepAnswer(serializers.Serializer[Any]):
    """A step of a policy."""

    name = serializers.CharField(allow_blank=True)
    approvers = ApproverAnswer(many=True)
    requiredApprovals = serializers.IntegerField(source="required_approvals")
    notifyApprovers = serializers.BooleanField(source="notify_approvers")


class ConditionAnswer(serializers.Serializer[Any]):
    """Profiles by the names that they have now."""

    profileNames = serializers.ListField(child=serializers.CharField())


class PolicyAnswer(serializers.Serializer[Any]):
    """A stored policy."""

    id = serializers.UUIDField()
    projectId = serializers.UUIDField(source="project_id")
    type = serializers.SerializerMethodField()
    name = serializers.CharField()
    maxRequestTtl = serializers.SerializerMethodField()
    conditions = serializers.SerializerMethodField()
    constraints = serializers.SerializerMethodField()
    steps = serializers.SerializerMethodField()
    bypassForMachineIdentities = serializers.BooleanField(source="bypass_for_machine_identities")
    createdAt = TimeField(source="created_at")
    updatedAt = TimeField(source="updated_at")

    @extend_schema_field(serializers.ChoiceField(choices=("cert-request",)))
    def get_type(self, policy: ApprovalPolicy) -> str:
        """All are for certificate requests."""
        return "cert-request"

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_maxRequestTtl(self, policy: ApprovalPolicy) -> str | None:  # noqa: N802
        """As it was written; null for the usual."""
        return policy.max_request_ttl or None

    @extend_schema_field(ConditionAnswer(many=True))
    def get_conditions(self, policy: ApprovalPolicy) -> list[dict[str, Any]]:
        """None for all profiles."""
        if policy.is_for_all_profiles:
            return []
        return [{"profileNames": sorted(profile.slug for profile in policy.profiles.all())}]

    @extend_schema_field({"type": "object"})
    def get_constraints(self, policy: ApprovalPolicy) -> dict[str, Any]:
        """Always empty."""
        return {}

    @extend_schema_field(StepAnswer(many=True))
    def get_steps(self, policy: ApprovalPolicy) -> Any:
        """With the names that people have now."""
        return StepAnswer(document_of(policy).steps, many=True).data


class ApprovalAnswer(serializers.Serializer[Any]):
    """That one person agreed."""

    userId = serializers.CharField(source="approval.user_id")
    name = serializers.CharField(source="approval.user_name")
    comment = serializers.CharField(source="approval.comment", allow_blank=True)
    createdAt = TimeField(source="approval.created_at")
    counts = serializers.BooleanField(help_text="False where who agreed is no approver of the step any more.")


class StepStandingAnswer(serializers.Serializer[Any]):
    """One step of a request, as it was demanded when the request was made."""

    stepNumber = serializers.SerializerMethodField()
    name = serializers.CharField(source="step.name", allow_blank=True)
    policyName = serializers.CharField(source="step.policy", allow_blank=True)
    approvers = ApproverAnswer(source="step.approvers", many=True)
    requiredApprovals = serializers.IntegerField(source="step.required_approvals")
    missingApprovals = serializers.IntegerField(source="missing")
    approvals = ApprovalAnswer(many=True)

    @extend_schema_field(serializers.IntegerField())
    def get_stepNumber(self, step: Any) -> int:  # noqa: N802
        """From 1."""
        return int(step.number) + 1


class ChangedPlaceAnswer(serializers.Serializer[Any]):
    """One place of the rules that changed since the request was made."""

    rules = serializers.CharField(help_text="profile or template.")
    path = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class ApprovalRequestItem(serializers.Serializer[Any]):
    """A request for approval, in lists."""

    id = serializers.UUIDField()
    projectId = serializers.UUIDField(source="request.project_id")
    type = serializers.SerializerMethodField()
    status = serializers.SerializerMethodField()
    certificateRequestId = serializers.UUIDField(source="request_id")
    certificateRequestStatus = serializers.ChoiceField(source="request.status", choices=RequestStatus.choices)
    commonName = serializers.CharField(source="request.common_name", allow_blank=True)
    profileId = serializers.UUIDField(source="request.profile_id", allow_null=True)
    profileName = serializers.CharField(source="request.profile_slug")
    requesterId = serializers.CharField(source="request.requester_id", allow_blank=True)
    requesterType = serializers.CharField(source="request.requester_kind")
    requesterName = serializers.CharField(source="request.requester_name")
    comment = serializers.CharField(allow_blank=True, help_text="Of the rejection or cancellation.")
    closedBy = serializers.CharField(source="closed_by", allow_blank=True)
    closedAt = TimeField(source="closed_at", allow_null=True)
    approvedAt = TimeField(source="approved_at", allow_null=True)
    expiresAt = TimeField(source="expires_at")
    createdAt = TimeField(source="created_at")

    @extend_schema_field(serializers.ChoiceField(choices=("cert-request",)))
    def get_type(self, row: ApprovalRequest) -> str:
        """All are for certificate requests."""
        return "cert-request"

    @extend_schema_field(EnumField(ApprovalState))
    def get_status(self, row: ApprovalRequest) -> str:
        """Of the approval alone."""
        return _STATES[row.request.status].value


class ApprovalRequestAnswer(ApprovalRequestItem):
    """A request for approval, with its steps and what changed meanwhile."""

    steps = serializers.SerializerMethodField()
    changes = serializers.SerializerMethodField(help_text="What of profile and template changed since it was made.")

    @extend_schema_field(StepStandingAnswer(many=True))
    def get_steps(self, row: ApprovalRequest) -> Any:
        """By the members of today."""
        return StepStandingAnswer(standing_of(row).steps, many=True).data

    @extend_schema_field(ChangedPlaceAnswer(many=True))
    def get_changes(self, row: ApprovalRequest) -> list[dict[str, Any]]:
        """Place by place."""
        return [
            {"rules": change.rules, "path": each.path, "before": each.before, "after": each.after}
            for change in changes_since(row.request)
            for each in differences(
                document_on_the_wire(change.before.document), document_on_the_wire(change.after.document)
            )
        ]
