"""Fields for words of the policy, which have many spellings on the wire and one inside."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from pki_portal.rest import EnumField, StrictCharField
from profiles.policy.vocabulary import ExtendedKeyUsage, parse_extended_key_usage

E = TypeVar("E", bound=StrEnum)


class WordField(EnumField[E]):
    """A word in any spelling that ``parse`` reads; described and answered by its value."""

    def __init__(self, enum_cls: type[E], *, parse: Callable[[str], E], **kwargs: Any) -> None:
        self._parse = parse
        super().__init__(enum_cls, **kwargs)

    def to_internal_value(self, data: Any) -> E:
        """Find the member."""
        if isinstance(data, str):
            try:
                return self._parse(data)
            except ValueError:
                pass  # the base refuses it, in the form in which every enum is refused
        return super().to_internal_value(data)


_PURPOSES_TOLD = f"{', '.join(ExtendedKeyUsage)}, or the dotted OID of another."


@extend_schema_field(
    {
        "type": "string",
        "minLength": 1,
        "maxLength": 200,
        "description": _PURPOSES_TOLD,
        "examples": [ExtendedKeyUsage.SERVER_AUTH.value, "1.3.6.1.5.5.7.3.17"],
    }
)
class PurposeField(StrictCharField):
    """An extended key usage: by its name in any spelling, or by its dotted OID."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=200, help_text=_PURPOSES_TOLD, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Find it."""
        text = super().to_internal_value(data)
        try:
            return parse_extended_key_usage(text)
        except ValueError as reason:
            options = " | ".join(f"'{option.value}'" for option in ExtendedKeyUsage)
            if text[:1].isdecimal():
                raise serializers.ValidationError(str(reason)) from None
            raise serializers.ValidationError(
                f"Invalid enum value. Expected {options}, received '{text[:100]}'", code="invalid_choice"
            ) from None

    def to_representation(self, value: Any) -> str:
        """Give its name or OID."""
        return str(value)
