"""A renewal that came too late says so, and one that a wrong clock lost comes back."""

from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from certificates.models import AutoRenewal, Certificate
from certificates.models.certificate import RevocationReason
from certificates.services.auto_renewal import plan_lost_renewals
from certificates.services.issuance import issue_certificate
from certificates.services.renewal import RenewalKeySource, keep_error, renew_certificate
from certificates.services.revocation import revoke_certificate
from pki_portal.background.work import do_due, work_on
from pki_portal.errors import Invalid
from profiles.models import CertificateProfile
from profiles.policy.renewal import DAY
from tests.certificates.services.test_issuance import service_request
from tests.factories import SYSTEM, make_project
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project())


def issue(profile: CertificateProfile) -> Certificate:
    return issue_certificate(
        profile=profile, request=service_request(ttl=timedelta(days=90)), requester=SYSTEM
    ).certificate


def work_at(moment: datetime) -> None:
    with time_machine.travel(moment, tick=False):
        assert do_due(work_on(AutoRenewal)) == 1


def error_of(certificate: Certificate) -> str:
    return Certificate.objects.get(pk=certificate.pk).renewal_error


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ({}, "no worker came to it in time"),
        ({"attempts": 9, "last_error": "The disk is full."}, "the last attempt failed: The disk is full."),
    ],
)
def test_a_certificate_that_ended_first_says_why(profile: CertificateProfile, before: Any, told: str) -> None:
    certificate = issue(profile)
    AutoRenewal.objects.update(**before)

    work_at(certificate.not_after)

    assert told in error_of(certificate)
    assert AutoRenewal.objects.get().due_at is None
    assert Certificate.objects.count() == 1


def test_the_reasons_of_a_refusal_outlast_the_end(profile: CertificateProfile) -> None:
    certificate = issue(profile)
    keep_error(certificate, Invalid("The CA ends first."))

    work_at(certificate.not_after)

    assert error_of(certificate) == "The CA ends first."


def test_a_clock_that_was_a_year_ahead_for_a_moment_loses_no_renewal(profile: CertificateProfile) -> None:
    certificate = issue(profile)
    work_at(certificate.not_after + timedelta(days=365))
    assert AutoRenewal.objects.get().due_at is None

    assert plan_lost_renewals(now=timezone.now()) == 1

    due_at = AutoRenewal.objects.get().due_at
    assert certificate.renew_at is not None
    assert due_at is not None
    assert certificate.renew_at <= due_at <= certificate.renew_at + DAY
    work_at(due_at)
    assert Certificate.objects.filter(renewed_from=certificate).count() == 1
    assert error_of(certificate) == ""


def test_a_renewal_that_was_put_off_to_next_year_is_due_as_planned(profile: CertificateProfile) -> None:
    issue(profile)
    AutoRenewal.objects.update(due_at=timezone.now() + timedelta(days=365), attempts=3)

    assert plan_lost_renewals(now=timezone.now()) == 1
    assert plan_lost_renewals(now=timezone.now()) == 0
    assert AutoRenewal.objects.get().attempts == 0


@pytest.mark.parametrize("state", ["planned", "refused for a day", "renewed", "revoked", "ended", "switched off"])
def test_what_is_not_lost_is_left_alone(profile: CertificateProfile, state: str) -> None:
    certificate = issue(profile)
    now = timezone.now()
    if state == "refused for a day":
        now = certificate.not_after - 2 * DAY
        AutoRenewal.objects.update(due_at=now + DAY)
    elif state == "renewed":
        renew_certificate(certificate=certificate, requester=SYSTEM)
    elif state == "revoked":
        revoke_certificate(requester=SYSTEM, certificate=certificate, reason=RevocationReason.SUPERSEDED)
        AutoRenewal.objects.update(due_at=None)
    elif state == "ended":
        now = certificate.not_after
        AutoRenewal.objects.update(due_at=None)
    elif state == "switched off":
        Certificate.objects.update(renew_at=None, renew_before_days=None)
        AutoRenewal.objects.update(due_at=None)
    before = list(AutoRenewal.objects.order_by("pk").values())

    assert plan_lost_renewals(now=now) == 0
    assert list(AutoRenewal.objects.order_by("pk").values()) == before


def test_a_call_that_makes_no_sense_is_no_failed_renewal(profile: CertificateProfile) -> None:
    certificate = issue(profile)

    with pytest.raises(Invalid) as caught:
        renew_certificate(certificate=certificate, requester=SYSTEM, key_source=RenewalKeySource.CSR)

    assert caught.value.violations[0].code == "csr_with_key_source"
    assert error_of(certificate) == ""
