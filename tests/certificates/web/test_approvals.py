"""Approvals on the pages: what waits, who agreed, the buttons, and the form of policies."""

import re
from typing import Any

import pytest
from django.test import Client

from certificates.models import ApprovalPolicy, Certificate, CertificateRequest
from certificates.models.request import RequestStatus
from certificates.services.approvals.steps import Step
from pki_portal.access.models import Role, User
from profiles.services import update_template
from tests.certificates.services.approvals.scenery import OPERATORS, ask, by, make_policy
from tests.factories import SYSTEM, make_user, requester_for
from tests.wire import Pki, make_pki

pytestmark = pytest.mark.django_db


@pytest.fixture
def pki() -> Pki:
    return make_pki()


@pytest.fixture
def olga(pki: Pki) -> User:
    return make_user("olga", project=pki.project, role=Role.OPERATOR)


@pytest.fixture
def bob(pki: Pki) -> User:
    return make_user("bob", project=pki.project, role=Role.MEMBER)


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def address(pki: Pki, path: str) -> str:
    return f"/projects/{pki.project.slug}/{path}"


def text_of(response: Any) -> str:
    assert response.status_code == 200, response
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def issue_form(pki: Pki) -> dict[str, str]:
    return {
        "profile": str(pki.profile.pk),
        "token": "a-token-of-the-form",
        "method": "fields",
        "common_name": "service.acme.com",
        "ttl": "30d",
    }


def test_the_issue_page_leads_to_the_request_that_waits(pki: Pki, bob: User, olga: User) -> None:
    make_policy(pki.project)
    client = browser(bob)

    answer = client.post(address(pki, "certificates/issue/"), issue_form(pki), follow=True)

    request = CertificateRequest.objects.get()
    assert answer.redirect_chain == [(address(pki, f"requests/{request.pk}/"), 302)]
    told = text_of(answer)
    assert f"The request waits for approval by anyone with role operator. Its id is {request.pk}." in told
    assert "waits for 1 more" in told
    assert "Cancel the request" in told
    assert "Approve" not in re.sub("Approvers|Approvals|Approval", "", told)
    from_htmx = client.post(
        address(pki, "certificates/issue/"), issue_form(pki) | {"token": "another"}, headers={"HX-Request": "true"}
    )
    assert from_htmx.headers["HX-Redirect"].startswith(address(pki, "requests/"))


def test_an_approver_finds_it_counted_and_approves_it(pki: Pki, bob: User, olga: User) -> None:
    make_policy(pki.project)
    row = ask(pki.profile, requester_for(bob))
    client = browser(olga)

    listed = text_of(client.get(address(pki, "approvals/")))
    assert "1 waiting for you" in listed
    assert "service.acme.com server bob anyone with role operator" in listed
    assert "waiting for you" not in text_of(browser(bob).get(address(pki, "approvals/")))
    assert "Approve" in text_of(client.get(address(pki, f"requests/{row.request_id}/")))

    answer = client.post(address(pki, f"requests/{row.request_id}/approve/"), {"comment": "fine"}, follow=True)

    assert "Approved, and the certificate was issued." in text_of(answer)
    assert Certificate.objects.count() == 1
    assert "waiting for you" not in text_of(client.get(address(pki, "approvals/")))
    assert "olga" in text_of(client.get(address(pki, f"requests/{row.request_id}/decision/")))


def test_who_may_not_approve_has_no_button_and_is_told_why(pki: Pki, bob: User, olga: User) -> None:
    make_policy(pki.project)
    row = ask(pki.profile, requester_for(olga))
    client = browser(olga)

    assert ">Approve<" not in client.get(address(pki, f"requests/{row.request_id}/")).content.decode()
    answer = client.post(address(pki, f"requests/{row.request_id}/approve/"), follow=True)

    assert "Nobody approves a request of their own." in text_of(answer)
    row.request.refresh_from_db()
    assert row.request.status == RequestStatus.PENDING_APPROVAL


@pytest.mark.parametrize(("act", "state"), [("reject", "rejected"), ("cancel", "cancelled")])
def test_it_is_rejected_or_cancelled_with_a_comment(pki: Pki, bob: User, olga: User, act: str, state: str) -> None:
    make_policy(pki.project)
    row = ask(pki.profile, requester_for(bob))

    page = address(pki, f"requests/{row.request_id}/{act}/")
    answer = browser(olga).post(page, {"comment": "the other one"}, follow=True)

    told = text_of(answer)
    assert f"The request was {state}." in told
    assert f"{state.capitalize()} by olga: the other one" in told


