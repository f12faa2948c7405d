"""CA keys: made, stored, lent to whoever signs; and the one place where certificates are signed."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from uuid import UUID, uuid4

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from django.db import transaction

from certificates.keystore.base import Signer
from certificates.keystore.database import load_signer, seal_private_key
from certificates.models import AuthorityCertificate, AuthorityKey, CertificateAuthority
from certificates.models.authority import KeyStore
from certificates.services import journal
from certificates.services.lint import Waivers, lint_violations
from certificates.x509.inspect import CertificateFacts, serial_number_hex
from certificates.x509.issuer import DistributionUrls, Issuer
from certificates.x509.keys import PrivateKey, PublicKey, generate, load_public_key, public_key_info
from certificates.x509.lint import Finding, blocking, lint, lint_shape, marked, shape_of
from certificates.x509.tbs import (
    ToBeSigned,
    build,
    build_authority,
    new_serial_number,
    sign,
    throw_away_public_key,
)
from certificates.x509.verify import VerificationFailed, verify_authority, verify_issued
from pki_portal.access.requester import Requester
from pki_portal.audit.services import record
from pki_portal.errors import Invalid, NotFound, Unavailable, Violation
from profiles.policy.plan import AuthorityPlan, IssuancePlan
from profiles.policy.vocabulary import KeyAlgorithm

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SignedCertificate:
    """A certificate that was signed and verified, what it says, what the lint found, and its line in the journal."""

    certificate: x509.Certificate
    facts: CertificateFacts
    findings: tuple[Finding, ...]
    line: UUID


@dataclass(frozen=True, slots=True)
class JudgedCertificate:
    """Bytes that were decided and linted, who signs them, and what the certificate is compared with then."""

    plan: IssuancePlan | AuthorityPlan
    issuer: Issuer | None
    signer: Signer
    public_key: PublicKey
    urls: DistributionUrls
    change: str
    serial_number: int
    tbs: ToBeSigned
    announcement: journal.Announcement
    findings: tuple[Finding, ...]


def signer_of(authority_certificate: AuthorityCertificate) -> Signer:
    """The key behind one version of a CA's certificate. Raises Unavailable where it cannot be used."""
    return signer_of_key(authority_certificate.key)


def signer_of_key(key: AuthorityKey) -> Signer:
    """A CA's key: unsealed once per process, or asked in its token at each signature.

    Raises:
        Unavailable: it cannot be used; the text names the CA. A token is only asked when something is signed, and then
            the signing raises it.
    """
    try:
        if key.key_store == KeyStore.PKCS11:
            signer: Signer = _tokens().load_signer(
                label=key.token_label,
                public_key_spki=bytes(key.subject_public_key_info),
                owner=lambda: key.authority.name,
            )
            return signer
        return load_signer(
            key_id=key.id,
            sealed=bytes(key.sealed_private_key or b""),
            public_key_spki=bytes(key.subject_public_key_info),
        )
    except Unavailable as problem:
        raise Unavailable(f"The key of CA {key.authority.name} cannot be used: {problem.message}") from problem


def check_authority_key(key: AuthorityKey) -> None:
    """Return if a CA's key can be used; asks the token of one that is there. Raises Unavailable."""
    private_key = signer_of_key(key).private_key
    if key.key_store == KeyStore.PKCS11:
        private_key.check()  # type: ignore[union-attr]


def key_stores() -> tuple[KeyStore, ...]:
    """Where the keys of new CAs can be made, the usual place first."""
    return (KeyStore.DATABASE, KeyStore.PKCS11) if settings.PKCS11_MODULE else (KeyStore.DATABASE,)


def key_store_violations(key_store: KeyStore, key_algorithm: KeyAlgorithm) -> Iterator[Violation]:
    """Why no key of that algorithm can be made there."""
    if key_store not in key_stores():
        yield Violation(
            field="key_store",
            code="key_store_not_configured",
            rule="settings of the portal",
            asked=key_store.value,
            allowed=", ".join(key_stores()),
            fix="Leave the key store out, or have PKCS11_MODULE, PKCS11_TOKEN_LABEL and PKCS11_PIN set.",
        )
    elif key_store == KeyStore.PKCS11 and not _tokens().can_make(key_algorithm):
        yield Violation(
            field="key_algorithm",
            code="key_algorithm_not_in_token",
            rule=f"key store {key_store.value}",
            asked=key_algorithm.value,
            allowed="RSA, EC and Ed25519 keys",
            fix="Choose another key algorithm, or keep the key in the database.",
        )


def make_private_key(algorithm: KeyAlgorithm, *, key_store: KeyStore, authority_name: str) -> PrivateKey:
    """A new key for a CA, in the token where that is its store; what has been refused by ``key_store_violations``
    raises here. RSA takes up to a second, in a token longer.

    Raises:
        Unavailable: the token does not answer, or cannot make such a key.
    """
    if key_store == KeyStore.PKCS11:
        made: PrivateKey = _tokens().make_key(algorithm, owner=lambda: authority_name)
        return made
    return generate(algorithm)


