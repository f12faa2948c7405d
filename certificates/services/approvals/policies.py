"""Making, changing and removing approval policies."""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from certificates.models import ApprovalPolicy
from certificates.models.approval import POLICY_NAME_MAX_LENGTH
from certificates.services.approvals.steps import (
    Approver,
    ApproverKind,
    Step,
    steps_as_json,
    steps_of,
    user_ids_in,
    with_names,
)
from pki_portal.access.models import Project, Role
from pki_portal.access.permissions import ACTIONS_OF_ROLE, Action, require, roles_of_users, users_with_roles
from pki_portal.access.requester import Requester
from pki_portal.audit.services import JSON, record, recorded_refusals
from pki_portal.errors import Forbidden, Malformed, NotFound, Violation
from profiles.models import CertificateProfile
from profiles.policy.validity import InvalidDuration, parse_ttl

SUBJECT_TYPE: Final = "approval-policy"
POLICIES_LIMIT: Final = 100
STEPS_LIMIT: Final = 10
APPROVERS_LIMIT: Final = 50
PROFILES_LIMIT: Final = 100
TTL_MAX_LENGTH: Final = 32
SHORTEST: Final = timedelta(hours=1)
LONGEST: Final = timedelta(days=30)
# Whoever is asked must be able to see what they agree to.
APPROVER_ROLES: Final = tuple(role for role in Role if Action.CERTIFICATE_REQUESTS_READ in ACTIONS_OF_ROLE[role])
_LINE: Final = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """A policy as it is asked for; ``profile_ids`` None is for every profile of the project."""

    name: str
    steps: tuple[Step, ...]
    profile_ids: tuple[UUID, ...] | None = None
    bypass_for_machine_identities: bool = False
    max_request_ttl: str = ""


def policies_visible_to(requester: Requester, project: Project) -> QuerySet[ApprovalPolicy]:
    """The policies of the project in the order in which they are met. Raises PermissionDenied, NotFound."""
    require(requester=requester, action=Action.APPROVAL_POLICIES_READ, project_id=project.pk)
    return ApprovalPolicy.objects.filter(project=project).prefetch_related("profiles")


def find_policy(
    *, requester: Requester, policy_id: UUID, action: Action = Action.APPROVAL_POLICIES_READ
) -> ApprovalPolicy:
    """The policy, if the requester may do ``action`` with it. Raises NotFound, PermissionDenied."""
    missing = NotFound(f"Approval policy {policy_id} was not found.")
    policy = ApprovalPolicy.objects.select_related("project").prefetch_related("profiles").filter(pk=policy_id).first()
    if policy is None:
        raise missing
    try:
        require(requester=requester, action=action, project_id=policy.project_id)
    except NotFound:
        raise missing from None
    return policy


def document_of(policy: ApprovalPolicy) -> PolicyDocument:
    """A stored policy as a document that changes nothing, with the names that its people have now."""
    return PolicyDocument(
        name=policy.name,
        steps=with_names(steps_of(policy.steps)),
        profile_ids=None if policy.is_for_all_profiles else tuple(each.pk for each in policy.profiles.all()),
        bypass_for_machine_identities=policy.bypass_for_machine_identities,
        max_request_ttl=policy.max_request_ttl,
    )


def profile_ids_named(project: Project, names: Sequence[str]) -> tuple[UUID, ...]:
    """The profiles of these names. Raises Malformed where the project has none of one of them."""
    storable_names = [name for name in names if _LINE.fullmatch(name)]
    found = dict(CertificateProfile.objects.filter(project=project, slug__in=storable_names).values_list("slug", "pk"))
    _refuse(
        [
            _wrong(
                "conditions",
                name[:255],
                "names of profiles of the project",
                f"Name a profile that is there, not {name[:255]}.",
                code="unknown_profile",
            )
            for name in names
            if name not in found
        ]
    )
    return tuple(found[name] for name in dict.fromkeys(names))


def create_policy(*, requester: Requester, project: Project, document: PolicyDocument) -> ApprovalPolicy:
    """Store a policy; it binds the requests that are made from then on.

    Raises:
        PermissionDenied, NotFound: the requester may not make policies here.
        Malformed: values, or a combination of them, that no policy can have, with every violation.
        Forbidden: the name is taken, or the project has too many policies.
    """
    with recorded_refusals(
        event="approval-policy-create",
        actor=requester.actor,
        project_id=project.pk,
        subject_type=SUBJECT_TYPE,
        subject_id="",
        data={"name": document.name[:POLICY_NAME_MAX_LENGTH]},
    ):
        require(requester=requester, action=Action.APPROVAL_POLICIES_CREATE, project_id=project.pk)
        _refuse(_violations(document, project.pk))
        with transaction.atomic():
            Project.objects.select_for_update(no_key=True).get(pk=project.pk)
            if ApprovalPolicy.objects.filter(project=project).count() >= POLICIES_LIMIT:
                raise Forbidden(f"A project has at most {POLICIES_LIMIT} approval policies.")
            policy = ApprovalPolicy(project=project, **_columns(document))
            _save(policy, force_insert=True)
            policy.profiles.set(_profiles(document))
            _record(requester, "approval-policy-create", policy, document)
    return find_policy(requester=requester, policy_id=policy.pk)


