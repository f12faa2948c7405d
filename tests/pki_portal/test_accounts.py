"""Accounts of people: made by an administrator, guarded by one login."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.test import Client
from pytest_django import Settings

from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("page", ["signup", "email", "password/reset/done", "confirm-email", "login/code/confirm"])
def test_pages_that_would_promise_a_mail_or_an_account_are_not_there(client: Client, page: str) -> None:
    assert client.get(f"/accounts/{page}/").status_code == 404


def test_a_forgotten_password_is_a_matter_for_an_administrator(client: Client) -> None:
    answer = client.get("/accounts/password/reset/")
    assert answer.status_code == 200
    assert "Ask an administrator" in answer.content.decode()
    assert client.post("/accounts/password/reset/", {"email": "alice@example.com"}).status_code == 405


def test_the_admin_has_no_login_of_its_own(client: Client) -> None:
    answer = client.get("/admin/login/")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/")


def test_the_login_page_allows_no_foreign_content_and_no_framing(client: Client) -> None:
    answer = client.get("/accounts/login/")
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"


def test_five_wrong_passwords_close_the_door_for_a_while(client: Client) -> None:
    get_user_model().objects.create_user(username="alice", password="right horse battery")
    for _ in range(5):
        client.post("/accounts/login/", {"login": "alice", "password": "wrong"})
    answer = client.post("/accounts/login/", {"login": "alice", "password": "right horse battery"})
    assert answer.status_code == 200
    assert "sessionid" not in client.cookies


def log_in(client: Client, username: str, password: str, **meta: str) -> bool:
    """Whether the login page let the person in."""
    client.cookies.clear()
    client.post("/accounts/login/", {"login": username, "password": password}, **meta)  # type: ignore[arg-type]
    return "sessionid" in client.cookies


def test_a_stranger_elsewhere_keeps_nobody_out(client: Client) -> None:
    make_user("alice")
    for attempt in range(12):
        assert not log_in(client, "alice", f"wrong {attempt}", REMOTE_ADDR="198.51.100.1")
    assert log_in(client, "alice", PASSWORD, REMOTE_ADDR="198.51.100.2")


def test_wrong_passwords_at_one_address_delay_others_there_not_at_all(client: Client) -> None:
    make_user("bob")
    for number in range(12):
        assert not log_in(client, f"nobody{number}", "wrong", REMOTE_ADDR="198.51.100.1")
    assert log_in(client, "bob", PASSWORD, REMOTE_ADDR="198.51.100.1")


def test_the_delay_after_wrong_passwords_ends_within_a_minute(client: Client) -> None:
    make_user("alice")
    with time_machine.travel(datetime(2026, 11, 23, 12, tzinfo=UTC), tick=False) as clock:
        for _ in range(40):
            assert not log_in(client, "alice", "wrong")
            clock.shift(timedelta(seconds=3))
        assert not log_in(client, "alice", PASSWORD)
        clock.shift(timedelta(seconds=60))
        assert log_in(client, "alice", PASSWORD)


def test_an_address_written_by_the_client_does_not_end_the_delay(client: Client) -> None:
    make_user("alice")
    for number in range(5):
        log_in(client, "alice", "wrong", HTTP_X_FORWARDED_FOR=f"198.51.100.{number}")
    assert not log_in(client, "alice", PASSWORD, HTTP_X_FORWARDED_FOR="198.51.100.9")


def test_people_behind_a_trusted_proxy_are_told_apart(client: Client, settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 1
    make_user("alice")
    for _ in range(6):
        log_in(client, "alice", "wrong", HTTP_X_FORWARDED_FOR="198.51.100.1")
    assert not log_in(client, "alice", PASSWORD, HTTP_X_FORWARDED_FOR="198.51.100.1")
    assert log_in(client, "alice", PASSWORD, HTTP_X_FORWARDED_FOR="198.51.100.2")


def test_login_works_over_a_unix_socket(client: Client) -> None:
    make_user("alice")
    assert log_in(client, "alice", PASSWORD, REMOTE_ADDR="")
