"""What is to be signed (TBSCertificate, RFC 5280, 4.1), from a plan; and the signing of exactly that.

Only services import this module: whoever builds must have decided.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certificates.x509.der import Value, bit_string, sequence
from certificates.x509.extensions import Extensions, authority_extensions, end_entity_extensions
from certificates.x509.issuer import DistributionUrls, HasPrivateKey, Issuer
from certificates.x509.keys import PublicKey, signature_of, signing_hash, throw_away_key, throw_away_signer
from certificates.x509.names import encode_subject
from profiles.policy.plan import AuthorityPlan, IssuancePlan
from profiles.policy.vocabulary import KeyFamily, SignatureAlgorithm

__all__ = [
    "AuthorityPlan",
    "DistributionUrls",
    "Issuer",
    "ToBeSigned",
    "build",
    "build_authority",
    "new_serial_number",
    "sign",
    "throw_away_public_key",
]

SERIAL_NUMBER_BITS: Final = 159


@dataclass(frozen=True, slots=True)
class ToBeSigned:
    """A TBSCertificate, fixed to the byte.

    Attributes:
        der: those bytes.
        draft: the same signed by a throw-away key: to be linted before the real key is used.
    """

    der: bytes
    draft: x509.Certificate
    signature_algorithm: SignatureAlgorithm


def new_serial_number() -> int:
    """RFC 5280, 4.1.2.2: positive, at most 20 octets; 159 random bits, so that the top bit of the first is clear."""
    return secrets.randbelow(2**SERIAL_NUMBER_BITS - 1) + 1


def build(
    *,
    plan: IssuancePlan,
    issuer: Issuer | None,
    serial_number: int,
    public_key: PublicKey,
    urls: DistributionUrls,
) -> ToBeSigned:
    """What a profile issues; ``issuer`` None where the key signs itself, and then ``urls`` are not written.

    Raises:
        ValueError: plan and issuer contradict each other, or the key is not the applicant's.
        Invalid: a name cannot be encoded.
    """
    if plan.is_self_signed is not (issuer is None):
        raise ValueError("a self-signed plan has no issuer, any other has one")
    subject = encode_subject(plan.subject)
    certificate = issuer.certificate if issuer else None
    return _to_be_signed(
        subject=subject,
        issuer=certificate.subject if certificate else subject,
        serial_number=serial_number,
        public_key=public_key,
        not_before=plan.not_before,
        not_after=plan.not_after,
        signature_algorithm=plan.signature_algorithm,
        extensions=end_entity_extensions(plan=plan, issuer=certificate, public_key=public_key, urls=urls),
    )


def build_authority(
    *,
    plan: AuthorityPlan,
    issuer: Issuer | None,
    serial_number: int,
    public_key: PublicKey,
    urls: DistributionUrls,
) -> ToBeSigned:
    """A CA's certificate: an intermediate under ``issuer``, or a root where that is None; ``urls`` are the issuer's.

    Raises:
        Invalid: a name cannot be encoded.
    """
    subject = (
        encode_subject(plan.subject) if plan.encoded_subject is None else x509.Name.from_bytes(plan.encoded_subject)
    )
    certificate = issuer.certificate if issuer else None
    return _to_be_signed(
        subject=subject,
        issuer=certificate.subject if certificate else subject,
        serial_number=serial_number,
        public_key=public_key,
        not_before=plan.not_before,
        not_after=plan.not_after,
        signature_algorithm=plan.signature_algorithm,
        extensions=authority_extensions(
            path_length=plan.path_length,
            name_constraints=plan.name_constraints,
            issuer=certificate,
            public_key=public_key,
            urls=urls,
        ),
    )


def _to_be_signed(
    *,
    subject: x509.Name,
    issuer: x509.Name,
    serial_number: int,
    public_key: PublicKey,
    not_before: datetime,
    not_after: datetime,
    signature_algorithm: SignatureAlgorithm,
    extensions: Extensions,
) -> ToBeSigned:
    builder = (
        x509.CertificateBuilder()
        .serial_number(serial_number)
        .issuer_name(issuer)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .subject_name(subject)
        .public_key(public_key)
    )
    for extension in extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    key = throw_away_signer(signature_algorithm.family)
    draft = builder.sign(key, signing_hash(signature_algorithm))  # type: ignore[arg-type]
    return ToBeSigned(der=draft.tbs_certificate_bytes, draft=draft, signature_algorithm=signature_algorithm)


def sign(tbs: ToBeSigned, signer: HasPrivateKey) -> x509.Certificate:
    """The draft with the signer's signature in the place of the other (RFC 5280, 4.1); nothing is checked here,
    ``verify`` does that.

    Raises:
        TypeError, ValueError: the signer's key cannot make such a signature.
    """
    signature = signature_of(signer.private_key, tbs.der, tbs.signature_algorithm)
    _, algorithm, _ = Value.whole(tbs.draft.public_bytes(Encoding.DER)).members()
    return x509.load_der_x509_certificate(sequence(tbs.der, algorithm.encoded, bit_string(signature)))


def throw_away_public_key(family: KeyFamily) -> PublicKey:
    """A key that stands in for one that is not made yet; nothing is ever signed with what it belongs to but drafts."""
    return throw_away_key(family).public_key()