def test_the_page_says_what_changed_and_that_an_approval_failed_by_it(pki: Pki, bob: User, olga: User) -> None:
    make_policy(pki.project)
    row = ask(pki.profile, requester_for(bob))
    update_template(requester=SYSTEM, template=pki.profile.template, changes={"sans": []})
    client, page = browser(olga), address(pki, f"requests/{row.request_id}/")

    assert "Changed since the request was made Template server, version 1 to 2" in text_of(client.get(page))
    answer = client.post(f"{page}approve/", follow=True)

    assert "Approved, but nothing was issued" in text_of(answer)
    assert "Why it was refused" in text_of(answer)


def test_pages_of_others_and_of_requests_that_never_waited_are_not_found(pki: Pki, olga: User) -> None:
    make_policy(pki.project)
    row = ask(pki.profile, requester_for(olga))
    charlie = browser(make_user("charlie", project=make_pki().project))

    for path in ("approvals/", "approvals/policies/", f"requests/{row.request_id}/"):
        assert charlie.get(address(pki, path)).status_code == 404
    for act in ("approve", "reject", "cancel"):
        assert charlie.post(address(pki, f"requests/{row.request_id}/{act}/")).status_code == 404
        assert browser(olga).get(address(pki, f"requests/{row.request_id}/{act}/")).status_code == 405


def test_an_admin_makes_changes_and_deletes_a_policy(pki: Pki, olga: User) -> None:
    alice = browser(make_user("alice", project=pki.project))
    create = address(pki, "approvals/policies/create/")
    assert "Everyone with role operator" in text_of(alice.get(create))
    form = {
        "name": "two eyes",
        "profiles": str(pki.profile.pk),
        "max_request_ttl": "2d",
        "step_0_name": "Security",
        "step_0_required": "1",
        "step_0_approvers": [f"user:{olga.pk}", "role:admin"],
        "step_0_notify": "on",
        "step_1_name": "",
        "step_1_required": "1",
    }

    assert "Policy two eyes was created." in text_of(alice.post(create, form, follow=True))
    policy = ApprovalPolicy.objects.get()
    assert not policy.is_for_all_profiles
    assert [profile.slug for profile in policy.profiles.all()] == ["server"]
    assert [(step["required_approvals"], step["notify_approvers"]) for step in policy.steps] == [(1, True)]
    listed = text_of(alice.get(address(pki, "approvals/policies/")))
    assert "two eyes server Security: 1 of anyone with role admin or olga (told by mail) 2d" in listed

    edit = address(pki, f"approvals/policies/{policy.pk}/edit/")
    shown = alice.get(edit).content.decode()
    assert f'<option value="user:{olga.pk}" selected>olga</option>' in shown
    assert 'name="step_0_notify" checked' in shown
    assert alice.post(edit, form | {"is_for_all_profiles": "on"}).status_code == 302
    assert ApprovalPolicy.objects.get().is_for_all_profiles
    delete = address(pki, f"approvals/policies/{policy.pk}/delete/")
    assert "was deleted" in text_of(alice.post(delete, follow=True))


def test_a_refused_policy_comes_back_with_every_reason_beside_its_field(pki: Pki, olga: User) -> None:
    alice = browser(make_user("alice", project=pki.project))
    form = {
        "name": "",
        "max_request_ttl": "1y",
        "step_0_required": "1",
        "step_1_required": "many",
        "step_1_approvers": ["role:no-access", "user:x", "nonsense"],
    }

    answer = alice.post(address(pki, "approvals/policies/create/"), form)

    assert answer.status_code == 422
    page = answer.content.decode()
    for owner in ("id_name", "id_max_request_ttl", "id_profiles", "step-1"):
        assert f'id="{owner}-violations"' in page
    assert not ApprovalPolicy.objects.exists()


def test_operators_read_policies_and_have_no_buttons(pki: Pki, olga: User) -> None:
    policy = make_policy(pki.project, Step((*by(olga), OPERATORS)))
    client = browser(olga)

    page = client.get(address(pki, "approvals/policies/")).content.decode()
    assert policy.name in page
    assert "Create policy" not in page
    for path in ("create/", f"{policy.pk}/edit/", f"{policy.pk}/delete/"):
        assert client.post(address(pki, f"approvals/policies/{path}")).status_code == 403
