"""Certificates over HTTP: each view reads the wire, calls one service and writes its answer."""

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from certificates.api.decision_serializers import StoredDecisionSerializer
from certificates.api.queries import (
    CertificatesQuery,
    ProfileCertificatesQuery,
    RequestsQuery,
    SearchCertificatesSerializer,
)
from certificates.api.schema import (
    PROFILE_ID,
    PROJECT_ID,
    REFERENCE,
    REQUEST_ID,
    cursor_paging,
)
from certificates.api.serializers import (
    CERTIFICATE,
    CERTIFICATE_ANSWER,
    CertificateAnswerSerializer,
    CertificateBodySerializer,
    CertificateBundleSerializer,
    CertificateRequestItemSerializer,
    CertificateRequestsAnswerSerializer,
    CertificateRequestSerializer,
    CertificatesAnswerSerializer,
    LatestCertificateBundleSerializer,
    PrivateKeyDestroyedSerializer,
    ProfileCertificatesAnswerSerializer,
    ProfileCertificateSerializer,
    SearchCertificatesAnswerSerializer,
)
from certificates.models import Certificate, CertificateRequest
from certificates.querysets import (
    CertificateFilters,
    certificates_visible_to,
    for_list,
    narrowed,
    narrowed_requests,
    requests_for_list,
    requests_visible_to,
    sorted_by,
    sorted_requests,
)
from certificates.services.deletion import delete_certificate
from certificates.services.kept_keys import (
    destroy_private_key,
    private_key_if_kept,
    read_private_key,
    require_kept_key,
)
from certificates.services.retrieval import (
    certificate_pem,
    chain_pem,
    decision_of,
    find_certificate,
    find_request,
    latest_active_certificate,
)
from certificates.tallies import count_certificates, count_requests
from pki_portal.access.permissions import Action, require
from pki_portal.access.querysets import get_project, get_project_by_slug
from pki_portal.access.remembering import remembering
from pki_portal.access.requester import requester_of
from pki_portal.rest import CursorPaginator, Total, parse_uuid
from pki_portal.rest.schema import answers
from profiles.services import find_profile


class CertificateView(APIView):
    """Base of the views here: what they answer is for whoever asked, and may hold a private key."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer; what only reads need not look up again who asks and what they may."""
        if request.method != "GET":
            return super().dispatch(request, *args, **kwargs)
        with remembering():
            return super().dispatch(request, *args, **kwargs)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """Keep every answer out of caches."""
        response.headers["Cache-Control"] = "no-store"
        return super().finalize_response(request, response, *args, **kwargs)


class CertificateDetailView(CertificateView):
    """One certificate."""

    @extend_schema(
        operation_id="getCertificate",
        summary="Read one certificate's data",
        tags=["Certificates"],
        parameters=[REFERENCE],
        responses=answers(CertificateAnswerSerializer),
    )
    def get(self, request: Request, reference: str) -> Response:
        """Everything but the encoding."""
        certificate = find_certificate(requester=requester_of(request), reference=reference)
        return Response(CERTIFICATE_ANSWER.to_representation({"certificate": certificate}))

    @extend_schema(
        operation_id="deleteCertificate",
        summary="Delete a certificate that has ended or is revoked",
        tags=["Certificates"],
        parameters=[REFERENCE],
        responses=answers(CertificateAnswerSerializer, 409),
    )
    def delete(self, request: Request, reference: str) -> Response:
        """With the key that is kept for it; answers what it was. CRL and OCSP go on telling of its revocation."""
        requester = requester_of(request)
        certificate = find_certificate(requester=requester, reference=reference)
        answer = CERTIFICATE_ANSWER.to_representation({"certificate": certificate})
        delete_certificate(requester=requester, certificate=certificate)
        return Response(answer)


