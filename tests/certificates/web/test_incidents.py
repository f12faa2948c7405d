"""Pages of incidents: nothing is declared that nobody looked at, refusals stand beside fields, progress has reasons."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from certificates.models import Certificate, CertificateRequest, Incident
from certificates.models.certificate import CertificateStatus
from pki_portal.access.models import Role
from pki_portal.audit.models import AuditEvent
from pki_portal.background.work import sweep
from profiles.models import CertificateProfile
from tests.factories import make_project, make_user
from tests.pages import make_issued
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db

LIST = "/projects/acme/incidents/"
DECLARE = f"{LIST}declare/"


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project(slug="acme"))


@pytest.fixture
def alice(profile: CertificateProfile) -> Client:
    return browser(profile, "alice", Role.ADMIN)


def browser(profile: CertificateProfile, name: str, role: str, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(make_user(name, project=profile.project, role=role))
    return client


def typed(profile: CertificateProfile, **changes: str) -> dict[str, str]:
    return {"reason": "Broken into", "profile_id": str(profile.pk), "replace_within": "2h"} | changes


def previewed(answer: Any) -> str:
    (token,) = re.findall(r'name="previewed" value="(\w+)"', answer.content.decode())
    return str(token)


def declare(client: Client, form: dict[str, str]) -> Incident:
    answer = client.post(DECLARE, form | {"previewed": previewed(client.post(DECLARE, form))}, follow=True)
    assert "are to be replaced." in answer.content.decode()
    return Incident.objects.get()


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_what_is_affected_is_seen_before_it_is_declared(profile: CertificateProfile, alice: Client) -> None:
    assert "No incident" in text_of(alice.get(LIST))
    make_issued(profile, "a.acme.com")
    make_issued(make_issuing_profile(profile.project, slug="other"), "other.acme.com")
    assert "server" in text_of(alice.get(DECLARE))

    seen = alice.post(DECLARE, typed(profile))
    told = text_of(seen)
    assert "1 certificate affected Renewed by the portal, one after the other within 2h." in told
    assert "a.acme.com" in told
    assert "other.acme.com" not in told
    assert not Incident.objects.exists()

    # What was picked is not what was looked at: it is shown, and not declared.
    wider = typed(profile, profile_id="", template_id=str(profile.template_id), previewed=previewed(seen))
    assert "affected" in text_of(alice.post(DECLARE, wider))
    assert not Incident.objects.exists()

    incident = declare(alice, typed(profile))
    assert incident.criteria == {"profile_id": str(profile.pk)}
    assert incident.replace_by - incident.declared_at == timedelta(hours=2)
    assert "Broken into Open" in text_of(alice.get(LIST))


def test_people_pick_by_requester_key_and_serial_number_as_the_pages_tell_them(
    profile: CertificateProfile, alice: Client
) -> None:
    wanted, other = make_issued(profile, "a.acme.com"), make_issued(profile, "b.acme.com")
    CertificateRequest.objects.filter(certificate=other).update(
        requester_kind="user", requester_id="7", requester_name="bob, who left"
    )
    page = alice.get(f"/projects/acme/certificates/{wanted.pk}/").content.decode()
    key, serial = (":".join(re.findall("..", each)) for each in (wanted.public_key_sha256, wanted.serial_number))
    assert key in page
    for picked, found in (
        ({"public_key_sha256": key.upper()}, "a.acme.com"),
        ({"requester_id": "7"}, "b.acme.com"),
        ({"certificate_ids": f"{serial}\n{wanted.pk}"}, "a.acme.com"),
        ({"authority_id": str(profile.certificate_authority_id), "certificate_ids": str(other.pk)}, "b.acme.com"),
    ):
        told = text_of(alice.post(DECLARE, typed(profile, profile_id="", **picked)))
        assert "1 certificate affected" in told
        assert f"{found} " in told.partition("affected")[2]


@pytest.mark.parametrize(
    ("changes", "owner", "told"),
    [
        ({"reason": ""}, "id_reason", "This field is required."),
        ({"profile_id": "nonsense"}, "id_profile_id", "not one of the available choices"),
        ({"public_key_sha256": "12:34"}, "id_public_key_sha256", "64 hexadecimal digits"),
        (
            {"certificate_ids": "00ff\nno-such"},
            "id_certificate_ids",
            "no certificate with this id or serial number: 00ff, no-such.",
        ),
        ({"replace_within": "soon"}, "id_replace_within", "soon"),
        ({"profile_id": ""}, "", "at least one of them"),
        ({"public_key_sha256": "ab" * 32}, "", "at least one"),
    ],
)
def test_refusals_stand_beside_their_fields(
    profile: CertificateProfile, alice: Client, changes: dict[str, str], owner: str, told: str
) -> None:
    make_issued(profile)
    answer = alice.post(DECLARE, typed(profile, **changes))
    page = answer.content.decode()
    assert answer.status_code == 422
    assert told in page
    assert f'id="{owner}-violations"' in page if owner else 'role="alert"' in page


def test_what_only_the_service_refuses_is_told_beside_its_field_and_recorded(
    profile: CertificateProfile, alice: Client
) -> None:
    make_issued(profile)
    form = typed(profile, replace_within="31d")
    form["previewed"] = previewed(alice.post(DECLARE, form))
    answer = alice.post(DECLARE, form)
    assert answer.status_code == 422
    assert 'id="id_replace_within-violations"' in answer.content.decode()
    assert AuditEvent.objects.filter(event="declare-incident", outcome="refused").count() == 1
    assert not Incident.objects.exists()


def test_the_page_tells_how_far_it_is_and_why_not_further_and_leads_to_the_revocation(
    profile: CertificateProfile, alice: Client
) -> None:
    first, failing, by_hand = (
        make_issued(profile, f"{name}.acme.com", life=timedelta(days=days))
        for name, days in (("first", 20), ("failing", 30), ("by-hand", 40))
    )
    Certificate.objects.filter(pk=by_hand.pk).update(renew_at=None, renew_before_days=None)
    by_hand.auto_renewal.delete()
    incident = declare(alice, typed(profile))
    sweep()
    Certificate.objects.filter(pk=failing.pk).update(renewal_error="The CA ends first.")
    address = f"{LIST}{incident.pk}/"

    told = text_of(alice.get(address))
    assert "Affected 3" in told
    assert "Replaced 1 1 not revoked yet Waiting 2" in told
    assert "Failed 1" in told
    assert "Profile server" in told
    assert "The CA ends first." in told
    assert "by-hand.acme.com Waiting whoever renews it is told" in told
    only = text_of(alice.get(address, {"state": "failed"}))
    assert "failing.acme.com" in only
    assert "first.acme.com" not in only

    revoke = f"/projects/acme/certificates/revoke/?incident={incident.pk}&status=active"
    page = alice.get(revoke).content.decode()
    assert "Revoke 1 certificate<" in page
    hidden = dict(re.findall(r'name="(count|selection)" value="(\w+)"', page))
    assert alice.post(revoke, {**hidden, "reason": "4", "confirmation": "revoke 1"}).status_code == 302
    first.refresh_from_db()
    assert first.status == CertificateStatus.REVOKED
    assert Certificate.objects.filter(status=CertificateStatus.REVOKED).count() == 1

    closed = alice.post(f"{address}close/", follow=True).content.decode()
    assert "The incident is closed" in closed
    assert "closed by alice" in alice.post(f"{address}close/", follow=True).content.decode()
    assert "Closed" in text_of(alice.get(address))


def test_roles_are_those_of_the_api(profile: CertificateProfile, alice: Client) -> None:
    make_issued(profile)
    incident = declare(alice, typed(profile))
    member, viewer = (browser(profile, name, role) for name, role in (("bob", Role.MEMBER), ("vera", Role.VIEWER)))
    assert member.post(DECLARE, typed(profile)).status_code == 200
    page = viewer.get(f"{LIST}{incident.pk}/").content.decode()
    assert "Close" not in page.partition("<main")[2]
    assert "Declare incident" not in viewer.get(LIST).content.decode()
    assert viewer.post(DECLARE, typed(profile)).status_code == 403
    assert viewer.post(f"{LIST}{incident.pk}/close/").status_code == 403
    assert AuditEvent.objects.filter(outcome="refused", event__in=("declare-incident", "close-incident")).count() == 2
    stranger = browser(make_issuing_profile(make_project(slug="other")), "charlie", Role.ADMIN)
    assert stranger.get(LIST).status_code == 404
    assert stranger.get(f"/projects/other/incidents/{incident.pk}/").status_code == 404
    assert stranger.post(f"/projects/other/incidents/{incident.pk}/close/").status_code == 404
    strict = browser(profile, "otto", Role.OPERATOR, enforce_csrf_checks=True)
    assert strict.post(DECLARE, typed(profile)).status_code == 403
    assert alice.get(f"{LIST}{incident.pk}/close/").status_code == 405
