"""Pages that renew: the successor with its key this once, the claim, and when it renews by itself."""

from http import HTTPStatus

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from certificates.models import Certificate, CertificateSecret
from certificates.services.renewal import renew_certificate
from certificates.x509.keys import public_key_info
from pki_portal.access.models import Role
from pki_portal.audit.models import AuditEvent
from profiles.models import CertificateProfile
from profiles.services import update_template
from tests.factories import PASSWORD, SYSTEM, make_project, make_user
from tests.pages import make_issued
from tests.scenery import make_issuing_profile
from tests.wire import load_pem, make_csr

pytestmark = pytest.mark.django_db

NAME = "service.acme.com"
KEY_LINE = "-----BEGIN PRIVATE KEY-----"


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project(slug="acme"))


def logged_in(profile: CertificateProfile, name: str, role: str) -> Client:
    client = Client()
    make_user(name, project=profile.project, role=role)
    client.login(username=name, password=PASSWORD)
    return client


@pytest.fixture
def bob(profile: CertificateProfile) -> Client:
    return logged_in(profile, "bob", Role.MEMBER)


@pytest.fixture
def certificate(profile: CertificateProfile) -> Certificate:
    return make_issued(profile, NAME)


def address(certificate: Certificate, page: str = "renew") -> str:
    return reverse(page, args=["acme", certificate.pk])


def form_of(client: Client, certificate: Certificate) -> dict[str, str]:
    """What the form holds before anything is typed."""
    page = client.get(address(certificate)).content.decode()
    token = page.partition('name="token" value="')[2].partition('"')[0]
    assert token
    return {"token": token, "key_source": "new", "csr": ""}


def successor(certificate: Certificate) -> Certificate:
    return Certificate.objects.get(renewed_from=certificate)


def pem_between(page: str, begin: str, end: str) -> str:
    return begin + page.partition(begin)[2].partition(end)[0] + end


def test_renewing_shows_the_successor_and_its_key_which_is_claimed_by_that(
    bob: Client, certificate: Certificate
) -> None:
    shown = bob.post(address(certificate), form_of(bob, certificate))

    page = shown.content.decode()
    assert shown.status_code == HTTPStatus.OK
    assert shown["Cache-Control"] == "private, no-store"
    key = load_pem_private_key(pem_between(page, KEY_LINE, "-----END PRIVATE KEY-----").encode(), None)
    new = load_pem(pem_between(page, "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"))
    assert public_key_info(key.public_key()) == public_key_info(new.public_key())
    secret = CertificateSecret.objects.get(certificate=successor(certificate))
    assert (secret.claimed_by, secret.sealed_private_key) == ("bob", None)
    assert KEY_LINE not in bob.get(address(successor(certificate), "certificate")).content.decode()


def test_the_same_form_again_leads_to_the_one_successor(bob: Client, certificate: Certificate) -> None:
    form = form_of(bob, certificate)
    bob.post(address(certificate), form)

    again = bob.post(address(certificate), form)

    assert again.status_code == HTTPStatus.FOUND
    assert again["Location"] == address(successor(certificate), "certificate")
    assert Certificate.objects.count() == 2


def test_a_changed_form_with_a_used_token_says_so_and_comes_back_with_a_new_one(
    bob: Client, certificate: Certificate
) -> None:
    form = form_of(bob, certificate)
    bob.post(address(certificate), form)

    refused = bob.post(address(certificate), form | {"key_source": "reuse"})

    page = refused.content.decode()
    assert refused.status_code == 422
    assert "This form has renewed the certificate already." in page
    assert "Idempotency-Key" not in page
    assert 'name="token" value="' in page
    assert form["token"] not in page
    assert Certificate.objects.count() == 2


def test_another_form_is_refused_and_names_the_successor(bob: Client, certificate: Certificate) -> None:
    form = form_of(bob, certificate)
    renew_certificate(certificate=certificate, requester=SYSTEM)

    refused = bob.post(address(certificate), form)

    assert refused.status_code == 422
    assert str(successor(certificate).pk) in refused.content.decode()


