"""Issuing over HTTP: the body becomes a request of the service, and what that answers becomes the wire's answer."""

import re
from time import perf_counter
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from certificates.api.decision_serializers import ExplanationSerializer
from certificates.api.issue_serializers import (
    IssueBody,
    IssueCertificateAnswerSerializer,
    IssueCertificateSerializer,
    read_issue_body,
)
from certificates.api.queries import IssueQuery
from certificates.api.schema import DRY_RUN, IDEMPOTENCY_KEY
from certificates.api.views import CertificateView
from certificates.models.request import RequestStatus
from certificates.services.approvals.asking import StoredRequest, request_certificate
from certificates.services.explaining import explain_request
from certificates.services.idempotency import IdempotencyKey, digest_of_body
from certificates.services.issuance import IssuedCertificate
from certificates.services.requests import read_applicant_csr, read_csr_to_explain
from certificates.services.retrieval import certificate_pem, join_path
from pki_portal.access.permissions import Action, has_permission
from pki_portal.access.remembering import remembering
from pki_portal.access.requester import Requester, requester_of
from pki_portal.errors import Invalid
from pki_portal.metrics import ISSUE_SECONDS, observe
from pki_portal.rest import malformed, read_by
from pki_portal.rest.schema import answers
from profiles.models import CertificateProfile
from profiles.policy.explain import decision_document
from profiles.policy.plan import Decision, refused
from profiles.services import find_profile

_ISSUE_QUERY = IssueQuery()
# No spaces and no controls: two keys that look the same are the same.
_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")


class IssueView(CertificateView):
    """Issue a certificate."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer, and count how long that took, unless nothing was to be issued."""
        began = perf_counter()
        with remembering():
            response = super().dispatch(request, *args, **kwargs)
        if "dryRun" not in request.GET:
            observe(ISSUE_SECONDS, perf_counter() - began, status=f"{response.status_code // 100}xx")
        return response

    @extend_schema(
        operation_id="issueCertificate",
        summary="Issue a certificate, or sign a CSR",
        tags=["Certificates"],
        parameters=[DRY_RUN, IDEMPOTENCY_KEY],
        request=IssueCertificateSerializer,
        responses=answers(
            PolymorphicProxySerializer(
                component_name="IssueOrExplanation",
                serializers=[IssueCertificateAnswerSerializer, ExplanationSerializer],
                resource_type_field_name=None,
            ),
            409,
            with_body=True,
        ),
    )
    def post(self, request: Request) -> Response:
        """Certify a key made here, or with `csr` the applicant's.

        The private key is in this answer and, unless the profile's `keyRetention` is `escrow`, nowhere else. With
        `dryRun=true` every rule is looked at and told, and nothing is signed or stored. Where others must agree first,
        `certificate` is null and `status` is `pending_approval`: read `certificateRequestId` until it is issued.
        """
        requester = requester_of(request)
        query = read_by(_ISSUE_QUERY, request.query_params)
        idempotency = idempotency_key_of(request)
        body = read_issue_body(request.data)
        # To read is enough here: whether to issue is for the service to judge, which records a refusal.
        profile = find_profile(requester=requester, profile_id=body.profile_id)
        if query.get("dryRun"):
            decision = _explained(profile, body, requester=requester)
            return Response(ExplanationSerializer(decision_document(decision), context={"body": request.data}).data)
        csr = body.csr_pem
        said = None if csr is None else read_applicant_csr(profile=profile, requester=requester, csr=csr)
        issued = request_certificate(
            profile=profile,
            request=body.issuance_request(said),
            requester=requester,
            metadata=body.metadata_entries,
            idempotency=idempotency,
        )
        if isinstance(issued, StoredRequest):
            return Response(_stored_answer(issued))
        return Response(issue_answer(issued, requester=requester, without_roots=body.without_roots))


def _explained(profile: CertificateProfile, body: IssueBody, *, requester: Requester) -> Decision:
    """What issuing would come to; a CSR that is read and refused is an answer too."""
    csr = body.csr_pem
    try:
        said = None if csr is None else read_csr_to_explain(profile=profile, requester=requester, csr=csr)
    except Invalid as refusal:
        return refused(refusal.violations, None)
    return explain_request(profile=profile, request=body.issuance_request(said), requester=requester)


def idempotency_key_of(request: Request) -> IdempotencyKey | None:
    """The key that the client sent, tied to path and body; None without the header.

    The body counts as parsed, so that spacing and the order of keys do not matter. Raises Malformed.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise malformed(
            field="Idempotency-Key",
            code="invalid_idempotency_key",
            asked=key,
            allowed="1 to 255 visible ASCII characters",
            fix="Send 1 to 255 visible ASCII characters as Idempotency-Key, such as a random UUID.",
        )
    return IdempotencyKey(key=key, body_digest=digest_of_body([request.path, request.data]))


def _stored_answer(stored: StoredRequest) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "certificate": None,
        "certificateRequestId": str(stored.request.pk),
        "status": stored.request.status,
        "message": stored.message,
        "warnings": list(stored.warnings),
    }
    return answer | ({"idempotentReplay": True} if stored.is_replay else {})


def told_certificate(issued: IssuedCertificate, *, without_roots: bool) -> dict[str, Any]:
    """A new certificate as the wire has it, without its key."""
    certificate = issued.certificate
    is_self_signed = certificate.authority_id is None
    return {
        "certificate": certificate_pem(certificate),
        "issuingCaCertificate": "" if is_self_signed else issued.certification_path[0],
        "certificateChain": join_path(certificate, issued.certification_path, without_roots=without_roots),
        "serialNumber": certificate.serial_number,
        "certificateId": str(certificate.id),
    }


def issue_answer(issued: IssuedCertificate, *, requester: Requester, without_roots: bool) -> dict[str, Any]:
    """The answer to one issue request, with the private key where there is one that the requester may read."""
    certificate = issued.certificate
    told = told_certificate(issued, without_roots=without_roots)
    warnings = list(issued.warnings)
    if issued.private_key is not None:
        if has_permission(
            requester=requester,
            action=Action.CERTIFICATES_READ_PRIVATE_KEY,
            project_id=certificate.project_id,
        ):
            told["privateKey"] = issued.private_key
        else:
            lost = "kept for those who may read it" if issued.is_key_kept else "lost"
            warnings.append(
                f"The private key is left out, and {lost}: your role does not include reading private keys."
            )
    answer: dict[str, Any] = {
        "certificate": told,
        "certificateRequestId": str(certificate.request_id),
        "status": RequestStatus.ISSUED.value,
        "message": "The certificate was issued.",
        "warnings": warnings,
    }
    if issued.is_replay:
        answer["idempotentReplay"] = True
        answer["message"] = "This Idempotency-Key stands for this certificate already. " + (
            "Its private key is kept: whoever may read it gets it by private-key of this certificate."
            if issued.is_key_kept
            else "A private key is given in the first answer only: if that was lost, issue again with another key."
        )
    return answer
