import pytest
from django.test import Client

from pki_portal.access.models import Membership, Role
from tests.factories import make_project, make_user

pytestmark = pytest.mark.django_db


def test_the_only_project_is_where_one_begins(client: Client) -> None:
    make_project("Beta", slug="beta")
    client.force_login(make_user(project=make_project(slug="acme")))
    assert client.get("/").headers["Location"] == "/projects/acme/"


def test_of_several_projects_one_chooses_among_ones_own(client: Client) -> None:
    alice = make_user(project=make_project("Acme", slug="acme"))
    Membership.objects.create(user=alice, project=make_project("Second", slug="second"), role=Role.VIEWER)
    Membership.objects.create(user=alice, project=make_project("Closed", slug="closed"), role=Role.NO_ACCESS)
    make_project("Beta", slug="beta")
    client.force_login(alice)
    assert client.get("/").headers["Location"] == "/projects/"
    page = client.get("/projects/").content.decode()
    assert "/projects/acme/" in page
    assert "/projects/second/" in page
    assert "Closed" not in page
    assert "Beta" not in page


def test_whoever_is_in_no_project_is_told_so(client: Client) -> None:
    client.force_login(make_user("charlie"))
    answer = client.get("/", follow=True)
    assert answer.status_code == 200
    assert answer.request["PATH_INFO"] == "/projects/"


def test_nobody_is_asked_to_log_in(client: Client) -> None:
    for page in ("/", "/projects/"):
        assert client.get(page).headers["Location"].startswith("/accounts/login/")
