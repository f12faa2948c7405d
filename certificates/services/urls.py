"""Addresses that certificates carry; they never change once a certificate names them."""

from uuid import UUID

from django.conf import settings


def crl_url(crl_id: UUID) -> str:
    """Where the CRL of one CA key is published (RFC 5280, 4.2.1.13)."""
    return f"{settings.SITE_URL}/api/v1/cert-manager/crl/{crl_id}/der"


def delta_crl_url(crl_id: UUID) -> str:
    """Where the delta of a complete CRL is published (RFC 5280, 5.2.6)."""
    return f"{settings.SITE_URL}/api/v1/cert-manager/crl/{crl_id}/delta"


def ocsp_url(authority_id: UUID) -> str:
    """Where OCSP about a CA's certificates is answered (RFC 5280, 4.2.2.1, ocsp)."""
    return f"{settings.SITE_URL}/api/v1/cert-manager/ocsp/{authority_id}"


def authority_certificate_url(authority_id: UUID, certificate_id: UUID) -> str:
    """Where one version of a CA's certificate is published (RFC 5280, 4.2.2.1, caIssuers)."""
    return f"{settings.SITE_URL}/api/v1/cert-manager/ca/internal/{authority_id}/certificates/{certificate_id}/der"
