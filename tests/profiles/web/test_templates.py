"""Templates by their pages: what is typed is what is stored, and every refusal stands beside its part."""

from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from pki_portal.access.models import Project, Role
from profiles.models import CertificateTemplate
from profiles.presets import PRESETS
from tests.factories import PASSWORD, make_project, make_user
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project(slug="acme")


@pytest.fixture
def alice(project: Project) -> Client:
    client = Client()
    make_user("alice", project=project)
    client.login(username="alice", password=PASSWORD)
    return client


def sent(**changes: Any) -> dict[str, Any]:
    """A filled form."""
    fields = {
        "name": "web",
        "description": "Web servers",
        "subject_type": ["common_name", "common_name", "organization", "common_name"],
        "subject_verdict": ["allowed", "denied", "required", "allowed"],
        "subject_pattern": ["*.acme.com", "*.secret.acme.com", "Acme", ""],
        "sans_type": ["dns_name"],
        "sans_verdict": ["allowed"],
        "sans_pattern": ["*.acme.com"],
        "key_usages-digital_signature": "required",
        "key_usages-key_encipherment": "allowed",
        "key_usages-crl_sign": "",
        "extended_key_usages-server_auth": "required",
        "key_algorithms": ["RSA_2048", "EC_prime256v1"],
        "signature_algorithms": ["ECDSA-SHA256"],
        "validity_max": "90d",
        "is_ca": "denied",
        "max_path_length": "",
    }
    return fields | changes


def test_create_stores_what_was_typed(alice: Client) -> None:
    response = alice.post("/projects/acme/templates/create/", sent())
    template = CertificateTemplate.objects.get()
    assert response["Location"] == reverse("template", args=["acme", template.pk])
    assert (template.name, template.description) == ("web", "Web servers")
    assert template.subject == [
        {"type": "common_name", "allowed": ["*.acme.com"], "denied": ["*.secret.acme.com"]},
        {"type": "organization", "required": ["Acme"]},
    ]
    assert template.sans == [{"type": "dns_name", "allowed": ["*.acme.com"]}]
    assert template.key_usages == {"required": ["digital_signature"], "allowed": ["key_encipherment"]}
    assert template.extended_key_usages == {"required": ["server_auth"]}
    assert template.validity == {"max": "90d"}
    rules = template.rules()
    assert [algorithm.value for algorithm in rules.key_algorithms or ()] == ["RSA_2048", "EC_prime256v1"]
    assert [algorithm.value for algorithm in rules.signature_algorithms or ()] == ["ECDSA-SHA256"]


def test_an_unchanged_edit_changes_no_rule(alice: Client, project: Project) -> None:
    alice.post("/projects/acme/templates/create/", sent(is_ca="allowed", max_path_length="1"))
    template = CertificateTemplate.objects.get()
    before = template.rules()
    form = alice.get(reverse("edit-template", args=["acme", template.pk])).content.decode()
    assert form.count('value="*.acme.com"') == 2
    assert 'value="*.secret.acme.com"' in form
    alice.post(
        reverse("edit-template", args=["acme", template.pk]), sent(is_ca="allowed", max_path_length="1", name="web")
    )
    template.refresh_from_db()
    assert template.rules() == before
    assert template.name == "web"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": ""}, "id_name-violations"),
        ({"validity_max": "soon"}, "id_validity_max-violations"),
        ({"max_path_length": "-5"}, "id_max_path_length-violations"),
        (
            {"subject_type": ["nonsense"], "subject_verdict": ["allowed"], "subject_pattern": ["x"]},
            "subject-violations",
        ),
        ({"sans_type": ["dns_name"], "sans_verdict": ["allowed"], "sans_pattern": ["a\x00b"]}, "sans-violations"),
    ],
)
def test_a_refusal_stands_beside_its_part(alice: Client, changes: dict[str, Any], told: str) -> None:
    response = alice.post("/projects/acme/templates/create/", sent(**changes))
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert f'id="{told}"' in response.content.decode()
    assert not CertificateTemplate.objects.exists()


@pytest.mark.parametrize("preset", [preset.slug for preset in PRESETS])
def test_every_preset_can_be_saved_as_it_stands(alice: Client, preset: str) -> None:
    page = alice.get("/projects/acme/templates/create/", {"preset": preset})
    form = page.context["form"]
    rows = {"subject": form.subject_rows, "sans": form.name_rows}
    fields: dict[str, Any] = {"name": preset, "validity_max": form["validity_max"].value(), "is_ca": "denied"}
    for part, found in rows.items():
        fields[f"{part}_type"] = [row.type for row in found]
        fields[f"{part}_verdict"] = [row.verdict for row in found]
        fields[f"{part}_pattern"] = [row.pattern for row in found]
    for part, usages in (("key_usages", form.key_usage_rows), ("extended_key_usages", form.extended_key_usage_rows)):
        fields |= {f"{part}-{row.value}": row.verdict for row in usages}
    fields["key_algorithms"] = [option.value for option in form.key_algorithm_options if option.is_ticked]
    fields["signature_algorithms"] = [option.value for option in form.signature_algorithm_options if option.is_ticked]
    assert alice.post("/projects/acme/templates/create/", fields).status_code == HTTPStatus.FOUND
    template = CertificateTemplate.objects.get()
    assert template.name == preset
    assert template.rules().extended_key_usages is not None


