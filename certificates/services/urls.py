"""Addresses that certificates carry; they never change once a certificate names them."""

from uuid import UUID

from django.conf import settings

from certificates.models import AuthorityCertificate
from certificates.services.authorities.paths import offered_versions
from certificates.x509.issuer import DistributionUrls


def crl_url(crl_id: UUID) -> str:
    """Where the CRL of one CA key is published (RFC 5280, 4.2.1.13)."""
    return f"{settings.SITE_URL}/api/v1/cert-manager/crl/{crl_id}/der"


def authority_certificate_url(authority_id: UUID, certificate_id: UUID) -> str:
    """Where one version of a CA's certificate is published (RFC 5280, 4.2.2.1, caIssuers)."""
    return f"{settings.SITE_URL}/api/v1/cert-manager/ca/internal/{authority_id}/certificates/{certificate_id}/der"


def distribution_urls_of(issuer: AuthorityCertificate) -> DistributionUrls:
    """What the certificates signed under ``issuer`` name: our own address of the CRL first, then the CA's mirrors.

    Reads the issuer's CA, key and CRL row unless they are loaded.
    """
    urls = (crl_url(issuer.key.revocation_list.id), *issuer.authority.crl_distribution_point_urls)
    return DistributionUrls(
        crl=tuple(dict.fromkeys(urls)),
        # The first of the chain that is handed out: who trusts another root than our newest still finds the way.
        ca_issuers=(authority_certificate_url(issuer.authority_id, offered_versions(issuer)[0].id),),
    )
