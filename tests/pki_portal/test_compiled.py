"""Queries whose SQL is made once, beside the same ones as Django makes them."""

from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.db.models import F, QuerySet
from django.db.models.sql.compiler import SQLCompiler
from django.test.utils import CaptureQueriesContext

from pki_portal.access.models import Membership, Project, Role
from pki_portal.compiled import CompiledQuery
from tests.factories import make_project, make_user

pytestmark = pytest.mark.django_db


def _memberships(project: UUID, user: int, role: str) -> QuerySet[Membership]:
    found = Membership.objects.filter(project_id=project, user_id=user, role=role)
    return found.select_related("project").annotate(slug=F("project__slug"))


def _values(slug: str) -> QuerySet[Project, tuple[Any, ...]]:
    return Project.objects.filter(slug=slug).values_list("id", "created_at", "slug")


@pytest.fixture
def member() -> Membership:
    return Membership.objects.create(project=make_project("one"), user=make_user("somebody"), role=Role.VIEWER)


def test_it_finds_what_the_query_set_finds(member: Membership) -> None:
    query = CompiledQuery(_memberships, project=UUID, user=int, role=str)
    other = Membership.objects.create(project=make_project("two"), user=member.user, role=Role.ADMIN)
    for wanted in (member, other):
        asked: dict[str, Any] = {"project": wanted.project_id, "user": wanted.user_id, "role": wanted.role}
        with CaptureQueriesContext(connection) as queries:
            (found,) = query.rows(**asked)
            assert (found, found.project, found.slug) == (wanted, wanted.project, wanted.project.slug)  # type: ignore[attr-defined]
        assert len(queries) == 1
        assert {**vars(found), "_state": None} == {**vars(_memberships(**asked).get()), "_state": None}
        assert (found._state.adding, found._state.db) == (False, connection.alias)
        assert query.rows(**asked | {"project": uuid4()}) == []
        assert query.rows(**asked | {"role": Role.NO_ACCESS}) == []


def test_values_are_those_of_python(member: Membership) -> None:
    query = CompiledQuery(_values, slug=str)
    project = member.project
    expected = [(project.pk, project.created_at, project.slug)]
    assert query.rows(slug=project.slug) == expected == list(_values(project.slug))
    assert query.rows(slug="' OR 1=1 --") == query.rows(slug="%s") == []


def test_the_sql_is_made_once(member: Membership, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    as_sql = SQLCompiler.as_sql

    def counted(self: SQLCompiler, *args: Any, **options: Any) -> Any:
        made.append(self)
        return as_sql(self, *args, **options)

    monkeypatch.setattr(SQLCompiler, "as_sql", counted)
    query = CompiledQuery(_values, slug=str)
    assert made == []
    for _ in range(3):
        assert len(query.rows(slug=member.project.slug)) == 1
    assert len(made) == 1


@pytest.mark.django_db(transaction=True)
def test_threads_share_one_and_each_asks_by_its_own_connection() -> None:
    query = CompiledQuery(_values, slug=str)
    projects = [make_project(f"project-{number}") for number in range(4)]
    found: dict[str, list[Any]] = {}

    def ask(project: Project) -> None:
        try:
            found[project.slug] = [query.rows(slug=project.slug) for _ in range(50)]
        finally:
            connection.close()

    threads = [Thread(target=ask, args=[project]) for project in projects]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {each.slug: [[(each.pk, each.created_at, each.slug)]] * 50 for each in projects}