def test_a_template_in_use_is_not_deleted_and_says_why(alice: Client, project: Project) -> None:
    profile = make_issuing_profile(project)
    response = alice.post(reverse("delete-template", args=["acme", profile.template_id]), follow=True)
    assert b"is used by the certificate profiles server" in response.content
    assert CertificateTemplate.objects.exists()


def test_delete_takes_a_post(alice: Client) -> None:
    alice.post("/projects/acme/templates/create/", sent())
    address = reverse("delete-template", args=["acme", CertificateTemplate.objects.get().pk])
    assert alice.get(address).status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert alice.post(address)["Location"] == reverse("templates", args=["acme"])
    assert not CertificateTemplate.objects.exists()


def test_a_member_changes_nothing(project: Project) -> None:
    make_user("bob", project=project, role=Role.MEMBER)
    bob = Client()
    bob.login(username="bob", password=PASSWORD)
    assert bob.post("/projects/acme/templates/create/", sent()).status_code == HTTPStatus.FORBIDDEN
    profile = make_issuing_profile(project)
    for page in ("edit-template", "delete-template"):
        assert bob.post(reverse(page, args=["acme", profile.template_id]), sent()).status_code == HTTPStatus.FORBIDDEN
    assert CertificateTemplate.objects.get().name == "server"


WORDS = "/projects/acme/templates/in-words/"


def test_the_rules_stand_in_words_on_the_page_and_beside_the_form(alice: Client) -> None:
    alice.post("/projects/acme/templates/create/", sent())
    template = CertificateTemplate.objects.get()
    for page in ("template", "edit-template"):
        shown = alice.get(reverse(page, args=["acme", template.pk])).content.decode()
        assert "<li>DNS names must match *.acme.com.</li>" in shown
        assert "<li>At most 90 days.</li>" in shown


def test_what_is_typed_is_told_in_words_and_not_stored(alice: Client) -> None:
    told = alice.post(WORDS, sent(sans_pattern=["*.other.com"])).content.decode()
    assert "<li>DNS names must match *.other.com.</li>" in told
    assert not CertificateTemplate.objects.exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"validity_max": "soon"}, "soon"),
        ({"max_path_length": "x"}, "The form cannot be read as it stands."),
        ({"sans_type": ["dns_name"] * 2, "sans_verdict": ["allowed"] * 2, "sans_pattern": ["a", "a"]}, "twice"),
    ],
)
def test_what_cannot_be_read_is_told_instead(alice: Client, changes: dict[str, Any], told: str) -> None:
    response = alice.post(WORDS, sent(**changes))
    assert response.status_code == HTTPStatus.OK
    assert told in response.content.decode()


def test_words_are_for_those_who_may_read_templates(project: Project) -> None:
    stranger = Client()
    make_user("charlie")
    stranger.login(username="charlie", password=PASSWORD)
    assert stranger.post(WORDS, sent()).status_code == HTTPStatus.NOT_FOUND
    assert Client().post(WORDS, sent())["Location"].startswith("/accounts/login/")


def test_risks_stand_on_the_page_with_their_remedy(alice: Client, project: Project) -> None:
    profile = make_issuing_profile(project, validity={"max": "800d"})
    page = alice.get(reverse("template", args=["acme", profile.template_id])).content.decode()
    assert "Certificates of servers may live 800d" in page
    assert "Set the longest validity to 398d or less." in page
    alice.post("/projects/acme/templates/create/", sent(key_algorithms=["EC_prime256v1"]))
    narrow = CertificateTemplate.objects.get(name="web")
    page = alice.get(reverse("template", args=["acme", narrow.pk])).content.decode()
    assert page.count("Create a profile with it, or delete it.") == 1
    assert "Narrow" not in page


def test_a_chosen_preset_says_when_to_use_it(alice: Client) -> None:
    for preset in PRESETS:
        page = alice.get("/projects/acme/templates/create/", {"preset": preset.slug}).content.decode()
        assert [each.slug for each in PRESETS if each.when in page] == [preset.slug]


def test_presets_are_shown_to_and_taken_from_operators_and_admins_alone(project: Project) -> None:
    for role, status in (
        (Role.ADMIN, HTTPStatus.OK),
        (Role.OPERATOR, HTTPStatus.OK),
        (Role.MEMBER, HTTPStatus.FORBIDDEN),
        (Role.VIEWER, HTTPStatus.FORBIDDEN),
    ):
        make_user(role.value, project=project, role=role)
        client = Client()
        client.login(username=role.value, password=PASSWORD)
        answer = client.get("/projects/acme/templates/create/", {"preset": "ocsp-signer"})
        assert answer.status_code == status
        assert ("OCSP signer" in answer.content.decode()) is (status == HTTPStatus.OK)
