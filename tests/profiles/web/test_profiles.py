"""Profiles by their pages."""

import html
import re
from datetime import timedelta
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


def shown_fields(client: Client, address: str) -> dict[str, Any]:
    """What a browser would send back from the form without touching it."""
    sent: dict[str, Any] = {}
    page = client.get(address).content.decode()
    for control in re.findall(r"<input[^>]*>", page):
        found = dict(re.findall(r'(\w+)="([^"]*)"', control))
        if "name" not in found or (found.get("type") in {"checkbox", "radio"} and " checked" not in control):
            continue
        value = html.unescape(found.get("value", "on" if found.get("type") == "checkbox" else ""))
        sent[found["name"]] = [*sent.get(found["name"], []), value]
    for name, inside in re.findall(r'<select name="([^"]*)".*?>(.*?)</select>', page, re.DOTALL):
        sent[name] = re.findall(r'<option value="([^"]*)" selected', inside) or [""]
    return sent


def test_edit_shows_every_default_and_an_untouched_form_changes_nothing(
    alice: Client, profile: CertificateProfile
) -> None:
    defaults = {
        "common_name": "service.acme.com",
        "organization": "Acme",
        "country": "US",
        "ttl": "30d",
        "key_usages": ["digital_signature"],
        "extended_key_usages": ["server_auth", "client_auth"],
        "key_algorithm": "EC_prime256v1",
        "signature_algorithm": "ECDSA-SHA256",
    }
    CertificateProfile.objects.filter(pk=profile.pk).update(defaults=defaults, key_retention="escrow")
    address = reverse("edit-profile", args=["acme", profile.pk])

    assert alice.post(address, shown_fields(alice, address)).status_code == HTTPStatus.FOUND

    stored = CertificateProfile.objects.get()
    assert (stored.defaults, stored.key_retention, stored.version) == (defaults, "escrow", 1)
    assert stored.api_enrollment.auto_renew


def test_edit_changes_every_default(alice: Client, profile: CertificateProfile) -> None:
    address = reverse("edit-profile", args=["acme", profile.pk])
    changed = shown_fields(alice, address) | {
        "default_organization": "Acme",
        "default_key_usages": ["digital_signature"],
        "default_extended_key_usages": ["server_auth"],
        "default_key_algorithm": "EC_prime256v1",
        "default_signature_algorithm": "ECDSA-SHA256",
        "key_retention": "escrow",
        "ttl": "60d",
    }

    assert alice.post(address, changed).status_code == HTTPStatus.FOUND

    stored = CertificateProfile.objects.get()
    assert stored.key_retention == "escrow"
    assert stored.defaults == {
        "organization": "Acme",
        "key_usages": ["digital_signature"],
        "extended_key_usages": ["server_auth"],
        "key_algorithm": "EC_prime256v1",
        "signature_algorithm": "ECDSA-SHA256",
        "ttl": "60d",
    }


def test_edit_keeps_what_the_form_cannot_show(alice: Client, profile: CertificateProfile) -> None:
    CertificateProfile.objects.filter(pk=profile.pk).update(defaults={"ttl_days": 30, "extended_key_usages": []})
    address = reverse("edit-profile", args=["acme", profile.pk])

    alice.post(address, shown_fields(alice, address))

    assert CertificateProfile.objects.get().defaults == {"ttl": "30d", "extended_key_usages": []}


def test_a_default_that_no_certificate_can_carry_stands_beside_its_field(
    alice: Client, profile: CertificateProfile
) -> None:
    response = alice.post(CREATE, sent(profile, default_country="Utopia"))

    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert 'id="id_default_country-violations"' in response.content.decode()


def test_the_page_tells_defaults_that_cannot_pass(alice: Client, profile: CertificateProfile) -> None:
    address = reverse("profile", args=["acme", profile.pk])
    assert "cannot pass" not in alice.get(address).content.decode()
    CertificateProfile.objects.update(defaults={"country": "US", "organization": "Acme"})

    page = alice.get(address).content.decode()

    assert "Some defaults cannot pass" in page
    assert page.count("where a request names none") == 2


