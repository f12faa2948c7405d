"""What templates and profiles say, compiled to values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, TypeVar

from profiles.policy.request import AttributeValue
from profiles.policy.vocabulary import (
    BasicConstraintsState,
    ExtendedKeyUsage,
    KeyAlgorithm,
    KeyUsage,
    NameType,
    SignatureAlgorithm,
    SubjectAttribute,
)

Usage = TypeVar("Usage", KeyUsage, ExtendedKeyUsage)


@dataclass(frozen=True, slots=True)
class ValueRule:
    """Patterns for one subject attribute or one kind of name; at least one list is not empty."""

    allowed: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()


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
    """All that a template says. An attribute or kind of name without an entry is refused; usages and algorithms that are None refuse any."""

    subject: Mapping[SubjectAttribute, ValueRule] = field(default_factory=dict)
    subject_alternative_names: Mapping[NameType, ValueRule] = field(default_factory=dict)
    key_usages: UsageRule[KeyUsage] | None = None
    extended_key_usages: UsageRule[ExtendedKeyUsage] | None = None
    key_algorithms: tuple[KeyAlgorithm, ...] | None = None
    signature_algorithms: tuple[SignatureAlgorithm, ...] | None = None
    max_validity: timedelta | None = None
    basic_constraints: BasicConstraintsRule = BasicConstraintsRule()


@dataclass(frozen=True, slots=True)
class ProfileDefaults:
    """What a profile fills in where the request is silent; None and empty mean that it fills nothing."""

    subject: tuple[AttributeValue, ...] = ()
    key_usages: tuple[KeyUsage, ...] | None = None
    extended_key_usages: tuple[ExtendedKeyUsage, ...] | None = None
    key_algorithm: KeyAlgorithm | None = None
    signature_algorithm: SignatureAlgorithm | None = None
    ttl: timedelta | None = None
