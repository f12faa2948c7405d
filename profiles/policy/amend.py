"""Requests with the changes made that a refusal offers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeVar

from pki_portal.errors import Change
from profiles.policy.request import AttributeValue, BasicConstraints, GeneralName, IssuanceRequest
from profiles.policy.validity import parse_ttl
from profiles.policy.vocabulary import (
    KeyAlgorithm,
    KeyUsage,
    NameType,
    Purpose,
    SignatureAlgorithm,
    SubjectAttribute,
    as_purpose,
    as_word,
)

T = TypeVar("T")


class ImpossibleChange(ValueError):
    """A change that does not fit the request: no such place, or a value that does not belong there."""


def amended(request: IssuanceRequest, changes: Iterable[Change]) -> IssuanceRequest:
    """The request with the changes made, one after the other.

    What a CSR says is not guarded here: the policy offers no change of it.

    Raises:
        ImpossibleChange: a step does not fit.
    """
    for change in changes:
        head, *rest = change.field.split("/")
        try:
            request = _PARTS[head](request, change, rest)
        except (KeyError, IndexError, ValueError, TypeError) as reason:
            raise ImpossibleChange(f"{change.op} {change.field}: {reason}") from reason
    return request


def _subject(request: IssuanceRequest, change: Change, rest: Sequence[str]) -> IssuanceRequest:
    subject = list(request.subject)
    if not rest:
        raise ValueError("one attribute at a time")
    kind = as_word(rest[0], SubjectAttribute) or rest[0]
    places = [place for place, attribute in enumerate(subject) if attribute.type == kind]
    if len(rest) > 1:
        places = [places[_index(rest[1])]]
    if change.op == "add":
        subject.append(AttributeValue(kind, _text(change.value)))
    elif change.op == "set":
        first = places[0] if places else len(subject)
        subject[first : first + 1] = [AttributeValue(kind, _text(change.value))]
        subject = [each for place, each in enumerate(subject) if place == first or place not in places]
    else:
        _require(places)
        subject = [each for place, each in enumerate(subject) if place not in places]
    return replace(request, subject=tuple(subject))


def _alternative_names(request: IssuanceRequest, change: Change, rest: Sequence[str]) -> IssuanceRequest:
    return replace(
        request, subject_alternative_names=_changed(request.subject_alternative_names, change, rest, _general_name)
    )


def _general_name(value: object) -> GeneralName:
    if not isinstance(value, Mapping):
        raise TypeError("a name is an object with type and value")
    kind = _text(value["type"])
    return GeneralName(as_word(kind, NameType) or kind, _text(value["value"]))


def _key_usages(request: IssuanceRequest, change: Change, rest: Sequence[str]) -> IssuanceRequest:
    usages: Any = request.key_usages
    if change.op == "set" and not rest:
        usages = _whole(change.value, KeyUsage)
    else:
        usages = _changed(usages or (), change, rest, KeyUsage)
    return replace(request, key_usages=usages)


def _extended_key_usages(request: IssuanceRequest, change: Change, rest: Sequence[str]) -> IssuanceRequest:
    usages: Any = request.extended_key_usages
    if change.op == "set" and not rest:
        usages = _whole(change.value, _extended_key_usage)
    else:
        usages = _changed(usages or (), change, rest, _extended_key_usage)
    return replace(request, extended_key_usages=usages)


def _extended_key_usage(value: object) -> Purpose:
    text = _text(value)
    return as_purpose(text) or text


def _basic_constraints(request: IssuanceRequest, change: Change, rest: Sequence[str]) -> IssuanceRequest:
    constraints = request.basic_constraints
    if rest == ["path_length"]:
        length = _length(change.value) if change.op == "set" else None
        constraints = replace(constraints or BasicConstraints(is_ca=False), path_length=length)
    elif rest:
        raise KeyError(rest[0])
    elif change.op == "set":
        if not isinstance(change.value, Mapping):
            raise TypeError("basic constraints are an object")
        length = change.value.get("path_length")
        constraints = BasicConstraints(
            is_ca=change.value["is_ca"] is True, path_length=None if length is None else _length(length)
        )
    else:
        _require(constraints)
        constraints = None
    return replace(request, basic_constraints=constraints)


def _length(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("a path length is a whole number")
    return value


def _scalar(name: str, read: Callable[[str], object]) -> Callable[..., IssuanceRequest]:
    def change_scalar(request: IssuanceRequest, change: Change, rest: Sequence[str]) -> IssuanceRequest:
        if rest or change.op == "add":
            raise KeyError(change.field)
        value: Any = read(_text(change.value)) if change.op == "set" else None
        return replace(request, **{name: value})

    return change_scalar


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a moment has its offset from UTC")
    return moment


def _changed(values: Sequence[T], change: Change, rest: Sequence[str], read: Callable[[Any], T]) -> tuple[T, ...]:
    """The list with one member more, other or less."""
    members = list(values)
    if change.op == "add":
        members.append(read(change.value))
    elif change.op == "set":
        members[_index(rest[0])] = read(change.value)
    else:
        del members[_index(rest[0])]
    return tuple(members)


def _whole(value: object, read: Callable[[Any], T]) -> tuple[T, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError("usages are a list")
    return tuple(read(each) for each in value)


def _index(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise IndexError(text)
    return int(text)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is needed")
    return value


def _require(there: object) -> None:
    if not there:
        raise IndexError("nothing stands there")


_PARTS: Final[Mapping[str, Callable[[IssuanceRequest, Change, Sequence[str]], IssuanceRequest]]] = {
    "subject": _subject,
    "subject_alternative_names": _alternative_names,
    "key_usages": _key_usages,
    "extended_key_usages": _extended_key_usages,
    "basic_constraints": _basic_constraints,
    "key_algorithm": _scalar("key_algorithm", KeyAlgorithm),
    "signature_algorithm": _scalar("signature_algorithm", SignatureAlgorithm),
    "ttl": _scalar("ttl", parse_ttl),
    "not_before": _scalar("not_before", _moment),
    "not_after": _scalar("not_after", _moment),
}
