"""The audit log of a project as a page."""

from http import HTTPStatus

import pytest
from django.test import Client
from django.urls import reverse

from pki_portal.access.models import Project, Role
from pki_portal.audit.models import AuditEvent
from pki_portal.audit.services import record, recorded_refusals
from pki_portal.errors import Invalid
from tests.factories import PASSWORD, make_actor, make_project, make_user

pytestmark = pytest.mark.django_db
ADDRESS = "/projects/acme/audit-log/"


@pytest.fixture
def project() -> Project:
    return make_project(slug="acme")


@pytest.fixture
def alice(project: Project) -> Client:
    client = Client()
    make_user("alice", project=project)
    client.login(username="alice", password=PASSWORD)
    return client


def make_event(project: Project, event: str = "revoke-cert", subject_id: str = "1") -> None:
    record(event=event, actor=make_actor(), project_id=project.pk, subject_type="certificate", subject_id=subject_id)


def test_acts_and_refusals_of_this_project_alone(alice: Client, project: Project) -> None:
    make_event(project, "renew-certificate")
    make_event(make_project("Other"), "delete-certificate-template")
    with (
        pytest.raises(Invalid),
        recorded_refusals(
            event="revoke-cert", actor=make_actor(), project_id=project.pk, subject_type="certificate", subject_id="1"
        ),
    ):
        raise Invalid("<b>not this way</b>")
    page = alice.get(ADDRESS).content.decode()
    assert "renew-certificate" in page
    assert "delete-certificate-template" not in page
    assert "&lt;b&gt;not this way" in page
    refused = alice.get(ADDRESS, {"outcome": "refused"}).content.decode()
    assert "revoke-cert" in refused
    assert "renew-certificate" not in refused


@pytest.mark.parametrize("search", ["RENEW", "subject-7"])
def test_search_by_event_and_subject(alice: Client, project: Project, search: str) -> None:
    make_event(project, "renew-certificate", "subject-7")
    make_event(project, "revoke-cert", "subject-8")
    page = alice.get(ADDRESS, {"search": search}).content.decode()
    assert "subject-7" in page
    assert "subject-8" not in page


def test_fifty_a_page(alice: Client, project: Project) -> None:
    for _ in range(60):
        make_event(project)
    total = AuditEvent.objects.filter(project_id=project.pk).count()
    first = alice.get(ADDRESS)
    assert first.content.count(b"<tr>") == 51
    assert alice.get(ADDRESS, {"at": first.context["listed"].next}).content.count(b"<tr>") == total - 50 + 1
    assert alice.get(ADDRESS, {"at": "nonsense"}).content.count(b"<tr>") == 51


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
def test_only_operators_read_it(project: Project, role: Role) -> None:
    make_user("bob", project=project, role=role)
    bob = Client()
    bob.login(username="bob", password=PASSWORD)
    assert bob.get(ADDRESS).status_code == HTTPStatus.FORBIDDEN
    assert ADDRESS.encode() not in bob.get(reverse("overview", args=["acme"])).content
