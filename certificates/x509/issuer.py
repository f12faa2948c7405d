"""Who signs, as far as the pure code needs to know."""

from dataclasses import dataclass
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes


class HasPrivateKey(Protocol):
    """Whatever holds a key that cryptography's builders can sign with."""

    @property
    def private_key(self) -> CertificateIssuerPrivateKeyTypes: ...


@dataclass(frozen=True, slots=True)
class Issuer:
    """The CA that signs, as its current certificate tells."""

    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class DistributionUrls:
    """Where relying parties fetch what belongs to an issuer: its CRL, its certificate, and its OCSP answers."""

    crl: tuple[str, ...] = ()
    ca_issuers: tuple[str, ...] = ()
    ocsp: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return self.crl + self.ca_issuers + self.ocsp
