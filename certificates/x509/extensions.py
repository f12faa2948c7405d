"""Extensions of the certificates issued here, each with its section of RFC 5280."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from certificates.x509.issuer import DistributionUrls
from certificates.x509.keys import PublicKey
from certificates.x509.name_constraints import encode_name_constraints
from certificates.x509.names import encode_general_name
from profiles.policy.plan import IssuancePlan
from profiles.policy.request import BasicConstraints, GeneralName, NameConstraints
from profiles.policy.vocabulary import EXTENDED_KEY_USAGE_OIDS, ExtendedKeyUsage, KeyUsage, Purpose, as_purpose

# What a CA may do with its key; the same for RSA and EC, for a CA decrypts nothing.
AUTHORITY_KEY_USAGES: Final = (KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN)

Extensions = list[x509.Extension[x509.ExtensionType]]


def end_entity_extensions(
    *, plan: IssuancePlan, issuer: x509.Certificate | None, public_key: PublicKey, urls: DistributionUrls
) -> Extensions:
    """Extensions of what a profile issues; ``issuer`` is None where the certificate signs itself."""
    extensions = [_basic_constraints(plan.basic_constraints), _subject_key_identifier(public_key)]
    if issuer is None:
        extensions.append(_own_authority_key_identifier(public_key))
    else:
        extensions += _issuer_extensions(issuer, urls)
    if plan.key_usages:
        extensions.append(_key_usage(plan.key_usages))
    if plan.extended_key_usages:
        extensions.append(_extended_key_usage(plan.extended_key_usages))
    if plan.is_ocsp_responder:
        # RFC 6960, 4.2.2.2.1: should not be critical; nobody asks whether the responder itself was revoked.
        extensions.append(_extension(x509.OCSPNoCheck(), critical=False))
    if plan.subject_alternative_names:
        extensions.append(_subject_alternative_name(plan.subject_alternative_names, critical=not plan.subject))
    return extensions


def authority_extensions(
    *,
    path_length: int | None,
    name_constraints: NameConstraints,
    issuer: x509.Certificate | None,
    public_key: PublicKey,
    urls: DistributionUrls,
) -> Extensions:
    """Extensions of a CA; ``issuer`` is None for a root, which points to nobody."""
    extensions = [
        _basic_constraints(BasicConstraints(is_ca=True, path_length=path_length)),
        _subject_key_identifier(public_key),
        _key_usage(AUTHORITY_KEY_USAGES),
    ]
    if name_constraints:
        # RFC 5280, 4.2.1.10: critical, in CA certificates only.
        extensions.append(_extension(encode_name_constraints(name_constraints), critical=True))
    if issuer is not None:
        extensions += _issuer_extensions(issuer, urls)
    return extensions


@lru_cache(maxsize=256)
def _issuer_extensions(
    issuer: x509.Certificate, urls: DistributionUrls
) -> Sequence[x509.Extension[x509.ExtensionType]]:
    extensions = [authority_key_identifier(issuer)]
    if urls.crl:
        extensions.append(_crl_distribution_points(urls.crl))
    if urls.ocsp or urls.ca_issuers:
        extensions.append(_authority_information_access(urls))
    return tuple(extensions)


def _extension(value: x509.ExtensionType, *, critical: bool) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(value.oid, critical, value)


@lru_cache(maxsize=64)
def _basic_constraints(constraints: BasicConstraints) -> x509.Extension[x509.ExtensionType]:
    """RFC 5280, 4.2.1.9: critical in CA certificates; may be either in others, where clients expect it not critical."""
    value = x509.BasicConstraints(
        ca=constraints.is_ca, path_length=constraints.path_length if constraints.is_ca else None
    )
    return _extension(value, critical=constraints.is_ca)


def _subject_key_identifier(public_key: PublicKey) -> x509.Extension[x509.ExtensionType]:
    """RFC 5280, 4.2.1.2: never critical; method (1)."""
    return _extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)


def extensions_of(signed: x509.Certificate | x509.CertificateSigningRequest) -> x509.Extensions:
    """The extensions of what others made.

    Raises what the library raises for what it cannot read (``inspect.UNREADABLE``), of which a TLS feature that it does
    not know (RFC 7633) is a KeyError to it, and a ValueError here.
    """
    try:
        return signed.extensions
    except KeyError as unknown:
        raise ValueError(f"TLS feature {unknown} is not known") from None


def authority_key_identifier(issuer: x509.Certificate) -> x509.Extension[x509.ExtensionType]:
    """RFC 5280, 4.2.1.1: never critical; the issuer's own subject key identifier, whatever method made it."""
    try:
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        # An imported CA may lack one: then the identifier is what method (1) makes of its key.
        identifier = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key())
    value = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    return _extension(value, critical=False)


