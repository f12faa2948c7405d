"""Templates that cannot be meant: rules that nothing can meet, told before they are saved.

Only what is certain is refused here. A template stored before a check came is still read, and judges as it says.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Final

from profiles.policy import names
from profiles.policy.documents import Defects
from profiles.policy.errors import Code
from profiles.policy.judges.usages import fits
from profiles.policy.request import GeneralName
from profiles.policy.rules import TemplateRules, UsageRule, ValueRule
from profiles.policy.vocabulary import BasicConstraintsState, KeyAlgorithm, KeyUsage, NameType, SubjectAttribute
from profiles.policy.wording import duration, listed

# What may stand in a value beside what a wildcard stands for, in the form that patterns are compared in.
_LITERALS: Final[Mapping[NameType | SubjectAttribute, re.Pattern[str]]] = {
    NameType.DNS_NAME: re.compile(r"[a-z0-9.-]*"),
    NameType.IP_ADDRESS: re.compile(r"[0-9a-f.:]*"),
    NameType.EMAIL: re.compile(r"[a-z0-9!#$%&'+/=?^_`{|}~.@-]*"),
    NameType.URI: re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()+,;=%-]*"),
    SubjectAttribute.COUNTRY: re.compile(r"[a-z]{0,2}"),
    SubjectAttribute.DOMAIN_COMPONENT: re.compile(r"[a-z0-9-]{0,63}"),
    SubjectAttribute.SERIAL_NUMBER: re.compile(r"[a-z0-9 '()+,./:=?-]{0,64}"),
}
_MAILBOX_LITERALS: Final = _LITERALS[NameType.EMAIL]


def contradictions(rules: TemplateRules) -> Defects:
    """What no request can meet, each with its place in the template's document."""
    defects = Defects()
    # A document that could be read has its entries in the order of the rules.
    for index, (attribute, rule) in enumerate(rules.subject.items()):
        _judge_values(defects, f"subject/{index}", attribute, rule)
    for index, (kind, rule) in enumerate(rules.subject_alternative_names.items()):
        _judge_values(defects, f"sans/{index}", kind, rule)
    if rules.min_validity and rules.max_validity and rules.min_validity > rules.max_validity:
        _refuse(defects, "validity/min", duration(rules.min_validity), f"at most {duration(rules.max_validity)}")
    if rules.key_usages is not None:
        _judge_key_usages(defects, rules, rules.key_usages)
    return defects


def refuse_contradictions(rules: TemplateRules) -> None:
    """Returns where some request can meet the rules, as far as can be told. Raises RuleError with every defect."""
    contradictions(rules).raise_any()


def _refuse(defects: Defects, path: str, asked: str, allowed: str) -> None:
    defects.add(path, asked, allowed, code=Code.IMPOSSIBLE_RULE)


def _judge_values(defects: Defects, path: str, kind: SubjectAttribute | NameType, rule: ValueRule) -> None:
    for name, patterns in (("allowed", rule.allowed), ("required", rule.required)):
        for index, pattern in enumerate(patterns):
            if not _can_match(pattern, kind):
                _refuse(defects, f"{path}/{name}/{index}", pattern, f"a pattern that some {kind} can match")
    denied = {pattern: _denial_of(pattern, rule, kind) for pattern in (*rule.required, *rule.allowed)}
    dead_required = [index for index, pattern in enumerate(rule.required) if denied[pattern]]
    # Each required name must be there, but of a subject attribute one of the required values is enough.
    if isinstance(kind, NameType) or len(dead_required) == len(rule.required):
        for index in dead_required:
            by = denied[rule.required[index]]
            _refuse(defects, f"{path}/required/{index}", rule.required[index], f'a value that "{by}" does not deny')
    if rule.allowed and all(denied.values()):
        _refuse(defects, f"{path}/denied", listed(rule.denied), "patterns that leave some allowed value")
    literal = {pattern for pattern in rule.required if not names.is_wildcard(pattern) and not names.is_network(pattern)}
    distinct = {_folded(pattern, kind) for pattern in literal}
    if isinstance(kind, NameType) and rule.max_count is not None and len(distinct) > rule.max_count:
        _refuse(
            defects, f"{path}/max_count", str(rule.max_count), f"at least {len(distinct)}, for so many are required"
        )


