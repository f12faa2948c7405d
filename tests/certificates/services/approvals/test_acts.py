from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from certificates.models import ApprovalRequest, BlockedKey, Certificate, CertificateRequest, CertificateSecret
from certificates.models.request import RequestStatus
from certificates.services import issuance
from certificates.services.approvals import issuing
from certificates.services.approvals.acts import approve_request, cancel_request, reject_request
from certificates.services.approvals.asking import StoredRequest, request_certificate
from certificates.services.approvals.policies import delete_policy
from certificates.services.approvals.standing import standing_of, waiting_for, with_requests
from certificates.services.approvals.steps import Step
from certificates.services.authorities import update_authority
from certificates.services.blocked_keys import digest_of
from certificates.services.explaining import explain_request
from certificates.services.idempotency import IdempotencyKey, KeyReused
from certificates.services.issuance import IssuedCertificate, issue_certificate
from certificates.services.kept_keys import open_secret
from certificates.services.renewal import RenewalKeySource, renew_certificate
from certificates.x509.csr import read_csr
from certificates.x509.keys import public_key_info
from pki_portal.access.models import Membership, Role, User
from pki_portal.access.requester import Requester
from pki_portal.audit.models import AuditEvent
from pki_portal.background.work import do_row, work_on
from pki_portal.errors import Conflict, NotFound, PermissionDenied, PortalError, Unavailable
from profiles.models import CertificateProfile
from profiles.policy.errors import PolicyViolation
from profiles.policy.renewal import RenewalChanges
from profiles.policy.vocabulary import SubjectAttribute
from profiles.services import delete_profile, update_profile, update_template
from tests.certificates.services.approvals.scenery import ADMINS, OPERATORS, ask, asked_for, by, make_policy, person
from tests.factories import SYSTEM, make_identity, make_user, requester_for
from tests.wire import Pki, make_csr, make_pki

pytestmark = pytest.mark.django_db


@pytest.fixture
def pki() -> Pki:
    """With an operator, so that policies can be met."""
    made = make_pki()
    person("oona", made.project)
    return made


@pytest.fixture
def bob(pki: Pki) -> Requester:
    """A member, who asks."""
    return person("bob", pki.project, Role.MEMBER)


@pytest.fixture
def olga(pki: Pki) -> Requester:
    """An operator, who approves."""
    return person("olga", pki.project)


def fresh(row: ApprovalRequest) -> ApprovalRequest:
    return with_requests(ApprovalRequest.objects.filter(pk=row.pk)).get()


def work(row: ApprovalRequest) -> ApprovalRequest:
    """What the worker does with the row, if it is due."""
    do_row(work_on(ApprovalRequest), row.pk)
    return fresh(row)


def refusal_of(act: Any, **arguments: Any) -> str:
    with pytest.raises(PortalError) as caught:
        act(**arguments)
    refusal = caught.value
    return refusal.violations[0].code if refusal.violations else type(refusal).__name__


def demanding(profile: CertificateProfile) -> CertificateProfile:
    return update_profile(requester=SYSTEM, profile=profile, changes={"requires_approval": True})


# --- Asking -----------------------------------------------------------------------------------------------------------


def test_nothing_waits_where_nobody_demands_it(pki: Pki, bob: Requester) -> None:
    issued = request_certificate(profile=pki.profile, request=asked_for(), requester=bob)
    assert isinstance(issued, IssuedCertificate)


def test_a_request_waits_with_its_decision_and_what_was_demanded(pki: Pki, bob: Requester, olga: Requester) -> None:
    person("alice", pki.project, Role.ADMIN)
    make_policy(pki.project, Step(by(olga), name="Security"), Step((ADMINS, OPERATORS), 2), max_request_ttl="2d")

    row = ask(pki.profile, bob)

    assert not Certificate.objects.exists()
    assert row.request.status == RequestStatus.PENDING_APPROVAL
    assert row.request.decision is not None
    assert row.request.decision["decision"] == "pending-approval"
    assert row.request.template_version is not None
    assert row.expires_at - row.created_at == pytest.approx(timedelta(days=2), abs=timedelta(minutes=1))
    assert [(step["name"], step["policy"], step["required_approvals"]) for step in row.steps] == [
        ("Security", "two eyes", 1),
        ("", "two eyes", 2),
    ]
    event = AuditEvent.objects.get(event="approval-request-create")
    assert event.data["waitsFor"] == "olga, then 2 of anyone with role admin or anyone with role operator"


