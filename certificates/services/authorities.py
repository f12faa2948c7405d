"""CAs: their keys, the versions of their certificates, and what is signed for other CAs.

A CA's certificate is signed in one function, :func:`_signed`; everything else judges, stores and finds.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from certificates.keystore.base import Signer
from certificates.models import (
    AuthorityCertificate,
    AuthorityKey,
    Certificate,
    CertificateAuthority,
    CertificateRequest,
    CertificateRevocationList,
)
from certificates.models.authority import AuthorityKind, AuthorityStatus
from certificates.models.certificate import KeySource
from certificates.models.request import RequestStatus
from certificates.services.authority_import import ImportedPath, match_violations, read_imported_path
from certificates.services.authority_rules import (
    INTERMEDIATE_LIFE_YEARS,
    ROOT_LIFE_YEARS,
    AuthoritySubject,
    Validity,
    friendly_name_violations,
    issuer_violations,
    name_violations,
    normalised,
    path_length_violations,
    subject_of,
    subject_violations,
    under_issuer_violations,
    validity_of,
    validity_violations,
)
from certificates.services.columns import columns_of
from certificates.services.revocation import create_revocation_list, publish_crl
from certificates.services.signing import signer_of, signer_of_key, store_authority_key
from certificates.services.urls import distribution_urls_of
from certificates.x509.csr import read_csr
from certificates.x509.extensions import authority_extensions
from certificates.x509.inspect import serial_number_hex
from certificates.x509.issuer import AuthorityPlan, DistributionUrls, Issuer
from certificates.x509.keys import (
    PrivateKey,
    PublicKey,
    default_signature_algorithm,
    generate,
    load_public_key,
    signing_hash,
)
from certificates.x509.lint import Finding, blocking, lint
from certificates.x509.names import distinguished_name, encode_subject
from certificates.x509.tbs import build_authority, draft, new_serial_number, sign
from certificates.x509.verify import VerificationFailed, verify_authority
from pki_portal.access.models import Project
from pki_portal.access.permissions import Action, projects_visible_to, require
from pki_portal.access.requester import Requester
from pki_portal.audit.services import record, recorded_refusals
from pki_portal.errors import Conflict, Invalid, NotFound, Violation
from profiles.enrollment import EnrollmentMethod
from profiles.policy.request import AttributeValue, IssuanceRequest
from profiles.policy.vocabulary import KeyAlgorithm, SubjectAttribute

__all__ = [
    "AuthoritySubject",
    "SignedIntermediate",
    "authorities_of",
    "authority_certificates_of",
    "authority_csr",
    "certification_path_of",
    "create_intermediate",
    "create_root",
    "current_certificate_of",
    "delete_authority",
    "find_authority",
    "find_authority_certificate",
    "import_authority_certificate",
    "issue_authority_certificate",
    "published_authority_certificate",
    "renew_authority",
    "revocation_lists_of",
    "sign_intermediate",
    "subject_of",
    "update_authority",
]


@dataclass(frozen=True, slots=True)
class SignedIntermediate:
    """A certificate signed for a key that is elsewhere; the path above it in DER, issuing CA first, root last."""

    certificate: Certificate
    certification_path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A CA to be made, in normal form; ``validity`` None where it will wait for a certificate."""

    kind: AuthorityKind
    name: str
    friendly_name: str
    subject: AuthoritySubject
    key_algorithm: KeyAlgorithm
    max_path_length: int | None
    validity: Validity | None
    asked_not_before: datetime | None
    asked_not_after: datetime | None


# --- Making CAs -------------------------------------------------------------------------------------------------------


def create_root(
    *,
    requester: Requester,
    project: Project,
    name: str,
    subject: AuthoritySubject,
    key_algorithm: KeyAlgorithm,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    max_path_length: int | None = None,
    friendly_name: str = "",
) -> CertificateAuthority:
    """Make a root with its key, self-signed certificate and first CRL; it is active at once.

    Without ``not_after`` it lives 10 years. ``max_path_length`` None means no limit. Takes up to a second for RSA.

    Raises:
        PermissionDenied, NotFound: the requester may not make CAs there.
        Invalid: with every violation.
        Unavailable: the master key cannot be used.
    """
    now = timezone.now()
    wanted = _Wanted(
        kind=AuthorityKind.ROOT,
        name=name,
        friendly_name=friendly_name,
        subject=normalised(subject),
        key_algorithm=key_algorithm,
        max_path_length=max_path_length,
        validity=validity_of(not_before=not_before, not_after=not_after, default_years=ROOT_LIFE_YEARS, now=now),
        asked_not_before=not_before,
        asked_not_after=not_after,
    )
    return _create(requester=requester, project=project, wanted=wanted, parent=None, now=now)


