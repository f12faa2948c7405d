"""Writing and finding versions of templates and profiles."""

from typing import NamedTuple
from uuid import UUID

from django.db.models import Subquery
from django.utils import timezone

from pki_portal.access.remembering import Scope, remembered
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


def find_judging_versions(profile: CertificateProfile) -> tuple[UUID | None, UUID | None]:
    """Ids of the versions that ``profile`` and its template are as they were loaded. One query."""
    return _versions_of(profile.pk, rules_as_loaded(profile))


@remembered(Scope.RULES)
def _versions_of(profile_id: UUID, rules: "RulesInForce") -> tuple[UUID | None, UUID | None]:
    of_profile = ProfileVersion.objects.filter(profile_id=profile_id, number=rules.profile_version)
    of_template = TemplateVersion.objects.filter(template_id=rules.template_id, number=rules.template_version)
    return of_profile.values_list("pk", Subquery(of_template.values("pk"))).order_by().first() or (None, None)


class RulesInForce(NamedTuple):
    """Which version of a profile judges, by which version of which template."""

    profile_version: int
    template_id: UUID
    template_version: int


def rules_as_loaded(profile: CertificateProfile) -> RulesInForce:
    """Those of the row in memory."""
    return RulesInForce(profile.version, profile.template_id, profile.template.version)


@remembered(Scope.RULES)
def rules_in_force(profile_id: UUID) -> RulesInForce | None:
    """Those that stand now; None where the profile is gone. One query."""
    row = (
        CertificateProfile.objects.filter(pk=profile_id)
        .order_by()
        .values_list("version", "template_id", "template__version")
        .first()
    )
    return None if row is None else RulesInForce(*row)


def _keep(version: Version, row: CertificateTemplate | CertificateProfile, requester: Requester) -> None:
    version.project_id = row.project_id
    version.number = row.version
    version.document = row.document()
    version.author_kind, version.author_id, version.author_name = requester.kind, requester.id, requester.name
    version.created_at = timezone.now()
    version.save()
