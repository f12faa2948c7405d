"""What would fail when it is due is known weeks before, and no longer told once it is mended."""

from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from certificates.gauges import measure_renewals
from certificates.models import AutoRenewal, Certificate, CertificateAuthority
from certificates.models.certificate import CertificateStatus, RevocationReason
from certificates.services import rehearsal
from certificates.services.rehearsal import HORIZON, rehearse_renewals
from certificates.services.renewal import configure_renewal
from certificates.x509 import lint as x509_lint
from certificates.x509.lint import forget_shapes
from pki_portal.background.models import Measurement
from profiles.models import CertificateProfile
from profiles.services.profiles import update_profile
from profiles.services.templates import update_template
from tests.factories import SYSTEM, make_project, make_user
from tests.pages import make_issued
from tests.scenery import make_issuing_profile
from tests.wire import CERTIFICATES, make_client

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project())


def due_soon(profile: CertificateProfile, name: str = "www.acme.com") -> AutoRenewal:
    """Of a certificate of 40 days: due in 33."""
    return AutoRenewal.objects.get(pk=make_issued(profile, name, life=40 * DAY).pk)


def rehearsed(row: AutoRenewal) -> AutoRenewal:
    rehearse_renewals(now=timezone.now())
    row.refresh_from_db()
    return row


def end_issuer(profile: CertificateProfile, days: int) -> None:
    version = CertificateAuthority.objects.get(certificate_profiles=profile).active_certificate
    assert version is not None
    type(version).objects.filter(pk=version.pk).update(not_after=timezone.now() + timedelta(days=days))


def test_what_will_succeed_is_noted_as_such_and_leaves_nothing_behind(profile: CertificateProfile) -> None:
    row = rehearsed(due_soon(profile))
    assert (row.rehearsal_error, row.rehearsal_violations) == ("", [])
    assert row.rehearsed_at is not None
    assert Certificate.objects.count() == 1


def test_that_the_ca_ends_first_is_told_and_cleared_once_it_does_not(profile: CertificateProfile) -> None:
    row = due_soon(profile)
    end_issuer(profile, 60)
    row = rehearsed(row)
    assert row.rehearsal_error.startswith("The CA ends first: notAfter ")
    assert [each["code"] for each in row.rehearsal_violations] == ["ends_after_issuer"]
    end_issuer(profile, 90)
    with time_machine.travel(timezone.now() + rehearsal.AGAIN):
        assert rehearsed(row).rehearsal_error == ""


def test_it_is_judged_as_of_its_day(profile: CertificateProfile) -> None:
    row = due_soon(profile)
    end_issuer(profile, 20)
    assert rehearsed(row).rehearsal_error.startswith("The CA will have ended: ")


def test_rules_lint_and_a_profile_that_enrolls_otherwise_are_told(profile: CertificateProfile) -> None:
    row = due_soon(profile)
    other = make_issuing_profile(profile.project, slug="other")
    moved = due_soon(other, "moved.acme.com")
    CertificateProfile.objects.filter(pk=other.pk).update(enrollment_method="est")
    update_template(requester=SYSTEM, template=profile.template, changes={"validity": {"max": "30d"}})
    assert rehearsed(row).rehearsal_error.startswith("The template allows a shorter life: ")
    moved.refresh_from_db()
    assert "enrolls by 'est'" in moved.rehearsal_error
    CertificateProfile.objects.filter(pk=other.pk).delete()
    with time_machine.travel(timezone.now() + rehearsal.AGAIN):
        assert "issued from a profile" in rehearsed(moved).rehearsal_error


def test_of_a_certificate_without_a_profile_nothing_is_told_beside_another(profile: CertificateProfile) -> None:
    rows = [due_soon(profile), due_soon(make_issuing_profile(make_project("other")), "secret.other.com")]
    CertificateProfile.objects.all().delete()
    told = [rehearsed(row).rehearsal_error for row in rows]
    assert [each.partition(";")[0] for each in told] == ["www.acme.com", "secret.other.com"]


