"""Try it: a decision by a template or profile, stored or as it is being typed, for whoever may read it."""

from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client

from certificates.models import Certificate, CertificateRequest
from certificates.models.authority import AuthorityStatus
from certificates.services.authorities import update_authority
from pki_portal.access.models import Role
from pki_portal.audit.models import AuditEvent
from profiles.models import CertificateProfile, CertificateTemplate
from profiles.services import create_template
from tests.certificates.web.test_explain import NAMES, fixes, step
from tests.certificates.web.test_issue import CSR, client_of
from tests.factories import SYSTEM, make_project
from tests.scenery import make_issuing_profile, server_template

pytestmark = pytest.mark.django_db
BASE = "/projects/acme"
RULES: dict[str, Any] = {
    "name": "typed",
    "subject_type": ["common_name"],
    "subject_verdict": ["allowed"],
    "subject_pattern": ["*.typed.com"],
    "sans_type": ["dns_name"],
    "sans_verdict": ["allowed"],
    "sans_pattern": ["*.typed.com"],
    "key_usages-digital_signature": "required",
    "validity_max": "30d",
    "is_ca": "denied",
    "max_path_length": "",
}


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project(slug="acme"), **NAMES)


@pytest.fixture
def bob(profile: CertificateProfile) -> Client:
    """A viewer: who reads may try."""
    return client_of(profile, "bob", Role.VIEWER)


def of_template(profile: CertificateProfile) -> str:
    return f"{BASE}/templates/{profile.template_id}/try/"


def of_profile(profile: CertificateProfile) -> str:
    return f"{BASE}/profiles/{profile.pk}/try/"


def asked(**changes: Any) -> dict[str, Any]:
    fields = {
        "trying": "1",
        "method": "fields",
        "common_name": "www.acme.com",
        "common_name_as_dns": "on",
        "san_type": ["dns_name"],
        "san_value": [""],
        "ttl": "90d",
    }
    return fields | changes


def tried(client: Client, address: str, status: int = HTTPStatus.OK, target: str = "", **changes: Any) -> str:
    headers = {"HX-Request": "true", "HX-Target": target} if target else {}
    response = client.post(address, asked(**changes), headers=headers)
    assert response.status_code == status
    assert "no-store" in response["Cache-Control"]
    assert Certificate.objects.count() == CertificateRequest.objects.count() == 0
    return response.content.decode()


def test_a_template_is_tried_by_who_may_read_it(bob: Client, profile: CertificateProfile) -> None:
    page = bob.get(of_template(profile)).content.decode()
    assert "The decision is shown here as you type" in page
    assert "Profile server" in page
    assert "Would be issued" in tried(bob, of_template(profile))
    page = tried(bob, of_template(profile), common_name="www.other.com", country="DE")
    assert "Would be refused" in page
    for owner in ("id_common_name-violations", "id_common_name_as_dns-violations", "id_country-violations"):
        assert f'id="{owner}"' in page, owner
    assert not AuditEvent.objects.filter(outcome="refused").exists()


def test_the_pages_of_template_and_profile_lead_there(bob: Client, profile: CertificateProfile) -> None:
    assert of_template(profile) in bob.get(f"{BASE}/templates/{profile.template_id}/").content.decode()
    assert of_profile(profile) in bob.get(f"{BASE}/profiles/{profile.pk}/").content.decode()


def test_a_profile_is_tried_with_its_defaults_and_its_ca(bob: Client, profile: CertificateProfile) -> None:
    assert "<title>Try server" in bob.get(of_profile(profile)).content.decode()
    assert "Would be issued" in tried(bob, of_profile(profile))
    assert profile.certificate_authority is not None
    update_authority(requester=SYSTEM, authority=profile.certificate_authority, status=AuthorityStatus.DISABLED)
    assert "Would be refused" in tried(bob, of_profile(profile))


