"""What of the rules changed since a request was judged."""

from dataclasses import dataclass
from typing import Literal

from certificates.models import CertificateRequest
from profiles.models import CertificateProfile, ProfileVersion, TemplateVersion
from profiles.policy.difference import Difference, differences


@dataclass(frozen=True, slots=True)
class VersionChange:
    """One of the two, by the numbers of its versions and place by place."""

    rules: Literal["profile", "template"]
    before: int
    after: int
    differences: tuple[Difference, ...]


def changes_since(request: CertificateRequest) -> tuple[VersionChange, ...]:
    """From the versions that judged the request to those of today; none where nothing changed, or the profile is gone.

    At most four queries.
    """
    profile = CertificateProfile.objects.select_related("template").filter(certificate_requests=request).first()
    if profile is None or request.profile_version is None or request.template_version is None:
        return ()
    now_profile = ProfileVersion.objects.filter(profile_id=profile.pk, number=profile.version).first()
    now_template = TemplateVersion.objects.filter(
        template_id=profile.template_id, number=profile.template.version
    ).first()
    found = []
    if now_profile is not None and now_profile != request.profile_version:
        before = request.profile_version
        told = differences(before.document, now_profile.document)
        found.append(VersionChange("profile", before.number, now_profile.number, told))
    if now_template is not None and now_template != request.template_version:
        old = request.template_version
        told = differences(old.document, now_template.document)
        found.append(VersionChange("template", old.number, now_template.number, told))
    return tuple(found)
