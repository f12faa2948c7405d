"""CA keys: made, sealed, lent to whoever signs; and the one place where certificates are signed."""

from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certificates.keystore.base import Signer
from certificates.keystore.database import load_signer, seal_private_key
from certificates.models import AuthorityCertificate, AuthorityKey, CertificateAuthority
from certificates.services.lint import lint_violations
from certificates.x509.issuer import DistributionUrls, Issuer
from certificates.x509.keys import PrivateKey, PublicKey, public_key_info
from certificates.x509.lint import Finding, blocking, lint, lint_shape, shape_of
from certificates.x509.tbs import ToBeSigned, build, build_authority, draft, new_serial_number, sign
from certificates.x509.verify import VerificationFailed, verify_authority, verify_issued
from pki_portal.errors import Invalid
from profiles.policy.plan import AuthorityPlan, IssuancePlan


def signer_of(authority_certificate: AuthorityCertificate) -> Signer:
    """The key behind one version of a CA's certificate. Raises Unavailable where it cannot be unsealed."""
    return signer_of_key(authority_certificate.key)


def signer_of_key(key: AuthorityKey) -> Signer:
    """A CA's key, unsealed once per process. Raises Unavailable."""
    return load_signer(
        key_id=key.id,
        sealed=bytes(key.sealed_private_key),
        public_key_spki=bytes(key.subject_public_key_info),
    )


def store_authority_key(*, authority: CertificateAuthority, private_key: PrivateKey) -> AuthorityKey:
    """Store a new key of a CA, sealed to the id of its row, in the caller's transaction. Raises Unavailable."""
    key_id = uuid4()
    return AuthorityKey.objects.create(
        id=key_id,
        authority=authority,
        subject_public_key_info=public_key_info(private_key.public_key()),
        sealed_private_key=seal_private_key(private_key, key_id=key_id),
    )


def sign_and_verify(
    *,
    plan: IssuancePlan | AuthorityPlan,
    issuer: Issuer | None,
    signer: Signer,
    public_key: PublicKey,
    urls: DistributionUrls,
    change: str,
) -> tuple[x509.Certificate, tuple[Finding, ...]]:
    """The one place where a certificate is signed, a CA's or not; ``issuer`` None where the key signs itself.

    The to-be-signed bytes are fixed, linted and only then handed to the key; what comes back is compared with them
    byte for byte and with the plan value by value. ``change`` is what the reader of a refusal can change (``the CA``).

    Raises:
        Invalid: the lint has a blocking finding, or a name cannot be encoded.
        VerificationFailed, Unavailable: the signer failed or answered something else.
    """
    serial_number = new_serial_number()
    if isinstance(plan, AuthorityPlan):
        tbs = build_authority(plan=plan, issuer=issuer, serial_number=serial_number, public_key=public_key, urls=urls)
    else:
        tbs = build(plan=plan, issuer=issuer, serial_number=serial_number, public_key=public_key, urls=urls)
    judged, findings = _linted(tbs, plan=plan, issuer=issuer, signer=signer, urls=urls)
    blockers = blocking(findings, own_urls=urls.all)
    if blockers:
        raise Invalid(
            "The certificate would break RFC 5280: "
            + "; ".join(finding.message or finding.code for finding in blockers),
            violations=lint_violations(blockers, change=change),
        )
    certificate = sign(tbs, signer)
    if certificate.tbs_certificate_bytes != judged.tbs_certificate_bytes:
        raise VerificationFailed(["TBSCertificate"])
    if isinstance(plan, AuthorityPlan):
        verify_authority(
            certificate, plan=plan, issuer=issuer, serial_number=serial_number, public_key=public_key, urls=urls
        )
    else:
        verify_issued(
            certificate, plan=plan, issuer=issuer, serial_number=serial_number, public_key=public_key, urls=urls
        )
    return certificate, findings


def _linted(
    tbs: ToBeSigned,
    *,
    plan: IssuancePlan | AuthorityPlan,
    issuer: Issuer | None,
    signer: Signer,
    urls: DistributionUrls,
) -> tuple[x509.Certificate, tuple[Finding, ...]]:
    """The same bytes under a throw-away key's signature, and what the linter says of them.

    The linter knows a root by its self-signature: a root is signed by its own key to be linted, and what was signed is
    thrown away. An end entity's shape that was found clean is not linted again.
    """
    if not isinstance(plan, AuthorityPlan):
        judged = draft(tbs)
        shape = shape_of(plan, issuer=issuer.certificate if issuer else None, urls=urls.all)
        return judged, lint_shape(shape, lambda: judged.public_bytes(Encoding.DER), own_urls=urls.all)
    judged = draft(tbs) if issuer is not None else sign(tbs, signer)
    return judged, lint(judged.public_bytes(Encoding.DER))
