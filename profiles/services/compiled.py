"""The rules of a profile in the form that judges."""

from dataclasses import dataclass

from pki_portal.access.remembering import Scope, remembered
from profiles.models import CertificateProfile
from profiles.policy.rules import ProfileDefaults, TemplateRules
from profiles.policy.waivers import LintWaiver
from profiles.services.versions import RulesInForce, rules_as_loaded


@dataclass(frozen=True, slots=True)
class CompiledRules:
    """What a profile and its template say, as values of the policy. Shared: nobody changes it."""

    rules: TemplateRules
    defaults: ProfileDefaults
    waivers: tuple[LintWaiver, ...]


def compiled_rules_of(profile: CertificateProfile) -> CompiledRules:
    """Of the row in memory, which has its template; no query."""
    return _compiled(rules_as_loaded(profile), profile)


@remembered(Scope.RULES)
def _compiled(_versions: RulesInForce, profile: CertificateProfile) -> CompiledRules:
    """The versions are there for the memory, which knows rows by their ids alone."""
    return CompiledRules(profile.template.rules(), profile.profile_defaults(), profile.waivers())
