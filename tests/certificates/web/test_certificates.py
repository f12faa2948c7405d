"""The table of certificates and the page of one."""

import html
import re
from datetime import timedelta
from http import HTTPStatus

import pytest
from cryptography import x509
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from certificates.models import Certificate, CertificateRequest, CertificateSecret
from certificates.models.certificate import CertificateStatus, RevocationReason
from certificates.services.importing import Upload, import_certificates
from certificates.services.revocation import revoke_certificate
from pki_portal.access.models import Role
from pki_portal.audit.models import AuditEvent
from profiles.models import CertificateProfile
from profiles.services import update_profile
from tests.elsewhere import foreign
from tests.factories import PASSWORD, SYSTEM, make_project, make_user
from tests.pages import make_issued
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project(slug="acme"))


@pytest.fixture
def alice(profile: CertificateProfile) -> Client:
    return client_of("alice", profile)


def client_of(name: str, profile: CertificateProfile, role: str = Role.ADMIN) -> Client:
    client = Client()
    make_user(name, project=profile.project, role=role)
    client.login(username=name, password=PASSWORD)
    return client


def table(alice: Client, **query: str) -> str:
    response = alice.get(reverse("certificates", args=["acme"]), query)
    assert response.status_code == HTTPStatus.OK
    return response.content.decode()


def test_the_table_tells_the_states_apart(alice: Client, profile: CertificateProfile) -> None:
    make_issued(profile, "active.acme.com", life=timedelta(days=90))
    make_issued(profile, "ending.acme.com", life=timedelta(days=20))
    revoked = make_issued(profile, "revoked.acme.com")
    now = timezone.now()
    Certificate.objects.filter(pk=revoked.pk).update(
        status=CertificateStatus.REVOKED, revoked_at=now, revocation_reason=RevocationReason.SUPERSEDED
    )
    expired = make_issued(profile, "expired.acme.com")
    Certificate.objects.filter(pk=expired.pk).update(
        not_before=now - timedelta(days=2), not_after=now - timedelta(days=1)
    )
    everything = table(alice)
    for label in ("Active", "Expiring soon", "Revoked", "Expired"):
        assert f">{label}</span>" in everything, label
    assert "revoked.acme.com" in table(alice, status="revoked")
    assert "active.acme.com" not in table(alice, status="revoked")
    assert "expired.acme.com" in table(alice, status="expired")
    assert "ending.acme.com" in table(alice, status="active")


@pytest.mark.parametrize("search", ["alpha", "ALPHA.acme", "serial", "id"])
def test_search_finds_by_name_serial_number_and_id(alice: Client, profile: CertificateProfile, search: str) -> None:
    wanted = make_issued(profile, "alpha.acme.com")
    make_issued(profile, "beta.acme.com")
    text = {"serial": wanted.serial_number, "id": str(wanted.pk)}.get(search, search)
    found = table(alice, search=text)
    assert "alpha.acme.com" in found
    assert "beta.acme.com" not in found


@pytest.mark.parametrize("query", [{"search": "\x00"}, {"status": "nonsense"}, {"profile": "x"}, {"page": "999"}])
def test_nonsense_in_the_query_is_no_fault(alice: Client, profile: CertificateProfile, query: dict[str, str]) -> None:
    make_issued(profile)
    assert "service.acme.com" in table(alice, **query)


def test_the_profile_filter(alice: Client, profile: CertificateProfile) -> None:
    make_issued(profile)
    other = make_issuing_profile(profile.project, slug="other")
    assert "service.acme.com" in table(alice, profile=str(profile.pk))
    assert "No certificate fits" in table(alice, profile=str(other.pk))


def test_twenty_five_a_page(alice: Client, profile: CertificateProfile) -> None:
    for number in range(26):
        make_issued(profile, f"host-{number}.acme.com")
    first = table(alice, search="acme.com")
    assert first.count("<tr>") == 26
    assert "1\N{EN DASH}25 of 26" in first
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following is not None
    second = alice.get(reverse("certificates", args=["acme"]) + html.unescape(following[1])).content.decode()
    assert second.count("<tr>") == 2
    assert "26\N{EN DASH}26 of 26" in second
    assert 'rel="next"' not in second


def test_htmx_gets_the_table_alone(alice: Client, profile: CertificateProfile) -> None:
    make_issued(profile)
    response = alice.get(
        reverse("certificates", args=["acme"]), headers={"HX-Request": "true", "HX-Target": "certificates"}
    )
    assert response.content.strip().startswith(b'<div id="certificates">')


