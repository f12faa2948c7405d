"""Rules, requests and CAs for the tests of the policy: good defaults, changed by keyword."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pki_portal.errors import Violation
from profiles.policy.decide import decide
from profiles.policy.errors import sentence
from profiles.policy.plan import Decision, IssuancePlan
from profiles.policy.request import (
    ApplicantKey,
    AttributeValue,
    GeneralName,
    IssuanceRequest,
    IssuerFacts,
)
from profiles.policy.rules import ProfileDefaults, TemplateRules
from profiles.policy.vocabulary import KeyAlgorithm, KeyFamily, NameType, SubjectAttribute

NOW = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)
SECOND = NOW.replace(microsecond=0)

RSA_CA = IssuerFacts(
    name="Acme RSA CA",
    key_family=KeyFamily.RSA,
    key_algorithm="RSA_3072",
    not_before=SECOND - timedelta(days=30),
    not_after=SECOND + timedelta(days=3650),
    path_length=0,
)
EC_CA = dataclasses.replace(RSA_CA, name="Acme EC CA", key_family=KeyFamily.EC, key_algorithm="EC_prime256v1")
ED25519_CA = dataclasses.replace(RSA_CA, name="Acme Ed CA", key_family=KeyFamily.ED25519, key_algorithm="ED25519")
ROOT_CA = dataclasses.replace(RSA_CA, name="Acme Root", path_length=None)

# The sample of the conformance check-list, lines 36 to 52.
SAMPLE: Mapping[str, object] = {
    "subject": [
        {"type": "common_name", "allowed": ["*.example.com", "example.com"]},
        {"type": "organization", "allowed": ["Example Corp", "Example Inc"], "denied": ["Bad Corp"]},
    ],
    "sans": [
        {"type": "dns_name", "allowed": ["*.example.com", "example.com"], "required": ["*.example.com"]},
        {"type": "email", "required": ["*@example.com"], "denied": ["root@example.com", "*@bad.example.com"]},
    ],
    "key_usages": {"required": ["digital_signature", "key_encipherment"], "allowed": ["data_encipherment"]},
    "extended_key_usages": {"required": ["server_auth"], "allowed": ["client_auth"]},
    "algorithms": {"signature": ["SHA256-RSA", "SHA384-RSA"], "key_algorithm": ["RSA-2048", "RSA-4096"]},
    "validity": {"max": "90d"},
}
# The quickstart's template for servers.
ANYTHING: Mapping[str, object] = {
    "subject": [{"type": kind.value, "allowed": ["*"]} for kind in SubjectAttribute],
    "sans": [{"type": kind.value, "allowed": ["*"]} for kind in NameType],
    "key_usages": {"allowed": ["digital_signature", "key_encipherment", "key_agreement"]},
    "extended_key_usages": {"allowed": ["server_auth", "client_auth"]},
    "algorithms": {
        "signature": ["SHA256-RSA", "SHA256-ECDSA", "SHA384-ECDSA", "ED25519"],
        "key_algorithm": ["ECDSA-P256", "RSA-2048", "RSA-3072", "ED25519"],
    },
    "validity": {"max": "398d"},
}


def rules_of(base: Mapping[str, object] = ANYTHING, **changes: object) -> TemplateRules:
    return TemplateRules.from_json({**base, **changes})


def subject(**values: str) -> tuple[AttributeValue, ...]:
    return tuple(AttributeValue(SubjectAttribute(kind), value) for kind, value in values.items())


def dns(*values: str) -> tuple[GeneralName, ...]:
    return names(NameType.DNS_NAME, *values)


def names(kind: NameType | str, *values: str) -> tuple[GeneralName, ...]:
    return tuple(GeneralName(kind, value) for value in values)


def make_request(**changes: Any) -> IssuanceRequest:
    """A request that the quickstart's template grants."""
    good: dict[str, Any] = {"subject": subject(common_name="service.acme.com"), "ttl": timedelta(days=30)}
    return IssuanceRequest(**{**good, **changes})


def make_key(algorithm: KeyAlgorithm | None = KeyAlgorithm.EC_PRIME256V1, **changes: Any) -> ApplicantKey:
    good: dict[str, Any] = {
        "subject_public_key_info": b"DER",
        "algorithm": algorithm,
        "description": algorithm.value if algorithm else "RSA 1024",
    }
    return ApplicantKey(**{**good, **changes})


def judge(
    rules: TemplateRules,
    request: IssuanceRequest,
    *,
    issuer: IssuerFacts | None = RSA_CA,
    defaults: ProfileDefaults | None = None,
    now: datetime = NOW,
) -> Decision:
    return decide(rules=rules, defaults=defaults or ProfileDefaults(), request=request, issuer=issuer, now=now)


def granted(
    rules: TemplateRules,
    request: IssuanceRequest,
    *,
    issuer: IssuerFacts | None = RSA_CA,
    defaults: ProfileDefaults | None = None,
) -> IssuancePlan:
    return judge(rules, request, issuer=issuer, defaults=defaults).granted()


def refused(
    rules: TemplateRules,
    request: IssuanceRequest,
    *,
    issuer: IssuerFacts | None = RSA_CA,
    defaults: ProfileDefaults | None = None,
    now: datetime = NOW,
) -> tuple[Violation, ...]:
    """The violations; there must be some, each complete."""
    decision = judge(rules, request, issuer=issuer, defaults=defaults, now=now)
    assert decision.plan is None
    assert decision.violations
    for violation in decision.violations:
        assert all((violation.field, violation.code, violation.rule, violation.asked, violation.allowed, violation.fix))
    return decision.violations


def found(violations: Sequence[Violation]) -> list[tuple[str, str]]:
    return [(violation.field, violation.code) for violation in violations]


def only(violations: Sequence[Violation]) -> Violation:
    assert len(violations) == 1, [sentence(violation) for violation in violations]
    return violations[0]
