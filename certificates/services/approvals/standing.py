"""How far a request is, and who may agree to it now: by the people, roles and members of today."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from certificates.models import Approval, ApprovalRequest
from certificates.models.request import RequestStatus
from certificates.querysets import requests_visible_to
from certificates.services.approvals.steps import ApproverKind, Step, steps_of, user_ids_in
from pki_portal.access.models import Project, Role
from pki_portal.access.permissions import (
    ACTIONS_OF_ROLE,
    Action,
    has_permission,
    require,
    roles_of_users,
    users_with_roles,
)
from pki_portal.access.requester import Requester, requester_again
from pki_portal.errors import Forbidden, NotFound, Violation

# What waits for somebody is counted up to this on every page.
WAITING_LIMIT = 100


@dataclass(frozen=True, slots=True)
class CountedApproval:
    """An approval, and whether it counts today: its giver must be an approver of that step still."""

    approval: Approval
    counts: bool


@dataclass(frozen=True, slots=True)
class StepStanding:
    """One step with its approvals; ``number`` is counted from 0."""

    number: int
    step: Step
    approvals: tuple[CountedApproval, ...]

    @property
    def missing(self) -> int:
        """How many more must agree."""
        return max(0, self.step.required_approvals - sum(each.counts for each in self.approvals))


@dataclass(frozen=True, slots=True)
class Standing:
    """All steps of one request."""

    steps: tuple[StepStanding, ...]

    @property
    def current(self) -> StepStanding | None:
        """The first step that is not complete; None where all are."""
        return next((each for each in self.steps if each.missing), None)


def find_approval(*, requester: Requester, approval_id: UUID) -> ApprovalRequest:
    """What a request waits for, with the request. Raises NotFound, PermissionDenied."""
    missing = NotFound("There is no approval request with this id.")
    found = with_requests(ApprovalRequest.objects.filter(pk=approval_id)).first()
    if found is None:
        raise missing
    try:
        require(requester=requester, action=Action.CERTIFICATE_REQUESTS_READ, project_id=found.request.project_id)
    except NotFound:
        raise missing from None
    return found


def approvals_visible_to(requester: Requester, project: Project) -> QuerySet[ApprovalRequest]:
    """All of a project, newest first, waiting or not. Raises PermissionDenied, NotFound."""
    require(requester=requester, action=Action.CERTIFICATE_REQUESTS_READ, project_id=project.pk)
    rows = ApprovalRequest.objects.filter(request__in=requests_visible_to(requester, project).order_by())
    return with_requests(rows)


def waiting_for(requester: Requester, project: Project) -> list[ApprovalRequest]:
    """What the requester could agree to now, the oldest first; of the first 100 that wait. One query where none does,
    four at most.
    """
    if requester.user_id is None:
        return []
    waiting = with_requests(
        ApprovalRequest.objects.filter(request__project=project, request__status=RequestStatus.PENDING_APPROVAL)
    ).order_by("request__created_at", "id")
    rows = list(waiting[:WAITING_LIMIT])
    standings = standings_of(rows, and_of=requester.user_id)
    return [row for row in rows if _hindrance(row, standings[row.pk], requester) is None]


def count_waiting_for(requester: Requester, project: Project) -> int:
    """How many :func:`waiting_for` finds."""
    return len(waiting_for(requester, project))


def approvers_now(row: ApprovalRequest, step: Step) -> set[int]:
    """The users who could agree to a request now, ``step`` being its current one. At most four queries."""
    project_id = row.request.project_id
    named = [each.id for each in step.approvers if each.kind is ApproverKind.ROLE]
    users = user_ids_in([step]) | users_with_roles(project_id=project_id, roles=named)
    roles = roles_of_users(project_id=project_id, user_ids=users)
    hindered = {approval.user_id for approval in row.approvals.all()}
    if row.request.requester_kind == "user":
        hindered.add(int(row.request.requester_id))
    return {user_id for user_id, role in roles.items() if _may_read(role) and step.names(user_id, role)} - hindered


def with_requests(rows: QuerySet[ApprovalRequest]) -> QuerySet[ApprovalRequest]:
    """Load the request, its profile and the approvals with each."""
    return rows.select_related("request__profile", "request__certificate").prefetch_related("approvals")


def standing_of(row: ApprovalRequest) -> Standing:
    """Of one. Two queries, and one for the approvals unless they are loaded."""
    return standings_of([row])[row.pk].standing


@dataclass(frozen=True, slots=True)
class _Known:
    """A standing, and the role of whoever looks."""

    standing: Standing
    role: Role | None


def standings_of(rows: Sequence[ApprovalRequest], *, and_of: int | None = None) -> dict[UUID, _Known]:
    """Of several requests of one project; with the role there of the user ``and_of``."""
    if not rows:
        return {}
    users = {approval.user_id for row in rows for approval in row.approvals.all()}
    roles = roles_of_users(project_id=rows[0].request.project_id, user_ids=users | ({and_of} if and_of else set()))
    readers = {user_id: role for user_id, role in roles.items() if _may_read(role)}
    return {
        row.pk: _Known(
            Standing(
                tuple(
                    StepStanding(number, step, _counted(row, number, step, readers))
                    for number, step in enumerate(steps_of(row.steps))
                )
            ),
            readers.get(and_of) if and_of else None,
        )
        for row in rows
    }


def require_approver(row: ApprovalRequest, requester: Requester) -> tuple[StepStanding, int]:
    """The step at which the requester may agree now, and whose approval it is. Raises Forbidden, with the reason."""
    known = standings_of([row], and_of=requester.user_id)[row.pk]
    hindrance = _hindrance(row, known, requester)
    if hindrance is not None:
        raise _refusal(hindrance)
    current, user_id = known.standing.current, requester.user_id
    assert current is not None and user_id is not None  # noqa: S101, PT018 - for the type checker: nothing hinders
    return current, user_id


def require_rejecter(row: ApprovalRequest, requester: Requester) -> None:
    """Return if the requester may reject it: whoever is an approver at any step, the current one or not. Raises
    Forbidden.
    """
    if requester.user_id is None:
        raise _refusal(_NOT_A_PERSON)
    role = standings_of([row], and_of=requester.user_id)[row.pk].role
    if not any(step.names(requester.user_id, role) for step in steps_of(row.steps)):
        raise _refusal(_not_named(" or ".join(dict.fromkeys(map(str, steps_of(row.steps))))))


def applicant_of(row: ApprovalRequest) -> Requester:
    """Who asked, as they stand now. Raises Forbidden where they may not issue any more: nothing can come of it."""
    asked = row.request
    applicant = requester_again(kind=asked.requester_kind, id=asked.requester_id, name=asked.requester_name)
    if applicant is not None and has_permission(
        requester=applicant, action=Action.CERTIFICATE_PROFILES_ISSUE_CERT, project_id=asked.project_id
    ):
        return applicant
    name = asked.requester_name
    raise Forbidden(
        f"{name}, who asked, may not issue certificates here any more.",
        violations=[
            Violation(
                field="",
                code="requester_left",
                rule="permission to issue",
                asked=f"a certificate for {name}",
                allowed="one for whoever may issue in this project",
                fix=f"Reject the request, or give {name} a role that may issue.",
            )
        ],
    )


def can_approve(row: ApprovalRequest, requester: Requester) -> bool:
    """What :func:`require_approver` would say."""
    known = standings_of([row], and_of=requester.user_id)[row.pk]
    return _hindrance(row, known, requester) is None


def can_reject(row: ApprovalRequest, requester: Requester) -> bool:
    """What :func:`require_rejecter` would say."""
    try:
        require_rejecter(row, requester)
    except Forbidden:
        return False
    return True


def is_own(row: ApprovalRequest, requester: Requester) -> bool:
    """Whether the requester is who asked for the certificate."""
    return (row.request.requester_kind, row.request.requester_id) == (requester.kind, requester.id)


def _may_read(role: Role) -> bool:
    return Action.CERTIFICATE_REQUESTS_READ in ACTIONS_OF_ROLE[role]


def _counted(row: ApprovalRequest, number: int, step: Step, roles: dict[int, Role]) -> tuple[CountedApproval, ...]:
    return tuple(
        CountedApproval(approval, step.names(approval.user_id, roles.get(approval.user_id)))
        for approval in row.approvals.all()
        if approval.step == number
    )


# --- What hinders -----------------------------------------------------------------------------------------------------

_NOT_A_PERSON = ("approver_not_a_person", "a machine identity or a command", "a person", "Sign in and approve by page.")


def _not_named(named: str) -> tuple[str, str, str, str]:
    return ("not_an_approver", "an approval by you", f"one by {named}", f"Ask {named}.")


def _hindrance(row: ApprovalRequest, known: _Known, requester: Requester) -> tuple[str, str, str, str] | None:
    """Why the requester cannot agree now: code, asked, allowed, fix; None where nothing hinders."""
    if requester.user_id is None:
        return _NOT_A_PERSON
    if is_own(row, requester):
        return ("own_request", "an approval by who asked", "one by somebody else", "Have somebody else look at it.")
    if any(approval.user_id == requester.user_id for approval in row.approvals.all()):
        return ("approved_already", "a second approval by you", "one by somebody else", "Wait for the others.")
    current = known.standing.current
    if current is None:
        return ("approved_already", "another approval", "none: it is approved", "Wait for the certificate.")
    if not current.step.names(requester.user_id, known.role):
        return _not_named(str(current.step))
    return None


_MESSAGES = {
    "approver_not_a_person": "Only people approve requests.",
    "own_request": "Nobody approves a request of their own.",
    "approved_already": "You have approved this request already, or nothing is left to approve.",
    "not_an_approver": "This step is for others to approve.",
}


def _refusal(hindrance: tuple[str, str, str, str]) -> Forbidden:
    code, asked, allowed, fix = hindrance
    rule = "steps of the approval, in their order"
    return Forbidden(_MESSAGES[code], violations=[Violation("", code, rule, asked, allowed, fix)])
