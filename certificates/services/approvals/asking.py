"""The doors' way to a certificate: at once, or after others agreed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from certificates.models import ApprovalRequest, Certificate, CertificateRequest
from certificates.models.request import RequestStatus
from certificates.services.approvals.acts import CREATE_EVENT
from certificates.services.approvals.demand import Demand, demand_of
from certificates.services.approvals.mails import plan_mails
from certificates.services.approvals.steps import steps_as_json
from certificates.services.explaining import judge_request
from certificates.services.idempotency import Claim, IdempotencyKey, claimed, request_under_key
from certificates.services.issuance import (
    IssuedCertificate,
    issue_certificate,
    refusals_counted,
    replay_of,
)
from certificates.services.requests import Asked, common_name_of, failed_request_kept, store_request
from pki_portal.access.permissions import Action, require
from pki_portal.access.requester import Requester
from pki_portal.audit.services import record, recorded_refusals
from profiles.enrollment import EnrollmentMethod
from profiles.models import CertificateProfile
from profiles.policy.request import IssuanceRequest


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A request that no certificate has come of, yet or at all: it waits, or is told again by its Idempotency-Key."""

    request: CertificateRequest
    message: str
    warnings: tuple[str, ...] = ()
    is_replay: bool = False


def request_certificate(
    *,
    profile: CertificateProfile,
    request: IssuanceRequest,
    requester: Requester,
    method: EnrollmentMethod = EnrollmentMethod.API,
    metadata: Sequence[Mapping[str, str]] = (),
    idempotency: IdempotencyKey | None = None,
) -> IssuedCertificate | StoredRequest:
    """Issue, or where others must agree first, judge the request now and store it until they do.

    Raises as :func:`certificates.services.issuance.issue_certificate`: what rules refuse is refused at once.
    """
    now = timezone.now()
    known = (
        request_under_key(requester=requester, idempotency=idempotency, now=now) if idempotency is not None else None
    )
    if known is not None:
        require(requester=requester, action=Action.CERTIFICATE_PROFILES_ISSUE_CERT, project_id=profile.project_id)
        return _told_again(known)
    demand = demand_of(profile=profile, requester=requester)
    asked = Asked(profile=profile, request=request, requester=requester, method=method, metadata=metadata)
    if demand is None:
        return issue_certificate(
            profile=profile,
            request=request,
            requester=requester,
            method=method,
            metadata=metadata,
            idempotency=idempotency,
        )
    return _ask_for_approval(asked, demand, idempotency)


def _outcome_of(request: CertificateRequest) -> str:
    """A sentence on a request that waits, or waited, and has no certificate."""
    if request.status == RequestStatus.PENDING_APPROVAL:
        return "The request waits for approval."
    if request.status == RequestStatus.PENDING:
        return "The request was approved; the certificate is being issued."
    if request.status == RequestStatus.ISSUED:
        return "The certificate was issued, and deleted later."
    return request.error_message


def _ask_for_approval(
    asked: Asked, demand: Demand, idempotency: IdempotencyKey | None
) -> IssuedCertificate | StoredRequest:
    """Steps 3 and 4 of the issuance and its lint; then the request instead of the signature."""
    profile, requester = asked.profile, asked.requester
    assert profile is not None  # noqa: S101 - for the type checker: a demand is a profile's
    now = timezone.now()
    with (
        refusals_counted(),
        recorded_refusals(
            event=CREATE_EVENT,
            actor=requester.actor,
            project_id=profile.project_id,
            subject_type="certificate-profile",
            subject_id=str(profile.pk),
            data={"profileName": profile.slug, "commonName": common_name_of(asked.request)},
        ),
        failed_request_kept(asked) as judgement,
        claimed(requester=requester, idempotency=idempotency, now=now) as claim,
    ):
        if isinstance(claim, Certificate):
            return replay_of(claim)
        decision = judgement.decision = judge_request(
            profile=profile, request=asked.request, requester=requester, method=asked.method
        )
        decision.granted()
        with transaction.atomic():
            row = store_request(asked, status=RequestStatus.PENDING_APPROVAL, decision=decision)
            expires_at = now + demand.longest_wait
            approval = ApprovalRequest.objects.create(
                request=row, steps=steps_as_json(demand.steps), expires_at=expires_at, due_at=expires_at
            )
            plan_mails(approval, now)
            if isinstance(claim, Claim):
                claim.complete_later(row)
            record(
                event=CREATE_EVENT,
                actor=requester.actor,
                project_id=profile.project_id,
                subject_type="certificate-request",
                subject_id=str(row.pk),
                data={
                    "approvalRequestId": str(approval.pk),
                    "certificateProfileId": str(profile.pk),
                    "profileName": profile.slug,
                    "commonName": row.common_name,
                    "waitsFor": str(demand),
                },
            )
    return StoredRequest(row, f"The request waits for approval by {demand}.", decision.warnings)


def _told_again(request: CertificateRequest) -> IssuedCertificate | StoredRequest:
    certificate = getattr(request, "certificate", None)
    if certificate is not None:
        return replay_of(certificate)
    return StoredRequest(request, _outcome_of(request), tuple(request.warnings), is_replay=True)
