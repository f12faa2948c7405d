"""The certificate of an OCSP responder: what it may say, decided like any other."""

from datetime import datetime, timedelta
from typing import Final

from profiles.policy.decide import decide
from profiles.policy.plan import IssuancePlan
from profiles.policy.request import AttributeValue, IssuanceRequest, IssuerFacts
from profiles.policy.rules import ProfileDefaults, TemplateRules, UsageRule, ValueRule
from profiles.policy.vocabulary import (
    ExtendedKeyUsage,
    KeyAlgorithm,
    KeyFamily,
    KeyUsage,
    SubjectAttribute,
)

# Short, for nobody can ask whether it was revoked (RFC 6960, 4.2.2.2.1).
RESPONDER_LIFE: Final = timedelta(days=14)

_RULES: Final = TemplateRules(
    subject={SubjectAttribute.COMMON_NAME: ValueRule(allowed=("*",))},
    key_usages=UsageRule(required=(KeyUsage.DIGITAL_SIGNATURE,)),
    # RFC 6960, 4.2.2.2: what makes it a responder for the CA that signed it.
    extended_key_usages=UsageRule(required=(ExtendedKeyUsage.OCSP_SIGNING,)),
    max_validity=RESPONDER_LIFE,
)


def decide_responder(*, name: str, issuer: IssuerFacts, now: datetime) -> IssuancePlan:
    """The plan of a responder's certificate, for a key that is to be made: two weeks, or until the CA's end.

    Args:
        name: common name.
        issuer: the CA's key whose certificates it answers for; its ``is_active`` is what the caller makes of it.

    Raises:
        PolicyViolation: refused, with every violation: the CA's certificate has ended or has not begun.
    """
    request = IssuanceRequest(
        subject=(AttributeValue(SubjectAttribute.COMMON_NAME, name),),
        key_algorithm=None,
        not_before=max(now.replace(microsecond=0), issuer.not_before),
        not_after=min(now.replace(microsecond=0) + RESPONDER_LIFE, issuer.not_after),
    )
    defaults = ProfileDefaults(key_algorithm=responder_key_algorithm(issuer))
    return decide(rules=_RULES, defaults=defaults, request=request, issuer=issuer, now=now).granted()


def responder_key_algorithm(issuer: IssuerFacts) -> KeyAlgorithm:
    """A key of the CA's own kind, which whoever verifies the CA can verify; of RSA the smallest, for it signs often."""
    if issuer.key_family is KeyFamily.RSA:
        return KeyAlgorithm.RSA_2048
    known = {algorithm.value: algorithm for algorithm in KeyAlgorithm}
    return known.get(issuer.key_algorithm, KeyAlgorithm.EC_PRIME256V1)