def test_a_waiver_that_ends_before_the_renewal_is_told(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A private host name: without the built-in waiver it needs one of the profile's."""
    monkeypatch.setattr(x509_lint, "_built_in_waiver", lambda _finding, _own_urls: "")
    forget_shapes()
    waiver = {"code": "pkix.invalid_domain_name_syntax", "reason": "The old load balancers know no other names."}
    in_ten_days = (timezone.now() + 10 * DAY).isoformat()
    update_profile(requester=SYSTEM, profile=profile, changes={"lint_waivers": [{**waiver, "expires_at": in_ten_days}]})
    row = rehearsed(due_soon(profile, "mailhost"))
    assert [each["code"] for each in row.rehearsal_violations] == ["pkix.invalid_domain_name_syntax"]
    forget_shapes()


def test_that_others_must_agree_is_told_where_the_renewal_says_more_than_what_they_agreed_to(
    profile: CertificateProfile,
) -> None:
    same, more = due_soon(profile), due_soon(profile, "more.acme.com")
    Certificate.objects.filter(pk=more.pk).update(subject_alternative_names=[])
    update_profile(requester=SYSTEM, profile=profile, changes={"requires_approval": True})
    assert rehearsed(same).rehearsal_error == ""
    more.refresh_from_db()
    assert [each["code"] for each in more.rehearsal_violations] == ["approval_required"]


def test_what_is_due_later_or_never_is_left_alone(profile: CertificateProfile) -> None:
    later = AutoRenewal.objects.get(pk=make_issued(profile, "later.acme.com", life=HORIZON + 10 * DAY).pk)
    revoked, done = due_soon(profile, "revoked.acme.com"), due_soon(profile, "done.acme.com")
    Certificate.objects.filter(pk=revoked.pk).update(
        status=CertificateStatus.REVOKED,
        revoked_at=timezone.now(),
        revocation_reason=RevocationReason.UNSPECIFIED,
    )
    AutoRenewal.objects.filter(pk=done.pk).update(due_at=None)
    for row in (later, revoked, done):
        assert rehearsed(row).rehearsed_at is None


def test_each_is_rehearsed_once_a_night_the_soonest_first_and_in_parts(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "BATCH", 2)
    monkeypatch.setattr(rehearsal, "SLICE", 3)
    rows = [make_issued(profile, f"{days}.acme.com", life=days * DAY).pk for days in (20, 14, 16, 18)]
    AutoRenewal.objects.filter(pk=rows[0]).update(due_at=AutoRenewal.objects.get(pk=rows[3]).due_at)
    noon = timezone.now().replace(hour=12)

    assert rehearse_renewals(now=noon)
    waiting = AutoRenewal.objects.get(rehearsed_at__isnull=True)
    assert waiting.pk == max(rows[0], rows[3])
    assert not rehearse_renewals(now=noon)
    rehearse_renewals(now=noon + timedelta(hours=1))
    assert set(AutoRenewal.objects.values_list("rehearsed_at", flat=True)) == {noon}
    after_two = (noon + DAY).replace(hour=2, minute=10)
    rehearse_renewals(now=after_two)
    assert AutoRenewal.objects.filter(rehearsed_at=after_two).count() == 3


def test_another_day_by_hand_is_rehearsed_anew(profile: CertificateProfile) -> None:
    end_issuer(profile, 60)
    row = due_soon(profile)
    assert rehearsed(row).rehearsal_error
    configure_renewal(certificate=row.certificate, requester=SYSTEM, renew_before_days=25)
    row.refresh_from_db()
    assert (row.rehearsed_at, row.rehearsal_error, row.rehearsal_violations) == (None, "", [])
    assert rehearsed(row).rehearsal_error == ""


def test_api_overview_list_and_metrics_tell_what_will_fail(profile: CertificateProfile, client: Client) -> None:
    fine, bad = due_soon(profile), due_soon(make_issuing_profile(profile.project, slug="short"), "bad.acme.com")
    robot = make_client(profile.project)
    address = f"{CERTIFICATES}/{bad.pk}"
    assert robot.get(address).json()["certificate"]["renewalRehearsal"] is None
    end_issuer(CertificateProfile.objects.get(slug="short"), 60)
    rehearsed(bad)

    told = robot.get(address).json()["certificate"]["renewalRehearsal"]
    assert told["error"].startswith("The CA ends first")
    assert [(each["code"], each["pointer"]) for each in told["violations"]] == [
        ("ends_after_issuer", "/attributes/ttl")
    ]
    fine_told = robot.get(f"{CERTIFICATES}/{fine.pk}").json()["certificate"]["renewalRehearsal"]
    assert (fine_told["error"], fine_told["violations"]) == (None, [])
    found = robot.get(f"/api/v1/projects/{profile.project_id}/certificates?failingRenewal=true").json()
    assert [each["id"] for each in found["certificates"]] == [str(bad.pk)]

    client.force_login(make_user(project=profile.project))
    overview = client.get(f"/projects/{profile.project.slug}/").content.decode()
    assert "Failing renewals" in overview
    assert f"{timezone.localtime(bad.due_at):%Y-%m-%d}" in overview
    listed = client.get(f"/projects/{profile.project.slug}/certificates/?renewal=failing").content.decode()
    assert "bad.acme.com" in listed
    assert "www.acme.com" not in listed
    assert (
        "The CA ends first" in client.get(f"/projects/{profile.project.slug}/certificates/{bad.pk}/").content.decode()
    )

    Certificate.objects.filter(pk=fine.pk).update(renewal_error="no")
    measure_renewals(timezone.now())
    counted = dict(Measurement.objects.filter(name="pki_renewals").values_list("label", "value"))
    assert counted == {"due": 0, "due_within_45_days": 2, "failed": 1, "will_fail": 1}
