"""Which refusals the API description names for the operations of access."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

# The component that every app's operations share; declared where the most of them are, above this app.
_ERROR = {"$ref": "#/components/schemas/Error"}
_REFUSALS: dict[int, str] = {
    400: "The request cannot be read, or a rule refuses it.",
    401: "No token, or one that is unknown, expired or revoked.",
    403: "The role does not include it, or the state of the object does not allow it.",
    404: "No such object, or none that the caller may know of.",
    406: "No form of answer that the client accepts.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "The input has the wrong form.",
    429: "Too many failed attempts.",
    503: "The database does not answer; nothing was done.",
}


def answers(success: Any) -> dict[int, Any]:
    """Responses of an operation: 200 with ``success``, and every refusal with its body."""
    refusals = {status: OpenApiResponse(_ERROR, description=meaning) for status, meaning in _REFUSALS.items()}
    return {200: success} | refusals


def uuid_parameters(*names: str) -> list[OpenApiParameter]:
    """Path parameters that are ids."""
    return [OpenApiParameter(name, OpenApiTypes.UUID, OpenApiParameter.PATH) for name in names]
