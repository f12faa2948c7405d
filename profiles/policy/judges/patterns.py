"""One value against the lists of one rule, for subject attributes and alternative names alike."""

import difflib
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

from profiles.policy import names
from profiles.policy.errors import Code
from profiles.policy.judges.findings import Findings
from profiles.policy.request import AttributeValue, GeneralName
from profiles.policy.rules import ValueRule
from profiles.policy.vocabulary import NameType, SubjectAttribute
from profiles.policy.wording import a, listed, quoted

_PATTERNS_TRIED = 20


@dataclass(frozen=True, slots=True)
class Judged:
    """What is judged: one attribute or kind of name under one rule.

    Attributes:
        path: field of the value.
        label: how messages call it (``common_name``, ``dns_name SAN``).
        place: where the rule stands (``template subject/common_name``).
        origin: empty, or a note that the value came from the profile.
    """

    kind: NameType | SubjectAttribute
    rule: ValueRule
    path: str
    label: str
    place: str
    origin: str = ""

    def asked(self, value: str) -> str:
        return f"{self.label} {quoted(value)}{self.origin}"


def matches_any(patterns: tuple[str, ...], value: str, kind: NameType | SubjectAttribute) -> bool:
    return any(names.matches(pattern, value, kind) for pattern in patterns)


def mismatch(patterns: tuple[str, ...]) -> Code:
    """A list of plain values is a list; one with wildcards or networks is something to match."""
    literal = not any(names.is_wildcard(pattern) or names.is_network(pattern) for pattern in patterns)
    return Code.VALUE_NOT_IN_LIST if literal else Code.VALUE_DOES_NOT_MATCH


def refuse_denied(findings: Findings, judged: Judged, value: str) -> bool:
    """Refuses a denied value; true if it was one."""
    rule = judged.rule
    denying = [pattern for pattern in rule.denied if names.denies(pattern, value, judged.kind)]
    if denying:
        permitting = (*rule.required, *rule.allowed)
        findings.refuse(
            judged.path,
            Code.VALUE_DENIED,
            rule=f"{judged.place} denied",
            asked=judged.asked(value),
            allowed=f"not {listed(denying)}" + (f", but {listed(permitting)}" if permitting else ""),
            fix=way_out(judged, permitting or ("*",), value),
        )
    return bool(denying)


def refuse_mismatch(findings: Findings, judged: Judged, value: str, which: str, patterns: tuple[str, ...]) -> None:
    """Refuses a value that fits none of the patterns of the list ``which``."""
    findings.refuse(
        judged.path,
        mismatch(patterns),
        rule=f"{judged.place} {which}",
        asked=judged.asked(value),
        allowed=listed(patterns),
        fix=way_out(judged, patterns, value),
    )


def way_out(judged: Judged, patterns: tuple[str, ...], value: str) -> str:
    """What would pass instead, as close to the value as can be told."""
    passing = next(_passing(judged, patterns, value), None)
    if passing is None:
        return f"leave the {judged.label} out, or have the template changed"
    if "*" in patterns:
        return f"use another {judged.label}, for example {quoted(passing)}"
    return f"use {a(judged.label)} that fits {listed(patterns)}, for example {quoted(passing)}"


def way_in(judged: Judged, patterns: tuple[str, ...]) -> str:
    """What to add where a required value is missing."""
    passing = next(_passing(judged, patterns, ""), None)
    example = "" if passing is None else f", for example {quoted(passing)}"
    return f"add {a(judged.label)} that fits {listed(patterns)}{example}"


def _passing(judged: Judged, patterns: tuple[str, ...], value: str) -> Iterator[str]:
    for candidate in _candidates(patterns, value, judged.kind):
        try:
            normal = _normal_value(judged.kind, candidate)
        except names.InvalidName:
            continue
        is_denied = any(names.denies(pattern, normal, judged.kind) for pattern in judged.rule.denied)
        if matches_any(patterns, normal, judged.kind) and not is_denied:
            yield normal


def _candidates(patterns: tuple[str, ...], value: str, kind: NameType | SubjectAttribute) -> Iterator[str]:
    tried = patterns[:_PATTERNS_TRIED]
    literals = [pattern for pattern in tried if not names.is_wildcard(pattern) and not names.is_network(pattern)]
    yield from difflib.get_close_matches(value[:100], literals, n=len(literals) or 1, cutoff=0.0)
    own = re.split(r"[.@:/ ]", value[:100])[0]
    fillers = (
        ("10", "1", "1.1", "1.1.1", "10.0.0.1") if kind is NameType.IP_ADDRESS else (own, "www", "name@example.com")
    )
    for pattern in tried:
        if names.is_network(pattern):
            network = ipaddress.ip_network(pattern, strict=False)
            yield str(network[1 if network.num_addresses > 1 else 0])
        elif names.is_wildcard(pattern):
            for filler in fillers:
                yield pattern.replace("*", filler)
    yield from {NameType.URI: ["https://www.example.com/"], SubjectAttribute.COUNTRY: ["US"]}.get(kind, [])


def _normal_value(kind: NameType | SubjectAttribute, value: str) -> str:
    if isinstance(kind, NameType):
        return names.normalise(GeneralName(kind, value)).value
    return names.normalise_attribute(AttributeValue(kind, value)).value
