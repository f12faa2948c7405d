"""How a request was judged, on the pages of certificates and requests."""

import re
from datetime import timedelta

import pytest
from django.test import Client

from certificates.models import CertificateRequest
from certificates.services.issuance import issue_certificate
from pki_portal.access.models import Project, Role
from pki_portal.errors import PortalError
from profiles.models import CertificateProfile
from profiles.policy.request import AttributeValue, IssuanceRequest
from profiles.policy.vocabulary import SubjectAttribute
from profiles.services import delete_profile, delete_template
from tests.factories import SYSTEM, make_project, make_user
from tests.pages import make_issued
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def profile(project: Project) -> CertificateProfile:
    return make_issuing_profile(project)


@pytest.fixture
def viewer(client: Client, project: Project) -> Client:
    client.force_login(make_user("bob", project=project, role=Role.VIEWER))
    return client


def page_of(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, path
    return response.content.decode()


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_a_certificate_names_what_judged_it_and_leads_there(
    viewer: Client, project: Project, profile: CertificateProfile
) -> None:
    certificate = make_issued(profile)
    base = f"/projects/{project.slug}"
    for path in (f"{base}/certificates/{certificate.pk}/", f"{base}/requests/{certificate.request_id}/"):
        page = page_of(viewer, path)
        assert "profile server, version 1 , and template server, version 1" in text_of(page)
        versions = (f"profiles/{profile.pk}/history/1/", f"templates/{profile.template_id}/history/1/")
        for link in (f"{path}decision/", *(f"{base}/{version}" for version in versions)):
            assert f'href="{link}"' in page
            assert viewer.get(link).status_code == 200
        decision = text_of(page_of(viewer, f"{path}decision/"))
        assert "Decision Issued" in decision
        assert "service.acme.com" in decision
        assert "No key usages were asked for" in decision
        assert "service.acme.com" in decision
        assert " Met " in decision
        assert " Filled in " in decision
        assert "Not met" not in decision


def test_a_refused_request_shows_each_rule_asked_allowed_and_verdict(
    viewer: Client, project: Project, profile: CertificateProfile
) -> None:
    name = AttributeValue(SubjectAttribute.COMMON_NAME, "<script>")
    with pytest.raises(PortalError):
        issue_certificate(
            profile=profile, request=IssuanceRequest(subject=(name,), ttl=timedelta(days=999)), requester=SYSTEM
        )
    refused = CertificateRequest.objects.get()

    page = page_of(viewer, f"/projects/{project.slug}/requests/{refused.pk}/decision/")

    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    text = text_of(page)
    assert "Decision Refused" in text
    assert re.search(r"template validity/max ttl a life of 999d at most 398d Not met Ask for a ttl", text)


def test_it_stays_when_profile_and_template_are_deleted(
    viewer: Client, project: Project, profile: CertificateProfile
) -> None:
    certificate = make_issued(profile)
    delete_profile(requester=SYSTEM, profile=profile)
    delete_template(requester=SYSTEM, template=profile.template)

    text = text_of(page_of(viewer, f"/projects/{project.slug}/certificates/{certificate.pk}/decision/"))

    assert "profile server, version 1" in text


def test_without_a_decision_there_is_no_page_and_no_link(
    viewer: Client, project: Project, profile: CertificateProfile
) -> None:
    certificate = make_issued(profile)
    CertificateRequest.objects.update(decision=None, profile_version=None, template_version=None)
    for path in (f"certificates/{certificate.pk}/", f"requests/{certificate.request_id}/"):
        page = page_of(viewer, f"/projects/{project.slug}/{path}")
        assert "decision/" not in page
        assert "Judged by" not in page
        assert viewer.get(f"/projects/{project.slug}/{path}decision/").status_code == 404


def test_other_projects_see_neither(client: Client, project: Project, profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    other = make_project("Other")
    paths = (f"certificates/{certificate.pk}/decision/", f"requests/{certificate.request_id}/decision/")
    client.force_login(make_user("charlie", project=other))
    for path in paths:
        assert client.get(f"/projects/{project.slug}/{path}").status_code == 404
        assert client.get(f"/projects/{other.slug}/{path}").status_code == 404