class CertificateBodyView(CertificateView):
    """The certificate itself."""

    @extend_schema(
        operation_id="getCertificateBody",
        summary="Read a certificate and its chain",
        tags=["Certificates"],
        parameters=[REFERENCE],
        responses=answers(CertificateBodySerializer),
    )
    def get(self, request: Request, reference: str) -> Response:
        """PEM of the certificate and of the path above it."""
        certificate = find_certificate(requester=requester_of(request), reference=reference)
        return Response(
            {
                "certificate": certificate_pem(certificate),
                "certificateChain": chain_pem(certificate) or None,
                "serialNumber": certificate.serial_number,
            }
        )


class CertificatePrivateKeyView(CertificateView):
    """The private key, where it is kept."""

    @extend_schema(
        operation_id="getCertificatePrivateKey",
        summary="Read the private key that is kept",
        tags=["Certificates"],
        parameters=[REFERENCE],
        responses=answers({"type": "string", "description": "PKCS#8 PEM, as a JSON string."}, 410),
    )
    def get(self, request: Request, reference: str) -> Response:
        """PEM as a JSON string. 404 where the key never was here, 410 where it was given once or destroyed."""
        requester = requester_of(request)
        certificate = find_certificate(requester=requester, reference=reference)
        return Response(read_private_key(requester=requester, certificate=certificate, via="private-key"))

    @extend_schema(exclude=True)
    def head(self, request: Request, reference: str) -> Response:
        """The statuses of GET; reads no key."""
        requester = requester_of(request)
        certificate = find_certificate(requester=requester, reference=reference)
        require_kept_key(requester=requester, certificate=certificate)
        return Response()

    @extend_schema(
        operation_id="destroyCertificatePrivateKey",
        summary="Destroy the private key that is kept",
        tags=["Certificates"],
        parameters=[REFERENCE],
        responses=answers(PrivateKeyDestroyedSerializer, 410),
    )
    def delete(self, request: Request, reference: str) -> Response:
        """For good; the certificate stays. 404 and 410 as when reading it."""
        requester = requester_of(request)
        certificate = find_certificate(requester=requester, reference=reference)
        secret = destroy_private_key(requester=requester, certificate=certificate)
        answer = PrivateKeyDestroyedSerializer(
            {
                "message": "The private key was destroyed.",
                "serial_number": certificate.serial_number,
                "destroyed_at": secret.destroyed_at,
            }
        )
        return Response(answer.data)


class CertificateBundleView(CertificateView):
    """Certificate, chain and key in one answer."""

    @extend_schema(
        operation_id="getCertificateBundle",
        summary="Read a certificate, its chain and its key",
        tags=["Certificates"],
        parameters=[REFERENCE],
        responses=answers(CertificateBundleSerializer),
    )
    def get(self, request: Request, reference: str) -> Response:
        """As the body; `privateKey` is null where none is kept, or your role does not include reading it."""
        certificate = find_certificate(requester=requester_of(request), reference=reference)
        return Response(
            {
                "certificate": certificate_pem(certificate),
                "certificateChain": chain_pem(certificate) or None,
                "privateKey": _kept_key(request, certificate, via="bundle"),
                "serialNumber": certificate.serial_number,
            }
        )


def _kept_key(request: Request, certificate: Certificate | None, *, via: str) -> str | None:
    """The key that is kept, if the caller may read it; a HEAD, which shows nothing, reads none."""
    if certificate is None or request.method == "HEAD":
        return None
    return private_key_if_kept(requester=requester_of(request), certificate=certificate, via=via)


class CertificateDecisionView(CertificateView):
    """Why a certificate was issued."""

    @extend_schema(
        operation_id="getCertificateDecision",
        summary="Read how a certificate's request was judged",
        tags=["Certificates"],
        parameters=[REFERENCE],
        responses=answers(StoredDecisionSerializer),
    )
    def get(self, request: Request, reference: str) -> Response:
        """Every rule that was looked at; 404 where none was, or for certificates from before this was kept."""
        certificate = find_certificate(requester=requester_of(request), reference=reference)
        return _decision_answer(certificate.issuing_request, certificate_id=certificate.id)


