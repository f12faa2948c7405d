from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from pki_portal.access.models import Membership, Project, Role
from tests.assertions import assert_error
from tests.factories import make_identity, make_project, make_token, make_user

pytestmark = pytest.mark.django_db

PROJECTS = "/api/v1/projects"
IDENTITIES = "/api/v1/identities"


def client_of(project: Project | None = None, **options: Any) -> APIClient:
    """A client with robot's token."""
    robot, _, _ = make_identity(project, **options)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {make_token(robot)}")
    return client


def post(client: APIClient, url: str, body: Any) -> Any:
    return client.post(url, body, format="json")


# --- Create


def test_create_project_answers_it_wrapped_and_makes_the_caller_admin() -> None:
    client = client_of(can_create_projects=True)
    response = post(client, PROJECTS, {"projectName": " Payments ", "slug": "payments", "type": "cert-manager"})
    assert response.status_code == 200, response.json()
    project = response.json()["project"]
    assert project["name"] == "Payments"
    assert project["slug"] == "payments"
    assert project["type"] == "cert-manager"
    assert project["environments"] == []
    assert type(project["version"]) is int
    assert project["createdAt"].endswith("Z")
    assert Membership.objects.get().role == Role.ADMIN
    assert client.get(f"{PROJECTS}/{project['id']}").json() == {"project": project}


def test_create_project_without_a_slug_makes_one() -> None:
    response = post(client_of(can_create_projects=True), PROJECTS, {"projectName": "Payments Team"})
    assert response.json()["project"]["slug"] == "payments-team"


def test_create_project_ignores_keys_of_the_reference_and_says_so() -> None:
    body = {
        "projectName": "Payments",
        "projectDescription": None,
        "kmsKeyId": "x",
        "template": "default",
        "shouldCreateDefaultEnvs": True,
        "hasDeleteProtection": False,
    }
    response = post(client_of(can_create_projects=True), PROJECTS, body)
    assert response.status_code == 200
    assert len(response.json()["warnings"]) == 4


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/projectName"),
        ({"projectName": ""}, "/projectName"),
        ({"projectName": 5}, "/projectName"),
        ({"projectName": "a\x00b"}, ""),
        ({"projectName": "x" * 256}, "/projectName"),
        ({"projectName": "Acme", "slug": "four"}, "/slug"),
        ({"projectName": "Acme", "slug": "x" * 37}, "/slug"),
        ({"projectName": "Acme", "type": "secret-manager"}, "/type"),
        ({"projectName": "Acme", "projectDescription": "x" * 1001}, "/projectDescription"),
    ],
)
def test_create_project_refuses_the_wrong_form(body: dict[str, Any], pointer: str) -> None:
    response = post(client_of(can_create_projects=True), PROJECTS, body)
    assert_error(response, status=422, error="ValidationFailure", field=pointer)
    assert not Project.objects.exists()


@pytest.mark.parametrize("slug", ["with_underscore", "double--hyphen", "-start", "end-end-", "spa ces"])
def test_create_project_refuses_what_is_no_slug(slug: str) -> None:
    response = post(client_of(can_create_projects=True), PROJECTS, {"projectName": "Acme", "slug": slug})
    assert_error(response, status=400, error="BadRequest", field="/slug")


def test_create_project_lowers_the_slug() -> None:
    response = post(client_of(can_create_projects=True), PROJECTS, {"projectName": "Acme", "slug": " PayMents "})
    assert response.json()["project"]["slug"] == "payments"


def test_create_project_refuses_a_taken_slug() -> None:
    make_project(slug="payments")
    response = post(client_of(can_create_projects=True), PROJECTS, {"projectName": "Acme", "slug": "payments"})
    assert_error(response, status=400, error="BadRequest", field="/slug")


def test_create_project_is_refused_without_the_right() -> None:
    assert_error(
        post(client_of(make_project()), PROJECTS, {"projectName": "Acme"}), status=403, error="PermissionDenied"
    )


def test_create_project_is_refused_to_nobody() -> None:
    assert_error(post(APIClient(), PROJECTS, {"projectName": "Acme"}), status=401, error="UnauthorizedError")