def create_intermediate(
    *,
    requester: Requester,
    project: Project,
    name: str,
    subject: AuthoritySubject,
    key_algorithm: KeyAlgorithm,
    parent: CertificateAuthority | None,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    max_path_length: int | None = None,
    friendly_name: str = "",
) -> CertificateAuthority:
    """Make an intermediate with its key: active under ``parent``, or waiting for a certificate where that is None.

    Without ``not_after`` it lives 5 years, or as long as the parent where that is shorter. ``max_path_length`` None
    means no limit, which a limited parent refuses.

    Raises:
        PermissionDenied, NotFound: the requester may not make CAs there, or the parent is not there.
        Invalid: with every violation.
        Unavailable: the master key cannot be used.
    """
    now = timezone.now()
    wanted = _Wanted(
        kind=AuthorityKind.INTERMEDIATE,
        name=name,
        friendly_name=friendly_name,
        subject=normalised(subject),
        key_algorithm=key_algorithm,
        max_path_length=max_path_length,
        validity=_validity_under(parent, not_before=not_before, not_after=not_after, now=now) if parent else None,
        asked_not_before=not_before,
        asked_not_after=not_after,
    )
    return _create(requester=requester, project=project, wanted=wanted, parent=parent, now=now)


def _validity_under(
    parent: CertificateAuthority, *, not_before: datetime | None, not_after: datetime | None, now: datetime
) -> Validity:
    validity = validity_of(not_before=not_before, not_after=not_after, default_years=INTERMEDIATE_LIFE_YEARS, now=now)
    issuer = parent.active_certificate
    if not_after is None and issuer is not None and issuer.not_after < validity.not_after:
        return Validity(not_before=validity.not_before, not_after=issuer.not_after)
    return validity


def _create(
    *, requester: Requester, project: Project, wanted: _Wanted, parent: CertificateAuthority | None, now: datetime
) -> CertificateAuthority:
    with _refusals("create-ca", requester, project.pk, data={"name": wanted.name, "type": wanted.kind}):
        require(requester=requester, action=Action.CERTIFICATE_AUTHORITIES_CREATE, project_id=project.pk)
        _require_parent_in(project.pk, parent)
        # Judged before the key is made, which takes long, and again with the parent locked.
        _refuse(_creation_violations(project, wanted, parent, now))
        private_key = generate(wanted.key_algorithm)
        with _name_taken_told(project, wanted.name), transaction.atomic():
            locked_parent = _locked(parent.pk) if parent is not None else None
            _refuse(_creation_violations(project, wanted, locked_parent, now))
            authority = _store_authority(project=project, wanted=wanted, private_key=private_key)
            if wanted.validity is not None:
                _certify(
                    authority,
                    parent=locked_parent,
                    validity=wanted.validity,
                    max_path_length=wanted.max_path_length,
                    now=now,
                )
            _record("create-ca", requester, authority, data={"type": authority.kind, "status": authority.status})
    return authority


def _creation_violations(
    project: Project, wanted: _Wanted, parent: CertificateAuthority | None, now: datetime
) -> Iterator[Violation]:
    yield from name_violations(wanted.name)
    if CertificateAuthority.objects.filter(project=project, name=wanted.name).exists():
        yield _name_taken(wanted.name)
    yield from friendly_name_violations(wanted.friendly_name)
    subject_wrong = list(subject_violations(wanted.subject))
    yield from subject_wrong
    yield from path_length_violations(wanted.max_path_length)
    if wanted.validity is None:
        return
    yield from validity_violations(wanted.validity, now=now)
    if parent is not None and not subject_wrong:
        yield from _parent_violations(
            parent,
            subject=wanted.subject.name(),
            validity=wanted.validity,
            max_path_length=wanted.max_path_length,
            now=now,
        )


def _parent_violations(
    parent: CertificateAuthority,
    *,
    subject: x509.Name,
    validity: Validity,
    max_path_length: int | None,
    now: datetime,
) -> Iterator[Violation]:
    yield from issuer_violations(parent, now=now)
    if parent.active_certificate is not None:
        yield from under_issuer_violations(
            parent,
            parent.active_certificate,
            subject=subject,
            validity=validity,
            max_path_length=max_path_length,
        )


def _store_authority(*, project: Project, wanted: _Wanted, private_key: PrivateKey) -> CertificateAuthority:
    """Store the CA as waiting for a certificate, its sealed key and the row of its CRL, in the caller's transaction."""
    authority = CertificateAuthority.objects.create(
        project=project,
        name=wanted.name,
        kind=wanted.kind,
        status=AuthorityStatus.PENDING_CERTIFICATE,
        friendly_name=wanted.friendly_name,
        key_algorithm=wanted.key_algorithm,
        max_path_length=wanted.max_path_length,
        not_before=wanted.asked_not_before,
        not_after=wanted.asked_not_after,
        **asdict(wanted.subject),
    )
    create_revocation_list(store_authority_key(authority=authority, private_key=private_key))
    return authority


