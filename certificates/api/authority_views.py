"""CAs over HTTP: each view reads the wire, calls one service and answers."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from certificates.api.authority_serializers import (
    AuthoritiesAnswer,
    AuthoritiesQuery,
    AuthorityAnswer,
    AuthorityCertificateAnswer,
    AuthorityCertificateVersionAnswer,
    AuthorityCsrAnswer,
    ChangeAuthoritySerializer,
    CreateAuthoritySerializer,
    CrlAnswer,
    ImportAuthorityCertificateSerializer,
    ImportAuthoritySerializer,
    ImportedAuthorityCertificateAnswer,
    IssueAuthorityCertificateSerializer,
    IssuedAuthorityCertificateAnswer,
    Kind,
    ProjectAuthoritiesAnswer,
    ProjectAuthoritiesQuery,
    ProjectAuthorityAnswer,
    RenewalType,
    RenewAuthoritySerializer,
    RenewedAuthorityCertificateAnswer,
    SignedIntermediateAnswer,
    SignIntermediateSerializer,
    certificate_answer,
    key_file_in,
    path_length_in,
    subject_in,
    version_answer,
)
from certificates.api.schema import CA_CERT_ID, CA_ID, PROJECT_ID, paging
from certificates.models import CertificateAuthority
from certificates.models.authority import AuthorityStatus, ChainPhase, KeyStore
from certificates.services.authorities import (
    authorities_of,
    authority_certificates_of,
    authority_csr,
    create_intermediate,
    create_root,
    current_certificate_of,
    delete_authority,
    find_authority,
    find_authority_certificate,
    import_authority,
    import_authority_certificate,
    issue_authority_certificate,
    rekey_authority,
    renew_authority,
    revocation_lists_of,
    sign_intermediate,
    update_authority,
)
from certificates.services.crl import current_crl, document_of
from certificates.x509.crl import crl_pem
from certificates.x509.inspect import pem_of
from pki_portal.access.models import Project
from pki_portal.access.permissions import Action
from pki_portal.access.querysets import find_project
from pki_portal.access.requester import Requester, requester_of
from pki_portal.rest import parse_uuid, read, warned
from pki_portal.rest.schema import answers
from pki_portal.rest.views import WireView
from profiles.policy.name_constraints import constraints_of

TAG = "Certificate authorities"
PAGE_SIZE = 25

# Inside names of what is asked, on the wire.
_WIRE_NAMES: Mapping[str, str] = {
    "common_name": "commonName",
    "friendly_name": "friendlyName",
    "organizational_unit": "ou",
    "state": "province",
    "not_before": "notBefore",
    "not_after": "notAfter",
    "max_path_length": "maxPathLength",
    "key_algorithm": "keyAlgorithm",
    "key_store": "keyStore",
    "parent": "parentCaId",
    "certificate_chain": "certificateChain",
    "private_key": "privateKey",
    "chain_phase": "chainPhase",
    "certification_path": "certificateChain",
    "reason": "revocationReason",
    "authority": "",
}


class AuthorityView(WireView):
    """Base of the views here."""

    # Where the body of POST holds what the services judge.
    inside: ClassVar[str] = ""
    not_inside: ClassVar[frozenset[str]] = frozenset()

    def on_the_wire(self, field: str) -> str:
        """Where the body has it."""
        name = _WIRE_NAMES.get(field, field)
        return f"{self.inside}/{name}" if self.inside and name and name not in self.not_inside else name

    def authority(self, ca_id: str, action: Action = Action.CERTIFICATE_AUTHORITIES_READ) -> CertificateAuthority:
        """The CA in the path. Raises Malformed, NotFound, PermissionDenied."""
        return find_authority(requester=self.requester(), authority_id=parse_uuid(ca_id, field="ca_id"), action=action)

    def requester(self) -> Requester:
        """Who asks."""
        return requester_of(self.request)


def authority_answer(authority: CertificateAuthority) -> dict[str, Any]:
    """A CA on the wire."""
    return AuthorityAnswer(authority).data


# --- CAs --------------------------------------------------------------------------------------------------------------


class InternalAuthoritiesView(AuthorityView):
    """``/ca/internal``."""

    inside = "configuration"
    not_inside = frozenset({"name", "projectId", "project_id"})

    @extend_schema(
        operation_id="listInternalCas",
        tags=[TAG],
        parameters=[AuthoritiesQuery],
        responses=answers(AuthorityAnswer(many=True)),
    )
    def get(self, request: Request) -> Response:
        """The CAs of a project, newest first."""
        query = read(AuthoritiesQuery(data=request.query_params))
        found = authorities_of(requester=self.requester(), project_id=query["projectId"])
        return Response([authority_answer(authority) for authority in found])

    @extend_schema(
        operation_id="createInternalCa",
        tags=[TAG],
        request=CreateAuthoritySerializer,
        responses=answers(AuthorityAnswer, with_body=True),
    )
    def post(self, request: Request) -> Response:
        """Make a CA with a key of its own.

        A root is active at once. So is an intermediate with `parentCaId`; any other waits for a certificate.
        """
        body = CreateAuthoritySerializer(data=request.data)
        values = read(body)
        authority = self._create(
            find_project(requester=self.requester(), reference=values["projectId"]),
            values["name"],
            values["configuration"],
        )
        return Response(warned(authority_answer(authority), body))

    def _create(self, project: Project, name: str, configuration: dict[str, Any]) -> CertificateAuthority:
        asked: dict[str, Any] = {
            "requester": self.requester(),
            "project": project,
            "name": name,
            "subject": subject_in(configuration),
            "key_algorithm": configuration["keyAlgorithm"],
            "key_store": KeyStore(configuration.get("keyStore") or KeyStore.DATABASE),
            "not_before": configuration.get("notBefore"),
            "not_after": configuration.get("notAfter"),
            "max_path_length": path_length_in(configuration),
            "friendly_name": configuration.get("friendlyName") or "",
            "name_constraints": constraints_of(configuration.get("nameConstraints")),
            "crl_distribution_point_urls": configuration.get("crlDistributionPointUrls") or (),
            "is_ocsp_enabled": configuration["isOcspEnabled"],
        }
        if configuration["type"] is Kind.ROOT:
            return create_root(**asked)
        parent_id = configuration.get("parentCaId")
        parent = find_authority(requester=self.requester(), authority_id=parent_id) if parent_id else None
        return create_intermediate(**asked, parent=parent)


class ImportAuthorityView(AuthorityView):
    """``/ca/internal/import``."""

    @extend_schema(
        operation_id="importInternalCa",
        tags=[TAG],
        request=ImportAuthoritySerializer,
        responses=answers(AuthorityAnswer, with_body=True),
    )
    def post(self, request: Request) -> Response:
        """Take over a CA that was made elsewhere, with its private key; it is active at once."""
        body = ImportAuthoritySerializer(data=request.data)
        values = read(body)
        authority = import_authority(
            requester=self.requester(),
            project=find_project(requester=self.requester(), reference=values["projectId"]),
            name=values["name"],
            key_file=key_file_in(values),
            certificate=values.get("certificate", ""),
            certificate_chain=values.get("certificateChain", ""),
            friendly_name=values.get("friendlyName") or "",
        )
        return Response(warned(authority_answer(authority), body))


class InternalAuthorityView(AuthorityView):
    """``/ca/internal/{id}``."""

    inside = "configuration"
    not_inside = frozenset({"name", "status", "ca_id"})

    @extend_schema(operation_id="getInternalCa", tags=[TAG], parameters=[CA_ID], responses=answers(AuthorityAnswer))
    def get(self, request: Request, ca_id: str) -> Response:
        """One CA."""
        return Response(authority_answer(self.authority(ca_id)))

    @extend_schema(
        operation_id="updateInternalCa",
        tags=[TAG],
        parameters=[CA_ID],
        request=ChangeAuthoritySerializer,
        responses=answers(AuthorityAnswer, with_body=True),
    )
    def patch(self, request: Request, ca_id: str) -> Response:
        """Rename, disable or enable a CA or its OCSP, name mirrors of its CRL, or switch the chain of a root with a new
        key.
        """
        authority = self.authority(ca_id)
        body = ChangeAuthoritySerializer(data=request.data)
        values = read(body)
        status = values.get("status")
        configuration = values.get("configuration", {})
        phase = configuration.get("chainPhase")
        changed = update_authority(
            requester=self.requester(),
            authority=authority,
            name=values.get("name"),
            status=AuthorityStatus(status) if status is not None else None,
            crl_distribution_point_urls=configuration.get("crlDistributionPointUrls"),
            chain_phase=ChainPhase(phase) if phase is not None else None,
            is_ocsp_enabled=configuration.get("isOcspEnabled"),
        )
        return Response(warned(authority_answer(changed), body))

    @extend_schema(operation_id="deleteInternalCa", tags=[TAG], parameters=[CA_ID], responses=answers(AuthorityAnswer))
    def delete(self, request: Request, ca_id: str) -> Response:
        """Delete a CA on which no certificate, CA or profile depends."""
        authority = self.authority(ca_id)
        answer = authority_answer(authority)
        delete_authority(requester=self.requester(), authority=authority)
        return Response(answer)


class AuthorityCsrView(AuthorityView):
    """``/ca/internal/{id}/csr``."""

    @extend_schema(
        operation_id="getInternalCaCsr", tags=[TAG], parameters=[CA_ID], responses=answers(AuthorityCsrAnswer)
    )
    def get(self, request: Request, ca_id: str) -> Response:
        """A CSR with which another CA can certify this intermediate."""
        return Response({"csr": authority_csr(requester=self.requester(), authority=self.authority(ca_id))})


class AuthorityCertificateView(AuthorityView):
    """``/ca/internal/{id}/certificate``."""

    @extend_schema(
        operation_id="getInternalCaCertificate",
        tags=[TAG],
        parameters=[CA_ID],
        responses=answers(AuthorityCertificateAnswer),
    )
    def get(self, request: Request, ca_id: str) -> Response:
        """The CA's active certificate."""
        return Response(certificate_answer(current_certificate_of(self.authority(ca_id))))

    @extend_schema(
        operation_id="issueInternalCaCertificate",
        tags=[TAG],
        parameters=[CA_ID],
        request=IssueAuthorityCertificateSerializer,
        responses=answers(IssuedAuthorityCertificateAnswer, with_body=True),
    )
    def post(self, request: Request, ca_id: str) -> Response:
        """Give the CA a new certificate, self-signed or from an internal parent, and make it the active one."""
        authority = self.authority(ca_id)
        body = IssueAuthorityCertificateSerializer(data=request.data)
        values = read(body)
        parent_id = values.get("parentCaId")
        certificate = issue_authority_certificate(
            requester=self.requester(),
            authority=authority,
            parent=find_authority(requester=self.requester(), authority_id=parent_id) if parent_id else None,
            not_before=values.get("notBefore"),
            not_after=values["notAfter"],
            max_path_length=path_length_in(values, default=authority.max_path_length),
        )
        return Response(warned({"certId": str(certificate.pk), **certificate_answer(certificate)}, body))


