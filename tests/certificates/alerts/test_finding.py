"""What is told of renewals, keys and risky profiles: the right things, with the reason, once each."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from certificates.alerts.models import AlertDigest, AlertKind
from certificates.alerts.services.messages import plain_text, subject_line
from certificates.models import AutoRenewal, Certificate, CertificateSecret
from certificates.services.renewal import renew_certificate
from profiles.models import CertificateProfile
from profiles.services import update_profile, update_template
from tests.certificates.alerts.scenery import look, make_ending, make_rule
from tests.factories import SYSTEM, make_project
from tests.pages import make_issued
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project())


def told(profile: CertificateProfile, kind: AlertKind, lead: str = "30d", **changes: Any) -> list[dict[str, Any]]:
    """What a new rule tells; nothing where it sends no message."""
    rule = make_rule(profile.project, name=f"{kind}-{lead}", kind=kind, alert_before=lead, **changes).rule
    look(rule)
    look(rule)
    digest = AlertDigest.objects.filter(rule=rule).first()
    assert AlertDigest.objects.filter(rule=rule).count() <= 1
    return digest.items if digest else []


def test_refused_renewals_are_told_with_their_reason(profile: CertificateProfile) -> None:
    failed, fine = make_ending(profile, "failed.acme.com", days=5), make_ending(profile, "fine.acme.com", days=5)
    ended = make_ending(profile, "ended.acme.com", days=-2)
    later = make_ending(profile, "later.acme.com", days=60)
    Certificate.objects.exclude(pk=fine.pk).update(renewal_error="The CA is disabled.")
    items = told(profile, AlertKind.RENEWAL_FAILURE)
    assert [(each["id"], each["reason"]) for each in items] == [
        (str(ended.pk), "The CA is disabled."),
        (str(failed.pk), "The CA is disabled."),
    ]
    assert later.pk not in {each["id"] for each in items}


def test_renewals_that_fail_again_and_again_are_told(profile: CertificateProfile) -> None:
    stuck, once = make_ending(profile, "stuck.acme.com", days=5), make_ending(profile, "once.acme.com", days=5)
    AutoRenewal.objects.filter(pk=stuck.pk).update(attempts=5, last_error="The key store does not answer.")
    AutoRenewal.objects.filter(pk=once.pk).update(attempts=1, last_error="The key store does not answer.")
    assert [each["name"] for each in told(profile, AlertKind.RENEWAL_FAILURE)] == ["stuck.acme.com"]


def test_renewals_that_will_fail_are_told_by_the_day_when_they_are_due(profile: CertificateProfile) -> None:
    failing, later = make_issued(profile, "a.acme.com"), make_issued(profile, "b.acme.com")
    make_issued(profile, "fine.acme.com")
    soon = timezone.now() + timedelta(days=10)
    reason = "The CA ends first: notAfter 2027."
    AutoRenewal.objects.filter(pk=failing.pk).update(due_at=soon, rehearsal_error=reason)
    AutoRenewal.objects.filter(pk=later.pk).update(due_at=soon + timedelta(days=30), rehearsal_error=reason)
    (item,) = told(profile, AlertKind.RENEWAL_REHEARSAL)
    assert (item["name"], item["reason"]) == ("a.acme.com", reason)
    digest = AlertDigest.objects.select_related("rule__project").get()
    assert subject_line(digest).endswith("1 renewal due within 30d will fail")
    assert f"{item['renewAt']}  a.acme.com\n    {reason}\n    http" in plain_text(digest)


def test_keys_that_nobody_claims_are_told_before_they_are_destroyed(profile: CertificateProfile) -> None:
    old, new = (
        renew_certificate(certificate=make_issued(profile, name), requester=SYSTEM).certificate
        for name in ("old.acme.com", "new.acme.com")
    )
    created = timezone.now() - timedelta(days=5)
    CertificateSecret.objects.filter(certificate=old).update(created_at=created)
    (item,) = told(profile, AlertKind.UNCLAIMED_KEY, "3d")
    assert item["id"] == str(old.pk)
    assert item["destroyedAt"] < item["notAfter"]
    assert {each["id"] for each in told(profile, AlertKind.UNCLAIMED_KEY, "8d")} == {str(old.pk), str(new.pk)}


def test_profiles_with_a_risk_are_told_when_they_issue(profile: CertificateProfile) -> None:
    """The template of these tests lets a wildcard of any domain pass."""
    assert told(profile, AlertKind.RISKY_ISSUANCE, "2d") == []
    make_issued(profile)
    (item,) = told(profile, AlertKind.RISKY_ISSUANCE, "1d")
    assert (item["name"], item["issuedCount"]) == (profile.slug, 1)
    assert "any_wildcard" in item["risks"]
    assert item["reason"].startswith("1 issued. ")
    assert plain_text(AlertDigest.objects.select_related("rule__project").get()).count("\nserver\n") == 1
    other = ({"field": "profile_name", "operator": "equals", "value": "other"},)
    assert told(profile, AlertKind.RISKY_ISSUANCE, "3d", filters=other) == []
    sans = [{"type": "dns_name", "allowed": ["*.acme.com"]}]
    names = [{"type": "common_name", "allowed": ["*.acme.com"]}]
    update_template(requester=SYSTEM, template=profile.template, changes={"sans": sans, "subject": names})
    assert told(profile, AlertKind.RISKY_ISSUANCE, "4d") == []
    anyone = {
        "subject": [{"type": "common_name", "allowed": ["*"]}],
        "extended_key_usages": {"allowed": ["client_auth"]},
    }
    update_template(requester=SYSTEM, template=profile.template, changes=anyone)
    (item,) = told(profile, AlertKind.RISKY_ISSUANCE, "5d")
    assert item["risks"] == ["any_name_for_clients"]
    update_profile(requester=SYSTEM, profile=profile, changes={"requires_approval": True})
    assert told(profile, AlertKind.RISKY_ISSUANCE, "6d") == []
