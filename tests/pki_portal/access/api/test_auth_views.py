from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.test import Client
from rest_framework.test import APIClient

from pki_portal.access.models import AccessToken, ClientSecret, Role
from tests.assertions import assert_error
from tests.factories import make_identity, make_project, make_token

pytestmark = pytest.mark.django_db

LOGIN = "/api/v1/auth/universal-auth/login"
RENEW = "/api/v1/auth/token/renew"
REVOKE = "/api/v1/auth/token/revoke"


def post(client: Any, url: str, body: Any) -> Any:
    return client.post(url, body, content_type="application/json")


def admin_client() -> tuple[APIClient, str]:
    """A client of robot, admin of its project, and the address of robot's own universal auth."""
    robot, _, _ = make_identity(make_project())
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {make_token(robot)}")
    return client, f"/api/v1/auth/universal-auth/identities/{robot.pk}"


# --- Login


def test_login_as_json(client: Client) -> None:
    _, client_id, client_secret = make_identity()
    response = post(client, LOGIN, {"clientId": client_id, "clientSecret": client_secret, "organizationSlug": "acme"})
    body = response.json()
    assert response.status_code == 200, body
    assert set(body) == {"accessToken", "expiresIn", "accessTokenMaxTTL", "tokenType"}
    assert body["tokenType"] == "Bearer"
    assert type(body["expiresIn"]) is int
    assert body["expiresIn"] > 30
    assert type(body["accessTokenMaxTTL"]) is int
    assert response["Cache-Control"] == "no-store"
    listed = client.get("/api/v1/projects", headers={"authorization": f"Bearer {body['accessToken']}"})
    assert listed.status_code == 200


def test_login_as_form(client: Client) -> None:
    _, client_id, client_secret = make_identity()
    body = urlencode({"clientId": client_id, "clientSecret": client_secret})
    response = client.post(LOGIN, body, content_type="application/x-www-form-urlencoded")
    assert response.status_code == 200, response.json()


def test_login_takes_the_exact_bytes_of_a_compact_client(client: Client) -> None:
    _, client_id, client_secret = make_identity()
    raw = f'{{"clientId":"{client_id}","clientSecret":"{client_secret}"}}'.encode()
    response = client.generic("POST", LOGIN, raw, content_type="application/json; charset=utf-8")
    assert response.status_code == 200


def test_login_needs_no_csrf_token_and_no_cookie() -> None:
    _, client_id, client_secret = make_identity()
    strict = Client(enforce_csrf_checks=True)
    response = post(strict, LOGIN, {"clientId": client_id, "clientSecret": client_secret})
    assert response.status_code == 200
    assert not response.cookies


def test_login_looks_past_a_stale_token(client: Client) -> None:
    _, client_id, client_secret = make_identity()
    response = client.post(
        LOGIN,
        {"clientId": client_id, "clientSecret": client_secret},
        content_type="application/json",
        headers={"authorization": "Bearer stale"},
    )
    assert response.status_code == 200


def test_unknown_id_and_wrong_secret_are_answered_alike(client: Client) -> None:
    _, client_id, client_secret = make_identity()
    answers = []
    for given in ({"clientId": str(uuid4()), "clientSecret": client_secret}, {"clientId": client_id}):
        response = post(client, LOGIN, {"clientSecret": "pks_wrong"} | given)
        body = assert_error(response, status=401, error="UnauthorizedError")
        answers.append((body["message"], body["details"]))
    assert answers[0] == answers[1]


def test_repeated_failures_are_429_with_retry_after(client: Client) -> None:
    _, client_id, _ = make_identity()
    responses = [post(client, LOGIN, {"clientId": client_id, "clientSecret": "pks_wrong"}) for _ in range(4)]
    assert [response.status_code for response in responses] == [401, 401, 401, 429]
    assert_error(responses[3], status=429, error="RateLimitExceeded")
    assert 1 <= int(responses[3]["Retry-After"]) <= 60


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/clientId"),
        ({"clientId": "x"}, "/clientSecret"),
        ({"clientId": 5, "clientSecret": "x"}, "/clientId"),
        ({"clientId": "x", "clientSecret": None}, "/clientSecret"),
        ({"clientId": "x", "clientSecret": ["x"]}, "/clientSecret"),
        ({"clientId": "x" * 256, "clientSecret": "x"}, "/clientId"),
        ({"clientId": "", "clientSecret": "x"}, "/clientId"),
    ],
)
def test_login_refuses_the_wrong_form(client: Client, body: dict[str, Any], pointer: str) -> None:
    assert_error(post(client, LOGIN, body), status=422, error="ValidationFailure", field=pointer)