# --- Certificates of our CAs ------------------------------------------------------------------------------------------


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
    with _refusals("issue-ca-cert", requester, authority.project_id, authority):
        require(
            requester=requester,
            action=Action.CERTIFICATE_AUTHORITIES_ISSUE_CA_CERTIFICATE,
            project_id=authority.project_id,
        )
        _require_parent_in(authority.project_id, parent)
        with transaction.atomic():
            locked, above = _locked_with_parent(authority, parent)
            _refuse(_reissue_violations(locked, above, validity=validity, max_path_length=max_path_length, now=now))
            certificate = _certify(locked, parent=above, validity=validity, max_path_length=max_path_length, now=now)
            _record("issue-ca-cert", requester, locked, data=_told(certificate))
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
    with _refusals("renew-ca", requester, authority.project_id, authority):
        require(
            requester=requester,
            action=Action.CERTIFICATE_AUTHORITIES_ISSUE_CA_CERTIFICATE,
            project_id=authority.project_id,
        )
        with transaction.atomic():
            locked, above = _locked_with_parent(authority, None)
            _refuse(_renewal_violations(locked, above, validity=validity, now=now))
            path_length = locked.active_certificate.path_length if locked.active_certificate else None
            certificate = _certify(locked, parent=above, validity=validity, max_path_length=path_length, now=now)
            _record("renew-ca", requester, locked, data=_told(certificate))
    authority.refresh_from_db()
    return certificate


def _reissue_violations(
    authority: CertificateAuthority,
    parent: CertificateAuthority | None,
    *,
    validity: Validity,
    max_path_length: int | None,
    now: datetime,
) -> Iterator[Violation]:
    if authority.status == AuthorityStatus.DISABLED:
        yield _state_violation(authority, "authority_disabled", "is disabled", f"Enable {authority.name} first.")
    yield from path_length_violations(max_path_length)
    yield from validity_violations(validity, now=now)
    if authority.kind == AuthorityKind.ROOT:
        if parent is not None:
            yield _parent_violation(
                authority, "root_has_no_parent", parent, "no parent: a root signs itself", "Leave the parent out."
            )
        return
    if parent is None:
        yield Violation(
            field="parent",
            code="parent_missing",
            rule=f"CA {authority.name}",
            asked="no parent",
            allowed="an internal parent CA",
            fix="Name a parent CA of this project, or have the CSR signed elsewhere and import the certificate.",
        )
    elif _is_same_or_below(parent, authority):
        yield _parent_violation(
            authority, "parent_is_below", parent, f"a CA that is not below {authority.name}", "Choose another parent."
        )
    else:
        yield from _parent_violations(
            parent,
            subject=subject_of(authority).name(),
            validity=validity,
            max_path_length=max_path_length,
            now=now,
        )


def _renewal_violations(
    authority: CertificateAuthority, parent: CertificateAuthority | None, *, validity: Validity, now: datetime
) -> Iterator[Violation]:
    present = authority.active_certificate
    if present is None:
        yield _without_certificate(authority)
        return
    yield from _reissue_violations(authority, parent, validity=validity, max_path_length=present.path_length, now=now)
    if validity.not_after <= present.not_after:
        yield Violation(
            field="not_after",
            code="not_after_not_later",
            rule=f"certificate of CA {authority.name}",
            asked=validity.not_after.isoformat(),
            allowed=f"later than the present end, {present.not_after.isoformat()}",
            fix="Choose a later end.",
        )


def _is_same_or_below(candidate: CertificateAuthority, authority: CertificateAuthority) -> bool:
    """Whether ``candidate`` is ``authority`` or hangs below it; one query for each CA on the way up."""
    current: CertificateAuthority | None = candidate
    while current is not None:
        if current.pk == authority.pk:
            return True
        current = current.parent
    return False


