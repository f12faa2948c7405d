"""Pages that revoke: what they ask, what they refuse, what they leave."""

from http import HTTPStatus

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from certificates.keystore.database import forget_keys
from certificates.models import AuthorityKey, Certificate, RevocationEntry
from certificates.models.certificate import CertificateStatus, RevocationReason
from certificates.services.revocation import REASON_SENTENCES, revoke_certificate
from pki_portal.access.models import Role
from pki_portal.audit.models import AuditEvent
from profiles.models import CertificateProfile
from tests.factories import PASSWORD, SYSTEM, make_project, make_user
from tests.pages import make_issued
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db

NAME = "service.acme.com"


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project(slug="acme"))


@pytest.fixture
def alice(profile: CertificateProfile) -> Client:
    client = Client()
    make_user("alice", project=profile.project)
    client.login(username="alice", password=PASSWORD)
    return client


@pytest.fixture
def certificate(profile: CertificateProfile) -> Certificate:
    return make_issued(profile, NAME)


def address(certificate: Certificate, page: str = "revoke") -> str:
    return reverse(page, args=["acme", certificate.pk])


def sent(reason: RevocationReason = RevocationReason.SUPERSEDED, **changes: str) -> dict[str, str]:
    return {"reason": str(reason.value), "confirmation": NAME} | changes


def test_every_reason_stands_there_with_a_sentence_and_none_is_chosen(alice: Client, certificate: Certificate) -> None:
    page = alice.get(address(certificate)).content.decode()
    for reason in RevocationReason:
        assert reason.label in page
        assert escape(REASON_SENTENCES[reason]) in page
    assert " checked" not in page.partition("<form class")[2]


def test_the_dialog_is_the_form_alone(alice: Client, certificate: Certificate) -> None:
    shown = alice.get(address(certificate), headers={"HX-Request": "true", "HX-Target": "dialog-content"})
    assert "<html" not in shown.content.decode()
    assert 'id="dialog-title"' in shown.content.decode()


def test_the_certificate_is_revoked_and_its_page_says_by_whom(alice: Client, certificate: Certificate) -> None:
    response = alice.post(
        address(certificate), sent(RevocationReason.KEY_COMPROMISE, invalidity_date="2020-02-03"), follow=True
    )
    assert response.redirect_chain == [(address(certificate, "certificate"), HTTPStatus.FOUND)]
    page = response.content.decode()
    for text in (">Revoked</span>", "Key compromise", "by alice", "2020-02-03"):
        assert text in page
    assert address(certificate) not in page  # no button: it is done
    entry = RevocationEntry.objects.get()
    assert entry.invalidity_date is not None
    assert entry.invalidity_date.isoformat() == "2020-02-03T00:00:00+00:00"


def test_from_the_dialog_the_whole_page_follows(alice: Client, certificate: Certificate) -> None:
    response = alice.post(address(certificate), sent(), headers={"HX-Request": "true", "HX-Target": "revoke-form"})
    assert response.headers["HX-Redirect"] == address(certificate, "certificate")
    assert RevocationEntry.objects.count() == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"confirmation": ""},
        {"confirmation": "other.acme.com"},
        {"reason": ""},
        {"reason": "8"},
        {"reason": "x"},
        {"invalidity_date": "yesterday"},
        {"invalidity_date": "2999-01-01"},
    ],
)
def test_what_is_not_meant_or_wrong_revokes_nothing(
    alice: Client, certificate: Certificate, changes: dict[str, str]
) -> None:
    response = alice.post(address(certificate), sent() | changes)
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert 'class="violations"' in response.content.decode()
    assert not RevocationEntry.objects.exists()


def test_revoking_again_says_who_was_first(alice: Client, certificate: Certificate) -> None:
    revoke_certificate(requester=SYSTEM, certificate=certificate, reason=RevocationReason.SUPERSEDED)
    response = alice.post(address(certificate), sent())
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "SUPERSEDED" in response.content.decode()


def test_a_hold_is_shown_and_released(alice: Client, certificate: Certificate) -> None:
    page = alice.post(address(certificate), sent(RevocationReason.CERTIFICATE_HOLD), follow=True).content.decode()
    assert ">On hold</span>" in page
    assert address(certificate) in page  # it can still be revoked for good
    released = alice.post(address(certificate, "release"), follow=True).content.decode()
    assert "valid again" in released
    assert ">Active</span>" in released or ">Expiring soon</span>" in released
    assert "there is no hold" in alice.post(address(certificate, "release"), follow=True).content.decode()


def test_a_crl_that_cannot_be_signed_is_told_as_a_warning(alice: Client, certificate: Certificate) -> None:
    AuthorityKey.objects.update(sealed_private_key=b"\x01nonsense")
    forget_keys()
    page = alice.post(address(certificate), sent(), follow=True).content.decode()
    assert "is revoked, but the CRL could not be published" in page
    certificate.refresh_from_db()
    assert certificate.status == CertificateStatus.REVOKED


def test_a_viewer_sees_no_button_and_revokes_nothing(
    alice: Client, profile: CertificateProfile, certificate: Certificate
) -> None:
    viewer = Client()
    make_user("vera", project=profile.project, role=Role.VIEWER)
    viewer.login(username="vera", password=PASSWORD)
    assert address(certificate) not in viewer.get(address(certificate, "certificate")).content.decode()
    for path in (address(certificate), address(certificate, "release"), reverse("revoke-many", args=["acme"])):
        assert viewer.post(path, sent()).status_code == HTTPStatus.FORBIDDEN
        assert viewer.get(path).status_code == HTTPStatus.FORBIDDEN
    assert not RevocationEntry.objects.exists()
    assert AuditEvent.objects.filter(outcome="refused").count() == 3


def test_another_project_s_certificate_is_not_there(alice: Client) -> None:
    other = make_issued(make_issuing_profile(make_project("Other"), slug="other"))
    for page in ("revoke", "release"):
        assert alice.post(address(other, page), sent()).status_code == HTTPStatus.NOT_FOUND


# --- Many at once -----------------------------------------------------------------------------------------------------


def test_all_that_the_list_finds_are_revoked_after_a_look(alice: Client, profile: CertificateProfile) -> None:
    wanted = [make_issued(profile, f"wiki{number}.acme.com") for number in range(2)]
    make_issued(profile)
    path = reverse("revoke-many", args=["acme"]) + "?search=wiki"
    assert "?search=wiki" in alice.get(reverse("certificates", args=["acme"]), {"search": "wiki"}).content.decode()
    page = alice.get(path)
    assert "Revoke 2 certificates" in page.content.decode()
    selection = page.context["selection"]
    form = {
        "reason": "4",
        "confirmation": "Revoke 2",
        "count": str(selection.count),
        "selection": selection.digest,
    }

    for changes in ({"confirmation": "2"}, {"selection": "x"}, {"count": "x"}, {"count": ""}):
        refused = alice.post(path, form | changes)
        assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
        assert not RevocationEntry.objects.exists()

    done = alice.post(path, form, follow=True)
    assert "2 certificates were revoked" in done.content.decode()
    assert set(Certificate.objects.filter(status=CertificateStatus.REVOKED)) == set(wanted)


def test_nothing_to_revoke_is_said(alice: Client, profile: CertificateProfile) -> None:
    assert "Nothing to revoke" in alice.get(reverse("revoke-many", args=["acme"])).content.decode()