@contextmanager
def destroyed_on_failure(private_key: PrivateKey) -> Iterator[None]:
    """Destroy a key that was just made in a token where the block, which stores it, fails.

    To stand inside the transaction: where only the commit fails nobody knows if the row exists, and the key stays.
    """
    try:
        yield
    except BaseException:
        if label := _token_label(private_key):
            with suppress(Unavailable):
                _tokens().destroy_key(label)
        raise


def store_authority_key(*, authority: CertificateAuthority, private_key: PrivateKey) -> AuthorityKey:
    """Store a new key of a CA, in the caller's transaction: sealed to the id of its row, or where it is in the token.

    Raises Unavailable.
    """
    spki = public_key_info(private_key.public_key())
    if label := _token_label(private_key):
        return AuthorityKey.objects.create(
            id=UUID(label),
            authority=authority,
            key_store=KeyStore.PKCS11,
            subject_public_key_info=spki,
            token_label=label,
        )
    key_id = uuid4()
    return AuthorityKey.objects.create(
        id=key_id,
        authority=authority,
        subject_public_key_info=spki,
        sealed_private_key=seal_private_key(private_key, key_id=key_id),
    )


def destroy_token_keys(keys: Sequence[AuthorityKey]) -> None:
    """Destroy what the token holds of deleted keys; one that cannot be reached is logged with its label there."""
    for key in keys:
        if key.token_label:
            try:
                _tokens().destroy_key(key.token_label)
            except Unavailable as problem:
                logger.error("key %s of a deleted CA is left in its token: %s", key.token_label, problem.message)


def orphaned_token_keys() -> list[str]:
    """Labels of keys in the token that a portal made and no row of this database names.

    Left by a process that was killed between making a key and storing its CA, or by a backup that was restored; or they
    are another installation's that shares the token. Raises Unavailable.
    """
    if not settings.PKCS11_MODULE:
        return []
    made = _tokens().made_labels()
    return sorted(made - set(AuthorityKey.objects.exclude(token_label="").values_list("token_label", flat=True)))


def destroy_orphaned_token_key(*, requester: Requester, label: str) -> None:
    """Destroy a key in the token that belongs to no CA, for good.

    Raises:
        NotFound: it is not among ``orphaned_token_keys``: it is not there, or a CA has it.
        Unavailable: the token does not answer.
    """
    if label not in orphaned_token_keys():
        raise NotFound(f"There is no key {label} in the token that belongs to no CA.")
    with transaction.atomic():
        record(
            event="destroy-token-key",
            actor=requester.actor,
            project_id=None,
            subject_type="token-key",
            subject_id=label,
        )
        _tokens().destroy_key(label)


def _token_label(private_key: PrivateKey) -> str:
    """Empty for a key in this process's memory."""
    return str(getattr(private_key, "label", ""))


def _tokens() -> Any:
    """The module of keys in tokens, which needs a library that is not installed everywhere. Raises Unavailable."""
    if not settings.PKCS11_MODULE:
        raise Unavailable("it is in a PKCS#11 token, and PKCS11_MODULE is not set.")
    try:
        return import_module("certificates.keystore.pkcs11")
    except ModuleNotFoundError:
        raise Unavailable(
            "it is in a PKCS#11 token, and python-pkcs11 is not installed: install requirements/hsm.txt."
        ) from None


def sign_and_verify(
    *,
    plan: IssuancePlan | AuthorityPlan,
    issuer: Issuer | None,
    issuer_row: AuthorityCertificate | None,
    signer: Signer,
    public_key: PublicKey,
    urls: DistributionUrls,
    change: str,
) -> SignedCertificate:
    """:func:`judge_certificate` and :func:`sign_all` of one certificate. Raises as both."""
    judged = judge_certificate(
        plan=plan,
        issuer=issuer,
        issuer_row=issuer_row,
        signer=signer,
        public_key=public_key,
        urls=urls,
        change=change,
    )
    return sign_all([judged])[0]


def judge_certificate(
    *,
    plan: IssuancePlan | AuthorityPlan,
    issuer: Issuer | None,
    issuer_row: AuthorityCertificate | None,
    signer: Signer,
    public_key: PublicKey,
    urls: DistributionUrls,
    change: str,
    waivers: Waivers | None = None,
    profile_id: UUID | None = None,
) -> JudgedCertificate:
    """Fix the bytes of a certificate, a CA's or not, and lint them; ``issuer`` None where the key signs itself.

    Args:
        issuer_row: the row of ``issuer``, None where that is.
        change: what the reader of a refusal can change (``the CA``).
        profile_id: of the profile that allowed it, if one did.

    Raises:
        Invalid: the lint has a blocking finding, or a name cannot be encoded.
    """
    serial_number = new_serial_number()
    if isinstance(plan, AuthorityPlan):
        tbs = build_authority(plan=plan, issuer=issuer, serial_number=serial_number, public_key=public_key, urls=urls)
    else:
        tbs = build(plan=plan, issuer=issuer, serial_number=serial_number, public_key=public_key, urls=urls)
    findings: tuple[Finding, ...] = ()
    if not _is_root(plan, issuer):
        found = _lint_draft(tbs.draft, plan=plan, issuer=issuer, urls=urls)
        findings = _none_blocking(found, urls=urls, change=change, waivers=waivers)
    announcement = journal.Announcement(
        tbs=tbs.der,
        serial_number=serial_number_hex(serial_number),
        issuer=issuer_row,
        not_after=plan.not_after,
        profile_id=profile_id,
    )
    return JudgedCertificate(
        plan=plan,
        issuer=issuer,
        signer=signer,
        public_key=public_key,
        urls=urls,
        change=change,
        serial_number=serial_number,
        tbs=tbs,
        announcement=announcement,
        findings=findings,
    )


