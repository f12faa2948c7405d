"""Certificate revocation lists (RFC 5280, 5)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import CRLEntryExtensionOID

from certificates.x509 import der
from certificates.x509.extensions import authority_key_identifier
from certificates.x509.issuer import HasPrivateKey
from certificates.x509.keys import default_signature_algorithm, signature_of, signing_hash, throw_away_key


class RevocationReason(IntEnum):
    """CRLReason (RFC 5280, 5.3.1); removeFromCRL is of delta CRLs only."""

    UNSPECIFIED = 0
    KEY_COMPROMISE = 1
    CA_COMPROMISE = 2
    AFFILIATION_CHANGED = 3
    SUPERSEDED = 4
    CESSATION_OF_OPERATION = 5
    CERTIFICATE_HOLD = 6
    REMOVE_FROM_CRL = 8
    PRIVILEGE_WITHDRAWN = 9
    AA_COMPROMISE = 10


@dataclass(frozen=True, slots=True)
class RevokedEntry:
    """One revoked certificate; both times aware, in whole seconds."""

    serial_number: int
    revoked_at: datetime
    reason: RevocationReason = RevocationReason.UNSPECIFIED
    invalidity_date: datetime | None = None


class CrlRejected(Exception):
    """A signed CRL that is not what was to be signed; it must not be published."""


_ENTRIES_AFTER: Final = 4  # version, signature, issuer, thisUpdate; then nextUpdate, which is always there


def encode_entry(entry: RevokedEntry) -> bytes:
    """DER of one member of revokedCertificates (RFC 5280, 5.1.2.6)."""
    extensions = []
    # RFC 5280, 5.3.1: unspecified is said by saying nothing.
    if entry.reason is not RevocationReason.UNSPECIFIED:
        extensions.append(
            der.extension(CRLEntryExtensionOID.CRL_REASON.dotted_string, der.enumerated(entry.reason.value))
        )
    # RFC 5280, 5.3.2: GeneralizedTime, also before 2050.
    if entry.invalidity_date is not None:
        extensions.append(
            der.extension(
                CRLEntryExtensionOID.INVALIDITY_DATE.dotted_string, der.generalized_time(entry.invalidity_date)
            )
        )
    return der.sequence(
        der.integer(entry.serial_number),
        der.time(entry.revoked_at),
        der.sequence(*extensions) if extensions else b"",
    )


def build_crl(
    *,
    issuer: x509.Certificate,
    signer: HasPrivateKey,
    number: int,
    this_update: datetime,
    next_update: datetime,
    entries: Iterable[bytes],
    extensions: Iterable[x509.Extension[x509.ExtensionType]] = (),
) -> x509.CertificateRevocationList:
    """A signed CRL, read back and checked; the signature's hash is chosen by the issuer's key.

    The library's builder makes the list without entries, under a throw-away key; the entries' bytes are put into that.
    A million of them take about a second, where the builder copies its list for each one that it is given.

    Args:
        entries: each by ``encode_entry``, no serial number twice; read once.
        extensions: beside authorityKeyIdentifier and cRLNumber, in the order encoded.

    Raises:
        CrlRejected: what came back is not a CRL of this issuer and number with these entries.
    """
    listed = list(entries)
    tbs = _with_entries(_empty_tbs(issuer, number, this_update, next_update, extensions), b"".join(listed))
    try:
        signature = signature_of(signer.private_key, tbs, default_signature_algorithm(issuer.public_key()))
    except ValueError as problem:
        raise CrlRejected("the signer does not hold the issuer's key") from problem
    algorithm = der.Value.whole(tbs).members()[1].encoded
    crl = x509.load_der_x509_crl(der.sequence(tbs, algorithm, der.bit_string(signature)))
    _check(crl, issuer=issuer, number=number, count=len(listed))
    return crl


def _empty_tbs(
    issuer: x509.Certificate,
    number: int,
    this_update: datetime,
    next_update: datetime,
    extensions: Iterable[x509.Extension[x509.ExtensionType]],
) -> bytes:
    builder = x509.CertificateRevocationListBuilder(issuer_name=issuer.subject)
    builder = builder.last_update(this_update).next_update(next_update)
    # RFC 5280, 5.2.1 and 5.2.3: both must be there, neither critical.
    authority_key = authority_key_identifier(issuer)
    builder = builder.add_extension(authority_key.value, critical=authority_key.critical)
    builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    algorithm = default_signature_algorithm(issuer.public_key())
    key = throw_away_key(algorithm.family)
    return builder.sign(key, signing_hash(algorithm)).tbs_certlist_bytes  # type: ignore[arg-type]


def _with_entries(tbs: bytes, entries: bytes) -> bytes:
    """TBSCertList (RFC 5280, 5.1) with revokedCertificates between nextUpdate and crlExtensions."""
    if not entries:
        return tbs  # RFC 5280, 5.1.2.6: without any, the list itself must be absent
    *before, extensions = (member.encoded for member in der.Value.whole(tbs).members())
    if len(before) != _ENTRIES_AFTER + 1:
        raise CrlRejected("the empty list has not the members that were expected")
    return der.sequence(*before, der.sequence(entries), extensions)


def _check(crl: x509.CertificateRevocationList, *, issuer: x509.Certificate, number: int, count: int) -> None:
    if not crl.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]
        raise CrlRejected("the signer does not hold the issuer's key")
    if crl.issuer.public_bytes() != issuer.subject.public_bytes():
        raise CrlRejected("the list names another issuer")
    if crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number != number:
        raise CrlRejected("the list has another number")
    if len(crl) != count:
        raise CrlRejected(f"the list has {len(crl)} entries instead of {count}")


def freshest_crl(url: str) -> x509.Extension[x509.ExtensionType]:
    """RFC 5280, 5.2.6: not critical; where the delta of this complete list is."""
    return _extension(x509.FreshestCRL([_point(url)]), critical=False)


def delta_indicator(base_number: int) -> x509.Extension[x509.ExtensionType]:
    """RFC 5280, 5.2.4: critical; the complete list that a delta adds to."""
    return _extension(x509.DeltaCRLIndicator(base_number), critical=True)


def issuing_distribution_point(url: str) -> x509.Extension[x509.ExtensionType]:
    """RFC 5280, 5.2.5: critical; the list is only of certificates that name this address."""
    value = x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier(url)],
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )
    return _extension(value, critical=True)


def _point(url: str) -> x509.DistributionPoint:
    return x509.DistributionPoint(
        full_name=[x509.UniformResourceIdentifier(url)], relative_name=None, reasons=None, crl_issuer=None
    )


def _extension(value: x509.ExtensionType, *, critical: bool) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(value.oid, critical, value)


def crl_der(crl: x509.CertificateRevocationList) -> bytes:
    """Its DER."""
    return crl.public_bytes(Encoding.DER)
