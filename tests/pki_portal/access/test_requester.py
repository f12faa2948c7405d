from uuid import uuid4

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.test import RequestFactory
from pytest_django import Settings
from rest_framework.request import Request

from pki_portal.access.authentication import BearerAuthentication
from pki_portal.access.models import User
from pki_portal.access.requester import (
    anonymous_actor,
    client_address_of,
    requester_of,
    requester_of_identity,
    system_requester,
)
from pki_portal.errors import Unauthenticated
from tests.factories import make_identity, make_token, make_user

pytestmark = pytest.mark.django_db


def page_request(user: User | AnonymousUser, **meta: str) -> HttpRequest:
    request = RequestFactory().get("/", **meta)  # type: ignore[arg-type]
    request.user = user
    request.request_id = "req-1"  # type: ignore[attr-defined]
    return request


def test_page_request_is_of_its_user() -> None:
    alice = make_user()
    requester = requester_of(page_request(alice))
    assert (requester.kind, requester.id, requester.name) == ("user", str(alice.pk), "alice")
    assert (requester.address, requester.request_id) == ("127.0.0.1", "req-1")
    assert (requester.user_id, requester.identity_id) == (alice.pk, None)


def test_anonymous_page_request_is_refused() -> None:
    with pytest.raises(Unauthenticated):
        requester_of(page_request(AnonymousUser()))


def test_deactivated_user_is_refused() -> None:
    alice = make_user()
    alice.is_active = False
    with pytest.raises(Unauthenticated):
        requester_of(page_request(alice))


def test_api_request_is_of_its_identity() -> None:
    robot, _, _ = make_identity()
    wire = RequestFactory().get("/api/v1/projects", headers={"authorization": f"Bearer {make_token(robot)}"})
    requester = requester_of(Request(wire, authenticators=[BearerAuthentication()]))
    assert (requester.kind, requester.id, requester.identity_id) == ("identity", str(robot.pk), robot.pk)
    assert not requester.is_unlimited


def test_actor_says_the_same() -> None:
    identity_id = uuid4()
    actor = requester_of_identity(
        identity_id=identity_id, name="robot", can_create_projects=False, address="192.0.2.1", request_id="req-2"
    ).actor
    assert (actor.kind, actor.id, actor.name) == ("identity", str(identity_id), "robot")
    assert (actor.address, actor.request_id) == ("192.0.2.1", "req-2")


def test_superuser_and_system_are_unlimited() -> None:
    assert requester_of(page_request(make_user(is_superuser=True))).is_unlimited
    assert system_requester("sweep").is_unlimited


def test_address_is_the_peers_and_not_what_a_header_says() -> None:
    request = page_request(AnonymousUser(), REMOTE_ADDR="192.0.2.7", HTTP_X_FORWARDED_FOR="198.51.100.1")
    assert client_address_of(request) == "192.0.2.7"
    assert anonymous_actor(request).address == "192.0.2.7"


@pytest.mark.parametrize(
    ("proxies", "header", "address"),
    [
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        (2, "203.0.113.9, 198.51.100.1,192.0.2.7", "198.51.100.1"),
        (2, "198.51.100.1", "192.0.2.7"),
        (1, "", "192.0.2.7"),
        (1, "unknown", None),
    ],
)
def test_address_behind_proxies_is_what_the_outermost_wrote(
    settings: Settings, proxies: int, header: str, address: str | None
) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = page_request(AnonymousUser(), REMOTE_ADDR="192.0.2.7", HTTP_X_FORWARDED_FOR=header)
    assert client_address_of(request) == address