class AuthorityCertificateByIdView(AuthorityView):
    """``/ca/internal/{id}/certificate/{certId}``."""

    @extend_schema(
        operation_id="getInternalCaCertificateById",
        tags=[TAG],
        parameters=[CA_ID, CA_CERT_ID],
        responses=answers(IssuedAuthorityCertificateAnswer),
    )
    def get(self, request: Request, ca_id: str, certificate_id: str) -> Response:
        """One version of the CA's certificate."""
        certificate = find_authority_certificate(
            authority=self.authority(ca_id), certificate_id=parse_uuid(certificate_id, field="certificate_id")
        )
        return Response({"certId": str(certificate.pk), **certificate_answer(certificate)})


class AuthorityCertificatesView(AuthorityView):
    """``/ca/internal/{id}/ca-certificates``."""

    @extend_schema(
        operation_id="listInternalCaCertificates",
        tags=[TAG],
        parameters=[CA_ID],
        responses=answers(AuthorityCertificateVersionAnswer(many=True)),
    )
    def get(self, request: Request, ca_id: str) -> Response:
        """Every version of the CA's certificate, oldest first."""
        versions = authority_certificates_of(self.authority(ca_id))
        return Response([version_answer(each) for each in versions])


class SignIntermediateView(AuthorityView):
    """``/ca/internal/{id}/sign-intermediate``."""

    @extend_schema(
        operation_id="signIntermediate",
        tags=[TAG],
        parameters=[CA_ID],
        request=SignIntermediateSerializer,
        responses=answers(SignedIntermediateAnswer, with_body=True),
    )
    def post(self, request: Request, ca_id: str) -> Response:
        """Sign the certificate of a CA whose key is elsewhere."""
        authority = self.authority(ca_id)
        body = SignIntermediateSerializer(data=request.data)
        values = read(body)
        signed = sign_intermediate(
            requester=self.requester(),
            authority=authority,
            csr=values["csr"],
            not_before=values.get("notBefore"),
            not_after=values["notAfter"],
            max_path_length=path_length_in(values),
            name_constraints=constraints_of(values.get("nameConstraints")),
        )
        path = [pem_of(der) for der in signed.certification_path]
        answer = {
            "certificate": pem_of(bytes(signed.certificate.der)),
            "certificateChain": "\n".join(path),
            "issuingCaCertificate": path[0],
            "serialNumber": signed.certificate.serial_number,
        }
        return Response(warned(answer, body))


