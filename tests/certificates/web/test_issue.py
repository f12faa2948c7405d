"""The Issue form without a browser: what is sent, what comes of it, and what never leaves twice."""

import re
from http import HTTPStatus
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.test import Client
from django.urls import reverse

from certificates.models import Certificate, CertificateRequest
from pki_portal.access.models import Role
from pki_portal.access.permissions import ACTIONS_OF_ROLE, Action
from pki_portal.audit.models import AuditEvent
from profiles.models import CertificateProfile
from tests.factories import PASSWORD, make_project, make_user
from tests.scenery import make_issuing_profile
from tests.wire import make_csr

pytestmark = pytest.mark.django_db
CSR = make_csr()
ADDRESS = "/projects/acme/certificates/issue/"


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project(slug="acme"))


@pytest.fixture
def alice(profile: CertificateProfile) -> Client:
    return client_of(profile, "alice", Role.ADMIN)


def client_of(profile: CertificateProfile, name: str, role: str) -> Client:
    client = Client()
    make_user(name, project=profile.project, role=role)
    client.login(username=name, password=PASSWORD)
    return client


def sent(of: CertificateProfile, **changes: Any) -> dict[str, Any]:
    """What the form sends when a name is typed and Issue pressed."""
    fields = {
        "token": "a-token",
        "profile": str(of.pk),
        "method": "fields",
        "common_name": "service.acme.com",
        "common_name_as_dns": "on",
        "san_type": ["dns_name"],
        "san_value": [""],
        "ttl": "90d",
    }
    return fields | changes


def test_name_and_issue_are_enough(alice: Client, profile: CertificateProfile) -> None:
    response = alice.post(ADDRESS, sent(profile))
    assert response.status_code == HTTPStatus.OK
    assert "no-store" in response["Cache-Control"]
    page = response.content.decode()
    key = page[page.index("-----BEGIN PRIVATE") : page.index("-----END PRIVATE KEY-----") + 25]
    assert load_pem_private_key(key.encode(), password=None)
    certificate = Certificate.objects.get()
    assert certificate.subject_alternative_names == [{"type": "dns_name", "value": "service.acme.com"}]
    assert certificate.renew_before_days == 7
    assert AuditEvent.objects.filter(event="issue-certificate-from-profile", actor_name="alice").exists()


def test_htmx_gets_the_page_of_the_certificate_and_its_address(alice: Client, profile: CertificateProfile) -> None:
    response = alice.post(ADDRESS, sent(profile), headers={"HX-Request": "true", "HX-Target": "issue-form"})
    certificate = Certificate.objects.get()
    assert response["HX-Push-Url"] == reverse("certificate", args=["acme", certificate.pk])
    assert response["HX-Retarget"] == "#main"
    assert b"<html" not in response.content
    assert b"BEGIN PRIVATE KEY" in response.content


def test_the_same_form_twice_makes_one_certificate_and_shows_no_second_key(
    alice: Client, profile: CertificateProfile
) -> None:
    alice.post(ADDRESS, sent(profile))
    again = alice.post(ADDRESS, sent(profile))
    assert again.status_code == HTTPStatus.FOUND
    assert again["Location"] == reverse("certificate", args=["acme", Certificate.objects.get().pk])
    by_htmx = alice.post(ADDRESS, sent(profile), headers={"HX-Request": "true"})
    assert b"issued already" in by_htmx.content
    assert b"PRIVATE KEY" not in by_htmx.content


def test_another_form_makes_another_certificate(alice: Client, profile: CertificateProfile) -> None:
    alice.post(ADDRESS, sent(profile))
    alice.post(ADDRESS, sent(profile, token="another-token"))
    assert Certificate.objects.count() == 2


def test_a_changed_form_with_a_used_token_comes_back_with_a_new_one(alice: Client, profile: CertificateProfile) -> None:
    alice.post(ADDRESS, sent(profile))
    changed = alice.post(ADDRESS, sent(profile, ttl="30d"))
    assert changed.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    page = changed.content.decode()
    assert "This form has issued a certificate already" in page
    assert "Press Issue again to make another certificate" in page
    assert Certificate.objects.count() == 1
    token = re.search(r'name="token" value="([^"]+)"', page)
    assert token is not None
    assert token[1] != "a-token"
    assert alice.post(ADDRESS, sent(profile, ttl="30d", token=token[1])).status_code == HTTPStatus.OK
    assert Certificate.objects.count() == 2


def test_a_refused_form_may_be_sent_again_with_its_token(alice: Client, profile: CertificateProfile) -> None:
    refused = alice.post(ADDRESS, sent(profile, ttl="4000d"))
    assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert alice.post(ADDRESS, sent(profile)).status_code == HTTPStatus.OK
    assert Certificate.objects.count() == 1


@pytest.mark.parametrize("changes", [{}, {"ttl": "for ever"}])
def test_a_key_pasted_as_a_csr_is_not_sent_back(
    alice: Client, profile: CertificateProfile, changes: dict[str, Any]
) -> None:
    pasted = "-----BEGIN PRIVATE KEY-----\npasted by mistake\n-----END PRIVATE KEY-----"
    response = alice.post(ADDRESS, sent(profile, method="csr", csr=pasted, **changes))
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert b"pasted by mistake" not in response.content