# --- Read


def test_list_projects_pages_and_counts() -> None:
    robot, _, _ = make_identity()
    for number in range(3):
        robot.memberships.create(project=make_project(f"Acme {number}"), role=Role.VIEWER)
    make_project("Foreign")
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {make_token(robot)}")
    whole = client.get(PROJECTS).json()
    assert [project["name"] for project in whole["projects"]] == ["Acme 0", "Acme 1", "Acme 2"]
    assert whole["totalCount"] == 3
    page = client.get(PROJECTS, {"offset": 1, "limit": 1}).json()
    assert [project["name"] for project in page["projects"]] == ["Acme 1"]
    assert page["totalCount"] == 3
    assert client.get(PROJECTS, {"offset": 2147483647}).json()["projects"] == []


@pytest.mark.parametrize(
    "query", ["offset=-1", "limit=0", "limit=101", "offset=x", "limit=1.5", "offset=99999999999999999999", "limit=%00"]
)
def test_list_projects_refuses_a_bad_page(query: str) -> None:
    assert_error(client_of(make_project()).get(f"{PROJECTS}?{query}"), status=422, error="ValidationFailure")


def test_get_project_of_others_is_not_found() -> None:
    other = make_project()
    assert_error(client_of(make_project()).get(f"{PROJECTS}/{other.pk}"), status=404, error="NotFound")


def test_get_missing_project_is_not_found() -> None:
    assert_error(client_of(make_project()).get(f"{PROJECTS}/{uuid4()}"), status=404, error="NotFound")


@pytest.mark.parametrize("project_id", ["x", "1", "%00", "' OR 1=1", "a" * 3000])
def test_get_project_by_a_malformed_id_is_422(project_id: str) -> None:
    body = assert_error(
        client_of(make_project()).get(f"{PROJECTS}/{project_id}"),
        status=422,
        error="ValidationFailure",
        field="/projectId",
    )
    assert body["message"][0]["validation"] == "uuid"


@pytest.mark.parametrize("url", [f"{PROJECTS}/slug/demo", "/api/v2/workspace/demo"])
def test_project_by_slug_is_answered_unwrapped_in_both_spellings(url: str) -> None:
    project = make_project("Demo", slug="demo")
    body = client_of(project).get(url).json()
    assert {"id", "name", "slug", "type", "orgId", "version", "environments", "createdAt", "updatedAt"} <= set(body)
    assert (body["id"], body["slug"], body["environments"]) == (str(project.pk), "demo", [])


@pytest.mark.parametrize("slug", ["missing", "foreign", "%00", "é", "a" * 3000])
def test_project_by_slug_that_one_may_not_see_is_not_found(slug: str) -> None:
    make_project(slug="foreign")
    assert_error(client_of(make_project()).get(f"{PROJECTS}/slug/{slug}"), status=404, error="NotFound")


# --- Update


def test_patch_project_changes_what_is_given() -> None:
    project = make_project("Acme", slug="acme-one")
    response = client_of(project).patch(f"{PROJECTS}/{project.pk}", {"name": "Other", "x": 1}, format="json")
    assert response.json()["project"]["name"] == "Other"
    assert response.json()["project"]["slug"] == "acme-one"
    assert response.json()["warnings"] == ["/x is not known here and was ignored."]


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER, Role.NO_ACCESS])
def test_patch_project_is_refused_to_lesser_roles(role: Role) -> None:
    project = make_project()
    response = client_of(project, role=role).patch(f"{PROJECTS}/{project.pk}", {"name": "Mine"}, format="json")
    assert_error(response, status=403, error="PermissionDenied")


def test_patch_project_refuses_null() -> None:
    project = make_project()
    response = client_of(project).patch(f"{PROJECTS}/{project.pk}", {"name": None}, format="json")
    assert_error(response, status=422, error="ValidationFailure", field="/name")


def test_wrong_methods_are_405() -> None:
    project = make_project()
    client = client_of(project)
    assert_error(client.put(f"{PROJECTS}/{project.pk}", {}), status=405, error="MethodNotAllowed")
    assert_error(client.delete(PROJECTS), status=405, error="MethodNotAllowed")