class ImportCertificateView(AuthorityView):
    """``/ca/internal/{id}/import-certificate``."""

    @extend_schema(
        operation_id="importInternalCaCertificate",
        tags=[TAG],
        parameters=[CA_ID],
        request=ImportAuthorityCertificateSerializer,
        responses=answers(ImportedAuthorityCertificateAnswer, with_body=True),
    )
    def post(self, request: Request, ca_id: str) -> Response:
        """Install a certificate that another CA signed for this intermediate."""
        authority = self.authority(ca_id)
        body = ImportAuthorityCertificateSerializer(data=request.data)
        values = read(body)
        import_authority_certificate(
            requester=self.requester(),
            authority=authority,
            certificate=values["certificate"],
            certificate_chain=values["certificateChain"],
        )
        answer = {"message": "The certificate was installed as that of the CA.", "caId": str(authority.pk)}
        return Response(warned(answer, body))


class RenewAuthorityView(AuthorityView):
    """``/ca/internal/{id}/renew``."""

    @extend_schema(
        operation_id="renewInternalCa",
        tags=[TAG],
        parameters=[CA_ID],
        request=RenewAuthoritySerializer,
        responses=answers(RenewedAuthorityCertificateAnswer, with_body=True),
    )
    def post(self, request: Request, ca_id: str) -> Response:
        """Give the CA a certificate with a later end for the same key, or a new key under the same name.

        A root with a new key signs with the old one until `PATCH` switches its `chainPhase`. A CA whose parent is
        elsewhere goes on as it is: `csr` is to be signed there, and the certificate imported.
        """
        authority = self.authority(ca_id)
        body = RenewAuthoritySerializer(data=request.data)
        values = read(body)
        asked: dict[str, Any] = {
            "requester": self.requester(),
            "authority": authority,
            "not_after": values["notAfter"],
        }
        if values.get("type") is not RenewalType.NEW_KEY:
            return Response(warned(certificate_answer(renew_authority(**asked)), body))
        rekeyed = rekey_authority(**asked, key_algorithm=values.get("keyAlgorithm"))
        if rekeyed.certificate is not None:
            return Response(warned(certificate_answer(rekeyed.certificate), body))
        return Response(warned({**certificate_answer(current_certificate_of(authority)), "csr": rekeyed.csr}, body))


