"""Previews on the pages: the form comes back unsaved with what it would do, and a harmful save asks once."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from pki_portal.access.models import Role
from pki_portal.errors import Violation
from profiles.impact import Impact, NewlyRefused, Tally
from profiles.models import CertificateProfile, CertificateTemplate
from profiles.web.impact import NAMED, panel_of
from tests.factories import PASSWORD, make_project, make_user
from tests.pages import make_issued
from tests.scenery import make_issuing_profile

NARROW: dict[str, Any] = {
    "name": "server",
    "subject_type": ["common_name"],
    "subject_verdict": ["allowed"],
    "subject_pattern": ["*.acme.com"],
    "sans_type": ["dns_name"],
    "sans_verdict": ["allowed"],
    "sans_pattern": ["*.acme.com"],
    "key_usages-digital_signature": "required",
    "key_usages-key_encipherment": "allowed",
    "extended_key_usages-server_auth": "required",
    "validity_max": "398d",
    "is_ca": "denied",
}
NONE = Tally(0, 0, 0, 0, 0)
DUE = datetime(2027, 1, 12, tzinfo=UTC)
WHY = Violation("ttl", "too_long", "validity.max", "90d", "30d", "Ask for 30d.")


@pytest.fixture
def profile(db: None) -> CertificateProfile:
    return make_issuing_profile(make_project(slug="acme"))


@pytest.fixture
def alice(profile: CertificateProfile) -> Client:
    return client_of(profile, "alice", Role.ADMIN)


def client_of(profile: CertificateProfile, name: str, role: str) -> Client:
    make_user(name, project=profile.project, role=role)
    client = Client()
    client.login(username=name, password=PASSWORD)
    return client


def refused(number: int) -> list[NewlyRefused]:
    return [NewlyRefused(uuid4(), None, f"{index}.example.com", "server", DUE, (WHY,)) for index in range(number)]


def impact(requests: Tally, renewals: Tally = NONE, due: datetime | None = None) -> Impact:
    rows = refused(min(100, requests.newly_refused))
    return Impact(90, requests, renewals, rows, refused(min(100, renewals.newly_refused)), due)


def test_an_edit_of_a_template_is_previewed_by_name_and_not_saved(alice: Client, profile: CertificateProfile) -> None:
    kept, lost = make_issued(profile, "www.acme.com"), make_issued(profile, "www.other.com")
    address = reverse("edit-template", args=["acme", profile.template_id])

    response = alice.post(address, NARROW | {"preview": "1"})

    page = response.content.decode()
    assert response.status_code == HTTPStatus.OK
    assert "1 of 2 recent requests passes as before; 1 would be refused." in page
    assert f"1 renewal will fail, the first on {lost.renew_at:%Y-%m-%d}." in page
    assert reverse("certificate", args=["acme", lost.pk]) in page
    assert reverse("request", args=["acme", lost.request_id]) in page
    assert reverse("certificate", args=["acme", kept.pk]) not in page
    assert 'value="*.acme.com"' in page
    assert CertificateTemplate.objects.get().version == 1


def test_a_save_that_takes_renewals_away_asks_once(alice: Client, profile: CertificateProfile) -> None:
    make_issued(profile, "www.other.com")
    address = reverse("edit-template", args=["acme", profile.template_id])

    asked = alice.post(address, NARROW)
    assert asked.status_code == HTTPStatus.OK
    assert "Save all the same" in asked.content.decode()
    assert CertificateTemplate.objects.get().version == 1

    assert alice.post(address, NARROW | {"confirmed": "1"}).status_code == HTTPStatus.FOUND
    assert CertificateTemplate.objects.get().version == 2


def test_a_harmless_save_asks_nothing(alice: Client, profile: CertificateProfile) -> None:
    make_issued(profile, "www.acme.com")
    address = reverse("edit-template", args=["acme", profile.template_id])
    assert alice.post(address, NARROW).status_code == HTTPStatus.FOUND


@pytest.mark.parametrize("button", ["preview", "confirmed", "other"])
def test_a_refusal_stands_beside_its_part_whichever_button(
    alice: Client, profile: CertificateProfile, button: str
) -> None:
    address = reverse("edit-template", args=["acme", profile.template_id])
    response = alice.post(address, NARROW | {"validity_max": "soon", button: "1"})
    assert response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert 'id="id_validity_max-violations"' in response.content.decode()


def test_defaults_are_previewed_and_not_saved(alice: Client, profile: CertificateProfile) -> None:
    make_issued(profile, "www.acme.com")
    address = reverse("edit-profile", args=["acme", profile.pk])
    fields = {"slug": "server", "ttl": "30d", "renew_before_days": "7", "default_common_name": "x"}

    response = alice.post(address, fields | {"preview": "1"})

    assert "1 of 1 recent request passes as before; 0 would be refused." in response.content.decode()
    assert 'value="30d"' in response.content.decode()
    profile.refresh_from_db()
    assert profile.defaults == {}


def test_a_move_is_previewed_asks_once_and_moves(alice: Client, profile: CertificateProfile) -> None:
    make_issued(profile, "www.other.com")
    narrow = make_issuing_profile(
        profile.project, slug="narrow", sans=[{"type": "dns_name", "allowed": ["*.acme.com"]}]
    )
    address = reverse("move-profile", args=["acme", profile.pk])
    fields = {
        "certificate_authority_id": str(profile.certificate_authority_id),
        "template_id": str(narrow.template_id),
    }

    for buttons, told in (({"preview": "1"}, ">Move<"), ({}, "Move all the same")):
        response = alice.post(address, fields | buttons)
        assert response.status_code == HTTPStatus.OK
        assert "1 renewal will fail" in response.content.decode()
        assert told in response.content.decode()
    profile.refresh_from_db()
    assert profile.template.name == "server"

    assert alice.post(address, fields | {"confirmed": "1"}).status_code == HTTPStatus.FOUND
    profile.refresh_from_db()
    assert profile.template.name == "narrow"


def test_a_member_previews_nothing(profile: CertificateProfile) -> None:
    bob = client_of(profile, "bob", Role.MEMBER)
    for address in (
        reverse("edit-template", args=["acme", profile.template_id]),
        reverse("edit-profile", args=["acme", profile.pk]),
        reverse("move-profile", args=["acme", profile.pk]),
    ):
        assert bob.post(address, {"preview": "1"}).status_code == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        (NONE, ["Nothing was asked for in the last 90 days."]),
        (Tally(44, 41, 0, 3, 0), ["41 of 44 recent requests pass as before; 3 would be refused."]),
        (
            Tally(5, 3, 2, 1, 1),
            [
                "1 of 5 recent requests passes as before; 1 would be refused.",
                "2 would pass that are refused today.",
                "1 is refused today and would be then.",
            ],
        ),
        (
            Tally(9000, 2000, 0, 0, 0),
            [
                "2000 of 2000 recent requests pass as before; 0 would be refused.",
                "Looked at: the newest 2000 of 9000 requests in the last 90 days.",
            ],
        ),
    ],
)
def test_requests_are_told_in_words(requests: Tally, said: list[str]) -> None:
    assert panel_of(impact(requests)).requests_said == said


@pytest.mark.parametrize(
    ("renewals", "due", "said"),
    [
        (NONE, None, ["No certificate renews by itself."]),
        (Tally(4, 4, 1, 0, 0), None, ["No renewal that passes today would fail.", "1 would pass that fails today."]),
        (
            Tally(9, 1, 0, 2, 1),
            DUE,
            [
                "2 renewals will fail, the first on 2027-01-12.",
                "1 fails with and without the change.",
                "Looked at: the newest 4 of 9 renewals to come.",
            ],
        ),
    ],
)
def test_renewals_are_told_in_words(renewals: Tally, due: datetime | None, said: list[str]) -> None:
    assert panel_of(impact(NONE, renewals, due)).renewals_said == said


def test_the_first_few_are_named_and_the_rest_counted() -> None:
    panel = panel_of(impact(Tally(200, 50, 0, 150, 0)))
    assert (len(panel.requests.rows), panel.requests.more) == (NAMED, 150 - NAMED)
    assert not panel.is_harmless
    assert panel_of(impact(NONE)).is_harmless