def test_a_profile_demands_it_by_itself_of_one_admin_or_operator(pki: Pki, bob: Requester, olga: Requester) -> None:
    row = ask(demanding(pki.profile), bob)

    assert fresh(approve_request(requester=olga, approval=row)).request.status == RequestStatus.ISSUED


def test_what_rules_refuse_is_refused_at_once(pki: Pki, bob: Requester) -> None:
    make_policy(pki.project)

    with pytest.raises(PolicyViolation):
        request_certificate(profile=pki.profile, request=asked_for(ttl=timedelta(days=3650)), requester=bob)

    assert CertificateRequest.objects.get().status == RequestStatus.FAILED
    assert not ApprovalRequest.objects.exists()
    assert AuditEvent.objects.filter(event="approval-request-create", outcome="refused").count() == 1


def test_a_compromised_key_is_refused_at_once(pki: Pki, bob: Requester) -> None:
    make_policy(pki.project)
    request = read_csr(make_csr())
    assert request.applicant_key is not None
    BlockedKey.objects.create(pk=digest_of(request.applicant_key), serial_number="0" * 40, blocked_at=timezone.now())

    assert refusal_of(request_certificate, profile=pki.profile, request=request, requester=bob) == "weak_key"


def test_who_may_not_issue_cannot_ask_either(pki: Pki) -> None:
    make_policy(pki.project)
    viewer = person("vera", pki.project, Role.VIEWER)
    outsider = requester_for(make_user("charlie"))

    for requester, kind in ((viewer, PermissionDenied), (outsider, NotFound)):
        with pytest.raises(kind):
            request_certificate(profile=pki.profile, request=asked_for(), requester=requester)

    assert not CertificateRequest.objects.exists()


def test_no_service_issues_past_the_approval(pki: Pki, bob: Requester) -> None:
    make_policy(pki.project)

    for requester in (bob, SYSTEM):
        code = refusal_of(issue_certificate, profile=pki.profile, request=asked_for(), requester=requester)
        assert code == "approval_required"
    assert not Certificate.objects.exists()


def test_machine_identities_pass_a_policy_that_says_so_and_no_other(pki: Pki) -> None:
    robot = requester_for(make_identity(pki.project)[0])
    policy = make_policy(pki.project, bypass_for_machine_identities=True)
    assert isinstance(request_certificate(profile=pki.profile, request=asked_for(), requester=robot), IssuedCertificate)
    assert ask(pki.profile, person("bob", pki.project, Role.MEMBER)).steps[0]["policy"] == "two eyes"

    make_policy(pki.project, name="strict")
    assert [step["policy"] for step in ask(pki.profile, robot).steps] == ["strict"]
    delete_policy(requester=SYSTEM, policy=policy)
    assert [step["policy"] for step in ask(pki.profile, robot).steps] == ["strict"]


def test_a_policy_is_for_the_profiles_that_it_names_by_whatever_name(pki: Pki, bob: Requester) -> None:
    make_policy(pki.project, profile_ids=(pki.profile.pk,))
    renamed = update_profile(requester=SYSTEM, profile=pki.profile, changes={"slug": "renamed"})
    assert ask(renamed, bob).request.status == RequestStatus.PENDING_APPROVAL

    other = make_pki()
    assert isinstance(
        request_certificate(profile=other.profile, request=asked_for(), requester=SYSTEM), IssuedCertificate
    )


def test_a_dry_run_says_whose_approval_it_would_wait_for(pki: Pki, bob: Requester, olga: Requester) -> None:
    make_policy(pki.project, Step(by(olga)))

    told = explain_request(profile=pki.profile, request=asked_for(), requester=bob)

    assert told.plan is not None
    assert told.warnings[-1] == "The request waits for approval by olga."


def test_one_idempotency_key_makes_one_request_for_approval(pki: Pki, bob: Requester, olga: Requester) -> None:
    policy = make_policy(pki.project)
    key = IdempotencyKey(key="once", body_digest="1" * 64)
    row = ask(pki.profile, bob, idempotency=key)

    again = request_certificate(profile=pki.profile, request=asked_for(), requester=bob, idempotency=key)
    assert isinstance(again, StoredRequest)
    assert (again.request.pk, again.is_replay) == (row.request_id, True)
    other = IdempotencyKey(key="once", body_digest="2" * 64)
    with pytest.raises(KeyReused):
        request_certificate(profile=pki.profile, request=asked_for(), requester=bob, idempotency=other)

    delete_policy(requester=SYSTEM, policy=policy)
    approve_request(requester=olga, approval=row)
    issued = request_certificate(profile=pki.profile, request=asked_for(), requester=bob, idempotency=key)
    assert isinstance(issued, IssuedCertificate)
    assert (issued.certificate.request_id, issued.is_replay, issued.private_key) == (row.request_id, True, None)
    assert Certificate.objects.count() == CertificateRequest.objects.count() == 1


