"""The import page: a file or a paste, what came of it, and no key sent back."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from certificates.models import Certificate, CertificateSecret
from pki_portal.access.models import Project, Role
from pki_portal.uploads import UPLOAD_LIMIT
from tests.elsewhere import PASSWORD as FILE_PASSWORD
from tests.elsewhere import foreign, pem_of
from tests.factories import PASSWORD, make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project(slug="acme")


def client_of(name: str, project: Project, role: str = Role.MEMBER) -> Client:
    client = Client()
    make_user(name, project=project, role=role)
    client.login(username=name, password=PASSWORD)
    return client


@pytest.fixture
def bob(project: Project) -> Client:
    return client_of("bob", project)


def page() -> str:
    return reverse("import-certificates", args=["acme"])


def file(content: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile("any.name", content)


def test_a_pkcs12_file_leads_to_its_certificate(bob: Client) -> None:
    assert bob.get(page()).status_code == 200
    sent = {"certificate_file": file(foreign().pkcs12), "password": FILE_PASSWORD, "keep_private_key": "on"}
    response = bob.post(page(), sent, follow=True)
    certificate = Certificate.objects.get()
    assert response.redirect_chain == [(reverse("certificate", args=["acme", certificate.pk]), 302)]
    assert b"1 certificate imported." in response.content
    assert b"Show key" in response.content
    assert CertificateSecret.objects.get().retention == "escrow"


def test_several_pasted_lead_to_the_list_with_their_issuer(bob: Client) -> None:
    one, two = foreign("one.other.test"), foreign("two.other.test")
    response = bob.post(page(), {"certificate": pem_of(one.certificate, two.certificate).decode()}, follow=True)
    listed = response.content.decode()
    assert response.redirect_chain[-1][0].endswith("/certificates/?source=imported")
    assert "2 certificates imported." in listed
    assert "two.other.test" in listed
    assert "CN=Other Issuing" in listed
    assert (
        "one.other.test" not in bob.get(reverse("certificates", args=["acme"]), {"source": "issued"}).content.decode()
    )
    again = bob.post(page(), {"certificate": one.pem.decode()}, follow=True)
    assert b"1 was here before." in again.content


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "one of the two"),
        ("nothing", "no certificates that can be read"),
        ("\x00", "Null characters are not allowed"),
    ],
)
def test_refusals_stand_beside_the_field(bob: Client, text: str, told: str) -> None:
    response = bob.post(page(), {"certificate": text})
    assert response.status_code == 422
    assert told in response.content.decode()


def test_a_pasted_key_is_used_and_never_sent_back(bob: Client) -> None:
    pasted = foreign().pem.decode() + foreign().key_pem.decode()
    response = bob.post(page(), {"certificate": pasted})
    assert response.status_code == 422
    assert b"Send the key that belongs to the certificate" in response.content
    assert b"PRIVATE KEY" not in response.content


def test_a_file_larger_than_is_read_is_refused_by_its_length(bob: Client) -> None:
    response = bob.post(page(), {"certificate_file": file(b"x" * (UPLOAD_LIMIT + 1))})
    assert response.status_code == 400
    response = bob.post(page(), {"certificate_file": file(b"x" * (600 * 1024))})
    assert response.status_code == 422
    assert b"at most 512 KiB" in response.content


def test_a_viewer_may_not_and_sees_no_button(project: Project) -> None:
    victor = client_of("victor", project, Role.VIEWER)
    assert victor.get(page()).status_code == 403
    assert victor.post(page(), {"certificate": foreign().pem.decode()}).status_code == 403
    assert page().encode() not in victor.get(reverse("certificates", args=["acme"])).content
    assert not Certificate.objects.exists()
