from uuid import uuid4

import pytest
from pytest_django import DjangoAssertNumQueries

from pki_portal.access.models import Role
from pki_portal.access.permissions import (
    ACTIONS_OF_ROLE,
    Action,
    has_permission,
    projects_allowing,
    projects_visible_to,
    require,
    require_project_creation,
)
from pki_portal.errors import NotFound, PermissionDenied
from tests.factories import SYSTEM, make_identity, make_project, make_user, requester_for

pytestmark = pytest.mark.django_db

ISSUING = {Action.CERTIFICATE_PROFILES_ISSUE_CERT, Action.CERTIFICATES_REVOKE}


def test_every_role_has_its_actions() -> None:
    assert set(ACTIONS_OF_ROLE) == set(Role)
    assert ACTIONS_OF_ROLE[Role.ADMIN] == set(Action) - {Action.PROJECTS_CREATE}
    assert ACTIONS_OF_ROLE[Role.ADMIN] - ACTIONS_OF_ROLE[Role.OPERATOR] == {
        Action.MEMBERS_EDIT,
        Action.IDENTITIES_CREATE,
        Action.IDENTITIES_EDIT,
        Action.PROJECTS_DELETE,
        Action.APPROVAL_POLICIES_CREATE,
        Action.APPROVAL_POLICIES_EDIT,
        Action.APPROVAL_POLICIES_DELETE,
    }
    assert ISSUING | {Action.CERTIFICATES_READ_PRIVATE_KEY} <= ACTIONS_OF_ROLE[Role.MEMBER]
    assert not ACTIONS_OF_ROLE[Role.NO_ACCESS]


def test_member_changes_no_rules_and_no_people() -> None:
    edits = {action for action in ACTIONS_OF_ROLE[Role.MEMBER] if action.value.endswith((":edit", ":delete"))}
    assert edits == {Action.CERTIFICATES_EDIT}


def test_viewer_reads_all_but_the_audit_log_and_private_keys() -> None:
    reads = {action for action in Action if action.value.endswith(":read")}
    assert ACTIONS_OF_ROLE[Role.VIEWER] == reads - {Action.AUDIT_LOG_READ}


def test_admin_is_let_through_by_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    project = make_project()
    alice = requester_for(make_user(project=project))
    with django_assert_num_queries(1):
        require(requester=alice, action=Action.MEMBERS_EDIT, project_id=project.pk)


def test_member_is_refused_what_its_role_lacks() -> None:
    project = make_project()
    bob = requester_for(make_user("bob", project=project, role=Role.MEMBER))
    require(requester=bob, action=Action.CERTIFICATE_PROFILES_ISSUE_CERT, project_id=project.pk)
    with pytest.raises(PermissionDenied, match="member does not include edit on members"):
        require(requester=bob, action=Action.MEMBERS_EDIT, project_id=project.pk)


def test_role_in_another_project_counts_for_nothing() -> None:
    project, other = make_project(), make_project()
    alice = requester_for(make_user(project=project))
    with pytest.raises(NotFound):
        require(requester=alice, action=Action.PROJECTS_READ, project_id=other.pk)


def test_outsider_is_told_that_there_is_no_project() -> None:
    project = make_project()
    charlie = requester_for(make_user("charlie"))
    with pytest.raises(NotFound):
        require(requester=charlie, action=Action.PROJECTS_READ, project_id=project.pk)


def test_missing_project_is_not_found_even_for_an_administrator() -> None:
    administrator = requester_for(make_user(is_superuser=True))
    for requester in (administrator, SYSTEM):
        with pytest.raises(NotFound):
            require(requester=requester, action=Action.PROJECTS_READ, project_id=uuid4())


def test_no_access_is_refused_everything() -> None:
    project = make_project()
    requester = requester_for(make_user("bob", project=project, role=Role.NO_ACCESS))
    assert not any(has_permission(requester=requester, action=action, project_id=project.pk) for action in Action)
    with pytest.raises(PermissionDenied):
        require(requester=requester, action=Action.PROJECTS_READ, project_id=project.pk)
    assert not projects_visible_to(requester).exists()


def test_robot_has_the_role_of_its_membership_and_not_of_a_user_with_the_same_number() -> None:
    project = make_project()
    make_user(project=project)
    robot, _, _ = make_identity(project, role=Role.VIEWER)
    requester = requester_for(robot)
    assert has_permission(requester=requester, action=Action.CERTIFICATES_READ, project_id=project.pk)
    assert not has_permission(requester=requester, action=Action.CERTIFICATE_PROFILES_ISSUE_CERT, project_id=project.pk)


def test_system_and_administrator_may_everything() -> None:
    project = make_project()
    administrator = requester_for(make_user(is_superuser=True))
    for requester in (administrator, SYSTEM):
        assert has_permission(requester=requester, action=Action.PROJECTS_DELETE, project_id=project.pk)


def test_visible_projects_are_those_of_ones_own_roles() -> None:
    mine, _ = make_project(), make_project()
    alice = requester_for(make_user(project=mine))
    assert list(projects_visible_to(alice)) == [mine]
    assert projects_visible_to(SYSTEM).count() == 2
    assert not projects_visible_to(requester_for(make_user("charlie"))).exists()


def test_projects_allowing_leaves_out_those_of_lesser_roles() -> None:
    admin_of, member_of = make_project(), make_project()
    robot, _, _ = make_identity(admin_of)
    robot.memberships.create(project=member_of, role=Role.MEMBER)
    allowed = projects_allowing(requester=requester_for(robot), action=Action.IDENTITIES_EDIT)
    assert list(allowed) == [admin_of]


def test_creating_projects_is_for_administrators_and_chosen_identities() -> None:
    chosen, _, _ = make_identity(can_create_projects=True)
    require_project_creation(requester=SYSTEM)
    require_project_creation(requester=requester_for(make_user("root", is_superuser=True)))
    require_project_creation(requester=requester_for(chosen))
    plain, _, _ = make_identity(make_project())
    for member in (make_user("alice", project=make_project()), plain):
        with pytest.raises(PermissionDenied):
            require_project_creation(requester=requester_for(member))
