"""Who has which role in a project."""

from uuid import UUID

from django.db import IntegrityError, transaction

from pki_portal.access.models import (
    MachineIdentity,
    Membership,
    Project,
    Role,
    User,
)
from pki_portal.access.permissions import (
    Action,
    require,
)
from pki_portal.access.requester import Requester
from pki_portal.access.services.identities import get_identity, require_identity_control
from pki_portal.access.services.refusals import recorded
from pki_portal.audit.services import record
from pki_portal.errors import Forbidden, Invalid, NotFound


def add_user(*, requester: Requester, project_id: UUID, username: str, role: Role) -> Membership:
    """Give a user a first role in a project. Raises NotFound, PermissionDenied, Invalid where it has one."""
    with recorded(requester, "add-project-member", project_id, "user", username, role=role.value):
        require(requester=requester, action=Action.MEMBERS_EDIT, project_id=project_id)
        user = User.objects.filter(username=username, is_active=True).first()
        if user is None:
            raise NotFound(f"User {username} was not found.")
        return _add(requester, "add-project-member", project_id, role, user=user)


def add_identity(*, requester: Requester, project_id: UUID, identity_id: UUID, role: Role) -> Membership:
    """Give a machine identity a first role in a project. Raises NotFound, PermissionDenied, Invalid if it has one.

    Needs control of the identity besides: whoever brings it into a project of theirs takes part in that control, and
    would otherwise take it from the admins who had it.
    """
    event = "create-identity-project-membership"
    with recorded(requester, event, project_id, "identity", str(identity_id), role=role.value):
        require(requester=requester, action=Action.IDENTITIES_EDIT, project_id=project_id)
        identity = get_identity(requester=requester, identity_id=identity_id)
        require_identity_control(requester=requester, identity=identity)
        return _add(requester, event, project_id, role, identity=identity)


def _add(
    requester: Requester,
    event: str,
    project_id: UUID,
    role: Role,
    *,
    user: User | None = None,
    identity: MachineIdentity | None = None,
) -> Membership:
    member = user or identity
    with transaction.atomic():
        try:
            with transaction.atomic():
                membership = Membership.objects.create(project_id=project_id, user=user, identity=identity, role=role)
        except IntegrityError:
            raise Invalid(f"{member} is a member of the project already: change its role instead.") from None
        record(
            event=event,
            actor=requester.actor,
            project_id=project_id,
            subject_type="user" if user else "identity",
            subject_id=str(member.pk if member else ""),
            data={"role": role.value, "name": str(member)},
        )
    return membership


def change_role(*, requester: Requester, membership: Membership, role: Role) -> Membership:
    """Give a member another role. Raises NotFound, PermissionDenied, Forbidden for the last admin."""
    event = "update-project-member" if membership.user_id else "update-identity-project-membership"
    with recorded(requester, event, membership.project_id, *_subject_of(membership), role=role.value):
        require(requester=requester, action=_edit_action(membership), project_id=membership.project_id)
        with transaction.atomic():
            current = _locked(membership)
            if role is not Role.ADMIN:
                _keep_an_admin(current)
            before, current.role = current.role, role
            current.save(update_fields=["role", "updated_at"])
            _record_membership(requester, event, current, {"before": before, "after": role.value})
    return current


def remove_member(*, requester: Requester, membership: Membership) -> Membership:
    """Take a member's role away. Raises NotFound, PermissionDenied, Forbidden for the last admin."""
    event = "remove-project-member" if membership.user_id else "delete-identity-project-membership"
    with recorded(requester, event, membership.project_id, *_subject_of(membership)):
        require(requester=requester, action=_edit_action(membership), project_id=membership.project_id)
        with transaction.atomic():
            current = _locked(membership)
            _keep_an_admin(current)
            Membership.objects.filter(pk=current.pk).delete()
            _record_membership(requester, event, current, {"role": current.role})
    return current


def _edit_action(membership: Membership) -> Action:
    return Action.MEMBERS_EDIT if membership.user_id else Action.IDENTITIES_EDIT


def _subject_of(membership: Membership) -> tuple[str, str]:
    if membership.user_id:
        return "user", str(membership.user_id)
    return "identity", str(membership.identity_id)


def _locked(membership: Membership) -> Membership:
    """Read the row again under a lock on its project, so that two admins cannot each remove the other."""
    Project.objects.select_for_update().get(pk=membership.project_id)
    current = Membership.objects.select_related("user", "identity", "project").filter(pk=membership.pk).first()
    if current is None:
        raise NotFound("The membership was not found.")
    return current


def _keep_an_admin(membership: Membership) -> None:
    admins = Membership.objects.filter(project_id=membership.project_id, role=Role.ADMIN)
    if membership.role == Role.ADMIN and not admins.exclude(pk=membership.pk).exists():
        raise Forbidden("The last admin of a project stays: make another member admin first.")


def _record_membership(requester: Requester, event: str, membership: Membership, data: dict[str, str]) -> None:
    subject_type, subject_id = _subject_of(membership)
    record(
        event=event,
        actor=requester.actor,
        project_id=membership.project_id,
        subject_type=subject_type,
        subject_id=subject_id,
        data={**data, "name": str(membership.user or membership.identity)},
    )
