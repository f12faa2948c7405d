"""Incidents and renewal information over HTTP."""

import math
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from certificates.api.incident_serializers import (
    AffectedAnswer,
    DeclaredIncidentAnswer,
    DeclareIncidentSerializer,
    IncidentAnswer,
    IncidentDetailAnswer,
    RenewalInformationAnswer,
)
from certificates.api.schema import CERTIFICATE_ID, PROJECT_ID, paging
from certificates.api.views import CertificateView
from certificates.models import Incident
from certificates.services.incidents import (
    NAMED,
    affected_by,
    close_incident,
    declare_incident,
    find_incident,
    incidents_visible_to,
    preview_incident,
    progress_of,
)
from certificates.services.renewal_information import renewal_information
from certificates.services.retrieval import find_certificate
from pki_portal.access.models import Project
from pki_portal.access.querysets import get_project
from pki_portal.access.requester import requester_of
from pki_portal.rest import WirePaginator, parse_uuid, read, warned
from pki_portal.rest.schema import answers, listed

TAG = "Incidents"
PAGE_SIZE = 25
_INCIDENT_ID = OpenApiParameter(
    "incident_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="Id of the incident."
)
_RETRY_AFTER = OpenApiParameter(
    "Retry-After",
    OpenApiTypes.INT,
    OpenApiParameter.HEADER,
    response=[200],
    description="Ask again after so many seconds.",
)


class RenewalInformationView(CertificateView):
    """``/certificates/{id}/renewal-info``."""

    @extend_schema(
        operation_id="getRenewalInformation",
        summary="Read when to renew a certificate",
        tags=["Renewal"],
        parameters=[CERTIFICATE_ID, _RETRY_AFTER],
        responses=answers(RenewalInformationAnswer),
    )
    def get(self, request: Request, certificate_id: str) -> Response:
        """A window to pick a moment from by chance; it lies in the past where the certificate is to be replaced now.

        That is so when it is revoked or has ended, and while an incident that affects it is open.
        """
        identifier = parse_uuid(certificate_id, field="certificate_id")
        certificate = find_certificate(requester=requester_of(request), reference=str(identifier))
        found = renewal_information(certificate, now=timezone.now())
        wait = math.ceil(found.retry_after.total_seconds())
        return Response(RenewalInformationAnswer(found).data, headers={"Retry-After": str(wait)})


class IncidentView(CertificateView):
    """Base of the views here."""

    def project(self, project_id: str) -> Project:
        """The project in the path. Raises Malformed, NotFound."""
        return get_project(requester=requester_of(self.request), project_id=parse_uuid(project_id, field="project_id"))

    def incident(self, project_id: str, incident_id: str) -> Incident:
        """The incident in the path. Raises Malformed, NotFound."""
        identifiers: list[UUID] = [
            parse_uuid(project_id, field="project_id"),
            parse_uuid(incident_id, field="incident_id"),
        ]
        return find_incident(
            requester=requester_of(self.request), project_id=identifiers[0], incident_id=identifiers[1]
        )


class IncidentsView(IncidentView):
    """``/projects/{id}/incidents``."""

    @extend_schema(
        operation_id="listIncidents",
        summary="List the incidents of a project, newest first",
        tags=[TAG],
        parameters=[PROJECT_ID, *paging(PAGE_SIZE)],
        responses=answers(listed("IncidentList", "incidents", IncidentAnswer)),
    )
    def get(self, request: Request, project_id: str) -> Response:
        """List them."""
        paginator = WirePaginator(plural="incidents", default_limit=PAGE_SIZE)
        found = incidents_visible_to(requester_of(request), self.project(project_id))
        rows = paginator.paginate_queryset(found, request)
        return paginator.get_paginated_response(IncidentAnswer(rows, many=True).data)

    @extend_schema(
        operation_id="declareIncident",
        summary="Have certificates replaced now",
        tags=[TAG],
        parameters=[PROJECT_ID],
        request=DeclareIncidentSerializer,
        responses=answers(DeclaredIncidentAnswer, with_body=True),
    )
    def post(self, request: Request, project_id: str) -> Response:
        """Certificates in force that fit are renewed one after the other; `renewal-info` of each says so.

        None is revoked: do that, by `certificates/revoke`, once their successors are in use. With `dryRun` the answer
        tells what would be affected.
        """
        requester = requester_of(request)
        project = self.project(project_id)
        body = DeclareIncidentSerializer(data=request.data)
        asked = read(body)
        answer: dict[str, Any] = {"dryRun": asked["dryRun"], "incident": None}
        if asked["dryRun"]:
            affected = preview_incident(requester=requester, project=project, criteria=body.criteria)
            count, first = affected.count, list(affected.first)
            answer["message"] = f"{count} certificates would be replaced."
        else:
            incident = declare_incident(
                requester=requester, project=project, reason=asked["reason"], criteria=body.criteria, over=body.over
            )
            members = incident.affected.order_by("replace_at", "pk")
            count = members.count()
            first = [each.certificate for each in members.select_related("certificate")[:NAMED]]
            answer["message"] = f"{count} certificates are to be replaced."
            answer["incident"] = incident
        return Response(warned(DeclaredIncidentAnswer({**answer, "count": count, "certificates": first}).data, body))


class IncidentDetailView(IncidentView):
    """``/projects/{id}/incidents/{id}``."""

    @extend_schema(
        operation_id="getIncident",
        summary="Read an incident and how far the replacing is",
        tags=[TAG],
        parameters=[PROJECT_ID, _INCIDENT_ID],
        responses=answers(IncidentDetailAnswer),
    )
    def get(self, request: Request, project_id: str, incident_id: str) -> Response:
        """With counts of what was renewed, what waits and what is still to be revoked."""
        incident = self.incident(project_id, incident_id)
        progress = progress_of(incident, timezone.now())
        return Response(IncidentDetailAnswer({"incident": incident, "progress": progress}).data)


class IncidentCertificatesView(IncidentView):
    """``/projects/{id}/incidents/{id}/certificates``."""

    @extend_schema(
        operation_id="listIncidentCertificates",
        summary="List the certificates that an incident affects, in the order of their turns",
        tags=[TAG],
        parameters=[PROJECT_ID, _INCIDENT_ID, *paging(PAGE_SIZE)],
        responses=answers(listed("AffectedList", "certificates", AffectedAnswer)),
    )
    def get(self, request: Request, project_id: str, incident_id: str) -> Response:
        """With what became of each."""
        members = affected_by(self.incident(project_id, incident_id), now=timezone.now())
        paginator = WirePaginator(plural="certificates", default_limit=PAGE_SIZE)
        rows = paginator.paginate_queryset(members, request)
        return paginator.get_paginated_response(AffectedAnswer(rows, many=True).data)


class CloseIncidentView(IncidentView):
    """``/projects/{id}/incidents/{id}/close``."""

    @extend_schema(
        operation_id="closeIncident",
        summary="Close an incident",
        tags=[TAG],
        parameters=[PROJECT_ID, _INCIDENT_ID],
        request=None,
        responses=answers(IncidentDetailAnswer),
    )
    def post(self, request: Request, project_id: str, incident_id: str) -> Response:
        """What still waits is renewed on its own day again."""
        incident = close_incident(requester=requester_of(request), incident=self.incident(project_id, incident_id))
        progress = progress_of(incident, timezone.now())
        return Response(IncidentDetailAnswer({"incident": incident, "progress": progress}).data)
