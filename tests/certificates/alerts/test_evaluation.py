"""What a rule finds: the right things, once each, all in one message."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from certificates.alerts.models import AlertDelivery, AlertDigest, AlertKind, AlertNotice, AlertRule
from certificates.alerts.services.evaluation import evaluate
from certificates.alerts.services.rules import update_rule
from certificates.alerts.tasks import delete_old_alerts
from certificates.models import Certificate, CertificateRevocationList, RevocationListShard
from certificates.models.certificate import CertificateStatus, RevocationReason
from profiles.models import CertificateProfile
from tests.certificates.alerts.scenery import HOOK, MAIL, look, make_ending, make_rule
from tests.factories import SYSTEM, make_authority, make_project
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project())


def names_told() -> list[list[str]]:
    """What each digest holds, in the order of the digests."""
    return [[item["name"] for item in digest.items] for digest in AlertDigest.objects.order_by("created_at")]


def test_what_ends_in_time_is_told_in_one_message_to_each_channel(profile: CertificateProfile) -> None:
    rule = make_rule(profile.project, channels=(MAIL, HOOK)).rule
    make_ending(profile, "b.example.com", days=20)
    first = make_ending(profile, "a.example.com", days=10)
    make_ending(profile, "late.example.com", days=31)
    make_ending(profile, "gone.example.com", days=-1)
    look(rule)
    assert names_told() == [["a.example.com", "b.example.com"]]
    digest = AlertDigest.objects.get()
    assert digest.total == 2
    assert digest.items[0] == {
        "id": str(first.pk),
        "name": "a.example.com",
        "serialNumber": first.serial_number,
        "profileName": "server",
        "notAfter": digest.items[0]["notAfter"],
        "url": f"http://pki.test/projects/{profile.project.slug}/certificates/{first.pk}/",
    }
    assert sorted(AlertDelivery.objects.values_list("channel_kind", flat=True)) == ["email", "webhook"]


def test_nothing_is_told_twice_and_what_is_new_is_told_alone(profile: CertificateProfile) -> None:
    rule = make_rule(profile.project).rule
    make_ending(profile, "a.example.com", days=10)
    look(rule)
    look(rule)
    make_ending(profile, "b.example.com", days=9)
    look(rule)
    assert names_told() == [["a.example.com"], ["b.example.com"]]


def test_another_lead_time_tells_again(profile: CertificateProfile) -> None:
    rule = make_rule(profile.project).rule
    make_ending(profile, "a.example.com", days=5)
    look(rule)
    update_rule(requester=SYSTEM, rule=rule, changes={"alert_before": "7d"})
    look(rule)
    assert names_told() == [["a.example.com"]] * 2


def test_a_run_that_died_before_it_was_written_down_tells_nothing_again(profile: CertificateProfile) -> None:
    rule = make_rule(profile.project).rule
    make_ending(profile, "a.example.com", days=5)
    for _ in range(2):
        AlertRule.objects.filter(pk=rule.pk).update(due_at=timezone.now(), lease=None, leased_until=None)
        look(rule)
    assert names_told() == [["a.example.com"]]


def test_a_run_that_finds_nothing_sends_nothing_and_comes_again_in_the_morning(profile: CertificateProfile) -> None:
    rule = make_rule(profile.project).rule
    look(rule)
    assert not AlertDigest.objects.exists()
    rule.refresh_from_db()
    assert rule.due_at is not None
    assert rule.due_at.hour == 6
    assert timezone.now() < rule.due_at < timezone.now() + timedelta(days=1, minutes=15)


def test_what_is_revoked_renewed_or_of_another_project_is_not_told(profile: CertificateProfile) -> None:
    rule = make_rule(profile.project).rule
    now = timezone.now()
    revoked = make_ending(profile, "revoked.example.com", days=5)
    Certificate.objects.filter(pk=revoked.pk).update(
        status=CertificateStatus.REVOKED, revoked_at=now, revocation_reason=RevocationReason.SUPERSEDED
    )
    renewed = make_ending(profile, "renewed.example.com", days=5)
    Certificate.objects.filter(pk=make_ending(profile, "new.example.com", days=90).pk).update(renewed_from=renewed)
    make_ending(make_issuing_profile(make_project()), "foreign.example.com", days=5)
    look(rule)
    assert names_told() == []


def test_a_rule_that_is_disabled_or_reaches_nobody_tells_nothing_and_keeps_what_it_would_tell(
    profile: CertificateProfile,
) -> None:
    make_ending(profile, "a.example.com", days=5)
    rule = make_rule(profile.project).rule
    rule.channels.update(is_enabled=False)
    look(rule)
    assert not AlertNotice.objects.exists()
    rule.channels.update(is_enabled=True)
    look(rule)
    assert names_told() == [["a.example.com"]]

    disabled = make_rule(profile.project, name="disabled", is_enabled=False).rule
    assert disabled.due_at is None


def test_many_are_counted_and_the_first_hundred_named(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certificates.alerts.services.evaluation.ITEMS_KEPT", 2)
    monkeypatch.setattr("certificates.alerts.services.evaluation.CHUNK", 2)
    rule = make_rule(profile.project).rule
    for number in range(5):
        make_ending(profile, f"n{number}.example.com", days=number + 1)
    look(rule)
    assert names_told() == [["n0.example.com", "n1.example.com"]]
    assert AlertDigest.objects.get().total == AlertNotice.objects.count() == 5
    look(rule)
    assert AlertDigest.objects.count() == 1


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        (("profile_name", "equals", "SERVER"), ["www.acme.com", "api.acme.org"]),
        (("profile_name", "equals", "client"), []),
        (("common_name", "ends_with", ".ORG"), ["api.acme.org"]),
        (("common_name", "starts_with", "www."), ["www.acme.com"]),
        (("san", "contains", "acme.c"), ["www.acme.com"]),
        (("san", "matches", "*.acme.com"), ["www.acme.com"]),
        (("san", "matches", "acme.com"), []),
        (("common_name", "matches", "*"), ["www.acme.com", "api.acme.org"]),
    ],
)
def test_filters_narrow(profile: CertificateProfile, condition: tuple[str, str, str], told: list[str]) -> None:
    made: dict[str, Any] = dict(zip(("field", "operator", "value"), condition, strict=True))
    rule = make_rule(profile.project, filters=(made,)).rule
    make_ending(profile, "www.acme.com", days=5)
    make_ending(profile, "api.acme.org", days=6)
    look(rule)
    assert [name for names in names_told() for name in names] == told


def test_all_filters_must_fit(profile: CertificateProfile) -> None:
    filters = (
        {"field": "common_name", "operator": "contains", "value": "acme"},
        {"field": "common_name", "operator": "ends_with", "value": ".com"},
    )
    rule = make_rule(profile.project, filters=filters).rule
    for name in ("www.acme.com", "www.acme.org", "www.other.com"):
        make_ending(profile, name, days=5)
    look(rule)
    assert names_told() == [["www.acme.com"]]


def test_cas_near_their_end_are_told_once_for_each_certificate() -> None:
    project = make_project()
    now = timezone.now()
    ending = make_authority(project, name="ending", not_after=now + timedelta(days=20))
    make_authority(project, name="lasting", not_after=now + timedelta(days=900))
    make_authority(project, name="other-ending", not_after=now + timedelta(days=20))
    filters = ({"field": "ca_name", "operator": "equals", "value": "ending"},)
    rule = make_rule(project, kind=AlertKind.AUTHORITY_EXPIRY, filters=filters).rule
    look(rule)
    look(rule)
    assert names_told() == [["ending"]]
    assert AlertDigest.objects.get().items[0]["url"].endswith(f"/authorities/{ending.pk}/")


def test_a_crl_that_nobody_signed_anew_is_told_once_and_looked_at_again_soon() -> None:
    project = make_project()
    make_authority(project, name="ca")
    rule = make_rule(project, kind=AlertKind.CRL_EXPIRY, alert_before="24h").rule
    look(rule)
    assert names_told() == []
    crl = CertificateRevocationList.objects.get()
    CertificateRevocationList.objects.update(next_update=timezone.now() + timedelta(hours=20))
    look(rule)
    look(rule)
    assert names_told() == [["ca"]]
    CertificateRevocationList.objects.update(number=(crl.number or 0) + 1, next_update=timezone.now())
    look(rule)
    assert names_told() == [["ca"], ["ca"]], "the next list is another one, and it has run out"
    rule.refresh_from_db()
    assert rule.due_at is not None
    assert rule.due_at < timezone.now() + timedelta(minutes=17)


def test_a_shard_that_nobody_signed_anew_is_told_beside_its_list() -> None:
    authority = make_authority(make_project(), name="ca")
    now = timezone.now()
    shards = [
        RevocationListShard.objects.create(
            revocation_list=CertificateRevocationList.objects.get(), generation=1, number=7, next_update=next_update
        )
        for next_update in (now + timedelta(hours=20), now + timedelta(days=3), None)
    ]
    rule = make_rule(authority.project, kind=AlertKind.CRL_EXPIRY, alert_before="24h").rule
    look(rule)
    look(rule)
    (item,) = AlertDigest.objects.get().items
    assert (item["name"], item["reason"]) == ("ca", f"shard {shards[0].pk} of its CRL")


def test_the_log_goes_after_90_days_and_notices_when_nobody_can_need_them(profile: CertificateProfile) -> None:
    rule = make_rule(profile.project).rule
    make_ending(profile, "a.example.com", days=5)
    look(rule)
    now = timezone.now()
    delete_old_alerts(now + timedelta(days=59))
    assert AlertNotice.objects.count() == AlertDigest.objects.count() == 1
    delete_old_alerts(now + timedelta(days=61))
    assert (AlertNotice.objects.count(), AlertDigest.objects.count()) == (0, 1)
    delete_old_alerts(now + timedelta(days=91))
    assert AlertDelivery.objects.count() == AlertDigest.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_two_looks_at_the_same_time_tell_once() -> None:
    """The lease of a slow worker ended: both are at it, and the lock on the rule lets one of them find it told."""
    profile = make_issuing_profile(make_project())
    rule = make_rule(profile.project).rule
    for number in range(3):
        make_ending(profile, f"n{number}.example.com", days=5)
    start = threading.Barrier(4)
    troubles: list[BaseException] = []

    def look_now() -> None:
        try:
            start.wait()
            evaluate(rule, timezone.now())
        except BaseException as trouble:  # noqa: BLE001 - told to the test
            troubles.append(trouble)
        finally:
            connection.close()

    lookers = [threading.Thread(target=look_now) for _ in range(4)]
    for looker in lookers:
        looker.start()
    for looker in lookers:
        looker.join(60)
    assert troubles == []
    assert (AlertDigest.objects.count(), AlertDelivery.objects.count(), AlertNotice.objects.count()) == (1, 1, 3)
