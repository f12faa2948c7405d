"""Alerts by their pages."""

from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from certificates.alerts.models import AlertDelivery, AlertRule
from certificates.services.sealed_text import open_text
from pki_portal.access.models import Project, Role
from tests.certificates.alerts.scenery import HOOK, HOOK_URL, MAIL, SLACK, SLACK_URL, attempt, make_rule
from tests.factories import PASSWORD, make_project, make_user

pytestmark = pytest.mark.django_db
CREATE = "/projects/acme/alerts/create/"


@pytest.fixture
def project() -> Project:
    return make_project(slug="acme")


@pytest.fixture
def alice(project: Project) -> Client:
    return client_of("alice", project)


def client_of(name: str, project: Project, role: str = Role.ADMIN) -> Client:
    client = Client()
    make_user(name, project=project, role=role)
    client.login(username=name, password=PASSWORD)
    return client


def sent(*channels: tuple[str, str], **changes: Any) -> dict[str, Any]:
    """A filled form; the last line of each kind of rows is empty, as in the page."""
    lines = [*(channels or [("email", "pki@acme.com; ops@acme.com")]), ("email", "")]
    fields: dict[str, Any] = {
        "kind": "certificate-expiry",
        "name": "web",
        "description": "",
        "alert_before": "30d",
        "is_enabled": "on",
        "filter_field": ["san", "profile_name"],
        "filter_operator": ["matches", "equals"],
        "filter_value": ["*.acme.com", ""],
        "channel_kind": [kind for kind, _ in lines],
        "channel_state": ["on" for _ in lines],
        "channel_target": [target for _, target in lines],
        "channel_id": ["" for _ in lines],
    }
    return fields | changes


def path_of(name: str, rule: AlertRule) -> str:
    return reverse(name, args=["acme", rule.pk])


def test_create_stores_what_was_typed(alice: Client) -> None:
    response = alice.post(CREATE, sent())
    rule = AlertRule.objects.get()
    assert response["Location"] == path_of("alert", rule)
    assert rule.filters == [{"field": "san", "operator": "matches", "value": "*.acme.com"}]
    assert rule.channels.get().recipients == ["pki@acme.com", "ops@acme.com"]
    page = alice.get(path_of("alert", rule)).content.decode()
    assert "*.acme.com" in page
    assert "EMAIL_URL" in page


def test_the_signing_secret_is_shown_by_the_post_alone(alice: Client) -> None:
    response = alice.post(CREATE, sent(("webhook", HOOK_URL)))
    channel = AlertRule.objects.get().channels.get()
    assert channel.sealed_secret is not None
    secret = open_text(bytes(channel.sealed_secret), purpose="alert-channel", row_id=channel.pk)
    assert secret in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    for name in ("alert", "edit-alert"):
        assert secret not in alice.get(path_of(name, channel.rule)).content.decode()


def test_a_refused_form_says_why_and_keeps_what_was_typed(alice: Client) -> None:
    response = alice.post(CREATE, sent(("webhook", "https://10.0.0.1/hook"), alert_before="soon"))
    page = unescape(response.content.decode())
    assert response.status_code == 422
    assert "https://10.0.0.1/hook" in page
    assert '"soon" is not a length of time' in page
    assert "is not an address of the public internet" in page
    assert not AlertRule.objects.exists()


def test_edit_keeps_secrets_and_takes_lines_away(alice: Client, project: Project) -> None:
    rule = make_rule(project, channels=(MAIL, HOOK, SLACK)).rule
    page = alice.get(path_of("edit-alert", rule)).content.decode()
    assert HOOK_URL in page
    assert SLACK_URL not in page
    _, hook, slack = rule.channels.all()
    before = bytes(hook.sealed_secret or b""), bytes(slack.sealed_secret or b"")
    changes = {"channel_id": [str(hook.pk), str(slack.pk), ""], "name": "renamed"}
    response = alice.post(path_of("edit-alert", rule), sent(("webhook", HOOK_URL), ("slack", ""), **changes))
    assert response["Location"] == path_of("alert", rule)
    rule.refresh_from_db()
    assert rule.name == "renamed"
    kept = list(rule.channels.all())
    assert kept == [hook, slack]
    assert tuple(bytes(channel.sealed_secret or b"") for channel in kept) == before


def test_a_line_that_becomes_another_kind_is_a_new_channel(alice: Client, project: Project) -> None:
    rule = make_rule(project, channels=(MAIL,)).rule
    changes = {"channel_id": [str(rule.channels.get().pk), ""]}
    assert alice.post(path_of("edit-alert", rule), sent(("webhook", HOOK_URL), **changes)).status_code == 200
    assert rule.channels.get().url == HOOK_URL


def test_a_test_is_sent_and_its_fate_stands_in_the_log(alice: Client, project: Project) -> None:
    rule = make_rule(project).rule
    page = alice.post(path_of("test-alert", rule), follow=True).content.decode()
    assert "The test is on its way" in page
    assert "Pending" in page
    attempt(AlertDelivery.objects.get())
    page = alice.get(path_of("alert", rule)).content.decode()
    assert "This portal sends no mail: an administrator must set EMAIL_URL." in page


def test_a_test_without_a_channel_is_refused_in_words(alice: Client, project: Project) -> None:
    rule = make_rule(project).rule
    rule.channels.update(is_enabled=False)
    assert "no channel that is enabled" in alice.post(path_of("test-alert", rule), follow=True).content.decode()


def test_delete_removes_it(alice: Client, project: Project) -> None:
    rule = make_rule(project).rule
    assert alice.post(path_of("delete-alert", rule))["Location"] == "/projects/acme/alerts/"
    assert not AlertRule.objects.exists()


def test_the_list_shows_the_alerts_of_the_project_or_how_to_begin(alice: Client, project: Project) -> None:
    make_rule(make_project(), name="foreign")
    assert "No alert yet" in alice.get("/projects/acme/alerts/").content.decode()
    make_rule(project, name="of-acme")
    page = alice.get("/projects/acme/alerts/").content.decode()
    assert "of-acme" in page
    assert "foreign" not in page


def test_a_member_reads_and_is_offered_nothing_else(project: Project) -> None:
    rule = make_rule(project).rule
    bob = client_of("bob", project, Role.MEMBER)
    page = bob.get(path_of("alert", rule)).content.decode()
    assert "Send a test" not in page
    assert bob.get(CREATE).status_code == 403
    for name in ("edit-alert", "test-alert", "delete-alert"):
        assert bob.post(path_of(name, rule), sent()).status_code == 403
    assert AlertRule.objects.get() == rule


def test_another_projects_alert_is_not_found(alice: Client) -> None:
    rule = make_rule(make_project()).rule
    for name in ("alert", "edit-alert"):
        assert alice.get(path_of(name, rule)).status_code == 404
    for name in ("test-alert", "delete-alert"):
        assert alice.post(path_of(name, rule)).status_code == 404
