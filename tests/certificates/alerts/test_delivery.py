"""Messages arrive: by a real mail server and a real web server, again where they did not, and signed."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from pytest_django import Settings

from certificates.alerts.models import AlertChannel, AlertDelivery, AlertDigest, DeliveryState
from certificates.alerts.services.rules import ChannelDocument, SavedRule, send_test
from certificates.services.master_keys import SEALED_COLUMNS
from profiles.models import CertificateProfile
from tests.certificates.alerts.receivers import LOOPBACK, mail_server, webhook_receiver
from tests.certificates.alerts.scenery import HOOK, MAIL, SLACK, attempt, look, make_ending, make_rule
from tests.factories import SYSTEM, make_project
from tests.portal import ROOT
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project("Acme & Sons"))


@pytest.fixture
def loopback(settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = LOOPBACK


def told(profile: CertificateProfile, channel: ChannelDocument) -> tuple[SavedRule, AlertDelivery]:
    """A rule with one channel, and its delivery about two certificates."""
    saved = make_rule(profile.project, channels=(channel,))
    make_ending(profile, "www.example.com", days=5)
    make_ending(profile, "api.example.com", days=6)
    look(saved.rule)
    return saved, AlertDelivery.objects.select_related("digest").get()


def is_genuine() -> Callable[[str, bytes, str], bool]:
    """The recipe of docs/alerts.md, as a reader would paste it."""
    (recipe,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "alerts.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(recipe, names)  # noqa: S102 - our own documentation
    found: Callable[[str, bytes, str], bool] = names["is_genuine"]
    return found


# --- Email ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def sends_mail(settings: Settings) -> Settings:
    settings.SENDS_MAIL = True
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.DEFAULT_FROM_EMAIL = "portal@example.com"
    return settings


def test_a_mail_arrives_at_a_real_server(profile: CertificateProfile, sends_mail: Settings) -> None:
    _, delivery = told(profile, MAIL)
    with mail_server() as server:
        sends_mail.EMAIL_HOST, sends_mail.EMAIL_PORT = server.host, server.port
        delivered = attempt(delivery)
        attempt(delivered)
    assert (delivered.state, delivered.last_error) == (DeliveryState.DELIVERED, "")
    ((recipients, mail),) = server.mail
    assert recipients == ["pki@example.com"]
    assert mail["From"] == "portal@example.com"
    assert mail["Subject"] == "[PKI Portal] Acme & Sons: 2 certificates end within 30d"
    assert mail["Message-ID"] == f"<{delivery.pk}@pki.test>"
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_payload()
    assert isinstance(text, str)
    assert "www.example.com" in text
    assert f"/projects/{profile.project.slug}/certificates/" in text


@pytest.mark.parametrize(
    ("answer", "state", "error"),
    [
        ("550 no such user", DeliveryState.FAILED, "The mail server refuses every recipient (pki@example.com: 550)."),
        ("451 later", DeliveryState.PENDING, "The mail server refuses every recipient for now (pki@example.com: 451)."),
    ],
)
def test_a_mail_that_is_refused_is_tried_again_only_where_that_can_help(
    profile: CertificateProfile, sends_mail: Settings, answer: str, state: DeliveryState, error: str
) -> None:
    _, delivery = told(profile, MAIL)
    with mail_server() as server:
        server.answer = answer
        sends_mail.EMAIL_HOST, sends_mail.EMAIL_PORT = server.host, server.port
        tried = attempt(delivery)
        assert (tried.state, tried.last_error) == (state, error)
        server.answer = "250 OK"
        assert (attempt(delivery).state is DeliveryState.DELIVERED) == (state is DeliveryState.PENDING)


def test_a_mail_server_that_does_not_answer_is_asked_again(profile: CertificateProfile, sends_mail: Settings) -> None:
    _, delivery = told(profile, MAIL)
    with mail_server() as server:
        sends_mail.EMAIL_HOST, sends_mail.EMAIL_PORT = server.host, server.port
    tried = attempt(delivery)
    assert tried.state is DeliveryState.PENDING
    assert tried.last_error == "The mail server does not answer (ConnectionRefusedError)."


def test_without_a_mail_server_the_log_says_what_to_do(profile: CertificateProfile) -> None:
    _, delivery = told(profile, MAIL)
    assert "EMAIL_URL" in attempt(delivery).last_error


# --- Webhooks ---------------------------------------------------------------------------------------------------------


def test_a_receiver_that_fails_twice_gets_it_the_third_time_signed(profile: CertificateProfile, loopback: None) -> None:
    with webhook_receiver(500, 503) as receiver:
        saved, delivery = told(profile, ChannelDocument(kind=HOOK.kind, url=receiver.url))
        (secret,) = saved.new_secrets.values()
        waits = []
        for expected in ("The receiver answered 500.", "The receiver answered 503."):
            tried = attempt(delivery)
            assert (tried.state, tried.last_error) == (DeliveryState.PENDING, expected)
            assert tried.due_at is not None
            waits.append((tried.due_at - timezone.now()).total_seconds())
        assert 20 < waits[0] < 40
        assert 40 < waits[1] < 80
        assert attempt(delivery).state is DeliveryState.DELIVERED
        attempt(delivery)
    assert [path for path, _, _ in receiver.received] == ["/hook?for=pki"] * 3
    bodies = {body for _, _, body in receiver.received}
    assert len(bodies) == 1, "each attempt is the same event"
    event = json.loads(bodies.pop())
    digest = AlertDigest.objects.get()
    assert (event["specversion"], event["id"], event["type"]) == (
        "1.0",
        str(digest.pk),
        "pki-portal.certificate-expiry",
    )
    assert event["source"] == f"http://pki.test/projects/{profile.project.slug}"
    assert event["data"]["totalCount"] == 2
    assert [item["name"] for item in event["data"]["items"]] == ["www.example.com", "api.example.com"]
    check = is_genuine()
    for _, headers, body in receiver.received:
        assert headers["content-type"] == "application/cloudevents+json"
        assert headers["x-infisical-signature"] == headers["x-portal-signature"]
        assert check(headers["x-portal-signature"], body, secret)
        assert not check(headers["x-portal-signature"], body + b" ", secret)
        assert not check(headers["x-portal-signature"], body, "another secret")
        with time_machine.travel(timezone.now() + timedelta(minutes=6)):
            assert not check(headers["x-portal-signature"], body, secret)


def test_a_secret_of_the_users_own_is_used_and_not_told(profile: CertificateProfile, loopback: None) -> None:
    with webhook_receiver() as receiver:
        channel = ChannelDocument(kind=HOOK.kind, url=receiver.url, secret="a secret of my own choice")
        saved, delivery = told(profile, channel)
        assert saved.new_secrets == {}
        attempt(delivery)
    ((_, headers, body),) = receiver.received
    assert is_genuine()(headers["x-portal-signature"], body, "a secret of my own choice")


def test_a_receiver_that_is_gone_for_good_is_given_up(profile: CertificateProfile, loopback: None) -> None:
    with webhook_receiver(410) as receiver:
        _, delivery = told(profile, ChannelDocument(kind=HOOK.kind, url=receiver.url))
        assert attempt(delivery).state is DeliveryState.FAILED


def test_redirects_are_not_followed(profile: CertificateProfile, loopback: None) -> None:
    with webhook_receiver() as elsewhere, webhook_receiver(307, Location=elsewhere.url) as receiver:
        _, delivery = told(profile, ChannelDocument(kind=HOOK.kind, url=receiver.url))
        assert attempt(delivery).last_error == "The receiver answered 307."
    assert elsewhere.received == []


def test_a_channel_that_was_removed_or_whose_network_is_not_allowed_any_more_is_given_up(
    profile: CertificateProfile, settings: Settings
) -> None:
    settings.WEBHOOK_ALLOWED_NETWORKS = LOOPBACK
    with webhook_receiver() as receiver:
        saved, delivery = told(profile, ChannelDocument(kind=HOOK.kind, url=receiver.url))
        send_test(requester=SYSTEM, rule=saved.rule)
        settings.WEBHOOK_ALLOWED_NETWORKS = []
        assert attempt(delivery).state is DeliveryState.FAILED
        settings.WEBHOOK_ALLOWED_NETWORKS = LOOPBACK
        saved.rule.channels.all().delete()
        (test,) = AlertDelivery.objects.filter(digest__is_test=True)
        given_up = attempt(test)
    assert (given_up.state, given_up.last_error) == (DeliveryState.FAILED, "The channel was removed.")
    assert given_up.target == receiver.url
    assert receiver.received == []


# --- Slack ------------------------------------------------------------------------------------------------------------


def test_slack_gets_its_own_form_with_nothing_that_it_would_read_as_markup(
    profile: CertificateProfile, loopback: None
) -> None:
    with webhook_receiver() as receiver:
        _, delivery = told(profile, ChannelDocument(kind=SLACK.kind, secret=receiver.url))
        assert delivery.target == ""
        assert attempt(delivery).state is DeliveryState.DELIVERED
    ((_, headers, body),) = receiver.received
    message = json.loads(body)
    assert set(message) == {"text"}
    assert message["text"].startswith("Acme &amp; Sons: 2 certificates end within 30d.")
    assert "x-portal-signature" not in headers


# --- Tests and secrets ------------------------------------------------------------------------------------------------


def test_a_test_says_that_it_is_one(profile: CertificateProfile, loopback: None) -> None:
    with webhook_receiver() as receiver:
        saved = make_rule(profile.project, channels=(ChannelDocument(kind=HOOK.kind, url=receiver.url),))
        digest = send_test(requester=SYSTEM, rule=saved.rule)
        assert attempt(digest.deliveries.get()).state is DeliveryState.DELIVERED
    event = json.loads(receiver.received[0][2])
    assert (event["type"], event["data"]["isTest"], event["data"]["items"]) == ("pki-portal.test", True, [])


def test_secrets_are_sealed_to_their_rows_and_known_to_the_rotation_of_the_master_key(
    profile: CertificateProfile, loopback: None
) -> None:
    make_rule(profile.project, channels=(HOOK, SLACK))
    hook, slack = AlertChannel.objects.order_by("position")
    assert slack.sealed_secret is not None
    assert SLACK.secret.encode() not in bytes(slack.sealed_secret)
    assert (AlertChannel, "sealed_secret") in SEALED_COLUMNS
    # A row with the sealed bytes of another one tells nothing.
    hook.sealed_secret = slack.sealed_secret
    hook.save(update_fields=["sealed_secret"])
    digest = send_test(requester=SYSTEM, rule=hook.rule)
    tried = attempt(digest.deliveries.get(channel=hook))
    assert "altered or belongs to another row" in tried.last_error