def test_the_key_is_in_no_session_message_or_row(alice: Client, profile: CertificateProfile) -> None:
    page = alice.post(ADDRESS, sent(profile)).content.decode()
    secret = page[page.index("-----BEGIN PRIVATE KEY-----") + 28 :][:60]
    assert secret not in str(dict(alice.session))
    for model in (Certificate, CertificateRequest, AuditEvent):
        assert secret not in str(list(model.objects.values()))


def test_every_violation_is_told_beside_its_field(alice: Client, profile: CertificateProfile) -> None:
    changes = {"ttl": "4000d", "san_type": ["ip_address", "dns_name"], "san_value": ["999.1.1.1", "bad name"]}
    response = alice.post(ADDRESS, sent(profile, **changes))
    page = response.content.decode()
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    for owner in ("id_ttl-violations", "name-1-violations", "name-2-violations"):
        assert f'id="{owner}"' in page, owner
    assert 'value="999.1.1.1"' in page
    assert Certificate.objects.count() == 0
    assert CertificateRequest.objects.get().status == "failed"


@pytest.mark.parametrize("ttl", ["soon", "0d", "-1d", "90", "9" * 60 + "d"])
def test_an_impossible_life_is_refused(alice: Client, profile: CertificateProfile, ttl: str) -> None:
    response = alice.post(ADDRESS, sent(profile, ttl=ttl))
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert b"id_ttl-violations" in response.content


def test_a_csr_is_signed_without_a_key(alice: Client, profile: CertificateProfile) -> None:
    response = alice.post(ADDRESS, sent(profile, method="csr", csr=CSR))
    assert b"Signed from your CSR" in response.content
    assert b"PRIVATE KEY" not in response.content
    assert Certificate.objects.get().key_source == "applicant"


@pytest.mark.parametrize("csr", ["", "hello", CSR[:200], "A" * 100_000, CSR + CSR, "\x00"])
def test_what_is_no_csr_is_refused_beside_it(alice: Client, profile: CertificateProfile, csr: str) -> None:
    response = alice.post(ADDRESS, sent(profile, method="csr", csr=csr))
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert b"id_csr-violations" in response.content


def test_a_free_usage_that_is_ticked_is_asked_for(alice: Client) -> None:
    profile = make_issuing_profile(
        CertificateProfile.objects.get().project, slug="rsa", algorithms={"key_algorithm": ["RSA_2048"]}
    )
    alice.post(ADDRESS, sent(profile, key_usages=["key_encipherment"]))
    assert Certificate.objects.get().key_usages == ["digital_signature", "key_encipherment"]


def test_the_key_is_hidden_from_a_role_that_may_not_read_it(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No role issues without reading keys today; the page asks the permission all the same.
    without = ACTIONS_OF_ROLE[Role.MEMBER] - {Action.CERTIFICATES_READ_PRIVATE_KEY}
    monkeypatch.setitem(ACTIONS_OF_ROLE, Role.MEMBER, without)
    response = client_of(profile, "bob", Role.MEMBER).post(ADDRESS, sent(profile))
    assert response.status_code == HTTPStatus.OK
    assert b"PRIVATE KEY" not in response.content
    assert Certificate.objects.count() == 1


def test_a_viewer_may_not_issue(profile: CertificateProfile) -> None:
    bob = client_of(profile, "bob", Role.VIEWER)
    assert bob.post(ADDRESS, sent(profile)).status_code == HTTPStatus.FORBIDDEN
    assert Certificate.objects.count() == 0


def test_without_the_csrf_token_nothing_is_issued(profile: CertificateProfile) -> None:
    client = Client(enforce_csrf_checks=True)
    make_user("alice", project=profile.project)
    client.login(username="alice", password=PASSWORD)
    assert client.post(ADDRESS, sent(profile)).status_code == HTTPStatus.FORBIDDEN
    assert Certificate.objects.count() == 0


def test_a_profile_of_another_project_is_not_offered(alice: Client) -> None:
    foreign = make_issuing_profile(make_project("Other"), slug="foreign")
    alice.post(ADDRESS, sent(foreign))
    assert not Certificate.objects.filter(profile=foreign).exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"token": ""},
        {"token": "x" * 1000},
        {"method": "telepathy"},
        {"profile": "not-a-uuid"},
        {"common_name": "\x00"},
        {"common_name": "x" * 100_000},
        {"san_type": ["nonsense"], "san_value": ["x"]},
        {"san_type": ["dns_name"] * 1500, "san_value": ["a.acme.com"] * 1500},
        {"san_type": [], "san_value": ["x"]},
        {"key_usages": ["nonsense"]},
        {"key_algorithm": "nonsense"},
        {"ttl": "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")},
    ],
)
def test_nothing_that_is_sent_is_a_fault(alice: Client, profile: CertificateProfile, changes: dict[str, Any]) -> None:
    response = alice.post(ADDRESS, sent(profile, **changes))
    assert response.status_code in {HTTPStatus.OK, HTTPStatus.UNPROCESSABLE_ENTITY}
