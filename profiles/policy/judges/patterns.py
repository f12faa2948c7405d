"""One value against the lists of one rule, for subject attributes and alternative names alike."""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

from pki_portal.errors import Change
from profiles.policy import names
from profiles.policy.errors import Code
from profiles.policy.judges.findings import Findings
from profiles.policy.request import AttributeValue, GeneralName
from profiles.policy.rules import Source, ValueRule
from profiles.policy.vocabulary import NameType, SubjectAttribute
from profiles.policy.wording import a, listed, quoted

_PATTERNS_TRIED = 10


class Place(NamedTuple):
    """Where in a request a value stands, or would stand.

    Attributes:
        base: path of the value itself, or of the list that it stands in.
        indexes: everywhere in the list that it stands; empty where it would be added; None where there is no list.
        is_asked: false for what the profile fills in, which a request can overrule but not leave out.
    """

    base: str
    indexes: tuple[int, ...] | None = None
    is_asked: bool = True

    def put(self, value: object) -> tuple[Change, ...]:
        """Have the value stand there, once."""
        if self.indexes is None:
            return (Change("set", self.base, value),)
        if not self.indexes:
            return (Change("add", self.base, value),)
        first, *others = self.indexes
        return (*self._removed(others), Change("set", f"{self.base}/{first}", value))

    def leave_out(self) -> tuple[Change, ...]:
        """Have nothing stand there."""
        if not self.is_asked:
            return ()
        return (Change("remove", self.base),) if self.indexes is None else self._removed(self.indexes)

    def _removed(self, indexes: Sequence[int]) -> tuple[Change, ...]:
        return tuple(Change("remove", f"{self.base}/{index}") for index in reversed(indexes))


class Mending(NamedTuple):
    """What would pass: for people and for programs."""

    fix: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """What is judged: one attribute or kind of name under one rule.

    Attributes:
        path: field of the value.
        where: what to change in the request.
        label: how messages call it (``common_name``, ``dns_name SAN``).
        place: where the rule stands (``template subject/common_name``).
        origin: where the value came from, if nobody asked for it.
    """

    kind: NameType | SubjectAttribute
    rule: ValueRule
    path: str
    where: Place
    label: str
    place: str
    origin: Source | None = None

    @property
    def mark(self) -> str:
        """What stands behind a value that nobody asked for."""
        return self.origin.mark if self.origin else ""

    def asked(self, value: str) -> str:
        return f"{self.label} {quoted(value)}{self.mark}"

    def put(self, value: str) -> tuple[Change, ...]:
        """The changes after which the value stands in the place of what was asked."""
        return self.where.put({"type": self.kind.value, "value": value} if isinstance(self.kind, NameType) else value)


def mismatch(patterns: tuple[str, ...]) -> Code:
    """A list of plain values is a list; one with wildcards or networks is something to match."""
    literal = not any(names.is_wildcard(pattern) or names.is_network(pattern) for pattern in patterns)
    return Code.VALUE_NOT_IN_LIST if literal else Code.VALUE_DOES_NOT_MATCH


def permitted(rule: ValueRule) -> tuple[str, ...]:
    """What the rule allows or requires, each pattern once."""
    return tuple(dict.fromkeys((*rule.required, *rule.allowed)))


def described(rule: ValueRule) -> str:
    """What passes, in short."""
    permitting = permitted(rule)
    if permitting:
        return listed(permitting) + (f", but not {listed(rule.denied)}" if rule.denied else "")
    return f"any but {listed(rule.denied)}"


def refuse_denied(findings: Findings, judged: Judged, value: str) -> bool:
    """Refuses a denied value; true if it was one."""
    rule = judged.rule
    denying = names.denying(rule.denied, value, judged.kind)
    if denying:
        permitting = permitted(rule)
        fix, changes = way_out(findings, judged, permitting or ("*",), value)
        findings.refuse(
            judged.path,
            Code.VALUE_DENIED,
            rule=f"{judged.place} denied",
            asked=judged.asked(value),
            allowed=f"not {listed(denying)}" + (f", but {listed(permitting)}" if permitting else ""),
            fix=fix,
            changes=changes,
        )
    return bool(denying)


def refuse_mismatch(findings: Findings, judged: Judged, value: str, which: str, patterns: tuple[str, ...]) -> None:
    """Refuses a value that fits none of the patterns of the list ``which``."""
    fix, changes = way_out(findings, judged, patterns, value)
    findings.refuse(
        judged.path,
        mismatch(patterns),
        rule=f"{judged.place} {which}",
        asked=judged.asked(value),
        allowed=listed(patterns),
        fix=fix,
        changes=changes,
    )


