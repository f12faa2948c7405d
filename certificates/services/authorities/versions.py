"""Certificates of our own CAs: signed here, in one function, and installed as the next version."""

from datetime import datetime
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import models, transaction
from django.utils import timezone

from certificates.keystore.base import Signer
from certificates.models import (
    AuthorityCertificate,
    AuthorityKey,
    CertificateAuthority,
)
from certificates.models.authority import AuthorityStatus
from certificates.services.authorities.acts import lock_with_parent, record_act, recorded, refuse_any, require_parent_in
from certificates.services.authorities.imported import ImportedPath
from certificates.services.authorities.rules import (
    attributes_of,
    blocked_key_violations,
    issuer_facts_of,
    reissue_violations,
    renewal_violations,
    validity_of,
)
from certificates.services.columns import columns_of
from certificates.services.crl import publish_crl
from certificates.services.distribution import distribution_urls_of
from certificates.services.signing import SignedCertificate, sign_and_verify, signer_of, signer_of_key
from certificates.x509.inspect import facts_of, serial_number_hex
from certificates.x509.issuer import DistributionUrls, Issuer
from certificates.x509.keys import (
    PublicKey,
    algorithm_of,
    load_public_key,
)
from pki_portal.access.permissions import Action, require
from pki_portal.access.requester import Requester
from profiles.policy.authority import decide_authority
from profiles.policy.judges.lifetime import Validity
from profiles.policy.name_constraints import constraints_of, document_of
from profiles.policy.plan import AuthorityPlan


def issue_authority_certificate(
    *,
    requester: Requester,
    authority: CertificateAuthority,
    parent: CertificateAuthority | None = None,
    not_before: datetime | None = None,
    not_after: datetime,
    max_path_length: int | None = None,
) -> AuthorityCertificate:
    """Give a CA a new certificate for its present key and make it the active one; earlier versions stay listed.

    An intermediate is signed by ``parent``, or by its present parent where that is None; a root by itself.

    Raises:
        PermissionDenied, NotFound: the requester may not do so, or the parent is in no project of its.
        Invalid: with every violation.
        Unavailable: a key cannot be used.
    """
    now = timezone.now()
    validity = validity_of(not_before=not_before, not_after=not_after, default_years=0, now=now)
    with recorded("issue-ca-cert", requester, authority.project_id, authority):
        require(
            requester=requester,
            action=Action.CERTIFICATE_AUTHORITIES_ISSUE_CA_CERTIFICATE,
            project_id=authority.project_id,
        )
        require_parent_in(authority.project_id, parent)
        with transaction.atomic():
            locked, above = lock_with_parent(authority, parent)
            refuse_any(
                (
                    *blocked_key_violations(locked, present_key(locked)),
                    *reissue_violations(locked, above, validity=validity, max_path_length=max_path_length, now=now),
                )
            )
            certificate = certify(locked, parent=above, validity=validity, max_path_length=max_path_length, now=now)
            record_act("issue-ca-cert", requester, locked, data=version_facts(certificate))
    authority.refresh_from_db()
    return certificate


def renew_authority(
    *, requester: Requester, authority: CertificateAuthority, not_after: datetime
) -> AuthorityCertificate:
    """Give a CA a certificate with a later end: same key, same parent, same path length.

    Raises:
        PermissionDenied, NotFound: the requester may not do so.
        Invalid: with every violation.
        Unavailable: a key cannot be used.
    """
    now = timezone.now()
    validity = validity_of(not_before=None, not_after=not_after, default_years=0, now=now)
    with recorded("renew-ca", requester, authority.project_id, authority):
        require(
            requester=requester,
            action=Action.CERTIFICATE_AUTHORITIES_ISSUE_CA_CERTIFICATE,
            project_id=authority.project_id,
        )
        with transaction.atomic():
            locked, above = lock_with_parent(authority, None)
            refuse_any(renewal_violations(locked, above, validity=validity, now=now))
            path_length = locked.active_certificate.path_length if locked.active_certificate else None
            certificate = certify(locked, parent=above, validity=validity, max_path_length=path_length, now=now)
            record_act("renew-ca", requester, locked, data=version_facts(certificate))
    authority.refresh_from_db()
    return certificate


def certify(
    authority: CertificateAuthority,
    *,
    parent: CertificateAuthority | None,
    validity: Validity,
    max_path_length: int | None,
    now: datetime,
) -> AuthorityCertificate:
    """Sign, store and install a CA's next certificate in the caller's transaction; everything has been judged."""
    key = present_key(authority)
    certificate = sign_version(
        authority, key, parent=parent, validity=validity, max_path_length=max_path_length, now=now
    )
    install(authority, certificate, parent=parent, now=now)
    return certificate


