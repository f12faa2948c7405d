"""The one road to a certificate."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from certificates.keystore.base import Signer
from certificates.keystore.ephemeral import EphemeralSigner
from certificates.models import Certificate, CertificateAuthority, CertificateRequest
from certificates.models.certificate import IdempotentAct, KeySource
from certificates.models.request import RequestStatus
from certificates.services.approvals.demand import require_approved
from certificates.services.blocked_keys import remembering_while_unblocked, with_blocked_key_told
from certificates.services.columns import new_certificate
from certificates.services.idempotency import Claim, IdempotencyKey, claimed
from certificates.services.issuing_authority import IssuingAuthority, issuer_by_id
from certificates.services.journal import certificates_stored, journaled
from certificates.services.kept_keys import SealedKey, is_key_kept, new_secret, seal_key
from certificates.services.lint import Waivers
from certificates.services.new_keys import make_key
from certificates.services.requests import (
    SIGN_EVENT,
    Approved,
    Asked,
    Judgement,
    common_name_of,
    failed_request_kept,
    new_request,
)
from certificates.services.retrieval import certification_path_pem
from certificates.services.signing import (
    JudgedCertificate,
    SignedCertificate,
    judge_certificate,
    sign_all,
    signer_of,
)
from certificates.services.succession import (
    Succession,
    link_predecessors,
    lock_predecessors,
    new_auto_renewal,
    renewal_of_profile,
    repeats_predecessor,
    succession_violations,
)
from certificates.services.unchanged import profile_gone, require_unchanged
from certificates.x509 import keys
from certificates.x509.issuer import DistributionUrls
from pki_portal.access.permissions import Action, require
from pki_portal.access.requester import Requester
from pki_portal.audit.models import AuditEvent
from pki_portal.audit.services import new_event, recorded_refusals
from pki_portal.errors import Busy, Forbidden, Invalid, PortalError, Unavailable, Violation
from pki_portal.inserting import insert_together
from pki_portal.metrics import CERTIFICATES_ISSUED, ISSUANCES_REFUSED, bounded, count
from profiles.enrollment import EnrollmentMethod
from profiles.models import CertificateProfile
from profiles.policy.decide import decide
from profiles.policy.plan import Decision, IssuancePlan, refused
from profiles.policy.request import IssuanceRequest
from profiles.policy.vocabulary import KeyRetention
from profiles.services.compiled import compiled_rules_of

ISSUE_EVENT = "issue-certificate-from-profile"
BATCH_EVENT = "issue-certificates"
BATCH_LIMIT = 1000
# How long a batch may judge, in seconds: its client and the server before us wait no longer than a minute. Keys are
# made meanwhile, and an RSA key takes up to a second.
BATCH_SECONDS = 30
CHANGEABLE = "the request or the template"


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
class _Candidate:
    """A request that is to be answered: how it was judged, and the certificate that is about to be signed for it."""

    asked: Asked
    profile: CertificateProfile
    issuer: IssuingAuthority | None
    decision: Decision
    plan: IssuancePlan
    judged: JudgedCertificate
    private_key: keys.PrivateKey | None = field(repr=False)
    sealed_key: SealedKey | None
    succession: Succession | None = None

    @property
    def is_awaited(self) -> bool:
        """Whether somebody is there to receive a key that is made."""
        return _is_awaited(self.asked, self.succession)


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One request among many, with what :func:`issue_certificate` takes beside it."""

    asked: Asked
    idempotency: IdempotencyKey | None = None
    succession: Succession | None = None


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
    act = IdempotentAct.RENEW if succession else IdempotentAct.ISSUE
    with _refusals_told(asked, profile, succession):
        # Step 3: may this requester use this profile, by this method?
        _require_usable(asked, profile)
        with (
            failed_request_kept(asked) as judgement,
            claimed(requester=requester, idempotency=idempotency, now=now, act=act) as claim,
            journaled(requester=requester, project_id=profile.project_id),
        ):
            if isinstance(claim, Certificate):
                return replay_of(claim)
            candidate = _judge(asked, profile, judgement, succession=succession, now=now)

            def complete(certificates: Sequence[Certificate]) -> None:
                if claim is not None:
                    claim.complete(certificates[0])

            return _issue([candidate], now=now, complete=complete)[0]