# --- Identities and their memberships


def test_identity_is_created_and_given_a_role() -> None:
    project = make_project()
    client = client_of(project)
    identity = post(client, IDENTITIES, {"name": "agent"}).json()["identity"]
    assert identity["name"] == "agent"
    assert identity["authMethods"] == []
    assert identity["canCreateProjects"] is False
    url = f"{PROJECTS}/{project.pk}/identity-memberships/{identity['id']}"
    membership = post(client, url, {"role": "operator"}).json()["identityMembership"]
    assert (membership["identityId"], membership["projectId"]) == (identity["id"], str(project.pk))
    assert (membership["role"], membership["roles"]) == ("operator", [{"role": "operator"}])
    assert client.get(url).json()["identityMembership"] == membership
    changed = client.patch(url, {"role": "VIEWER"}, format="json").json()["identityMembership"]
    assert changed["role"] == "viewer"
    assert client.delete(url).json()["identityMembership"]["role"] == "viewer"
    assert_error(client.get(url), status=404, error="NotFound")


def test_identity_memberships_are_listed() -> None:
    project = make_project()
    client = client_of(project)
    make_user(project=project)
    body = client.get(f"{PROJECTS}/{project.pk}/identity-memberships").json()
    assert [found["identity"]["name"] for found in body["identityMemberships"]] == ["robot"]
    assert body["totalCount"] == 1


@pytest.mark.parametrize("body", [{}, {"role": "owner"}, {"role": None}, {"role": ["admin"]}, {"role": 1}])
def test_identity_membership_refuses_what_is_no_role(body: dict[str, Any]) -> None:
    project = make_project()
    response = post(client_of(project), f"{PROJECTS}/{project.pk}/identity-memberships/{uuid4()}", body)
    assert_error(response, status=422, error="ValidationFailure", field="/role")


def test_identity_membership_of_a_stranger_is_not_found() -> None:
    project = make_project()
    foreign, _, _ = make_identity(make_project(), name="foreign")
    client = client_of(project)
    url = f"{PROJECTS}/{project.pk}/identity-memberships/{foreign.pk}"
    assert_error(post(client, url, {"role": "admin"}), status=404, error="NotFound")
    assert_error(client.get(url), status=404, error="NotFound")
    assert_error(client.delete(url), status=404, error="NotFound")


def test_identity_raises_not_itself() -> None:
    project = make_project()
    robot, _, _ = make_identity(project, role=Role.OPERATOR)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {make_token(robot)}")
    url = f"{PROJECTS}/{project.pk}/identity-memberships/{robot.pk}"
    assert_error(client.patch(url, {"role": "admin"}, format="json"), status=403, error="PermissionDenied")
    assert robot.memberships.get().role == Role.OPERATOR


def test_last_admin_cannot_leave() -> None:
    project = make_project()
    robot, _, _ = make_identity(project)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {make_token(robot)}")
    response = client.delete(f"{PROJECTS}/{project.pk}/identity-memberships/{robot.pk}")
    assert_error(response, status=403, error="ForbiddenError")


def test_identities_are_listed_and_read_only_where_one_may_know_of_them() -> None:
    make_identity(make_project(), name="foreign")
    client = client_of(make_project())
    body = client.get(IDENTITIES).json()
    assert [found["name"] for found in body["identities"]] == ["robot"]
    assert body["identities"][0]["authMethods"] == ["universal-auth"]
    assert client.get(f"{IDENTITIES}/{body['identities'][0]['id']}").status_code == 200
    assert_error(client.get(f"{IDENTITIES}/{uuid4()}"), status=404, error="NotFound")
    assert_error(client.get(f"{IDENTITIES}/x"), status=422, error="ValidationFailure", field="/identityId")


def test_identity_is_renamed() -> None:
    project = make_project()
    robot, _, _ = make_identity(project)
    url = f"{IDENTITIES}/{robot.pk}"
    assert client_of(project).patch(url, {"name": "android"}, format="json").json()["identity"]["name"] == "android"


