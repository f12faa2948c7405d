"""Django admin: CAs through their services, everything signed read-only, no key material."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from certificates.models import (
    AuthorityCertificate,
    AuthorityKey,
    Certificate,
    CertificateAuthority,
    CertificateRequest,
    CertificateRevocationList,
    RevocationEntry,
)
from certificates.models.authority import AuthorityStatus
from certificates.models.certificate import RevocationReason
from certificates.services.authorities import sign_intermediate
from certificates.services.revocation import revoke_certificate
from pki_portal.access.models import Project
from pki_portal.audit.models import AuditEvent, Outcome
from tests.factories import SYSTEM, make_authority, make_project, make_user

pytestmark = pytest.mark.django_db

LIST = "admin:certificates_certificateauthority_changelist"
ADD = "admin:certificates_certificateauthority_add"
CHANGE = "admin:certificates_certificateauthority_change"


@pytest.fixture
def alice(client: Client) -> Client:
    """The browser of an administrator of the installation."""
    client.force_login(make_user("alice", is_superuser=True))
    return client


def form_of(project: Project, **changes: Any) -> dict[str, Any]:
    return {
        "project": str(project.pk),
        "name": "root",
        "kind": "root",
        "parent": "",
        "friendly_name": "",
        "common_name": "Acme Root",
        "organization": "",
        "organizational_unit": "",
        "country": "",
        "state": "",
        "locality": "",
        "key_algorithm": "EC_prime256v1",
        "not_before_0": "",
        "not_before_1": "",
        "not_after_0": "",
        "not_after_1": "",
        "max_path_length": "",
    } | changes


def test_root_is_made_by_the_service(alice: Client) -> None:
    answer = alice.post(reverse(ADD), form_of(make_project()))

    assert answer.status_code == 302
    root = CertificateAuthority.objects.get()
    assert root.status == AuthorityStatus.ACTIVE
    assert AuditEvent.objects.get(event="create-ca").actor_name == "alice"


def test_refusal_stands_in_the_form_and_in_the_audit(alice: Client) -> None:
    answer = alice.post(reverse(ADD), form_of(make_project(), name="Not A Slug", country="USA"))

    assert answer.status_code == 200
    errors = answer.context["adminform"].errors
    assert "name" in errors or "country" in errors
    assert not CertificateAuthority.objects.exists()


def test_refusal_by_the_service_is_recorded(alice: Client) -> None:
    answer = alice.post(reverse(ADD), form_of(make_project(), name="Not A Slug"))

    assert list(answer.context["adminform"].errors) == ["name"]
    assert AuditEvent.objects.get(event="create-ca").outcome == Outcome.REFUSED


def test_intermediate_under_a_parent(alice: Client) -> None:
    project = make_project()
    root = make_authority(project, max_path_length=1)

    answer = alice.post(
        reverse(ADD),
        form_of(project, kind="intermediate", parent=str(root.pk), common_name="Sub", max_path_length="0", name="sub"),
    )

    assert answer.status_code == 302
    assert CertificateAuthority.objects.get(name="sub").parent == root


def test_change_renames_and_disables_and_nothing_else(alice: Client) -> None:
    root = make_authority(make_project())

    alice.post(
        reverse(CHANGE, args=[root.pk]),
        {"name": "renamed", "status": "disabled", "common_name": "Other", "key_algorithm": "RSA_2048"},
    )

    before = root.common_name
    root.refresh_from_db()
    assert (root.name, root.status) == ("renamed", AuthorityStatus.DISABLED)
    assert (root.common_name, root.key_algorithm) == (before, "EC_prime256v1")


def test_status_that_cannot_be_is_refused(alice: Client) -> None:
    root = make_authority(make_project())

    answer = alice.post(
        reverse(CHANGE, args=[root.pk]), {"name": root.name, "status": AuthorityStatus.PENDING_CERTIFICATE}
    )

    assert "status" in answer.context["adminform"].errors
    root.refresh_from_db()
    assert root.status == AuthorityStatus.ACTIVE


def test_actions_disable_enable_and_remove(alice: Client) -> None:
    root = make_authority(make_project())
    chosen = {"_selected_action": [str(root.pk)]}

    alice.post(reverse(LIST), chosen | {"action": "disable"})
    root.refresh_from_db()
    assert root.status == AuthorityStatus.DISABLED
    alice.post(reverse(LIST), chosen | {"action": "enable"})
    root.refresh_from_db()
    assert root.status == AuthorityStatus.ACTIVE
    alice.post(reverse(LIST), chosen | {"action": "remove"})
    assert not CertificateAuthority.objects.exists()


def test_refused_removal_is_told(alice: Client) -> None:
    project = make_project()
    root = make_authority(project)
    make_authority(project, parent=root, name="child")

    answer = alice.post(reverse(LIST), {"_selected_action": [str(root.pk)], "action": "remove"}, follow=True)

    assert "child" in answer.content.decode()
    assert CertificateAuthority.objects.filter(pk=root.pk).exists()


def everything_signed(project: Project) -> CertificateAuthority:
    root = make_authority(project, max_path_length=1)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Partner")])
    csr = x509.CertificateSigningRequestBuilder(name).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    sign_intermediate(
        requester=SYSTEM,
        authority=root,
        csr=csr.public_bytes(Encoding.PEM).decode(),
        not_after=datetime(2028, 1, 1, tzinfo=UTC),
        max_path_length=0,
    )
    return root


@pytest.mark.parametrize(
    "model",
    [
        AuthorityKey,
        AuthorityCertificate,
        CertificateRevocationList,
        RevocationEntry,
        Certificate,
        CertificateRequest,
    ],
)
def test_what_was_signed_is_shown_and_not_changed(alice: Client, model: Any) -> None:
    everything_signed(make_project())
    revoke_certificate(requester=SYSTEM, certificate=Certificate.objects.get(), reason=RevocationReason.SUPERSEDED)
    row = model.objects.get()
    name = f"admin:certificates_{model._meta.model_name}"

    assert alice.get(reverse(f"{name}_changelist")).status_code == 200
    page = alice.get(reverse(f"{name}_change", args=[row.pk]))
    assert page.status_code == 200
    assert alice.post(reverse(f"{name}_change", args=[row.pk]), {}).status_code == 403
    assert alice.get(reverse(f"{name}_add")).status_code == 403
    assert alice.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    assert model.objects.filter(pk=row.pk).exists()
    sealed = bytes(AuthorityKey.objects.get(sealed_private_key__isnull=False).sealed_private_key or b"")
    assert "sealed" not in page.content.decode()
    assert sealed not in page.content


def test_certificates_link_to_the_dialog_of_the_portal(alice: Client) -> None:
    project = make_project()

    page = alice.get(reverse("admin:certificates_certificate_changelist")).content.decode()

    assert reverse("issue", args=[project.slug]) in page


def test_lists_hold_what_the_staff_member_may_read(client: Client) -> None:
    project = make_project()
    make_authority(project, name="ours")
    make_authority(make_project(), name="theirs")
    bob = make_user("bob", project=project)
    bob.is_staff = True
    bob.save(update_fields=["is_staff"])
    bob.user_permissions.add(*Permission.objects.filter(content_type__app_label="certificates"))
    client.force_login(bob)

    page = client.get(reverse(LIST)).content.decode()

    assert "ours" in page
    assert "theirs" not in page