def update_policy(*, requester: Requester, policy: ApprovalPolicy, changes: Mapping[str, Any]) -> ApprovalPolicy:
    """Change what ``changes`` names (fields of :class:`PolicyDocument`), for requests that are made from then on.

    Works on the policy as it stands now, under a lock. Raises as :func:`create_policy`.
    """
    with _refusals(requester, "approval-policy-update", policy):
        require(requester=requester, action=Action.APPROVAL_POLICIES_EDIT, project_id=policy.project_id)
        with transaction.atomic():
            current = _locked(policy)
            document = replace(document_of(current), **changes)
            _refuse(_violations(document, current.project_id))
            columns = _columns(document)
            for name, value in columns.items():
                setattr(current, name, value)
            _save(current, update_fields=[*columns, "updated_at"])
            current.profiles.set(_profiles(document))
            _record(requester, "approval-policy-update", current, document)
    return find_policy(requester=requester, policy_id=policy.pk)


def delete_policy(*, requester: Requester, policy: ApprovalPolicy) -> None:
    """Remove a policy; requests that wait by it go on waiting. Raises PermissionDenied, NotFound."""
    with _refusals(requester, "approval-policy-delete", policy):
        require(requester=requester, action=Action.APPROVAL_POLICIES_DELETE, project_id=policy.project_id)
        with transaction.atomic():
            current = _locked(policy)
            document = document_of(current)
            ApprovalPolicy.objects.filter(pk=current.pk).delete()
            _record(requester, "approval-policy-delete", current, document)


def _locked(policy: ApprovalPolicy) -> ApprovalPolicy:
    current = ApprovalPolicy.objects.select_for_update().filter(pk=policy.pk).first()
    if current is None:
        raise NotFound(f"Approval policy {policy.pk} was not found.")
    return current


def _profiles(document: PolicyDocument) -> QuerySet[CertificateProfile]:
    return CertificateProfile.objects.filter(pk__in=document.profile_ids or ())


def _columns(document: PolicyDocument) -> dict[str, Any]:
    wait = parse_ttl(document.max_request_ttl) if document.max_request_ttl else None
    return {
        "name": document.name,
        "is_for_all_profiles": document.profile_ids is None,
        "steps": steps_as_json([replace(each, policy="") for each in document.steps]),
        "bypass_for_machine_identities": document.bypass_for_machine_identities,
        "max_request_ttl": document.max_request_ttl.strip(),
        "max_request_seconds": None if wait is None else int(wait.total_seconds()),
    }


def _save(policy: ApprovalPolicy, **options: Any) -> None:
    others = ApprovalPolicy.objects.filter(project_id=policy.project_id, name=policy.name).exclude(pk=policy.pk)
    taken = Forbidden(
        f"The project has an approval policy {policy.name} already.",
        violations=[
            Violation(
                field="name",
                code="taken",
                rule="a name is unique in its project",
                asked=policy.name,
                allowed="a name that no other approval policy of the project has",
                fix="Choose another name.",
            )
        ],
    )
    if others.exists():
        raise taken
    try:
        with transaction.atomic():
            policy.save(**options)
    except IntegrityError:
        if others.exists():
            raise taken from None
        raise


def _record(requester: Requester, event: str, policy: ApprovalPolicy, document: PolicyDocument) -> None:
    profile_ids: JSON = None if document.profile_ids is None else [str(each) for each in document.profile_ids]
    record(
        event=event,
        actor=requester.actor,
        project_id=policy.project_id,
        subject_type=SUBJECT_TYPE,
        subject_id=str(policy.pk),
        data={
            "name": document.name,
            "steps": list[JSON](steps_as_json(document.steps)),
            "profileIds": profile_ids,
            "bypassForMachineIdentities": document.bypass_for_machine_identities,
            "maxRequestTtl": document.max_request_ttl,
        },
    )


def _refusals(requester: Requester, event: str, policy: ApprovalPolicy) -> AbstractContextManager[None]:
    return recorded_refusals(
        event=event,
        actor=requester.actor,
        project_id=policy.project_id,
        subject_type=SUBJECT_TYPE,
        subject_id=str(policy.pk),
        data={"name": policy.name},
    )


# --- What a policy can be ---------------------------------------------------------------------------------------------


def _refuse(violations: Sequence[Violation]) -> None:
    if violations:
        raise Malformed("; ".join(violation.fix for violation in violations), violations=violations)


def _wrong(at: str, asked: str, allowed: str, fix: str, *, code: str = "custom") -> Violation:
    return Violation(at, code, "the form of an approval policy", asked, allowed, fix)


