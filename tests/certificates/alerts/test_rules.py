"""Rules and their channels: what can be saved, who may, and every reason why not."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from certificates.alerts.models import AlertChannel, AlertKind, AlertRule, ChannelKind
from certificates.alerts.services.rules import (
    ChannelDocument,
    create_rule,
    delete_rule,
    document_of,
    find_rule,
    rules_visible_to,
    send_test,
    update_rule,
)
from certificates.services.sealed_text import open_text
from pki_portal.access.models import Project, Role
from pki_portal.audit.models import AuditEvent, Outcome
from pki_portal.errors import Forbidden, Invalid, Malformed, NotFound, PermissionDenied
from tests.certificates.alerts.scenery import HOOK, HOOK_URL, MAIL, SLACK, SLACK_URL, make_rule, rule_document
from tests.factories import SYSTEM, make_project, make_user, requester_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


def secret_of(channel: AlertChannel) -> str:
    channel.refresh_from_db()
    assert channel.sealed_secret is not None
    return open_text(bytes(channel.sealed_secret), purpose="alert-channel", row_id=channel.pk)


def test_a_rule_is_stored_as_asked_and_due_at_once(project: Project) -> None:
    filters = ({"field": "san", "operator": "matches", "value": "*.acme.com"},)
    saved = make_rule(project, channels=(MAIL, HOOK, SLACK), filters=filters, alert_before="2w", description="Web")
    rule = AlertRule.objects.get()
    assert (rule.name, rule.kind, rule.alert_before, rule.alert_before_seconds) == (
        "expiring", AlertKind.CERTIFICATE_EXPIRY, "2w", 14 * 86400,
    )  # fmt: skip
    assert rule.filters == list(filters)
    assert rule.due_at is not None
    mail, hook, slack = rule.channels.all()
    assert (mail.kind, mail.recipients, mail.sealed_secret) == ("email", ["pki@example.com"], None)
    assert (hook.url, slack.url) == (HOOK_URL, "")
    assert saved.new_secrets == {hook.pk: secret_of(hook)}
    assert len(secret_of(hook)) > 40
    assert secret_of(slack) == SLACK_URL
    assert "pks_" not in repr(saved)


def test_neither_secrets_nor_secret_addresses_get_into_the_audit(project: Project) -> None:
    saved = make_rule(project, channels=(HOOK, SLACK))
    event = AuditEvent.objects.get(event="create-pki-alert")
    assert event.data["channels"] == [
        {"type": "webhook", "target": HOOK_URL, "enabled": True},
        {"type": "slack", "target": "", "enabled": True},
    ]
    told = str(event.data)
    assert SLACK_URL not in told
    assert not any(secret in told for secret in saved.new_secrets.values())


def test_a_password_in_an_address_is_refused_and_repeated_nowhere(project: Project) -> None:
    hook = ChannelDocument(kind=ChannelKind.WEBHOOK, url="https://pki:not-to-be-told@hooks.example.com/")
    with pytest.raises(Malformed) as refusal:
        make_rule(project, channels=(hook,))
    event = AuditEvent.objects.get(event="create-pki-alert", outcome=Outcome.REFUSED)
    assert "not-to-be-told" not in str((refusal.value.message, refusal.value.violations, event.data))


def test_a_change_that_names_no_secret_keeps_it(project: Project) -> None:
    rule = make_rule(project, channels=(HOOK, SLACK)).rule
    hook, slack = rule.channels.all()
    before = secret_of(hook), secret_of(slack)
    changed = update_rule(requester=SYSTEM, rule=rule, changes={"name": "renamed"})
    assert (changed.rule.name, changed.new_secrets) == ("renamed", {})
    assert (secret_of(hook), secret_of(slack)) == before
    documents = document_of(rule).channels
    with_new = (replace(documents[0], secret="a new secret of mine"), documents[1])
    update_rule(requester=SYSTEM, rule=rule, changes={"channels": with_new})
    assert secret_of(hook) == "a new secret of mine"


def test_channels_are_replaced_by_the_list_given(project: Project) -> None:
    rule = make_rule(project, channels=(MAIL, HOOK)).rule
    kept = document_of(rule).channels[1]
    update_rule(requester=SYSTEM, rule=rule, changes={"channels": (kept, SLACK)})
    assert [channel.kind for channel in AlertChannel.objects.filter(rule=rule)] == ["webhook", "slack"]
    assert kept.id in set(rule.channels.values_list("pk", flat=True))


def test_a_change_of_one_thing_undoes_no_change_made_meanwhile(project: Project) -> None:
    rule = make_rule(project).rule
    read_before = find_rule(requester=SYSTEM, rule_id=rule.pk)
    update_rule(requester=SYSTEM, rule=rule, changes={"channels": (*document_of(rule).channels, HOOK)})
    changed = update_rule(requester=SYSTEM, rule=read_before, changes={"name": "renamed"}).rule
    assert [channel.kind for channel in changed.channels.all()] == [ChannelKind.EMAIL, ChannelKind.WEBHOOK]


def test_disabling_ends_its_time_and_enabling_brings_it_back(project: Project) -> None:
    rule = make_rule(project).rule
    for is_enabled in (False, True):
        rule = update_rule(requester=SYSTEM, rule=rule, changes={"is_enabled": is_enabled}).rule
        assert (rule.due_at is not None) is is_enabled


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"name": ""}, {"name"}),
        ({"name": "x" * 65}, {"name"}),
        ({"name": "two\nlines"}, {"name"}),
        ({"description": "x" * 1001}, {"description"}),
        ({"alert_before": "soon"}, {"alert_before"}),
        ({"alert_before": "30"}, {"alert_before"}),
        ({"alert_before": "59m"}, {"alert_before"}),
        ({"alert_before": "3651d"}, {"alert_before"}),
        ({"channels": ()}, {"channels"}),
        ({"channels": (MAIL,) * 11}, {"channels"}),
        ({"channels": (replace(MAIL, recipients=()),)}, {"channels/0/recipients"}),
        ({"channels": (replace(MAIL, recipients=("a@example.com",) * 21),)}, {"channels/0/recipients"}),
        ({"channels": (MAIL, replace(MAIL, recipients=("a@example.com", "no"),))}, {"channels/1/recipients/1"}),
        ({"channels": (replace(MAIL, recipients=("a@example.com\nBcc: x@y.example",)),)}, {"channels/0/recipients/0"}),
        ({"channels": (replace(HOOK, url=""),)}, {"channels/0/url"}),
        ({"channels": (replace(HOOK, url="https://10.0.0.1/"),)}, {"channels/0/url"}),
        ({"channels": (replace(HOOK, url="https://x.example.com/" + "x" * 2000),)}, {"channels/0/url"}),
        ({"channels": (replace(HOOK, secret="short"),)}, {"channels/0/signing_secret"}),
        ({"channels": (replace(SLACK, secret=""),)}, {"channels/0/webhook_url"}),
        ({"channels": (replace(SLACK, secret="http://hooks.slack.com/x"),)}, {"channels/0/webhook_url"}),
        ({"channels": (replace(MAIL, id=uuid4()),)}, {"channels/0/id"}),
        ({"filters": ({"field": "ca_name", "operator": "equals", "value": "x"},)}, {"filters/0/field"}),
        ({"filters": ({"field": "san", "operator": "equals", "value": ""},)}, {"filters/0/value"}),
        ({"filters": ({"field": "san", "operator": "equals", "value": "x"},) * 11}, {"filters"}),
        ({"name": "", "alert_before": "", "channels": ()}, {"name", "alert_before", "channels"}),
    ],
)  # fmt: skip
def test_what_no_rule_can_be_is_refused_with_every_reason(
    project: Project, changes: dict[str, Any], fields: set[str]
) -> None:
    with pytest.raises(Malformed) as refusal:
        make_rule(project, **changes)
    assert {violation.field for violation in refusal.value.violations} == fields
    assert all(violation.fix for violation in refusal.value.violations)
    assert SLACK_URL not in str(refusal.value.violations)
    assert not AlertRule.objects.exists()
    assert AuditEvent.objects.get(event="create-pki-alert").outcome == Outcome.REFUSED


def test_a_name_is_taken_once_in_a_project(project: Project) -> None:
    first = make_rule(project).rule
    with pytest.raises(Forbidden):
        make_rule(project)
    make_rule(make_project())
    second = make_rule(project, name="second").rule
    with pytest.raises(Forbidden):
        update_rule(requester=SYSTEM, rule=second, changes={"name": first.name})


def test_the_type_of_a_rule_does_not_change(project: Project) -> None:
    rule = make_rule(project).rule
    with pytest.raises(Forbidden):
        update_rule(requester=SYSTEM, rule=rule, changes={"kind": AlertKind.CRL_EXPIRY})


@pytest.mark.parametrize("kind", [ChannelKind.WEBHOOK, ChannelKind.SLACK])
def test_a_channel_of_another_rule_or_kind_cannot_be_taken_over(project: Project, kind: ChannelKind) -> None:
    other = make_rule(project, name="other", channels=(HOOK,)).rule.channels.get()
    rule = make_rule(project, channels=(SLACK,)).rule
    own = rule.channels.get()
    for stolen in (other.pk, own.pk if kind == ChannelKind.WEBHOOK else other.pk):
        channel = ChannelDocument(kind=kind, url=HOOK_URL if kind == ChannelKind.WEBHOOK else "", id=stolen)
        with pytest.raises(Malformed):
            update_rule(requester=SYSTEM, rule=rule, changes={"channels": (channel,)})


def test_a_project_has_so_many_rules_and_no_more(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("certificates.alerts.services.rules.RULES_LIMIT", 1)
    make_rule(project)
    with pytest.raises(Forbidden):
        make_rule(project, name="second")


def test_a_test_needs_a_channel_that_is_enabled(project: Project) -> None:
    rule = make_rule(project, channels=(replace(MAIL, is_enabled=False),)).rule
    with pytest.raises(Invalid):
        send_test(requester=SYSTEM, rule=rule)


def test_members_read_and_change_nothing(project: Project) -> None:
    rule = make_rule(project).rule
    bob = requester_for(make_user("bob", project=project, role=Role.MEMBER))
    assert list(rules_visible_to(bob, project)) == [rule]
    assert find_rule(requester=bob, rule_id=rule.pk) == rule
    for act in (
        lambda: create_rule(requester=bob, project=project, document=rule_document(name="new")),
        lambda: update_rule(requester=bob, rule=rule, changes={"name": "new"}),
        lambda: delete_rule(requester=bob, rule=rule),
        lambda: send_test(requester=bob, rule=rule),
    ):
        with pytest.raises(PermissionDenied):
            act()
    assert AlertRule.objects.get() == rule


def test_for_outsiders_there_is_no_such_rule(project: Project) -> None:
    rule = make_rule(project).rule
    charlie = requester_for(make_user("charlie", project=make_project()))
    with pytest.raises(NotFound, match=str(rule.pk)):
        find_rule(requester=charlie, rule_id=rule.pk)
    with pytest.raises(NotFound):
        rules_visible_to(charlie, project)


def test_a_rule_that_is_gone_cannot_be_changed_or_deleted(project: Project) -> None:
    rule = make_rule(project).rule
    delete_rule(requester=SYSTEM, rule=rule)
    with pytest.raises(NotFound):
        delete_rule(requester=SYSTEM, rule=rule)
    with pytest.raises(NotFound):
        update_rule(requester=SYSTEM, rule=rule, changes={"name": "new"})