def test_a_template_that_no_profile_uses_is_tried_with_a_ca_or_with_none(
    bob: Client, profile: CertificateProfile
) -> None:
    unused = create_template(requester=SYSTEM, project=profile.project, document=server_template(name="unused"))
    address = f"{BASE}/templates/{unused.pk}/try/"
    page = bob.get(address).content.decode()
    assert page.index("No profile, CA server-root") < page.index("No profile, self-signed")
    assert "Profile server" not in page
    by_ca = tried(bob, address, by=str(profile.certificate_authority_id))
    assert "Would be issued" in by_ca
    assert "validity of CA server-root" in by_ca
    by_itself = tried(bob, address, by="none")
    assert "Would be issued" in by_itself
    assert "validity of CA" not in by_itself
    assert "Would be refused" in tried(bob, address, by="none", method="csr", csr=CSR)


def test_without_any_ca_a_template_is_tried_as_self_signed() -> None:
    template = create_template(requester=SYSTEM, project=make_project(slug="acme"), document=server_template())
    profile = CertificateProfile(project=template.project, template=template)
    page = tried(client_of(profile, "bob", Role.VIEWER), of_template(profile))
    assert "Would be issued" in page


def test_a_ca_that_is_disabled_is_not_offered(bob: Client, profile: CertificateProfile) -> None:
    assert profile.certificate_authority is not None
    update_authority(requester=SYSTEM, authority=profile.certificate_authority, status=AuthorityStatus.DISABLED)
    assert "CA server-root" not in bob.get(of_template(profile)).content.decode()


def test_a_csr_is_tried(bob: Client, profile: CertificateProfile) -> None:
    page = tried(bob, of_template(profile), method="csr", csr=CSR)
    assert "Would be" in page
    assert "Would be refused" in tried(bob, of_template(profile), method="csr", csr="hello")


def test_a_fix_mends_the_fields_and_tries_again(bob: Client, profile: CertificateProfile) -> None:
    page = tried(bob, of_template(profile), common_name="www.other.com")
    value = fixes(page, "id_common_name-violations")["Use www.acme.com"]
    mended = tried(bob, of_template(profile), common_name="www.other.com", apply=value)
    assert 'value="www.acme.com"' in mended
    assert "Would be issued" in mended


def test_live_only_the_decision_is_answered(bob: Client, profile: CertificateProfile) -> None:
    part = tried(bob, of_template(profile), target="decision")
    assert part.lstrip().startswith('<div id="decision"')
    assert "Would be issued" in part
    assert "data-focus" not in part
    part = tried(bob, of_template(profile), HTTPStatus.UNPROCESSABLE_ENTITY, target="decision", ttl="soon")
    assert "This cannot be read yet" in part


@pytest.mark.parametrize("target", ["dialog-content", "try-form", "try-it"])
def test_htmx_gets_the_part_that_it_asks_for(bob: Client, profile: CertificateProfile, target: str) -> None:
    page = bob.get(of_template(profile), headers={"HX-Request": "true", "HX-Target": target}).content.decode()
    assert "<html" not in page
    assert 'id="try-form"' in page


def test_rules_are_tried_as_they_are_typed(bob: Client, profile: CertificateProfile) -> None:
    for address in (of_template(profile), f"{BASE}/templates/try/"):
        first = bob.post(address, RULES)
        assert first.status_code == HTTPStatus.OK
        assert "The decision is shown here" in first.content.decode()
        page = tried(bob, address, **RULES, common_name="www.typed.com", ttl="30d", by="none")
        assert "Would be issued" in page
        page = tried(bob, address, **RULES, ttl="30d", by="none")
        assert "Would be refused" in page
        assert "Use www.typed.com" in page
    assert CertificateTemplate.objects.count() == 1
    assert CertificateTemplate.objects.get().validity == {"max": "398d"}


def test_without_script_the_typed_rules_are_carried_along(bob: Client) -> None:
    page = bob.post(f"{BASE}/templates/try/", RULES).content.decode()
    for name in ("subject_pattern", "sans_type", "key_usages-digital_signature", "validity_max", "is_ca"):
        assert f'<input type="hidden" name="{name}"' in page, name
    by_htmx = bob.post(f"{BASE}/templates/try/", RULES, headers={"HX-Request": "true", "HX-Target": "try-it"})
    assert 'name="validity_max"' not in by_htmx.content.decode()
    assert 'hx-include="#template-form"' in by_htmx.content.decode()


