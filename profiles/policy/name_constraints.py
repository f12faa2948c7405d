"""Name constraints of CAs (RFC 5280, 4.2.1.10): their normal form, and which names of a certificate break them."""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from pki_portal.errors import Violation
from profiles.policy import names
from profiles.policy.names import InvalidName
from profiles.policy.request import AttributeValue, GeneralName, NameConstraints, PathConstraint, Subtree
from profiles.policy.vocabulary import NameType, SubjectAttribute
from profiles.policy.wording import listed, quoted, shown

DIRECTORY_NAME: Final = "directoryName"
EMAIL_ADDRESS: Final = "1.2.840.113549.1.9.1"
# Each is compared with each name of every certificate below.
MOST_SUBTREES: Final = 100
SUBTREE_WORDS: Final[Mapping[NameType, str]] = MappingProxyType(
    {NameType.DNS_NAME: "dns", NameType.IP_ADDRESS: "ip", NameType.EMAIL: "email", NameType.URI: "uri"}
)
# What programs take for a host name in a common name where no dNSName stands beside it.
_HOST_IN_COMMON_NAME: Final = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")

Document = dict[str, dict[str, list[str]]]


# --- Documents --------------------------------------------------------------------------------------------------------


def constraints_of(document: Mapping[str, Mapping[str, Sequence[str]] | None] | None) -> NameConstraints:
    """From ``{"permitted": {"dns": [...], "ip": [...], "email": [...], "uri": [...]}, "excluded": {...}}``."""
    permitted, excluded = ((document or {}).get(side) or {} for side in ("permitted", "excluded"))
    return NameConstraints(permitted=tuple(_subtrees(permitted)), excluded=tuple(_subtrees(excluded)))


def document_of(constraints: NameConstraints) -> Document:
    """The same the other way; empty where nothing is constrained. Kinds that nobody can ask for here are left out."""
    sides = {"permitted": constraints.permitted, "excluded": constraints.excluded}
    document = {
        side: {
            word: [subtree.value for subtree in subtrees if subtree.kind == kind]
            for kind, word in SUBTREE_WORDS.items()
            if any(subtree.kind == kind for subtree in subtrees)
        }
        for side, subtrees in sides.items()
    }
    return {side: kinds for side, kinds in document.items() if kinds}


def _subtrees(kinds: Mapping[str, Sequence[str]]) -> Iterator[Subtree]:
    for kind, word in SUBTREE_WORDS.items():
        yield from (Subtree(kind, value) for value in kinds.get(word) or ())


# --- Normal form ------------------------------------------------------------------------------------------------------


def normalised(constraints: NameConstraints) -> NameConstraints:
    """In normal form, each subtree once; a value without one is kept for :func:`constraint_violations` to name."""
    return NameConstraints(
        permitted=tuple(dict.fromkeys(_normalised_or_same(each) for each in constraints.permitted)),
        excluded=tuple(dict.fromkeys(_normalised_or_same(each) for each in constraints.excluded)),
    )


def _normalised_or_same(subtree: Subtree) -> Subtree:
    try:
        return normalise(subtree)
    except InvalidName:
        return subtree


def normalise(subtree: Subtree) -> Subtree:
    """One subtree as it will be encoded. Raises InvalidName."""
    text = subtree.value.strip()
    if len(text) > 300:
        raise InvalidName(f"it has {len(text)} characters", "shorten it")
    if subtree.kind == NameType.IP_ADDRESS:
        return Subtree(subtree.kind, _network(text))
    if "*" in text:
        raise InvalidName("a constraint has no wildcard", f"write {quoted(text.replace('*', '').strip('.'))}")
    match subtree.kind:
        case NameType.DNS_NAME:
            if text.startswith("."):
                raise InvalidName("it begins with a dot", f"write {quoted(text.strip('.'))}: it covers all names below")
            return Subtree(subtree.kind, _host(text))
        case NameType.EMAIL if "@" in text.strip("@"):
            return Subtree(subtree.kind, names.normalise(GeneralName(NameType.EMAIL, text)).value)
        case NameType.URI if "/" in text or ":" in text:
            raise InvalidName("it is more than a host", "give the host alone, or a domain that begins with a dot")
        case NameType.EMAIL | NameType.URI:
            return Subtree(subtree.kind, "." * text.startswith(".") + _host(text.removeprefix(".")))
    raise InvalidName("this kind of name cannot be constrained here", f"use {listed(SUBTREE_WORDS.values())}")