def test_the_page_of_a_certificate_shows_facts_and_no_key(alice: Client, profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    page = alice.get(reverse("certificate", args=["acme", certificate.pk])).content.decode()
    assert "BEGIN CERTIFICATE" in page
    assert "PRIVATE KEY" not in page
    assert certificate.fingerprint_sha256[:2] in page
    assert "server-root" in page


@pytest.mark.parametrize(("part", "count"), [("pem", 1), ("chain", 1), ("fullchain", 1)])
def test_downloads_hold_the_right_certificates(
    alice: Client, profile: CertificateProfile, part: str, count: int
) -> None:
    certificate = make_issued(profile)
    response = alice.get(reverse("certificate-download", args=["acme", certificate.pk, part]))
    members = x509.load_pem_x509_certificates(response.content)
    assert len(members) == count
    assert ("server root" in members[0].subject.rfc4514_string()) == (part == "chain")


def test_there_is_no_download_of_a_key(alice: Client, profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    response = alice.get(reverse("certificate-download", args=["acme", certificate.pk, "private-key"]))
    assert response.status_code == HTTPStatus.NOT_FOUND


@pytest.fixture
def kept(profile: CertificateProfile) -> Certificate:
    """A certificate whose key is kept."""
    update_profile(requester=SYSTEM, profile=profile, changes={"key_retention": "escrow"})
    return make_issued(profile)


def test_a_kept_key_is_shown_by_a_post_alone_audited_and_cached_nowhere(alice: Client, kept: Certificate) -> None:
    page = alice.get(reverse("certificate", args=["acme", kept.pk])).content.decode()
    assert "Kept, encrypted" in page
    assert "PRIVATE KEY" not in page
    address = reverse("certificate-key", args=["acme", kept.pk])
    assert alice.get(address).status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert not AuditEvent.objects.filter(event="get-cert-private-key").exists()

    response = alice.post(address)

    assert b"BEGIN PRIVATE KEY" in response.content
    assert "no-store" in response["Cache-Control"]
    event = AuditEvent.objects.get(event="get-cert-private-key")
    assert (event.outcome, event.actor_name, event.data["via"]) == ("done", "alice", "page")


def test_a_viewer_neither_sees_nor_destroys_it(profile: CertificateProfile, kept: Certificate) -> None:
    vera = client_of("vera", profile, Role.VIEWER)
    page = vera.get(reverse("certificate", args=["acme", kept.pk])).content.decode()
    assert "Show key" not in page
    assert "Destroy" not in page

    for act in ("certificate-key", "destroy-key"):
        assert vera.post(reverse(act, args=["acme", kept.pk])).status_code == HTTPStatus.FORBIDDEN

    assert CertificateSecret.objects.get().destroyed_at is None
    assert set(AuditEvent.objects.filter(outcome="refused").values_list("event", flat=True)) == {
        "get-cert-private-key",
        "destroy-cert-private-key",
    }


def test_of_another_project_there_is_no_key(kept: Certificate) -> None:
    other = make_issuing_profile(make_project("Other", slug="other"))
    charlie = client_of("charlie", other)

    for project in ("acme", "other"):
        for act in ("certificate-key", "destroy-key"):
            assert charlie.post(reverse(act, args=[project, kept.pk])).status_code == HTTPStatus.NOT_FOUND
    assert CertificateSecret.objects.get().destroyed_at is None


def test_a_destroyed_key_is_told_with_its_destroyer(alice: Client, kept: Certificate) -> None:
    address = reverse("certificate", args=["acme", kept.pk])

    assert alice.post(reverse("destroy-key", args=["acme", kept.pk]))["Location"] == address

    page = alice.get(address).content.decode()
    assert "kept until alice destroyed it" in page
    assert "Show key" not in page
    response = alice.post(reverse("certificate-key", args=["acme", kept.pk]))
    assert response.status_code == HTTPStatus.BAD_REQUEST
    assert b"destroyed by alice" in response.content


def test_findings_stand_on_the_page_with_what_waives_them(alice: Client, profile: CertificateProfile) -> None:
    address = reverse("certificate", args=["acme", make_issued(profile).pk])
    assert "Lint findings" not in alice.get(address).content.decode()

    page = alice.get(reverse("certificate", args=["acme", make_issued(profile, "mailhost").pk])).content.decode()

    assert "pkix.invalid_domain_name_syntax" in page
    assert "private host name" in page


def test_the_page_of_an_imported_certificate_says_whose_it_is(alice: Client, profile: CertificateProfile) -> None:
    one = foreign()
    done = import_certificates(
        requester=SYSTEM, project=profile.project, upload=Upload(content=one.pem), friendly_name="shop"
    )
    response = alice.get(reverse("certificate", args=["acme", done.certificates[0].certificate.pk]))
    page = response.content.decode()
    assert "CN=Other Issuing" in page
    assert "its own CA revokes and renews it" in page
    assert "shop" in page
    for act in ("revoke", "renew", "decision"):
        assert f"/{act}/" not in page


def test_what_is_revoked_can_be_deleted_on_its_page_and_what_is_live_cannot(
    alice: Client, profile: CertificateProfile
) -> None:
    certificate = make_issued(profile, "gone.acme.com")
    page, act = (reverse(name, args=["acme", certificate.pk]) for name in ("certificate", "delete-certificate"))
    assert act not in alice.get(page).content.decode()
    refused = alice.post(act, follow=True)
    assert refused.redirect_chain == [(page, HTTPStatus.FOUND)]
    assert "certificates that have ended or are revoked for good" in refused.content.decode()
    revoke_certificate(requester=SYSTEM, certificate=certificate, reason=RevocationReason.SUPERSEDED)
    assert act in alice.get(page).content.decode()
    bob = client_of("bob", profile, Role.MEMBER)
    assert act not in bob.get(page).content.decode()
    assert bob.post(act).status_code == HTTPStatus.FORBIDDEN

    done = alice.post(act, follow=True)

    assert done.redirect_chain == [(reverse("certificates", args=["acme"]), HTTPStatus.FOUND)]
    assert "Certificate gone.acme.com was deleted." in done.content.decode()
    assert not Certificate.objects.exists()
    request = CertificateRequest.objects.get()
    assert ">deleted " in alice.get(reverse("request", args=["acme", request.pk])).content.decode()
