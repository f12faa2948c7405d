"""Templates and profiles as lists."""

from django.db.models import Q, QuerySet

from pki_portal.access.models import Project
from pki_portal.access.permissions import Action, require
from pki_portal.access.requester import Requester
from profiles.models import CertificateProfile, CertificateTemplate


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
