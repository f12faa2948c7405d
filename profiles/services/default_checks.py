"""Do a profile's defaults pass its own template?"""

from dataclasses import replace
from datetime import datetime

from pki_portal.errors import Violation
from profiles.models import CertificateProfile
from profiles.policy.decide import decide
from profiles.policy.request import IssuanceRequest, IssuerFacts
from profiles.policy.rules import DOMAIN_COMPONENTS, ProfileDefaults
from profiles.policy.vocabulary import IssuerType
from profiles.usage import usage

# Of what `decide` speaks of under another name than the defaults have.
_NAMES = {"not_before": "ttl", "not_after": "ttl", "domain_component": DOMAIN_COMPONENTS}


def default_violations(profile: CertificateProfile, *, now: datetime) -> list[Violation]:
    """What a request that names nothing would be refused for because of the defaults; ``defaults/...`` as fields.

    The evaluator's own verdict, with the defaults and without; no rule is known here. A CA that has no certificate yet
    cannot be judged, so nothing is found. Reads the CA, and the template unless it is loaded.
    """
    issuer = None
    if profile.issuer_type == IssuerType.CA and profile.certificate_authority_id is not None:
        issuer = usage().issuer_facts(authority_id=profile.certificate_authority_id)
        if issuer is None:
            return []
    defaults = profile.profile_defaults()
    without = _violations(profile, ProfileDefaults(), issuer, now)
    return [
        replace(violation, field=_field_of(violation.field))
        for violation in _violations(profile, defaults, issuer, now)
        if violation not in without
    ]


def _violations(
    profile: CertificateProfile, defaults: ProfileDefaults, issuer: IssuerFacts | None, now: datetime
) -> tuple[Violation, ...]:
    return decide(
        rules=profile.template.rules(), defaults=defaults, request=IssuanceRequest(), issuer=issuer, now=now
    ).violations


def _field_of(path: str) -> str:
    first, _, rest = path.partition("/")
    name = rest if first == "subject" else first
    return f"defaults/{_NAMES.get(name, name)}"
