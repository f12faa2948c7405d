"""The base of input serializers, and the keys of a body that nothing reads."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from django.utils.functional import cached_property
from rest_framework import serializers

from pki_portal.rest.fields import json_type

IGNORED_KEYS_LIMIT = 100


class WireSerializer(serializers.Serializer[Any]):
    """Base of the input serializers: unknown keys are dropped, as in the reference; :attr:`ignored_keys` names them."""

    default_error_messages: ClassVar[dict[str, Any]] = {"invalid_type": "Expected object, received {received}"}

    @cached_property
    def _writable_fields(self) -> list[serializers.Field[Any, Any, Any, Any]]:
        """As REST framework has it, but found once for all bodies that :func:`read_by` reads."""
        return [field for field in self.fields.values() if not field.read_only]

    def to_internal_value(self, data: Any) -> Any:
        """Take an object only."""
        if not isinstance(data, Mapping):
            raise serializers.ValidationError(
                {"non_field_errors": [self.error_messages["invalid_type"].format(received=json_type(data))]},
                code="invalid_type",
            )
        return super().to_internal_value(data)

    @property
    def ignored_keys(self) -> list[str]:
        """JSON pointers of the keys of the body that nothing reads, nested ones too, at most 100."""
        return ignored_keys(self, self.initial_data)

    @property
    def ignored_warnings(self) -> list[str]:
        """A sentence for each of :attr:`ignored_keys`, for the ``warnings`` of an answer."""
        return [f"{pointer} is not known here and was ignored." for pointer in self.ignored_keys]


def ignored_keys(serializer: serializers.BaseSerializer[Any], data: object) -> list[str]:
    """JSON pointers (RFC 6901) of the keys in ``data`` that ``serializer`` does not read, at most 100."""
    found: list[str] = []
    for pointer in _unread(serializer, data, ""):
        if len(found) == IGNORED_KEYS_LIMIT:
            break
        found.append(pointer)
    return found


def _unread(field: object, data: object, at: str) -> Iterator[str]:
    if isinstance(field, serializers.ListSerializer | serializers.ListField):
        if isinstance(data, list):
            for index, member in enumerate(data):
                yield from _unread(field.child, member, f"{at}/{index}")
    elif isinstance(field, serializers.Serializer) and isinstance(data, Mapping):
        for key, value in data.items():
            inner = field.fields.get(key)
            pointer = f"{at}/{pointer_token(key)}"
            if inner is None or inner.read_only:
                yield pointer
            else:
                yield from _unread(inner, value, pointer)


def pointer_token(key: str) -> str:
    """Escape one reference token (RFC 6901, 3)."""
    return key.replace("~", "~0").replace("/", "~1")


def read_by(serializer: WireSerializer, data: object) -> dict[str, Any]:
    """The values that a serializer which was made once, without data, reads. Raises ValidationError (422) as others do.

    It keeps nothing of what it reads, so that threads can share it.
    """
    try:
        values: dict[str, Any] = serializer.run_validation(data)
    except serializers.ValidationError as refusal:
        if isinstance(refusal.detail, dict):
            raise
        raise serializers.ValidationError({"non_field_errors": refusal.detail}) from None
    return values


def read(serializer: WireSerializer) -> dict[str, Any]:
    """The values that the serializer reads. Raises the REST framework's ValidationError (422)."""
    serializer.is_valid(raise_exception=True)
    values: dict[str, Any] = serializer.validated_data
    return values


def warned(answer: Mapping[str, Any], serializer: WireSerializer) -> dict[str, Any]:
    """The answer, and beside it as ``warnings`` what nothing read, if anything."""
    warnings = serializer.ignored_warnings
    return {**answer, "warnings": warnings} if warnings else dict(answer)
