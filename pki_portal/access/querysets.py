"""What a requester may see."""

from uuid import UUID

from django.db.models import Q, QuerySet

from pki_portal.access.models import MachineIdentity, Membership, Project
from pki_portal.access.permissions import Action, projects_allowing, projects_visible_to, require
from pki_portal.access.requester import Requester
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import Malformed, NotFound
from pki_portal.rest import parse_uuid


def identities_visible_to(requester: Requester) -> QuerySet[MachineIdentity]:
    """Identities of the projects in which the requester may read identities, those it made, and itself."""
    identities = MachineIdentity.objects.select_related("universal_auth")
    if requester.is_unlimited:
        return identities
    shared = Membership.objects.filter(
        identity__isnull=False,
        project__in=projects_allowing(requester=requester, action=Action.IDENTITIES_READ),
    )
    own = (
        Q(created_by_user_id=requester.user_id)
        if requester.kind == "user"
        else Q(created_by_identity_id=requester.identity_id) | Q(pk=requester.identity_id)
    )
    return identities.filter(own | Q(pk__in=shared.values("identity_id")))


def get_project(*, requester: Requester, project_id: UUID) -> Project:
    """The project, if the requester may read it. Raises NotFound, PermissionDenied. Two queries."""
    require(requester=requester, action=Action.PROJECTS_READ, project_id=project_id)
    return Project.objects.get(pk=project_id)


def find_project(*, requester: Requester, reference: str) -> Project:
    """The project that a client names by what should be its id; what is none finds none. Raises NotFound,
    PermissionDenied.
    """
    try:
        project_id = parse_uuid(reference, field="project_id")
    except Malformed:
        raise NotFound(f"Project {reference[:100]} was not found.") from None
    return get_project(requester=requester, project_id=project_id)


def get_project_by_slug(*, requester: Requester, slug: str) -> Project:
    """The project of that slug, if the requester may read it; otherwise it does not exist: NotFound. One query."""
    project = (
        projects_visible_to(requester).filter(slug=slug).first() if slug.isascii() and "\x00" not in slug else None
    )
    if project is None:
        raise NotFound("There is no project of that slug.")
    return project


def events_visible_to(*, requester: Requester, project: Project) -> QuerySet[AuditEvent]:
    """The audit events of a project, newest first. Raises NotFound, PermissionDenied. One query before the rows."""
    require(requester=requester, action=Action.AUDIT_LOG_READ, project_id=project.pk)
    return AuditEvent.objects.filter(project_id=project.pk)


def all_events_visible_to(requester: Requester) -> QuerySet[AuditEvent]:
    """The audit events of every project whose log the requester may read; for administrators also those of none."""
    if requester.is_unlimited:
        return AuditEvent.objects.all()
    projects = projects_allowing(requester=requester, action=Action.AUDIT_LOG_READ)
    return AuditEvent.objects.filter(project_id__in=projects.order_by().values("pk"))


def memberships_visible_to(requester: Requester) -> QuerySet[Membership]:
    """The people and the machine identities of every project in which the requester may read them."""
    members = projects_allowing(requester=requester, action=Action.MEMBERS_READ)
    identities = projects_allowing(requester=requester, action=Action.IDENTITIES_READ)
    return Membership.objects.filter(
        Q(user__isnull=False, project__in=members) | Q(identity__isnull=False, project__in=identities)
    )


def user_memberships(*, requester: Requester, project_id: UUID) -> QuerySet[Membership]:
    """The people of a project with their roles. Raises NotFound, PermissionDenied. One query before the rows."""
    require(requester=requester, action=Action.MEMBERS_READ, project_id=project_id)
    return Membership.objects.filter(project_id=project_id, user__isnull=False).select_related("user")


def identity_memberships(*, requester: Requester, project_id: UUID) -> QuerySet[Membership]:
    """The machine identities of a project with their roles. Raises NotFound, PermissionDenied. One query before the
    rows.
    """
    require(requester=requester, action=Action.IDENTITIES_READ, project_id=project_id)
    return Membership.objects.filter(project_id=project_id, identity__isnull=False).select_related("identity")


def get_user_membership(*, requester: Requester, project_id: UUID, membership_id: UUID) -> Membership:
    """One person's role. Raises NotFound, PermissionDenied."""
    membership = user_memberships(requester=requester, project_id=project_id).filter(pk=membership_id).first()
    if membership is None:
        raise NotFound(f"Membership {membership_id} was not found.")
    return membership


def get_identity_membership(*, requester: Requester, project_id: UUID, identity_id: UUID) -> Membership:
    """One machine identity's role. Raises NotFound, PermissionDenied."""
    rows = identity_memberships(requester=requester, project_id=project_id)
    membership = rows.filter(identity_id=identity_id).first()
    if membership is None:
        raise NotFound(f"Machine identity {identity_id} is not in this project.")
    return membership
