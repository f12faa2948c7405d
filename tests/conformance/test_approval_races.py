"""Approvals at the same moment, in real threads on real connections: one certificate, whoever comes first."""

from typing import Any

import pytest
from django.db import transaction

from certificates.models import Approval, ApprovalRequest, Certificate, CertificateRequest
from certificates.models.request import RequestStatus
from certificates.services.approvals.acts import approve_request, cancel_request, reject_request
from certificates.services.approvals.steps import Step
from certificates.services.idempotency import IdempotencyKey
from pki_portal.access.models import Role
from pki_portal.audit.models import AuditEvent
from pki_portal.background.work import sweep
from pki_portal.errors import Conflict, Forbidden
from tests.certificates.services.approvals.scenery import OPERATORS, ask, make_policy, person
from tests.conformance.test_races import at_once
from tests.wire import Pki, make_pki

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 10
RACERS = 100


@pytest.fixture
def pki() -> Pki:
    return make_pki()


def test_a_hundred_racing_approvals_make_one_certificate(pki: Pki) -> None:
    with transaction.atomic():
        racers = [person(f"operator-{number}", pki.project) for number in range(RACERS)]
        bob = person("bob", pki.project, Role.MEMBER)
    make_policy(pki.project, Step((OPERATORS,), 3))
    row = ask(pki.profile, bob)

    def act(number: int) -> list[str]:
        outcomes = []
        for racer in racers[number::THREADS]:
            try:
                approve_request(requester=racer, approval=row)
            except (Conflict, Forbidden) as refusal:
                outcomes.append(refusal.kind)
            else:
                outcomes.append("approved")
            if number == 0:
                sweep()  # a worker is at it as well
        return outcomes

    outcomes = [outcome for each in at_once(act, THREADS) for outcome in each]

    assert outcomes.count("approved") == 3
    assert outcomes.count("conflict") == RACERS - 3
    assert Approval.objects.count() == 3
    certificate = Certificate.objects.get()
    assert certificate.request_id == row.request_id
    assert CertificateRequest.objects.get().status == RequestStatus.ISSUED
    assert AuditEvent.objects.filter(event="issue-certificate-from-profile", outcome="done").count() == 1
    assert AuditEvent.objects.filter(event="approval-request-approve", outcome="done").count() == 3


def test_approval_rejection_and_cancellation_at_once_have_one_outcome(pki: Pki) -> None:
    make = [person(name, pki.project) for name in ("olga", "oscar")]
    bob = person("bob", pki.project, Role.MEMBER)
    make_policy(pki.project)
    for _ in range(5):
        row = ask(pki.profile, bob)
        acts = [
            lambda row=row: approve_request(requester=make[0], approval=row),
            lambda row=row: reject_request(requester=make[1], approval=row),
            lambda row=row: cancel_request(requester=bob, approval=row),
        ]

        def act(number: int, acts: list[Any] = acts) -> str:
            try:
                return str(acts[number]().request.status)
            except Conflict:
                return "conflict"

        outcomes = at_once(act, len(acts))

        status = CertificateRequest.objects.get(pk=row.request_id).status
        assert status in {RequestStatus.ISSUED, RequestStatus.REJECTED, RequestStatus.CANCELLED}
        assert status in outcomes
        has_certificate = Certificate.objects.filter(request_id=row.request_id).exists()
        assert has_certificate == (status == RequestStatus.ISSUED)


def test_one_idempotency_key_makes_one_request_for_approval_whoever_races(pki: Pki) -> None:
    person("olga", pki.project)
    bob = person("bob", pki.project, Role.MEMBER)
    make_policy(pki.project)
    key = IdempotencyKey(key="once", body_digest="1" * 64)

    def act(_: int) -> str:
        try:
            return str(ask(pki.profile, bob, idempotency=key).request_id)
        except Conflict:
            return "conflict"

    outcomes = set(at_once(act, THREADS)) - {"conflict"}

    assert outcomes == {str(CertificateRequest.objects.get().pk)}
    assert ApprovalRequest.objects.count() == 1