def _own_authority_key_identifier(public_key: PublicKey) -> x509.Extension[x509.ExtensionType]:
    """RFC 5280, 4.2.1.1: only a CA that distributes its key as a self-signed certificate may leave it out."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(public_key)
    value = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    return _extension(value, critical=False)


@lru_cache(maxsize=256)
def _key_usage(usages: tuple[KeyUsage, ...]) -> x509.Extension[x509.ExtensionType]:
    """RFC 5280, 4.2.1.3: should be critical."""
    bits = set(usages)
    value = x509.KeyUsage(
        digital_signature=KeyUsage.DIGITAL_SIGNATURE in bits,
        content_commitment=KeyUsage.NON_REPUDIATION in bits,
        key_encipherment=KeyUsage.KEY_ENCIPHERMENT in bits,
        data_encipherment=KeyUsage.DATA_ENCIPHERMENT in bits,
        key_agreement=KeyUsage.KEY_AGREEMENT in bits,
        key_cert_sign=KeyUsage.KEY_CERT_SIGN in bits,
        crl_sign=KeyUsage.CRL_SIGN in bits,
        encipher_only=KeyUsage.ENCIPHER_ONLY in bits,
        decipher_only=KeyUsage.DECIPHER_ONLY in bits,
    )
    return _extension(value, critical=True)


@lru_cache(maxsize=256)
def _extended_key_usage(usages: tuple[Purpose, ...]) -> x509.Extension[x509.ExtensionType]:
    """RFC 5280, 4.2.1.12: may be either; not critical, for software that knows no EKU should not break.

    RFC 3161, 2.3: critical where it allows time stamping.
    """
    value = x509.ExtendedKeyUsage([_oid(usage) for usage in usages])
    return _extension(value, critical=ExtendedKeyUsage.TIME_STAMPING in usages)


def _oid(usage: Purpose) -> x509.ObjectIdentifier:
    return x509.ObjectIdentifier(EXTENDED_KEY_USAGE_OIDS[usage] if isinstance(usage, ExtendedKeyUsage) else usage)


def _subject_alternative_name(names: Iterable[GeneralName], *, critical: bool) -> x509.Extension[x509.ExtensionType]:
    """RFC 5280, 4.2.1.6: critical exactly when the subject is empty."""
    return _extension(x509.SubjectAlternativeName([encode_general_name(name) for name in names]), critical=critical)


def _crl_distribution_points(urls: Sequence[str]) -> x509.Extension[x509.ExtensionType]:
    """RFC 5280, 4.2.1.13: should not be critical; one point, several places to fetch the same CRL from."""
    names = [x509.UniformResourceIdentifier(url) for url in urls]
    value = x509.CRLDistributionPoints(
        [x509.DistributionPoint(full_name=names, relative_name=None, reasons=None, crl_issuer=None)]
    )
    return _extension(value, critical=False)


def _authority_information_access(urls: DistributionUrls) -> x509.Extension[x509.ExtensionType]:
    """RFC 5280, 4.2.2.1: never critical; where the issuer's certificate is, and where to ask about this one."""
    methods = [(AuthorityInformationAccessOID.CA_ISSUERS, url) for url in urls.ca_issuers]
    methods += [(AuthorityInformationAccessOID.OCSP, url) for url in urls.ocsp]
    value = x509.AuthorityInformationAccess(
        [x509.AccessDescription(method, x509.UniformResourceIdentifier(url)) for method, url in methods]
    )
    return _extension(value, critical=False)


def read_key_usages(value: x509.KeyUsage) -> tuple[KeyUsage, ...]:
    """The bits that are set, in bit order.

    From the encoding, because the properties refuse to tell of encipherOnly and decipherOnly without keyAgreement.
    """
    octets = value.public_bytes()[3:]
    return tuple(
        usage
        for position, usage in enumerate(KeyUsage)
        if position // 8 < len(octets) and octets[position // 8] >> (7 - position % 8) & 1
    )


def read_extended_key_usages(value: x509.ExtendedKeyUsage) -> tuple[Purpose, ...]:
    """The purposes in the order encoded; those without a name here by their dotted OID."""
    return tuple(as_purpose(oid.dotted_string) or oid.dotted_string for oid in value)
