"""CAs across the border: ours that others certify, and others that ours certify."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import transaction
from django.utils import timezone

from certificates.models import (
    AuthorityCertificate,
    AuthorityKey,
    Certificate,
    CertificateAuthority,
)
from certificates.models.authority import AuthorityKind, AuthorityStatus
from certificates.models.certificate import KeySource
from certificates.models.request import RequestStatus
from certificates.services.authorities.acts import lock, record_act, recorded, refuse_any
from certificates.services.authorities.imported import ImportedPath, match_violations, read_imported_path
from certificates.services.authorities.paths import chain_below
from certificates.services.authorities.rules import (
    AuthoritySubject,
    attributes_of,
    blocked_key_violations,
    issuer_facts_of,
    name_of,
    parent_violation,
    parent_violations,
    state_violation,
    validity_of,
)
from certificates.services.authorities.versions import (
    install,
    newest_key,
    our_version,
    sign_authority_certificate,
    store_version,
    version_facts,
)
from certificates.services.blocked_keys import require_unblocked, with_blocked_key_told
from certificates.services.columns import store_certificate
from certificates.services.requests import Asked, failed_request_kept, store_request
from certificates.services.signing import signer_of, signer_of_key
from certificates.x509.csr import read_csr
from certificates.x509.extensions import authority_extensions
from certificates.x509.issuer import DistributionUrls
from certificates.x509.keys import (
    default_signature_algorithm,
    load_public_key,
    signing_hash,
)
from pki_portal.access.permissions import Action, require
from pki_portal.access.requester import Requester
from pki_portal.errors import NotFound, Violation
from profiles.enrollment import EnrollmentMethod
from profiles.policy.authority import (
    NO_CONSTRAINTS,
    applicant_key_violations,
    csr_violation,
    decide_authority,
    path_length_violations,
    subject_violations,
    validity_violations,
)
from profiles.policy.judges.lifetime import Validity
from profiles.policy.name_constraints import constraint_violations, constraints_of
from profiles.policy.name_constraints import normalised as normalised_constraints
from profiles.policy.names import same_subject
from profiles.policy.request import AttributeValue, BasicConstraints, IssuanceRequest, NameConstraints


@dataclass(frozen=True, slots=True)
class SignedIntermediate:
    """A certificate signed for a key that is elsewhere; the path above it in DER, issuing CA first, root last."""

    certificate: Certificate
    certification_path: tuple[bytes, ...]


def authority_csr(*, requester: Requester, authority: CertificateAuthority) -> str:
    """A CSR (PEM, no final newline) with which another CA can certify this intermediate's key.

    Raises:
        PermissionDenied, NotFound: the requester may not read the CA.
        Invalid: it is a root.
        Unavailable: the key cannot be used.
    """
    with recorded("get-ca-csr", requester, authority.project_id, authority):
        require(requester=requester, action=Action.CERTIFICATE_AUTHORITIES_READ, project_id=authority.project_id)
        if authority.kind == AuthorityKind.ROOT:
            refuse_any(
                [
                    state_violation(
                        authority, "root_has_no_csr", "is a root, which signs itself", "Ask an intermediate CA."
                    )
                ]
            )
        return csr_of_key(authority, newest_key(authority))


def csr_of_key(authority: CertificateAuthority, key: AuthorityKey) -> str:
    """A CSR (PEM, no final newline) for one of the CA's keys. Raises Unavailable."""
    public_key = load_public_key(bytes(key.subject_public_key_info))
    builder = x509.CertificateSigningRequestBuilder(subject_name=name_of(authority))
    for extension in authority_extensions(
        path_length=authority.max_path_length,
        name_constraints=constraints_of(authority.name_constraints),
        issuer=None,
        public_key=public_key,
        urls=DistributionUrls(),
    ):
        builder = builder.add_extension(extension.value, critical=extension.critical)
    algorithm = signing_hash(default_signature_algorithm(public_key))
    csr = builder.sign(signer_of_key(key).private_key, algorithm)  # type: ignore[arg-type]
    return csr.public_bytes(Encoding.PEM).decode("ascii").strip()