def _host(text: str) -> str:
    return names.normalise(GeneralName(NameType.DNS_NAME, text)).value


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        pass
    try:
        fix = f"write {ipaddress.ip_network(text, strict=False)}"
    except ValueError:
        fix = "write it as 10.0.0.0/8 or 2001:db8::/32"
    raise InvalidName("it is not a network", fix)


def constraint_violations(constraints: NameConstraints) -> Iterator[Violation]:
    """What cannot be written into a CA's certificate."""
    total = len(constraints.permitted) + len(constraints.excluded)
    if total > MOST_SUBTREES:
        yield Violation(
            field="name_constraints",
            code="too_many_constraints",
            rule="limit of name constraints",
            asked=f"{total} name constraints",
            allowed=f"at most {MOST_SUBTREES}",
            fix="Constrain whole domains and networks.",
        )
        return
    for side, subtrees in (("permitted", constraints.permitted), ("excluded", constraints.excluded)):
        places: dict[str, int] = {}
        for subtree in subtrees:
            word = SUBTREE_WORDS.get(NameType(subtree.kind), subtree.kind)
            place = places[word] = places.get(word, -1) + 1
            try:
                normalise(subtree)
            except InvalidName as problem:
                yield Violation(
                    field=f"name_constraints/{side}/{word}/{place}",
                    code="name_constraint_invalid",
                    rule="RFC 5280, 4.2.1.10",
                    asked=shown(subtree.value, 200),
                    allowed=f"a constraint that a certificate can carry: {problem.reason}",
                    fix=f"{problem.fix[:1].upper()}{problem.fix[1:]}.",
                )


# --- Breaches ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Breach:
    """A name that the constraints of a CA above refuse.

    Attributes:
        index: of the subject alternative name; None for one in the subject.
        is_excluded: named by the excluded subtrees, rather than by none of the permitted.
        allowed: what would pass, for people.
    """

    index: int | None
    name: GeneralName
    authority: str
    rule: str
    is_excluded: bool
    allowed: str

    @property
    def asked(self) -> str:
        where = "the subject's " if self.index is None else ""
        return f"{where}{self.name.type} {quoted(self.name.value)}"


def rule_of(constraint: PathConstraint) -> str:
    """The rule, for people."""
    return f"name constraints of {shown(constraint.authority)} (RFC 5280, 4.2.1.10)"


def breaches(
    constraints: Iterable[PathConstraint],
    *,
    subject: Sequence[AttributeValue],
    alternative_names: Sequence[GeneralName],
    is_end_entity: bool,
) -> Iterator[Breach]:
    """Each name that some CA of the path refuses, once for each CA (RFC 5280, 6.1.3 b and c).

    A name must lie within the permitted subtrees of its kind of every CA that permits some of that kind, and outside
    all excluded ones. Besides the alternative names these are the subject itself, its e-mail addresses and, in an
    end entity's certificate without a DNS name, what programs read as one in the common name.

    Args:
        subject, alternative_names: in normal form.
    """
    found = [(index, name) for index, name in enumerate(alternative_names)]
    inside: list[tuple[int | None, GeneralName]] = [
        (None, GeneralName(NameType.EMAIL, each.value)) for each in subject if each.type == EMAIL_ADDRESS
    ]
    if is_end_entity and not any(name.type == NameType.DNS_NAME for name in alternative_names):
        inside += [(None, GeneralName(NameType.DNS_NAME, host)) for host in _hosts_in(subject)]
    for constraint in constraints:
        for index, name in [*found, *inside]:
            yield from _breach(constraint, index, name, name.type)
        if subject:
            text = ", ".join(f"{each.type}={each.value}" for each in subject)
            yield from _breach(constraint, None, GeneralName(DIRECTORY_NAME, text), DIRECTORY_NAME, tuple(subject))


