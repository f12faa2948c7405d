"""CAs by their pages."""

from http import HTTPStatus
from typing import Any

import pytest
from cryptography import x509
from django.test import Client
from django.urls import reverse

from certificates.models import CertificateAuthority
from certificates.models.authority import AuthorityStatus
from pki_portal.access.models import Project, Role
from tests.factories import PASSWORD, make_authority, make_project, make_user

pytestmark = pytest.mark.django_db
CREATE = "/projects/acme/authorities/create/"


@pytest.fixture
def project() -> Project:
    return make_project(slug="acme")


@pytest.fixture
def alice(project: Project) -> Client:
    return client_of("alice", project)


def client_of(name: str, project: Project, role: str = Role.ADMIN) -> Client:
    client = Client()
    make_user(name, project=project, role=role)
    client.login(username=name, password=PASSWORD)
    return client


def sent(**changes: Any) -> dict[str, Any]:
    fields = {
        "kind": "root",
        "name": "new-root",
        "common_name": "Acme New Root",
        "organization": "Acme",
        "country": "DE",
        "key_algorithm": "EC_prime256v1",
        "not_after": "2040-05-01",
        "max_path_length": "1",
        "parent": "",
    }
    return fields | changes


def test_create_a_root(alice: Client) -> None:
    response = alice.post(CREATE, sent())
    made = CertificateAuthority.objects.get()
    assert response["Location"] == reverse("authority", args=["acme", made.pk])
    assert made.status == AuthorityStatus.ACTIVE
    assert made.not_after is not None
    assert made.not_after.isoformat() == "2040-05-01T23:59:59+00:00"
    assert made.max_path_length == 1


def test_create_an_intermediate_under_a_root(alice: Client, project: Project) -> None:
    root = make_authority(project)
    alice.post(CREATE, sent(kind="intermediate", parent=str(root.pk), name="below", not_after="", max_path_length="0"))
    made = CertificateAuthority.objects.get(name="below")
    assert made.parent == root
    assert made.status == AuthorityStatus.ACTIVE


def test_an_intermediate_without_a_parent_waits_and_shows_its_csr(alice: Client) -> None:
    page = alice.post(CREATE, sent(kind="intermediate"), follow=True).content.decode()
    assert CertificateAuthority.objects.get().status == AuthorityStatus.PENDING_CERTIFICATE
    start = page.index("-----BEGIN CERTIFICATE REQUEST")
    csr = x509.load_pem_x509_csr(page[start : page.index("-----END CERTIFICATE REQUEST-----") + 33].encode())
    assert csr.is_signature_valid


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "Not A Slug!"}, "id_name-violations"),
        ({"country": "Germany"}, "id_country-violations"),
        ({"country": "D1"}, "id_country-violations"),
        ({"not_after": "2001-01-01"}, "id_not_after-violations"),
        ({"not_after": "whenever"}, "id_not_after-violations"),
        ({"max_path_length": "-2"}, "id_max_path_length-violations"),
        ({"common_name": "", "organization": "", "country": ""}, "id_common_name-violations"),
    ],
)
def test_a_refusal_stands_beside_its_field(alice: Client, changes: dict[str, Any], told: str) -> None:
    response = alice.post(CREATE, sent(**changes))
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert f'id="{told}"' in response.content.decode()
    assert not CertificateAuthority.objects.exists()


def test_parents_of_other_projects_are_not_offered(alice: Client) -> None:
    foreign = make_authority(make_project("Other"))
    assert str(foreign.pk) not in alice.get(CREATE).content.decode()
    response = alice.post(CREATE, sent(kind="intermediate", parent=str(foreign.pk)))
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY


def test_disable_enable_delete(alice: Client, project: Project) -> None:
    authority = make_authority(project)
    address = reverse("authority", args=["acme", authority.pk])
    alice.post(address, {"act": "disable"})
    authority.refresh_from_db()
    assert authority.status == AuthorityStatus.DISABLED
    alice.post(address, {"act": "enable"})
    authority.refresh_from_db()
    assert authority.status == AuthorityStatus.ACTIVE
    alice.post(address, {"act": "delete"})
    assert not CertificateAuthority.objects.exists()


def test_a_refused_act_is_told(alice: Client, project: Project) -> None:
    root = make_authority(project)
    make_authority(project, parent=root)
    response = alice.post(reverse("authority", args=["acme", root.pk]), {"act": "delete"}, follow=True)
    assert b"alert-error" in response.content
    assert CertificateAuthority.objects.count() == 2


def test_a_member_reads_and_does_nothing(project: Project) -> None:
    authority = make_authority(project)
    bob = client_of("bob", project, Role.MEMBER)
    address = reverse("authority", args=["acme", authority.pk])
    assert b"Disable" not in bob.get(address).content
    bob.post(address, {"act": "disable"})
    authority.refresh_from_db()
    assert authority.status == AuthorityStatus.ACTIVE


def test_the_tree_puts_each_ca_under_its_parent(alice: Client, project: Project) -> None:
    root = make_authority(project, name="top")
    make_authority(project, name="below", parent=root)
    page = alice.get(reverse("authorities", args=["acme"]))
    (branch,) = page.context["branches"]
    assert branch.authority.name == "top"
    assert [below.authority.name for below in branch.branches] == ["below"]


def test_downloads_hold_certificate_and_chain(alice: Client, project: Project) -> None:
    below = make_authority(project, parent=make_authority(project))
    for part, count in (("certificate", 1), ("chain", 2)):
        response = alice.get(reverse("authority-download", args=["acme", below.pk, 1, part]))
        assert len(x509.load_pem_x509_certificates(response.content)) == count
    for version, part in ((2, "certificate"), (1, "key")):
        response = alice.get(reverse("authority-download", args=["acme", below.pk, version, part]))
        assert response.status_code == HTTPStatus.NOT_FOUND


def test_create_with_constraints_and_mirrors(alice: Client) -> None:
    alice.post(
        CREATE,
        sent(
            permitted_names="dns:example.com\r\n\r\n IP: 10.0.0.0/8",
            excluded_names="email:.example.net",
            crl_urls="http://crl.example.com/a\r\nhttp://crl.example.com/b",
        ),
    )
    made = CertificateAuthority.objects.get()
    assert made.name_constraints == {
        "permitted": {"dns": ["example.com"], "ip": ["10.0.0.0/8"]},
        "excluded": {"email": [".example.net"]},
    }
    assert made.crl_distribution_point_urls == ["http://crl.example.com/a", "http://crl.example.com/b"]
    page = alice.get(reverse("authority", args=["acme", made.pk])).content.decode()
    assert "dns:example.com" in page
    assert "http://crl.example.com/b" in page


@pytest.mark.parametrize(
    ("field", "text", "told"),
    [
        ("permitted_names", "example.com", "begin each line with one of dns:, ip:, email:, uri:"),
        ("permitted_names", "dns:*.example.com", "Write"),
        ("excluded_names", "ip:10.0.0.1/8", "Write 10.0.0.0/8."),
        ("crl_urls", "ldap://crl.example.com", "Write it as http://crl.example.com/issuing.crl."),
    ],
)
def test_constraints_that_cannot_be_are_told_beside_their_field(
    alice: Client, field: str, text: str, told: str
) -> None:
    response = alice.post(CREATE, sent(**{field: text}))
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert told in response.content.decode()
    assert not CertificateAuthority.objects.exists()
