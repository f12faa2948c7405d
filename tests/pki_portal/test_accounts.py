"""Accounts of people: made by an administrator, guarded by one login."""

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

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
