"""Making, changing and controlling machine identities."""

from uuid import UUID

from django.db import transaction

from pki_portal.access.models import (
    MachineIdentity,
)
from pki_portal.access.permissions import (
    Action,
    projects_allowing,
)
from pki_portal.access.querysets import identities_visible_to
from pki_portal.access.requester import Requester
from pki_portal.access.services.refusals import recorded
from pki_portal.access.texts import check_name
from pki_portal.audit.services import JSON, record
from pki_portal.errors import NotFound, PermissionDenied


def create_identity(*, requester: Requester, name: str, can_create_projects: bool = False) -> MachineIdentity:
    """Make a machine identity that may do nothing yet. Raises PermissionDenied.

    Who may: an administrator, whoever may create projects, and an admin of any project. Only an administrator hands on
    the right to create projects.
    """
    with recorded(requester, "create-identity", None, "identity", "", name=name):
        _require_creation(requester, can_create_projects=can_create_projects)
        check_name(name)
        with transaction.atomic():
            identity = MachineIdentity.objects.create(
                name=name,
                can_create_projects=can_create_projects,
                created_by_user_id=requester.user_id,
                created_by_identity_id=requester.identity_id,
            )
            record(
                event="create-identity",
                actor=requester.actor,
                project_id=None,
                subject_type="identity",
                subject_id=str(identity.pk),
                data={"name": name, "canCreateProjects": can_create_projects},
            )
    return identity


def update_identity(
    *, requester: Requester, identity_id: UUID, name: str, can_create_projects: bool | None = None
) -> MachineIdentity:
    """Change the name, and for an administrator the right to create projects. Raises NotFound, PermissionDenied."""
    with recorded(requester, "update-identity", None, "identity", str(identity_id)):
        identity = get_identity(requester=requester, identity_id=identity_id)
        require_identity_control(requester=requester, identity=identity)
        if can_create_projects is None:
            can_create_projects = identity.can_create_projects
        if can_create_projects and not identity.can_create_projects:
            _require_creation(requester, can_create_projects=True)
        check_name(name)
        before: dict[str, JSON] = {"name": identity.name, "canCreateProjects": identity.can_create_projects}
        with transaction.atomic():
            identity.name = name
            identity.can_create_projects = can_create_projects
            identity.save(update_fields=["name", "can_create_projects", "updated_at"])
            record(
                event="update-identity",
                actor=requester.actor,
                project_id=None,
                subject_type="identity",
                subject_id=str(identity.pk),
                data={"before": before, "after": {"name": name, "canCreateProjects": can_create_projects}},
            )
    return identity


def get_identity(*, requester: Requester, identity_id: UUID) -> MachineIdentity:
    """Find an identity that the requester may know of. Raises NotFound."""
    identity = identities_visible_to(requester).filter(pk=identity_id).first()
    if identity is None:
        raise NotFound(f"Machine identity {identity_id} was not found.")
    return identity


def require_identity_control(*, requester: Requester, identity: MachineIdentity) -> None:
    """Return if ``requester`` may change the identity and make secrets for it, else raise PermissionDenied. Two
    queries.

    A secret gives everything that the identity may do, so control needs an admin of *every* project that the identity
    is a member of, and the right to create projects where it has that; of an identity in no project the creator has it,
    never the identity itself.
    """
    if requester.is_unlimited:
        return
    if identity.can_create_projects and not requester.can_create_projects:
        raise PermissionDenied(f"{identity.name} may create projects and {requester.name} may not.")
    projects = set(identity.memberships.values_list("project_id", flat=True))
    if not projects:
        if _is_creator(requester, identity):
            return
        raise PermissionDenied(f"Only its creator may change {identity.name} while it is in no project.")
    allowed = projects_allowing(requester=requester, action=Action.IDENTITIES_EDIT)
    if projects - set(allowed.filter(pk__in=projects).values_list("pk", flat=True)):
        raise PermissionDenied(f"Only an admin of every project that {identity.name} is in may change it.")


def require_identity_revocation(*, requester: Requester, identity: MachineIdentity) -> None:
    """Return if ``requester`` may end the identity's secrets and tokens, else raise PermissionDenied. At most three
    queries.

    Less than control: an admin of *any* of its projects can stop at once what acts there.
    """
    allowed = projects_allowing(requester=requester, action=Action.IDENTITIES_EDIT)
    if not identity.memberships.filter(project__in=allowed).exists():
        require_identity_control(requester=requester, identity=identity)


def _require_creation(requester: Requester, *, can_create_projects: bool) -> None:
    if requester.is_unlimited:
        return
    if can_create_projects:
        raise PermissionDenied("Only an administrator hands on the right to create projects.")
    allowed = projects_allowing(requester=requester, action=Action.IDENTITIES_CREATE)
    if not requester.can_create_projects and not allowed.exists():
        raise PermissionDenied(f"{requester.name} may not create machine identities: it is admin of no project.")


def _is_creator(requester: Requester, identity: MachineIdentity) -> bool:
    if requester.kind == "user":
        return identity.created_by_user_id == requester.user_id
    return identity.created_by_identity_id == requester.identity_id
