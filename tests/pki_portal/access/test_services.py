from uuid import uuid4

import pytest

from pki_portal.access.models import MachineIdentity, Membership, Project, Role
from pki_portal.access.services import (
    add_identity,
    add_user,
    change_role,
    create_identity,
    create_project,
    get_identity,
    remove_member,
    require_identity_control,
    update_identity,
    update_project,
)
from pki_portal.audit.models import AuditEvent, Outcome
from pki_portal.errors import Forbidden, Invalid, NotFound, PermissionDenied
from tests.factories import SYSTEM, make_identity, make_project, make_user, requester_for

pytestmark = pytest.mark.django_db


def last_event() -> AuditEvent:
    event = AuditEvent.objects.first()
    assert event is not None
    return event


# --- Projects


def test_creator_becomes_admin() -> None:
    robot, _, _ = make_identity(can_create_projects=True)
    project = create_project(requester=requester_for(robot), name="Payments")
    assert [(found.identity, found.role) for found in project.memberships.all()] == [(robot, Role.ADMIN)]


def test_project_of_the_system_has_no_members() -> None:
    assert not create_project(requester=SYSTEM, name="Payments").memberships.exists()


def test_create_project_is_audited() -> None:
    project = create_project(requester=SYSTEM, name="Payments", slug="demo")
    event = last_event()
    assert (event.event, event.outcome, event.project_id) == ("create-project", "done", project.pk)
    assert event.data == {"name": "Payments", "slug": "demo"}


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Payments", "payments"), ("Größe & Co", "groe-co"), ("a_b c__d", "a-b-c-d"), ("x" * 80, "x" * 36)],
)
def test_slug_is_made_from_the_name(name: str, slug: str) -> None:
    project = create_project(requester=SYSTEM, name=name)
    assert project.slug == slug


@pytest.mark.parametrize("name", ["Payments", "x" * 80, "ab", "支払い", "---", "a_b", "!"])
def test_made_slugs_are_unique_and_long_enough(name: str) -> None:
    slugs = [create_project(requester=SYSTEM, name=name).slug for _ in range(3)]
    assert len(set(slugs)) == 3
    assert all(5 <= len(slug) <= 36 for slug in slugs)


@pytest.mark.parametrize("slug", ["", "Upper", "a_b", "a--b", "-a", "a-", "a b", "é", "x" * 37, "a\x00"])
def test_what_is_no_slug_is_refused(slug: str) -> None:
    with pytest.raises(Invalid) as caught:
        create_project(requester=SYSTEM, name="Payments", slug=slug)
    assert caught.value.violations[0].field == "slug"


def test_taken_slug_is_refused() -> None:
    make_project(slug="payments")
    with pytest.raises(Invalid) as caught:
        create_project(requester=SYSTEM, name="Payments", slug="payments")
    assert caught.value.violations[0].code == "slug_taken"


def test_who_may_not_create_projects_is_refused_and_recorded() -> None:
    alice = make_user(project=make_project())
    with pytest.raises(PermissionDenied):
        create_project(requester=requester_for(alice), name="Payments")
    event = last_event()
    assert (event.event, event.outcome, event.actor_name) == ("create-project", Outcome.REFUSED, "alice")
    assert event.data["kind"] == "permission_denied"
    assert Project.objects.count() == 1


def test_update_project_changes_what_is_given() -> None:
    project = make_project("Acme", slug="acme-1")
    alice = make_user(project=project)
    update_project(requester=requester_for(alice), project_id=project.pk, name="Other")
    project.refresh_from_db()
    assert (project.name, project.slug) == ("Other", "acme-1")
    assert last_event().data == {"before": {"name": "Acme"}, "after": {"name": "Other"}}


def test_update_project_to_a_taken_slug_is_refused() -> None:
    make_project(slug="taken")
    project = make_project()
    with pytest.raises(Invalid):
        update_project(requester=SYSTEM, project_id=project.pk, slug="taken")
    assert last_event().outcome == Outcome.REFUSED


def test_member_may_not_update_the_project() -> None:
    project = make_project()
    bob = make_user("bob", project=project, role=Role.MEMBER)
    with pytest.raises(PermissionDenied):
        update_project(requester=requester_for(bob), project_id=project.pk, name="Mine")


def test_outsider_may_not_update_the_project() -> None:
    project = make_project()
    with pytest.raises(NotFound):
        update_project(requester=requester_for(make_user("charlie")), project_id=project.pk, name="Mine")


# --- Members