# --- Approving --------------------------------------------------------------------------------------------------------


def test_the_last_approval_issues_what_was_asked_as_who_asked(pki: Pki, bob: Requester, olga: Requester) -> None:
    make_policy(pki.project)

    row = approve_request(requester=olga, approval=ask(pki.profile, bob), comment="known service")

    certificate = Certificate.objects.get()
    assert certificate.request == row.request
    assert (row.request.status, certificate.common_name) == (RequestStatus.ISSUED, "service.acme.com")
    assert (row.request.requester_name, row.due_at) == ("bob", None)
    assert row.request.decision is not None
    (agreed,) = row.request.decision["approvals"]
    assert (agreed["step"], agreed["name"], agreed["comment"]) == (1, "olga", "known service")
    event = AuditEvent.objects.get(event="issue-certificate-from-profile")
    assert (event.actor_name, event.data["approvals"][0]["name"]) == ("bob", "olga")
    assert AuditEvent.objects.get(event="approval-request-approve").data["isComplete"] is True


def test_the_key_of_an_approved_request_waits_sealed_for_its_one_claim(
    pki: Pki, bob: Requester, olga: Requester, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_policy(pki.project)
    issued: list[IssuedCertificate] = []

    def spied(**asked: Any) -> None:
        issued.append(issue_certificate(**asked))

    monkeypatch.setattr(issuing, "issue_certificate", spied)
    approve_request(requester=olga, approval=ask(pki.profile, bob))

    assert [each.private_key for each in issued] == [None]
    secret = CertificateSecret.objects.select_related("certificate").get()
    assert secret.retention == "once"
    assert public_key_info(open_secret(secret).public_key()) is not None  # it opens for this certificate alone


def test_a_csr_that_waited_is_signed_for_its_own_key(pki: Pki, bob: Requester, olga: Requester) -> None:
    make_policy(pki.project)
    request = read_csr(make_csr())

    approve_request(requester=olga, approval=ask(pki.profile, bob, request=request))

    assert request.applicant_key is not None
    assert Certificate.objects.get().public_key_sha256 == digest_of(request.applicant_key)
    assert not CertificateSecret.objects.exists()


def test_steps_are_met_in_their_order_by_different_people(pki: Pki, bob: Requester) -> None:
    first, second, third = (person(name, pki.project) for name in ("olga", "oscar", "otto"))
    make_policy(pki.project, Step(by(first, second), 2), Step((OPERATORS,)))
    row = ask(pki.profile, bob)

    assert refusal_of(approve_request, requester=third, approval=row) == "not_an_approver"
    approve_request(requester=first, approval=row)
    assert refusal_of(approve_request, requester=first, approval=row) == "approved_already"
    approve_request(requester=second, approval=row)
    assert refusal_of(approve_request, requester=first, approval=row) == "approved_already"
    assert not Certificate.objects.exists()
    assert approve_request(requester=third, approval=row).request.status == RequestStatus.ISSUED
    assert refusal_of(approve_request, requester=first, approval=row) == "Conflict"


def test_nobody_approves_a_request_of_their_own(pki: Pki, olga: Requester) -> None:
    make_policy(pki.project)

    assert refusal_of(approve_request, requester=olga, approval=ask(pki.profile, olga)) == "own_request"
    assert AuditEvent.objects.filter(event="approval-request-approve", outcome="refused").count() == 1


def test_programs_approve_nothing(pki: Pki, bob: Requester) -> None:
    make_policy(pki.project, Step((ADMINS, OPERATORS)))
    robot = requester_for(make_identity(pki.project)[0])
    row = ask(pki.profile, bob)

    for requester in (robot, SYSTEM):
        assert refusal_of(approve_request, requester=requester, approval=row) == "approver_not_a_person"
        assert refusal_of(reject_request, requester=requester, approval=row) == "approver_not_a_person"


def test_outsiders_know_of_no_request(pki: Pki, bob: Requester, olga: Requester) -> None:
    make_policy(pki.project)
    row, charlie = ask(pki.profile, bob), requester_for(make_user("charlie"))

    for act in (approve_request, reject_request, cancel_request):
        assert refusal_of(act, requester=charlie, approval=row) == "NotFound"


def test_an_approver_who_leaves_does_not_count_any_more(pki: Pki, bob: Requester) -> None:
    first, second = (person(name, pki.project) for name in ("olga", "oscar"))
    make_policy(pki.project, Step((OPERATORS,)), Step(by(second)))
    row = approve_request(requester=first, approval=ask(pki.profile, bob))
    Membership.objects.filter(user_id=first.id).update(role=Role.MEMBER)

    assert waiting_for(second, pki.project) == [row]
    approve_request(requester=second, approval=row)

    standing = standing_of(fresh(row))
    assert [step.missing for step in standing.steps] == [0, 1]
    assert refusal_of(approve_request, requester=second, approval=row) == "approved_already"


def test_an_approver_who_leaves_before_the_certificate_is_issued_opens_the_step_again(
    pki: Pki, bob: Requester, olga: Requester, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_policy(pki.project)
    row = approved_and_dead(pki, bob, olga, monkeypatch)
    Membership.objects.filter(user_id=olga.id).delete()

    assert work(row).request.status == RequestStatus.PENDING_APPROVAL
    assert (fresh(row).due_at, fresh(row).approved_at) == (row.expires_at, None)
    assert approve_request(requester=person("oscar", pki.project), approval=row).request.status == RequestStatus.ISSUED


def test_nobody_agrees_to_what_cannot_come_of_it(pki: Pki, bob: Requester, olga: Requester) -> None:
    make_policy(pki.project)
    row = ask(pki.profile, bob)
    Membership.objects.filter(user_id=bob.id).update(role=Role.VIEWER)

    assert refusal_of(approve_request, requester=olga, approval=row) == "requester_left"
    assert fresh(row).request.status == RequestStatus.PENDING_APPROVAL


# --- Judged again -----------------------------------------------------------------------------------------------------


def test_it_is_judged_by_the_rules_of_the_day_it_is_approved(pki: Pki, bob: Requester, olga: Requester) -> None:
    make_policy(pki.project)
    row = ask(pki.profile, bob, request=asked_for(ttl=timedelta(days=60)))
    update_template(requester=SYSTEM, template=pki.profile.template, changes={"validity": {"max": "30d"}})

    settled = approve_request(requester=olga, approval=row).request

    assert settled.status == RequestStatus.FAILED
    assert [violation["code"] for violation in settled.violations] == ["ttl_too_long"]
    assert settled.decision is not None
    assert settled.decision["decision"] == "refused"
    assert settled.template_version is not None
    assert settled.template_version.number == 2
    assert not Certificate.objects.exists()
    assert AuditEvent.objects.filter(event="issue-certificate-from-profile", outcome="refused").count() == 1


def test_a_profile_deleted_meanwhile_fails_it_with_the_reason(pki: Pki, bob: Requester, olga: Requester) -> None:
    make_policy(pki.project)
    row = ask(pki.profile, bob)
    delete_profile(requester=SYSTEM, profile=pki.profile)

    settled = approve_request(requester=olga, approval=row).request

    assert settled.status == RequestStatus.FAILED
    assert "was deleted while the request waited" in settled.error_message


def test_who_asked_and_left_before_the_certificate_was_issued_gets_none(
    pki: Pki, bob: Requester, olga: Requester, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_policy(pki.project)
    row = approved_and_dead(pki, bob, olga, monkeypatch)
    User.objects.filter(pk=bob.id).update(is_active=False)

    settled = work(row).request

    assert (settled.status, settled.violations[0]["code"]) == (RequestStatus.FAILED, "requester_left")
    assert not Certificate.objects.exists()


# --- Renewal ----------------------------------------------------------------------------------------------------------


def approved_certificate(pki: Pki, asker: Requester, approver: Requester) -> Certificate:
    make_policy(pki.project)
    row = approve_request(requester=approver, approval=ask(pki.profile, asker))
    return Certificate.objects.select_related("request", "profile", "authority").get(request=row.request)


def test_a_renewal_that_asks_for_nothing_new_needs_no_new_approval(pki: Pki, bob: Requester, olga: Requester) -> None:
    first = approved_certificate(pki, bob, olga)

    for requester, source in ((bob, RenewalKeySource.NEW), (SYSTEM, RenewalKeySource.REUSE)):
        renewed = renew_certificate(certificate=first, requester=requester, key_source=source)
        first = Certificate.objects.select_related("request", "profile", "authority").get(pk=renewed.certificate.pk)
        assert first.alt_names == "service.acme.com"
    assert ApprovalRequest.objects.count() == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"changes": RenewalChanges(fields={"ttl": timedelta(days=91)})},
        {"changes": RenewalChanges(subject={SubjectAttribute.COMMON_NAME: ("other.acme.com",)})},
        {
            "changes": RenewalChanges(
                fields={"subject_alternative_names": asked_for("other.acme.com").subject_alternative_names}
            )
        },
        {"key_source": RenewalKeySource.CSR, "csr": make_csr()},
    ],
    ids=["longer", "another common name", "another name", "a key of the applicant's"],
)
def test_a_renewal_that_asks_for_more_is_refused(
    pki: Pki, bob: Requester, olga: Requester, changes: dict[str, Any]
) -> None:
    template = pki.profile.template
    update_template(requester=SYSTEM, template=template, changes={"validity": {"max": "100d"}})
    make_policy(pki.project)
    request = asked_for(ttl=timedelta(days=90))
    row = approve_request(requester=olga, approval=ask(pki.profile, bob, request=request))
    certificate = Certificate.objects.select_related("request", "profile", "authority").get(request=row.request)

    assert refusal_of(renew_certificate, certificate=certificate, requester=bob, **changes) == "approval_required"
    assert Certificate.objects.count() == 1


