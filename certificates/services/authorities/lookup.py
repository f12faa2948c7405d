"""Finding CAs, their certificates and their CRLs."""

from uuid import UUID

from django.db import models

from certificates.models import (
    AuthorityCertificate,
    CertificateAuthority,
    CertificateRevocationList,
)
from certificates.services.authorities.acts import refuse_any
from certificates.services.authorities.rules import without_certificate
from pki_portal.access.permissions import Action, projects_visible_to, require
from pki_portal.access.requester import Requester
from pki_portal.errors import NotFound


def find_authority(
    *,
    requester: Requester,
    authority_id: UUID,
    action: Action = Action.CERTIFICATE_AUTHORITIES_READ,
) -> CertificateAuthority:
    """The CA with its active certificate and project.

    Raises:
        NotFound: none, or none that the requester may know of.
        PermissionDenied: the role in its project does not include ``action``.
    """
    authority = (
        CertificateAuthority.objects.select_related("active_certificate", "project", "parent")
        .filter(pk=authority_id, project__in=projects_visible_to(requester))
        .first()
    )
    if authority is None:
        raise NotFound("There is no CA with this id.")
    require(requester=requester, action=action, project_id=authority.project_id)
    return authority


def authorities_of(*, requester: Requester, project_id: UUID) -> models.QuerySet[CertificateAuthority]:
    """The project's CAs, newest first, with their active certificates but for DER and chain.

    Raises:
        PermissionDenied, NotFound: the requester may not read CAs there.
    """
    require(requester=requester, action=Action.CERTIFICATE_AUTHORITIES_READ, project_id=project_id)
    return (
        CertificateAuthority.objects.select_related("active_certificate", "parent")
        .defer("active_certificate__der", "active_certificate__external_chain")
        .filter(project_id=project_id)
    )


def authority_certificates_of(authority: CertificateAuthority) -> models.QuerySet[AuthorityCertificate]:
    """All versions, oldest first, each with its revocation if there is one."""
    versions = authority.certificates.select_related("issuer_certificate", "revocation")
    return versions.defer("revocation__der").order_by("version")


def current_certificate_of(authority: CertificateAuthority) -> AuthorityCertificate:
    """The active version. Raises Invalid where none is installed."""
    if authority.active_certificate is None:
        refuse_any([without_certificate(authority)])
        raise NotFound(f"{authority.name} has no certificate yet.")
    return authority.active_certificate


def find_authority_certificate(*, authority: CertificateAuthority, certificate_id: UUID) -> AuthorityCertificate:
    """One version of a CA that the requester may read. Raises NotFound."""
    found = authority_certificates_of(authority).filter(pk=certificate_id).first()
    if found is None:
        raise NotFound("The CA has no certificate with this id.")
    return found


def published_authority_certificate(*, authority_id: UUID, certificate_id: UUID) -> AuthorityCertificate:
    """One version for anybody: certificates name its address (RFC 5280, 4.2.2.1). Raises NotFound."""
    found = AuthorityCertificate.objects.filter(pk=certificate_id, authority_id=authority_id).first()
    if found is None:
        raise NotFound("There is no CA certificate at this address.")
    return found


def revocation_lists_of(authority: CertificateAuthority) -> models.QuerySet[CertificateRevocationList]:
    """The published CRLs of a CA, one for each key."""
    published = CertificateRevocationList.objects.filter(key__authority=authority, der__isnull=False)
    return published.defer("der").order_by("key__created_at")
