"""A signed certificate against what was decided: the last look before it leaves.

The certificate is read back from its encoding and compared with the plan, not with the builder's input, so that a
mistake in the building shows too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from certificates.x509.extensions import AUTHORITY_KEY_USAGES
from certificates.x509.inspect import CertificateFacts, facts_of, is_issued_by, serial_number_hex
from certificates.x509.issuer import DistributionUrls, Issuer
from certificates.x509.keys import PublicKey, key_identifier, public_key_info
from pki_portal.errors import Unavailable
from profiles.policy.authority import NO_CONSTRAINTS
from profiles.policy.plan import AuthorityPlan, IssuancePlan
from profiles.policy.request import AttributeValue, BasicConstraints, GeneralName, NameConstraints
from profiles.policy.vocabulary import ExtendedKeyUsage, KeyUsage, Purpose, SignatureAlgorithm


class VerificationFailed(Unavailable):
    """What was signed is not what was decided: a fault of the installation, and the certificate must not leave."""

    def __init__(self, differences: Sequence[str]) -> None:
        super().__init__(
            f"the signed certificate differs from what was decided and was thrown away: {', '.join(differences)}"
        )
        self.differences = tuple(differences)


@dataclass(frozen=True, slots=True)
class _Expected:
    subject: tuple[AttributeValue, ...]
    subject_alternative_names: tuple[GeneralName, ...]
    key_usages: tuple[KeyUsage, ...]
    extended_key_usages: tuple[Purpose, ...]
    basic_constraints: BasicConstraints
    not_before: datetime
    not_after: datetime
    signature_algorithm: SignatureAlgorithm
    authority_key_identifier: bytes | None
    name_constraints: NameConstraints = NO_CONSTRAINTS
    is_ocsp_responder: bool = False


def verify_issued(
    certificate: x509.Certificate,
    *,
    plan: IssuancePlan,
    issuer: Issuer | None,
    serial_number: int,
    public_key: PublicKey,
    urls: DistributionUrls,
) -> CertificateFacts:
    """Compare every field of a certificate with its plan and issuer, and check its signature with the issuer's key.

    Returns what the certificate says, which is what was planned.

    Raises:
        VerificationFailed: naming each field that differs.
    """
    expected = _Expected(
        subject=plan.subject,
        subject_alternative_names=plan.subject_alternative_names,
        key_usages=plan.key_usages,
        extended_key_usages=plan.extended_key_usages,
        basic_constraints=plan.basic_constraints,
        not_before=plan.not_before,
        not_after=plan.not_after,
        signature_algorithm=plan.signature_algorithm,
        is_ocsp_responder=plan.is_ocsp_responder,
        # A leaf that signs itself names its own key (RFC 5280, 4.2.1.1).
        authority_key_identifier=_key_identifier_of(issuer) or key_identifier(public_key),
    )
    facts = facts_of(certificate)
    differences = list(_differences(certificate, facts, expected, issuer, serial_number, public_key, urls))
    if plan.subject_public_key_info not in {None, facts.subject_public_key_info}:
        differences.append("applicant's key")
    if differences:
        raise VerificationFailed(differences)
    return facts


def verify_authority(
    certificate: x509.Certificate,
    *,
    plan: AuthorityPlan,
    issuer: Issuer | None,
    serial_number: int,
    public_key: PublicKey,
    urls: DistributionUrls,
) -> CertificateFacts:
    """The same for the certificate of a CA.

    Raises:
        VerificationFailed: naming each field that differs.
    """
    expected = _Expected(
        subject=plan.subject,
        subject_alternative_names=(),
        key_usages=AUTHORITY_KEY_USAGES,
        extended_key_usages=(),
        basic_constraints=BasicConstraints(is_ca=True, path_length=plan.path_length),
        not_before=plan.not_before,
        not_after=plan.not_after,
        signature_algorithm=plan.signature_algorithm,
        authority_key_identifier=_key_identifier_of(issuer),
        name_constraints=plan.name_constraints,
    )
    facts = facts_of(certificate)
    differences = list(_differences(certificate, facts, expected, issuer, serial_number, public_key, urls))
    if plan.encoded_subject not in {None, certificate.subject.public_bytes()}:
        differences.append("encoding of the subject")
    if differences:
        raise VerificationFailed(differences)
    return facts


def _differences(
    certificate: x509.Certificate,
    facts: CertificateFacts,
    expected: _Expected,
    issuer: Issuer | None,
    serial_number: int,
    public_key: PublicKey,
    urls: DistributionUrls,
) -> Iterator[str]:
    signing = issuer.certificate if issuer else certificate
    written_urls = urls if issuer else DistributionUrls()
    constraints = expected.basic_constraints
    compared: dict[str, tuple[object, object]] = {
        "version": (certificate.version, x509.Version.v3),
        "serial number": (facts.serial_number, serial_number_hex(serial_number)),
        "signature algorithm": (facts.signature_algorithm, expected.signature_algorithm),
        "issuer": (certificate.issuer.public_bytes(), signing.subject.public_bytes()),
        "notBefore": (facts.not_before, expected.not_before),
        "notAfter": (facts.not_after, expected.not_after),
        "subject": (facts.subject, expected.subject),
        "public key": (facts.subject_public_key_info, public_key_info(public_key)),
        "extensions": (_criticality(certificate), _expected_criticality(expected, written_urls)),
        "subjectAltName": (facts.subject_alternative_names, expected.subject_alternative_names),
        "keyUsage": (facts.key_usages, expected.key_usages),
        "extKeyUsage": (facts.extended_key_usages, expected.extended_key_usages),
        "basicConstraints": (
            (facts.is_ca, facts.path_length),
            (constraints.is_ca, constraints.path_length if constraints.is_ca else None),
        ),
        "nameConstraints": (facts.name_constraints, expected.name_constraints),
        "subjectKeyIdentifier": (facts.subject_key_identifier, key_identifier(public_key).hex()),
        "authorityKeyIdentifier": (facts.authority_key_identifier, (expected.authority_key_identifier or b"").hex()),
        "cRLDistributionPoints": (facts.crl_urls, written_urls.crl),
        "authorityInfoAccess": (
            (facts.ocsp_urls, facts.ca_issuer_urls),
            (written_urls.ocsp, written_urls.ca_issuers),
        ),
    }
    yield from (field for field, (found, wanted) in compared.items() if found != wanted)
    if not is_issued_by(certificate, signing):
        yield "signature"


def _criticality(certificate: x509.Certificate) -> dict[x509.ObjectIdentifier, bool]:
    return {extension.oid: extension.critical for extension in certificate.extensions}


def _expected_criticality(expected: _Expected, urls: DistributionUrls) -> dict[x509.ObjectIdentifier, bool]:
    present = {
        ExtensionOID.BASIC_CONSTRAINTS: (True, expected.basic_constraints.is_ca),
        ExtensionOID.NAME_CONSTRAINTS: (bool(expected.name_constraints), True),
        ExtensionOID.SUBJECT_KEY_IDENTIFIER: (True, False),
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER: (expected.authority_key_identifier is not None, False),
        ExtensionOID.CRL_DISTRIBUTION_POINTS: (bool(urls.crl), False),
        ExtensionOID.AUTHORITY_INFORMATION_ACCESS: (bool(urls.ca_issuers or urls.ocsp), False),
        ExtensionOID.OCSP_NO_CHECK: (expected.is_ocsp_responder, False),
        ExtensionOID.KEY_USAGE: (bool(expected.key_usages), True),
        ExtensionOID.EXTENDED_KEY_USAGE: (
            bool(expected.extended_key_usages),
            ExtendedKeyUsage.TIME_STAMPING in expected.extended_key_usages,  # RFC 3161, 2.3
        ),
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME: (bool(expected.subject_alternative_names), not expected.subject),
    }
    return {oid: is_critical for oid, (is_present, is_critical) in present.items() if is_present}


def _key_identifier_of(issuer: Issuer | None) -> bytes | None:
    """The issuer's subject key identifier; what method (1) makes of its key where an imported CA has none."""
    if issuer is None:
        return None
    try:
        return issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return key_identifier(issuer.certificate.public_key())
