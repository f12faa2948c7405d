"""What a template or profile allows that few mean to allow, with the way out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from profiles.policy.decide import decide
from profiles.policy.request import AttributeValue, GeneralName, IssuanceRequest
from profiles.policy.rules import ProfileDefaults, TemplateRules
from profiles.policy.vocabulary import BasicConstraintsState, ExtendedKeyUsage, KeyAlgorithm, NameType, SubjectAttribute
from profiles.policy.wording import duration, time

# CA/Browser Forum, Baseline Requirements, 6.3.2.
LONGEST_SERVER_LIFE: Final = timedelta(days=398)
# NIST SP 800-57 part 1, table 4: what has 112 bits of security is for use up to 2030.
END_OF_112_BITS: Final = datetime(2031, 1, 1, tzinfo=UTC)
WEAK_KEYS: Final = frozenset({KeyAlgorithm.RSA_2048})
# Where nothing depends on the day.
_SOME_DAY: Final = datetime(2026, 1, 1, tzinfo=UTC)

_STRANGERS: Final[dict[str, tuple[str, str]]] = {
    NameType.DNS_NAME: ("host.example.com", "another.test"),
    NameType.IP_ADDRESS: ("1.2.3.4", "192.0.2.1"),
    NameType.EMAIL: ("someone@example.com", "other@another.test"),
    NameType.URI: ("https://host.example.com/one", "https://another.test/two"),
    NameType.UPN: ("someone@example.com", "other@another.test"),
}
# Client authentication by whatever name: a domain's controllers take the other two for a login (MS-PKCA; RFC 4556).
_LOGINS: Final = frozenset({ExtendedKeyUsage.CLIENT_AUTH, "1.3.6.1.4.1.311.20.2.2", "1.3.6.1.5.2.3.4"})
_STRANGE_NAMES: Final = ("host.example.com", "Somebody Else")
_STRANGE_WILDCARDS: Final = ("*.example.com", "*.another.test")


class RiskCode(StrEnum):
    """What is risky, stable: programs may depend on these."""

    ANY_NAME_FOR_CLIENTS = "any_name_for_clients"
    CA_ALLOWED = "ca_allowed"
    ANY_WILDCARD = "any_wildcard"
    LONG_SERVER_LIFE = "long_server_life"
    WEAK_ALGORITHM = "weak_algorithm"
    UNUSED = "unused"
    CA_ENDS_BEFORE_DEFAULT = "ca_ends_before_default"
    CA_ENDS_BEFORE_LONGEST = "ca_ends_before_longest"


@dataclass(frozen=True, slots=True)
class Risk:
    """One of them: ``reason`` says why it is one, ``remedy`` what would take it away; both are sentences."""

    code: RiskCode
    reason: str
    remedy: str


def risks_of(
    rules: TemplateRules,
    *,
    defaults: ProfileDefaults | None = None,
    issuer_ends: datetime | None = None,
    now: datetime | None = None,
    profile_count: int | None = None,
    is_approved: bool = False,
) -> tuple[Risk, ...]:
    """Every risk that can be told from what is given; what is None is not looked at.

    Which names pass is asked of :func:`decide`, not read from the patterns. Weak are algorithms of 112 bits of security
    (RSA 2048) in certificates that can live past 2030 (NIST SP 800-57 part 1, table 4), told where ``now`` is given;
    what is weaker than that no template can name.

    Args:
        issuer_ends: end of the CA's current certificate, aware UTC; of several CAs the first to end.
        now: aware UTC.
        profile_count: how many profiles use the template.
        is_approved: no request by these rules is granted before somebody else agreed to it.
    """
    return (
        *_names(rules, is_approved=is_approved),
        *_authorities(rules),
        *_life(rules),
        *_algorithms(rules, now),
        *_end_of_issuer(rules, defaults, issuer_ends, now),
        *_use(profile_count),
    )


def _names(rules: TemplateRules, *, is_approved: bool) -> Iterator[Risk]:
    if not is_approved and _may_authenticate_clients(rules) and _takes_any_name(rules):
        yield Risk(
            RiskCode.ANY_NAME_FOR_CLIENTS,
            "Whoever may issue can take the name of anybody else without approval, and the certificate logs in as them:"
            " its extended key usages can be client_auth or smart card logon, or none, which limits it to nothing.",
            "Narrow the names to your own, as in *.acme.com, require extended key usages that log nobody in, or"
            " have requests at every profile with this template wait for approval.",
        )
    if _takes_names(rules, NameType.DNS_NAME, _STRANGE_WILDCARDS):
        yield Risk(
            RiskCode.ANY_WILDCARD,
            "A certificate for *.example.com, of whatever domain, can be asked for: one key then stands for every host"
            " of that domain.",
            "Narrow the DNS names to your own: allow *.acme.com and the like.",
        )


def _may_authenticate_clients(rules: TemplateRules) -> bool:
    usages = rules.extended_key_usages
    # Without the extension every purpose is allowed (RFC 5280, 4.2.1.12).
    return usages is None or not usages.required or not _LOGINS.isdisjoint((*usages.required, *usages.allowed))


def _takes_any_name(rules: TemplateRules) -> bool:
    common_names = [
        IssuanceRequest(subject=(AttributeValue(SubjectAttribute.COMMON_NAME, name),)) for name in _STRANGE_NAMES
    ]
    return all(_passes(rules, each, "subject/common_name") for each in common_names) or any(
        _takes_names(rules, kind, strangers) for kind, strangers in _STRANGERS.items()
    )


def _takes_names(rules: TemplateRules, kind: str, values: Sequence[str]) -> bool:
    requests = [IssuanceRequest(subject_alternative_names=(GeneralName(kind, value),)) for value in values]
    return all(_passes(rules, each, "subject_alternative_names/0") for each in requests)


def _passes(rules: TemplateRules, request: IssuanceRequest, field: str) -> bool:
    verdict = decide(rules=rules, defaults=ProfileDefaults(), request=request, issuer=None, now=_SOME_DAY)
    return all(violation.field != field for violation in verdict.violations)


def _authorities(rules: TemplateRules) -> Iterator[Risk]:
    if rules.basic_constraints.state is not BasicConstraintsState.DENIED:
        yield Risk(
            RiskCode.CA_ALLOWED,
            "A certificate for a CA can be asked for: its holder issues what it likes, and no rule here is asked.",
            "Set certificates for CAs to never, and make CAs under Authorities.",
        )


def _life(rules: TemplateRules) -> Iterator[Risk]:
    usages = rules.extended_key_usages
    if usages is None or ExtendedKeyUsage.SERVER_AUTH not in (*usages.required, *usages.allowed):
        return
    if rules.max_validity is None or rules.max_validity > LONGEST_SERVER_LIFE:
        longest = "as long as the CA" if rules.max_validity is None else duration(rules.max_validity)
        yield Risk(
            RiskCode.LONG_SERVER_LIFE,
            f"Certificates of servers may live {longest}: browsers refuse those of more than 398 days, and a stolen key"
            " is of use for as long.",
            "Set the longest validity to 398d or less.",
        )


def _algorithms(rules: TemplateRules, now: datetime | None) -> Iterator[Risk]:
    weak = [each for each in rules.key_algorithms or () if each in WEAK_KEYS]
    if not weak or now is None:
        return
    if rules.max_validity is None or rules.max_validity > END_OF_112_BITS - now:
        yield Risk(
            RiskCode.WEAK_ALGORITHM,
            f"Certificates with a key of {', '.join(weak)} may live past 2030, up to when 112 bits of security are"
            " held to be enough.",
            "Leave it out in favour of RSA_3072 or EC_prime256v1, or shorten the longest validity.",
        )


def _end_of_issuer(
    rules: TemplateRules, defaults: ProfileDefaults | None, issuer_ends: datetime | None, now: datetime | None
) -> Iterator[Risk]:
    if issuer_ends is None or now is None:
        return
    left = issuer_ends - now
    usual = defaults.ttl if defaults else None
    if usual is not None and usual > left:
        yield Risk(
            RiskCode.CA_ENDS_BEFORE_DEFAULT,
            f"The CA ends on {time(issuer_ends)}, before the usual validity of {duration(usual)} is over: a request"
            " that names none is refused.",
            "Renew the CA, shorten the usual validity, or move the profile to another CA.",
        )
    elif usual is None and rules.max_validity is not None and rules.max_validity > left:
        yield Risk(
            RiskCode.CA_ENDS_BEFORE_LONGEST,
            f"The CA ends on {time(issuer_ends)}, before the longest validity of {duration(rules.max_validity)} is"
            " over: a request for that much, or for none where the profile fills in none, is refused.",
            "Renew the CA, shorten the longest validity, or give the profile a usual validity.",
        )


def _use(profile_count: int | None) -> Iterator[Risk]:
    if profile_count == 0:
        yield Risk(
            RiskCode.UNUSED,
            "No profile uses this template: nothing is issued by it, and nobody sees what it would allow.",
            "Create a profile with it, or delete it.",
        )
