"""Templates and profiles as lists, and their versions."""

from typing import TypeVar
from uuid import UUID

from django.db.models import Q, QuerySet

from pki_portal.access.models import Project
from pki_portal.access.permissions import Action, require
from pki_portal.access.requester import Requester
from pki_portal.errors import NotFound
from profiles.models import CertificateProfile, CertificateTemplate, ProfileVersion, TemplateVersion
from profiles.models.version import Version

V = TypeVar("V", bound=Version)


def templates_visible_to(requester: Requester, project: Project) -> QuerySet[CertificateTemplate]:
    """The templates of the project, newest first.

    Raises PermissionDenied or NotFound where the requester may not read them.
    """
    require(requester=requester, action=Action.CERTIFICATE_TEMPLATES_READ, project_id=project.pk)
    return CertificateTemplate.objects.filter(project=project)


def profiles_visible_to(requester: Requester, project: Project) -> QuerySet[CertificateProfile]:
    """The profiles of the project, newest first, with CA, template and enrollment settings in the same query.

    Raises PermissionDenied or NotFound where the requester may not read them.
    """
    require(requester=requester, action=Action.CERTIFICATE_PROFILES_READ, project_id=project.pk)
    return with_relations(CertificateProfile.objects.filter(project=project))


def with_relations(profiles: QuerySet[CertificateProfile]) -> QuerySet[CertificateProfile]:
    """Load what a profile is made of in the same query; absent enrollment settings cost no query either."""
    return profiles.select_related(
        "certificate_authority", "template", "api_enrollment", "est_enrollment", "acme_enrollment"
    )


def templates_matching(templates: QuerySet[CertificateTemplate], search: str) -> QuerySet[CertificateTemplate]:
    """Those whose name or description contains ``search``, in any case; all of them for an empty one."""
    return templates.filter(Q(name__icontains=search) | Q(description__icontains=search)) if search else templates


def profiles_matching(profiles: QuerySet[CertificateProfile], search: str) -> QuerySet[CertificateProfile]:
    """Those whose slug or description contains ``search``, in any case; all of them for an empty one."""
    return profiles.filter(Q(slug__icontains=search) | Q(description__icontains=search)) if search else profiles


def template_history(*, requester: Requester, template_id: UUID) -> QuerySet[TemplateVersion]:
    """The versions of a template, newest first, of one that is gone too.

    Raises NotFound (no such template ever, or one of a project that the requester is not in) or PermissionDenied.
    """
    versions: QuerySet[TemplateVersion] = TemplateVersion.objects.filter(template_id=template_id).order_by("-number")
    _require_readable(
        requester, versions, Action.CERTIFICATE_TEMPLATES_READ, f"Certificate template {template_id} was not found."
    )
    return versions


def profile_history(*, requester: Requester, profile_id: UUID) -> QuerySet[ProfileVersion]:
    """As :func:`template_history`, of a profile."""
    versions: QuerySet[ProfileVersion] = ProfileVersion.objects.filter(profile_id=profile_id).order_by("-number")
    _require_readable(
        requester, versions, Action.CERTIFICATE_PROFILES_READ, f"Certificate profile {profile_id} was not found."
    )
    return versions


def version_numbered(versions: QuerySet[V], number: int) -> V:
    """One of them. Raises NotFound."""
    version = versions.filter(number=number).first()
    if version is None:
        raise NotFound(f"There is no version {number}.")
    return version


def _require_readable(requester: Requester, versions: QuerySet[V], action: Action, missing: str) -> None:
    # All versions of one thing are of one project.
    project_id = versions.values_list("project_id", flat=True).first()
    if project_id is None:
        raise NotFound(missing)
    try:
        require(requester=requester, action=action, project_id=project_id)
    except NotFound:
        raise NotFound(missing) from None
