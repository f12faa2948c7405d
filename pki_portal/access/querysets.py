"""What a requester may see."""

from uuid import UUID

from django.db.models import Q, QuerySet

from pki_portal.access.models import MachineIdentity, Membership, Project
from pki_portal.access.permissions import Action, projects_allowing, projects_visible_to, require
from pki_portal.access.requester import Requester
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import NotFound


def identities_visible_to(requester: Requester) -> QuerySet[MachineIdentity]:
    """Identities of the projects in which the requester may read identities, those it made, and itself."""
    identities = MachineIdentity.objects.all()
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


def get_project_by_slug(*, requester: Requester, slug: str) -> Project:
    """The project of that slug, if the requester may read it; otherwise it does not exist for it: NotFound. One query."""
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
