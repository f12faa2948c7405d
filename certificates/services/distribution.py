"""Which addresses the certificates of a CA name."""

import secrets
from uuid import UUID

from certificates.models import AuthorityCertificate, CertificateRevocationList
from certificates.services.authorities.paths import offered_versions
from certificates.services.urls import authority_certificate_url, crl_url, ocsp_url
from certificates.x509.issuer import DistributionUrls


def distribution_urls_of(issuer: AuthorityCertificate) -> DistributionUrls:
    """What the next certificate signed under ``issuer`` names: our own address of the CRL first, then the CA's mirrors.

    Once the key's CRL has shards, our own address is that of one of those by chance; mirrors have the complete list.
    Reads the issuer's CA, key and CRL row unless they are loaded, and the shards.
    """
    urls = (crl_url(_crl_id_of(issuer.key.revocation_list)), *issuer.authority.crl_distribution_point_urls)
    return DistributionUrls(
        crl=tuple(dict.fromkeys(urls)),
        # The first of the chain that is handed out: who trusts another root than our newest still finds the way.
        ca_issuers=(authority_certificate_url(issuer.authority_id, offered_versions(issuer)[0].id),),
        ocsp=(ocsp_url(issuer.authority_id),) if issuer.authority.is_ocsp_enabled else (),
    )


def _crl_id_of(revocation_list: CertificateRevocationList) -> UUID:
    if not revocation_list.shard_generation:
        return revocation_list.pk
    shards = revocation_list.shards.filter(generation=revocation_list.shard_generation)
    return secrets.choice(list(shards.values_list("pk", flat=True)))
