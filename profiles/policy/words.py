"""The rules of a template as sentences that people read, and what is said of a request in their words."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Final

from profiles.policy.rules import TemplateRules, UsageRule, ValueRule
from profiles.policy.vocabulary import (
    BasicConstraintsState,
    ExtendedKeyUsage,
    KeyAlgorithm,
    KeyUsage,
    NameType,
    Purpose,
    SubjectAttribute,
)
from profiles.policy.wording import a, duration, listed, shown

_ANYTHING = "*"
_MOST_SHOWN = 10
_PLURALS: Final[Mapping[str, str]] = {
    NameType.DNS_NAME: "DNS names",
    NameType.IP_ADDRESS: "IP addresses",
    NameType.EMAIL: "email addresses",
    NameType.URI: "URIs",
    NameType.UPN: "user principal names",
}
_ABBREVIATIONS: Final[Mapping[str, str]] = {
    "crl_sign": "CRL sign",
    "ocsp_signing": "OCSP signing",
    "EC_prime256v1": "ECDSA P-256",
    "EC_secp384r1": "ECDSA P-384",
    "EC_secp521r1": "ECDSA P-521",
    "ED25519": "Ed25519",
    "dns_name": "DNS name",
    "ip_address": "IP address",
    "uri SAN": "URI SAN",
    "upn SAN": "UPN SAN",
    "notBefore": "validity start",
    "notAfter": "validity end",
}
_FIELDS: Final = (
    *("key_usages", "extended_key_usages", "key_algorithm", "signature_algorithm", "path_length", "max_count"),
    *("subject_alternative_names", "basic_constraints"),
)
_VOCABULARY: Final = {
    str(word)
    for word in (*SubjectAttribute, *NameType, *KeyUsage, *ExtendedKeyUsage, *KeyAlgorithm, *_ABBREVIATIONS, *_FIELDS)
    if "_" in word or word in _ABBREVIATIONS
}
# What stands in quotation marks was asked by somebody, in these very letters.
_QUOTED_OR_WORD: Final = re.compile(rf'"[^"]*"|\b(?:{"|".join(sorted(_VOCABULARY, reverse=True))})\b')


def in_words(rules: TemplateRules) -> tuple[str, ...]:
    """Sentences that say together what the rules say, in the order of the editor."""
    return (
        *_subject(rules.subject),
        *_names(rules.subject_alternative_names),
        *_usages("key usage", rules.key_usages),
        *_usages("extended key usage", rules.extended_key_usages),
        _algorithms("key algorithm", "Keys", rules.key_algorithms),
        _algorithms("signature algorithm", "Signatures", rules.signature_algorithms),
        *_validity(rules),
        _authorities(rules),
    )


def in_plain_words(text: str) -> str:
    """What is said of a request, with the vocabulary's names (``EC_prime256v1``) in words; values stay as they are.

    Programs send and read those names, so that violations are told in them.
    """
    return _QUOTED_OR_WORD.sub(lambda found: found[0] if found[0].startswith('"') else _spoken(found[0]), text)


def _subject(rules: Mapping[SubjectAttribute, ValueRule]) -> Iterator[str]:
    if not rules:
        yield "No subject attributes."
        return
    for kind, rule in rules.items():
        noun = _spoken(kind)
        yield _sentence(_attribute(noun, rule), _but(rule), _most(rule))
    yield "No other subject attributes."


def _attribute(noun: str, rule: ValueRule) -> str:
    if not rule.required:
        free = not rule.allowed or _ANYTHING in rule.allowed
        return f"{a(noun)} may be anything" if free else f"{a(noun)} must match {_either(rule.allowed)}"
    if _ANYTHING in rule.required:
        return f"{a(noun)} is required and may be anything"
    if not rule.allowed:
        return f"{a(noun)} is required and must match {_either(rule.required)}"
    others = "may be anything" if _ANYTHING in rule.allowed else f"must match {_either(rule.allowed)}"
    return f"{a(noun)} that matches {_either(rule.required)} is required; another one beside it {others}"


def _names(rules: Mapping[NameType, ValueRule]) -> Iterator[str]:
    for kind, rule in rules.items():
        yield _sentence(*_names_of(_plural(kind), rule), _but(rule), _most(rule))
    others = [_plural(kind) for kind in NameType if kind not in rules]
    if others:
        yield f"No {_one_of(others)}."


def _names_of(plural: str, rule: ValueRule) -> Iterator[str]:
    permitted = tuple(dict.fromkeys((*rule.allowed, *rule.required)))
    if not rule.allowed or _ANYTHING in permitted:
        yield f"{plural} may be anything"
    else:
        yield f"{plural} must match {_either(permitted)}"
    for pattern in rule.required:
        yield "at least one is required" if pattern == _ANYTHING else f"one that matches {shown(pattern)} is required"


def _usages(noun: str, rule: UsageRule[KeyUsage] | UsageRule[Purpose] | None) -> Iterator[str]:
    if rule is None:
        yield f"No {noun}s."
        return
    said = [
        f"{', '.join(map(_spoken, usages))} {how}"
        for usages, how in ((rule.required, "always"), (rule.allowed, "if asked for"), (rule.denied, "never"))
        if usages
    ]
    yield f"{noun.capitalize()}s: {'; '.join(said)}."


def _algorithms(noun: str, plural: str, algorithms: tuple[StrEnum, ...] | None) -> str:
    if algorithms is None:
        return f"The {noun} is not for the applicant to choose."
    return f"{plural}: {_one_of(map(_spoken, algorithms))}."


def _validity(rules: TemplateRules) -> Iterator[str]:
    if rules.min_validity is not None:
        yield f"At least {_length(rules.min_validity)}."
    if rules.max_validity is None:
        yield "As long as the CA itself is valid."
    else:
        yield f"At most {_length(rules.max_validity)}."


def _authorities(rules: TemplateRules) -> str:
    longest = rules.basic_constraints.max_path_length
    path = "" if longest is None else f", with a path length of at most {longest}"
    return {
        BasicConstraintsState.DENIED: "Never for a CA.",
        BasicConstraintsState.ALLOWED: f"For a CA too{path}.",
        BasicConstraintsState.REQUIRED: f"For CAs alone{path}.",
    }[rules.basic_constraints.state]


def _but(rule: ValueRule) -> str:
    return f"never {_either(rule.denied)}" if rule.denied else ""


def _most(rule: ValueRule) -> str:
    return "" if rule.max_count is None else f"at most {rule.max_count}"


def _sentence(*parts: str) -> str:
    text = "; ".join(filter(None, parts))
    return f"{text[:1].upper()}{text[1:]}."


def _either(patterns: Iterable[str]) -> str:
    return _one_of(shown(pattern) for pattern in patterns)


def _one_of(words: Iterable[str]) -> str:
    every = list(words)
    if len(every) == 1 or len(every) > _MOST_SHOWN:
        return listed(every, _MOST_SHOWN)
    return f"{', '.join(every[:-1])} or {every[-1]}"


def _plural(kind: str) -> str:
    return _PLURALS.get(kind, f"{_spoken(kind)}s")


def _spoken(word: str) -> str:
    return _ABBREVIATIONS.get(word) or str(word).replace("_", " ")


def _length(life: timedelta) -> str:
    for unit, noun in ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute")):
        if not life % unit:
            number = life // unit
            return f"{number} {noun}{'' if number == 1 else 's'}"
    return duration(life)
