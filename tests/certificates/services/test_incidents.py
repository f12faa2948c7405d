"""What an incident affects is replaced now, one after the other; programs that renew by themselves are told."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from certificates.models import AutoRenewal, Certificate, CertificateRequest, Incident
from certificates.models.certificate import RevocationReason
from certificates.services import incidents
from certificates.services.incidents import Criteria, close_incident, declare_incident
from certificates.services.issuance import issue_certificate
from certificates.services.renewal import configure_renewal, renew_certificate
from certificates.services.renewal_information import WindowReason, renewal_information
from certificates.services.revocation import revoke_certificate
from pki_portal.access.models import Role
from pki_portal.audit.models import AuditEvent
from pki_portal.background.work import sweep
from pki_portal.errors import Invalid
from profiles.models import CertificateProfile
from profiles.services import update_profile
from tests.certificates.services.test_issuance import service_request
from tests.factories import SYSTEM, make_project, make_user, requester_for
from tests.pages import make_issued
from tests.scenery import make_issuing_profile
from tests.wire import CERTIFICATES, make_client, post_json

pytestmark = pytest.mark.django_db

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project())


def due(certificate: Certificate) -> datetime:
    found = AutoRenewal.objects.get(pk=certificate.pk).due_at
    assert found is not None
    return found


def declare(profile: CertificateProfile, over: timedelta = HOUR) -> Incident:
    return declare_incident(
        requester=SYSTEM,
        project=profile.project,
        reason="The signing host was broken into.",
        criteria=Criteria(profile_id=profile.pk),
        over=over,
    )


# --- Renewal information ----------------------------------------------------------------------------------------------


def test_the_window_begins_on_the_day_of_the_renewal(profile: CertificateProfile) -> None:
    found = renewal_information(make_issued(profile), now=timezone.now())
    certificate = found.certificate
    assert found.window.start == certificate.renew_at == certificate.not_after - 7 * DAY
    assert found.window.end - found.window.start == timedelta(days=0.7)
    assert (found.reason, found.retry_after) == (WindowReason.SCHEDULED, 6 * HOUR)


def test_without_renewal_by_itself_the_profile_says_when_else_two_thirds_of_the_life(
    profile: CertificateProfile,
) -> None:
    certificate = make_issued(profile)
    certificate = configure_renewal(certificate=certificate, requester=SYSTEM, renew_before_days=None)
    assert renewal_information(certificate, now=timezone.now()).window.start == certificate.not_after - 7 * DAY
    update_profile(requester=SYSTEM, profile=profile, changes={"api": {"auto_renew": False, "renew_before_days": None}})
    start = renewal_information(certificate, now=timezone.now()).window.start
    assert start == certificate.not_before + 60 * DAY


def test_short_lives_are_asked_for_again_soon(profile: CertificateProfile) -> None:
    certificate = make_issued(profile, life=timedelta(minutes=90))
    assert renewal_information(certificate, now=timezone.now()).retry_after == timedelta(minutes=4.5)


def test_what_is_revoked_or_has_ended_is_replaced_now_and_what_was_renewed_is_named(
    profile: CertificateProfile,
) -> None:
    now = timezone.now()
    ended = make_issued(profile, "ended.acme.com")
    assert renewal_information(ended, now=now + 91 * DAY).reason is WindowReason.ENDED
    revoke_certificate(requester=SYSTEM, certificate=ended, reason=RevocationReason.SUPERSEDED)
    ended.refresh_from_db()
    found = renewal_information(ended, now=timezone.now() + HOUR)
    assert found.reason is WindowReason.REVOKED
    assert found.window.start < found.window.end <= timezone.now() + HOUR
    old = make_issued(profile)
    new = renew_certificate(certificate=old, requester=SYSTEM).certificate
    found = renewal_information(old, now=now)
    assert (found.reason, found.successor_id) == (WindowReason.RENEWED, new.pk)


# --- Incidents --------------------------------------------------------------------------------------------------------


def test_renewals_come_due_one_after_the_other_the_soonest_end_first(profile: CertificateProfile) -> None:
    late, soon = make_issued(profile, "late.acme.com"), make_issued(profile, "soon.acme.com", life=20 * DAY)
    other = make_issued(make_issuing_profile(profile.project, slug="other"), "other.acme.com")
    untouched = due(other)
    incident = declare(profile, over=2 * HOUR)
    assert (due(soon), due(late)) == (incident.declared_at, incident.declared_at + HOUR)
    assert due(other) == untouched
    event = AuditEvent.objects.get(event="declare-incident")
    assert event.data["count"] == 2


def test_the_worker_renews_and_the_incident_tells_how_far_it_is(profile: CertificateProfile) -> None:
    first, second = make_issued(profile, "a.acme.com", life=20 * DAY), make_issued(profile, "b.acme.com")
    incident = declare(profile)
    sweep()
    told = incidents.progress_of(incident, timezone.now())
    assert told == {"total": 2, "renewed": 1, "waiting": 1, "failed": 0, "not_revoked": 1, "gone": 0}
    revoke_certificate(requester=SYSTEM, certificate=first, reason=RevocationReason.SUPERSEDED)
    revoke_certificate(requester=SYSTEM, certificate=second, reason=RevocationReason.SUPERSEDED)
    told = incidents.progress_of(incident, timezone.now())
    assert told == {"total": 2, "renewed": 1, "waiting": 0, "failed": 0, "not_revoked": 0, "gone": 1}


def test_the_window_of_an_affected_certificate_is_now_until_it_is_closed(profile: CertificateProfile) -> None:
    by_hand = make_issued(profile)
    by_hand = configure_renewal(certificate=by_hand, requester=SYSTEM, renew_before_days=None)
    incident = declare(profile)
    found = renewal_information(by_hand, now=timezone.now())
    assert found.reason is WindowReason.INCIDENT
    assert found.window.start == incident.declared_at
    assert found.explanation == "Replace it now: The signing host was broken into."
    assert not AutoRenewal.objects.filter(pk=by_hand.pk, due_at__isnull=False).exists()
    close_incident(requester=SYSTEM, incident=incident)
    assert renewal_information(by_hand, now=timezone.now()).reason is WindowReason.SCHEDULED


def test_a_change_of_the_day_does_not_take_a_certificate_out(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    incident = declare(profile)
    configure_renewal(certificate=certificate, requester=SYSTEM, renew_before_days=3)
    assert due(certificate) == incident.declared_at


def test_closing_puts_what_waits_back_on_its_day_unless_another_incident_is_open(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    planned = certificate.renew_at
    assert planned is not None
    incident, another = declare(profile), declare(profile)
    close_incident(requester=SYSTEM, incident=incident)
    assert due(certificate) == another.declared_at
    close_incident(requester=SYSTEM, incident=another)
    assert planned <= due(certificate) <= planned + DAY
    with pytest.raises(Invalid, match="closed by"):
        close_incident(requester=SYSTEM, incident=another)


def test_a_refused_renewal_in_an_incident_says_why(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    CertificateProfile.objects.filter(pk=profile.pk).update(enrollment_method="est")
    incident = declare(profile)
    sweep()
    certificate.refresh_from_db()
    assert "enrolls by 'est'" in certificate.renewal_error
    told = incidents.progress_of(incident, timezone.now())
    assert (told["waiting"], told["failed"]) == (1, 1)


def test_however_many_are_affected_the_statements_are_as_many(profile: CertificateProfile) -> None:
    def statements() -> tuple[int, int]:
        with CaptureQueriesContext(connection) as declaring:
            incident = declare(profile)
        with CaptureQueriesContext(connection) as closing:
            close_incident(requester=SYSTEM, incident=incident)
        return len(declaring), len(closing)

    make_issued(profile)
    of_one = statements()
    for number in range(5):
        make_issued(profile, f"{number}.acme.com")
    assert statements() == of_one


def test_each_criterion_picks_and_all_must_fit(profile: CertificateProfile) -> None:
    wanted, other = make_issued(profile, "a.acme.com"), make_issued(profile, "b.acme.com")
    stranger = make_issued(make_issuing_profile(profile.project, slug="other"), "c.acme.com")

    def picked(**criteria: object) -> set[Certificate]:
        found = incidents.preview_incident(
            requester=SYSTEM,
            project=profile.project,
            criteria=Criteria(**criteria),  # type: ignore[arg-type]
        )
        assert found.count == len(found.first)
        return set(found.first)

    assert picked(certificate_ids=(wanted.pk, stranger.pk)) == {wanted, stranger}
    assert picked(certificate_ids=(wanted.pk, stranger.pk), profile_id=profile.pk) == {wanted}
    assert picked(authority_id=profile.certificate_authority_id) == {wanted, other}
    assert picked(template_id=profile.template_id) == {wanted, other}
    CertificateRequest.objects.filter(certificate=wanted).update(requester_id="robot-1")
    assert picked(requester_id="robot-1") == {wanted}
    assert picked(public_key_sha256=wanted.public_key_sha256) == {wanted}


def test_nothing_or_too_much_is_refused_and_leaves_nothing(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Invalid, match="at least one"):
        declare(profile)
    for name in ("a.acme.com", "b.acme.com"):
        make_issued(profile, name)
    with pytest.raises(Invalid, match="30d"):
        declare(profile, over=31 * DAY)
    monkeypatch.setattr(incidents, "MOST_AFFECTED", 1)
    with pytest.raises(Invalid, match="more than 1"):
        declare(profile)
    assert not Incident.objects.exists()
    assert AuditEvent.objects.filter(event="declare-incident").exclude(outcome="done").count() == 3


# --- API --------------------------------------------------------------------------------------------------------------


def test_over_the_api(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    robot, address = make_client(profile.project), f"/api/v1/projects/{profile.project_id}/incidents"
    body = {"reason": "Heartbleed", "profileId": str(profile.pk), "replaceWithin": "30m"}

    before = robot.get(f"{CERTIFICATES}/{certificate.pk}/renewal-info")
    assert (before.json()["reason"], before["Retry-After"]) == ("scheduled", "21600")
    preview = post_json(robot, address, {**body, "dryRun": True}).json()
    assert (preview["count"], preview["incident"], preview["certificates"][0]["id"]) == (1, None, str(certificate.pk))
    assert not Incident.objects.exists()
    by_person = {"reason": "Left", "requesterId": "7", "dryRun": True}
    CertificateRequest.objects.filter(certificate=certificate).update(requester_kind="user", requester_id="7")
    assert post_json(robot, address, by_person).json()["count"] == 1

    declared = post_json(robot, address, body).json()
    incident = declared["incident"]
    assert (declared["count"], incident["criteria"]) == (1, {"profileId": str(profile.pk)})
    told = robot.get(f"{CERTIFICATES}/{certificate.pk}/renewal-info").json()
    assert (told["reason"], told["suggestedWindow"]["start"]) == ("incident", incident["declaredAt"])
    assert [each["id"] for each in robot.get(address).json()["incidents"]] == [incident["id"]]
    detail = robot.get(f"{address}/{incident['id']}").json()
    assert detail["progress"] == {
        "total": 1,
        "renewed": 0,
        "waiting": 1,
        "failed": 0,
        "gone": 0,
        "renewedNotRevoked": 0,
    }
    (member,) = robot.get(f"{address}/{incident['id']}/certificates").json()["certificates"]
    assert (member["certificateId"], member["renewsByItself"], member["renewedByCertificateId"]) == (
        str(certificate.pk),
        True,
        None,
    )
    assert post_json(robot, f"{address}/{incident['id']}/close", {}).json()["incident"]["closedBy"] == "robot"
    assert post_json(robot, f"{address}/{incident['id']}/close", {}).status_code == 400


def test_refusals_over_the_api(profile: CertificateProfile) -> None:
    make_issued(profile)
    address = f"/api/v1/projects/{profile.project_id}/incidents"
    admin, viewer = make_client(profile.project), make_client(profile.project, role=Role.VIEWER)
    stranger = make_client(make_project("Other"))
    body = {"reason": "x", "profileId": str(profile.pk)}
    assert post_json(viewer, address, body).status_code == 403
    assert post_json(stranger, address, body).status_code == 404
    assert post_json(admin, address, {"reason": "x"}).status_code == 400
    assert post_json(admin, address, {"profileId": str(profile.pk)}).status_code == 422
    incident = declare(profile)
    other = make_project("Third")
    robot = make_client(other)
    assert robot.get(f"/api/v1/projects/{other.pk}/incidents/{incident.pk}").status_code == 404
    assert stranger.get(f"{address}/{incident.pk}").status_code == 404
    assert post_json(viewer, f"{address}/{incident.pk}/close", {}).status_code == 403


@pytest.mark.parametrize(
    "narrowing",
    [{"certificateIds": []}, {"publicKeySha256": ":"}, {"publicKeySha256": "ab" * 31}, {"requesterId": " "}],
)
def test_what_picks_nothing_does_not_widen_what_the_rest_picks(
    profile: CertificateProfile, narrowing: dict[str, Any]
) -> None:
    make_issued(profile)
    address = f"/api/v1/projects/{profile.project_id}/incidents"

    answer = post_json(
        make_client(profile.project), address, {"reason": "x", "profileId": str(profile.pk), **narrowing}
    )

    assert answer.status_code == 422, answer.json()
    assert not Incident.objects.exists()


def test_a_person_is_named_as_requests_name_them_and_a_key_in_any_spelling(profile: CertificateProfile) -> None:
    bob = make_user("bob", project=profile.project, role=Role.MEMBER)
    robot, address = make_client(profile.project), f"/api/v1/projects/{profile.project_id}/incidents"
    issue_certificate(profile=profile, request=service_request(), requester=requester_for(bob))
    theirs = Certificate.objects.get()
    make_issued(profile)
    key = ":".join(re.findall("..", theirs.public_key_sha256.upper()))

    for picked in ({"requesterId": str(bob.pk)}, {"publicKeySha256": key}):
        preview = post_json(robot, address, {"reason": "x", "dryRun": True, **picked}).json()
        assert [each["id"] for each in preview["certificates"]] == [str(theirs.pk)]
