"""How answers, refusals and parameters look in the API description."""
# ruff: noqa: N815 - the wire's spelling

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema_field, inline_serializer
from rest_framework import serializers


class ErrorDetailSerializer(serializers.Serializer[Any]):
    """One reason for a refusal."""

    pointer = serializers.CharField(help_text="JSON pointer (RFC 6901) into the body; empty for the whole of it.")
    code = serializers.CharField()
    rule = serializers.CharField()
    asked = serializers.CharField(allow_blank=True)
    allowed = serializers.CharField(allow_blank=True)
    fix = serializers.CharField(help_text="What would pass.")
    patch = serializers.ListField(
        child=serializers.DictField(),
        allow_null=True,
        help_text="JSON Patch (RFC 6902) of the body after which this is no reason any more; null where none helps.",
    )


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]})
class MessageField(serializers.Field[Any, Any, Any, Any]):
    """Text; for 422 the list of issues."""


class ErrorSerializer(serializers.Serializer[Any]):
    """The body of every error."""

    reqId = serializers.CharField()
    statusCode = serializers.IntegerField()
    message = MessageField()
    error = serializers.CharField()
    details = ErrorDetailSerializer(many=True)


_REFUSALS: dict[int, str] = {
    400: "The request cannot be read, or a rule refuses it.",
    401: "No token, or one that is unknown, expired or revoked.",
    403: "The role does not include it, or the state of the object does not allow it.",
    404: "No such object, or none that the caller may know of.",
    406: "No form of answer that the client accepts.",
    422: "The input has the wrong form.",
    429: "Too many attempts.",
    503: "The database does not answer; nothing was done.",
}
_REFUSALS_OF_BODIES: dict[int, str] = {413: "The body is too large.", 415: "The body is not JSON."}
_MORE_REFUSALS: dict[int, str] = {
    409: "Another act stands in the way, or the Idempotency-Key stands for another body.",
    410: "It was there and is gone for good.",
}


def answers(success: Any, *more: int, with_body: bool = False) -> dict[int, Any]:
    """Responses of an operation: 200 with ``success`` unless that is None, the usual refusals, and ``more``."""
    refusals = _REFUSALS | (_REFUSALS_OF_BODIES if with_body else {}) | {each: _MORE_REFUSALS[each] for each in more}
    responses: dict[int, Any] = {} if success is None else {200: success}
    return responses | {
        status: OpenApiResponse(ErrorSerializer, description=meaning) for status, meaning in sorted(refusals.items())
    }


def wrapped(name: str, key: str, serializer: type[serializers.Serializer[Any]], *, with_warnings: bool = False) -> Any:
    """The answer ``{key: {...}}``; with warnings, what was ignored or granted differently stands beside it."""
    fields: dict[str, Any] = {key: serializer()}
    if with_warnings:
        fields["warnings"] = serializers.ListField(child=serializers.CharField())
    return inline_serializer(name, fields)


def listed(name: str, key: str, serializer: type[serializers.Serializer[Any]]) -> Any:
    """The answer ``{key: [...], "totalCount": n}``."""
    return inline_serializer(name, {key: serializer(many=True), "totalCount": serializers.IntegerField()})


def uuid_parameters(*names: str) -> list[OpenApiParameter]:
    """Path parameters that are ids."""
    return [OpenApiParameter(name, OpenApiTypes.UUID, OpenApiParameter.PATH) for name in names]
