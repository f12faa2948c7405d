"""What templates and profiles say, compiled to values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Generic, Self, TypeVar

from profiles.policy import names
from profiles.policy.documents import Defects, Reader, read_array, read_lists, read_object, read_text, read_texts
from profiles.policy.request import AttributeValue
from profiles.policy.validity import parse_max_validity, parse_ttl
from profiles.policy.vocabulary import (
    BasicConstraintsState,
    KeyAlgorithm,
    KeyUsage,
    NameType,
    Purpose,
    SignatureAlgorithm,
    SubjectAttribute,
    parse_extended_key_usage,
    parse_key_algorithm,
    parse_key_usage,
    parse_name_type,
    parse_signature_algorithm,
    parse_subject_attribute,
)

Kind = TypeVar("Kind", SubjectAttribute, NameType)
Usage = TypeVar("Usage", bound=str)
Algorithm = TypeVar("Algorithm", KeyAlgorithm, SignatureAlgorithm)

LONGEST_DEFAULT_DAYS = 36_500
# Key of a profile's defaults: the one attribute of which there may be several.
DOMAIN_COMPONENTS = "domain_components"
# No path is that long; the bound keeps absurd integers out of encodings and columns.
LONGEST_PATH = 255
LARGEST_COUNT = 1_000


@dataclass(frozen=True, slots=True)
class ValueRule:
    """Patterns for one subject attribute or one kind of name; at least one list is not empty.

    ``max_count`` says how many values there may be; None means that no rule limits them.

    For kinds of names, ``required`` alone says what must be among them and refuses no others of the kind (the
    reference, 4.2, says so); only ``allowed`` and ``denied`` do. A subject attribute's values must fit one of both.
    """

    allowed: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    max_count: int | None = None


@dataclass(frozen=True, slots=True)
class UsageRule(Generic[Usage]):
    """Usages by verdict; at least one list is not empty."""

    allowed: tuple[Usage, ...] = ()
    required: tuple[Usage, ...] = ()
    denied: tuple[Usage, ...] = ()


@dataclass(frozen=True, slots=True)
class BasicConstraintsRule:
    """``max_path_length`` None means no limit; otherwise a path length must be asked and be at most this."""

    state: BasicConstraintsState = BasicConstraintsState.DENIED
    max_path_length: int | None = None


@dataclass(frozen=True, slots=True)
class TemplateRules:
    """All that a template says.

    An attribute or kind of name without an entry is refused; usages and algorithms that are None refuse any.
    """

    subject: Mapping[SubjectAttribute, ValueRule] = field(default_factory=dict)
    subject_alternative_names: Mapping[NameType, ValueRule] = field(default_factory=dict)
    key_usages: UsageRule[KeyUsage] | None = None
    extended_key_usages: UsageRule[Purpose] | None = None
    key_algorithms: tuple[KeyAlgorithm, ...] | None = None
    signature_algorithms: tuple[SignatureAlgorithm, ...] | None = None
    max_validity: timedelta | None = None
    min_validity: timedelta | None = None
    basic_constraints: BasicConstraintsRule = BasicConstraintsRule()

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> Self:
        """Compiles a template's document (inside spelling: ``sans``, ``key_usages``, ``algorithms``, ``is_ca`` ...).

        Words are read in any spelling; keys that no rule knows are left alone.

        Raises:
            RuleError: with every defect: wrong types, unknown words, empty or contradictory rules, absurd sizes.
            DuplicateRule: all is readable, but a type or a value stands twice.
        """
        defects = Defects()
        algorithms = read_object(defects, "algorithms", document.get("algorithms")) or {}
        validity = read_object(defects, "validity", document.get("validity")) or {}
        rules = cls(
            subject=_value_rules(defects, "subject", document.get("subject"), parse_subject_attribute),
            subject_alternative_names=_value_rules(defects, "sans", document.get("sans"), parse_name_type),
            key_usages=_usage_rule(defects, "key_usages", document.get("key_usages"), parse_key_usage),
            extended_key_usages=_usage_rule(
                defects, "extended_key_usages", document.get("extended_key_usages"), parse_extended_key_usage
            ),
            key_algorithms=_algorithms(
                defects, "algorithms/key_algorithm", algorithms.get("key_algorithm"), parse_key_algorithm
            ),
            signature_algorithms=_algorithms(
                defects, "algorithms/signature", algorithms.get("signature"), parse_signature_algorithm
            ),
            max_validity=read_text(defects, "validity/max", validity.get("max"), parse_max_validity),
            min_validity=read_text(defects, "validity/min", validity.get("min"), parse_max_validity),
            basic_constraints=_basic_constraints(defects, document.get("basic_constraints")),
        )
        defects.raise_any()
        return rules


def _value_rules(defects: Defects, path: str, value: object, read_type: Reader[Kind]) -> Mapping[Kind, ValueRule]:
    rules: dict[Kind, ValueRule] = {}
    seen: set[Kind] = set()
    for index, member in enumerate(read_array(defects, path, value)):
        place = f"{path}/{index}"
        entry = read_object(defects, place, member)
        if entry is None or entry.get("type") is None:
            if entry is not None or member is None:
                defects.add(place, member, "an object with a type and at least one of allowed, required and denied")
            continue
        kind = read_text(defects, f"{place}/type", entry.get("type"), read_type)
        lists = read_lists(defects, place, entry, _pattern_reader(kind))
        most = _max_count(defects, f"{place}/max_count", entry.get("max_count"))
        if kind is None:
            continue
        if kind in seen:
            defects.add_duplicate(f"{place}/type", kind.value)
        seen.add(kind)
        if lists is not None:
            rules[kind] = ValueRule(lists.allowed, lists.required, lists.denied, most)
    return rules


def _max_count(defects: Defects, path: str, value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_COUNT:
        defects.add(path, value, f"a whole number from 1 to {LARGEST_COUNT}")
        return None
    return value


def _pattern_reader(kind: SubjectAttribute | NameType | None) -> Reader[str]:
    def read(text: str) -> str:
        pattern = text.strip()
        if not pattern.isprintable():
            raise ValueError("a pattern of printable characters")
        if kind is NameType.IP_ADDRESS and "/" in pattern and not names.is_network(pattern):
            raise ValueError("an address, a network as in 10.0.0.0/8, or a text with wildcards as in 10.0.0.*")
        return pattern

    return read


def _usage_rule(defects: Defects, path: str, value: object, read: Reader[Usage]) -> UsageRule[Usage] | None:
    entry = read_object(defects, path, value)
    lists = None if entry is None else read_lists(defects, path, entry, read)
    return None if lists is None else UsageRule(lists.allowed, lists.required, lists.denied)


def _algorithms(defects: Defects, path: str, value: object, read: Reader[Algorithm]) -> tuple[Algorithm, ...] | None:
    if value is None:
        return None
    before = len(defects.malformed)
    # Two spellings of one algorithm are harmless.
    algorithms = read_texts(defects, path, value, read, once=False)
    if not algorithms and len(defects.malformed) == before:
        defects.add(path, value, "at least one algorithm, or leave the list out")
    return algorithms


def _basic_constraints(defects: Defects, value: object) -> BasicConstraintsRule:
    entry = read_object(defects, "basic_constraints", value)
    if entry is None:
        return BasicConstraintsRule()
    state = read_text(defects, "basic_constraints/is_ca", entry.get("is_ca"), _read_state)
    longest = entry.get("max_path_length")
    if longest is not None and (
        isinstance(longest, bool) or not isinstance(longest, int) or not -1 <= longest <= LONGEST_PATH
    ):
        defects.add(
            "basic_constraints/max_path_length", longest, f"a whole number up to {LONGEST_PATH}, or -1 for no limit"
        )
        longest = None
    return BasicConstraintsRule(state or BasicConstraintsState.DENIED, None if longest == -1 else longest)


def _read_state(text: str) -> BasicConstraintsState:
    try:
        return BasicConstraintsState(text.strip().lower())
    except ValueError:
        raise ValueError(f"one of {', '.join(BasicConstraintsState)}") from None


class Source(StrEnum):
    """Where a value comes from that nobody asked for, in words."""

    PROFILE = "the profile"
    PREDECESSOR = "the certificate before it"

    @property
    def mark(self) -> str:
        """To stand behind the value."""
        return " (the profile's default)" if self is Source.PROFILE else f" (as in {self})"

    def without(self, what: str) -> str:
        """How to have no such value, for people."""
        return f"have the profile's {what} removed" if self is Source.PROFILE else f"renew without {what}"

    def with_another(self, what: str) -> str:
        """How to have another value, for people."""
        return f"have the profile's {what} changed" if self is Source.PROFILE else f"renew with another {what}"


@dataclass(frozen=True, slots=True)
class ProfileDefaults:
    """What fills a request where it is silent; None and empty mean that it fills nothing.

    A renewal is filled from the certificate before it, which its ``source`` says.
    """

    subject: tuple[AttributeValue, ...] = ()
    key_usages: tuple[KeyUsage, ...] | None = None
    extended_key_usages: tuple[Purpose, ...] | None = None
    key_algorithm: KeyAlgorithm | None = None
    signature_algorithm: SignatureAlgorithm | None = None
    ttl: timedelta | None = None
    source: Source = Source.PROFILE

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> Self:
        """Compiles a profile's defaults (keys: the subject attributes, ``domain_components``,
        ``ttl_days`` or ``ttl``, usages, algorithms).

        Null and, in subject attributes, the empty text mean no default; an empty list of usages means "none".

        Raises:
            RuleError: with every defect.
            DuplicateRule: all is readable, but a usage stands twice.
        """
        defects = Defects()
        defaults = cls(
            subject=_default_subject(defects, document),
            key_usages=_default_usages(defects, "key_usages", document.get("key_usages"), parse_key_usage),
            extended_key_usages=_default_usages(
                defects, "extended_key_usages", document.get("extended_key_usages"), parse_extended_key_usage
            ),
            key_algorithm=read_text(defects, "key_algorithm", document.get("key_algorithm"), parse_key_algorithm),
            signature_algorithm=read_text(
                defects, "signature_algorithm", document.get("signature_algorithm"), parse_signature_algorithm
            ),
            ttl=_default_ttl(defects, document),
        )
        defects.raise_any()
        return defaults


def _default_subject(defects: Defects, document: Mapping[str, object]) -> tuple[AttributeValue, ...]:
    attributes: list[AttributeValue] = []
    for path, kind, text in _default_texts(defects, document):
        if isinstance(text, str) and not text.strip():
            continue
        value = read_text(defects, path, text, str)
        if value is None:
            continue
        try:
            attributes.append(names.normalise_attribute(AttributeValue(kind, value)))
        except names.InvalidName as defect:
            defects.add(path, value, f"{kind} that a certificate can carry: {defect}")
    return tuple(attributes)


def _default_texts(defects: Defects, document: Mapping[str, object]) -> Iterator[tuple[str, SubjectAttribute, object]]:
    """Where each default of the subject stands, what it is and what it says: domain components are a list."""
    for kind in SubjectAttribute:
        if kind is SubjectAttribute.DOMAIN_COMPONENT:
            for index, text in enumerate(read_array(defects, DOMAIN_COMPONENTS, document.get(DOMAIN_COMPONENTS))):
                yield f"{DOMAIN_COMPONENTS}/{index}", kind, text
        else:
            yield kind.value, kind, document.get(kind.value)


def _default_usages(defects: Defects, path: str, value: object, read: Reader[Usage]) -> tuple[Usage, ...] | None:
    return None if value is None else read_texts(defects, path, value, read)


def _default_ttl(defects: Defects, document: Mapping[str, object]) -> timedelta | None:
    days, text = document.get("ttl_days"), document.get("ttl")
    if days is None:
        return read_text(defects, "ttl", text, parse_ttl)
    if text is not None:
        defects.add("ttl", text, "either ttl_days or ttl")
        return None
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= LONGEST_DEFAULT_DAYS:
        defects.add("ttl_days", days, f"a whole number of days from 1 to {LONGEST_DEFAULT_DAYS}")
        return None
    return timedelta(days=days)