def sign_version(
    authority: CertificateAuthority,
    key: AuthorityKey,
    *,
    parent: CertificateAuthority | None,
    validity: Validity,
    max_path_length: int | None,
    now: datetime,
) -> AuthorityCertificate:
    """Sign and store a certificate for one of a CA's keys in the caller's transaction; it does not become active."""
    issuer = parent.active_certificate if parent is not None else None
    signer = signer_of(issuer) if issuer is not None else signer_of_key(key)
    public_key = load_public_key(bytes(key.subject_public_key_info))
    plan = decide_authority(
        subject=attributes_of(authority),
        validity=validity,
        path_length=max_path_length,
        issuer=issuer_facts_of(parent) if parent is not None else None,
        key_name=algorithm_of(public_key) or authority.key_algorithm,
        now=now,
        name_constraints=constraints_of(authority.name_constraints),
        encoded_subject=bytes(authority.encoded_subject) if authority.encoded_subject is not None else None,
    )
    signed = sign_authority_certificate(plan=plan, issuer=issuer, public_key=public_key, signer=signer)
    return store_version(authority=authority, key=key, issuer=issuer, certificate=signed.certificate)


def sign_authority_certificate(
    *, plan: AuthorityPlan, issuer: AuthorityCertificate | None, public_key: PublicKey, signer: Signer
) -> SignedCertificate:
    """Sign a CA's certificate, ours or another's; ``issuer`` None for a root.

    Raises:
        Invalid: the lint has a blocking finding, or a name cannot be encoded.
        VerificationFailed, Unavailable: the signer failed or answered something else.
    """
    return sign_and_verify(
        plan=plan,
        issuer=Issuer(x509.load_der_x509_certificate(bytes(issuer.der))) if issuer is not None else None,
        issuer_row=issuer,
        signer=signer,
        public_key=public_key,
        urls=distribution_urls_of(issuer) if issuer is not None else DistributionUrls(),
        change="the CA",
    )


def store_version(
    *,
    authority: CertificateAuthority,
    key: AuthorityKey,
    issuer: AuthorityCertificate | None,
    certificate: x509.Certificate,
    external_chain: str = "",
) -> AuthorityCertificate:
    """Store the next version; its columns are read back from what was signed. The CA is locked by the caller."""
    last = authority.certificates.aggregate(last=models.Max("version"))["last"] or 0
    columns = columns_of(certificate)
    return AuthorityCertificate.objects.create(
        authority=authority,
        key=key,
        issuer_certificate=issuer,
        version=last + 1,
        serial_number=serial_number_hex(certificate.serial_number),
        der=columns["der"],
        external_chain=external_chain,
        path_length=columns["path_length"],
        not_before=columns["not_before"],
        not_after=columns["not_after"],
    )


def install(
    authority: CertificateAuthority,
    certificate: AuthorityCertificate,
    *,
    parent: CertificateAuthority | None,
    now: datetime,
) -> None:
    """Make a version the active one, and publish the first CRL where the key has none."""
    authority.active_certificate = certificate
    authority.status = AuthorityStatus.ACTIVE
    authority.parent = parent
    authority.not_before = certificate.not_before
    authority.not_after = certificate.not_after
    authority.max_path_length = certificate.path_length
    public_key = load_public_key(bytes(certificate.key.subject_public_key_info))
    authority.key_algorithm = algorithm_of(public_key) or authority.key_algorithm
    facts = facts_of(x509.load_der_x509_certificate(bytes(certificate.der)))
    authority.name_constraints = document_of(facts.name_constraints)
    authority.save(
        update_fields=[
            "active_certificate",
            "status",
            "parent",
            "not_before",
            "not_after",
            "max_path_length",
            "key_algorithm",
            "name_constraints",
            "updated_at",
        ]
    )
    publish_first_crl(certificate.key, now=now)


def publish_first_crl(key: AuthorityKey, *, now: datetime) -> None:
    """Publish the first CRL of a key that has a certificate, unless there is one."""
    if key.revocation_list.number is None:
        publish_crl(revocation_list=key.revocation_list, now=now)


def our_version(project_id: UUID, imported: ImportedPath) -> AuthorityCertificate | None:
    """The issuer's certificate as one of our own rows in the same project, if it is one."""
    issuer = imported.path[1]
    der = issuer.public_bytes(Encoding.DER)
    candidates = AuthorityCertificate.objects.select_related("authority").filter(
        authority__project_id=project_id, serial_number=serial_number_hex(issuer.serial_number)
    )
    return next((candidate for candidate in candidates if bytes(candidate.der) == der), None)


def present_key(authority: CertificateAuthority) -> AuthorityKey:
    """The key that signs: that of the active certificate, or the newest while there is none."""
    if authority.active_certificate is not None:
        return authority.active_certificate.key
    return newest_key(authority)


def newest_key(authority: CertificateAuthority) -> AuthorityKey:
    """The key made last; it may wait for its first certificate while an older one signs."""
    return AuthorityKey.objects.select_related("revocation_list").filter(authority=authority).latest("created_at")


def version_facts(certificate: AuthorityCertificate) -> dict[str, str]:
    """What the audit keeps of a version."""
    return {
        "caCertId": str(certificate.pk),
        "serialNumber": certificate.serial_number,
        "notAfter": certificate.not_after.isoformat(),
    }
