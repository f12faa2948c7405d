"""What CAs publish, for anybody: their certificates and CRLs, at the addresses that certificates name."""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, ClassVar

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
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
from certificates.services.crl import Document, current_crl, current_delta, document_of
from certificates.x509.crl import crl_pem, crl_pem_size
from pki_portal.rest import parse_uuid
from pki_portal.rest.schema import answers

PUBLISHED_TAG = "Published"
# The document at one address never changes.
CERTIFICATE_CACHE_CONTROL = "public, max-age=86400, immutable"
# A revocation is to be seen soon; whoever has this very list is told so in a few bytes.
CRL_CACHE_SECONDS = 300


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
        headers = published_headers(hashlib.sha256(document).hexdigest(), modified_at, cache_control)
        return self.unless_known(HttpResponse(document, content_type=media_type, headers=headers), modified_at)

    def unless_known(self, response: HttpResponse, modified_at: datetime) -> HttpResponse:
        """The response, or 304 (412) where the request's conditions say so."""
        answer = get_conditional_response(
            self.request._request,
            etag=response.headers["ETag"],
            last_modified=int(modified_at.timestamp()),
            response=response,
        )
        return answer if isinstance(answer, HttpResponse) else response


def published_headers(tag: str, modified_at: datetime, cache_control: str) -> dict[str, str]:
    """What every published document says of itself; ``tag`` is another one whenever the document is."""
    return {
        "ETag": quote_etag(tag),
        "Last-Modified": http_date(int(modified_at.timestamp())),
        "Cache-Control": cache_control,
        "X-Content-Type-Options": "nosniff",
    }


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

    media_type = "application/pkix-crl"

    @extend_schema(
        operation_id="downloadCrl",
        tags=[PUBLISHED_TAG],
        auth=[],
        parameters=[CRL_ID],
        responses=_published("application/pkix-crl"),
    )
    def get(self, request: Request, crl_id: str) -> HttpResponseBase:
        """A CRL in DER, for anybody."""
        now = timezone.now()
        current = current_crl(crl_id=parse_uuid(crl_id, field="crl_id"), now=now)
        if current.this_update is not None and current.next_update is not None:
            # Its number says whether the client has it: a large list is not read to be left out.
            headers = crl_headers(current.number or 0, current.this_update, current.next_update, now)
            known = HttpResponse(headers=headers)
            answer = self.unless_known(known, current.this_update)
            if answer is not known:
                return answer
        document = document_of(current)
        headers = crl_headers(document.number, document.this_update, document.next_update, now)
        if not document.segments:
            return HttpResponse(b"".join(self.encoded(document)), content_type=self.media_type, headers=headers)
        # A list that is cut off by an error is shorter than was said, and no client takes it for whole.
        headers["Content-Length"] = str(self.length(document))
        if request.method == "HEAD":
            return HttpResponse(content_type=self.media_type, headers=headers)
        return StreamingHttpResponse(self.encoded(document), content_type=self.media_type, headers=headers)

    def encoded(self, document: Document) -> Iterator[bytes]:
        """As it is sent."""
        return document.pieces()

    def length(self, document: Document) -> int:
        """How many octets :meth:`encoded` yields."""
        return document.size


class PublishedCrlPemView(PublishedCrlView):
    """``/crl/{id}/pem``: the same for people and for programs that read no DER."""

    media_type = "application/x-pem-file"

    @extend_schema(
        operation_id="downloadCrlPem",
        tags=[PUBLISHED_TAG],
        auth=[],
        parameters=[CRL_ID],
        responses=_published("application/x-pem-file"),
    )
    def get(self, request: Request, crl_id: str) -> HttpResponseBase:
        """A CRL in PEM, for anybody."""
        return super().get(request, crl_id)

    def encoded(self, document: Document) -> Iterator[bytes]:
        """With a final newline: it is a file."""
        return crl_pem(document.pieces())

    def length(self, document: Document) -> int:
        """Of the text."""
        return crl_pem_size(document.size)


class PublishedDeltaCrlView(PublishedView):
    """``/crl/{id}/delta``: where freshestCRL of a complete list points."""

    @extend_schema(
        operation_id="downloadDeltaCrl",
        tags=[PUBLISHED_TAG],
        auth=[],
        parameters=[CRL_ID],
        responses=_published("application/pkix-crl"),
    )
    def get(self, request: Request, crl_id: str) -> HttpResponse:
        """What was revoked and released since the last scheduled CRL, in DER, for anybody."""
        now = timezone.now()
        delta = current_delta(crl_id=parse_uuid(crl_id, field="crl_id"), now=now)
        headers = crl_headers(delta.number, delta.this_update, delta.next_update, now)
        return self.unless_known(
            HttpResponse(delta.der, content_type="application/pkix-crl", headers=headers), delta.this_update
        )


def crl_headers(number: int, this_update: datetime, next_update: datetime, now: datetime) -> dict[str, str]:
    """No cache keeps a list past its nextUpdate."""
    left = max(0, int((next_update - now).total_seconds()))
    return published_headers(str(number), this_update, f"public, max-age={min(CRL_CACHE_SECONDS, left)}")


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
    def get(self, request: Request, crl_id: str) -> HttpResponseBase:
        """A CRL in DER, for anybody."""
        return super().get(request, crl_id)
