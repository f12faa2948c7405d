"""What no door issues: every door refuses it for the same reasons and leaves the same rows and one event each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.management import CommandError
from django.test import Client

from certificates.models import Certificate, CertificateRequest
from certificates.models.authority import AuthorityStatus
from certificates.services.authorities import update_authority
from pki_portal.access.models import Role
from pki_portal.audit.models import AuditEvent
from tests.doors.doors import by_api, by_command, by_page
from tests.factories import SYSTEM, make_user
from tests.wire import Pki, issue_body, make_csr, make_pki

pytestmark = pytest.mark.django_db

ISSUE, SIGN = "issue-certificate-from-profile", "sign-certificate-from-profile"


@pytest.fixture
def pki() -> Pki:
    return make_pki()


def refusals(event: str) -> list[AuditEvent]:
    """All refused events of acts at profiles; no other may be there."""
    found = list(AuditEvent.objects.filter(outcome="refused").order_by("id"))
    assert {each.event for each in found} <= {event}
    assert {each.subject_type for each in found} <= {"certificate-profile"}
    return found


def private_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("make", "rows"),
    [(private_key, 0), (lambda: make_csr()[:-100], 0), (lambda: make_csr(common_name="a\x00b", dns_names=()), 3)],
    ids=["private key", "broken", "NUL in a name"],
)
def test_a_csr_is_refused_alike(pki: Pki, tmp_path: Path, make: Callable[[], str], rows: int) -> None:
    csr = make()
    (tmp_path / "service.csr").write_text(csr)

    assert by_api(pki, {"csr": csr, "attributes": {"ttl": "30d"}}).status_code in {400, 422}
    page = by_page(pki, {"method": "csr", "csr": csr, "ttl": "30d"})
    assert page.status_code == 422
    with pytest.raises(CommandError) as told:
        by_command(pki, "--csr", str(tmp_path / "service.csr"), "--ttl", "30d")

    assert Certificate.objects.count() == 0
    api, form, command = refusals(SIGN)
    assert api.data["violations"] == form.data["violations"] == command.data["violations"]
    kept = list(CertificateRequest.objects.all())
    assert len(kept) == rows
    assert all(each.violations == kept[0].violations and each.asked == kept[0].asked for each in kept)
    if "PRIVATE KEY" in csr:
        secret = csr.splitlines()[1]
        assert secret not in page.content.decode() + str(told.value) + str([event.data for event in refusals(SIGN)])


@pytest.mark.parametrize("with_csr", [False, True], ids=["fields", "CSR"])
def test_a_viewer_is_refused_and_recorded_at_every_door(pki: Pki, with_csr: bool) -> None:
    body = issue_body(pki.profile)
    form: dict[str, Any] = {"common_name": "service.acme.com", "common_name_as_dns": "on", "ttl": "90d"}
    if with_csr:
        csr = make_csr()
        body = {"profileId": str(pki.profile.pk), "csr": csr, "attributes": {"ttl": "90d"}}
        form = {"method": "csr", "csr": csr, "ttl": "90d"}

    api = by_api(pki, body, role=Role.VIEWER)
    page = by_page(pki, form, role=Role.VIEWER)

    assert (api.status_code, page.status_code) == (403, 403)
    assert Certificate.objects.count() == CertificateRequest.objects.count() == 0
    one, other = refusals(SIGN if with_csr else ISSUE)
    assert one.data == other.data
    assert (one.actor_kind, other.actor_kind) == ("identity", "user")
    assert one.subject_id == other.subject_id == str(pki.profile.pk)


def test_a_disabled_ca_is_refused_alike(pki: Pki) -> None:
    update_authority(requester=SYSTEM, authority=pki.issuing, status=AuthorityStatus.DISABLED)
    name = "service.acme.com"
    attributes = {"commonName": name, "altNames": [{"type": "DNS", "value": name}], "ttl": "90d"}

    assert by_api(pki, {"attributes": attributes}).status_code == 400
    assert by_page(pki, {"common_name": name, "common_name_as_dns": "on", "ttl": "90d"}).status_code == 422
    with pytest.raises(CommandError):
        by_command(pki, "--common-name", name, "--dns", name, "--ttl", "90d")

    assert Certificate.objects.count() == 0
    rows = list(CertificateRequest.objects.order_by("created_at"))
    assert len(rows) == 3
    assert rows[0].violations
    assert all(row.violations == rows[0].violations and row.asked == rows[0].asked for row in rows)
    assert [event.data for event in refusals(ISSUE)] == [refusals(ISSUE)[0].data] * 3


def test_a_viewer_gets_no_form(pki: Pki) -> None:
    alice = Client()
    alice.force_login(make_user("alice", project=pki.project, role=Role.VIEWER))

    assert alice.get(f"/projects/{pki.project.slug}/certificates/issue/").status_code == 403
    assert refusals(ISSUE) == []


@pytest.mark.parametrize(
    ("page", "event"),
    [
        ("authorities/create/", "create-ca"),
        ("templates/create/", "create-certificate-template"),
        ("profiles/create/", "create-certificate-profile"),
        ("templates/{template}/edit/", "update-certificate-template"),
        ("profiles/{profile}/edit/", "update-certificate-profile"),
        ("templates/{template}/delete/", "delete-certificate-template"),
        ("profiles/{profile}/delete/", "delete-certificate-profile"),
    ],
)
def test_pages_record_what_a_viewer_tried(pki: Pki, page: str, event: str) -> None:
    alice = Client()
    alice.force_login(make_user("alice", project=pki.project, role=Role.VIEWER))
    address = f"/projects/{pki.project.slug}/" + page.format(template=pki.profile.template_id, profile=pki.profile.pk)

    assert alice.post(address, {"name": "other", "slug": "other"}).status_code == 403

    refused = AuditEvent.objects.get(outcome="refused")
    assert (refused.event, refused.actor_name, refused.data["page"]) == (event, "alice", address)
    assert (refused.project_id, refused.data["kind"]) == (pki.project.pk, "permission_denied")
    alice.get(address)
    assert AuditEvent.objects.filter(outcome="refused").count() == 1