def _violations(document: PolicyDocument, project_id: UUID) -> list[Violation]:
    found = [*_name_violations("name", document.name, 1), *_wait_violations(document.max_request_ttl)]
    found += _profile_violations(document.profile_ids, project_id)
    if not 1 <= len(document.steps) <= STEPS_LIMIT:
        allowed = f"1 to {STEPS_LIMIT} steps"
        return [*found, _wrong("steps", f"{len(document.steps)} steps", allowed, f"Give it {allowed}.")]
    known = roles_of_users(project_id=project_id, user_ids=user_ids_in(document.steps))
    for number, step in enumerate(document.steps):
        found += _step_violations(f"steps/{number}", step, known)
    return found or _reach_violations(document.steps, project_id)


def _name_violations(at: str, name: str, shortest: int) -> list[Violation]:
    allowed = f"{shortest} to {POLICY_NAME_MAX_LENGTH} characters in one line"
    if (name or not shortest) and len(name) <= POLICY_NAME_MAX_LENGTH and (not name or _LINE.fullmatch(name)):
        return []
    return [_wrong(at, name[:POLICY_NAME_MAX_LENGTH], allowed, f"Give it a name of {allowed}.")]


def _wait_violations(text: str) -> list[Violation]:
    if not text:
        return []
    allowed = "a length of time from 1h to 30d, or nothing for 30d"
    try:
        wait = parse_ttl(text)
    except InvalidDuration as problem:
        return [_wrong("max_request_ttl", text[:TTL_MAX_LENGTH], allowed, str(problem))]
    if not SHORTEST <= wait <= LONGEST or len(text) > TTL_MAX_LENGTH:
        return [_wrong("max_request_ttl", text[:TTL_MAX_LENGTH], allowed, f"Give {allowed}.")]
    return []


def _profile_violations(profile_ids: Sequence[UUID] | None, project_id: UUID) -> list[Violation]:
    if profile_ids is None:
        return []
    allowed = f"1 to {PROFILES_LIMIT} profiles of the project, or no condition for all of them"
    if not 1 <= len(profile_ids) <= PROFILES_LIMIT:
        return [_wrong("conditions", f"{len(profile_ids)} profiles", allowed, f"Name {allowed}.")]
    there = set(
        CertificateProfile.objects.filter(project_id=project_id, pk__in=profile_ids).values_list("pk", flat=True)
    )
    return [
        _wrong("conditions", str(each), allowed, f"Name a profile of the project, not {each}.", code="unknown_profile")
        for each in profile_ids
        if each not in there
    ]


def _step_violations(at: str, step: Step, known: Mapping[int, Role]) -> list[Violation]:
    found = _name_violations(f"{at}/name", step.name, 0)
    if not 1 <= len(step.approvers) <= APPROVERS_LIMIT:
        allowed = f"1 to {APPROVERS_LIMIT} approvers"
        return [*found, _wrong(f"{at}/approvers", f"{len(step.approvers)}", allowed, f"Name {allowed}.")]
    for index, approver in enumerate(step.approvers):
        found += _approver_violations(f"{at}/approvers/{index}", approver, known)
    people = len({each.id for each in step.approvers})
    has_role = any(each.kind is ApproverKind.ROLE for each in step.approvers)
    most = 100 if has_role else people
    if not 1 <= step.required_approvals <= most:
        allowed = f"1 to {most}" + ("" if has_role else ", as many as are named")
        fix = f"Ask for {allowed} approvals."
        found.append(_wrong(f"{at}/required_approvals", str(step.required_approvals), allowed, fix))
    return found


def _approver_violations(at: str, approver: Approver, known: Mapping[int, Role]) -> list[Violation]:
    roles = ", ".join(role.value for role in APPROVER_ROLES)
    if approver.kind is ApproverKind.ROLE:
        if approver.id in APPROVER_ROLES:
            return []
        return [_wrong(f"{at}/id", approver.id[:100], roles, f"Name one of the roles {roles}.", code="unknown_role")]
    if known.get(int(approver.id)) in APPROVER_ROLES:
        return []
    return [
        _wrong(
            f"{at}/id",
            approver.id,
            f"people with a role in the project that may read requests ({roles})",
            "Name a member of the project, or give this user a role there first.",
            code="approver_not_a_member",
        )
    ]


def _reach_violations(steps: Sequence[Step], project_id: UUID) -> list[Violation]:
    """Whether all steps together could be met by the members of today: nobody agrees twice."""
    roles = [each.id for step in steps for each in step.approvers if each.kind is ApproverKind.ROLE]
    people = user_ids_in(steps) | users_with_roles(project_id=project_id, roles=roles)
    needed = sum(step.required_approvals for step in steps)
    if len(people) >= needed:
        return []
    return [
        _wrong(
            "steps",
            f"{needed} approvals",
            f"at most {len(people)}, one by each who is named or has a named role today",
            "Name more approvers, or ask for fewer approvals: nobody approves a request twice.",
            code="too_few_approvers",
        )
    ]
