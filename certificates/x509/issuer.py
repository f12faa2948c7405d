"""Who signs, as far as the pure code needs to know, and what a CA's own certificate shall say."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

from profiles.policy.request import AttributeValue
from profiles.policy.vocabulary import SignatureAlgorithm


class HasPrivateKey(Protocol):
    """Whatever holds a key that cryptography's builders can sign with."""

    @property
    def private_key(self) -> CertificateIssuerPrivateKeyTypes: ...


@dataclass(frozen=True, slots=True)
class Issuer:
    """The CA that signs, as its current certificate tells."""

    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class AuthorityPlan:
    """A CA certificate in every detail but serial number, issuer and key; times aware UTC in whole seconds.

    ``path_length`` None means no limit.
    """

    subject: tuple[AttributeValue, ...]
    not_before: datetime
    not_after: datetime
    path_length: int | None
    signature_algorithm: SignatureAlgorithm


@dataclass(frozen=True, slots=True)
class DistributionUrls:
    """Where relying parties fetch what belongs to an issuer: its CRL and its certificate."""

    crl: tuple[str, ...] = ()
    ca_issuers: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return self.crl + self.ca_issuers
