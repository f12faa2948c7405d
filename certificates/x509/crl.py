"""Certificate revocation lists (RFC 5280, 5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from cryptography import x509

from certificates.x509.extensions import authority_key_identifier
from certificates.x509.issuer import HasPrivateKey
from certificates.x509.keys import default_signature_algorithm, signing_hash


class RevocationReason(IntEnum):
    """CRLReason (RFC 5280, 5.3.1); removeFromCRL is of delta CRLs only and not among them."""

    UNSPECIFIED = 0
    KEY_COMPROMISE = 1
    CA_COMPROMISE = 2
    AFFILIATION_CHANGED = 3
    SUPERSEDED = 4
    CESSATION_OF_OPERATION = 5
    CERTIFICATE_HOLD = 6
    PRIVILEGE_WITHDRAWN = 9
    AA_COMPROMISE = 10


_REASON_FLAGS: Final[Mapping[RevocationReason, x509.ReasonFlags]] = MappingProxyType(
    {
        RevocationReason.KEY_COMPROMISE: x509.ReasonFlags.key_compromise,
        RevocationReason.CA_COMPROMISE: x509.ReasonFlags.ca_compromise,
        RevocationReason.AFFILIATION_CHANGED: x509.ReasonFlags.affiliation_changed,
        RevocationReason.SUPERSEDED: x509.ReasonFlags.superseded,
        RevocationReason.CESSATION_OF_OPERATION: x509.ReasonFlags.cessation_of_operation,
        RevocationReason.CERTIFICATE_HOLD: x509.ReasonFlags.certificate_hold,
        RevocationReason.PRIVILEGE_WITHDRAWN: x509.ReasonFlags.privilege_withdrawn,
        RevocationReason.AA_COMPROMISE: x509.ReasonFlags.aa_compromise,
    }
)


@dataclass(frozen=True, slots=True)
class RevokedEntry:
    """One revoked certificate; ``revoked_at`` aware UTC."""

    serial_number: int
    revoked_at: datetime
    reason: RevocationReason = RevocationReason.UNSPECIFIED


def build_crl(
    *,
    issuer: x509.Certificate,
    signer: HasPrivateKey,
    number: int,
    this_update: datetime,
    next_update: datetime,
    entries: Sequence[RevokedEntry],
) -> x509.CertificateRevocationList:
    """A complete, signed CRL; the signature's hash is chosen by the issuer's key.

    Raises:
        ValueError: two entries have one serial number, or the signer is not the issuer.
    """
    if len({entry.serial_number for entry in entries}) != len(entries):
        raise ValueError("a serial number is listed twice")
    # Handed over as one list: adding entries one by one copies the list each time, 16 s for 100,000.
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=issuer.subject, revoked_certificates=[_revoked_certificate(entry) for entry in entries]
    )
    builder = builder.last_update(this_update).next_update(next_update)
    # RFC 5280, 5.2.1 and 5.2.3: both must be there, neither critical.
    authority_key = authority_key_identifier(issuer)
    builder = builder.add_extension(authority_key.value, critical=authority_key.critical)
    builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    algorithm = signing_hash(default_signature_algorithm(issuer.public_key()))
    crl = builder.sign(signer.private_key, algorithm)  # type: ignore[arg-type]
    if not crl.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]
        raise ValueError("the signer does not hold the issuer's key")
    return crl


def _revoked_certificate(entry: RevokedEntry) -> x509.RevokedCertificate:
    extensions: list[x509.Extension[x509.ExtensionType]] = []
    # RFC 5280, 5.3.1: unspecified is said by saying nothing.
    if entry.reason is not RevocationReason.UNSPECIFIED:
        value = x509.CRLReason(_REASON_FLAGS[entry.reason])
        extensions.append(x509.Extension(value.oid, critical=False, value=value))
    return (
        x509.RevokedCertificateBuilder(extensions=extensions)
        .serial_number(entry.serial_number)
        .revocation_date(entry.revoked_at)
        .build()
    )
