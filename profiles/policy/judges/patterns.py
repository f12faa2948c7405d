"""One value against the lists of one rule, for subject attributes and alternative names alike."""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from profiles.policy import names
from profiles.policy.errors import Code
from profiles.policy.judges.findings import Findings
from profiles.policy.request import AttributeValue, GeneralName
from profiles.policy.rules import ValueRule
from profiles.policy.vocabulary import NameType, SubjectAttribute
from profiles.policy.wording import a, listed, quoted

_PATTERNS_TRIED = 10


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


def mismatch(patterns: tuple[str, ...]) -> Code:
    """A list of plain values is a list; one with wildcards or networks is something to match."""
    literal = not any(names.is_wildcard(pattern) or names.is_network(pattern) for pattern in patterns)
    return Code.VALUE_NOT_IN_LIST if literal else Code.VALUE_DOES_NOT_MATCH


def permitted(rule: ValueRule) -> tuple[str, ...]:
    """What the rule allows or requires, each pattern once."""
    return tuple(dict.fromkeys((*rule.required, *rule.allowed)))


def refuse_denied(findings: Findings, judged: Judged, value: str) -> bool:
    """Refuses a denied value; true if it was one."""
    rule = judged.rule
    denying = names.denying(rule.denied, value, judged.kind)
    if denying:
        permitting = permitted(rule)
        findings.refuse(
            judged.path,
            Code.VALUE_DENIED,
            rule=f"{judged.place} denied",
            asked=judged.asked(value),
            allowed=f"not {listed(denying)}" + (f", but {listed(permitting)}" if permitting else ""),
            fix=way_out(findings, judged, permitting or ("*",), value),
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
        fix=way_out(findings, judged, patterns, value),
    )


def way_out(findings: Findings, judged: Judged, patterns: tuple[str, ...], value: str) -> str:
    """What would pass instead, as close to the value as can be told."""
    example = ""
    if findings.may_give_example():
        passing = next(_passing(judged, patterns, value), None)
        if passing is None:
            return f"leave the {judged.label} out, or have the template changed"
        example = f", for example {quoted(passing)}"
    if "*" in patterns:
        return f"use another {judged.label}{example}"
    return f"use {a(judged.label)} that fits {listed(patterns)}{example}"


def way_in(findings: Findings, judged: Judged, patterns: tuple[str, ...]) -> str:
    """What to add where a required value is missing."""
    passing = next(_passing(judged, patterns, ""), None) if findings.may_give_example() else None
    example = "" if passing is None else f", for example {quoted(passing)}"
    return f"add {a(judged.label)} that fits {listed(patterns)}{example}"


def _passing(judged: Judged, patterns: tuple[str, ...], value: str) -> Iterator[str]:
    """Values that would pass, the one most like the asked value first."""
    candidates = dict.fromkeys(_candidates(patterns[:_PATTERNS_TRIED], value[:100], judged.kind))
    for candidate in sorted(candidates, key=lambda each: _likeness(each, value), reverse=True):
        try:
            normal = _normal_value(judged.kind, candidate)
        except names.InvalidName:
            continue
        is_denied = names.denying(judged.rule.denied, normal, judged.kind)
        if not is_denied and names.matches_any(patterns, normal, judged.kind):
            yield normal


def _likeness(some: str, other: str) -> int:
    """How many characters two texts share at their beginning and end; cheap, for it is asked once per refused name."""
    return sum(
        sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, another, strict=False)))
        for one, another in ((some, other), (reversed(some), reversed(other)))
    )


def _candidates(patterns: tuple[str, ...], value: str, kind: NameType | SubjectAttribute) -> Iterator[str]:
    for pattern in patterns:
        if names.is_network(pattern):
            network = ipaddress.ip_network(pattern, strict=False)
            yield str(network[1 if network.num_addresses > 1 else 0])
        elif names.is_wildcard(pattern):
            for filler in _fillers(value, kind):
                yield pattern.replace("*", filler)
        else:
            yield pattern


def _fillers(value: str, kind: NameType | SubjectAttribute) -> tuple[str, ...]:
    """What may stand for a wildcard: the first label or word of what was asked, and what is usual for the kind."""
    own = re.split(r"[.@:/ ]", value)[0]
    match kind:
        case NameType.IP_ADDRESS:
            return ("10", "1", "1.1", "1.1.1", "10.0.0.1")
        case NameType.EMAIL:
            return (own, "name", "name@example.com")
        case NameType.URI:
            return ("www", "https://www.example.com/")
        case SubjectAttribute.COUNTRY:
            return ("US", "S")
        case _:
            return (own, "www")


def _normal_value(kind: NameType | SubjectAttribute, value: str) -> str:
    if isinstance(kind, NameType):
        return names.normalise(GeneralName(kind, value)).value
    return names.normalise_attribute(AttributeValue(kind, value)).value