def issue_certificates(
    *, project_id: UUID, requester: Requester, items: Sequence[BatchItem]
) -> list[IssuedCertificate | PortalError]:
    """:func:`issue_certificate` of many, at profiles of one project: each is judged by itself, and those that pass are
    signed and stored together, in one transaction. A refused one is its own refusal in the answer, at its place.

    Each item may have an Idempotency-Key of its own (:meth:`IdempotencyKey.part`): what was issued is told again.

    Raises:
        Conflict: what judged some of them was changed before they were stored; none was issued. That the first request
            with an item's key is still under way is that item's own refusal.
        Unavailable: a key cannot be used, or the journal cannot be written; none was issued. That one key would take
            too long to make just now is that item's own refusal.
    """
    now = timezone.now()
    outcomes: dict[int, IssuedCertificate | PortalError] = {}
    candidates: dict[int, _Candidate] = {}
    held: dict[int, Claim] = {}
    deadline = monotonic() + BATCH_SECONDS
    with ExitStack() as claims:
        for index, item in enumerate(items):
            try:
                claim = claims.enter_context(claimed(requester=requester, idempotency=item.idempotency, now=now))
                if isinstance(claim, Certificate):
                    outcomes[index] = replay_of(claim)
                    continue
                if claim is not None:
                    held[index] = claim
                if monotonic() > deadline:
                    raise _too_late()
                candidates[index] = _judge_item(item, now=now)
            except PortalError as refusal:
                if isinstance(refusal, Unavailable) and not isinstance(refusal, Busy):
                    raise
                outcomes[index] = refusal
                if index in held:
                    held.pop(index).release()

        def complete(certificates: Sequence[Certificate]) -> None:
            for index, certificate in zip(candidates, certificates, strict=True):
                if index in held:
                    held[index].complete(certificate)

        if candidates:
            with (
                recorded_refusals(
                    event=BATCH_EVENT,
                    actor=requester.actor,
                    project_id=project_id,
                    subject_type="project",
                    subject_id=str(project_id),
                    data={"count": len(candidates)},
                ),
                journaled(requester=requester, project_id=project_id),
            ):
                issued = _issue(list(candidates.values()), now=now, complete=complete)
            outcomes |= zip(candidates, issued, strict=True)
    return [outcomes[index] for index in range(len(items))]


class BatchTooSlow(Invalid):
    """The items before it took as long as a batch may take; alone it may pass."""


def _too_late() -> BatchTooSlow:
    return BatchTooSlow(
        f"The items before this one took {BATCH_SECONDS} seconds; it was not looked at.",
        violations=[
            Violation(
                field="",
                code="batch_too_slow",
                rule="a batch is judged within half a minute",
                asked="one item more",
                allowed="fewer items, or such as take less time",
                fix="Send the rest in another batch. CSRs, and keys on elliptic curves, take the least time.",
            )
        ],
    )


def _judge_item(item: BatchItem, *, now: datetime) -> _Candidate:
    """Steps 3 to 5 of one request among many, whose refusal is told and counted by itself."""
    asked, profile = item.asked, _profile_of(item.asked)
    with _refusals_told(asked, profile, item.succession):
        _require_usable(asked, profile)
        with failed_request_kept(asked) as judgement:
            return _judge(asked, profile, judgement, succession=item.succession, now=now)


def _judge(
    asked: Asked, profile: CertificateProfile, judgement: Judgement, *, succession: Succession | None, now: datetime
) -> _Candidate:
    """Step 4, the decision: nothing but the plan that it made goes on. Then, of step 5, what comes before the key: the
    certificate is built and linted.
    """
    compiled = compiled_rules_of(profile)
    issuer = _issuer_of(profile)
    decision = judgement.decision = decide(
        rules=compiled.rules,
        defaults=succession.filling if succession else compiled.defaults,
        request=with_blocked_key_told(asked.request),
        issuer=issuer.facts if issuer else None,
        now=now,
    )
    if succession is not None and (reasons := succession_violations(succession, now=now)):
        decision = judgement.decision = refused(reasons, decision)
    plan = decision.granted()
    if succession is None or not repeats_predecessor(plan, succession.predecessor):
        require_approved(asked)
    waivers = Waivers(profile.slug, compiled.waivers, now)
    return _prepare(asked, profile, issuer, decision, plan, succession=succession, waivers=waivers)


