"""Approvers are told by a real mail server: each once for each step, and only while the request waits for them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from pytest_django import Settings

from certificates.models import ApprovalMail, ApprovalRequest
from certificates.services.approvals.acts import approve_request, cancel_request
from certificates.services.approvals.mails import tell_approver
from certificates.services.approvals.steps import Step
from pki_portal.access.models import Membership, Role, User
from pki_portal.access.requester import Requester
from pki_portal.background.work import claim, do_due, do_row, work_on
from tests.certificates.alerts.receivers import MailServer, mail_server
from tests.certificates.services.approvals.scenery import ADMINS, OPERATORS, ask, asked_for, by, make_policy, person
from tests.factories import requester_for
from tests.wire import Pki, make_pki

pytestmark = pytest.mark.django_db


@pytest.fixture
def pki() -> Pki:
    return make_pki()


@pytest.fixture
def bob(pki: Pki) -> Requester:
    """A member, who asks."""
    return person("bob", pki.project, Role.MEMBER)


@pytest.fixture
def server(settings: Settings) -> Iterator[MailServer]:
    with mail_server() as started:
        settings.SENDS_MAIL = True
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = started.host, started.port
        yield started


def operator(pki: Pki, name: str, **columns: Any) -> Requester:
    """Somebody who approves."""
    made = person(name, pki.project)
    User.objects.filter(pk=made.id).update(**{"email": f"{name}@acme.com"} | columns)
    return made


def send() -> None:
    """What the worker does."""
    while do_due(work_on(ApprovalMail)):
        pass


def told(server: MailServer) -> list[str]:
    """Who got a mail, each as often as they did."""
    return sorted(name.removesuffix("@acme.com") for recipients, _ in server.mail for name in recipients)


def test_whoever_may_approve_now_is_told_who_asks_for_what_why_and_until_when(
    pki: Pki, bob: Requester, server: MailServer
) -> None:
    operator(pki, "olga")
    operator(pki, "otto", email="")
    operator(pki, "oda", is_active=False)
    person("vera", pki.project, Role.VIEWER)
    make_policy(pki.project, Step((OPERATORS,), name="Security", notify_approvers=True), max_request_ttl="2d")
    row = ask(pki.profile, bob, request=asked_for("www.acme.com"))

    send()
    send()

    ((recipients, mail),) = server.mail
    assert recipients == ["olga@acme.com"]
    assert mail["Subject"] == f"[PKI Portal] {pki.project.name}: bob asks for your approval"
    sent = ApprovalMail.objects.get()
    assert sent.sent_at is not None
    assert mail["Message-ID"] == f"<{sent.pk}@pki.test>"
    text = mail.get_payload()
    assert isinstance(text, str)
    for expected in (
        "Profile: server",
        "    common name: www.acme.com",
        "    dns name: www.acme.com",
        "approval policy two eyes, step 1 of 1 (Security): anyone with role operator",
        f"Until: {row.expires_at:%Y-%m-%d %H:%M} UTC",
        f"http://pki.test/projects/{pki.project.slug}/requests/{row.request_id}/",
    ):
        assert expected in text.splitlines() or expected in text, text


def test_who_asked_is_not_told_and_neither_is_anybody_where_the_step_does_not_say_so(
    pki: Pki, server: MailServer
) -> None:
    olga = operator(pki, "olga")
    operator(pki, "otto")
    policy = make_policy(pki.project, Step((OPERATORS,), notify_approvers=True))
    ask(pki.profile, olga)
    send()
    assert told(server) == ["otto"]

    policy.delete()
    make_policy(pki.project, Step((OPERATORS,)), Step((ADMINS, OPERATORS), notify_approvers=True), name="later")
    ask(pki.profile, olga)
    assert ApprovalMail.objects.count() == 1


def test_the_next_step_is_told_when_the_one_before_is_done(pki: Pki, bob: Requester, server: MailServer) -> None:
    olga, otto, oscar = (operator(pki, name) for name in ("olga", "otto", "oscar"))
    make_policy(pki.project, Step(by(olga, otto), 2, notify_approvers=True), Step((OPERATORS,), notify_approvers=True))
    row = ask(pki.profile, bob)
    send()
    assert told(server) == ["olga", "otto"]

    approve_request(requester=olga, approval=row)
    send()
    assert told(server) == ["olga", "otto"], "otto was told already"

    approve_request(requester=otto, approval=row)
    send()
    assert told(server) == ["olga", "oscar", "otto"]
    approve_request(requester=oscar, approval=row)
    send()
    assert ApprovalMail.objects.count() == 3


def test_steps_that_open_again_tell_only_those_who_were_not_told(pki: Pki, bob: Requester, server: MailServer) -> None:
    olga, otto, oda = (operator(pki, name) for name in ("olga", "otto", "oda"))
    make_policy(pki.project, Step(by(olga, oda), notify_approvers=True), Step(by(otto), notify_approvers=True))
    row = ask(pki.profile, bob)
    send()
    approve_request(requester=olga, approval=row)
    Membership.objects.filter(user_id=olga.id).update(role=Role.NO_ACCESS)
    send()
    assert told(server) == ["oda", "olga"], "otto waits for somebody in olga's place"

    approve_request(requester=oda, approval=row)
    send()
    assert told(server) == ["oda", "olga", "otto"]


@pytest.mark.parametrize("change", ["cancelled", "expired", "approved by another", "not an approver", "no address"])
def test_nothing_is_sent_that_is_over_when_the_mail_is_due(
    pki: Pki, bob: Requester, server: MailServer, change: str
) -> None:
    olga, otto = operator(pki, "olga"), operator(pki, "otto", email="")
    make_policy(pki.project, Step((OPERATORS,), notify_approvers=True), max_request_ttl="1h")
    row = ask(pki.profile, bob)
    moment = timezone.now()
    if change == "cancelled":
        cancel_request(requester=bob, approval=row)
    elif change == "expired":
        moment += timedelta(hours=2)  # no worker has ended it yet
    elif change == "approved by another":
        approve_request(requester=otto, approval=row)
    elif change == "not an approver":
        Membership.objects.filter(user_id=olga.id).update(role=Role.NO_ACCESS)
    else:
        User.objects.filter(pk=olga.id).update(email="")

    with time_machine.travel(moment):
        send()

    mail = ApprovalMail.objects.get()
    assert (server.mail, mail.sent_at, mail.due_at, mail.last_error) == ([], None, None, "")


def test_a_worker_that_is_killed_before_or_after_it_sent_makes_it_neither_none_nor_two(
    pki: Pki, bob: Requester, server: MailServer
) -> None:
    operator(pki, "olga")
    make_policy(pki.project, Step((OPERATORS,), notify_approvers=True))
    ask(pki.profile, bob)
    work = work_on(ApprovalMail)

    assert len(claim(work, now=timezone.now(), limit=1)) == 1  # killed with the row in its hands
    send()
    assert server.mail == []
    with time_machine.travel(timezone.now() + 2 * work.lease):
        (row,) = claim(work, now=timezone.now(), limit=1)
        tell_approver(row, timezone.now())  # killed before it gave the row back
    with time_machine.travel(timezone.now() + 4 * work.lease):
        send()

    assert told(server) == ["olga"]
    assert ApprovalMail.objects.get().due_at is None


def test_a_mail_that_is_not_taken_is_tried_again_and_keeps_no_request_waiting(
    pki: Pki, bob: Requester, server: MailServer
) -> None:
    operator(pki, "olga")
    make_policy(pki.project, Step((OPERATORS,), notify_approvers=True))
    server.answer = "451 later"
    ask(pki.profile, bob)
    send()
    mail = ApprovalMail.objects.get()
    assert mail.last_error == "The mail server refuses every recipient for now (olga@acme.com: 451)."
    server.answer = "250 OK"
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        do_row(work_on(ApprovalMail), mail.pk)
    assert told(server) == ["olga"]


def test_an_administrator_of_the_installation_is_told_where_admins_are(
    pki: Pki, bob: Requester, server: MailServer
) -> None:
    root = User.objects.create_superuser("root", "root@acme.com", "a long password of the test")
    make_policy(pki.project, Step((ADMINS,), notify_approvers=True))
    row = ask(pki.profile, bob)
    send()
    assert told(server) == ["root"]
    approve_request(requester=requester_for(root), approval=ApprovalRequest.objects.get(pk=row.pk))
