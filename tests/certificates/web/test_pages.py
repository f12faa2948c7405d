"""Each page, to those who may see it and to those who may not."""

from http import HTTPStatus

import pytest
from django.test import Client
from django.urls import reverse

from certificates.models import Certificate, CertificateRequest
from pki_portal.access.models import Project, Role
from profiles.models import CertificateProfile
from tests.factories import PASSWORD, make_project, make_user
from tests.pages import make_issued
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db

READABLE = [
    "overview",
    "certificates",
    "certificate",
    "issue",
    "requests",
    "request",
    "profiles",
    "profile",
    "try-profile",
    "create-profile",
    "edit-profile",
    "templates",
    "template",
    "try-template",
    "create-template",
    "edit-template",
    "authorities",
    "authority",
    "create-authority",
    "incidents",
    "declare-incident",
    "audit-log",
]
FOR_OPERATORS = ["create-profile", "edit-profile", "create-template", "edit-template", "create-authority", "audit-log"]


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def profile(project: Project) -> CertificateProfile:
    return make_issuing_profile(project)


@pytest.fixture
def certificate(profile: CertificateProfile) -> Certificate:
    return make_issued(profile)


def client_of(name: str, project: Project | None = None, role: str = Role.ADMIN) -> Client:
    """A browser in which that person is signed in."""
    client = Client()
    make_user(name, project=project, role=role)
    assert client.login(username=name, password=PASSWORD)
    return client


def address(page: str, certificate: Certificate) -> str:
    """The address of a page about the certificate, its request, profile, template or CA."""
    profile = certificate.profile
    assert profile is not None
    subjects = {
        "certificate": certificate.pk,
        "request": CertificateRequest.objects.get().pk,
        "profile": profile.pk,
        "try-profile": profile.pk,
        "edit-profile": profile.pk,
        "template": profile.template_id,
        "try-template": profile.template_id,
        "edit-template": profile.template_id,
        "authority": profile.certificate_authority_id,
    }
    project = certificate.project.slug
    return reverse(page, args=[project, subjects[page]] if page in subjects else [project])


@pytest.mark.parametrize("page", READABLE)
def test_alice_sees_every_page(page: str, certificate: Certificate) -> None:
    response = client_of("alice", certificate.project).get(address(page, certificate))
    assert response.status_code == HTTPStatus.OK
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize("page", READABLE)
def test_anonymous_is_sent_to_the_login(page: str, certificate: Certificate) -> None:
    wanted = address(page, certificate)
    response = Client().get(wanted)
    assert response.status_code == HTTPStatus.FOUND
    assert response["Location"] == f"/accounts/login/?next={wanted}"


@pytest.mark.parametrize("page", READABLE)
def test_for_an_outsider_the_project_does_not_exist(page: str, certificate: Certificate) -> None:
    charlie = client_of("charlie", make_project("Other"))
    assert charlie.get(address(page, certificate)).status_code == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("page", READABLE)
def test_a_member_sees_all_but_what_operators_do(page: str, certificate: Certificate) -> None:
    response = client_of("bob", certificate.project, Role.MEMBER).get(address(page, certificate))
    assert response.status_code == (HTTPStatus.FORBIDDEN if page in FOR_OPERATORS else HTTPStatus.OK)


def test_a_viewer_may_not_issue(certificate: Certificate) -> None:
    viewer = client_of("bob", certificate.project, Role.VIEWER)
    assert viewer.get(address("issue", certificate)).status_code == HTTPStatus.FORBIDDEN
    assert b"Issue certificate" not in viewer.get(address("certificates", certificate)).content


def test_things_of_another_project_are_not_found_under_this_one(certificate: Certificate) -> None:
    alice = client_of("alice", certificate.project)
    other = make_project("Other")
    other.memberships.create(user_id=alice.session["_auth_user_id"], role=Role.ADMIN)
    for page in ("certificate", "request", "profile", "template", "authority", "edit-profile", "edit-template"):
        foreign = address(page, certificate).replace(f"/{certificate.project.slug}/", f"/{other.slug}/")
        assert alice.get(foreign).status_code == HTTPStatus.NOT_FOUND, page


def test_an_unknown_project_is_not_found(certificate: Certificate) -> None:
    assert client_of("alice").get(reverse("overview", args=["no-such-project"])).status_code == HTTPStatus.NOT_FOUND


def test_an_empty_project_offers_the_first_step(project: Project) -> None:
    alice = client_of("alice", project)
    assert b"Issue your first certificate" in alice.get(reverse("overview", args=[project.slug])).content
    assert b"No profile to issue from" in alice.get(reverse("issue", args=[project.slug])).content
    for page in ("certificates", "requests", "profiles", "templates", "authorities"):
        assert b'class="blank"' in alice.get(reverse(page, args=[project.slug])).content, page


def test_the_only_project_is_home(project: Project) -> None:
    response = client_of("alice", project).get(reverse("home"))
    assert response["Location"] == reverse("overview", args=[project.slug])


def test_with_two_projects_home_is_the_list(project: Project) -> None:
    alice = client_of("alice", project)
    make_project("Second").memberships.create(user_id=alice.session["_auth_user_id"], role=Role.VIEWER)
    response = alice.get(reverse("home"), follow=True)
    assert response.redirect_chain[-1][0] == reverse("projects")
    assert b"Second" in response.content


def test_an_ended_session_reloads_a_page_that_asks_for_a_part(certificate: Certificate) -> None:
    response = Client().get(address("issue", certificate), headers={"HX-Request": "true"})
    assert response["HX-Refresh"] == "true"
    assert response.content == b""
