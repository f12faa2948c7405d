"""Which addresses the certificates of a CA name."""

import secrets
from collections.abc import Sequence
from uuid import UUID

from certificates.models import AuthorityCertificate, CertificateRevocationList
from certificates.services.authorities.paths import offered_versions
from certificates.services.urls import authority_certificate_url, crl_url, ocsp_url
from certificates.x509.issuer import DistributionUrls


def distribution_urls_of(issuer: AuthorityCertificate) -> DistributionUrls:
    """What the next certificate signed under ``issuer`` names: one of :func:`all_distribution_urls_of` by chance."""
    return secrets.choice(all_distribution_urls_of(issuer))


def all_distribution_urls_of(issuer: AuthorityCertificate) -> tuple[DistributionUrls, ...]:
    """What certificates under ``issuer`` may name: our own address of the CRL first, then the CA's mirrors.

    Once the key's CRL has shards there is one for each of them, and its own address is that shard's; mirrors have the
    complete list. Reads the issuer's CA, key and CRL row unless they are loaded, and the shards.
    """
    authority = issuer.authority
    # The first of the chain that is handed out: who trusts another root than our newest still finds the way.
    ca_issuers = (authority_certificate_url(issuer.authority_id, offered_versions(issuer)[0].id),)
    ocsp = (ocsp_url(issuer.authority_id),) if authority.is_ocsp_enabled else ()
    return tuple(
        DistributionUrls(
            crl=tuple(dict.fromkeys((crl_url(list_id), *authority.crl_distribution_point_urls))),
            ca_issuers=ca_issuers,
            ocsp=ocsp,
        )
        for list_id in _list_ids_of(issuer.key.revocation_list)
    )


def _list_ids_of(revocation_list: CertificateRevocationList) -> Sequence[UUID]:
    if not revocation_list.shard_generation:
        return (revocation_list.pk,)
    shards = revocation_list.shards.filter(generation=revocation_list.shard_generation)
    return tuple(shards.values_list("pk", flat=True))