@pytest.mark.parametrize(
    "changes",
    [
        {"validity_max": "soon"},
        {"max_path_length": "many"},
        {"is_ca": "perhaps"},
        {"subject_type": ["nonsense"]},
        {"subject_pattern": ["\x00"]},
        {"sans_type": ["ip_address"], "sans_pattern": ["10.0.0.0/99"]},
        {"subject_type": ["common_name"] * 2, "subject_verdict": ["allowed"] * 2, "subject_pattern": ["a", "a"]},
        {"name": "x" * 5_000},
    ],
)
def test_rules_that_cannot_be_saved_are_told_and_judge_nothing(bob: Client, changes: dict[str, Any]) -> None:
    for target in ("", "decision"):
        page = tried(bob, f"{BASE}/templates/try/", HTTPStatus.UNPROCESSABLE_ENTITY, target=target, **(RULES | changes))
        assert "These rules cannot be tried yet" in page
        assert "Would be" not in page


@pytest.mark.parametrize(
    "changes",
    [
        {"by": "nonsense"},
        {"by": "00000000-0000-0000-0000-000000000000"},
        {"method": "telepathy"},
        {"common_name": "\x00"},
        {"common_name": "x" * 100_000},
        {"san_type": ["nonsense"], "san_value": ["x"]},
        {"san_type": ["dns_name"] * 1500, "san_value": ["a.acme.com"] * 1500},
        {"key_usages": ["nonsense"], "extended_key_usages": ["\x00"]},
        {"key_algorithm": "nonsense"},
        {"ttl": "9" * 60 + "d"},
        {"path_length": "-1", "for_ca": "on"},
        {"apply": "nonsense"},
        {"apply": step("set", "subject/domain_component", "x")},
        {"trying": ["1", "2"], "csr": "\x00", "method": "csr"},
    ],
)
def test_nothing_that_is_sent_is_a_fault(bob: Client, profile: CertificateProfile, changes: dict[str, Any]) -> None:
    response = bob.post(of_template(profile), asked(**changes))
    assert response.status_code in {HTTPStatus.OK, HTTPStatus.UNPROCESSABLE_ENTITY}


def test_a_profile_or_ca_of_another_project_is_not_offered(bob: Client, profile: CertificateProfile) -> None:
    foreign = make_issuing_profile(make_project("Other"), slug="foreign")
    for chosen in (foreign.pk, foreign.certificate_authority_id):
        page = tried(bob, of_template(profile), HTTPStatus.UNPROCESSABLE_ENTITY, by=str(chosen))
        assert "foreign" not in page


def test_who_may_not_read_may_not_try(profile: CertificateProfile) -> None:
    addresses = (of_template(profile), of_profile(profile), f"{BASE}/templates/try/")
    stranger = client_of(CertificateProfile(project=make_project("Other")), "charlie", Role.ADMIN)
    nobody = client_of(profile, "nora", Role.NO_ACCESS)
    for address in addresses:
        assert Client().post(address, asked()).status_code == HTTPStatus.FOUND
        for client in (stranger, nobody):
            assert client.post(address, asked()).status_code == HTTPStatus.NOT_FOUND


def test_what_is_of_another_project_or_missing_is_not_found(bob: Client) -> None:
    foreign = make_issuing_profile(make_project("Other"), slug="foreign")
    missing = "00000000-0000-0000-0000-000000000000"
    addresses = (of_template(foreign), of_profile(foreign), f"{BASE}/templates/{missing}/try/")
    for address in (*addresses, f"{BASE}/profiles/{missing}/try/", f"{BASE}/templates/x/try/"):
        assert bob.post(address, asked()).status_code == HTTPStatus.NOT_FOUND


def test_rules_come_by_post_alone(bob: Client) -> None:
    assert bob.get(f"{BASE}/templates/try/").status_code == HTTPStatus.METHOD_NOT_ALLOWED


def test_a_try_out_needs_the_csrf_token(profile: CertificateProfile) -> None:
    session = client_of(profile, "bob", Role.VIEWER).cookies
    client = Client(enforce_csrf_checks=True)
    client.cookies = session
    assert client.post(of_template(profile), asked()).status_code == HTTPStatus.FORBIDDEN