def import_authority_certificate(
    *, requester: Requester, authority: CertificateAuthority, certificate: str, certificate_chain: str
) -> AuthorityCertificate:
    """Install a certificate that another CA signed for this intermediate.

    ``certificate_chain`` holds its issuers up to the root, in any order, and nothing else.

    Raises:
        PermissionDenied, NotFound: the requester may not edit the CA.
        Malformed: the PEM texts cannot be read.
        Invalid: with every violation.
        Unavailable: the CA's key cannot be used.
    """
    now = timezone.now()
    with recorded("import-ca-cert", requester, authority.project_id, authority):
        require(requester=requester, action=Action.CERTIFICATE_AUTHORITIES_EDIT, project_id=authority.project_id)
        imported = read_imported_path(certificate=certificate, certificate_chain=certificate_chain, now=now)
        with transaction.atomic():
            locked = lock(authority.pk)
            key = _key_in(locked, imported)
            refuse_any((*imported.violations, *_import_violations(locked, key, imported)))
            issuer = our_version(locked.project_id, imported)
            version = store_version(
                authority=locked,
                key=key,
                issuer=issuer,
                certificate=imported.certificate,
                external_chain="" if issuer is not None else imported.chain_pem,
            )
            install(locked, version, parent=issuer.authority if issuer is not None else None, now=now)
            record_act("import-ca-cert", requester, locked, data=version_facts(version))
    authority.refresh_from_db()
    return version


def _key_in(authority: CertificateAuthority, imported: ImportedPath) -> AuthorityKey:
    """The CA's key that was certified, or the newest where it is none of them."""
    wanted = imported.facts.subject_public_key_info
    keys = AuthorityKey.objects.select_related("revocation_list").filter(authority=authority)
    return keys.filter(subject_public_key_info=wanted).first() or newest_key(authority)


def _import_violations(
    authority: CertificateAuthority, key: AuthorityKey, imported: ImportedPath
) -> Iterator[Violation]:
    if authority.kind == AuthorityKind.ROOT:
        yield state_violation(
            authority, "root_imports_nothing", "is a root, which signs itself", "Import into an intermediate CA."
        )
        return
    if authority.status == AuthorityStatus.DISABLED:
        yield state_violation(authority, "authority_disabled", "is disabled", f"Enable {authority.name} first.")
    if authority.parent is not None:
        yield parent_violation(
            authority,
            "has_internal_parent",
            authority.parent,
            "a CA without an internal parent",
            f"Renew {authority.name} under its parent instead.",
        )
    yield from blocked_key_violations(authority, key)
    der = imported.certificate.public_bytes(Encoding.DER)
    if any(bytes(version.der) == der for version in authority.certificates.all()):
        yield state_violation(
            authority, "already_installed", "has this certificate already", "Import another certificate."
        )
    yield from match_violations(
        imported,
        name=name_of(authority),
        subject_public_key_info=bytes(key.subject_public_key_info),
        max_path_length=authority.max_path_length,
        name_constraints=constraints_of(authority.name_constraints),
    )


def sign_intermediate(
    *,
    requester: Requester,
    authority: CertificateAuthority,
    csr: str,
    not_before: datetime | None = None,
    not_after: datetime,
    max_path_length: int | None = None,
    name_constraints: NameConstraints = NO_CONSTRAINTS,
) -> SignedIntermediate:
    """Sign a CA certificate for the key and subject of a CSR; whatever else the CSR asks is not read.

    Raises:
        PermissionDenied, NotFound: the requester may not do so.
        Malformed: the CSR cannot be read.
        Invalid: with every violation.
        Unavailable: the CA's key cannot be used.
    """
    now = timezone.now()
    validity = validity_of(not_before=not_before, not_after=not_after, default_years=0, now=now)
    constraints = normalised_constraints(name_constraints)
    with recorded("sign-intermediate", requester, authority.project_id, authority):
        require(
            requester=requester,
            action=Action.CERTIFICATE_AUTHORITIES_SIGN_INTERMEDIATE,
            project_id=authority.project_id,
        )
        read = read_csr(csr)
        # What the CSR asks beside subject and key counts for nothing: it is replaced by what the requester asks.
        request = with_blocked_key_told(
            IssuanceRequest(
                subject=read.subject,
                applicant_key=read.applicant_key,
                csr=read.csr,
                not_before=validity.not_before,
                not_after=validity.not_after,
                basic_constraints=BasicConstraints(is_ca=True, path_length=max_path_length),
            )
        )
        asked = Asked(
            profile=None,
            request=request,
            requester=requester,
            method=EnrollmentMethod.API,
            metadata=(),
            authority=authority,
        )
        with failed_request_kept(asked), transaction.atomic():
            locked = lock(authority.pk)
            refuse_any(
                (
                    *_csr_violations(locked, request, validity, max_path_length, now),
                    *constraint_violations(constraints),
                )
            )
            require_unblocked(request.applicant_key)
            certificate, issuer = _sign_csr(locked, asked, validity, constraints, now)
            record_act(
                "sign-intermediate",
                requester,
                locked,
                data={"certificateId": str(certificate.pk), "serialNumber": certificate.serial_number},
            )
    return SignedIntermediate(certificate=certificate, certification_path=chain_below(issuer))


