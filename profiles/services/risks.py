"""The risks of stored templates and profiles, with what stands in other rows."""

from datetime import datetime

from profiles.models import CertificateProfile, CertificateTemplate
from profiles.policy.risks import Risk, risks_of
from profiles.usage import usage


def template_risks(template: CertificateTemplate, *, now: datetime) -> tuple[Risk, ...]:
    """Of its rules, of its profiles and of the first of their CAs to end."""
    profiles = list(template.certificate_profiles.all())
    ends = [
        facts.not_after
        for authority_id in {profile.certificate_authority_id for profile in profiles}
        if authority_id is not None and (facts := usage().issuer_facts(authority_id=authority_id)) is not None
    ]
    return risks_of(
        template.rules(),
        issuer_ends=min(ends, default=None),
        now=now,
        profile_count=len(profiles),
        is_approved=bool(profiles) and len(usage().profiles_that_wait(profiles=profiles)) == len(profiles),
    )


def profile_risks(profile: CertificateProfile, *, now: datetime) -> tuple[Risk, ...]:
    """What the profile adds to the risks of its template; reads the CA."""
    authority_id, rules = profile.certificate_authority_id, profile.template.rules()
    facts = None if authority_id is None else usage().issuer_facts(authority_id=authority_id)
    found = risks_of(
        rules, defaults=profile.profile_defaults(), issuer_ends=facts.not_after if facts else None, now=now
    )
    of_template = set(risks_of(rules, now=now))
    return tuple(risk for risk in found if risk not in of_template)