def _prepare(
    asked: Asked,
    profile: CertificateProfile,
    issuer: IssuingAuthority | None,
    decision: Decision,
    plan: IssuancePlan,
    *,
    succession: Succession | None,
    waivers: Waivers,
) -> _Candidate:
    """Make the key where none was given, seal it where it is kept or waits for its claim, build and lint.

    Raises:
        Invalid: the lint has a blocking finding.
        Unavailable: the CA's key cannot be used.
    """
    signer: Signer
    private_key: keys.PrivateKey | None = None
    sealed_key = succession.kept_key if succession else None
    if plan.subject_public_key_info is None:
        private_key = make_key(plan.key_algorithm)
        public_key = private_key.public_key()
        if profile.key_retention == KeyRetention.ESCROW or not _is_awaited(asked, succession):
            sealed_key = seal_key(private_key)
    else:
        public_key = keys.load_public_key(plan.subject_public_key_info)
    if issuer is not None:
        signer, urls = signer_of(issuer.row), issuer.choose_urls()
    else:
        assert private_key is not None  # noqa: S101 - for the type checker: `decide` refuses CSRs that nobody signs
        signer, urls = EphemeralSigner(private_key), DistributionUrls()
    judged = judge_certificate(
        plan=plan,
        issuer=issuer.issuer if issuer is not None else None,
        issuer_row=issuer.row if issuer is not None else None,
        signer=signer,
        public_key=public_key,
        urls=urls,
        change=CHANGEABLE,
        waivers=waivers,
        profile_id=profile.pk,
    )
    return _Candidate(
        asked=asked,
        profile=profile,
        issuer=issuer,
        decision=decision,
        plan=plan,
        judged=judged,
        private_key=private_key,
        sealed_key=sealed_key,
        succession=succession,
    )


def _issue(
    candidates: Sequence[_Candidate], *, now: datetime, complete: Callable[[Sequence[Certificate]], None]
) -> list[IssuedCertificate]:
    """The rest of step 5 and steps 6 and 7, of all or none; ``complete`` is called in the transaction."""
    # Step 5: write down what is to be signed, sign, verify.
    signed = sign_all([each.judged for each in candidates])
    applicant_keys = [each.asked.request.applicant_key for each in candidates]
    # Step 6: one transaction; nothing leaves this function before its commit. What is remembered is asked anew if it
    # still holds.
    with _profiles_kept(candidates), transaction.atomic(), remembering_while_unblocked(applicant_keys):
        for each in candidates:
            _require_usable(each.asked, each.profile)
            require_unchanged(each.profile, each.issuer)
            if each.succession is None:
                require_approved(each.asked)
        lock_predecessors([each.succession for each in candidates if each.succession is not None], now=now)
        certificates = _store(candidates, signed)
        complete(certificates)
    for each in candidates:
        count(CERTIFICATES_ISSUED, project=bounded("project", str(each.profile.project_id)))
    # Step 7: the plain key exists in this return value alone.
    return [_answer(each, certificate) for each, certificate in zip(candidates, certificates, strict=True)]


def _store(candidates: Sequence[_Candidate], signed: Sequence[SignedCertificate]) -> list[Certificate]:
    """Everything about certificates that were just signed, in the caller's transaction and in the journal."""
    requests = [new_request(each.asked, status=RequestStatus.ISSUED, decision=each.decision) for each in candidates]
    certificates = [
        _new_certificate(each, request_row, signature)
        for each, request_row, signature in zip(candidates, requests, signed, strict=True)
    ]
    insert_together(
        [
            *(row for row in requests if row._state.adding),
            *certificates,
            *(new_auto_renewal(row) for row in certificates if row.renew_at is not None),
            *(
                new_secret(each.sealed_key, certificate=row, retention=KeyRetention(each.profile.key_retention))
                for each, row in zip(candidates, certificates, strict=True)
                if each.sealed_key is not None
            ),
            *map(_new_event, candidates, certificates),
        ]
    )
    certificates_stored({signature.line: row for signature, row in zip(signed, certificates, strict=True)})
    link_predecessors([each.succession for each in candidates if each.succession is not None])
    return certificates


