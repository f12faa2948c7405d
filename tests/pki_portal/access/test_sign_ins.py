import pytest
from django.test import Client

from pki_portal.audit.models import AuditEvent, Outcome
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db

TYPED = "hunter2 hunter2 hunter2"


def events(client: Client) -> list[tuple[str, str, str, str]]:
    return [
        (event.event, event.outcome, event.actor_name, event.data["username"])
        for event in AuditEvent.objects.order_by("id")
    ]


def test_login_and_logout_are_recorded(client: Client) -> None:
    alice = make_user("alice")
    client.post("/accounts/login/", {"login": "alice", "password": PASSWORD})
    client.post("/accounts/logout/")
    assert events(client) == [
        ("login-user", Outcome.DONE, "alice", "alice"),
        ("logout-user", Outcome.DONE, "alice", "alice"),
    ]
    event = AuditEvent.objects.all()[0]
    assert (event.subject_type, event.subject_id, event.address) == ("user", str(alice.pk), "127.0.0.1")
    assert event.request_id.startswith("req-")


@pytest.mark.parametrize(
    ("login", "told"),
    [("alice", "alice"), ("alice@example.com", "alice"), ("charlie", "charlie"), ("x" * 150, "x" * 64)],
)
def test_failed_login_is_recorded_without_what_was_typed_as_password(client: Client, login: str, told: str) -> None:
    make_user("alice")
    client.post("/accounts/login/", {"login": login, "password": TYPED})
    assert events(client) == [("login-user", Outcome.REFUSED, "", told)]
    assert TYPED not in str(AuditEvent.objects.values().get())


def test_changed_password_is_recorded(client: Client) -> None:
    make_user("alice")
    client.post("/accounts/login/", {"login": "alice", "password": PASSWORD})
    new = "New-zebra-lamp-77"
    client.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new})
    assert ("change-password", Outcome.DONE, "alice", "alice") in events(client)
    assert new not in str(list(AuditEvent.objects.values()))