class AuthorityCrlsView(AuthorityView):
    """``/ca/internal/{id}/crls``."""

    @extend_schema(
        operation_id="listInternalCaCrls", tags=[TAG], parameters=[CA_ID], responses=answers(CrlAnswer(many=True))
    )
    def get(self, request: Request, ca_id: str) -> Response:
        """The CA's CRLs, one for each key."""
        now = timezone.now()
        lists = [current_crl(crl_id=each.pk, now=now) for each in revocation_lists_of(self.authority(ca_id))]
        texts = (b"".join(crl_pem(document_of(each).pieces())).decode("ascii").strip() for each in lists)
        return Response([{"id": str(each.pk), "crl": text} for each, text in zip(lists, texts, strict=True)])


class AuthoritiesView(AuthorityView):
    """``/ca``."""

    @extend_schema(
        operation_id="listCas", tags=[TAG], parameters=[AuthoritiesQuery], responses=answers(AuthoritiesAnswer)
    )
    def get(self, request: Request) -> Response:
        """The CAs of every kind of a project, newest first; so far there are internal ones."""
        query = read(AuthoritiesQuery(data=request.query_params))
        found = authorities_of(requester=self.requester(), project_id=query["projectId"])
        return Response({"certificateAuthorities": [authority_answer(authority) for authority in found]})


class ProjectAuthoritiesView(AuthorityView):
    """``/projects/{id}/cas``."""

    @extend_schema(
        operation_id="listProjectCas",
        tags=[TAG],
        parameters=[PROJECT_ID, ProjectAuthoritiesQuery, *paging(PAGE_SIZE)],
        responses=answers(ProjectAuthoritiesAnswer),
    )
    def get(self, request: Request, project_id: str) -> Response:
        """The CAs of a project in the older, flat form."""
        query = read(ProjectAuthoritiesQuery(data=request.query_params))
        found = authorities_of(requester=self.requester(), project_id=parse_uuid(project_id, field="project_id"))
        if "status" in query:
            found = found.filter(status=query["status"])
        if query.get("friendlyName"):
            found = found.filter(friendly_name=query["friendlyName"])
        if query.get("commonName"):
            found = found.filter(common_name=query["commonName"])
        start = query.get("offset", 0)
        page = found[start : start + query.get("limit", PAGE_SIZE)]
        return Response({"cas": ProjectAuthorityAnswer(page, many=True).data})