def test_a_refused_form_does_not_echo_the_secret(client: Client) -> None:
    response = post(client, LOGIN, {"clientId": 5, "clientSecret": "pks_do-not-echo"})
    assert b"do-not-echo" not in response.content


@pytest.mark.parametrize("raw", [b"clientId=%00&clientSecret=x", b"clientId=" + b"a" * 2_000_000, b"a=b&" * 5000])
def test_hostile_forms_are_refused(client: Client, raw: bytes) -> None:
    response = client.generic("POST", LOGIN, raw, content_type="application/x-www-form-urlencoded")
    assert response.status_code in {413, 422}
    assert response.json()["statusCode"] == response.status_code


# --- Tokens


def test_renew_answers_the_same_token_with_a_new_life(client: Client) -> None:
    admin, url = admin_client()
    assert admin.patch(url, {"accessTokenTTL": 100, "accessTokenMaxTTL": 1000}, format="json").status_code == 200
    token = make_token(AccessToken.objects.get().universal_auth.identity)
    response = post(client, RENEW, {"accessToken": token})
    assert response.json() == {
        "accessToken": token,
        "expiresIn": 100,
        "accessTokenMaxTTL": 1000,
        "tokenType": "Bearer",
    }


@pytest.mark.parametrize("url", [RENEW, REVOKE])
@pytest.mark.parametrize(
    ("token", "status", "error"),
    [
        ("x", 403, "TokenError"),
        ("pkt_" + "a" * 43, 401, "UnauthorizedError"),
        (5, 422, "ValidationFailure"),
        (None, 422, "ValidationFailure"),
    ],
)
def test_what_is_no_valid_token_is_refused(client: Client, url: str, token: object, status: int, error: str) -> None:
    assert_error(post(client, url, {"accessToken": token}), status=status, error=error)


def test_revoke_ends_the_token(client: Client) -> None:
    robot, _, _ = make_identity(make_project())
    token = make_token(robot)
    assert post(client, REVOKE, {"accessToken": token}).status_code == 200
    assert_error(post(client, REVOKE, {"accessToken": token}), status=401, error="UnauthorizedError")
    response = client.get("/api/v1/projects", headers={"authorization": f"Bearer {token}"})
    assert_error(response, status=401, error="UnauthorizedError")


# --- Configuration


def test_universal_auth_is_attached_read_changed_and_detached() -> None:
    client, _ = admin_client()
    identity = post(client, "/api/v1/identities", '{"name": "agent"}').json()["identity"]
    url = f"/api/v1/auth/universal-auth/identities/{identity['id']}"
    assert_error(client.get(url), status=404, error="NotFound")
    attached = client.post(url, {"accessTokenTrustedIps": [{"ipAddress": "192.0.2.0/24"}]}, format="json").json()
    configuration = attached["identityUniversalAuth"]
    assert configuration["accessTokenTrustedIps"] == [{"ipAddress": "192.0.2.0", "type": "ipv4", "prefix": 24}]
    assert configuration["clientSecretTrustedIps"] == [
        {"ipAddress": "0.0.0.0", "type": "ipv4", "prefix": 0},  # noqa: S104  # a network, nothing binds
        {"ipAddress": "::", "type": "ipv6", "prefix": 0},
    ]
    assert type(configuration["accessTokenTTL"]) is int
    assert_error(client.post(url, {}, format="json"), status=400, error="BadRequest")
    changed = client.patch(url, {"accessTokenTTL": 3600, "accessTokenPeriod": 5}, format="json").json()
    assert changed["identityUniversalAuth"]["accessTokenTTL"] == 3600
    assert changed["warnings"] == ["/accessTokenPeriod is not known here and was ignored."]
    assert client.get(url).json()["identityUniversalAuth"] == changed["identityUniversalAuth"]
    assert client.delete(url).status_code == 200
    assert_error(client.get(url), status=404, error="NotFound")


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"accessTokenTTL": 5}, 400, "BadRequest"),
        ({"accessTokenTTL": 100, "accessTokenMaxTTL": 50}, 400, "BadRequest"),
        ({"accessTokenTTL": -1}, 422, "ValidationFailure"),
        ({"accessTokenTTL": 315360001}, 422, "ValidationFailure"),
        ({"accessTokenTTL": "100"}, 422, "ValidationFailure"),
        ({"accessTokenTTL": 1e300}, 422, "ValidationFailure"),
        ({"accessTokenTrustedIps": "x"}, 422, "ValidationFailure"),
        ({"accessTokenTrustedIps": [{"ipAddress": "x"}]}, 422, "ValidationFailure"),
        ({"accessTokenTrustedIps": [{"ipAddress": "1.1.1.1"}] * 101}, 422, "ValidationFailure"),
        ({"accessTokenTrustedIps": ["x"]}, 422, "ValidationFailure"),
    ],
)
def test_universal_auth_refuses_bad_settings(body: dict[str, Any], status: int, error: str) -> None:
    client, url = admin_client()
    assert_error(client.patch(url, body, format="json"), status=status, error=error)