def _new_event(candidate: _Candidate, certificate: Certificate) -> AuditEvent:
    asked, profile, succession = candidate.asked, candidate.profile, candidate.succession
    return new_event(
        event=_event_of(asked, succession),
        actor=asked.requester.actor,
        project_id=profile.project_id,
        subject_type="certificate",
        subject_id=str(certificate.id),
        data={
            "certificateProfileId": str(profile.id),
            "profileName": profile.slug,
            "commonName": certificate.common_name,
            "serialNumber": certificate.serial_number,
            "certificateRequestId": str(certificate.request_id),
            **({"renewedFromCertificateId": str(succession.predecessor.pk)} if succession else {}),
            **({"approvals": asked.approved.approvals} if asked.approved else {}),
        },
    )


def _answer(candidate: _Candidate, certificate: Certificate) -> IssuedCertificate:
    issuer, private_key = candidate.issuer, candidate.private_key
    is_told = private_key is not None and candidate.is_awaited
    return IssuedCertificate(
        certificate=certificate,
        certification_path=issuer.certification_path if issuer else certification_path_pem(certificate),
        private_key=keys.private_key_pem(private_key) if private_key is not None and is_told else None,
        warnings=candidate.decision.warnings,
        is_key_kept=candidate.sealed_key is not None,
    )


def _is_awaited(asked: Asked, succession: Succession | None) -> bool:
    return succession is None and asked.approved is None


def _event_of(asked: Asked, succession: Succession | None) -> str:
    if succession is not None:
        return succession.event
    return ISSUE_EVENT if asked.request.applicant_key is None else SIGN_EVENT


@contextmanager
def _refusals_told(asked: Asked, profile: CertificateProfile, succession: Succession | None) -> Iterator[None]:
    """Count and audit what refuses the request in the block."""
    with (
        refusals_counted(),
        recorded_refusals(
            event=_event_of(asked, succession),
            actor=asked.requester.actor,
            project_id=profile.project_id,
            subject_type="certificate-profile",
            subject_id=str(profile.id),
            data={"profileName": profile.slug, "commonName": common_name_of(asked.request)},
        ),
    ):
        yield


def _require_usable(asked: Asked, profile: CertificateProfile) -> None:
    require(requester=asked.requester, action=Action.CERTIFICATE_PROFILES_ISSUE_CERT, project_id=profile.project_id)
    require_method(profile, asked.method)


def _profile_of(asked: Asked) -> CertificateProfile:
    if asked.profile is None:
        raise ValueError("end entities ask a profile")
    return asked.profile


@contextmanager
def refusals_counted() -> Iterator[None]:
    """Count every reason of a refusal by its code, or a refusal without reasons by its kind."""
    try:
        yield
    except PortalError as refusal:
        for code in {violation.code for violation in refusal.violations} or {refusal.kind}:
            count(ISSUANCES_REFUSED, code=bounded("code", code))
        raise


def require_method(profile: CertificateProfile, method: EnrollmentMethod) -> None:
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


@contextmanager
def _profiles_kept(candidates: Sequence[_Candidate]) -> Iterator[None]:
    """Tell the database's refusal to link to a profile deleted meanwhile as NotFound; stand outside the transaction.

    No lock on the profile: issues from one profile must not wait for each other.
    """
    try:
        yield
    except IntegrityError:
        for profile in {each.profile for each in candidates}:
            if not CertificateProfile.objects.filter(pk=profile.pk).exists():
                raise profile_gone(profile) from None
        raise


def _new_certificate(candidate: _Candidate, request_row: CertificateRequest, signed: SignedCertificate) -> Certificate:
    """The row of the certificate; its columns are read back from what was signed."""
    plan, succession = candidate.plan, candidate.succession
    predecessor = succession.predecessor if succession else None
    key_source = KeySource.APPLICANT if candidate.private_key is None else KeySource.PORTAL
    if succession is not None:
        key_source = succession.key_source
    renewal = None
    # Only where the portal makes the key: a new one needs no applicant.
    if key_source == KeySource.PORTAL:
        renewal = renewal_of_profile(
            candidate.profile.pk, not_before=plan.not_before, not_after=plan.not_after, predecessor=predecessor
        )
    return new_certificate(
        request=request_row,
        issuer=candidate.issuer.row if candidate.issuer else None,
        signed=signed,
        key_source=key_source,
        renewal=renewal,
        predecessor=predecessor,
    )
