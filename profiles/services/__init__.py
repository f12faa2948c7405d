"""Templates and profiles: every change to them, whichever door asks."""

from profiles.services.default_checks import default_violations
from profiles.services.previews import renewals_lost
from profiles.services.profiles import (
    MoveTo,
    create_profile,
    delete_profile,
    find_est_enrollment,
    find_profile,
    find_profile_by_slug,
    preview_profile,
    profile_by_id,
    update_profile,
)
from profiles.services.risks import profile_risks, template_risks
from profiles.services.settings import AcmeSettings, ApiSettings, EstSettings
from profiles.services.templates import (
    TemplateDocument,
    create_template,
    delete_template,
    find_template,
    preview_template,
    read_rules,
    update_template,
)

__all__ = [
    "AcmeSettings",
    "ApiSettings",
    "EstSettings",
    "MoveTo",
    "TemplateDocument",
    "create_profile",
    "create_template",
    "default_violations",
    "delete_profile",
    "delete_template",
    "find_est_enrollment",
    "find_profile",
    "find_profile_by_slug",
    "find_template",
    "preview_profile",
    "preview_template",
    "profile_by_id",
    "profile_risks",
    "read_rules",
    "renewals_lost",
    "template_risks",
    "update_profile",
    "update_template",
]
