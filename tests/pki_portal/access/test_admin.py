import re

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from pki_portal.access import universal_auth
from pki_portal.access.models import ClientSecret, MachineIdentity, Membership, Project, Role, User
from pki_portal.audit.models import AuditEvent
from tests.factories import PASSWORD, make_actor, make_identity, make_project, make_user
from tests.scenery import make_issuing_profile

pytestmark = [pytest.mark.django_db, pytest.mark.ignore_template_errors]

ADMIN = "/admin/access"


@pytest.fixture
def administrator(client: Client) -> Client:
    client.force_login(make_user("root", is_superuser=True))
    return client


@pytest.mark.parametrize("model", ["user", "project", "membership", "machineidentity", "clientsecret"])
def test_every_page_answers(administrator: Client, model: str) -> None:
    project = make_project()
    make_user(project=project)
    make_identity(project)
    assert administrator.get(f"{ADMIN}/{model}/").status_code == 200
    assert administrator.get(f"{ADMIN}/{model}/add/").status_code == 200
    listed = administrator.get(f"{ADMIN}/{model}/").content.decode()
    change = re.search(rf"{ADMIN}/{model}/[^/\"]+/change/", listed)
    assert change
    assert administrator.get(change[0]).status_code == 200


def test_project_is_created_by_the_service(administrator: Client) -> None:
    response = administrator.post(f"{ADMIN}/project/add/", {"name": "Payments", "slug": "payments", "description": ""})
    assert response.status_code == 302
    assert Project.objects.get().memberships.get().role == Role.ADMIN
    event = AuditEvent.objects.first()
    assert event is not None
    assert (event.event, event.actor_name) == ("create-project", "root")


@pytest.mark.parametrize("slug", ["not_a_slug", "Upper", "taken"])
def test_refusal_is_an_error_of_the_form_and_makes_no_row(administrator: Client, slug: str) -> None:
    make_project(slug="taken")
    response = administrator.post(f"{ADMIN}/project/add/", {"name": "Payments", "slug": slug, "description": ""})
    assert response.status_code == 200
    assert "errorlist" in response.content.decode()
    assert Project.objects.count() == 1
    assert not LogEntry.objects.exists()


def test_project_is_changed_by_the_service(administrator: Client) -> None:
    project = make_project("Acme", slug="acme-one")
    url = f"{ADMIN}/project/{project.pk}/change/"
    assert administrator.post(url, {"name": "Other", "slug": "acme-one", "description": "d"}).status_code == 302
    project.refresh_from_db()
    assert (project.name, project.description) == ("Other", "d")
    event = AuditEvent.objects.first()
    assert event is not None
    assert event.event == "update-project"


@pytest.mark.parametrize(
    ("model", "action"),
    [
        ("access/clientsecret", "revoke"),
        ("access/membership", "remove"),
        ("access/user", "make_set_password_link"),
        ("certificates/certificateauthority", "disable"),
        ("profiles/certificatetemplate", "remove"),
        ("profiles/certificateprofile", "remove"),
    ],
)
@pytest.mark.parametrize("key", ["", "nonsense", "9" * 23, "\0"])
def test_an_action_on_what_can_be_no_row_does_nothing_and_says_so(
    administrator: Client, model: str, action: str, key: str
) -> None:
    make_issuing_profile(make_project())
    form = {"action": action, "_selected_action": [key]}
    page = administrator.post(f"/admin/{model}/", form, follow=True)
    assert page.status_code == 200
    assert "Nothing was done: choose rows of this list." in page.content.decode()


@pytest.mark.parametrize("field", ["", "nonsense", "\0"])
def test_a_row_is_found_by_no_field_that_is_not_there(administrator: Client, field: str) -> None:
    project = make_issuing_profile(make_project()).project
    event = AuditEvent.objects.first()
    assert event is not None
    for row in (event, project):
        address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
        assert administrator.get(address, {"_to_field": field}).status_code == (400 if field else 200)