def test_admin_adds_a_user() -> None:
    project = make_project()
    alice = make_user(project=project)
    bob = make_user("bob")
    membership = add_user(requester=requester_for(alice), project_id=project.pk, username="bob", role=Role.MEMBER)
    assert (membership.user, membership.role) == (bob, Role.MEMBER)
    assert last_event().subject_id == str(bob.pk)


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.MEMBER, Role.VIEWER, Role.NO_ACCESS])
def test_only_an_admin_grants(role: Role) -> None:
    project = make_project()
    bob = make_user("bob", project=project, role=role)
    make_user("charlie")
    with pytest.raises(PermissionDenied):
        add_user(requester=requester_for(bob), project_id=project.pk, username="charlie", role=Role.VIEWER)
    robot, _, _ = make_identity(project, role=role)
    other = create_identity(requester=SYSTEM, name="other")
    with pytest.raises(PermissionDenied):
        add_identity(requester=requester_for(robot), project_id=project.pk, identity_id=other.pk, role=Role.ADMIN)
    assert Membership.objects.count() == 2


def test_nobody_raises_himself() -> None:
    project = make_project()
    make_user(project=project)
    bob = make_user("bob", project=project, role=Role.OPERATOR)
    with pytest.raises(PermissionDenied):
        change_role(requester=requester_for(bob), membership=bob.memberships.get(), role=Role.ADMIN)


def test_unknown_user_is_not_found() -> None:
    project = make_project()
    alice = make_user(project=project)
    with pytest.raises(NotFound):
        add_user(requester=requester_for(alice), project_id=project.pk, username="nobody", role=Role.MEMBER)


def test_second_membership_is_refused() -> None:
    project = make_project()
    alice = make_user(project=project)
    with pytest.raises(Invalid):
        add_user(requester=requester_for(alice), project_id=project.pk, username="alice", role=Role.VIEWER)


def test_identity_that_one_may_not_know_of_is_not_found() -> None:
    project = make_project()
    alice = make_user(project=project)
    foreign, _, _ = make_identity(make_project())
    with pytest.raises(NotFound):
        add_identity(requester=requester_for(alice), project_id=project.pk, identity_id=foreign.pk, role=Role.ADMIN)


def test_own_identity_is_added() -> None:
    project = make_project()
    alice = requester_for(make_user(project=project))
    robot = create_identity(requester=alice, name="robot")
    membership = add_identity(requester=alice, project_id=project.pk, identity_id=robot.pk, role=Role.OPERATOR)
    assert (membership.identity, membership.role) == (robot, Role.OPERATOR)


def test_change_role_is_audited() -> None:
    project = make_project()
    alice = make_user(project=project)
    bob = make_user("bob", project=project, role=Role.MEMBER)
    change_role(requester=requester_for(alice), membership=bob.memberships.get(), role=Role.VIEWER)
    assert bob.memberships.get().role == Role.VIEWER
    event = last_event()
    assert (event.event, event.data) == (
        "update-project-member",
        {"before": "member", "after": "viewer", "name": "bob"},
    )


def test_last_admin_stays() -> None:
    project = make_project()
    alice = make_user(project=project)
    requester = requester_for(alice)
    with pytest.raises(Forbidden):
        change_role(requester=requester, membership=alice.memberships.get(), role=Role.VIEWER)
    with pytest.raises(Forbidden):
        remove_member(requester=requester, membership=alice.memberships.get())
    make_user("bob", project=project)
    remove_member(requester=requester, membership=alice.memberships.get())
    assert not alice.memberships.exists()


def test_removed_membership_cannot_be_removed_again() -> None:
    project = make_project()
    make_user(project=project)
    membership = make_user("bob", project=project).memberships.get()
    remove_member(requester=SYSTEM, membership=membership)
    with pytest.raises(NotFound):
        remove_member(requester=SYSTEM, membership=membership)


# --- Machine identities


def test_admin_of_a_project_creates_an_identity() -> None:
    alice = make_user(project=make_project())
    robot = create_identity(requester=requester_for(alice), name="robot")
    assert robot.created_by_user == alice
    assert not robot.can_create_projects


def test_identity_creates_an_identity() -> None:
    robot, _, _ = make_identity(make_project())
    child = create_identity(requester=requester_for(robot), name="child")
    assert child.created_by_identity == robot


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.MEMBER, Role.VIEWER, Role.NO_ACCESS])
def test_others_create_no_identities(role: Role) -> None:
    bob = make_user("bob", project=make_project(), role=role)
    with pytest.raises(PermissionDenied):
        create_identity(requester=requester_for(bob), name="robot")
    assert not MachineIdentity.objects.exists()


