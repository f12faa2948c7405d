"""Finding what was issued, and giving it back in PEM."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db.models import QuerySet

from certificates.models import Certificate, CertificateRequest
from certificates.querysets import (
    StatusFilter,
    id_in,
    normal_fingerprint,
    normal_serial_number,
    with_links,
    with_status,
)
from certificates.services.authorities import chain_below
from certificates.x509.inspect import is_issued_by, is_self_signed, pem_of
from pki_portal.access.permissions import (
    Action,
    has_permission,
    projects_visible_to,
    projects_visible_to_member,
    require,
)
from pki_portal.access.requester import Requester, RequesterKind
from pki_portal.compiled import CompiledQuery
from pki_portal.errors import Invalid, NotFound, Violation
from profiles.models import CertificateProfile, ProfileVersion, TemplateVersion

# Serial numbers are 159 random bits: more hits than this come from imports only, and a message need not name them all.
AMBIGUOUS_LIMIT = 10


def find_certificate(*, requester: Requester, reference: str, action: Action = Action.CERTIFICATES_READ) -> Certificate:
    """The certificate with this id, serial number or SHA-256 fingerprint (in any spelling) among what the requester
    may see.

    Loaded with its CA, profile, request, issuing certificate, automatic renewal and, as ``successor_id``, what it was
    renewed by.

    Raises:
        NotFound: none, or none that the requester may know of.
        PermissionDenied: it is in one of the requester's projects, whose role does not include ``action``.
        Invalid: several have this serial number, of different CAs or in several projects; the message names their ids.
    """
    hits = _hits(requester=requester, reference=reference.strip())
    if not hits:
        raise NotFound("There is no certificate with this id, serial number or fingerprint.")
    allowed = [hit for hit in hits if has_permission(requester=requester, action=action, project_id=hit.project_id)]
    if not allowed:
        require(requester=requester, action=action, project_id=hits[0].project_id)
    if len(allowed) > 1:
        raise _ambiguous(reference, allowed)
    return allowed[0]


def _hits(*, requester: Requester, reference: str) -> list[Certificate]:
    named = _named(reference)
    if named is None:
        return []
    column, value = named
    if requester.is_unlimited:
        return _finding(column, None).rows(value=value)
    return _finding(column, requester.kind).rows(value=value, member=requester.user_id or UUID(requester.id))


def _named(reference: str) -> tuple[str, str | UUID] | None:
    """The column in which certificates are looked for by this reference, and what has to stand there."""
    if identifier := id_in(reference):
        return "pk", identifier
    if serial_number := normal_serial_number(reference):
        return "serial_number", serial_number.zfill(40)
    if fingerprint := normal_fingerprint(reference):
        return "fingerprint_sha256", fingerprint
    return None


@cache
def _finding(column: str, kind: RequesterKind | None) -> CompiledQuery[Certificate]:
    """Certificates by one column among what a ``member`` of this kind may see; None: among all."""

    def found(value: str | UUID, member: int | UUID | None = None) -> QuerySet[Certificate]:
        visible = Certificate.objects.filter(**{column: value})
        if kind is not None:
            visible = visible.filter(project__in=projects_visible_to_member(kind, str(member)))
        return with_links(visible).select_related("authority_certificate", "auto_renewal")[:AMBIGUOUS_LIMIT]

    types: dict[str, type[str | int | UUID]] = {"value": UUID if column == "pk" else str}
    if kind is not None:
        types["member"] = int if kind == "user" else UUID
    return CompiledQuery(found, **types)


def _ambiguous(reference: str, certificates: list[Certificate]) -> Invalid:
    """Of different CAs, or one that several of the requester's projects have."""
    ids = ", ".join(str(certificate.id) for certificate in certificates)
    return Invalid(
        f"Several certificates are called {reference}; name one by its id: {ids}.",
        violations=[
            Violation(
                field="certificate_id",
                code="ambiguous_serial_number",
                rule="RFC 5280, 4.1.2.2: a serial number is unique for one issuer only",
                asked=reference,
                allowed=ids,
                fix="Use one of these ids instead.",
            )
        ],
    )


