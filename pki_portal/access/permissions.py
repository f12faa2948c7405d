"""The one gate: may this requester do this here?"""

from collections.abc import Collection
from enum import StrEnum
from typing import Literal
from uuid import UUID

from django.db.models import QuerySet

from pki_portal.access.models import Membership, Project, Role, User
from pki_portal.access.remembering import Scope, remembered
from pki_portal.access.requester import Requester, RequesterKind
from pki_portal.errors import NotFound, PermissionDenied


class Action(StrEnum):
    """Everything that a role can allow, as ``<subject>:<act>``."""

    PROJECTS_READ = "projects:read"
    PROJECTS_EDIT = "projects:edit"
    PROJECTS_DELETE = "projects:delete"
    PROJECTS_CREATE = "projects:create"
    MEMBERS_READ = "members:read"
    MEMBERS_EDIT = "members:edit"
    IDENTITIES_READ = "identities:read"
    IDENTITIES_CREATE = "identities:create"
    IDENTITIES_EDIT = "identities:edit"
    CERTIFICATE_AUTHORITIES_READ = "certificate-authorities:read"
    CERTIFICATE_AUTHORITIES_CREATE = "certificate-authorities:create"
    CERTIFICATE_AUTHORITIES_EDIT = "certificate-authorities:edit"
    CERTIFICATE_AUTHORITIES_DELETE = "certificate-authorities:delete"
    CERTIFICATE_AUTHORITIES_ISSUE_CA_CERTIFICATE = "certificate-authorities:issue-ca-certificate"
    CERTIFICATE_AUTHORITIES_SIGN_INTERMEDIATE = "certificate-authorities:sign-intermediate"
    CERTIFICATE_TEMPLATES_READ = "certificate-templates:read"
    CERTIFICATE_TEMPLATES_CREATE = "certificate-templates:create"
    CERTIFICATE_TEMPLATES_EDIT = "certificate-templates:edit"
    CERTIFICATE_TEMPLATES_DELETE = "certificate-templates:delete"
    CERTIFICATE_PROFILES_READ = "certificate-profiles:read"
    CERTIFICATE_PROFILES_CREATE = "certificate-profiles:create"
    CERTIFICATE_PROFILES_EDIT = "certificate-profiles:edit"
    CERTIFICATE_PROFILES_DELETE = "certificate-profiles:delete"
    CERTIFICATE_PROFILES_ISSUE_CERT = "certificate-profiles:issue-cert"
    CERTIFICATES_READ = "certificates:read"
    CERTIFICATES_EDIT = "certificates:edit"
    CERTIFICATES_IMPORT = "certificates:import"
    CERTIFICATES_REVOKE = "certificates:revoke"
    CERTIFICATES_DELETE = "certificates:delete"
    CERTIFICATES_READ_PRIVATE_KEY = "certificates:read-private-key"
    CERTIFICATE_REQUESTS_READ = "certificate-requests:read"
    CERTIFICATE_REQUESTS_EDIT = "certificate-requests:edit"
    APPROVAL_POLICIES_READ = "approval-policies:read"
    APPROVAL_POLICIES_CREATE = "approval-policies:create"
    APPROVAL_POLICIES_EDIT = "approval-policies:edit"
    APPROVAL_POLICIES_DELETE = "approval-policies:delete"
    PKI_ALERTS_READ = "pki-alerts:read"
    PKI_ALERTS_CREATE = "pki-alerts:create"
    PKI_ALERTS_EDIT = "pki-alerts:edit"
    PKI_ALERTS_DELETE = "pki-alerts:delete"
    AUDIT_LOG_READ = "audit-log:read"


# Creating a project happens outside every project: no role in one includes it (see require_project_creation).
_IN_A_PROJECT = frozenset(Action) - {Action.PROJECTS_CREATE}
_READ_OBJECTS = frozenset(
    {
        Action.PROJECTS_READ,
        Action.CERTIFICATE_AUTHORITIES_READ,
        Action.CERTIFICATE_TEMPLATES_READ,
        Action.CERTIFICATE_PROFILES_READ,
        Action.CERTIFICATES_READ,
        Action.CERTIFICATE_REQUESTS_READ,
        Action.APPROVAL_POLICIES_READ,
        Action.PKI_ALERTS_READ,
    }
)

ACTIONS_OF_ROLE: dict[Role, frozenset[Action]] = {
    Role.ADMIN: _IN_A_PROJECT,
    Role.OPERATOR: _IN_A_PROJECT
    - {Action.MEMBERS_EDIT, Action.IDENTITIES_CREATE, Action.IDENTITIES_EDIT, Action.PROJECTS_DELETE}
    # Operators are whom approvals bind as well.
    - {Action.APPROVAL_POLICIES_CREATE, Action.APPROVAL_POLICIES_EDIT, Action.APPROVAL_POLICIES_DELETE},
    Role.MEMBER: _READ_OBJECTS
    | {
        Action.CERTIFICATE_PROFILES_ISSUE_CERT,
        Action.CERTIFICATES_EDIT,
        Action.CERTIFICATES_IMPORT,
        Action.CERTIFICATES_REVOKE,
        Action.CERTIFICATES_READ_PRIVATE_KEY,
    },
    Role.VIEWER: _READ_OBJECTS | {Action.MEMBERS_READ, Action.IDENTITIES_READ},
    Role.NO_ACCESS: frozenset(),
}