# --- Crashes ----------------------------------------------------------------------------------------------------------


def approved_and_dead(
    pki: Pki, asker: Requester, approver: Requester, monkeypatch: pytest.MonkeyPatch
) -> ApprovalRequest:
    """A request whose last approval is committed, by a process that died right after it."""
    row = ask(pki.profile, asker)
    with monkeypatch.context() as patched:
        patched.setattr("certificates.services.approvals.acts.do_row", lambda *_: None)
        row = approve_request(requester=approver, approval=row)
    assert row.request.status == RequestStatus.PENDING
    assert not Certificate.objects.exists()
    return row


def test_the_worker_finishes_what_a_dead_process_left_and_only_once(
    pki: Pki, bob: Requester, olga: Requester, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_policy(pki.project)
    row = approved_and_dead(pki, bob, olga, monkeypatch)

    assert work(row).request.status == RequestStatus.ISSUED
    # Done again, as by a worker whose lease ended while it was slow.
    ApprovalRequest.objects.filter(pk=row.pk).update(due_at=timezone.now())
    assert work(row).due_at is None
    assert Certificate.objects.count() == 1


def test_a_slow_worker_that_lost_its_lease_commits_no_second_certificate(
    pki: Pki, bob: Requester, olga: Requester, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_policy(pki.project)
    row = approved_and_dead(pki, bob, olga, monkeypatch)
    signing = issuance.sign_all  # type: ignore[attr-defined]

    def overtaken(judged: Any) -> Any:
        signed = signing(judged)
        monkeypatch.undo()
        ApprovalRequest.objects.filter(pk=row.pk).update(lease=None, leased_until=None, due_at=timezone.now())
        do_row(work_on(ApprovalRequest), row.pk)
        return signed

    monkeypatch.setattr(issuance, "sign_all", overtaken)
    work(row)

    assert Certificate.objects.count() == 1
    assert fresh(row).request.status == RequestStatus.ISSUED


def test_what_passes_is_tried_again_and_given_up_with_its_reason(
    pki: Pki, bob: Requester, olga: Requester, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_policy(pki.project)
    row = ask(pki.profile, bob)

    def unavailable(*_: Any, **__: Any) -> Any:
        raise Unavailable("The token does not answer.")

    monkeypatch.setattr("certificates.services.issuance.signer_of", unavailable)
    row = approve_request(requester=olga, approval=row)
    assert (row.request.status, row.last_error) == (RequestStatus.PENDING, "The token does not answer.")
    assert row.due_at is not None

    ApprovalRequest.objects.filter(pk=row.pk).update(due_at=timezone.now(), attempts=59)
    row = work(row)
    assert (row.request.status, row.request.error_message) == (RequestStatus.FAILED, "The token does not answer.")
    assert row.gave_up_at is not None


def test_a_disabled_ca_fails_it(pki: Pki, bob: Requester, olga: Requester) -> None:
    make_policy(pki.project)
    row = ask(pki.profile, bob)
    update_authority(requester=SYSTEM, authority=pki.issuing, status="disabled")  # type: ignore[arg-type]

    settled = approve_request(requester=olga, approval=row).request

    assert settled.status == RequestStatus.FAILED
    assert settled.violations


# --- Ends without a certificate ---------------------------------------------------------------------------------------


def test_an_approver_rejects_with_a_comment_that_everybody_sees(pki: Pki, bob: Requester, olga: Requester) -> None:
    make_policy(pki.project)
    row = reject_request(requester=olga, approval=ask(pki.profile, bob), comment="use the other profile")

    assert (row.request.status, row.closed_by, row.due_at) == (RequestStatus.REJECTED, "olga", None)
    assert row.request.error_message == "Rejected by olga: use the other profile"
    assert refusal_of(approve_request, requester=olga, approval=row) == "Conflict"
    assert AuditEvent.objects.get(event="approval-request-reject").data["comment"] == "use the other profile"


def test_who_is_no_approver_rejects_nothing(pki: Pki, bob: Requester, olga: Requester) -> None:
    make_policy(pki.project)
    other = person("mia", pki.project, Role.MEMBER)

    assert refusal_of(reject_request, requester=other, approval=ask(pki.profile, bob)) == "not_an_approver"


def test_who_asked_or_may_edit_requests_cancels(pki: Pki, bob: Requester, olga: Requester) -> None:
    make_policy(pki.project)
    other = person("mia", pki.project, Role.MEMBER)

    assert refusal_of(cancel_request, requester=other, approval=ask(pki.profile, bob)) == "PermissionDenied"
    for requester in (bob, olga):
        row = cancel_request(requester=requester, approval=ask(pki.profile, bob))
        assert (row.request.status, row.request.error_message) == (
            RequestStatus.CANCELLED,
            f"Cancelled by {requester.name}.",
        )
        assert refusal_of(cancel_request, requester=requester, approval=row) == "Conflict"


def test_what_is_cancelled_after_it_was_approved_is_not_issued(
    pki: Pki, bob: Requester, olga: Requester, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_policy(pki.project)
    row = approved_and_dead(pki, bob, olga, monkeypatch)

    cancel_request(requester=bob, approval=row)

    assert work(row).request.status == RequestStatus.CANCELLED
    assert not Certificate.objects.exists()


def test_a_request_expires_for_whoever_comes_late_and_by_the_worker(pki: Pki, bob: Requester, olga: Requester) -> None:
    make_policy(pki.project, max_request_ttl="1h")
    row = ask(pki.profile, bob)
    with time_machine.travel(row.expires_at + timedelta(seconds=1), tick=False):
        with pytest.raises(Conflict, match="expired"):
            approve_request(requester=olga, approval=row)
        settled = work(row)

    assert (settled.request.status, settled.due_at) == (RequestStatus.EXPIRED, None)
    assert AuditEvent.objects.filter(event="approval-request-expire", outcome="done").count() == 1


# --- What waits for whom ----------------------------------------------------------------------------------------------


def test_what_waits_for_somebody_is_what_they_could_approve_now(pki: Pki, bob: Requester, olga: Requester) -> None:
    oscar = person("oscar", pki.project)
    make_policy(pki.project, Step(by(olga)), Step((OPERATORS,)))
    own, others = ask(pki.profile, olga), ask(pki.profile, bob)

    assert [row.pk for row in waiting_for(olga, pki.project)] == [others.pk]
    assert waiting_for(oscar, pki.project) == []
    approve_request(requester=olga, approval=others)
    assert [row.pk for row in waiting_for(oscar, pki.project)] == [others.pk]
    assert waiting_for(olga, pki.project) == waiting_for(SYSTEM, pki.project) == []
    assert own.request.status == RequestStatus.PENDING_APPROVAL


def test_an_administrator_of_the_installation_counts_as_an_admin(pki: Pki, bob: Requester) -> None:
    root = requester_for(make_user("root", is_superuser=True))
    make_policy(pki.project, Step((ADMINS,)))
    row = ask(pki.profile, bob)

    assert approve_request(requester=root, approval=row).request.status == RequestStatus.ISSUED
