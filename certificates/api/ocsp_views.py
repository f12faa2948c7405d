"""OCSP over HTTP (RFC 6960, appendix A; RFC 5019, 5 and 6), for anybody."""

import base64
import binascii
import hashlib
from http import HTTPStatus

from django.http import HttpResponse
from django.utils import timezone
from django.utils.http import http_date
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request

from certificates.api.published_views import PUBLISHED_TAG, PublishedView, published_headers
from certificates.api.schema import CA_ID, OCSP_REQUEST
from certificates.api.timing import TimedView
from certificates.services.ocsp import OcspAnswer, answer_ocsp
from certificates.x509.ocsp import MAX_REQUEST_BYTES, ResponseStatus
from pki_portal.rest import parse_uuid
from pki_portal.rest.schema import answers

MEDIA_TYPE = "application/ocsp-response"
# A revocation is to be seen soon, also by who asks a cache.
CACHE_SECONDS = 300
_RETRY_SECONDS = 30
_REFUSALS = answers(None)
_RESPONSES = {
    (200, MEDIA_TYPE): OpenApiTypes.BINARY,
    (503, MEDIA_TYPE): OpenApiResponse(OpenApiTypes.BINARY, description="tryLater: the responder cannot sign now."),
    422: _REFUSALS[422],
}


class OcspBase(TimedView, PublishedView):
    """What GET and POST share."""

    operation = "ocsp"

    def answer(self, ca_id: str, document: bytes) -> OcspAnswer:
        """Of the CA in the path."""
        return answer_ocsp(authority_id=parse_uuid(ca_id, field="ca_id"), document=document, now=timezone.now())

    def respond(self, answer: OcspAnswer, headers: dict[str, str] | None = None) -> HttpResponse:
        """No cache keeps it, unless ``headers`` say so."""
        is_unavailable = answer.status is ResponseStatus.TRY_LATER
        response = HttpResponse(
            answer.der,
            content_type=MEDIA_TYPE,
            status=HTTPStatus.SERVICE_UNAVAILABLE if is_unavailable else HTTPStatus.OK,
            headers=headers or {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
        )
        if is_unavailable:
            response.headers["Retry-After"] = str(_RETRY_SECONDS)
        return response


class OcspView(OcspBase):
    """``/ocsp/{caId}``: where authorityInfoAccess of issued certificates points."""

    @extend_schema(
        operation_id="askOcsp",
        tags=[PUBLISHED_TAG],
        auth=[],
        parameters=[CA_ID],
        request={"application/ocsp-request": OpenApiTypes.BINARY},
        responses=_RESPONSES,
    )
    def post(self, request: Request, ca_id: str) -> HttpResponse:
        """The status of one or more certificates (RFC 6960), for anybody."""
        return self.respond(self.answer(ca_id, request._request.read(MAX_REQUEST_BYTES + 1)))


class OcspGetView(OcspBase):
    """``/ocsp/{caId}/{request}``: the same, which caches can keep."""

    @extend_schema(
        operation_id="askOcspByGet",
        tags=[PUBLISHED_TAG],
        auth=[],
        parameters=[CA_ID, OCSP_REQUEST],
        responses={
            **_RESPONSES,
            304: OpenApiResponse(description="The client has this very answer."),
            412: OpenApiResponse(description="A condition of the request does not hold."),
        },
    )
    def get(self, request: Request, ca_id: str, encoded: str) -> HttpResponse:
        """The status of one or more certificates (RFC 6960), for anybody."""
        answer = self.answer(ca_id, _decoded(encoded))
        if answer.this_update is None or answer.next_update is None or answer.has_nonce:
            return self.respond(answer)
        left = max(0, int((answer.next_update - timezone.now()).total_seconds()))
        # RFC 5019, 6.2.
        cache_control = f"max-age={min(CACHE_SECONDS, left)}, public, no-transform, must-revalidate"
        headers = published_headers(hashlib.sha256(answer.der).hexdigest(), answer.this_update, cache_control)
        headers["Expires"] = http_date(answer.next_update.timestamp())
        return self.unless_known(self.respond(answer, headers), answer.this_update)


def _decoded(encoded: str) -> bytes:
    """What stands in the path; nothing, which is malformed, where that is no base64."""
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return b""