def require(*, requester: Requester, action: Action, project_id: UUID) -> None:
    """Return if ``requester`` may do ``action`` in the project, else raise. One query, unless the role is remembered.

    Raises NotFound where the requester has no membership in the project (or there is no such project): what belongs to
    others does not exist for it. Raises PermissionDenied where its role does not include the action.
    """
    role = _role_in(requester=requester, project_id=project_id)
    if role is None:
        raise NotFound(f"Project {project_id} was not found.")
    if action not in ACTIONS_OF_ROLE[role]:
        subject, act = action.value.split(":")
        raise PermissionDenied(f"The role {role.value} does not include {act} on {subject}.")


def has_permission(*, requester: Requester, action: Action, project_id: UUID) -> bool:
    """Tell what :func:`require` would decide. One query."""
    role = _role_in(requester=requester, project_id=project_id)
    return role is not None and action in ACTIONS_OF_ROLE[role]


def require_project_creation(*, requester: Requester) -> None:
    """Return if ``requester`` may create projects (an administrator, or an identity that was given it), else raise
    PermissionDenied.
    """
    if not (requester.is_unlimited or requester.can_create_projects):
        raise PermissionDenied(f"{requester.name} may not create projects.")


def projects_visible_to(requester: Requester) -> QuerySet[Project]:
    """The projects in which the requester may read something; all of them for an administrator."""
    return Project.objects.all() if requester.is_unlimited else projects_visible_to_member(requester.kind, requester.id)


def projects_visible_to_member(kind: RequesterKind, member_id: str) -> QuerySet[Project]:
    """The same of a user or machine identity that is no administrator."""
    return _projects_allowing(kind, member_id, Action.PROJECTS_READ)


def projects_allowing(*, requester: Requester, action: Action) -> QuerySet[Project]:
    """The projects in which the requester may do ``action``; usable as a subquery (``project__in=...``)."""
    if requester.is_unlimited:
        return Project.objects.all()
    return _projects_allowing(requester.kind, requester.id, action)


def _projects_allowing(kind: RequesterKind, member_id: str, action: Action) -> QuerySet[Project]:
    roles = [role.value for role, actions in ACTIONS_OF_ROLE.items() if action in actions]
    memberships = _memberships_of(kind, member_id).filter(role__in=roles)
    return Project.objects.filter(pk__in=memberships.values("project_id"))


def memberships_of(requester: Requester) -> QuerySet[Membership]:
    """The rows that give the requester its roles; none for the system."""
    return _memberships_of(requester.kind, requester.id)


def _memberships_of(kind: RequesterKind, member_id: str) -> QuerySet[Membership]:
    if kind == "user":
        return Membership.objects.filter(user_id=int(member_id)).order_by()
    if kind == "identity":
        return Membership.objects.filter(identity_id=UUID(member_id)).order_by()
    return Membership.objects.none()


def roles_of_users(*, project_id: UUID, user_ids: Collection[int]) -> dict[int, Role]:
    """Today's roles of active users in the project; administrators of the installation are admins. One query or two."""
    if not user_ids:
        return {}
    memberships = Membership.objects.filter(project_id=project_id, user__is_active=True, user_id__in=user_ids)
    roles = {user_id: Role(role) for user_id, role in memberships.order_by().values_list("user_id", "role")}
    administrators = User.objects.filter(pk__in=user_ids, is_active=True, is_superuser=True).order_by()
    return roles | dict.fromkeys(administrators.values_list("pk", flat=True), Role.ADMIN)


def users_with_roles(*, project_id: UUID, roles: Collection[str]) -> set[int]:
    """Active users who have one of these roles in the project today; administrators of the installation are admins."""
    memberships = Membership.objects.filter(project_id=project_id, user__is_active=True, role__in=roles)
    found = set(memberships.order_by().values_list("user_id", flat=True))
    if Role.ADMIN in roles:
        found |= set(User.objects.filter(is_active=True, is_superuser=True).order_by().values_list("pk", flat=True))
    return {user_id for user_id in found if user_id is not None}


def _role_in(*, requester: Requester, project_id: UUID) -> Role | None:
    if requester.is_unlimited:
        return Role.ADMIN if _is_project(project_id) else None
    return _role_of_member(requester.kind, requester.id, project_id)


@remembered(Scope.ACCESS)
def _is_project(project_id: UUID) -> Literal[True] | None:
    return True if Project.objects.filter(pk=project_id).exists() else None


@remembered(Scope.ACCESS)
def _role_of_member(kind: RequesterKind, member_id: str, project_id: UUID) -> Role | None:
    memberships = _memberships_of(kind, member_id).filter(project_id=project_id)
    return next(map(Role, memberships.values_list("role", flat=True)[:1]), None)