def _decision_answer(request: CertificateRequest, *, certificate_id: UUID | None) -> Response:
    found = decision_of(request)
    told = {
        "certificateId": certificate_id,
        "certificateRequestId": request.id,
        "profileId": found.profile_version.profile_id,
        "profileVersion": found.profile_version.number,
        "certificateTemplateId": found.template_version.template_id,
        "templateVersion": found.template_version.number,
    }
    return Response(StoredDecisionSerializer({"approvals": []} | told | found.trace).data)


def _total(project_id: UUID, filters: CertificateFilters, now: datetime) -> Total:
    count = partial(count_certificates, project_id=project_id, filters=filters, now=now)
    return Total(count, is_exact=filters.is_tallied)


class ProjectCertificatesView(CertificateView):
    """A project's certificates."""

    @extend_schema(
        operation_id="listCertificates",
        summary="List a project's certificates",
        tags=["Certificates"],
        parameters=[PROJECT_ID, CertificatesQuery, *cursor_paging(25)],
        responses=answers(CertificatesAnswerSerializer),
    )
    def get(self, request: Request, project_id: str) -> Response:
        """Newest first."""
        requester = requester_of(request)
        project = get_project(requester=requester, project_id=parse_uuid(project_id, field="project_id"))
        require(requester=requester, action=Action.CERTIFICATES_READ, project_id=project.id)
        query = CertificatesQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        now = timezone.now()
        found = narrowed(certificates_visible_to(requester, project), query.filters, now=now)
        paginator = CursorPaginator(plural="certificates", total=_total(project.pk, query.filters, now))
        rows = paginator.paginate_queryset(for_list(found), request)
        return paginator.get_paginated_response(list(map(CERTIFICATE.to_representation, rows)))


class CertificateSearchView(CertificateView):
    """Search among a project's certificates."""

    @extend_schema(
        operation_id="searchCertificates",
        summary="Search and sort a project's certificates",
        tags=["Certificates"],
        parameters=[PROJECT_ID],
        request=SearchCertificatesSerializer,
        responses=answers(SearchCertificatesAnswerSerializer, with_body=True),
    )
    def post(self, request: Request, project_id: str) -> Response:
        """The filters of the list in a body, and a column to sort by."""
        requester = requester_of(request)
        project = get_project(requester=requester, project_id=parse_uuid(project_id, field="project_id"))
        require(requester=requester, action=Action.CERTIFICATES_READ, project_id=project.id)
        body = SearchCertificatesSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        now = timezone.now()
        found = narrowed(certificates_visible_to(requester, project), body.filters, now=now)
        ordered = sorted_by(for_list(found), body.order, is_descending=body.is_descending)
        paginator = CursorPaginator(plural="certificates", total=_total(project.pk, body.filters, now))
        rows = paginator.page(ordered, **{name: body.validated_data[name] for name in ("offset", "limit", "cursor")})
        response = paginator.get_paginated_response(list(map(CERTIFICATE.to_representation, rows)))
        response.data["warnings"] = body.ignored_warnings
        return response


class ProfileCertificatesView(CertificateView):
    """A profile's certificates."""

    @extend_schema(
        operation_id="listCertificatesOfProfile",
        summary="List a profile's certificates",
        tags=["Certificate profiles"],
        parameters=[PROFILE_ID, ProfileCertificatesQuery, *cursor_paging(20)],
        responses=answers(ProfileCertificatesAnswerSerializer),
    )
    def get(self, request: Request, profile_id: str) -> Response:
        """Newest first."""
        requester = requester_of(request)
        profile = find_profile(requester=requester, profile_id=parse_uuid(profile_id, field="profile_id"))
        require(requester=requester, action=Action.CERTIFICATES_READ, project_id=profile.project_id)
        query = ProfileCertificatesQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        now, filters = timezone.now(), replace(query.filters, profile_ids=(profile.pk,))
        found = narrowed(Certificate.objects.filter(project=profile.project_id), filters, now=now)
        found = found.only(
            *("serial_number", "common_name", "status", "not_before", "not_after", "revoked_at", "created_at")
        )
        paginator = CursorPaginator(
            plural="certificates", default_limit=20, total=_total(profile.project_id, filters, now)
        )
        rows = paginator.paginate_queryset(found, request)
        return paginator.get_paginated_response(ProfileCertificateSerializer(rows, many=True).data)