def test_bad_network_is_named_by_its_place() -> None:
    client, url = admin_client()
    body = {"accessTokenTrustedIps": [{"ipAddress": "192.0.2.1"}, {"ipAddress": "x"}]}
    assert_error(
        client.patch(url, body, format="json"),
        status=422,
        error="ValidationFailure",
        field="/accessTokenTrustedIps/1/ipAddress",
    )


# --- Client secrets


def test_client_secret_is_made_shown_once_used_and_revoked(client: Client) -> None:
    admin, url = admin_client()
    response = admin.post(f"{url}/client-secrets", {"description": "ci", "ttl": 3600, "numUsesLimit": 5}, format="json")
    body = response.json()
    data = body["clientSecretData"]
    assert response["Cache-Control"] == "no-store"
    assert data["description"] == "ci"
    assert (data["clientSecretTTL"], data["clientSecretNumUsesLimit"], data["clientSecretNumUses"]) == (3600, 5, 0)
    assert data["isClientSecretRevoked"] is False
    assert data["clientSecretPrefix"] == body["clientSecret"].removeprefix("pks_")[:4]

    listed = admin.get(f"{url}/client-secrets")
    assert data["id"] in [row["id"] for row in listed.json()["clientSecretData"]]
    assert body["clientSecret"].encode() not in listed.content

    client_id = admin.get(url).json()["identityUniversalAuth"]["clientId"]
    given = {"clientId": client_id, "clientSecret": body["clientSecret"]}
    assert post(client, LOGIN, given).status_code == 200

    one = f"{url}/client-secrets/{data['id']}"
    assert admin.get(one).json()["clientSecretData"]["clientSecretNumUses"] == 1
    assert admin.post(f"{one}/revoke").json()["clientSecretData"]["isClientSecretRevoked"] is True
    assert_error(admin.post(f"{one}/revoke"), status=400, error="BadRequest")
    assert_error(post(client, LOGIN, given), status=401, error="UnauthorizedError")


def test_client_secret_is_made_by_an_empty_post_without_content_type() -> None:
    admin, url = admin_client()
    response = admin.generic("POST", f"{url}/client-secrets", "", content_type="")
    assert response.status_code == 200, response.content


@pytest.mark.parametrize(
    "body", [{"ttl": -1}, {"ttl": 315360001}, {"ttl": "x"}, {"numUsesLimit": 2**31}, {"description": "x" * 256}]
)
def test_client_secret_refuses_the_wrong_form(body: dict[str, Any]) -> None:
    admin, url = admin_client()
    response = admin.post(f"{url}/client-secrets", body, format="json")
    assert_error(response, status=422, error="ValidationFailure")


def test_client_secrets_of_others_are_not_found() -> None:
    admin, _ = admin_client()
    foreign, _, _ = make_identity(make_project(), name="foreign")
    url = f"/api/v1/auth/universal-auth/identities/{foreign.pk}"
    for response in (
        admin.get(url),
        admin.patch(url, {}, format="json"),
        admin.delete(url),
        admin.get(f"{url}/client-secrets"),
        admin.post(f"{url}/client-secrets", {}, format="json"),
        admin.post(f"{url}/client-secrets/{ClientSecret.objects.first().pk}/revoke"),  # type: ignore[union-attr]
    ):
        assert_error(response, status=404, error="NotFound")


def test_client_secret_is_refused_to_a_viewer() -> None:
    project = make_project()
    robot, _, _ = make_identity(project)
    viewer, _, _ = make_identity(project, role=Role.VIEWER, name="viewer")
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {make_token(viewer)}")
    url = f"/api/v1/auth/universal-auth/identities/{robot.pk}/client-secrets"
    assert client.get(url).status_code == 200
    assert_error(client.post(url, {}, format="json"), status=403, error="PermissionDenied")


@pytest.mark.parametrize("tail", ["x", "x/client-secrets", "x/client-secrets/y", "x/client-secrets/y/revoke"])
def test_malformed_ids_are_422(tail: str) -> None:
    client, _ = admin_client()
    url = f"/api/v1/auth/universal-auth/identities/{tail}"
    response = client.post(url) if tail.endswith("revoke") else client.get(url)
    assert_error(response, status=422, error="ValidationFailure", field="/identityId")


def test_configuration_is_refused_to_nobody() -> None:
    _, url = admin_client()
    assert_error(APIClient().get(url), status=401, error="UnauthorizedError")
    assert_error(APIClient().post(f"{url}/client-secrets"), status=401, error="UnauthorizedError")
