"""Refusals at the doors: each is recorded once, and strangers cannot fill the log."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from pki_portal.access import universal_auth
from pki_portal.access.models import Membership, Project, Role
from pki_portal.access.universal_auth import Settings
from pki_portal.audit.models import AuditEvent, Outcome
from tests.factories import SYSTEM, make_identity, make_project, make_token, make_user
from tests.wire import CERTIFICATES, make_client, make_pki, post_json

pytestmark = pytest.mark.django_db

RENEW, REVOKE = "/api/v1/auth/token/renew", "/api/v1/auth/token/revoke"


def refused() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(outcome=Outcome.REFUSED))


def send(client: Client, method: str, path: str, body: Any = None) -> int:
    return client.generic(method, path, body or "{}", content_type="application/json").status_code


def test_member_who_may_not_is_recorded(client: Client) -> None:
    project = make_project()
    membership = Membership.objects.get(user=make_user("alice", project=project))
    member = make_client(project, role=Role.MEMBER)
    path = f"/api/v1/projects/{project.pk}/memberships/{membership.pk}"
    assert send(member, "PATCH", path, '{"role": "viewer"}') == 403
    (event,) = refused()
    assert (event.actor_kind, event.actor_name, event.project_id) == ("identity", "robot", project.pk)
    assert (event.subject_id, event.data["method"], event.data["kind"]) == (path, "PATCH", "permission_denied")


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["memberships/{id}", "identity-memberships/{id}", ""])
def test_outsider_is_recorded(method: str, path: str) -> None:
    project: Project = make_project()
    outsider = make_client(make_project())
    url = f"/api/v1/projects/{project.pk}/{path.format(id=uuid4())}".rstrip("/")
    status = send(outsider, method, url, '{"role": "viewer", "name": "mine"}')
    assert (status, len(refused())) == ((405, 0) if (method, path) == ("DELETE", "") else (404, 1))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", CERTIFICATES, "{}"),
        ("POST", CERTIFICATES, "[1"),
        ("PATCH", f"/api/v1/cert-manager/certificate-templates/{uuid4()}", '{"name": "x"}'),
        ("DELETE", f"/api/v1/cert-manager/certificate-profiles/{uuid4()}", ""),
        ("DELETE", f"/api/v1/cert-manager/ca/internal/{uuid4()}", ""),
    ],
)
def test_every_refused_change_is_recorded_once(method: str, path: str, body: str) -> None:
    client = make_client(make_project())
    assert send(client, method, path, body) in {404, 422}
    assert len(refused()) == 1


def test_refusal_that_a_service_recorded_is_not_recorded_again() -> None:
    pki = make_pki()
    outsider = make_client(make_project())
    body = {"profileId": str(pki.profile.pk), "attributes": {"commonName": "a.example.com", "ttl": "1d"}}
    assert post_json(outsider, CERTIFICATES, body).status_code == 404
    assert len(refused()) == 1


def test_reading_is_not_recorded() -> None:
    assert make_client(make_project()).get(f"/api/v1/projects/{uuid4()}").status_code == 404
    assert refused() == []


def test_token_from_an_untrusted_address_is_recorded_at_every_door(client: Client) -> None:
    robot, _, _ = make_identity(make_project())
    token = make_token(robot)
    universal_auth.update(
        requester=SYSTEM, identity_id=robot.pk, settings=Settings(access_token_trusted_ips=["192.0.2.1"])
    )
    bearer = Client(headers={"Authorization": f"Bearer {token}"})
    assert bearer.get("/api/v1/projects").status_code == 403
    assert bearer.post("/api/v1/projects").status_code == 403
    for path in (RENEW, REVOKE):
        assert post_json(client, path, {"accessToken": token}).status_code == 403
    found = [(event.event, event.actor_name, event.subject_id) for event in reversed(refused())]
    about = ("robot", str(robot.pk))
    assert found == [
        ("use-identity-access-token", *about),
        ("use-identity-access-token", *about),
        ("renew-identity-access-token", *about),
        ("revoke-identity-access-token", *about),
    ]


@pytest.mark.parametrize("path", [RENEW, REVOKE])
@pytest.mark.parametrize("token", ["nonsense", "pkt_" + "x" * 43])
def test_unknown_token_is_recorded_without_its_text(client: Client, path: str, token: str) -> None:
    assert post_json(client, path, {"accessToken": token}).status_code in {401, 403}
    (event,) = refused()
    assert event.actor_kind == "anonymous"
    assert token not in str(AuditEvent.objects.filter(pk=event.pk).values())


def test_strangers_cannot_fill_the_log(client: Client) -> None:
    for _ in range(60):
        assert post_json(client, "/api/v1/projects", {}).status_code == 401
    assert 0 < len(refused()) < 40


def test_page_of_another_project_is_recorded_when_something_is_posted(client: Client) -> None:
    project = make_project()
    client.force_login(make_user("charlie"))
    for method, count in (("GET", 0), ("POST", 1)):
        assert client.generic(method, f"/projects/{project.slug}/certificates/issue/").status_code == 404
        assert len(refused()) == count
    assert refused()[0].actor_name == "charlie"