def find_request(*, requester: Requester, request_id: UUID) -> CertificateRequest:
    """The certificate request with its profile and certificate, if there is one; its trace is read when asked.

    Raises:
        NotFound: none, or none that the requester may know of.
        PermissionDenied: the role in its project does not include reading requests.
    """
    found = (
        CertificateRequest.objects.select_related("profile", "certificate", "approval")
        .defer("decision")
        .filter(pk=request_id, project__in=projects_visible_to(requester))
        .first()
    )
    if found is None:
        raise NotFound("There is no certificate request with this id.")
    require(requester=requester, action=Action.CERTIFICATE_REQUESTS_READ, project_id=found.project_id)
    return found


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """How a request was judged: the trace in inside spelling, and the versions whose rules those were."""

    profile_version: ProfileVersion
    template_version: TemplateVersion
    trace: dict[str, Any]


def decision_of(request: CertificateRequest) -> StoredDecision:
    """The trace that was stored with a request. At most three queries.

    Raises NotFound, with the reason, where there is none.
    """
    if request.decision is None or request.profile_version is None or request.template_version is None:
        raise NotFound(
            "There is no decision to show: "
            + (
                "no profile judged this request, it was signed at the CA itself."
                if not request.profile_slug
                else "this request was refused before its rules were asked, or is from before decisions were kept."
            )
        )
    return StoredDecision(request.profile_version, request.template_version, request.decision)


def latest_active_certificate(
    *, requester: Requester, profile: CertificateProfile, now: datetime
) -> Certificate | None:
    """The newest certificate of the profile that is neither expired nor revoked at ``now``, if any.

    Raises:
        PermissionDenied, NotFound: the requester may not read certificates there.
    """
    require(requester=requester, action=Action.CERTIFICATES_READ, project_id=profile.project_id)
    certificates = Certificate.objects.select_related("authority_certificate").filter(profile=profile)
    return with_status(certificates, StatusFilter.ACTIVE, now).order_by("-created_at", "id").first()


def certificate_pem(certificate: Certificate) -> str:
    """The certificate in PEM, without a final newline."""
    return pem_of(bytes(certificate.der))


def certification_path_pem(certificate: Certificate) -> tuple[str, ...]:
    """PEM (no final newline) of what is handed out above a certificate: issuing CA first, root last.

    It is the path by which it was issued, but where a root above has changed its key since. A self-signed certificate
    is its own path; of an imported one it is what was imported with it, perhaps nothing.
    """
    if certificate.external_chain:
        return tuple(_pem(each) for each in x509.load_pem_x509_certificates(certificate.external_chain.encode()))
    issuer = certificate.authority_certificate
    if issuer is None or certificate.authority is None:
        own = x509.load_der_x509_certificate(bytes(certificate.der))
        return () if certificate.is_imported and not is_issued_by(own, own) else (_pem(own),)
    issuer.authority = certificate.authority
    return tuple(pem_of(der) for der in chain_below(issuer))


def chain_pem(certificate: Certificate, *, without_roots: bool = False) -> str:
    """The path above a certificate in PEM, issuer first and root last, joined by newlines with none at the end.

    A self-signed certificate that was issued here is its own chain, whatever is asked.
    """
    return join_path(certificate, certification_path_pem(certificate), without_roots=without_roots)


def join_path(certificate: Certificate, path: tuple[str, ...], *, without_roots: bool = False) -> str:
    """:func:`chain_pem` of a path that is known already; roots are the self-signed members (RFC 5280, 3.2)."""
    if without_roots and (certificate.authority_id is not None or certificate.is_imported):
        path = tuple(member for member in path if not is_self_signed(x509.load_pem_x509_certificate(member.encode())))
    return "\n".join(path)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii").strip()
