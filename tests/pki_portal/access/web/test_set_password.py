from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from pki_portal.access.models import SetPasswordLink, User
from pki_portal.access.services import make_set_password_link
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import PermissionDenied
from tests.factories import PASSWORD, SYSTEM, make_project, make_user, requester_for

pytestmark = pytest.mark.django_db

FORM = "/accounts/set-password/"
NEW = "a much better passphrase"


def path_of(link: str) -> str:
    return urlsplit(link).path


def submit(client: Client, password: str = NEW, repeated: str | None = None) -> Any:
    return client.post(FORM, {"password": password, "repeated": password if repeated is None else repeated})


def test_link_sets_the_password_and_logs_in(client: Client) -> None:
    alice = make_user()
    opened = client.get(path_of(make_set_password_link(requester=SYSTEM, user=alice)))
    assert (opened.status_code, opened["Location"]) == (302, FORM)
    page = client.get(FORM)
    assert page.status_code == 200
    assert b"alice" in page.content
    answer = submit(client)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert client.session["_auth_user_id"] == str(alice.pk)
    alice.refresh_from_db()
    assert alice.check_password(NEW)
    told = [(event.event, event.actor_name) for event in AuditEvent.objects.all()[:2]]
    assert told == [("login-user", "alice"), ("set-password", "alice")]


def test_link_is_absolute_and_its_token_is_stored_nowhere() -> None:
    link = make_set_password_link(requester=SYSTEM, user=make_user())
    assert link.startswith("http://pki.test/accounts/set-password/")
    token = path_of(link).rstrip("/").rsplit("/", 1)[1]
    assert len(token) == 43
    assert token not in str(vars(SetPasswordLink.objects.get()))
    assert not any(token in str(event.data) for event in AuditEvent.objects.all())


def test_link_is_recorded_with_whoever_made_it() -> None:
    root = requester_for(make_user("root", is_superuser=True))
    make_set_password_link(requester=root, user=make_user())
    event = AuditEvent.objects.get(event="create-set-password-link")
    assert (event.actor_kind, event.actor_id, event.actor_name) == ("user", root.id, "root")


def test_only_an_administrator_makes_a_link() -> None:
    bob = make_user("bob", project=make_project())
    with pytest.raises(PermissionDenied):
        make_set_password_link(requester=requester_for(bob), user=make_user())
    assert not SetPasswordLink.objects.exists()
    event = AuditEvent.objects.get(event="create-set-password-link")
    assert (event.outcome, event.actor_name) == ("refused", "bob")


def test_token_leaves_the_address_at_once_and_is_not_in_the_session(client: Client) -> None:
    path = path_of(make_set_password_link(requester=SYSTEM, user=make_user()))
    opened = client.get(path)
    token = path.rstrip("/").rsplit("/", 1)[1]
    assert opened["Referrer-Policy"] == "no-referrer"
    assert "no-store" in opened["Cache-Control"]
    assert token not in opened["Location"]
    assert token not in str(dict(client.session))


def test_looking_does_not_use_the_link_up(client: Client) -> None:
    path = path_of(make_set_password_link(requester=SYSTEM, user=make_user()))
    for _ in range(3):
        assert Client().get(path).status_code == 302
    client.get(path)
    assert submit(client).status_code == 302


def test_link_works_once(client: Client) -> None:
    alice = make_user()
    path = path_of(make_set_password_link(requester=SYSTEM, user=alice))
    client.get(path)
    submit(client)
    assert client.get(path).status_code == 410
    assert submit(client).status_code == 410


def test_link_opened_twice_works_for_the_first_only(client: Client) -> None:
    alice = make_user()
    path = path_of(make_set_password_link(requester=SYSTEM, user=alice))
    second = Client()
    client.get(path)
    second.get(path)
    assert submit(client).status_code == 302
    assert submit(second, "another fine passphrase").status_code == 410
    alice.refresh_from_db()
    assert alice.check_password(NEW)


def test_other_links_of_the_person_end_too(client: Client) -> None:
    alice = make_user()
    other = path_of(make_set_password_link(requester=SYSTEM, user=alice))
    client.get(path_of(make_set_password_link(requester=SYSTEM, user=alice)))
    submit(client)
    assert Client().get(other).status_code == 410


def test_link_of_another_person_stays(client: Client) -> None:
    bobs = path_of(make_set_password_link(requester=SYSTEM, user=make_user("bob")))
    client.get(path_of(make_set_password_link(requester=SYSTEM, user=make_user())))
    submit(client)
    assert Client().get(bobs).status_code == 302


@pytest.mark.parametrize("hours", [0, 23])
def test_link_lives_a_day(client: Client, hours: int) -> None:
    path = path_of(make_set_password_link(requester=SYSTEM, user=make_user()))
    with time_machine.travel(timezone.now() + timedelta(hours=hours), tick=False):
        assert client.get(path).status_code == 302


def test_link_ends_after_a_day_also_when_it_was_opened_before(client: Client) -> None:
    path = path_of(make_set_password_link(requester=SYSTEM, user=make_user()))
    client.get(path)
    link = SetPasswordLink.objects.get()
    link.expires_at = timezone.now()
    link.save(update_fields=["expires_at"])
    assert client.get(path).status_code == 410
    assert submit(client).status_code == 410


@pytest.mark.parametrize("token", ["x", "a" * 43, "%00", "é"])
def test_unknown_token_is_gone(client: Client, token: str) -> None:
    assert client.get(f"{FORM}{token}/").status_code == 410


def test_form_without_a_link_is_gone(client: Client) -> None:
    assert client.get(FORM).status_code == 410
    assert submit(client).status_code == 410


def test_deactivated_person_has_no_link(client: Client) -> None:
    alice = make_user()
    path = path_of(make_set_password_link(requester=SYSTEM, user=alice))
    User.objects.update(is_active=False)
    assert client.get(path).status_code == 410


@pytest.mark.parametrize(
    ("password", "repeated"),
    [
        ("short", "short"),
        ("alice@example.com", "alice@example.com"),
        (NEW, "different"),
        ("", ""),
        ("12" * 20, "12" * 20),
    ],
)
def test_bad_password_is_refused_and_the_link_stays_open(client: Client, password: str, repeated: str) -> None:
    alice = make_user()
    client.get(path_of(make_set_password_link(requester=SYSTEM, user=alice)))
    answer = submit(client, password, repeated)
    assert answer.status_code == 200
    assert b"aria-invalid" in answer.content
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)
    assert submit(client).status_code == 302


def test_wrong_methods_are_405(client: Client) -> None:
    path = path_of(make_set_password_link(requester=SYSTEM, user=make_user()))
    assert client.post(path).status_code == 405
    assert client.put(FORM).status_code == 405


def test_form_needs_the_csrf_token() -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.get(path_of(make_set_password_link(requester=SYSTEM, user=make_user())))
    assert submit(strict).status_code == 403


def test_session_of_somebody_else_does_not_survive(client: Client) -> None:
    bob = make_user("bob")
    alice = make_user()
    client.force_login(bob)
    client.get(path_of(make_set_password_link(requester=SYSTEM, user=alice)))
    submit(client)
    assert client.session["_auth_user_id"] == str(alice.pk)
