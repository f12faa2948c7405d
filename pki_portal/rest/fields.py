"""Strict fields; their messages have the form of the reference's validator."""

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.utils import html
from rest_framework.validators import ProhibitSurrogateCharactersValidator

from pki_portal.rest.values import UUID_FORM, iso

LIST_LIMIT = 1000
# The largest integer that every JSON reader keeps exactly is 2**53 - 1; database integers end at 2**31 - 1.
INTEGER_LIMIT = 2**31 - 1

_QUERY_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")

E = TypeVar("E", bound=StrEnum)


def json_type(value: object) -> str:
    """What a value is called in JSON."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list | tuple) else "object"


class _NoSurrogates(ProhibitSurrogateCharactersValidator):
    """The same, which looks at every character by itself only where there can be one: a CSR has a thousand."""

    def __call__(self, value: Any) -> None:
        if not str(value).isascii():
            super().__call__(value)


class StrictCharField(serializers.CharField):
    """Text and nothing else: no number passes for text, NULs and lone surrogates are refused, blanks around it are
    trimmed.
    """

    default_error_messages: ClassVar[dict[str, Any]] = {"invalid_type": "Expected string, received {received}"}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.validators = [
            _NoSurrogates() if isinstance(each, ProhibitSurrogateCharactersValidator) else each
            for each in self.validators
        ]

    def run_validation(self, data: Any = empty) -> Any:
        """Check the type before anything turns the value into text."""
        if data is not empty and data is not None and not isinstance(data, str):
            self.fail("invalid_type", received=json_type(data))
        return super().run_validation(data)


class StrictBooleanField(serializers.BooleanField):
    """``true`` or ``false``; in a query string their names, in any case."""

    default_error_messages: ClassVar[dict[str, Any]] = {"invalid_type": "Expected boolean, received {received}"}
    default_empty_html = empty

    def get_value(self, dictionary: Mapping[Any, Any]) -> Any:
        """Read the names in a query string."""
        value = super().get_value(dictionary)
        if html.is_html_input(dictionary) and isinstance(value, str):
            return {"true": True, "false": False}.get(value.lower(), value)
        return value

    def to_internal_value(self, data: Any) -> bool:
        """Take a boolean only."""
        if not isinstance(data, bool):
            self.fail("invalid_type", received=json_type(data))
        return data


class StrictIntegerField(serializers.IntegerField):
    """A whole number between -(2**31 - 1) and 2**31 - 1 unless bounded otherwise; ``7.0`` is one in JSON, ``"7"`` only
    in a query.
    """

    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid_type": "Expected number, received {received}",
        "not_integer": "Expected integer, received float",
    }

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_value", INTEGER_LIMIT)
        kwargs.setdefault("min_value", -INTEGER_LIMIT)
        super().__init__(**kwargs)

    def get_value(self, dictionary: Mapping[Any, Any]) -> Any:
        """Read digits in a query string."""
        value = super().get_value(dictionary)
        if html.is_html_input(dictionary) and isinstance(value, str) and _QUERY_INTEGER.fullmatch(value):
            return int(value)
        return value

    def to_internal_value(self, data: Any) -> int:
        """Take a whole number only."""
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid_type", received=json_type(data))
        if isinstance(data, float) and not data.is_integer():
            self.fail("not_integer")
        return int(data)


class StrictListField(serializers.ListField):
    """A JSON array of at most 1,000 members unless bounded otherwise; the length is judged before any member is."""

    default_error_messages: ClassVar[dict[str, Any]] = {"invalid_type": "Expected array, received {received}"}

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", LIST_LIMIT)
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> list[Any]:
        """Take an array only."""
        if not isinstance(data, list):
            self.fail("invalid_type", received=json_type(data))
        if self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return super().to_internal_value(data)


class EnumField(serializers.ChoiceField, Generic[E]):
    """A member of ``enum_cls``, read in any case by its value or by one of ``synonyms``, answered by its value."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid_type": "Expected string, received {received}",
        "invalid_choice": "Invalid enum value. Expected {options}, received '{input}'",
    }

    def __init__(self, enum_cls: type[E], *, synonyms: Mapping[str, E] | None = None, **kwargs: Any) -> None:
        self.enum_cls = enum_cls
        self._members: dict[str, E] = {spelling.casefold(): member for spelling, member in (synonyms or {}).items()}
        self._members |= {member.value.casefold(): member for member in enum_cls}
        super().__init__(choices=[member.value for member in enum_cls], **kwargs)

    def to_internal_value(self, data: Any) -> E:
        """Find the member."""
        if not isinstance(data, str):
            self.fail("invalid_type", received=json_type(data))
        member = self._members.get(data.strip().casefold())
        if member is None:
            options = " | ".join(f"'{option.value}'" for option in self.enum_cls)
            self.fail("invalid_choice", options=options, input=data[:100])
        return member

    def to_representation(self, value: Any) -> str:
        """Give the value."""
        return str(value)


class UUIDField(serializers.UUIDField):
    """A UUID as text in its canonical form."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid_type": "Expected string, received {received}",
        "invalid_uuid": "Invalid uuid",
    }

    def to_internal_value(self, data: Any) -> UUID:
        """Take the canonical form only."""
        if not isinstance(data, str):
            self.fail("invalid_type", received=json_type(data))
        if not UUID_FORM.fullmatch(data.strip()):
            self.fail("invalid_uuid")
        return UUID(data.strip())


class TimeField(serializers.DateTimeField):
    """A time in answers: :func:`iso`."""

    def to_representation(self, value: datetime) -> str:
        """Write it with milliseconds and ``Z``."""
        return iso(value)
