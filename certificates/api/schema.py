"""What the API description says of refusals, parameters and paging beside the serializers."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from profiles.api.schema import ErrorSerializer
from profiles.api.schema import answers as profile_answers

_MESSAGES: Mapping[int, str] = {
    409: "The Idempotency-Key stands for another body, or its first request is still under way.",
    410: "It was there and is gone for good.",
}


def answers(success: Any, *more: int, with_body: bool = False) -> dict[int, Any]:
    """Responses of an operation: 200 with ``success`` unless that is None, the usual refusals, and ``more``."""
    responses = profile_answers(success, with_body=with_body)
    if success is None:
        del responses[200]
    responses |= {status: OpenApiResponse(ErrorSerializer, description=_MESSAGES[status]) for status in more}
    return dict(sorted(responses.items()))


REFERENCE = OpenApiParameter(
    "reference", OpenApiTypes.STR, OpenApiParameter.PATH, description="Id or serial number of the certificate."
)
PROJECT_ID = OpenApiParameter("project_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="Id of the project.")
PROFILE_ID = OpenApiParameter("profile_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="Id of the profile.")
REQUEST_ID = OpenApiParameter(
    "request_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="Id of the certificate request."
)
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    OpenApiParameter.HEADER,
    description="One key, one certificate: the same key and body again answer the same certificate, without its key.",
)


def paging(default_limit: int) -> list[OpenApiParameter]:
    """``offset`` and ``limit`` as the paginator reads them."""
    return [
        OpenApiParameter("offset", {"type": "integer", "minimum": 0, "default": 0}),
        OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": default_limit}),
    ]