def test_rules_that_refuse_are_told_in_the_form_and_stand_on_the_page(
    bob: Client, profile: CertificateProfile, certificate: Certificate
) -> None:
    update_template(requester=SYSTEM, template=profile.template, changes={"validity": {"max": "1d"}})

    refused = bob.post(address(certificate), form_of(bob, certificate))

    assert refused.status_code == 422
    certificate.refresh_from_db()
    assert certificate.renewal_error
    assert escape(certificate.renewal_error) in bob.get(address(certificate, "certificate")).content.decode()


def test_the_same_key_and_a_csr_show_no_key(bob: Client, certificate: Certificate) -> None:
    form = form_of(bob, certificate)

    same = bob.post(address(certificate), form | {"key_source": "reuse"})
    new = successor(certificate)
    signed = bob.post(address(new), form_of(bob, new) | {"key_source": "csr", "csr": make_csr()})

    assert (same.status_code, signed.status_code) == (HTTPStatus.OK, HTTPStatus.OK)
    assert KEY_LINE not in same.content.decode() + signed.content.decode()
    assert new.public_key_sha256 == certificate.public_key_sha256
    assert successor(new).key_source == "applicant"


def test_a_key_made_without_anybody_there_is_claimed_by_a_button_once(bob: Client, certificate: Certificate) -> None:
    new = renew_certificate(certificate=certificate, requester=SYSTEM).certificate
    assert "Claim key" in bob.get(address(new, "certificate")).content.decode()

    first = bob.post(address(new, "certificate-key"))
    second = bob.post(address(new, "certificate-key"))

    assert KEY_LINE in first.content.decode()
    assert first["Cache-Control"] == "private, no-store"
    assert KEY_LINE not in second.content.decode()
    page = bob.get(address(new, "certificate")).content.decode()
    assert "claimed by bob" in page
    assert "Claim key" not in page
    assert AuditEvent.objects.filter(event="claim-cert-private-key", outcome="done").count() == 1


def test_the_list_says_when_what_has_no_successor_renews(bob: Client, certificate: Certificate) -> None:
    bob.post(address(certificate, "renewal-config"), {"renew_before_days": "20"})
    listed = reverse("certificates", args=["acme"])
    assert bob.get(listed).content.decode().count(">renews in") == 1

    bob.post(address(certificate), form_of(bob, certificate))

    assert successor(certificate).renew_at
    assert bob.get(listed).content.decode().count(">renews in") == 1  # the successor alone


def test_days_are_set_and_switched_off(bob: Client, certificate: Certificate) -> None:
    where = address(certificate, "renewal-config")

    bob.post(where, {"renew_before_days": "20"})
    certificate.refresh_from_db()
    assert certificate.renew_before_days == 20
    page = bob.post(where, {"renew_before_days": "20", "off": "1"}, follow=True).content.decode()
    certificate.refresh_from_db()
    assert certificate.renew_at is None
    assert "no longer renews by itself" in page


@pytest.mark.parametrize("days", ["", "0", "31", "x", "900"])
def test_impossible_days_change_nothing(bob: Client, certificate: Certificate, days: str) -> None:
    page = bob.post(address(certificate, "renewal-config"), {"renew_before_days": days}, follow=True)

    assert "from 1 to 30" in page.content.decode()
    certificate.refresh_from_db()
    assert certificate.renew_before_days == 7


def test_a_viewer_sees_no_button_and_is_refused(profile: CertificateProfile, certificate: Certificate) -> None:
    vera = logged_in(profile, "vera", Role.VIEWER)

    page = vera.get(address(certificate, "certificate")).content.decode()

    assert address(certificate) not in page
    assert address(certificate, "renewal-config") not in page
    assert vera.post(address(certificate), {"key_source": "new", "token": "x"}).status_code == HTTPStatus.FORBIDDEN
    assert vera.post(address(certificate, "renewal-config"), {"off": "1"}).status_code == HTTPStatus.FORBIDDEN
    assert Certificate.objects.count() == 1


def test_an_outsider_finds_nothing(certificate: Certificate) -> None:
    charlie = Client()
    make_user("charlie", project=make_project(slug="other"))
    charlie.login(username="charlie", password=PASSWORD)

    assert charlie.post(address(certificate), {"key_source": "new", "token": "x"}).status_code == HTTPStatus.NOT_FOUND
