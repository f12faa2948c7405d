"""Renewal over HTTP."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from certificates.api.issue_views import idempotency_key_of, told_certificate
from certificates.api.renewal_serializers import (
    RenewalConfigAnswer,
    RenewalConfigSerializer,
    RenewalDifferenceAnswer,
    RenewedAnswer,
    RenewSerializer,
)
from certificates.api.schema import CERTIFICATE_ID, IDEMPOTENCY_KEY
from certificates.api.timing import TimedView
from certificates.api.views import CertificateView
from certificates.models import Certificate
from certificates.services.renewal import configure_renewal, renew_certificate
from certificates.services.renewal_difference import renewal_difference
from certificates.services.retrieval import find_certificate
from pki_portal.access.requester import Requester, requester_of
from pki_portal.rest import parse_uuid, read, warned
from pki_portal.rest.schema import answers

TAG = "Renewal"


class RenewView(TimedView, CertificateView):
    """``/certificates/{id}/renew``."""

    operation = "renew"

    @extend_schema(
        operation_id="renewCertificate",
        summary="Renew a certificate",
        tags=[TAG],
        parameters=[CERTIFICATE_ID, IDEMPOTENCY_KEY],
        request=RenewSerializer,
        responses=answers(RenewedAnswer, 409, with_body=True),
    )
    def post(self, request: Request, certificate_id: str) -> Response:
        """The same names for the same life, by the rules of today; the old certificate stays valid.

        A key that the portal makes waits, sealed, for its one claim: whichever of the certificate's `private-key`,
        `bundle`, its request or the profile's `latest-active-bundle` is read first.
        """
        requester = requester_of(request)
        idempotency = idempotency_key_of(request)
        certificate = _certificate(requester, certificate_id)
        body = RenewSerializer(data=request.data)
        read(body)
        renewed = renew_certificate(
            certificate=certificate,
            requester=requester,
            key_source=body.key_source,
            csr=body.validated_data.get("csr"),
            changes=body.changes,
            idempotency=idempotency,
        )
        answer = told_certificate(renewed, without_roots=body.without_roots) | {
            "certificateRequestId": str(renewed.certificate.request_id),
            "message": "The certificate was renewed."
            + (
                " Its private key waits for its claim: read it by private-key or bundle." if renewed.is_key_kept else ""
            ),
            "warnings": [*renewed.warnings, *body.ignored_warnings],
        }
        if renewed.is_replay:
            answer["idempotentReplay"] = True
            answer["message"] = "This Idempotency-Key stands for this renewal already."
        return Response(answer)


class RenewalDifferenceView(CertificateView):
    """``/certificates/{id}/renewal-diff``."""

    @extend_schema(
        operation_id="getRenewalDifference",
        summary="Read what a renewal changed",
        tags=[TAG],
        parameters=[CERTIFICATE_ID],
        responses=answers(RenewalDifferenceAnswer),
    )
    def get(self, request: Request, certificate_id: str) -> Response:
        """Field by field beside the certificate that this one took the place of; 404 where it renewed none."""
        certificate = _certificate(requester_of(request), certificate_id)
        return Response(RenewalDifferenceAnswer(renewal_difference(certificate)).data)


class RenewalConfigView(CertificateView):
    """``/certificates/{id}/config``."""

    @extend_schema(
        operation_id="updateCertificateRenewalConfig",
        summary="Have a certificate renew by itself, or not",
        tags=[TAG],
        parameters=[CERTIFICATE_ID],
        request=RenewalConfigSerializer,
        responses=answers(RenewalConfigAnswer, with_body=True),
    )
    def patch(self, request: Request, certificate_id: str) -> Response:
        """What is set here holds for its successors too, whatever their profile says."""
        requester = requester_of(request)
        certificate = _certificate(requester, certificate_id)
        body = RenewalConfigSerializer(data=request.data)
        asked = read(body)
        answer: dict[str, Any] = {"message": "No configuration changes requested"}
        if asked.get("enableAutoRenewal") is False:
            configure_renewal(certificate=certificate, requester=requester, renew_before_days=None)
            answer = {"message": "Auto-renewal disabled successfully"}
        elif "renewBeforeDays" in asked:
            days = asked["renewBeforeDays"]
            configure_renewal(certificate=certificate, requester=requester, renew_before_days=days)
            answer = {"message": "Certificate configuration updated successfully", "renewBeforeDays": days}
        return Response(warned(answer, body))


def _certificate(requester: Requester, certificate_id: str) -> Certificate:
    identifier = parse_uuid(certificate_id, field="certificate_id")
    return find_certificate(requester=requester, reference=str(identifier))