def _hosts_in(subject: Iterable[AttributeValue]) -> Iterator[str]:
    for attribute in subject:
        host = attribute.value.strip().lower().rstrip(".")
        if attribute.type == SubjectAttribute.COMMON_NAME and _HOST_IN_COMMON_NAME.fullmatch(host):
            yield host


def _breach(
    constraint: PathConstraint,
    index: int | None,
    name: GeneralName,
    kind: str,
    attributes: tuple[AttributeValue, ...] = (),
) -> Iterator[Breach]:
    permitted = [each for each in constraint.constraints.permitted if each.kind == kind]
    excluded = [each for each in constraint.constraints.excluded if each.kind == kind]
    hits = [each for each in excluded if _excludes(each, name.value, attributes)]
    if hits:
        allowed = f"names outside {listed(each.value for each in hits)}"
        yield Breach(index, name, constraint.authority, rule_of(constraint), is_excluded=True, allowed=allowed)
    elif kind == NameType.URI and (permitted or excluded) and not _host_of_uri(name.value):
        # RFC 5280, 4.2.1.10: without a host name there is nothing to compare, and the certificate is rejected.
        yield Breach(
            index, name, constraint.authority, rule_of(constraint), is_excluded=False, allowed="URIs with a host name"
        )
        return
    if permitted and not any(_permits(each, name.value, attributes) for each in permitted):
        allowed = f"{kind} within {listed(each.value for each in permitted)}"
        yield Breach(index, name, constraint.authority, rule_of(constraint), is_excluded=False, allowed=allowed)


def _permits(subtree: Subtree, value: str, attributes: tuple[AttributeValue, ...]) -> bool:
    base = subtree.value
    match subtree.kind:
        case NameType.DNS_NAME:
            # A leading dot, which only CAs made elsewhere have: names below, and not the domain itself.
            return value.endswith(base) if base.startswith(".") else _is_at_or_below(value, base)
        case NameType.IP_ADDRESS:
            return ipaddress.ip_address(value) in ipaddress.ip_network(base)
        case NameType.EMAIL:
            return value == base if "@" in base else _is_host_within(value.rpartition("@")[2], base)
        case NameType.URI:
            return _is_host_within(_host_of_uri(value), base)
        case _:  # directoryName: the base is the beginning of the name (RFC 5280, 7.1)
            begin = [names.comparable(each) for each in attributes[: len(subtree.attributes)]]
            return begin == [names.comparable(each) for each in subtree.attributes]


def _excludes(subtree: Subtree, value: str, attributes: tuple[AttributeValue, ...]) -> bool:
    """As :func:`_permits`, and without a way around: a wildcard that covers what is excluded, capitals in a mailbox."""
    base = subtree.value
    if not base and subtree.kind != DIRECTORY_NAME:
        return True
    match subtree.kind:
        case NameType.DNS_NAME:
            base = base.removeprefix(".")
            return _is_at_or_below(value, base) or (value.startswith("*.") and base.partition(".")[2] == value[2:])
        case NameType.EMAIL if "@" in base:
            return value.casefold() == base.casefold()
    return _permits(subtree, value, attributes)


def _is_at_or_below(host: str, base: str) -> bool:
    return not base or host == base or host.endswith(f".{base}")


def _is_host_within(host: str, base: str) -> bool:
    """A base that begins with a dot covers the hosts below, any other that host alone."""
    return bool(base) and (host.endswith(base) if base.startswith(".") else host == base)


def _host_of_uri(uri: str) -> str:
    """The host name in an authority; empty where there is none, or an address."""
    try:
        host = urlsplit(uri).hostname or ""
    except ValueError:
        return ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host
    return ""
