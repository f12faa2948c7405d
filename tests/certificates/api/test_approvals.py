"""Approvals over the wire: policies, requests that wait, the poll of clients that know nothing of approvals."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from certificates.models import Approval, ApprovalPolicy, Certificate, CertificateRequest
from pki_portal.access.models import Role, User
from profiles.services import update_profile
from tests.assertions import assert_error
from tests.certificates.services.approvals.scenery import ask, make_policy, person
from tests.factories import SYSTEM, make_user
from tests.wire import CERTIFICATES, PROFILES, REQUESTS, Pki, issue_body, make_client, make_csr, make_pki, post_json

pytestmark = pytest.mark.django_db

POLICIES = "/api/v1/approval-policies/cert-request"
APPROVALS = f"{POLICIES}/requests"


@pytest.fixture
def pki() -> Pki:
    return make_pki()


@pytest.fixture
def robot(pki: Pki) -> Client:
    return make_client(pki.project)


@pytest.fixture
def olga(pki: Pki) -> Client:
    """An operator, signed in by page."""
    return signed_in(make_user("olga", project=pki.project, role=Role.OPERATOR))


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def policy_body(pki: Pki, **changes: Any) -> dict[str, Any]:
    steps = [{"approvers": [{"type": "role", "id": "operator"}]}]
    return {"projectId": str(pki.project.pk), "name": "two eyes", "steps": steps} | changes


def waiting(client: Client, pki: Pki, **attributes: Any) -> dict[str, Any]:
    """The answer to an issue request that waits."""
    answer = post_json(client, CERTIFICATES, issue_body(pki.profile, **attributes))
    assert answer.status_code == 200, answer.json()
    told: dict[str, Any] = answer.json()
    assert told["status"] == "pending_approval"
    return told


def approval_id(client: Client, told: dict[str, Any]) -> str:
    return str(client.get(f"{REQUESTS}/{told['certificateRequestId']}").json()["approvalRequestId"])


def test_a_policy_is_made_read_changed_and_deleted(pki: Pki, robot: Client, olga: Client) -> None:
    user = User.objects.get(username="olga")
    body = policy_body(
        pki,
        maxRequestTtl="7d",
        conditions=[{"profileNames": ["server"]}],
        constraints={},
        steps=[
            {
                "name": "Security",
                "approvers": [{"type": "user", "id": str(user.pk)}],
                "requiredApprovals": 1,
                "notifyApprovers": True,
            }
        ],
        bypassForMachineIdentities=True,
        notifyEverybody=True,
    )
    made = post_json(robot, POLICIES, body)
    assert made.status_code == 200, made.json()
    assert made.json()["warnings"] == ["/notifyEverybody is not known here and was ignored."]
    policy = made.json()["policy"]
    assert policy | {"id": "", "createdAt": "", "updatedAt": ""} == {
        "id": "",
        "projectId": str(pki.project.pk),
        "type": "cert-request",
        "name": "two eyes",
        "maxRequestTtl": "7d",
        "conditions": [{"profileNames": ["server"]}],
        "constraints": {},
        "steps": [
            {
                "name": "Security",
                "approvers": [{"type": "user", "id": str(user.pk), "name": "olga"}],
                "requiredApprovals": 1,
                "notifyApprovers": True,
            }
        ],
        "bypassForMachineIdentities": True,
        "createdAt": "",
        "updatedAt": "",
    }
    address = f"{POLICIES}/{policy['id']}"
    assert robot.get(address).json()["policy"] == policy
    assert robot.get(POLICIES, {"projectId": str(pki.project.pk)}).json() == {"policies": [policy], "totalCount": 1}
    changed = robot.patch(address, {"conditions": [], "maxRequestTtl": None}, content_type="application/json").json()
    assert (changed["policy"]["conditions"], changed["policy"]["maxRequestTtl"]) == ([], None)
    assert changed["policy"]["steps"] == policy["steps"]
    assert robot.delete(address).json() == {"policyId": policy["id"]}
    assert_error(robot.get(address), status=404, error="NotFound")


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"name": ""}, "/name", None),
        ({"name": "x" * 129}, "/name", None),
        ({"name": "a\nb"}, "/name", "custom"),
        ({"maxRequestTtl": "59m"}, "/maxRequestTtl", "custom"),
        ({"maxRequestTtl": "31d"}, "/maxRequestTtl", "custom"),
        ({"maxRequestTtl": "soon"}, "/maxRequestTtl", "custom"),
        ({"conditions": [{"profileNames": ["nobody"]}]}, "/conditions", "unknown_profile"),
        ({"conditions": [{}]}, "/conditions/0/profileNames", None),
        ({"steps": []}, "/steps", None),
        ({"steps": [{"approvers": []}]}, "/steps/0/approvers", None),
        ({"steps": [{"approvers": [{"type": "group", "id": "1"}]}]}, "/steps/0/approvers/0/type", None),
        ({"steps": [{"approvers": [{"type": "user", "id": "olga"}]}]}, "/steps/0/approvers/0/id", None),
        (
            {"steps": [{"approvers": [{"type": "user", "id": "999999999999999999"}]}]},
            "/steps/0/approvers/0/id",
            "approver_not_a_member",
        ),
        ({"steps": [{"approvers": [{"type": "role", "id": "no-access"}]}]}, "/steps/0/approvers/0/id", "unknown_role"),
        (
            {"steps": [{"approvers": [{"type": "role", "id": "operator"}], "requiredApprovals": 9}]},
            "/steps",
            "too_few_approvers",
        ),
        (
            {"steps": [{"approvers": [{"type": "role", "id": "operator"}], "requiredApprovals": 0}]},
            "/steps/0/requiredApprovals",
            None,
        ),
    ],
)
def test_what_no_policy_can_be_is_refused_by_name(
    pki: Pki, robot: Client, olga: Client, changes: dict[str, Any], pointer: str, code: str | None
) -> None:
    body = assert_error(
        post_json(robot, POLICIES, policy_body(pki, **changes)), status=422, error="ValidationFailure", field=pointer
    )

    assert code is None or code in [detail["code"] for detail in body["details"]]
    assert not ApprovalPolicy.objects.exists()


def test_a_name_is_taken_once_in_a_project(pki: Pki, robot: Client, olga: Client) -> None:
    assert post_json(robot, POLICIES, policy_body(pki)).status_code == 200
    assert_error(post_json(robot, POLICIES, policy_body(pki)), status=403, error="ForbiddenError", field="/name")


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.MEMBER, Role.VIEWER])
def test_admins_alone_change_policies(pki: Pki, olga: Client, role: Role) -> None:
    policy = make_policy(pki.project)
    client, address = make_client(pki.project, role=role), f"{POLICIES}/{policy.pk}"

    assert client.get(address).status_code == 200
    for answer in (
        post_json(client, POLICIES, policy_body(pki, name="other")),
        client.patch(address, {"name": "other"}, content_type="application/json"),
        client.delete(address),
    ):
        assert_error(answer, status=403, error="PermissionDenied")


def test_what_belongs_to_others_does_not_exist(pki: Pki, robot: Client, olga: Client) -> None:
    policy = make_policy(pki.project)
    row = ask(pki.profile, person("bob", pki.project, Role.MEMBER))
    stranger = make_client(make_pki().project, name="stranger")

    for answer in (
        stranger.get(POLICIES, {"projectId": str(pki.project.pk)}),
        stranger.get(APPROVALS, {"projectId": str(pki.project.pk)}),
        stranger.get(f"{POLICIES}/{policy.pk}"),
        stranger.patch(f"{POLICIES}/{policy.pk}", {"name": "mine"}, content_type="application/json"),
        stranger.delete(f"{POLICIES}/{policy.pk}"),
        stranger.get(f"{APPROVALS}/{row.pk}"),
        *(post_json(stranger, f"{APPROVALS}/{row.pk}/{act}", {}) for act in ("approve", "reject", "cancel")),
        robot.get(f"{APPROVALS}/{uuid4()}"),
    ):
        assert_error(answer, status=404, error="NotFound")
    assert_error(Client().get(f"{APPROVALS}/{row.pk}"), status=401, error="UnauthorizedError")
    assert_error(robot.get(f"{APPROVALS}/no-id"), status=422, error="ValidationFailure")
    # A profile of another project is none that a policy here can be for.
    other = make_pki()
    update_profile(requester=SYSTEM, profile=other.profile, changes={"slug": "elsewhere"})
    body = policy_body(pki, name="other", conditions=[{"profileNames": ["elsewhere"]}])
    assert_error(post_json(robot, POLICIES, body), status=422, error="ValidationFailure", field="/conditions")


def test_an_issue_waits_and_old_clients_see_it_pending_then_issued(pki: Pki, robot: Client, olga: Client) -> None:
    make_policy(pki.project)
    told = waiting(robot, pki)
    assert told["certificate"] is None
    assert told["message"] == "The request waits for approval by anyone with role operator."
    address = f"{REQUESTS}/{told['certificateRequestId']}"
    polled = robot.get(address).json()
    assert (polled["status"], polled["requestStatus"]) == ("pending", "pending_approval")
    assert polled["certificate"] is polled["certificateId"] is polled["serialNumber"] is polled["errorMessage"] is None

    approved = post_json(olga, f"{APPROVALS}/{polled['approvalRequestId']}/approve", {"comment": "fine"})
    assert approved.status_code == 200, approved.json()
    request = approved.json()["request"]
    assert (request["status"], request["certificateRequestStatus"]) == ("approved", "issued")
    (step,) = request["steps"]
    assert (step["stepNumber"], step["missingApprovals"], step["approvals"][0]["name"]) == (1, 0, "olga")

    claimed = robot.get(address).json()
    assert claimed["status"] == claimed["requestStatus"] == "issued"
    assert "BEGIN CERTIFICATE" in claimed["certificate"]
    assert "PRIVATE KEY" in claimed["privateKey"]
    assert robot.get(address).json()["privateKey"] is None
    decision = robot.get(f"{address}/decision").json()
    assert (decision["decision"], decision["approvals"][0]["name"]) == ("issued", "olga")


def test_a_csr_waits_too(pki: Pki, robot: Client, olga: Client) -> None:
    make_policy(pki.project)
    told = post_json(robot, CERTIFICATES, {"profileId": str(pki.profile.pk), "csr": make_csr()}).json()
    assert told["status"] == "pending_approval"

    assert post_json(olga, f"{APPROVALS}/{approval_id(robot, told)}/approve", {}).status_code == 200

    assert Certificate.objects.get().key_source == "applicant"


@pytest.mark.parametrize(("act", "state"), [("reject", "rejected"), ("cancel", "cancelled")])
def test_what_ends_without_a_certificate_is_failed_to_old_clients(
    pki: Pki, robot: Client, olga: Client, act: str, state: str
) -> None:
    make_policy(pki.project)
    told = waiting(robot, pki)

    ended = post_json(olga, f"{APPROVALS}/{approval_id(robot, told)}/{act}", {"comment": "not this one"}).json()

    assert (ended["request"]["status"], ended["request"]["comment"]) == (state, "not this one")
    polled = robot.get(f"{REQUESTS}/{told['certificateRequestId']}").json()
    assert (polled["status"], polled["requestStatus"]) == ("failed", state)
    assert polled["errorMessage"] == f"{state.capitalize()} by olga: not this one"
    again = post_json(olga, f"{APPROVALS}/{approval_id(robot, told)}/approve", {})
    assert_error(again, status=409, error="Conflict")


def test_an_act_takes_an_empty_body(pki: Pki, robot: Client, olga: Client) -> None:
    make_policy(pki.project)

    answer = olga.generic("POST", f"{APPROVALS}/{approval_id(robot, waiting(robot, pki))}/approve")

    assert answer.status_code == 200, answer.json()


@pytest.mark.parametrize("body", ["[]", "null", "0", "false", '""'])
def test_what_is_no_object_approves_nothing(pki: Pki, robot: Client, olga: Client, body: str) -> None:
    make_policy(pki.project)

    path = f"{APPROVALS}/{approval_id(robot, waiting(robot, pki))}/approve"

    assert_error(post_json(olga, path, body), status=422, error="ValidationFailure")
    assert not Approval.objects.exists()


def test_programs_approve_nothing(pki: Pki, robot: Client, olga: Client) -> None:
    make_policy(pki.project)
    told = waiting(robot, pki)

    body = assert_error(
        post_json(make_client(pki.project, name="other"), f"{APPROVALS}/{approval_id(robot, told)}/approve", {}),
        status=403,
        error="ForbiddenError",
    )

    assert body["details"][0]["code"] == "approver_not_a_person"


def test_one_idempotency_key_makes_one_request_whatever_comes_of_it(pki: Pki, robot: Client, olga: Client) -> None:
    make_policy(pki.project)
    body, header = issue_body(pki.profile), {"Idempotency-Key": "once"}
    first = post_json(robot, CERTIFICATES, body, **header).json()

    again = post_json(robot, CERTIFICATES, body, **header).json()
    assert again["certificateRequestId"] == first["certificateRequestId"]
    assert (again["status"], again["idempotentReplay"]) == ("pending_approval", True)
    other = post_json(robot, CERTIFICATES, issue_body(pki.profile, ttl="9d"), **header)
    assert_error(other, status=409, error="Conflict")
    post_json(olga, f"{APPROVALS}/{approval_id(robot, first)}/reject", {})
    ended = post_json(robot, CERTIFICATES, body, **header).json()
    assert (ended["certificate"], ended["status"], ended["message"]) == (None, "rejected", "Rejected by olga.")
    assert CertificateRequest.objects.count() == 1


def test_the_lists_tell_the_full_state_and_narrow_by_it(pki: Pki, robot: Client, olga: Client) -> None:
    make_policy(pki.project)
    told = waiting(robot, pki)
    slug = {"projectSlug": pki.project.slug}

    (item,) = robot.get(REQUESTS, slug | {"status": "pending_approval"}).json()["certificateRequests"]
    assert (item["id"], item["status"]) == (told["certificateRequestId"], "pending_approval")
    assert robot.get(REQUESTS, slug | {"status": "rejected"}).json()["totalCount"] == 0
    query = {"projectId": str(pki.project.pk)}
    (listed,) = robot.get(APPROVALS, query | {"status": "pending"}).json()["requests"]
    assert (listed["id"], listed["certificateRequestId"]) == (item["approvalRequestId"], item["id"])
    assert (listed["requesterName"], listed["requesterType"]) == ("robot", "identity")
    assert robot.get(APPROVALS, query | {"status": "expired"}).json()["requests"] == []


def test_it_tells_what_changed_since_it_was_made(pki: Pki, robot: Client, olga: Client) -> None:
    make_policy(pki.project)
    address = f"{APPROVALS}/{approval_id(robot, waiting(robot, pki))}"
    assert robot.get(address).json()["request"]["changes"] == []
    update_profile(requester=SYSTEM, profile=pki.profile, changes={"defaults": {"ttl": "30d"}})

    assert robot.get(address).json()["request"]["changes"] == [
        {"rules": "profile", "path": "defaults/ttl", "before": None, "after": "30d"}
    ]


def test_a_profile_demands_approval_by_its_own_switch(pki: Pki, robot: Client, olga: Client) -> None:
    address = f"{PROFILES}/{pki.profile.pk}"
    changed = robot.patch(address, {"requiresApproval": True}, content_type="application/json").json()
    assert changed["certificateProfile"]["requiresApproval"] is True

    assert waiting(robot, pki)["message"].endswith("anyone with role admin or anyone with role operator.")
    dry = post_json(robot, f"{CERTIFICATES}?dryRun=true", issue_body(pki.profile)).json()
    assert dry["decision"] == "would-issue"
    assert any("waits for approval" in warning for warning in dry["warnings"])
