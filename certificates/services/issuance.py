"""The one road to a certificate."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from certificates.keystore.base import Signer
from certificates.keystore.ephemeral import EphemeralSigner
from certificates.models import Certificate, CertificateAuthority, CertificateRequest
from certificates.models.certificate import IdempotentAct, KeySource
from certificates.models.request import RequestStatus
from certificates.services.approvals.demand import demand_of, require_approved
from certificates.services.blocked_keys import require_unblocked, with_blocked_key_told
from certificates.services.columns import new_certificate
from certificates.services.idempotency import IdempotencyKey, claimed
from certificates.services.issuing_authority import IssuingAuthority, issuer_by_id
from certificates.services.journal import certificate_stored, journaled
from certificates.services.kept_keys import SealedKey, is_key_kept, seal_key, store_sealed_key
from certificates.services.lint import Waivers
from certificates.services.requests import (
    SIGN_EVENT,
    Approved,
    Asked,
    common_name_of,
    failed_request_kept,
    new_request,
)
from certificates.services.retrieval import certification_path_pem
from certificates.services.signing import SignedCertificate, lint_plan, sign_and_verify, signer_of
from certificates.services.succession import (
    Succession,
    link_predecessor,
    lock_predecessor,
    new_auto_renewal,
    renewal_of_profile,
    repeats_predecessor,
    state_violations,
)
from certificates.services.unchanged import profile_gone, require_unchanged
from certificates.x509 import keys
from certificates.x509.issuer import DistributionUrls
from pki_portal.access.models import Project
from pki_portal.access.permissions import Action, require
from pki_portal.access.remembering import remembering
from pki_portal.access.requester import Requester
from pki_portal.audit.services import new_event, recorded_refusals
from pki_portal.errors import Forbidden, Invalid, NotFound, PortalError
from pki_portal.inserting import insert_together
from pki_portal.metrics import CERTIFICATES_ISSUED, ISSUANCES_REFUSED, bounded, count
from profiles.enrollment import EnrollmentMethod
from profiles.models import CertificateProfile
from profiles.policy.decide import decide
from profiles.policy.plan import Decision, IssuancePlan, refused
from profiles.policy.request import IssuanceRequest
from profiles.policy.rules import ProfileDefaults, TemplateRules
from profiles.policy.vocabulary import KeyRetention
from profiles.services.compiled import compiled_rules_of

ISSUE_EVENT = "issue-certificate-from-profile"
_CHANGEABLE = "the request or the template"


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """What the applicant gets; the only value in which a new private key leaves the service.

    Attributes:
        certification_path: PEM without final newline, issuing CA first, root last; a self-signed one is its own.
        private_key: PKCS#8 PEM where the portal made the key, else None. Given this once; where the profile says
            escrow, it is kept besides, sealed, and ``is_key_kept``.
        warnings: what was filled in, ignored or granted differently, each a sentence.
        is_replay: an Idempotency-Key stood for this certificate already.
    """

    certificate: Certificate
    certification_path: tuple[str, ...]
    private_key: str | None = field(repr=False)
    warnings: tuple[str, ...] = ()
    is_replay: bool = False
    is_key_kept: bool = False


@dataclass(frozen=True, slots=True)
class _Signed:
    """A certificate before it is stored, with its key where that was made here."""

    signed: SignedCertificate
    private_key: keys.PrivateKey | None = field(repr=False)
    sealed_key: SealedKey | None
    retention: KeyRetention


def issue_certificate(
    *,
    profile: CertificateProfile,
    request: IssuanceRequest,
    requester: Requester,
    method: EnrollmentMethod = EnrollmentMethod.API,
    metadata: Sequence[Mapping[str, str]] = (),
    idempotency: IdempotencyKey | None = None,
    succession: Succession | None = None,
    approved: Approved | None = None,
) -> IssuedCertificate:
    """Judge ``request`` by ``profile``, sign exactly what was judged, store it, and only then return it.

    When this returns, request, certificate and audit event are committed (unless the caller holds a transaction of
    its own). When it raises, no certificate exists; a refusal leaves its audit event and, where rules refused, the
    failed request. Load ``profile`` just before: by rules that were changed since, nothing is issued.

    With a ``succession`` the new certificate takes the place of another one: it fills what the request leaves open, and
    a key that is made here is sealed until its one claim, and not returned. So is that of an ``approved`` request,
    which waited until others agreed; doors call :func:`certificates.services.approvals.asking.request_certificate`,
    which comes here where nothing is demanded.

    Raises:
        PermissionDenied, NotFound: the requester may not issue from this profile.
        Forbidden: the profile enrolls by another method, or others must agree first.
        PolicyViolation, ValidityMissing, Invalid: refused, with every violation; or the predecessor can have no
            successor any more.
        Conflict: the Idempotency-Key stands for something else, or its first request is still under way; or the CA was
            disabled or got another certificate, or profile or template another version, while this one was made.
        Unavailable: the CA's key cannot be used, or the journal cannot be written; nothing was signed.
    """
    now = timezone.now()
    asked = Asked(
        profile=profile, request=request, requester=requester, method=method, metadata=metadata, approved=approved
    )
    event = succession.event if succession else ISSUE_EVENT if request.applicant_key is None else SIGN_EVENT
    is_awaited = succession is None and approved is None
    act = IdempotentAct.RENEW if succession else IdempotentAct.ISSUE
    compiled = compiled_rules_of(profile)
    with (
        refusals_counted(),
        recorded_refusals(
            event=event,
            actor=requester.actor,
            project_id=profile.project_id,
            subject_type="certificate-profile",
            subject_id=str(profile.id),
            data={"profileName": profile.slug, "commonName": common_name_of(request)},
        ),
    ):
        # Step 3: may this requester use this profile, by this method?
        require(requester=requester, action=Action.CERTIFICATE_PROFILES_ISSUE_CERT, project_id=profile.project_id)
        _require_method(profile, method)
        with (
            failed_request_kept(asked) as judgement,
            claimed(requester=requester, idempotency=idempotency, now=now, act=act) as claim,
            journaled(requester=requester, project_id=profile.project_id, profile_id=profile.pk),
        ):
            if isinstance(claim, Certificate):
                return replay_of(claim)
            # Step 4: the decision; nothing but the plan that it made goes on.
            issuer = _issuer_of(profile)
            decision = judgement.decision = decide(
                rules=compiled.rules,
                defaults=succession.filling if succession else compiled.defaults,
                request=with_blocked_key_told(request),
                issuer=issuer.facts if issuer else None,
                now=now,
            )
            if succession is not None and (reasons := state_violations(succession.predecessor, now=now)):
                decision = judgement.decision = refused(reasons, decision)
            plan = decision.granted()
            if succession is None or not repeats_predecessor(plan, succession.predecessor):
                require_approved(asked)
            # Step 5: build, lint, write down what is to be signed, sign, verify.
            signed = _sign(
                profile=profile,
                plan=plan,
                issuer=issuer,
                now=now,
                succession=succession,
                is_awaited=is_awaited,
            )
            # Step 6: one transaction; nothing leaves this function before its commit. What is remembered is asked
            # anew if it still holds.
            with _profile_kept(profile), transaction.atomic(), remembering():
                require_unblocked(request.applicant_key)
                require_unchanged(profile, issuer)
                if succession is not None:
                    lock_predecessor(succession, now=now)
                request_row = new_request(asked, status=RequestStatus.ISSUED, decision=decision)
                certificate = _new_certificate(
                    profile=profile,
                    request_row=request_row,
                    issuer=issuer,
                    plan=plan,
                    signed=signed,
                    succession=succession,
                )
                audit_event = new_event(
                    event=event,
                    actor=requester.actor,
                    project_id=profile.project_id,
                    subject_type="certificate",
                    subject_id=str(certificate.id),
                    data={
                        "certificateProfileId": str(profile.id),
                        "profileName": profile.slug,
                        "commonName": certificate.common_name,
                        "serialNumber": certificate.serial_number,
                        "certificateRequestId": str(request_row.id),
                        **({"renewedFromCertificateId": str(succession.predecessor.pk)} if succession else {}),
                        **({"approvals": approved.approvals} if approved else {}),
                    },
                )
                insert_together(
                    [
                        *([] if approved else [request_row]),
                        certificate,
                        *([] if certificate.renew_at is None else [new_auto_renewal(certificate)]),
                        audit_event,
                    ]
                )
                certificate_stored(certificate)
                _store_what_follows(certificate, signed=signed, succession=succession)
                if claim is not None:
                    claim.complete(certificate)
    count(CERTIFICATES_ISSUED, project=bounded("project", str(profile.project_id)))
    # Step 7: the plain key exists in this return value alone.
    return IssuedCertificate(
        certificate=certificate,
        certification_path=issuer.certification_path if issuer else certification_path_pem(certificate),
        private_key=keys.private_key_pem(signed.private_key) if signed.private_key is not None and is_awaited else None,
        warnings=decision.warnings,
        is_key_kept=signed.sealed_key is not None,
    )


def explain_request(
    *,
    profile: CertificateProfile,
    request: IssuanceRequest,
    requester: Requester,
    method: EnrollmentMethod = EnrollmentMethod.API,
) -> Decision:
    """What :func:`issue_certificate` would decide now: its steps 3 and 4 and the lint of step 5.

    No key of a CA is touched and nothing is stored. What stands in the way outside the rules (a CA without a
    certificate, a finding of the lint) is told as violations too.

    Raises:
        PermissionDenied, NotFound: the requester may not issue from this profile.
        Forbidden: the profile enrolls by another method.
    """
    decision = judge_request(profile=profile, request=request, requester=requester, method=method)
    demand = demand_of(profile=profile, requester=requester) if decision.plan is not None else None
    if demand is None:
        return decision
    return replace(decision, warnings=(*decision.warnings, f"The request waits for approval by {demand}."))


def judge_request(
    *, profile: CertificateProfile, request: IssuanceRequest, requester: Requester, method: EnrollmentMethod
) -> Decision:
    """As :func:`explain_request`, but for whose approval it would wait. Raises likewise."""
    require(requester=requester, action=Action.CERTIFICATE_PROFILES_ISSUE_CERT, project_id=profile.project_id)
    _require_method(profile, method)
    return _explain(
        rules=profile.template.rules(), profile=profile, authority_id=profile.certificate_authority_id, request=request
    )


def explain_rules(
    *,
    project: Project,
    rules: TemplateRules,
    request: IssuanceRequest,
    requester: Requester,
    profile: CertificateProfile | None = None,
    authority: CertificateAuthority | None = None,
) -> Decision:
    """What :func:`issue_certificate` would decide by ``rules``, stored or not, with the rest taken from ``profile``.

    Without a profile nothing is filled in from one, and ``authority`` would sign; without that too, the subject's own
    key. Profile and authority are of ``project``.

    To read templates is permission enough, for nothing comes of it: no key is touched and nothing is stored, and all
    that the answer tells (rules, defaults, the CA's name and dates) may be read by whoever reads templates.

    Raises:
        PermissionDenied, NotFound: the requester may not read templates there.
    """
    require(requester=requester, action=Action.CERTIFICATE_TEMPLATES_READ, project_id=project.pk)
    signer = profile.certificate_authority_id if profile else authority.pk if authority else None
    return _explain(rules=rules, profile=profile, authority_id=signer, request=request)


def _explain(
    *, rules: TemplateRules, profile: CertificateProfile | None, authority_id: UUID | None, request: IssuanceRequest
) -> Decision:
    """The decision now, and the lint of what it plans. Raises NotFound where the CA was deleted meanwhile."""
    now = timezone.now()
    try:
        issuer = issuer_by_id(authority_id)
    except Invalid as refusal:
        return refused(refusal.violations, None)
    except CertificateAuthority.DoesNotExist:
        raise NotFound("The CA that would sign was deleted meanwhile.") from None
    return explain_by(
        rules=rules,
        defaults=profile.profile_defaults() if profile else ProfileDefaults(),
        waivers=Waivers(profile.slug, profile.waivers(), now) if profile else Waivers("", (), now),
        issuer=issuer,
        request=with_blocked_key_told(request),
        now=now,
    )


def explain_by(
    *,
    rules: TemplateRules,
    defaults: ProfileDefaults,
    waivers: Waivers,
    issuer: IssuingAuthority | None,
    request: IssuanceRequest,
    now: datetime,
) -> Decision:
    """What :func:`issue_certificate` would decide at ``now``, if all stood then as it does today; no query."""
    decision = decide(rules=rules, defaults=defaults, request=request, issuer=issuer.facts if issuer else None, now=now)
    if decision.plan is None:
        return decision
    try:
        lint_plan(
            plan=decision.plan,
            issuer=issuer.issuer if issuer is not None else None,
            urls=issuer.choose_urls() if issuer is not None else DistributionUrls(),
            change=_CHANGEABLE,
            waivers=waivers,
        )
    except Invalid as refusal:
        return refused(refusal.violations, decision)
    return decision


@contextmanager
def refusals_counted() -> Iterator[None]:
    """Count every reason of a refusal by its code, or a refusal without reasons by its kind."""
    try:
        yield
    except PortalError as refusal:
        for code in {violation.code for violation in refusal.violations} or {refusal.kind}:
            count(ISSUANCES_REFUSED, code=bounded("code", code))
        raise


def _require_method(profile: CertificateProfile, method: EnrollmentMethod) -> None:
    if profile.enrollment_method != method:
        raise Forbidden(
            f"Profile {profile.slug!r} enrolls by {profile.enrollment_method!r}; "
            f"use a profile whose enrollment type is {method.value!r}."
        )


def replay_of(certificate: Certificate) -> IssuedCertificate:
    """The answer to whoever asks again with an Idempotency-Key; without the private key."""
    return IssuedCertificate(
        certificate=certificate,
        certification_path=certification_path_pem(certificate),
        private_key=None,
        is_replay=True,
        is_key_kept=is_key_kept(certificate),
    )


def _issuer_of(profile: CertificateProfile) -> IssuingAuthority | None:
    """The CA of a profile, None for a self-signed one."""
    try:
        return issuer_by_id(profile.certificate_authority_id)
    except CertificateAuthority.DoesNotExist:
        raise profile_gone(profile) from None


def _sign(
    *,
    profile: CertificateProfile,
    plan: IssuancePlan,
    issuer: IssuingAuthority | None,
    now: datetime,
    succession: Succession | None,
    is_awaited: bool,
) -> _Signed:
    """Make the key where none was given, seal it where it is kept or waits for its claim, and sign the plan.

    Raises:
        Invalid: the lint has a blocking finding.
        VerificationFailed, Unavailable: the signer failed or answered something else; nothing is stored.
    """
    signer: Signer
    private_key: keys.PrivateKey | None = None
    sealed_key = succession.kept_key if succession else None
    retention = KeyRetention(profile.key_retention)
    if plan.subject_public_key_info is None:
        private_key = keys.generate(plan.key_algorithm)
        public_key = private_key.public_key()
        if retention is KeyRetention.ESCROW or not is_awaited:
            sealed_key = seal_key(private_key)
    else:
        public_key = keys.load_public_key(plan.subject_public_key_info)
    if issuer is not None:
        signer, urls = signer_of(issuer.row), issuer.choose_urls()
    else:
        assert private_key is not None  # noqa: S101 - for the type checker: `decide` refuses CSRs that nobody signs
        signer, urls = EphemeralSigner(private_key), DistributionUrls()
    signed = sign_and_verify(
        plan=plan,
        issuer=issuer.issuer if issuer is not None else None,
        issuer_row=issuer.row if issuer is not None else None,
        signer=signer,
        public_key=public_key,
        urls=urls,
        change=_CHANGEABLE,
        waivers=Waivers(profile.slug, compiled_rules_of(profile).waivers, now),
    )
    return _Signed(signed, private_key=private_key, sealed_key=sealed_key, retention=retention)


@contextmanager
def _profile_kept(profile: CertificateProfile) -> Iterator[None]:
    """Tell the database's refusal to link to a profile deleted meanwhile as NotFound; stand outside the transaction.

    No lock on the profile: issues from one profile must not wait for each other.
    """
    try:
        yield
    except IntegrityError:
        if not CertificateProfile.objects.filter(pk=profile.pk).exists():
            raise profile_gone(profile) from None
        raise


def _new_certificate(
    *,
    profile: CertificateProfile,
    request_row: CertificateRequest,
    issuer: IssuingAuthority | None,
    plan: IssuancePlan,
    signed: _Signed,
    succession: Succession | None,
) -> Certificate:
    """The row of the certificate; its columns are read back from what was signed."""
    predecessor = succession.predecessor if succession else None
    key_source = KeySource.APPLICANT if signed.private_key is None else KeySource.PORTAL
    if succession is not None:
        key_source = succession.key_source
    renewal = None
    # Only where the portal makes the key: a new one needs no applicant.
    if key_source == KeySource.PORTAL:
        renewal = renewal_of_profile(
            profile.pk, not_before=plan.not_before, not_after=plan.not_after, predecessor=predecessor
        )
    return new_certificate(
        request=request_row,
        issuer=issuer.row if issuer else None,
        signed=signed.signed,
        key_source=key_source,
        renewal=renewal,
        predecessor=predecessor,
    )


def _store_what_follows(certificate: Certificate, *, signed: _Signed, succession: Succession | None) -> None:
    """What a certificate that was just inserted brings with it, in the caller's transaction."""
    if signed.sealed_key is not None:
        store_sealed_key(signed.sealed_key, certificate=certificate, retention=signed.retention)
    if succession is not None:
        link_predecessor(succession)
