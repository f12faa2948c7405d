"""Revocation over HTTP."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from certificates.api.issue_views import idempotency_key_of
from certificates.api.revocation_serializers import (
    NamedCertificateAnswer,
    ReleasedAnswer,
    RevokedAnswer,
    RevokedSelectionAnswer,
    RevokeSelectedSerializer,
    RevokeSerializer,
)
from certificates.api.schema import IDEMPOTENCY_KEY, PROJECT_ID, REFERENCE
from certificates.api.timing import TimedView
from certificates.api.views import CertificateView
from certificates.services.retrieval import find_certificate
from certificates.services.revocation import preview_revocation, release_hold, revoke_certificate, revoke_selected
from pki_portal.access.querysets import get_project
from pki_portal.access.requester import requester_of
from pki_portal.rest import iso, parse_uuid, read, warned
from pki_portal.rest.schema import answers

TAG = "Revocation"


class RevokeView(TimedView, CertificateView):
    """``/certificates/{id}/revoke``."""

    operation = "revoke"

    @extend_schema(
        operation_id="revokeCertificate",
        summary="Revoke a certificate, or put it on hold",
        tags=[TAG],
        parameters=[REFERENCE, IDEMPOTENCY_KEY],
        request=RevokeSerializer,
        responses=answers(RevokedAnswer, 409, with_body=True),
    )
    def post(self, request: Request, reference: str) -> Response:
        """When this is answered, the CRL and OCSP say so. One on hold can be revoked for another reason."""
        requester = requester_of(request)
        idempotency = idempotency_key_of(request)
        certificate = find_certificate(requester=requester, reference=reference)
        body = RevokeSerializer(data=request.data)
        asked = read(body)
        revoked = revoke_certificate(
            requester=requester,
            certificate=certificate,
            reason=asked["revocationReason"].reason,
            invalidity_date=asked.get("invalidityDate"),
            idempotency=idempotency,
        )
        answer: dict[str, Any] = {
            "message": "Successfully revoked certificate",
            "serialNumber": revoked.certificate.serial_number,
            "revokedAt": iso(revoked.revoked_at),
            "siblings": NamedCertificateAnswer(revoked.siblings, many=True).data,
        }
        if revoked.is_replay:
            answer["idempotentReplay"] = True
        return Response(warned(answer, body))


class ReleaseHoldView(CertificateView):
    """``/certificates/{id}/release-hold``."""

    @extend_schema(
        operation_id="releaseCertificateHold",
        summary="Take a certificate off hold",
        tags=[TAG],
        parameters=[REFERENCE],
        request=None,
        responses=answers(ReleasedAnswer),
    )
    def post(self, request: Request, reference: str) -> Response:
        """It is valid again, and on no CRL any more."""
        requester = requester_of(request)
        certificate = find_certificate(requester=requester, reference=reference)
        released = release_hold(requester=requester, certificate=certificate)
        return Response({"message": "The certificate was released.", "serialNumber": released.serial_number})


class RevokeSelectedView(CertificateView):
    """``/projects/{id}/certificates/revoke``."""

    @extend_schema(
        operation_id="revokeCertificates",
        summary="Revoke all certificates that a filter finds",
        tags=[TAG],
        parameters=[PROJECT_ID, IDEMPOTENCY_KEY],
        request=RevokeSelectedSerializer,
        responses=answers(RevokedSelectionAnswer, 409, with_body=True),
    )
    def post(self, request: Request, project_id: str) -> Response:
        """First with `dryRun`, then with the count and selection that it answered: all of these or none."""
        requester = requester_of(request)
        idempotency = idempotency_key_of(request)
        project = get_project(requester=requester, project_id=parse_uuid(project_id, field="project_id"))
        body = RevokeSelectedSerializer(data=request.data)
        asked = read(body)
        if asked["dryRun"]:
            found = preview_revocation(requester=requester, project=project, filters=body.filters)
            message = f"{found.count} certificates would be revoked."
        else:
            found = revoke_selected(
                requester=requester,
                project=project,
                filters=body.filters,
                reason=asked["revocationReason"].reason,
                count=asked["expectedCount"],
                digest=asked["selection"],
                idempotency=idempotency,
            )
            message = f"{found.count} certificates were revoked."
        answer: dict[str, Any] = {
            "message": message,
            "dryRun": asked["dryRun"],
            "count": found.count,
            "selection": found.digest,
            "certificates": NamedCertificateAnswer(found.first, many=True).data,
        }
        if found.is_replay:
            answer["idempotentReplay"] = True
        return Response(warned(answer, body))