def _certify(
    authority: CertificateAuthority,
    *,
    parent: CertificateAuthority | None,
    validity: Validity,
    max_path_length: int | None,
    now: datetime,
) -> AuthorityCertificate:
    """Sign, store and install a CA's next certificate in the caller's transaction; everything has been judged."""
    key = _present_key(authority)
    issuer = parent.active_certificate if parent is not None else None
    signer = signer_of(issuer) if issuer is not None else signer_of_key(key)
    public_key = load_public_key(bytes(key.subject_public_key_info))
    plan = AuthorityPlan(
        subject=subject_of(authority).attributes(),
        not_before=validity.not_before,
        not_after=validity.not_after,
        path_length=max_path_length,
        signature_algorithm=default_signature_algorithm(signer.public_key()),
    )
    signed, _ = _signed(plan=plan, issuer=issuer, public_key=public_key, signer=signer)
    certificate = _store_version(authority=authority, key=key, issuer=issuer, certificate=signed)
    _install(authority, certificate, parent=parent, now=now)
    return certificate


def _signed(
    *, plan: AuthorityPlan, issuer: AuthorityCertificate | None, public_key: PublicKey, signer: Signer
) -> tuple[x509.Certificate, tuple[Finding, ...]]:
    """The one place where a CA's certificate is signed, ours or another's; ``issuer`` None for a root.

    The to-be-signed bytes are fixed and linted before the CA's key sees them; what comes back is compared with them
    byte for byte and with the plan value by value.

    Raises:
        Invalid: the lint has a blocking finding, or a name cannot be encoded.
        VerificationFailed, Unavailable: the signer failed or answered something else.
    """
    urls = distribution_urls_of(issuer) if issuer is not None else DistributionUrls()
    above = Issuer(x509.load_der_x509_certificate(bytes(issuer.der))) if issuer is not None else None
    serial_number = new_serial_number()
    tbs = build_authority(plan=plan, issuer=above, serial_number=serial_number, public_key=public_key, urls=urls)
    # The linter knows a root by its self-signature: a root is linted as it is, and thrown away if it has to be.
    judged = draft(tbs) if issuer is not None else sign(tbs, signer)
    findings = lint(judged.public_bytes(Encoding.DER))
    _refuse(_lint_violations(blocking(findings, own_urls=urls.all)))
    certificate = sign(tbs, signer) if issuer is not None else judged
    if certificate.tbs_certificate_bytes != judged.tbs_certificate_bytes:
        raise VerificationFailed(["to-be-signed bytes"])
    verify_authority(
        certificate, plan=plan, issuer=above, serial_number=serial_number, public_key=public_key, urls=urls
    )
    return certificate, findings


def _lint_violations(findings: Iterable[Finding]) -> Iterator[Violation]:
    for finding in findings:
        yield Violation(
            field="certificate",
            code=finding.code,
            rule="lint PKIX",
            asked=finding.node,
            allowed="what RFC 5280 allows",
            fix=f"Change the CA so that this no longer holds: {finding.message or finding.code}",
        )


