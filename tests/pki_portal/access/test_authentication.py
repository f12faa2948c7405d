from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from pki_portal.access import universal_auth
from pki_portal.access.models import AccessToken
from pki_portal.access.universal_auth import Settings
from tests.assertions import assert_error
from tests.factories import PASSWORD, SYSTEM, make_actor, make_identity, make_project, make_token, make_user

pytestmark = pytest.mark.django_db

URL = "/api/v1/projects"


def client_with(header: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=header)
    return client


def test_bearer_token_is_taken() -> None:
    project = make_project()
    robot, _, _ = make_identity(project)
    response = client_with(f"Bearer {make_token(robot)}").get(URL)
    assert [found["id"] for found in response.json()["projects"]] == [str(project.pk)]


@pytest.mark.parametrize("keyword", ["bearer", "BEARER"])
def test_keyword_is_read_in_any_case(keyword: str) -> None:
    robot, _, _ = make_identity(make_project())
    assert client_with(f"{keyword} {make_token(robot)}").get(URL).status_code == 200


def test_authentication_is_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    project = make_project()
    robot, _, _ = make_identity(project)
    client = client_with(f"Bearer {make_token(robot)}")
    with django_assert_num_queries(3):  # the token; the role; the project
        assert client.get(f"{URL}/{project.pk}").status_code == 200


def test_no_credentials_is_401_with_the_scheme() -> None:
    response = APIClient().get(URL)
    assert_error(response, status=401, error="UnauthorizedError")
    assert response["WWW-Authenticate"] == "Bearer"


def test_another_scheme_is_401() -> None:
    assert_error(client_with("Basic YWxpY2U6eA==").get(URL), status=401, error="UnauthorizedError")


@pytest.mark.parametrize(
    "credential", ["", "x", "eyJhbGciOiJIUzI1NiJ9.e30.x", "pks_" + "a" * 43, "pkt_short", "pkt_" + "é" * 43]
)
def test_what_is_no_token_of_ours_is_403(credential: str) -> None:
    response = client_with(f"Bearer {credential}").get(URL)
    assert_error(response, status=403, error="TokenError")


def test_unknown_token_is_401() -> None:
    assert_error(client_with("Bearer pkt_" + "a" * 43).get(URL), status=401, error="UnauthorizedError")


def test_revoked_token_is_401() -> None:
    robot, _, _ = make_identity(make_project())
    token = make_token(robot)
    universal_auth.revoke(access_token=token, actor=make_actor())
    assert_error(client_with(f"Bearer {token}").get(URL), status=401, error="UnauthorizedError")


def test_expired_token_is_401() -> None:
    robot, _, _ = make_identity(make_project())
    token = make_token(robot)
    with time_machine.travel(timezone.now() + timedelta(days=31), tick=False):
        assert_error(client_with(f"Bearer {token}").get(URL), status=401, error="UnauthorizedError")


def test_token_of_a_detached_identity_is_401() -> None:
    robot, _, _ = make_identity(make_project())
    token = make_token(robot)
    universal_auth.detach(requester=SYSTEM, identity_id=robot.pk)
    assert_error(client_with(f"Bearer {token}").get(URL), status=401, error="UnauthorizedError")


def test_token_is_refused_from_an_address_that_is_not_trusted() -> None:
    robot, _, _ = make_identity(make_project())
    token = make_token(robot)
    universal_auth.update(
        requester=SYSTEM, identity_id=robot.pk, settings=Settings(access_token_trusted_ips=["192.0.2.0/24"])
    )
    assert_error(client_with(f"Bearer {token}").get(URL), status=403, error="ForbiddenError")
    assert client_with(f"Bearer {token}").get(URL, REMOTE_ADDR="192.0.2.9").status_code == 200


def test_token_with_a_use_limit_ends_after_it() -> None:
    robot, _, _ = make_identity(make_project())
    universal_auth.update(requester=SYSTEM, identity_id=robot.pk, settings=Settings(access_token_num_uses_limit=2))
    client = client_with(f"Bearer {make_token(robot)}")
    assert [client.get(URL).status_code for _ in range(3)] == [200, 200, 401]


def test_only_the_hash_of_a_token_is_stored() -> None:
    robot, _, _ = make_identity()
    token = make_token(robot)
    row = AccessToken.objects.get()
    assert token not in str(vars(row))
    assert len(row.token_hash) == 64


def test_session_of_a_person_is_taken_for_reading() -> None:
    project = make_project()
    make_user(project=project)
    client = APIClient()
    assert client.login(username="alice", password=PASSWORD)
    assert client.get(f"{URL}/{project.pk}").status_code == 200


def test_session_without_csrf_token_may_not_write() -> None:
    project = make_project()
    make_user(project=project)
    client = APIClient(enforce_csrf_checks=True)
    assert client.login(username="alice", password=PASSWORD)
    response = client.patch(f"{URL}/{project.pk}", {"name": "Other"}, format="json")
    assert_error(response, status=403, error="PermissionDenied")


def test_bearer_needs_no_csrf_token() -> None:
    project = make_project()
    robot, _, _ = make_identity(project)
    client = APIClient(enforce_csrf_checks=True)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {make_token(robot)}")
    assert client.patch(f"{URL}/{project.pk}", {"name": "Other"}, format="json").status_code == 200