def test_nothing_is_deleted(administrator: Client) -> None:
    project = make_project()
    assert administrator.post(f"{ADMIN}/project/{project.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Project.objects.exists()


def test_member_is_added_changed_and_removed(administrator: Client) -> None:
    project = make_project()
    make_user(project=project)
    bob = make_user("bob")
    given = {"project": project.pk, "user": "bob", "identity": "", "role": "member"}
    assert administrator.post(f"{ADMIN}/membership/add/", given).status_code == 302
    membership = bob.memberships.get()
    url = f"{ADMIN}/membership/{membership.pk}/change/"
    assert administrator.post(url, {"role": "viewer"}).status_code == 302
    membership.refresh_from_db()
    assert membership.role == Role.VIEWER
    action = {"action": "remove", "_selected_action": str(membership.pk)}
    assert administrator.post(f"{ADMIN}/membership/", action).status_code == 302
    assert not bob.memberships.exists()


def test_last_admin_is_not_demoted_and_the_refusal_is_shown(administrator: Client) -> None:
    membership = make_user(project=make_project()).memberships.get()
    response = administrator.post(f"{ADMIN}/membership/{membership.pk}/change/", {"role": "viewer"})
    assert "The last admin of a project stays" in response.content.decode()
    shown = administrator.post(
        f"{ADMIN}/membership/", {"action": "remove", "_selected_action": str(membership.pk)}, follow=True
    )
    assert "The last admin of a project stays" in shown.content.decode()
    assert Membership.objects.get(pk=membership.pk).role == Role.ADMIN


@pytest.mark.parametrize("both", [True, False])
def test_membership_is_of_a_user_or_an_identity(administrator: Client, both: bool) -> None:
    project = make_project()
    robot, _, _ = make_identity()
    user = make_user("bob")
    given = {"project": project.pk, "role": "member"} | ({"user": user.username, "identity": robot.pk} if both else {})
    response = administrator.post(f"{ADMIN}/membership/add/", given)
    assert "not both" in response.content.decode()
    assert not Membership.objects.exists()


def test_identity_is_created_ready_for_secrets(administrator: Client) -> None:
    response = administrator.post(f"{ADMIN}/machineidentity/add/", {"name": "robot", "can_create_projects": "on"})
    assert response.status_code == 302
    robot = MachineIdentity.objects.get()
    assert robot.can_create_projects
    assert robot.universal_auth.client_id


def test_client_secret_is_shown_once_and_kept_nowhere(administrator: Client) -> None:
    robot, client_id, _ = make_identity()
    given = {"universal_auth": robot.universal_auth.pk, "description": "ci", "num_uses_limit": 0, "ttl": 0}
    response = administrator.post(f"{ADMIN}/clientsecret/add/", given)
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    found = re.search(r"pks_[A-Za-z0-9_-]{43}", response.content.decode())
    assert found
    secret = found[0]
    assert universal_auth.log_in(client_id=client_id, client_secret=secret, actor=make_actor())
    assert secret not in str(dict(administrator.session))
    assert secret not in str(administrator.cookies)
    assert secret not in str(list(LogEntry.objects.values()))
    assert secret not in administrator.get(f"{ADMIN}/clientsecret/").content.decode()
    row = ClientSecret.objects.get(description="ci")
    assert secret not in administrator.get(f"{ADMIN}/clientsecret/{row.pk}/change/").content.decode()


def test_client_secret_is_not_changed_but_revoked(administrator: Client) -> None:
    make_identity()
    row = ClientSecret.objects.get()
    url = f"{ADMIN}/clientsecret/{row.pk}/change/"
    assert administrator.post(url, {"description": "x"}).status_code == 403
    administrator.post(f"{ADMIN}/clientsecret/", {"action": "revoke", "_selected_action": str(row.pk)})
    row.refresh_from_db()
    assert row.revoked_at is not None


def test_user_is_created_and_recorded(administrator: Client) -> None:
    given = {"username": "dave", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert administrator.post(f"{ADMIN}/user/add/", given).status_code == 302
    assert User.objects.filter(username="dave").exists()
    event = AuditEvent.objects.filter(event="create-user").get()
    assert event.data["username"] == "dave"
    assert PASSWORD not in str(event.data)


def test_set_password_link_is_shown_in_the_answer_only(administrator: Client) -> None:
    bob = make_user("bob")
    response = administrator.post(
        f"{ADMIN}/user/", {"action": "make_set_password_link", "_selected_action": str(bob.pk)}
    )
    assert "no-store" in response["Cache-Control"]
    found = re.search(r"http://pki\.test(/accounts/set-password/[^/<]+/)", response.content.decode())
    assert found
    assert found[1] not in str(dict(administrator.session))
    assert Client().get(found[1]).status_code == 302
    event = AuditEvent.objects.get(event="create-set-password-link")
    assert (event.actor_kind, event.actor_name, event.subject_id) == ("user", "root", str(bob.pk))


def test_staff_that_is_no_administrator_does_not_reach_people(client: Client) -> None:
    staff = make_user("bob", project=make_project())
    staff.is_staff = True
    staff.save(update_fields=["is_staff"])
    client.force_login(staff)
    assert client.get(f"{ADMIN}/user/").status_code == 403
    assert client.get(f"{ADMIN}/user/{staff.pk}/change/").status_code == 403
    assert client.get(f"{ADMIN}/user/add/").status_code == 403


@pytest.mark.parametrize("limit", ["ttl", "num_uses_limit"])
@pytest.mark.parametrize("beyond", [10**12, 10**18])
def test_a_limit_of_a_secret_that_no_database_holds_is_an_error_of_the_form(
    administrator: Client, limit: str, beyond: int
) -> None:
    robot, _, _ = make_identity()
    before = ClientSecret.objects.count()
    given = {"universal_auth": str(robot.universal_auth.pk), "description": "", "num_uses_limit": "0", "ttl": "0"}
    answer = administrator.post(f"{ADMIN}/clientsecret/add/", given | {limit: str(beyond)})
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert ClientSecret.objects.count() == before