def test_only_an_administrator_hands_on_the_right_to_create_projects() -> None:
    chosen, _, _ = make_identity(make_project(), can_create_projects=True)
    for member in (make_user(project=make_project()), chosen):
        with pytest.raises(PermissionDenied):
            create_identity(requester=requester_for(member), name="robot", can_create_projects=True)
    administrator = make_user("root", is_superuser=True)
    assert create_identity(requester=requester_for(administrator), name="robot", can_create_projects=True)


def test_identity_is_known_in_its_projects_to_its_creator_and_to_itself() -> None:
    project = make_project()
    robot, _, _ = make_identity(project)
    viewer = make_user("bob", project=project, role=Role.VIEWER)
    for member in (robot, viewer):
        assert get_identity(requester=requester_for(member), identity_id=robot.pk) == robot
    member_only = make_user("dave", project=project, role=Role.MEMBER)
    for stranger in (make_user("charlie", project=make_project()), member_only):
        with pytest.raises(NotFound):
            get_identity(requester=requester_for(stranger), identity_id=robot.pk)


def test_missing_identity_is_not_found() -> None:
    with pytest.raises(NotFound):
        get_identity(requester=SYSTEM, identity_id=uuid4())


def test_control_needs_an_admin_of_every_project_of_the_identity() -> None:
    mine, other = make_project(), make_project()
    alice = requester_for(make_user(project=mine))
    robot, _, _ = make_identity(mine)
    require_identity_control(requester=alice, identity=robot)
    robot.memberships.create(project=other, role=Role.VIEWER)
    with pytest.raises(PermissionDenied):
        require_identity_control(requester=alice, identity=robot)


def test_creator_loses_control_when_others_take_the_identity_in() -> None:
    alice = requester_for(make_user(project=make_project()))
    robot = create_identity(requester=alice, name="robot")
    require_identity_control(requester=alice, identity=robot)
    robot.memberships.create(project=make_project(), role=Role.ADMIN)
    with pytest.raises(PermissionDenied):
        require_identity_control(requester=alice, identity=robot)


def test_control_of_an_identity_that_creates_projects_needs_that_right() -> None:
    project = make_project()
    alice = requester_for(make_user(project=project))
    robot, _, _ = make_identity(project, can_create_projects=True)
    with pytest.raises(PermissionDenied):
        require_identity_control(requester=alice, identity=robot)
    require_identity_control(requester=requester_for(robot), identity=robot)


def test_identity_without_a_project_does_not_control_itself() -> None:
    robot, _, _ = make_identity()
    with pytest.raises(PermissionDenied, match="Only its creator"):
        require_identity_control(requester=requester_for(robot), identity=robot)


def test_viewer_cannot_take_an_identity_into_a_project_of_its_own() -> None:
    theirs, own = make_project(), make_project()
    robot, _, _ = make_identity(theirs)
    charlie_user = make_user("charlie", project=theirs, role=Role.VIEWER)
    Membership.objects.create(project=own, user=charlie_user, role=Role.ADMIN)
    with pytest.raises(PermissionDenied, match="every project"):
        add_identity(requester=requester_for(charlie_user), project_id=own.pk, identity_id=robot.pk, role=Role.VIEWER)
    assert [membership.project for membership in robot.memberships.all()] == [theirs]
    refused = last_event()
    assert (refused.event, refused.outcome) == ("create-identity-project-membership", Outcome.REFUSED)
    require_identity_control(requester=requester_for(make_user("alice", project=theirs)), identity=robot)


def test_administrator_adds_any_identity_to_any_project() -> None:
    robot, _, _ = make_identity(make_project())
    root = requester_for(make_user("root", is_superuser=True))
    project = make_project()
    assert add_identity(requester=root, project_id=project.pk, identity_id=robot.pk, role=Role.MEMBER)


def test_update_identity_renames_and_keeps_its_right() -> None:
    project = make_project()
    robot, _, _ = make_identity(project)
    alice = requester_for(make_user(project=project))
    assert update_identity(requester=alice, identity_id=robot.pk, name="android").name == "android"
    with pytest.raises(PermissionDenied):
        update_identity(requester=alice, identity_id=robot.pk, name="android", can_create_projects=True)
    robot.refresh_from_db()
    assert not robot.can_create_projects
