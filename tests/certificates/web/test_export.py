"""Export and deploy: every file by a link, a key packed by a form, and no key lost or told where it should not be."""

import re
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from certificates.models import Certificate, CertificateSecret
from certificates.services.export import PublicFormat
from certificates.services.importing import Upload, import_certificates
from certificates.services.renewal import renew_certificate
from certificates.x509.keys import private_key_pem
from pki_portal.access.models import Role
from pki_portal.audit.models import AuditEvent
from profiles.models import CertificateProfile
from profiles.policy.vocabulary import KeyRetention
from profiles.services import update_profile
from tests.elsewhere import foreign
from tests.factories import PASSWORD, SYSTEM, make_project, make_user
from tests.pages import make_issued
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db

FORM = {"format": "pkcs12", "password": "secret 7", "alias": "web"}


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project(slug="acme"))


def client_of(name: str, profile: CertificateProfile, role: str = Role.ADMIN) -> Client:
    client = Client()
    make_user(name, project=profile.project, role=role)
    client.login(username=name, password=PASSWORD)
    return client


@pytest.fixture
def alice(profile: CertificateProfile) -> Client:
    return client_of("alice", profile)


def escrow(profile: CertificateProfile) -> CertificateProfile:
    return update_profile(requester=SYSTEM, profile=profile, changes={"key_retention": KeyRetention.ESCROW})


def address(view: str, certificate: Certificate) -> str:
    return reverse(view, args=["acme", certificate.pk])


def issue_on_the_page(alice: Client) -> tuple[Certificate, str, str]:
    """The certificate, its key as the page shows it, and the page."""
    form = alice.get(reverse("issue", args=["acme"])).content.decode()
    token = re.search(r'name="token" value="([^"]+)"', form)
    assert token is not None
    response = alice.post(
        reverse("issue", args=["acme"]),
        {"token": token[1], "source": "fields", "common_name": "www.acme.com", "ttl": "90d"},
    )
    page = response.content.decode()
    key = re.search(r"-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----", page, re.DOTALL)
    assert key is not None, page
    return Certificate.objects.get(), key[0], page


def packed(response: Any, key: str) -> None:
    assert response.status_code == 200, response.content
    assert response["Content-Disposition"] == 'attachment; filename="www.acme.com.p12"'
    assert "no-store" in response["Cache-Control"]
    store = load_pkcs12(response.content, b"secret 7")
    assert private_key_pem(store.key) == key  # type: ignore[arg-type]


def test_a_key_that_was_just_shown_is_packed_and_kept_nowhere(alice: Client, profile: CertificateProfile) -> None:
    certificate, key, page = issue_on_the_page(alice)
    assert f'action="{address("export", certificate)}"' in page
    packed(alice.post(address("export", certificate), FORM | {"private_key": key.replace("\n", "\r\n")}), key)
    assert not CertificateSecret.objects.exists()
    body = key.splitlines()[1]
    kept = [session.get_decoded() for session in Session.objects.all()]
    assert body not in str([*AuditEvent.objects.values_list("data", flat=True), *kept])


def test_a_refused_form_gives_the_key_back_for_its_page_is_gone(alice: Client, profile: CertificateProfile) -> None:
    certificate, key, _ = issue_on_the_page(alice)
    response = alice.post(address("export", certificate), FORM | {"private_key": key, "password": "short"})
    page = response.content.decode()
    assert response.status_code == 422
    assert "no-store" in response["Cache-Control"]
    assert page.count("-----BEGIN PRIVATE KEY-----") == 2  # to save, and in the form
    assert "at least 6 characters" in page
    assert "short" not in re.sub(r"<[^>]+>", "", page).replace("shortcut", "")


@pytest.mark.parametrize(
    "key", ["", "-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----", foreign().key_pem.decode()]
)
def test_what_is_not_its_key_is_neither_packed_nor_shown(alice: Client, profile: CertificateProfile, key: str) -> None:
    certificate = make_issued(profile)
    response = alice.post(address("export", certificate), FORM | {"private_key": key})
    assert response.status_code == 422
    assert b"own key, unencrypted in PKCS#8 PEM" in response.content
    assert b"BEGIN PRIVATE KEY" not in response.content


def test_a_kept_key_is_packed_for_whoever_may_read_it(alice: Client, profile: CertificateProfile) -> None:
    certificate = make_issued(escrow(profile), "www.acme.com")
    page = alice.get(address("export", certificate)).content.decode()
    assert "PRIVATE KEY" not in page
    response = alice.post(address("export", certificate), FORM)
    assert load_pkcs12(response.content, b"secret 7").key is not None
    assert AuditEvent.objects.get(event="get-cert-private-key").data["via"] == "pkcs12"

    victor = client_of("victor", profile, Role.VIEWER)
    assert "does not include reading private keys" in victor.get(address("export", certificate)).content.decode()
    assert victor.post(address("export", certificate), FORM).status_code == 403


def test_a_key_that_waits_is_claimed_by_its_file(alice: Client, profile: CertificateProfile) -> None:
    renewed = renew_certificate(certificate=make_issued(profile), requester=SYSTEM).certificate
    page = alice.get(address("export", renewed)).content.decode()
    assert "one claim" in page
    assert alice.post(address("export", renewed), FORM | {"alias": ""}).status_code == 422
    assert alice.post(address("export", renewed), FORM).status_code == 200
    again = alice.post(address("export", renewed), FORM)
    assert again.status_code == 422
    assert b"was claimed by alice" in again.content


def test_the_page_links_every_format_that_there_is(alice: Client, profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    page = alice.get(address("export", certificate)).content.decode()
    for wanted in PublicFormat:
        link = reverse("certificate-download", args=["acme", certificate.pk, wanted.value])
        assert link in page
        assert alice.get(link).status_code == 200
    upload = Upload(content=foreign().pem)
    alone = import_certificates(requester=SYSTEM, project=profile.project, upload=upload).certificates[0].certificate
    page = alice.get(address("export", alone)).content.decode()
    assert "Import it once more together with every certificate above it" in page
    assert "/root/" not in page
    refused = alice.get(reverse("certificate-download", args=["acme", alone.pk, "root"]))
    assert refused.status_code == 400


def test_the_deploy_page_shows_the_kit_escaped(alice: Client, profile: CertificateProfile) -> None:
    page = alice.get(address("deploy", make_issued(profile))).content.decode()
    assert "server_name service.acme.com;" in page
    assert "&lt;VirtualHost *:443&gt;" in page
    one = foreign('x"><script>alert(1)</script>', dns_names=('y"><script>alert(2)</script>', "fine.other.test"))
    upload = Upload(content=one.pem)
    hostile = import_certificates(requester=SYSTEM, project=profile.project, upload=upload).certificates[0].certificate
    for view in ("deploy", "export", "certificate"):
        page = alice.get(address(view, hostile)).content.decode()
        assert "<script>alert" not in page
    assert x509.load_der_x509_certificate(bytes(hostile.der)) == one.certificate


def test_others_know_no_such_page(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    charlie = Client()
    make_user("charlie")
    charlie.login(username="charlie", password=PASSWORD)
    for view in ("export", "deploy"):
        assert charlie.get(address(view, certificate)).status_code == 404
        assert Client().get(address(view, certificate)).status_code == 302