def sign_all(judged: Sequence[JudgedCertificate]) -> list[SignedCertificate]:
    """The one place where certificates are signed: in their order, all or none.

    The bytes are on the disk in the journal before a key gets any of them; what comes back is compared with them byte
    for byte and with the plan value by value. To be called within a ``journaled`` act. Of the findings that are
    returned, those that are waived say why.

    Raises:
        VerificationFailed, Unavailable: a signer failed or answered something else, or the journal cannot be written.
        Invalid: the lint has a blocking finding for a root.
    """
    lines = journal.announce([each.announcement for each in judged])
    return [_sign(each, line) for each, line in zip(judged, lines, strict=True)]


def _sign(judged: JudgedCertificate, line: UUID) -> SignedCertificate:
    certificate = sign(judged.tbs, judged.signer)
    journal.signature_came_back(line)
    if certificate.tbs_certificate_bytes != judged.announcement.tbs:
        raise VerificationFailed(["TBSCertificate"])
    findings, plan = judged.findings, judged.plan
    if _is_root(plan, judged.issuer):
        found = lint(certificate.public_bytes(Encoding.DER))
        findings = _none_blocking(found, urls=judged.urls, change=judged.change, waivers=None)
    expected: dict[str, Any] = {
        "issuer": judged.issuer,
        "serial_number": judged.serial_number,
        "public_key": judged.public_key,
        "urls": judged.urls,
    }
    if isinstance(plan, AuthorityPlan):
        facts = verify_authority(certificate, plan=plan, **expected)
    else:
        facts = verify_issued(certificate, plan=plan, **expected)
    return SignedCertificate(certificate, facts, findings, line)


def _is_root(plan: IssuancePlan | AuthorityPlan, issuer: Issuer | None) -> bool:
    """The linter knows a root by its self-signature: it is linted once it is signed, and thrown away if need be."""
    return isinstance(plan, AuthorityPlan) and issuer is None


def lint_plan(
    *, plan: IssuancePlan, issuer: Issuer | None, urls: DistributionUrls, change: str, waivers: Waivers
) -> None:
    """Return if the lint would not stand in the way of :func:`sign_and_verify`; touches no key but throw-away ones.

    Where the portal would make the subject's key, one of its algorithm's family stands in for it: the lint judges the
    form of a key, which a family shares.

    Raises:
        Invalid: the lint has a blocking finding, or a name cannot be encoded.
    """
    info = plan.subject_public_key_info
    public_key = throw_away_public_key(plan.key_algorithm.family) if info is None else load_public_key(info)
    tbs = build(plan=plan, issuer=issuer, serial_number=new_serial_number(), public_key=public_key, urls=urls)
    found = _lint_draft(tbs.draft, plan=plan, issuer=issuer, urls=urls)
    _none_blocking(found, urls=urls, change=change, waivers=waivers)


def _none_blocking(
    findings: Sequence[Finding], *, urls: DistributionUrls, change: str, waivers: Waivers | None
) -> tuple[Finding, ...]:
    """The findings, each with its waiver if it has one. Raises Invalid where one blocks."""
    known = marked(findings, own_urls=urls.all, waivers=waivers.counting if waivers else ())
    blockers = blocking(known)
    if blockers:
        raise Invalid(
            "The certificate would break RFC 5280: "
            + "; ".join(
                f"{finding.code}: {finding.message}" if finding.message else finding.code for finding in blockers
            ),
            violations=lint_violations(blockers, change=change, profile=waivers.profile if waivers else ""),
        )
    return known


def _lint_draft(
    judged: x509.Certificate, *, plan: IssuancePlan | AuthorityPlan, issuer: Issuer | None, urls: DistributionUrls
) -> tuple[Finding, ...]:
    """What the linter says of bytes under a throw-away key's signature.

    An end entity's shape that was found clean is not linted again.
    """
    if isinstance(plan, AuthorityPlan):
        return lint(judged.public_bytes(Encoding.DER))
    shape = shape_of(plan, issuer=issuer.certificate if issuer else None, urls=urls.all)
    return lint_shape(shape, lambda: judged.public_bytes(Encoding.DER), own_urls=urls.all)
