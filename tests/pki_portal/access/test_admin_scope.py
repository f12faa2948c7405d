"""Staff who are no administrators see in the Django admin what their roles let them see, and nobody else's things."""

from collections.abc import Iterable

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db.models import Model
from django.test import Client

from pki_portal.access.models import ClientSecret, Membership, Project, Role, User
from pki_portal.audit.models import AuditEvent
from tests.factories import make_authority, make_identity, make_project, make_user
from tests.pages import make_issued
from tests.scenery import make_issuing_profile

pytestmark = [pytest.mark.django_db, pytest.mark.ignore_template_errors]

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
LABELS = [model._meta.label_lower for model in MODELS]
SECRET = "betazoid"  # in every name of the other project


def furnish(name: str) -> Project:
    project = make_project(name.title(), slug=f"{name}-project")
    make_user(f"{name}-admin", project=project)
    make_identity(project, name=f"{name}-robot")
    make_authority(project, name=f"{name}-ca")
    make_issued(make_issuing_profile(project, slug=f"{name}-server"), f"www.{name}.example.com")
    return project


@pytest.fixture
def beta() -> Project:
    return furnish(SECRET)


@pytest.fixture
def staff(client: Client, beta: Project) -> Client:
    """bob, operator of Alpha, whom the administrator let do everything that Django's permissions know."""
    bob = make_user("bob", project=furnish("alpha"), role=Role.OPERATOR)
    bob.is_staff = True
    bob.save(update_fields=["is_staff"])
    bob.user_permissions.set(Permission.objects.all())
    client.force_login(bob)
    return client


def address(model: type[Model]) -> str:
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/"


@pytest.mark.parametrize("model", MODELS, ids=LABELS)
def test_lists_filters_and_choices_name_nothing_of_another_project(
    staff: Client, beta: Project, model: type[Model]
) -> None:
    for page in (address(model), f"{address(model)}add/"):
        content = staff.get(page).content.decode()
        assert SECRET not in content.lower(), page
        assert str(beta.pk) not in content, page


@pytest.mark.parametrize("model", MODELS, ids=LABELS)
def test_rows_of_another_project_have_no_pages(staff: Client, beta: Project, model: type[Model]) -> None:
    for row in rows_of(model, beta):
        for page in ("change", "history", "delete"):
            answer = staff.get(f"{address(model)}{row.pk}/{page}/")
            assert answer.status_code in {302, 403}, page  # 302: to the index, "doesn't exist"
            assert SECRET not in answer.content.decode().lower()


def rows_of(model: type[Model], project: Project) -> Iterable[Model]:
    """What the administrator sees in the list and bob must not."""
    rows = list(model._default_manager.all())
    if model is AuditEvent:
        return list(AuditEvent.objects.exclude(project_id=Project.objects.get(slug="alpha-project").pk))
    if model is User:
        return rows
    return [row for row in rows if SECRET in described(row) or getattr(row, "project_id", None) == project.pk]


def described(row: Model) -> str:
    return f"{row} {getattr(row, 'authority', '')} {owner_of(row)}"


def owner_of(row: Model) -> str:
    return row.universal_auth.identity.name if isinstance(row, ClientSecret) else ""


@pytest.mark.parametrize("label", ["access.project", "certificates.certificate", "certificates.certificateauthority"])
def test_what_is_ones_own_is_listed(staff: Client, label: str) -> None:
    model = next(model for model in MODELS if model._meta.label_lower == label)
    assert "alpha" in staff.get(address(model)).content.decode().lower()


def test_events_of_ones_own_project_are_listed_and_those_of_no_project_are_not(staff: Client) -> None:
    content = staff.get("/admin/audit/auditevent/").content.decode()
    assert "create-ca" in content
    assert not any(
        f"/auditevent/{event.pk}/" in content for event in AuditEvent.objects.filter(project_id__isnull=True)
    )


def test_a_member_that_may_not_read_members_sees_none(client: Client) -> None:
    bob = make_user("bob", project=furnish("alpha"), role=Role.MEMBER)
    bob.is_staff = True
    bob.save(update_fields=["is_staff"])
    bob.user_permissions.set(Permission.objects.all())
    client.force_login(bob)
    assert "alpha-admin" not in client.get("/admin/access/membership/").content.decode()


def test_staff_makes_nobody_an_administrator(staff: Client) -> None:
    bob = User.objects.get(username="bob")
    given = {"username": "bob", "is_superuser": "on", "is_staff": "on", "is_active": "on"}
    assert staff.post(f"/admin/access/user/{bob.pk}/change/", given).status_code == 403
    assert staff.post(f"/admin/access/user/{bob.pk}/password/", {"password1": "x", "password2": "x"}).status_code == 403
    bob.refresh_from_db()
    assert not bob.is_superuser


def test_staff_gives_no_role_in_a_project_that_is_not_theirs_to_give(staff: Client, beta: Project) -> None:
    for project in (beta, Project.objects.get(slug="alpha-project")):
        given = {"project": project.pk, "user": "bob", "identity": "", "role": "admin"}
        answer = staff.post("/admin/access/membership/add/", given)
        assert "Select a valid choice" in answer.content.decode()
    assert not Membership.objects.filter(user__username="bob", role=Role.ADMIN).exists()


def test_people_and_their_addresses_are_in_no_other_list() -> None:
    assert "account.emailaddress" not in LABELS
    assert "auth.group" not in LABELS
