"""Profiles by their pages."""

from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from pki_portal.access.models import Project, Role
from profiles.models import ApiEnrollment, CertificateProfile
from tests.factories import PASSWORD, make_project, make_user
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db
CREATE = "/projects/acme/profiles/create/"


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project(slug="acme"))


@pytest.fixture
def alice(profile: CertificateProfile) -> Client:
    return client_of("alice", profile.project)


def client_of(name: str, project: Project, role: str = Role.ADMIN) -> Client:
    client = Client()
    make_user(name, project=project, role=role)
    client.login(username=name, password=PASSWORD)
    return client


def sent(profile: CertificateProfile, **changes: Any) -> dict[str, Any]:
    """A filled form for another profile of the same CA and template."""
    fields = {
        "slug": "web",
        "description": "Web servers",
        "issuer_type": "ca",
        "certificate_authority": str(profile.certificate_authority_id or ""),
        "template": str(profile.template_id),
        "ttl": "30d",
        "auto_renew": "on",
        "renew_before_days": "9",
    }
    return fields | changes


def test_create_stores_what_was_typed(alice: Client, profile: CertificateProfile) -> None:
    response = alice.post(CREATE, sent(profile))
    made = CertificateProfile.objects.get(slug="web")
    assert response["Location"] == reverse("profile", args=["acme", made.pk])
    assert made.certificate_authority_id == profile.certificate_authority_id
    assert made.template_id == profile.template_id
    assert made.profile_defaults().ttl is not None
    settings = ApiEnrollment.objects.get(profile=made)
    assert (settings.auto_renew, settings.renew_before_days) == (True, 9)


def test_create_self_signed_leaves_the_ca_out(alice: Client, profile: CertificateProfile) -> None:
    alice.post(CREATE, sent(profile, issuer_type="self-signed"))
    assert CertificateProfile.objects.get(slug="web").certificate_authority_id is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"slug": "Not A Slug"}, "id_slug-violations"),
        ({"slug": ""}, "id_slug-violations"),
        ({"template": ""}, "id_template-violations"),
        ({"template": "6f2b7a52-6c52-4b33-9a3f-111111111111"}, "id_template-violations"),
        ({"certificate_authority": ""}, "id_certificate_authority-violations"),
        ({"renew_before_days": "31"}, "id_renew_before_days-violations"),
        ({"renew_before_days": "soon"}, "id_renew_before_days-violations"),
        ({"ttl": "soon"}, "id_ttl-violations"),
    ],
)
def test_a_refusal_stands_beside_its_field(
    alice: Client, profile: CertificateProfile, changes: dict[str, Any], told: str
) -> None:
    response = alice.post(CREATE, sent(profile, **changes))
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert f'id="{told}"' in response.content.decode()
    assert CertificateProfile.objects.count() == 1


def test_a_taken_name_is_told(alice: Client, profile: CertificateProfile) -> None:
    response = alice.post(CREATE, sent(profile, slug="server"))
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert b"Not saved" in response.content


def test_cas_and_templates_of_others_are_not_offered(alice: Client) -> None:
    foreign = make_issuing_profile(make_project("Other"), slug="foreign")
    page = alice.get(CREATE).content.decode()
    assert str(foreign.certificate_authority_id) not in page
    assert str(foreign.template_id) not in page


def test_edit_changes_name_life_and_renewal(alice: Client, profile: CertificateProfile) -> None:
    address = reverse("edit-profile", args=["acme", profile.pk])
    assert b'value="7"' in alice.get(address).content
    alice.post(address, {"slug": "renamed", "description": "", "ttl": "", "renew_before_days": "3"})
    profile = CertificateProfile.objects.get()
    assert profile.slug == "renamed"
    assert profile.defaults == {}
    assert (profile.api_enrollment.auto_renew, profile.api_enrollment.renew_before_days) == (False, 3)


def test_edit_keeps_defaults_that_the_form_does_not_show(alice: Client, profile: CertificateProfile) -> None:
    CertificateProfile.objects.filter(pk=profile.pk).update(defaults={"organization": "Acme", "ttl_days": 30})
    address = reverse("edit-profile", args=["acme", profile.pk])
    assert b'value="30d"' in alice.get(address).content
    alice.post(address, {"slug": "server", "ttl": "60d", "auto_renew": "on", "renew_before_days": "7"})
    defaults = CertificateProfile.objects.get().profile_defaults()
    assert [value.value for value in defaults.subject] == ["Acme"]
    assert defaults.ttl is not None
    assert defaults.ttl.days == 60


def test_delete_takes_a_post_and_keeps_the_rest(alice: Client, profile: CertificateProfile) -> None:
    address = reverse("delete-profile", args=["acme", profile.pk])
    assert alice.get(address).status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert alice.post(address)["Location"] == reverse("profiles", args=["acme"])
    assert not CertificateProfile.objects.exists()


def test_a_member_changes_nothing(profile: CertificateProfile) -> None:
    bob = client_of("bob", profile.project, Role.MEMBER)
    assert bob.post(CREATE, sent(profile)).status_code == HTTPStatus.FORBIDDEN
    for page in ("edit-profile", "delete-profile"):
        assert bob.post(reverse(page, args=["acme", profile.pk])).status_code == HTTPStatus.FORBIDDEN
    assert CertificateProfile.objects.get().slug == "server"


def test_the_page_shows_a_request_that_works_when_pasted(alice: Client, profile: CertificateProfile) -> None:
    page = alice.get(reverse("profile", args=["acme", profile.pk])).content.decode()
    assert f'"profileId": "{profile.pk}"' in page.replace("&quot;", '"')
    assert "http://pki.test/api/v1/cert-manager/certificates" in page
