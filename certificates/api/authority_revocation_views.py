"""Revoking the certificates of CAs over HTTP."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from certificates.api.authority_views import AuthorityView
from certificates.api.revocation_serializers import RevokedAuthorityCertificateAnswer, RevokeSerializer, VersionAnswer
from certificates.api.schema import CA_CERT_ID, CA_ID
from certificates.services.authorities import find_authority_certificate, revoke_authority_certificate
from pki_portal.rest import iso, parse_uuid, read, warned
from pki_portal.rest.schema import answers


class RevokeAuthorityCertificateView(AuthorityView):
    """``/ca/internal/{id}/certificates/{certId}/revoke``."""

    @extend_schema(
        operation_id="revokeInternalCaCertificate",
        summary="Revoke the certificate of a CA",
        tags=["Revocation"],
        parameters=[CA_ID, CA_CERT_ID],
        request=RevokeSerializer,
        responses=answers(RevokedAuthorityCertificateAnswer, with_body=True),
    )
    def post(self, request: Request, ca_id: str, certificate_id: str) -> Response:
        """Of one that another CA of the project signed: its CRL and OCSP say so when this is answered.

        The CA is disabled where its active certificate is revoked or its key compromised, until it has another.
        """
        authority = self.authority(ca_id)
        certificate = find_authority_certificate(
            authority=authority, certificate_id=parse_uuid(certificate_id, field="certificate_id")
        )
        body = RevokeSerializer(data=request.data)
        asked = read(body)
        revoked = revoke_authority_certificate(
            requester=self.requester(),
            certificate=certificate,
            reason=asked["revocationReason"].reason,
            invalidity_date=asked.get("invalidityDate"),
        )
        answer = {
            "message": "The certificate of the CA was revoked.",
            "caId": str(authority.pk),
            "serialNumber": revoked.certificate.serial_number,
            "revokedAt": iso(revoked.revoked_at),
            "siblings": VersionAnswer(revoked.siblings, many=True).data,
        }
        return Response(warned(answer, body))