def test_a_profile_is_moved_by_a_form_of_its_own(alice: Client, profile: CertificateProfile) -> None:
    other = make_issuing_profile(profile.project, slug="other")
    foreign = make_issuing_profile(make_project("Other"), slug="foreign")
    address = reverse("move-profile", args=["acme", profile.pk])
    page = alice.get(address).content.decode()
    assert str(other.template_id) in page
    assert str(foreign.template_id) not in page

    response = alice.post(
        address,
        {"certificate_authority_id": str(other.certificate_authority_id), "template_id": str(profile.template_id)},
    )

    assert response["Location"] == reverse("profile", args=["acme", profile.pk])
    moved = CertificateProfile.objects.get(pk=profile.pk)
    assert (moved.certificate_authority_id, moved.template_id) == (
        other.certificate_authority_id,
        profile.template_id,
    )
    for elsewhere in ({"template_id": str(foreign.template_id)}, {"template_id": "x"}, {}):
        assert alice.post(address, elsewhere).status_code == HTTPStatus.UNPROCESSABLE_ENTITY


def test_a_self_signed_profile_moves_to_another_template_only(alice: Client, profile: CertificateProfile) -> None:
    alone = make_issuing_profile(profile.project, slug="alone", is_self_signed=True)
    address = reverse("move-profile", args=["acme", alone.pk])
    assert "certificate_authority_id" not in alice.get(address).content.decode()

    alice.post(address, {"template_id": str(profile.template_id)})

    assert CertificateProfile.objects.get(pk=alone.pk).template_id == profile.template_id


def test_a_finding_is_waived_and_the_waiver_removed(alice: Client, profile: CertificateProfile) -> None:
    address = reverse("waive", args=["acme", profile.pk])
    assert "pkix.name_empty" in alice.get(address).content.decode()

    for sent in ({"code": "pkix.name_empty", "reason": "because"}, {"code": "nonsense", "reason": "x" * 20}, {}):
        response = alice.post(address, sent)
        assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
        assert "-violations" in response.content.decode()
    alice.post(address, {"code": "pkix.name_empty", "reason": "Devices have no name yet.", "expires_at": "2027-06-30"})
    alice.post(address, {"code": "pkix.no_ku_bits_set", "reason": "An older product."})

    stored = CertificateProfile.objects.get()
    assert [waiver.code for waiver in stored.waivers()] == ["pkix.name_empty", "pkix.no_ku_bits_set"]
    page = alice.get(reverse("profile", args=["acme", profile.pk])).content.decode()
    assert "Devices have no name yet." in page
    alice.post(reverse("remove-waiver", args=["acme", profile.pk]), {"code": "pkix.name_empty"})
    assert [waiver.code for waiver in CertificateProfile.objects.get().waivers()] == ["pkix.no_ku_bits_set"]


def test_delete_takes_a_post_and_keeps_the_rest(alice: Client, profile: CertificateProfile) -> None:
    address = reverse("delete-profile", args=["acme", profile.pk])
    assert alice.get(address).status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert alice.post(address)["Location"] == reverse("profiles", args=["acme"])
    assert not CertificateProfile.objects.exists()


def test_a_member_changes_nothing(profile: CertificateProfile) -> None:
    bob = client_of("bob", profile.project, Role.MEMBER)
    assert bob.post(CREATE, sent(profile)).status_code == HTTPStatus.FORBIDDEN
    for page in ("edit-profile", "delete-profile", "move-profile", "waive", "remove-waiver"):
        assert bob.post(reverse(page, args=["acme", profile.pk])).status_code == HTTPStatus.FORBIDDEN
    assert CertificateProfile.objects.get().slug == "server"


def test_the_page_shows_a_request_that_works_when_pasted(alice: Client, profile: CertificateProfile) -> None:
    page = alice.get(reverse("profile", args=["acme", profile.pk])).content.decode()
    assert f'"profileId": "{profile.pk}"' in page.replace("&quot;", '"')
    assert "http://pki.test/api/v1/cert-manager/certificates" in page


def test_a_ca_that_ends_before_the_usual_validity_is_a_risk_on_the_page(alice: Client) -> None:
    project = Project.objects.get(slug="acme")
    brief = make_issuing_profile(project, slug="brief", authority_life=timedelta(days=100))
    page = alice.get(reverse("profile", args=["acme", brief.pk])).content.decode()
    assert "before the longest validity of 398d is over" in page
    assert "give the profile a usual validity" in page
