"""Alerts over the API."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from certificates.alerts.models import AlertRule
from pki_portal.access.models import Project, Role
from tests.assertions import assert_error
from tests.certificates.alerts.scenery import HOOK_URL, SLACK_URL, make_rule
from tests.factories import make_project
from tests.wire import make_client, post_json

pytestmark = pytest.mark.django_db
ALERTS = "/api/v1/cert-manager/alerts"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def robot(project: Project) -> Client:
    return make_client(project)


def body(project: Project, **changes: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "projectId": str(project.pk),
        "name": "web",
        "type": "certificate-expiry",
        "alertBefore": "30d",
        "filters": [{"field": "san", "operator": "matches", "value": "*.acme.com"}],
        "channels": [
            {"channelType": "email", "config": {"recipients": ["pki@acme.com"]}},
            {"channelType": "webhook", "config": {"url": HOOK_URL}},
            {"channelType": "slack", "enabled": False, "config": {"webhookUrl": SLACK_URL}},
        ],
    }
    return asked | changes


def patch(client: Client, path: str, asked: dict[str, Any]) -> Any:
    return client.patch(path, asked, content_type="application/json")


def test_create_answers_the_alert_and_the_signing_secret_this_once(robot: Client, project: Project) -> None:
    answer = post_json(robot, ALERTS, body(project))
    assert answer.status_code == 200
    alert = answer.json()["alert"]
    assert (alert["name"], alert["type"], alert["alertBefore"], alert["enabled"]) == (
        "web", "certificate-expiry", "30d", True,
    )  # fmt: skip
    assert alert["filters"] == body(project)["filters"]
    mail, hook, slack = alert["channels"]
    assert (mail["channelType"], mail["config"]) == ("email", {"recipients": ["pki@acme.com"]})
    assert hook["config"]["url"] == HOOK_URL
    assert hook["config"]["signingSecret"].startswith("pks_")
    assert (slack["enabled"], slack["config"]) == (False, {})
    assert "EMAIL_URL" in answer.json()["warnings"][0]
    assert answer["Cache-Control"] == "no-store"
    for again in (robot.get(f"{ALERTS}/{alert['id']}"), robot.get(ALERTS, {"projectId": str(project.pk)})):
        assert again.status_code == 200
        assert "signingSecret" not in again.content.decode()
        assert SLACK_URL not in again.content.decode()


def test_list_counts_all(robot: Client, project: Project) -> None:
    for name in ("a", "b", "c"):
        make_rule(project, name=name)
    make_rule(make_project())
    answer = robot.get(f"{ALERTS}?projectId={project.pk}&limit=2").json()
    assert ([alert["name"] for alert in answer["alerts"]], answer["totalCount"]) == (["c", "b"], 3)


def test_patch_changes_what_it_names(robot: Client, project: Project) -> None:
    alert = post_json(robot, ALERTS, body(project)).json()["alert"]
    path = f"{ALERTS}/{alert['id']}"
    answer = patch(robot, path, {"enabled": False, "alertBefore": "14d", "nonsense": 1})
    assert answer.status_code == 200, answer.content
    changed = answer.json()["alert"]
    assert (changed["enabled"], changed["alertBefore"], changed["name"]) == (False, "14d", "web")
    assert len(changed["channels"]) == 3
    assert any("/nonsense" in warning for warning in answer.json()["warnings"])
    kept = alert["channels"][2]
    channels = [{"id": kept["id"], "channelType": "slack", "enabled": True}]
    (slack,) = patch(robot, path, {"channels": channels}).json()["alert"]["channels"]
    assert (slack["id"], slack["enabled"]) == (kept["id"], True)


def test_delete_answers_what_it_removed(robot: Client, project: Project) -> None:
    rule = make_rule(project).rule
    answer = robot.delete(f"{ALERTS}/{rule.pk}")
    assert (answer.status_code, answer.json()["alert"]["id"]) == (200, str(rule.pk))
    assert not AlertRule.objects.exists()


def test_a_test_is_queued_and_stands_in_the_log(robot: Client, project: Project) -> None:
    rule = make_rule(project).rule
    answer = robot.post(f"{ALERTS}/{rule.pk}/test")
    assert answer.status_code == 200, answer.content
    (delivery,) = answer.json()["deliveries"]
    assert (delivery["status"], delivery["isTest"], delivery["target"]) == ("pending", True, "pki@example.com")
    log = robot.get(f"{ALERTS}/{rule.pk}/deliveries").json()
    assert (log["totalCount"], log["deliveries"]) == (1, [delivery])


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"alertBefore": "soon"}, "/alertBefore"),
        ({"type": "birthday"}, "/type"),
        ({"channels": []}, "/channels"),
        ({"channels": [{"channelType": "pigeon"}]}, "/channels/0/channelType"),
        ({"channels": [{"channelType": "email"}]}, "/channels/0/config/recipients"),
        ({"channels": [{"channelType": "webhook", "config": {"url": "https://127.0.0.1/"}}]}, "/channels/0/config/url"),
        ({"channels": [{"channelType": "slack", "config": {}}]}, "/channels/0/config/webhookUrl"),
        (
            {"channels": [{"channelType": "webhook", "config": {"url": HOOK_URL, "signingSecret": "short"}}]},
            "/channels/0/config/signingSecret",
        ),
        ({"filters": [{"field": "moon", "operator": "equals", "value": "x"}]}, "/filters/0/field"),
    ],
)
def test_what_cannot_be_is_422_at_its_place(
    robot: Client, project: Project, changes: dict[str, Any], pointer: str
) -> None:
    answer = post_json(robot, ALERTS, body(project, **changes))
    assert_error(answer, status=422, error="ValidationFailure", field=pointer)


def test_a_taken_name_is_forbidden(robot: Client, project: Project) -> None:
    make_rule(project, name="web")
    assert_error(post_json(robot, ALERTS, body(project)), status=403, error="ForbiddenError", field="/name")


def test_nobody_known_is_401(project: Project) -> None:
    rule = make_rule(project).rule
    assert_error(Client().get(f"{ALERTS}/{rule.pk}"), status=401, error="UnauthorizedError")


@pytest.mark.parametrize("path", ["", "/test", "/deliveries"])
def test_another_projects_alert_is_404_and_a_malformed_id_422(path: str) -> None:
    stranger = make_client(make_project())
    rule = make_rule(make_project()).rule
    ask = stranger.post if path == "/test" else stranger.get
    for identifier in (rule.pk, uuid4()):
        assert_error(ask(f"{ALERTS}/{identifier}{path}"), status=404, error="NotFound")
    assert_error(ask(f"{ALERTS}/xyz{path}"), status=422, error="ValidationFailure")


def test_a_member_reads_and_changes_nothing(project: Project) -> None:
    rule = make_rule(project).rule
    member = make_client(project, role=Role.MEMBER)
    assert member.get(f"{ALERTS}/{rule.pk}").status_code == 200
    for answer in (
        post_json(member, ALERTS, body(project)),
        patch(member, f"{ALERTS}/{rule.pk}", {"name": "mine"}),
        member.delete(f"{ALERTS}/{rule.pk}"),
        member.post(f"{ALERTS}/{rule.pk}/test"),
    ):
        assert_error(answer, status=403, error="PermissionDenied")