class LatestActiveBundleView(CertificateView):
    """What a deployment of a profile should use now."""

    @extend_schema(
        operation_id="getLatestActiveBundle",
        summary="Read a profile's newest valid certificate",
        tags=["Certificate profiles"],
        parameters=[PROFILE_ID],
        responses=answers(LatestCertificateBundleSerializer),
    )
    def get(self, request: Request, profile_id: str) -> Response:
        """Four nulls where there is none; `privateKey` as in a bundle."""
        requester = requester_of(request)
        profile = find_profile(requester=requester, profile_id=parse_uuid(profile_id, field="profile_id"))
        certificate = latest_active_certificate(requester=requester, profile=profile, now=timezone.now())
        return Response(
            {
                "certificate": certificate and certificate_pem(certificate),
                "certificateChain": (certificate and chain_pem(certificate)) or None,
                "privateKey": _kept_key(request, certificate, via="latest-active-bundle"),
                "serialNumber": certificate and certificate.serial_number,
            }
        )


class CertificateRequestsView(CertificateView):
    """A project's certificate requests."""

    @extend_schema(
        operation_id="listCertificateRequests",
        summary="List a project's certificate requests",
        tags=["Certificate requests"],
        parameters=[RequestsQuery, *cursor_paging(20)],
        responses=answers(CertificateRequestsAnswerSerializer),
    )
    def get(self, request: Request) -> Response:
        """Newest first unless sorted otherwise."""
        requester = requester_of(request)
        query = RequestsQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        project = get_project_by_slug(requester=requester, slug=query.validated_data["projectSlug"])
        require(requester=requester, action=Action.CERTIFICATE_REQUESTS_READ, project_id=project.id)
        total = Total(
            partial(count_requests, project_id=project.pk, filters=query.filters), is_exact=query.filters.is_tallied
        )
        paginator = CursorPaginator(plural="certificateRequests", default_limit=20, total=total)
        found = narrowed_requests(requests_visible_to(requester, project), query.filters)
        ordered = sorted_requests(requests_for_list(found), query.order, is_descending=query.is_descending)
        rows = paginator.paginate_queryset(ordered, request)
        return paginator.get_paginated_response(CertificateRequestItemSerializer(rows, many=True).data)


class CertificateRequestView(CertificateView):
    """One certificate request."""

    @extend_schema(
        operation_id="getCertificateRequest",
        summary="Read what came of a certificate request",
        tags=["Certificate requests"],
        parameters=[REQUEST_ID],
        responses=answers(CertificateRequestSerializer),
    )
    def get(self, request: Request, request_id: str) -> Response:
        """Its state, and the certificate once there is one; `privateKey` as in a bundle."""
        found = find_request(requester=requester_of(request), request_id=parse_uuid(request_id, field="request_id"))
        private_key = _kept_key(request, getattr(found, "certificate", None), via="certificate-request")
        return Response(CertificateRequestSerializer(found).data | {"privateKey": private_key})


class CertificateRequestDecisionView(CertificateView):
    """Why a request was granted or refused."""

    @extend_schema(
        operation_id="getCertificateRequestDecision",
        summary="Read how a certificate request was judged",
        tags=["Certificate requests"],
        parameters=[REQUEST_ID],
        responses=answers(StoredDecisionSerializer),
    )
    def get(self, request: Request, request_id: str) -> Response:
        """Every rule that was looked at; 404 where none was, or for requests from before this was kept."""
        found = find_request(requester=requester_of(request), request_id=parse_uuid(request_id, field="request_id"))
        certificate = getattr(found, "certificate", None)
        return _decision_answer(found, certificate_id=certificate and certificate.id)
