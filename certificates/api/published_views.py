"""What CAs publish, for anybody: their certificates and CRLs, at the addresses that certificates name."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

from django.http import HttpResponse
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.utils.http import http_date, quote_etag
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from certificates.api.schema import CA_CERT_ID, CA_ID, CRL_ID
from certificates.services.authorities import (
    published_authority_certificate,
)
from certificates.services.crl import current_crl
from pki_portal.rest import parse_uuid
from pki_portal.rest.schema import answers

PUBLISHED_TAG = "Published"
# The document at one address never changes.
CERTIFICATE_CACHE_CONTROL = "public, max-age=86400, immutable"
# A revocation is to be seen soon; whoever has this very list is told so in a few bytes.
CRL_CACHE_CONTROL = "public, max-age=300"


class AnyAccept(BaseContentNegotiation):
    """There is one form of the document, whatever the client says it accepts."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        """The first."""
        return next(iter(parsers))

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """The first, for refusals."""
        first = next(iter(renderers))
        return first, first.media_type or ""


class PublishedView(APIView):
    """What certificates point to: no login, conditional requests, caches welcome (RFC 5280, 4.2.1.13 and 4.2.2.1)."""

    authentication_classes: ClassVar[list[Any]] = []  # type: ignore[misc]
    permission_classes: ClassVar[list[Any]] = []  # type: ignore[misc]
    content_negotiation_class = AnyAccept

    def published(self, document: bytes, *, media_type: str, modified_at: datetime, cache_control: str) -> HttpResponse:
        """The document, or 304 where the client has this very one."""
        etag = quote_etag(hashlib.sha256(document).hexdigest())
        modified = int(modified_at.timestamp())
        headers = {
            "ETag": etag,
            "Last-Modified": http_date(modified),
            "Cache-Control": cache_control,
            "X-Content-Type-Options": "nosniff",
        }
        response = HttpResponse(document, content_type=media_type, headers=headers)
        answer = get_conditional_response(self.request._request, etag=etag, last_modified=modified, response=response)
        return answer if isinstance(answer, HttpResponse) else response


def _published(media_type: str) -> dict[Any, Any]:
    """Responses of an operation that publishes one document."""
    refusals = answers(None)
    return {
        (200, media_type): OpenApiTypes.BINARY,
        304: OpenApiResponse(description="The client has this very document."),
        412: OpenApiResponse(description="A condition of the request does not hold."),
        **{status: refusals[status] for status in (404, 422, 503)},
    }


class PublishedAuthorityCertificateView(PublishedView):
    """``/ca/internal/{id}/certificates/{certId}/der``: where authorityInfoAccess of issued certificates points."""

    @extend_schema(
        operation_id="downloadCaCertificate",
        tags=[PUBLISHED_TAG],
        auth=[],
        parameters=[CA_ID, CA_CERT_ID],
        responses=_published("application/pkix-cert"),
    )
    def get(self, request: Request, ca_id: str, certificate_id: str) -> HttpResponse:
        """One version of a CA's certificate in DER, for anybody."""
        certificate = published_authority_certificate(
            authority_id=parse_uuid(ca_id, field="ca_id"),
            certificate_id=parse_uuid(certificate_id, field="certificate_id"),
        )
        return self.published(
            bytes(certificate.der),
            media_type="application/pkix-cert",
            modified_at=certificate.created_at,
            cache_control=CERTIFICATE_CACHE_CONTROL,
        )


class PublishedCrlView(PublishedView):
    """``/crl/{id}/der``: where cRLDistributionPoints of issued certificates point."""

    @extend_schema(
        operation_id="downloadCrl",
        tags=[PUBLISHED_TAG],
        auth=[],
        parameters=[CRL_ID],
        responses=_published("application/pkix-crl"),
    )
    def get(self, request: Request, crl_id: str) -> HttpResponse:
        """A CRL in DER, for anybody."""
        now = timezone.now()
        crl = current_crl(crl_id=parse_uuid(crl_id, field="crl_id"), now=now)
        return self.published(
            bytes(crl.der or b""),
            media_type="application/pkix-crl",
            modified_at=crl.this_update or now,
            cache_control=CRL_CACHE_CONTROL,
        )


class PublishedCrlOldView(PublishedCrlView):
    """``/crl/{id}``: the older address of the same."""

    @extend_schema(
        operation_id="downloadCrlOld",
        tags=[PUBLISHED_TAG],
        auth=[],
        parameters=[CRL_ID],
        responses=_published("application/pkix-crl"),
        deprecated=True,
    )
    def get(self, request: Request, crl_id: str) -> HttpResponse:
        """A CRL in DER, for anybody."""
        return super().get(request, crl_id)
