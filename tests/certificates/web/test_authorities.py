"""CAs by their pages."""

import re
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import NameOID
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from certificates.models import CertificateAuthority, CertificateRevocationList
from certificates.models.authority import AuthorityStatus
from certificates.services.authorities import (
    AuthoritySubject,
    authority_csr,
    create_intermediate,
    sign_intermediate,
)
from pki_portal.access.models import Project, Role
from profiles.policy.vocabulary import KeyAlgorithm
from tests.factories import PASSWORD, SYSTEM, make_authority, make_project, make_user

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


def elsewhere() -> tuple[bytes, bytes]:
    """A root that was made elsewhere: its encrypted key and its certificate, in files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Corp Root")])
    now = timezone.now()
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, now, now + timedelta(days=900))
    certificate = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
        key, hashes.SHA256()
    )
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"gloves and scarf"))
    return encrypted, certificate.public_bytes(Encoding.DER)


def test_import_a_ca_by_its_files(alice: Client) -> None:
    key, certificate = elsewhere()
    page = alice.get("/projects/acme/authorities/import/").content.decode()
    assert 'enctype="multipart/form-data"' in page
    sent_files = {
        "name": "corp",
        "private_key": SimpleUploadedFile("ca.key", key),
        "password": "gloves and scarf",
        "certificate_file": SimpleUploadedFile("ca.cer", certificate),
    }
    response = alice.post("/projects/acme/authorities/import/", sent_files)
    made = CertificateAuthority.objects.get()
    assert response["Location"] == reverse("authority", args=["acme", made.pk])
    assert (made.common_name, made.status) == ("Corp Root", AuthorityStatus.ACTIVE)


def test_a_refused_import_shows_neither_key_nor_password(alice: Client) -> None:
    key, certificate = elsewhere()
    response = alice.post(
        "/projects/acme/authorities/import/",
        {
            "name": "corp",
            "private_key": SimpleUploadedFile("ca.key", key),
            "password": "wrong horse",
            "certificate_file": SimpleUploadedFile("ca.cer", certificate),
        },
    )
    page = response.content.decode()
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "the password does not open the key" in page
    assert "wrong horse" not in page
    assert key.decode().splitlines()[1] not in page


PASTED = "-----BEGIN EC PRIVATE KEY-----\npasted by mistake\n-----END EC PRIVATE KEY-----"


@pytest.mark.parametrize("field", ["certificate", "certificate_chain"])
@pytest.mark.parametrize("name", ["corp", ""])
def test_a_key_pasted_as_a_certificate_is_not_sent_back(alice: Client, field: str, name: str) -> None:
    key, _ = elsewhere()
    sent = {"name": name, "friendly_name": "Kept", "private_key": SimpleUploadedFile("ca.key", key), field: PASTED}
    for left_out in ({}, {"private_key": ""}):
        response = alice.post("/projects/acme/authorities/import/", sent | left_out)
        assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
        assert b"pasted by mistake" not in response.content
        assert b"Kept" in response.content


def test_a_member_imports_nothing(project: Project) -> None:
    assert client_of("bob", project, Role.MEMBER).get("/projects/acme/authorities/import/").status_code == 403


def test_install_the_certificate_from_elsewhere(alice: Client, project: Project) -> None:
    above = make_authority(make_project())
    ours = create_intermediate(
        requester=SYSTEM,
        project=project,
        name="issuing",
        subject=AuthoritySubject(common_name="Issuing"),
        key_algorithm=KeyAlgorithm.EC_PRIME256V1,
        parent=None,
        max_path_length=0,
    )
    address = reverse("authority", args=["acme", ours.pk])
    assert "Install the certificate" in alice.get(address).content.decode()
    signed = sign_intermediate(
        requester=SYSTEM,
        authority=above,
        csr=authority_csr(requester=SYSTEM, authority=ours),
        not_after=timezone.now() + timedelta(days=900),
        max_path_length=0,
    )
    certificate = x509.load_der_x509_certificate(bytes(signed.certificate.der)).public_bytes(Encoding.PEM)

    refused = alice.post(address, {"act": "install", "certificate": certificate.decode()})
    assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "Send every certificate above the CA&#x27;s, and no other." in refused.content.decode()

    chain = SimpleUploadedFile("chain.cer", signed.certification_path[0])
    alice.post(address, {"act": "install", "certificate": certificate.decode(), "certificate_chain_file": chain})
    ours.refresh_from_db()
    assert ours.status == AuthorityStatus.ACTIVE


def act(client: Client, authority: CertificateAuthority, **fields: str) -> Any:
    return client.post(reverse("authority", args=["acme", authority.pk]), fields)


def page_of(client: Client, authority: CertificateAuthority) -> str:
    return client.get(reverse("authority", args=["acme", authority.pk])).content.decode()


def test_the_page_tells_health_keys_and_versions(alice: Client, project: Project) -> None:
    root = make_authority(project, not_after=timezone.now() + timedelta(days=20))
    page = page_of(alice, root)
    assert "The certificate ends in 19 days" in page
    assert "The key opens." in page
    assert re.search(r"CRL number \d+ is good for", page)
    assert "Certificate, version 1" in page
    assert "Attention" in alice.get("/projects/acme/authorities/").content.decode()


def test_renew_with_the_same_key(alice: Client, project: Project) -> None:
    root = make_authority(project)
    refused = act(alice, root, act="renew", key="existing", not_after="2027-01-01")
    assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "Choose a later end." in refused.content.decode()
    act(alice, root, act="renew", key="existing", not_after="2060-01-01")
    assert "Certificate, version 2" in page_of(alice, root)
    assert root.keys.count() == 1


def test_a_new_key_and_the_way_to_it(alice: Client, project: Project) -> None:
    root = make_authority(project)
    act(alice, root, act="renew", key="new-key", not_after="2060-01-01", key_algorithm="EC_secp384r1")
    page = page_of(alice, root)
    assert "Way to the new key" in page
    assert "one key certified by the other" in page
    assert "All 2 keys open." in page
    act(alice, root, act="phase", phase="cross-signed")
    root.refresh_from_db()
    assert (root.chain_phase, root.key_algorithm) == ("cross-signed", "EC_secp384r1")
    act(alice, root, act="phase", phase="sideways")
    root.refresh_from_db()
    assert root.chain_phase == "cross-signed"


def test_change_the_mirrors(alice: Client, project: Project) -> None:
    root = make_authority(project)
    act(alice, root, act="mirrors", crl_distribution_point_urls="http://crl.example.com/a\r\n")
    root.refresh_from_db()
    assert root.crl_distribution_point_urls == ["http://crl.example.com/a"]
    refused = act(alice, root, act="mirrors", crl_distribution_point_urls="crl.example.com")
    assert "Write it as http://crl.example.com/issuing.crl." in refused.content.decode()


def test_why_a_ca_cannot_be_deleted_is_told_in_place_of_the_button(alice: Client, project: Project) -> None:
    root = make_authority(project, max_path_length=1)
    assert 'value="delete"' in page_of(alice, root)
    make_authority(project, parent=root, name="below")
    page = page_of(alice, root)
    assert 'value="delete"' not in page
    assert "used by below" in page
    assert "Delete these CAs first" in page


def test_a_broken_key_shows(alice: Client, project: Project) -> None:
    root = make_authority(project)
    root.keys.update(sealed_private_key=b"\x01nonsense")
    page = page_of(alice, root)
    assert "cannot be used" in page


def test_a_viewer_sees_the_page_and_no_act(project: Project) -> None:
    root = make_authority(project)
    viewer = client_of("victor", project, Role.VIEWER)
    assert 'name="act"' not in page_of(viewer, root)
    assert act(viewer, root, act="renew", key="new-key", not_after="2060-01-01").status_code == 422
    assert root.keys.count() == 1


def test_the_crl_is_shown_and_published_by_a_click(alice: Client, project: Project) -> None:
    ca = make_authority(project)
    page = f"/projects/{project.slug}/authorities/{ca.pk}/"
    before = CertificateRevocationList.objects.get()
    shown = alice.get(page).content.decode()
    for text in (str(before.number), f"/crl/{before.pk}/der", f"/crl/{before.pk}/pem", f"/crl/{before.pk}/delta"):
        assert text in shown

    assert "The CRL was published" in alice.post(page, {"act": "publish"}, follow=True).content.decode()

    after = CertificateRevocationList.objects.get()
    assert (after.number or 0) > (before.number or 0)


def test_ocsp_is_turned_off_and_on(alice: Client, project: Project) -> None:
    ca = make_authority(project)
    page = f"/projects/{project.slug}/authorities/{ca.pk}/"
    assert f"/ocsp/{ca.pk}" in alice.get(page).content.decode()
    for act, is_on in (("disable-ocsp", False), ("enable-ocsp", True)):
        alice.post(page, {"act": act})
        ca.refresh_from_db()
        assert ca.is_ocsp_enabled is is_on


def test_the_certificate_of_a_ca_is_revoked_by_its_page(alice: Client, project: Project) -> None:
    issuing = make_authority(project, name="issuing", parent=make_authority(project, name="top"))
    address = reverse("revoke-authority", args=["acme", issuing.pk, 1])
    page = reverse("authority", args=["acme", issuing.pk])
    assert address in alice.get(page).content.decode()
    form = alice.get(address).content.decode()
    assert "Certificate hold" not in form
    for wrong in ({"reason": "6", "confirmation": "issuing"}, {"reason": "1", "confirmation": "top"}):
        assert alice.post(address, wrong).status_code == HTTPStatus.UNPROCESSABLE_ENTITY

    response = alice.post(address, {"reason": "1", "confirmation": "issuing"}, follow=True)

    assert response.redirect_chain == [(page, HTTPStatus.FOUND)]
    told = response.content.decode()
    for text in (
        "is revoked; the CRL of its issuer says so.",
        ">Revoked</span>",
        "key compromise, by alice",
        "Disabled",
    ):
        assert text in told
    assert address not in told
    assert 'value="enable"' not in told
    again = alice.post(address, {"reason": "1", "confirmation": "issuing"})
    assert again.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "reason KEY_COMPROMISE" in again.content.decode()
    assert alice.get(reverse("revoke-authority", args=["acme", issuing.pk, 2])).status_code == HTTPStatus.NOT_FOUND