def _folded(pattern: str, kind: SubjectAttribute | NameType) -> str:
    return "*".join(names.pieces(pattern, kind))


def _can_match(pattern: str, kind: SubjectAttribute | NameType) -> bool:
    """False where no value can match for certain."""
    if names.is_network(pattern) and kind is NameType.IP_ADDRESS:
        return True
    pieces = names.pieces(pattern, kind)
    text = "".join(pieces)
    if isinstance(kind, NameType) and len(pieces) == 1:
        try:
            names.normalise(GeneralName(kind, text))
        except names.InvalidName:
            return False
        return True
    allowed = _MAILBOX_LITERALS if kind is SubjectAttribute.EMAIL else _LITERALS.get(kind)
    if allowed is not None and not allowed.fullmatch(text):
        return False
    if kind is SubjectAttribute.COUNTRY and len(pieces) == 1:
        return len(text) == 2
    if kind is NameType.DNS_NAME:
        return not any(".." in piece for piece in pieces) and not pieces[0].startswith((".", "-"))
    if kind in {NameType.EMAIL, NameType.UPN, SubjectAttribute.EMAIL}:
        return text.count("@") <= 1 if len(pieces) > 1 else text.count("@") == 1
    return True


def _denial_of(pattern: str, rule: ValueRule, kind: SubjectAttribute | NameType) -> str:
    """The denied pattern that denies all that this one matches; empty where none does for certain."""
    return next((denied for denied in rule.denied if _covers(denied, pattern, kind)), "")


def _covers(denied: str, pattern: str, kind: SubjectAttribute | NameType) -> bool:
    if kind is NameType.IP_ADDRESS and names.is_network(denied):
        return _network_covers(denied, pattern)
    # A wildcard of the denied pattern takes in those of the other; its literal parts hold none.
    return names.matches_text(denied, _folded(pattern, kind), kind)


def _network_covers(denied: str, pattern: str) -> bool:
    try:
        inner, outer = (ipaddress.ip_network(text, strict=False) for text in (pattern, denied))
    except ValueError:
        return False
    if isinstance(inner, ipaddress.IPv4Network) and isinstance(outer, ipaddress.IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, ipaddress.IPv6Network) and isinstance(outer, ipaddress.IPv6Network):
        return inner.subnet_of(outer)
    return False


def _judge_key_usages(defects: Defects, rules: TemplateRules, rule: UsageRule[KeyUsage]) -> None:
    path, required = "key_usages/required", set(rule.required)
    for reason in _impossible_usages(rules, rule, required):
        _refuse(defects, path, listed(rule.required), reason)
    if rules.basic_constraints.state is BasicConstraintsState.REQUIRED and not _permits(rule, KeyUsage.KEY_CERT_SIGN):
        _refuse(defects, "key_usages", "no key_cert_sign", "key_cert_sign, which every certificate for a CA has")


def _impossible_usages(rules: TemplateRules, rule: UsageRule[KeyUsage], required: set[KeyUsage]) -> Iterator[str]:
    if {KeyUsage.ENCIPHER_ONLY, KeyUsage.DECIPHER_ONLY} <= required:
        yield "encipher_only or decipher_only, which exclude each other"
    elif required & {KeyUsage.ENCIPHER_ONLY, KeyUsage.DECIPHER_ONLY} and not _permits(rule, KeyUsage.KEY_AGREEMENT):
        yield "key_agreement too, without which encipher_only and decipher_only mean nothing"
    for_cas = required & {KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN}
    if for_cas and rules.basic_constraints.state is BasicConstraintsState.DENIED:
        yield f"usages for end entities, or basic constraints that allow CAs: {listed(sorted(for_cas))} is for CAs"
    offered = rules.key_algorithms if rules.key_algorithms is not None else tuple(KeyAlgorithm)
    if not any(all(fits(usage, algorithm) for usage in required) for algorithm in offered):
        yield f"usages that one of the keys has: {listed(offered)}"


def _permits(rule: UsageRule[KeyUsage], usage: KeyUsage) -> bool:
    if usage in rule.denied:
        return False
    return usage in (*rule.allowed, *rule.required) or not (rule.allowed or rule.required)