def _store_version(
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


def _install(
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
    authority.save(
        update_fields=[
            "active_certificate",
            "status",
            "parent",
            "not_before",
            "not_after",
            "max_path_length",
            "updated_at",
        ]
    )
    revocation_list = certificate.key.revocation_list
    if revocation_list.number is None:
        publish_crl(revocation_list=revocation_list, now=now)


def _present_key(authority: CertificateAuthority) -> AuthorityKey:
    """The newest key; a CA has one until re-keying comes."""
    return AuthorityKey.objects.select_related("revocation_list").filter(authority=authority).latest("created_at")


# --- Certificates from elsewhere, and for CAs elsewhere ---------------------------------------------------------------


def authority_csr(*, requester: Requester, authority: CertificateAuthority) -> str:
    """A CSR (PEM, no final newline) with which another CA can certify this intermediate's key.

    Raises:
        PermissionDenied, NotFound: the requester may not read the CA.
        Invalid: it is a root.
        Unavailable: the key cannot be used.
    """
    with _refusals("get-ca-csr", requester, authority.project_id, authority):
        require(requester=requester, action=Action.CERTIFICATE_AUTHORITIES_READ, project_id=authority.project_id)
        if authority.kind == AuthorityKind.ROOT:
            _refuse(
                [
                    _state_violation(
                        authority, "root_has_no_csr", "is a root, which signs itself", "Ask an intermediate CA."
                    )
                ]
            )
        return _csr(authority, _present_key(authority))


def _csr(authority: CertificateAuthority, key: AuthorityKey) -> str:
    public_key = load_public_key(bytes(key.subject_public_key_info))
    builder = x509.CertificateSigningRequestBuilder(subject_name=subject_of(authority).name())
    for extension in authority_extensions(
        path_length=authority.max_path_length, issuer=None, public_key=public_key, urls=DistributionUrls()
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
    with _refusals("import-ca-cert", requester, authority.project_id, authority):
        require(requester=requester, action=Action.CERTIFICATE_AUTHORITIES_EDIT, project_id=authority.project_id)
        imported = read_imported_path(certificate=certificate, certificate_chain=certificate_chain, now=now)
        with transaction.atomic():
            locked = _locked(authority.pk)
            key = _present_key(locked)
            _refuse(_import_violations(locked, key, imported))
            issuer = _our_version(locked.project_id, imported)
            version = _store_version(
                authority=locked,
                key=key,
                issuer=issuer,
                certificate=imported.certificate,
                external_chain="" if issuer is not None else imported.chain_pem,
            )
            _install(locked, version, parent=issuer.authority if issuer is not None else None, now=now)
            _record("import-ca-cert", requester, locked, data=_told(version))
    authority.refresh_from_db()
    return version


def _import_violations(
    authority: CertificateAuthority, key: AuthorityKey, imported: ImportedPath
) -> Iterator[Violation]:
    if authority.kind == AuthorityKind.ROOT:
        yield _state_violation(
            authority, "root_imports_nothing", "is a root, which signs itself", "Import into an intermediate CA."
        )
        return
    if authority.status == AuthorityStatus.DISABLED:
        yield _state_violation(authority, "authority_disabled", "is disabled", f"Enable {authority.name} first.")
    if authority.parent is not None:
        yield _parent_violation(
            authority,
            "has_internal_parent",
            authority.parent,
            "a CA without an internal parent",
            f"Renew {authority.name} under its parent instead.",
        )
    der = imported.certificate.public_bytes(Encoding.DER)
    if any(bytes(version.der) == der for version in authority.certificates.all()):
        yield _state_violation(
            authority, "already_installed", "has this certificate already", "Import another certificate."
        )
    yield from match_violations(
        imported,
        subject=subject_of(authority),
        subject_public_key_info=bytes(key.subject_public_key_info),
        max_path_length=authority.max_path_length,
    )


def _our_version(project_id: UUID, imported: ImportedPath) -> AuthorityCertificate | None:
    """The issuer's certificate as one of our own rows in the same project, if it is one."""
    issuer = imported.path[1]
    der = issuer.public_bytes(Encoding.DER)
    candidates = AuthorityCertificate.objects.select_related("authority").filter(
        authority__project_id=project_id, serial_number=serial_number_hex(issuer.serial_number)
    )
    return next((candidate for candidate in candidates if bytes(candidate.der) == der), None)


def sign_intermediate(
    *,
    requester: Requester,
    authority: CertificateAuthority,
    csr: str,
    not_before: datetime | None = None,
    not_after: datetime,
    max_path_length: int | None = None,
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
    with _refusals("sign-intermediate", requester, authority.project_id, authority):
        require(
            requester=requester,
            action=Action.CERTIFICATE_AUTHORITIES_SIGN_INTERMEDIATE,
            project_id=authority.project_id,
        )
        request = read_csr(csr)
        with transaction.atomic():
            locked = _locked(authority.pk)
            _refuse(_csr_violations(locked, request, validity, max_path_length, now))
            certificate, issuer = _sign_csr(locked, request, validity, max_path_length, requester)
            _record(
                "sign-intermediate",
                requester,
                locked,
                data={"certificateId": str(certificate.pk), "serialNumber": certificate.serial_number},
            )
    return SignedIntermediate(certificate=certificate, certification_path=certification_path_of(issuer))


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
    yield from _csr_key_violations(request)
    if subject_wrong:
        yield from issuer_violations(authority, now=now)
    else:
        yield from _parent_violations(
            authority,
            subject=encode_subject(request.subject),
            validity=validity,
            max_path_length=max_path_length,
            now=now,
        )


def _csr_subject_violations(subject: tuple[AttributeValue, ...]) -> Iterator[Violation]:
    known = {attribute.value: "" for attribute in SubjectAttribute}
    for attribute in subject:
        if attribute.type not in known or known[attribute.type]:
            yield _csr_violation(
                "subject_attribute_refused",
                f"{attribute.type}={attribute.value}"[:200],
                "each of " + ", ".join(known) + " at most once",
                "Make the CSR without this attribute.",
            )
        else:
            known[attribute.type] = attribute.value
    for violation in subject_violations(AuthoritySubject(**known)):
        yield _csr_violation(violation.code, violation.asked, violation.allowed, violation.fix)


def _csr_key_violations(request: IssuanceRequest) -> Iterator[Violation]:
    key = request.applicant_key
    if key is None:
        return
    if key.algorithm is None:
        yield _csr_violation(
            "key_not_supported", key.description, ", ".join(KeyAlgorithm), "Make the CSR with one of these keys."
        )
    for weakness in key.weaknesses:
        yield _csr_violation("key_weak", key.description, f"a sound key: {weakness}", "Make a new key and CSR.")


def _csr_violation(code: str, asked: str, allowed: str, fix: str) -> Violation:
    return Violation(field="csr", code=code, rule="CSR of a CA", asked=asked, allowed=allowed, fix=fix)


def _sign_csr(
    authority: CertificateAuthority,
    request: IssuanceRequest,
    validity: Validity,
    max_path_length: int | None,
    requester: Requester,
) -> tuple[Certificate, AuthorityCertificate]:
    """Sign for a judged CSR and store request and certificate, so that it can be found and revoked like any other."""
    issuer = authority.active_certificate
    key = request.applicant_key
    if issuer is None or key is None:
        raise NotFound(f"{authority.name} has no certificate to sign with.")
    signer = signer_of(issuer)
    plan = AuthorityPlan(
        subject=request.subject,
        not_before=validity.not_before,
        not_after=validity.not_after,
        path_length=max_path_length,
        signature_algorithm=default_signature_algorithm(signer.public_key()),
    )
    signed, findings = _signed(
        plan=plan, issuer=issuer, public_key=load_public_key(key.subject_public_key_info), signer=signer
    )
    columns = columns_of(signed)
    row = CertificateRequest.objects.create(
        project_id=authority.project_id,
        profile=None,
        profile_slug="",
        method=EnrollmentMethod.API,
        status=RequestStatus.ISSUED,
        common_name=columns["common_name"],
        asked={
            "subject": [{"type": attribute.type, "value": attribute.value} for attribute in request.subject],
            "not_before": validity.not_before.isoformat(),
            "not_after": validity.not_after.isoformat(),
            "basic_constraints": {"is_ca": True, "path_length": max_path_length},
        },
        csr=request.csr or "",
        requester_kind=requester.kind,
        requester_id=requester.id,
        requester_name=requester.name,
    )
    certificate = Certificate.objects.create(
        project_id=authority.project_id,
        profile=None,
        request=row,
        authority=authority,
        authority_certificate=issuer,
        key_source=KeySource.APPLICANT,
        lint_findings=[asdict(finding) for finding in findings],
        **columns,
    )
    return certificate, issuer


# --- Changing and deleting --------------------------------------------------------------------------------------------


def update_authority(
    *,
    requester: Requester,
    authority: CertificateAuthority,
    name: str | None = None,
    status: AuthorityStatus | None = None,
) -> CertificateAuthority:
    """Rename, disable or enable a CA; None leaves as it is. A disabled CA signs no certificates, but its CRL goes on.

    Raises:
        PermissionDenied, NotFound: the requester may not edit the CA.
        Invalid: with every violation.
    """
    with _refusals("update-ca", requester, authority.project_id, authority):
        require(requester=requester, action=Action.CERTIFICATE_AUTHORITIES_EDIT, project_id=authority.project_id)
        with _name_taken_told(authority.project, name or ""), transaction.atomic():
            locked = _locked(authority.pk)
            _refuse(_update_violations(locked, name=name, status=status))
            changed = {
                field: value
                for field, value in (("name", name), ("status", status))
                if value is not None and value != getattr(locked, field)
            }
            if changed:
                for field, value in changed.items():
                    setattr(locked, field, value)
                locked.save(update_fields=[*changed, "updated_at"])
                _record("update-ca", requester, locked, data={field: str(value) for field, value in changed.items()})
    authority.refresh_from_db()
    return authority


def _update_violations(
    authority: CertificateAuthority, *, name: str | None, status: AuthorityStatus | None
) -> Iterator[Violation]:
    if name is not None and name != authority.name:
        yield from name_violations(name)
        if CertificateAuthority.objects.filter(project_id=authority.project_id, name=name).exists():
            yield _name_taken(name)
    if status is None or status == authority.status:
        return
    if status == AuthorityStatus.PENDING_CERTIFICATE:
        yield _status_violation(authority, status, "active or disabled", "Disable the CA instead.")
    elif authority.active_certificate_id is None:
        yield _status_violation(
            authority, status, "pending-certificate, until it has a certificate", "Install a certificate first."
        )


def _status_violation(authority: CertificateAuthority, asked: str, allowed: str, fix: str) -> Violation:
    return Violation(
        field="status",
        code="status_not_possible",
        rule=f"CA {authority.name} is {authority.status}",
        asked=asked,
        allowed=allowed,
        fix=fix,
    )


def delete_authority(*, requester: Requester, authority: CertificateAuthority) -> None:
    """Delete a CA that nothing depends on, with its key, its certificates and its CRL.

    Raises:
        PermissionDenied, NotFound: the requester may not delete the CA.
        Invalid: certificates, CAs or profiles depend on it; each kind is a violation.
        Conflict: something came to depend on it meanwhile.
    """
    with _refusals("delete-ca", requester, authority.project_id, authority):
        require(requester=requester, action=Action.CERTIFICATE_AUTHORITIES_DELETE, project_id=authority.project_id)
        try:
            with transaction.atomic():
                locked = _locked(authority.pk)
                _refuse(_deletion_violations(locked))
                _record("delete-ca", requester, locked, data={})
                _delete(locked)
        except (IntegrityError, models.ProtectedError) as problem:
            raise Conflict(f"CA {authority.name} came into use meanwhile and was not deleted.") from problem


def _delete(authority: CertificateAuthority) -> None:
    """In the order that the protecting references need."""
    authority.active_certificate = None
    authority.status = AuthorityStatus.PENDING_CERTIFICATE
    authority.save(update_fields=["active_certificate", "status"])
    authority.certificates.all().delete()
    authority.keys.all().delete()
    authority.delete()


def _deletion_violations(authority: CertificateAuthority) -> Iterator[Violation]:
    # By relation, not by import: profiles name their CA by a string.
    profiles = sorted(authority.certificate_profiles.values_list("slug", flat=True)[:10])
    children = sorted(
        {
            *authority.children.values_list("name", flat=True)[:10],
            *CertificateAuthority.objects.filter(certificates__issuer_certificate__authority=authority)
            .exclude(pk=authority.pk)
            .values_list("name", flat=True)[:10],
        }
    )
    issued = authority.issued_certificates.count()
    for code, users, fix in (
        ("in_use_by_profiles", ", ".join(profiles), "Delete these profiles first."),
        ("in_use_by_authorities", ", ".join(children), "Delete these CAs first, or renew them under another parent."),
        (
            "has_issued_certificates",
            f"{issued} certificates" if issued else "",
            "Disable the CA instead: what it signed needs its CRL.",
        ),
    ):
        if users:
            yield Violation(
                field="authority",
                code=code,
                rule="a CA is deleted only while nothing depends on it",
                asked=f"delete {authority.name}, used by {users}",
                allowed="an unused CA",
                fix=fix,
            )


# --- Finding ----------------------------------------------------------------------------------------------------------


def find_authority(
    *,
    requester: Requester,
    authority_id: UUID,
    action: Action = Action.CERTIFICATE_AUTHORITIES_READ,
) -> CertificateAuthority:
    """The CA with its active certificate and project.

    Raises:
        NotFound: none, or none that the requester may know of.
        PermissionDenied: the role in its project does not include ``action``.
    """
    authority = (
        CertificateAuthority.objects.select_related("active_certificate", "project", "parent")
        .filter(pk=authority_id, project__in=projects_visible_to(requester))
        .first()
    )
    if authority is None:
        raise NotFound("There is no CA with this id.")
    require(requester=requester, action=action, project_id=authority.project_id)
    return authority


def authorities_of(*, requester: Requester, project_id: UUID) -> models.QuerySet[CertificateAuthority]:
    """The project's CAs with their active certificates, newest first. Raises PermissionDenied, NotFound."""
    require(requester=requester, action=Action.CERTIFICATE_AUTHORITIES_READ, project_id=project_id)
    return CertificateAuthority.objects.select_related("active_certificate", "parent").filter(project_id=project_id)


def authority_certificates_of(authority: CertificateAuthority) -> models.QuerySet[AuthorityCertificate]:
    """All versions, oldest first."""
    return authority.certificates.select_related("issuer_certificate").order_by("version")


def current_certificate_of(authority: CertificateAuthority) -> AuthorityCertificate:
    """The active version. Raises Invalid where none is installed."""
    if authority.active_certificate is None:
        _refuse([_without_certificate(authority)])
        raise NotFound(f"{authority.name} has no certificate yet.")
    return authority.active_certificate


def find_authority_certificate(*, authority: CertificateAuthority, certificate_id: UUID) -> AuthorityCertificate:
    """One version of a CA that the requester may read. Raises NotFound."""
    found = authority_certificates_of(authority).filter(pk=certificate_id).first()
    if found is None:
        raise NotFound("The CA has no certificate with this id.")
    return found


def published_authority_certificate(*, authority_id: UUID, certificate_id: UUID) -> AuthorityCertificate:
    """One version for anybody: certificates name its address (RFC 5280, 4.2.2.1). Raises NotFound."""
    found = AuthorityCertificate.objects.filter(pk=certificate_id, authority_id=authority_id).first()
    if found is None:
        raise NotFound("There is no CA certificate at this address.")
    return found


def revocation_lists_of(authority: CertificateAuthority) -> models.QuerySet[CertificateRevocationList]:
    """The published CRLs of a CA, one for each key."""
    return CertificateRevocationList.objects.filter(key__authority=authority, der__isnull=False).order_by(
        "key__created_at"
    )


def certification_path_of(authority_certificate: AuthorityCertificate) -> tuple[bytes, ...]:
    """DER of a certification path: that certificate first, root last. One query for each certificate not yet loaded."""
    path = [bytes(authority_certificate.der)]
    current = authority_certificate
    while current.issuer_certificate is not None:
        current = current.issuer_certificate
        path.append(bytes(current.der))
    if current.external_chain:
        above = x509.load_pem_x509_certificates(current.external_chain.encode())
        path += [certificate.public_bytes(Encoding.DER) for certificate in above]
    return tuple(path)


# --- Shared by the acts above -----------------------------------------------------------------------------------------


def _locked(authority_id: UUID) -> CertificateAuthority:
    """The CA, locked until the transaction ends. Raises NotFound where it is gone."""
    authority = (
        CertificateAuthority.objects.select_for_update(of=("self",))
        .select_related("active_certificate__key__revocation_list", "parent")
        .filter(pk=authority_id)
        .first()
    )
    if authority is None:
        raise NotFound("There is no CA with this id.")
    return authority


def _locked_with_parent(
    authority: CertificateAuthority, parent: CertificateAuthority | None
) -> tuple[CertificateAuthority, CertificateAuthority | None]:
    """Both CAs, locked in the order of their ids, so that two such calls never wait for each other in a circle."""
    parent_id = parent.pk if parent is not None else authority.parent_id
    wanted = {authority.pk} if parent_id is None else {authority.pk, parent_id}
    locked = {pk: _locked(pk) for pk in sorted(wanted)}
    return locked[authority.pk], locked[parent_id] if parent_id is not None else None


def _require_parent_in(project_id: UUID, parent: CertificateAuthority | None) -> None:
    if parent is not None and parent.project_id != project_id:
        raise NotFound("There is no parent CA with this id in the project.")


def _refuse(violations: Iterable[Violation]) -> None:
    found = tuple(violations)
    if found:
        raise Invalid("; ".join(_sentence(violation) for violation in found), violations=found)


def _sentence(violation: Violation) -> str:
    return f"{violation.field}: {violation.asked or 'nothing'} was asked, allowed is {violation.allowed}"


@contextmanager
def _name_taken_told(project: Project, name: str) -> Iterator[None]:
    """Turn the database's refusal of a second CA of one name into ours; stand outside the transaction."""
    try:
        yield
    except IntegrityError:
        if CertificateAuthority.objects.filter(project=project, name=name).exists():
            _refuse([_name_taken(name)])
        raise


def _name_taken(name: str) -> Violation:
    return Violation(
        field="name",
        code="name_taken",
        rule="names of CAs are unique in a project",
        asked=name[:200],
        allowed="a name that no other CA of the project has",
        fix="Choose another name.",
    )


def _without_certificate(authority: CertificateAuthority) -> Violation:
    return _state_violation(
        authority, "without_certificate", "has no certificate yet", f"Install a certificate for {authority.name} first."
    )


def _state_violation(authority: CertificateAuthority, code: str, state: str, fix: str) -> Violation:
    return Violation(
        field="authority",
        code=code,
        rule=f"CA {authority.name}",
        asked=f"{authority.name} {state}",
        allowed="a CA in another state",
        fix=fix,
    )


def _parent_violation(
    authority: CertificateAuthority, code: str, parent: CertificateAuthority, allowed: str, fix: str
) -> Violation:
    return Violation(
        field="parent", code=code, rule=f"CA {authority.name}", asked=parent.name, allowed=allowed, fix=fix
    )


def _refusals(
    event: str,
    requester: Requester,
    project_id: UUID,
    authority: CertificateAuthority | None = None,
    *,
    data: dict[str, str] | None = None,
) -> AbstractContextManager[None]:
    return recorded_refusals(
        event=event,
        actor=requester.actor,
        project_id=project_id,
        subject_type="certificate-authority",
        subject_id=str(authority.pk) if authority is not None else "",
        data=data if authority is None else {"name": authority.name},
    )


def _record(event: str, requester: Requester, authority: CertificateAuthority, *, data: dict[str, str]) -> None:
    record(
        event=event,
        actor=requester.actor,
        project_id=authority.project_id,
        subject_type="certificate-authority",
        subject_id=str(authority.pk),
        data={"name": authority.name, "dn": distinguished_name(subject_of(authority).name()), **data},
    )


def _told(certificate: AuthorityCertificate) -> dict[str, str]:
    return {
        "caCertId": str(certificate.pk),
        "serialNumber": certificate.serial_number,
        "notAfter": certificate.not_after.isoformat(),
    }
