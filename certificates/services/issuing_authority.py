"""The CA that signs the certificates of a profile, as it stands."""

import secrets
from dataclasses import dataclass
from uuid import UUID

from cryptography import x509

from certificates.models import AuthorityCertificate, CertificateAuthority
from certificates.models.authority import AuthorityStatus
from certificates.services.authorities.paths import chain_below
from certificates.services.authorities.rules import issuer_facts_of, issuer_without_certificate
from certificates.services.distribution import all_distribution_urls_of
from certificates.x509.inspect import pem_of
from certificates.x509.issuer import DistributionUrls, Issuer
from pki_portal.access.remembering import Scope, remembered
from pki_portal.errors import Invalid
from profiles.policy.request import IssuerFacts


@dataclass(frozen=True, slots=True)
class IssuingAuthority:
    """What the rules ask about it, its certificate, and where its certificates point. Shared: nobody changes it.

    Attributes:
        addresses: one for each list that its certificates may name.
        certification_path: PEM of what is handed out above its certificates, itself first and the root last.
    """

    facts: IssuerFacts
    authority: CertificateAuthority
    row: AuthorityCertificate
    issuer: Issuer
    addresses: tuple[DistributionUrls, ...]
    certification_path: tuple[str, ...]

    def choose_urls(self) -> DistributionUrls:
        """What one certificate names; where the CRL has shards, one of them by chance."""
        return secrets.choice(self.addresses)


@remembered(Scope.RULES)
def issuer_by_id(authority_id: UUID | None) -> IssuingAuthority | None:
    """The CA; None for none, which is a self-signed profile's.

    Read anew unless it is remembered, so that a disabled one acts at once. Raises CertificateAuthority.DoesNotExist,
    Invalid.
    """
    if authority_id is None:
        return None
    authority = CertificateAuthority.objects.select_related("active_certificate__key__revocation_list").get(
        pk=authority_id
    )
    row, facts = authority.active_certificate, issuer_facts_of(authority)
    if row is None or facts is None:
        raise Invalid(
            f"CA {authority.name!r} has no certificate yet.", violations=[issuer_without_certificate(authority)]
        )
    row.authority = authority
    return IssuingAuthority(
        facts=facts,
        authority=authority,
        row=row,
        issuer=Issuer(x509.load_der_x509_certificate(bytes(row.der))),
        addresses=all_distribution_urls_of(row),
        certification_path=tuple(map(pem_of, chain_below(row))),
    )


@remembered(Scope.RULES)
def signs_by(authority_id: UUID, row_id: UUID) -> bool:
    """Whether a CA is active, and that version of its certificate the one it signs by. One query."""
    active = CertificateAuthority.objects.filter(status=AuthorityStatus.ACTIVE, active_certificate=row_id)
    return active.filter(pk=authority_id).exists()