def test_identity_is_not_created_by_lesser_roles() -> None:
    response = post(client_of(make_project(), role=Role.OPERATOR), IDENTITIES, {"name": "agent"})
    assert_error(response, status=403, error="PermissionDenied")


# --- Users' memberships


def test_user_is_added_changed_and_removed() -> None:
    project = make_project()
    make_user("bob")
    client = client_of(project)
    url = f"{PROJECTS}/{project.pk}/memberships"
    membership = post(client, url, {"username": "bob", "role": "member"}).json()["membership"]
    assert (membership["user"]["username"], membership["role"]) == ("bob", "member")
    assert client.get(url).json()["totalCount"] == 1
    one = f"{url}/{membership['id']}"
    assert client.get(one).json()["membership"] == membership
    assert client.patch(one, {"role": "viewer"}, format="json").json()["membership"]["role"] == "viewer"
    assert client.delete(one).status_code == 200
    assert_error(client.get(one), status=404, error="NotFound")


def test_user_that_is_not_there_is_not_found() -> None:
    project = make_project()
    url = f"{PROJECTS}/{project.pk}/memberships"
    response = post(client_of(project), url, {"username": "nobody", "role": "member"})
    assert_error(response, status=404, error="NotFound")


def test_membership_of_another_project_is_not_found() -> None:
    project, other = make_project(), make_project()
    foreign = make_user("bob", project=other).memberships.get()
    client = client_of(project)
    assert_error(client.delete(f"{PROJECTS}/{project.pk}/memberships/{foreign.pk}"), status=404, error="NotFound")
    assert Membership.objects.filter(pk=foreign.pk).exists()


def test_identity_membership_cannot_be_reached_as_a_users() -> None:
    project = make_project()
    robot, _, _ = make_identity(project, name="other")
    url = f"{PROJECTS}/{project.pk}/memberships/{robot.memberships.get().pk}"
    assert_error(client_of(project).delete(url), status=404, error="NotFound")


def test_members_are_not_listed_to_members() -> None:
    project = make_project()
    response = client_of(project, role=Role.MEMBER).get(f"{PROJECTS}/{project.pk}/memberships")
    assert_error(response, status=403, error="PermissionDenied")


# --- Audit log


def test_audit_log_tells_acts_and_refusals_of_the_project_only() -> None:
    project = make_project()
    client = client_of(project)
    client.patch(f"{PROJECTS}/{project.pk}", {"name": "Other"}, format="json")
    client.patch(f"{PROJECTS}/{project.pk}", {"slug": "a--b-c"}, format="json")
    body = client.get(f"{PROJECTS}/{project.pk}/audit-logs", {"limit": 2}).json()
    assert [(event["event"], event["outcome"]) for event in body["auditLogs"]] == [
        ("update-project", "refused"),
        ("update-project", "done"),
    ]
    assert body["auditLogs"][0]["metadata"]["violations"][0]["field"] == "slug"
    assert body["auditLogs"][0]["requestId"].startswith("req-")
    assert body["auditLogs"][0]["ipAddress"] == "127.0.0.1"
    assert body["totalCount"] == 3


def test_audit_log_is_refused_to_viewers_and_hidden_from_others() -> None:
    project = make_project()
    url = f"{PROJECTS}/{project.pk}/audit-logs"
    assert_error(client_of(project, role=Role.VIEWER).get(url), status=403, error="PermissionDenied")
    assert_error(client_of(make_project(), name="other").get(url), status=404, error="NotFound")


def test_a_member_is_told_of_by_id_and_username_alone() -> None:
    project = make_project()
    client = client_of(project)
    charlie = make_user("charlie")
    added = post(client, f"{PROJECTS}/{project.pk}/memberships", {"username": "charlie", "role": "viewer"})
    assert added.status_code == 200, added.json()
    assert added.json()["membership"]["user"] == {"id": str(charlie.pk), "username": "charlie"}
    assert "charlie@example.com" not in client.get(f"{PROJECTS}/{project.pk}/memberships").content.decode()