def judge_count(findings: Findings, judged: Judged, count: int, surplus: Place) -> None:
    """Refuses more values than the rule lets there be; ``surplus`` is where those beyond it stand."""
    most = judged.rule.max_count
    if most is None or not count:
        return
    place, asked = f"{judged.place} max_count", f"{count} values of {judged.label}{judged.mark}"
    if count <= most:
        findings.passed(judged.path, place, asked, f"at most {most}")
        return
    findings.refuse(
        judged.path,
        Code.TOO_MANY_VALUES,
        rule=place,
        asked=asked,
        allowed=f"at most {most}",
        fix=f"leave {count - most} of them out, or spread them over several certificates",
        changes=surplus.leave_out(),
    )


def way_out(findings: Findings, judged: Judged, patterns: tuple[str, ...], value: str) -> Mending:
    """What would pass instead, as close to the value as can be told."""
    use = f"use another {judged.label}" if "*" in patterns else f"use {a(judged.label)} that fits {listed(patterns)}"
    if findings.may_give_example():
        passing = next(passing_values(judged, patterns, value), None)
        if passing is not None:
            return Mending(f"{use}, for example {quoted(passing)}", judged.put(passing))
        use = ""
    left_out = judged.where.leave_out()
    if not left_out:
        source = judged.origin or Source.PROFILE
        return Mending(use or f"{source.with_another(judged.label)}, or have the template changed")
    out = f"leave the {judged.label} out"
    return Mending(f"{use}, or {out}" if use else f"{out}, or have the template changed", left_out)


def way_in(findings: Findings, judged: Judged, patterns: tuple[str, ...]) -> Mending:
    """What to add where a required value is missing."""
    add = f"add {a(judged.label)} that fits {listed(patterns)}"
    if not findings.may_give_example():
        return Mending(add)
    passing = next(passing_values(judged, patterns, ""), None)
    if passing is None:
        return Mending(f"{add}, or have the template changed: no value is known that passes")
    return Mending(f"{add}, for example {quoted(passing)}", judged.put(passing))


def way_to_write(defect: names.InvalidName, where: Place, kind: NameType | SubjectAttribute) -> Mending:
    """What to write instead of a value that no certificate may carry."""
    if defect.instead:
        kind = defect.instead_kind or kind
        try:
            value = normal_value(kind, defect.instead)
        except names.InvalidName:
            pass
        else:
            whole = {"type": kind.value, "value": value} if isinstance(kind, NameType) else value
            return Mending(defect.fix, where.put(whole))
    left_out = where.leave_out()
    if left_out and "leave" not in defect.fix:
        return Mending(f"{defect.fix}, or leave it out", left_out)
    return Mending(defect.fix, left_out)


def passing_values(judged: Judged, patterns: tuple[str, ...], value: str) -> Iterator[str]:
    """Values that would pass, the one most like the asked value first."""
    candidates = dict.fromkeys(_candidates(patterns[:_PATTERNS_TRIED], value[:100], judged.kind))
    for candidate in sorted(candidates, key=lambda each: _likeness(each, value), reverse=True):
        try:
            normal = normal_value(judged.kind, candidate)
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
            for filler in _fillers(pattern, value, kind):
                yield pattern.replace("*", filler)
        else:
            yield pattern


def _fillers(pattern: str, value: str, kind: NameType | SubjectAttribute) -> tuple[str, ...]:
    """What may stand for a wildcard: the first label or word of what was asked, and what is usual for the kind."""
    own = re.split(r"[.@:/ ]", value)[0]
    match kind:
        case NameType.IP_ADDRESS:
            return ("10", "1", "1.1", "1.1.1", "10.0.0.1")
        case NameType.EMAIL | NameType.UPN:
            return (own, "name", "name@example.com")
        case NameType.URI:
            return ("www", "https://www.example.com/")
        case SubjectAttribute.COUNTRY:
            return ("US", "S")
        case NameType.DNS_NAME | SubjectAttribute.COMMON_NAME if pattern == "*":
            return (own, "www.example.com")
        case _:
            return (own, "www")


def normal_value(kind: NameType | SubjectAttribute, value: str) -> str:
    """The value in normal form. Raises InvalidName."""
    if isinstance(kind, NameType):
        return names.normalise(GeneralName(kind, value)).value
    return names.normalise_attribute(AttributeValue(kind, value)).value
