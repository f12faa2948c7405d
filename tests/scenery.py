"""What the cast acts on: a CA, a template and a profile, ready to issue."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from certificates.services.authorities import AuthoritySubject, create_root
from pki_portal.access.models import Project
from profiles.enrollment import EnrollmentMethod
from profiles.models import CertificateProfile
from profiles.policy.vocabulary import IssuerType, KeyAlgorithm
from profiles.services import ApiSettings, TemplateDocument, create_profile, create_template
from tests.factories import SYSTEM


def server_template(**changes: Any) -> TemplateDocument:
    """A template for web servers that leaves every name and key algorithm open."""
    document: dict[str, Any] = {
        "name": "server",
        "subject": [{"type": "common_name", "allowed": ["*"]}, {"type": "organization", "allowed": ["*"]}],
        "sans": [{"type": kind, "allowed": ["*"]} for kind in ("dns_name", "ip_address", "email", "uri")],
        "key_usages": {"required": ["digital_signature"], "allowed": ["key_encipherment"]},
        "extended_key_usages": {"required": ["server_auth"]},
        "validity": {"max": "398d"},
    }
    return TemplateDocument(**(document | changes))


def make_issuing_profile(
    project: Project,
    *,
    slug: str = "server",
    authority_key: KeyAlgorithm = KeyAlgorithm.EC_PRIME256V1,
    authority_life: timedelta = timedelta(days=3650),
    is_self_signed: bool = False,
    **template_changes: Any,
) -> CertificateProfile:
    """An API profile with a template and a root of its own; certificates renew 7 days before their end."""
    authority = None
    if not is_self_signed:
        authority = create_root(
            requester=SYSTEM,
            project=project,
            name=f"{slug}-root",
            subject=AuthoritySubject(common_name=f"{slug} root", organization="Acme"),
            key_algorithm=authority_key,
            not_after=timezone.now() + authority_life,
        )
    template = create_template(
        requester=SYSTEM, project=project, document=server_template(name=slug, **template_changes)
    )
    return create_profile(
        requester=SYSTEM,
        project=project,
        slug=slug,
        certificate_authority_id=authority.pk if authority else None,
        template_id=template.pk,
        enrollment_method=EnrollmentMethod.API,
        issuer_type=IssuerType.CA if authority else IssuerType.SELF_SIGNED,
        api=ApiSettings(auto_renew=True, renew_before_days=7),
    )
