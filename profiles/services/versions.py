"""Writing and finding versions of templates and profiles."""

from django.utils import timezone

from pki_portal.access.requester import Requester
from profiles.models import CertificateProfile, CertificateTemplate, ProfileVersion, TemplateVersion
from profiles.models.version import Version


def keep_template_version(template: CertificateTemplate, *, requester: Requester) -> None:
    """Store what a template says as the version of its number, in the caller's transaction, which holds its row."""
    _keep(TemplateVersion(template_id=template.pk, name=template.name), template, requester)


def keep_profile_version(profile: CertificateProfile, *, requester: Requester) -> None:
    """Store what a profile says as the version of its number, in the caller's transaction, which holds its row.

    At most five queries more: CA, template and settings are read unless ``profile`` has them.
    """
    _keep(ProfileVersion(profile_id=profile.pk, name=profile.slug), profile, requester)


def _keep(version: Version, row: CertificateTemplate | CertificateProfile, requester: Requester) -> None:
    version.project_id = row.project_id
    version.number = row.version
    version.document = row.document()
    version.author_kind, version.author_id, version.author_name = requester.kind, requester.id, requester.name
    version.created_at = timezone.now()
    version.save()
