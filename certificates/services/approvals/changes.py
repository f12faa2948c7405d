"""What of the rules changed since a request was judged."""

from dataclasses import dataclass
from typing import Literal

from certificates.models import CertificateRequest
from profiles.models import CertificateProfile, ProfileVersion, TemplateVersion
from profiles.models.version import Version


@dataclass(frozen=True, slots=True)
class VersionChange:
    """One of the two that judge: the version that judged the request, and the one of today."""

    rules: Literal["profile", "template"]
    before: Version
    after: Version


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
        found.append(VersionChange("profile", request.profile_version, now_profile))
    if now_template is not None and now_template != request.template_version:
        found.append(VersionChange("template", request.template_version, now_template))
    return tuple(found)