def _csr_violations(
    authority: CertificateAuthority,
    request: IssuanceRequest,
    validity: Validity,
    max_path_length: int | None,
    now: datetime,
) -> Iterator[Violation]:
    yield from path_length_violations(max_path_length)
    yield from validity_violations(validity, now=now)
    subject_wrong = list(_csr_subject_violations(request.subject))
    yield from subject_wrong
    if request.applicant_key is not None:
        yield from applicant_key_violations(request.applicant_key)
        yield from _sibling_violations(authority, request.subject, request.applicant_key.subject_public_key_info)
    yield from parent_violations(
        authority,
        subject=None if subject_wrong else request.subject,
        validity=validity,
        max_path_length=max_path_length,
        now=now,
    )


def _sibling_violations(
    authority: CertificateAuthority, subject: tuple[AttributeValue, ...], public_key: bytes
) -> Iterator[Violation]:
    """Nobody gets the name of another CA of the project for a key of their own: paths and CRLs go by names."""
    others = CertificateAuthority.objects.filter(project_id=authority.project_id).exclude(pk=authority.pk)
    for other in others.order_by("created_at"):
        if (
            same_subject(subject, attributes_of(other))
            and not other.keys.filter(subject_public_key_info=public_key).exists()
        ):
            yield csr_violation(
                "subject_of_another_authority",
                ", ".join(f"{each.type}={each.value}" for each in subject)[:1000],
                f"a name that is not that of CA {other.name}, or the key of that CA",
                "Make the CSR with another common name.",
            )


def _csr_subject_violations(subject: tuple[AttributeValue, ...]) -> Iterator[Violation]:
    known = {field.name: "" for field in fields(AuthoritySubject)}
    for attribute in subject:
        if attribute.type not in known or known[attribute.type]:
            yield csr_violation(
                "subject_attribute_refused",
                f"{attribute.type}={attribute.value}"[:200],
                "each of " + ", ".join(known) + " at most once",
                "Make the CSR without this attribute.",
            )
        else:
            known[attribute.type] = attribute.value
    for violation in subject_violations(AuthoritySubject(**known).attributes()):
        yield csr_violation(violation.code, violation.asked, violation.allowed, violation.fix)


def _sign_csr(
    authority: CertificateAuthority, asked: Asked, validity: Validity, constraints: NameConstraints, now: datetime
) -> tuple[Certificate, AuthorityCertificate]:
    """Sign for a judged CSR and store request and certificate, so that it can be found and revoked like any other."""
    issuer, facts = authority.active_certificate, issuer_facts_of(authority)
    request = asked.request
    key = request.applicant_key
    if issuer is None or facts is None or key is None or key.algorithm is None or request.basic_constraints is None:
        raise NotFound(f"{authority.name} has no certificate to sign with.")
    plan = decide_authority(
        subject=request.subject,
        validity=validity,
        path_length=request.basic_constraints.path_length,
        issuer=facts,
        key_name=key.algorithm,
        now=now,
        name_constraints=constraints,
    )
    signed = sign_authority_certificate(
        plan=plan, issuer=issuer, public_key=load_public_key(key.subject_public_key_info), signer=signer_of(issuer)
    )
    certificate = store_certificate(
        request=store_request(asked, status=RequestStatus.ISSUED),
        issuer=issuer,
        signed=signed,
        key_source=KeySource.APPLICANT,
    )
    return certificate, issuer
