"""The worker renews what is due: once and in time, whatever stands in the way for a while; or it says why not."""

from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from certificates.keystore.database import forget_keys
from certificates.keystore.sealing import forget_keyring
from certificates.models import AutoRenewal, Certificate, CertificateRequest
from certificates.models.authority import AuthorityStatus
from certificates.models.certificate import RevocationReason
from certificates.services import auto_renewal, issuance
from certificates.services.authorities import update_authority
from certificates.services.auto_renewal import renew_automatically
from certificates.services.issuance import issue_certificate
from certificates.services.kept_keys import read_private_key, secret_of
from certificates.services.renewal import configure_renewal, renew_certificate
from certificates.services.revocation import release_hold, revoke_certificate
from certificates.services.succession import lock_predecessors, spread
from pki_portal.audit.models import AuditEvent
from pki_portal.background.work import do_due, registered_works
from pki_portal.errors import Conflict
from profiles.models import CertificateProfile
from profiles.services import update_profile, update_template
from tests.certificates.services.test_issuance import service_request
from tests.factories import SYSTEM, make_project
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project())


def issue(profile: CertificateProfile, **changes: Any) -> Certificate:
    request = service_request(**({"ttl": timedelta(days=90)} | changes))
    return issue_certificate(profile=profile, request=request, requester=SYSTEM).certificate


def work_at(moment: datetime) -> int:
    """Have a worker do what is due then; how many it tried."""
    (work,) = (each for each in registered_works() if each.name == "renewals")
    with time_machine.travel(moment, tick=False):
        return do_due(work)


def due_at(certificate: Certificate) -> datetime:
    moment = AutoRenewal.objects.get(pk=certificate.pk).due_at
    assert moment is not None
    return moment


def is_due_again(certificate: Certificate) -> bool:
    return AutoRenewal.objects.filter(pk=certificate.pk, due_at__isnull=False).exists()


def head(certificate: Certificate) -> Certificate:
    return Certificate.objects.get(renewed_from=certificate)


def test_nothing_is_renewed_before_it_is_due(profile: CertificateProfile) -> None:
    certificate = issue(profile)
    assert certificate.renew_at is not None

    assert work_at(certificate.renew_at - timedelta(seconds=1)) == 0
    assert Certificate.objects.count() == 1


def test_what_is_due_gets_one_successor_for_the_same_life(profile: CertificateProfile) -> None:
    certificate = issue(profile)
    moment = due_at(certificate)
    assert certificate.renew_at is not None
    assert certificate.renew_at <= moment <= certificate.renew_at + timedelta(days=0.7)

    assert work_at(moment) == 1
    assert work_at(moment + timedelta(days=1)) == 0

    new = head(certificate)
    assert new.not_before == moment.replace(microsecond=0)
    assert new.not_after - new.not_before == certificate.not_after - certificate.not_before
    assert new.issuing_request.requester_name == "automatic renewal"
    assert AuditEvent.objects.get(event="automated-renew-certificate").subject_id == str(new.pk)
    assert not is_due_again(certificate)
    assert is_due_again(new)


def test_the_lineage_goes_on(profile: CertificateProfile) -> None:
    certificate = issue(profile, ttl=timedelta(days=30))
    for _ in range(3):
        moment = due_at(certificate)
        work_at(moment)
        certificate = head(certificate)

    assert Certificate.objects.count() == 4
    assert secret_of(certificate) is not None
    assert read_private_key(requester=SYSTEM, certificate=certificate, via="test")


def test_a_life_of_90_seconds_renews_after_60(profile: CertificateProfile) -> None:
    certificate = issue(profile, ttl=timedelta(seconds=90))

    assert certificate.renew_at == certificate.not_before + timedelta(seconds=60)
    assert work_at(certificate.not_before + timedelta(seconds=63.1)) == 1
    assert head(certificate)


@pytest.mark.parametrize("undone", ["revoked", "switched off", "renewed by hand", "ended"])
def test_what_needs_no_renewal_gets_none(profile: CertificateProfile, undone: str) -> None:
    certificate = issue(profile)
    moment = due_at(certificate)
    if undone == "revoked":
        revoke_certificate(requester=SYSTEM, certificate=certificate, reason=RevocationReason.SUPERSEDED)
    elif undone == "switched off":
        configure_renewal(certificate=certificate, requester=SYSTEM, renew_before_days=None)
    elif undone == "renewed by hand":
        renew_certificate(certificate=certificate, requester=SYSTEM)
    else:
        moment = certificate.not_after

    work_at(moment)

    assert Certificate.objects.filter(renewed_from=certificate).count() == (undone == "renewed by hand")
    assert not is_due_again(certificate)


def test_a_second_worker_that_comes_late_changes_nothing(profile: CertificateProfile) -> None:
    """Its lease had ended, and it did not notice."""
    certificate = issue(profile)
    row = AutoRenewal.objects.get(pk=certificate.pk)

    assert renew_automatically(row, timezone.now()) is None
    assert renew_automatically(row, timezone.now()) is None

    assert Certificate.objects.filter(renewed_from=certificate).count() == 1


def test_one_on_hold_waits_and_is_renewed_once_released(profile: CertificateProfile) -> None:
    certificate = issue(profile)
    moment = due_at(certificate)
    revoke_certificate(requester=SYSTEM, certificate=certificate, reason=RevocationReason.CERTIFICATE_HOLD)

    work_at(moment)
    assert due_at(certificate) == moment + timedelta(days=1)
    release_hold(requester=SYSTEM, certificate=Certificate.objects.get(pk=certificate.pk))
    work_at(moment + timedelta(days=1))

    assert head(certificate)


def test_a_refusal_is_told_and_judged_again_every_day_until_it_passes(profile: CertificateProfile) -> None:
    certificate = issue(profile)
    moment = due_at(certificate)
    update_template(requester=SYSTEM, template=profile.template, changes={"validity": {"max": "30d"}})

    work_at(moment)

    certificate.refresh_from_db()
    assert "30" in certificate.renewal_error
    assert due_at(certificate) == moment + timedelta(days=1)
    assert CertificateRequest.objects.filter(status="failed").count() == 1

    profile.template.refresh_from_db()
    update_template(requester=SYSTEM, template=profile.template, changes={"validity": {"max": "90d"}})
    work_at(moment + timedelta(days=1))

    certificate.refresh_from_db()
    assert certificate.renewal_error == ""
    assert head(certificate)


def test_a_deleted_profile_is_told_too(profile: CertificateProfile) -> None:
    certificate = issue(profile)
    moment = due_at(certificate)
    Certificate.objects.filter(pk=certificate.pk).update(profile=None)

    work_at(moment)

    certificate.refresh_from_db()
    assert "No profile" in certificate.renewal_error


def test_a_disabled_ca_keeps_the_renewal_waiting(profile: CertificateProfile) -> None:
    certificate = issue(profile)
    authority = profile.certificate_authority
    assert authority is not None
    update_authority(requester=SYSTEM, authority=authority, status=AuthorityStatus.DISABLED)
    moment = due_at(certificate)

    work_at(moment)

    certificate.refresh_from_db()
    assert "not active" in certificate.renewal_error


def test_a_key_that_cannot_be_used_for_a_while_is_tried_again_soon(
    profile: CertificateProfile, settings: Settings
) -> None:
    certificate = issue(profile, ttl=timedelta(hours=2))
    moment = due_at(certificate)
    good = settings.PKI_PORTAL_MASTER_KEYS
    settings.PKI_PORTAL_MASTER_KEYS = ""
    settings.PKI_PORTAL_MASTER_KEYS_FILE = settings.PKI_PORTAL_VAR / "no-such-file"
    forget_keyring()
    forget_keys()

    work_at(moment)

    row = AutoRenewal.objects.get(pk=certificate.pk)
    assert row.due_at is not None
    assert moment < row.due_at <= moment + timedelta(seconds=7)
    assert row.attempts == 1
    assert "aster key" in row.last_error
    settings.PKI_PORTAL_MASTER_KEYS = good
    forget_keyring()
    work_at(row.due_at)
    assert head(certificate)


def test_the_last_tries_come_before_the_end(profile: CertificateProfile, settings: Settings) -> None:
    certificate = issue(profile, ttl=timedelta(minutes=30))
    AutoRenewal.objects.filter(pk=certificate.pk).update(attempts=12)
    settings.PKI_PORTAL_MASTER_KEYS = ""
    settings.PKI_PORTAL_MASTER_KEYS_FILE = settings.PKI_PORTAL_VAR / "no-such-file"
    forget_keyring()
    forget_keys()
    moment = certificate.not_after - timedelta(minutes=4)

    work_at(moment)

    again = due_at(certificate)
    assert again == moment + timedelta(minutes=2)


def test_what_was_set_by_hand_goes_on_in_the_successors(profile: CertificateProfile) -> None:
    chosen = configure_renewal(certificate=issue(profile), requester=SYSTEM, renew_before_days=20)
    usual = issue(profile)
    update_profile(requester=SYSTEM, profile=profile, changes={"api": {"auto_renew": True, "renew_before_days": 3}})

    after_chosen = renew_certificate(certificate=chosen, requester=SYSTEM).certificate
    after_usual = renew_certificate(certificate=usual, requester=SYSTEM).certificate

    assert (after_chosen.renew_before_days, after_chosen.has_own_renewal) == (20, True)
    assert (after_usual.renew_before_days, after_usual.has_own_renewal) == (3, False)


def test_one_that_was_switched_off_stays_off_in_its_successor(profile: CertificateProfile) -> None:
    off = configure_renewal(certificate=issue(profile), requester=SYSTEM, renew_before_days=None)

    new = renew_certificate(certificate=off, requester=SYSTEM).certificate

    assert (new.renew_before_days, new.renew_at) == (None, None)
    assert not AutoRenewal.objects.filter(pk=new.pk).exists()


def test_what_was_issued_together_comes_back_spread() -> None:
    begin = timezone.now()
    moments = {spread(begin, not_after=begin + timedelta(days=7)) for _ in range(200)}

    assert min(moments) >= begin
    assert max(moments) <= begin + timedelta(days=0.7)
    assert max(moments) - min(moments) > timedelta(days=0.3)


# --- Many at once -----------------------------------------------------------------------------------------------------


def test_many_are_renewed_by_as_many_queries_as_few(profile: CertificateProfile) -> None:
    few = [issue(profile) for _ in range(2)]
    moment = max(map(due_at, few))
    with CaptureQueriesContext(connection) as for_few:
        assert work_at(moment) == 2
    many = [issue(profile) for _ in range(20)]
    moment = max(map(due_at, many))
    with CaptureQueriesContext(connection) as for_many:
        assert work_at(moment) == 20

    assert [secret_of(head(each)) is not None for each in (*few, *many)] == [True] * 22
    assert not any(is_due_again(each) for each in (*few, *many))
    # On SQLite rows are inserted by one statement each, which Django counts by the run; both begin with a warm memory.
    assert len(for_many) <= len(for_few)


def test_one_that_rules_refuse_keeps_no_other_waiting(profile: CertificateProfile) -> None:
    strict = make_issuing_profile(profile.project, slug="strict")
    refused, renewed = issue(strict), issue(profile)
    update_template(requester=SYSTEM, template=strict.template, changes={"validity": {"max": "30d"}})
    moment = max(due_at(refused), due_at(renewed))

    assert work_at(moment) == 2

    assert head(renewed)
    assert not Certificate.objects.filter(renewed_from=refused).exists()
    refused.refresh_from_db()
    assert "30d" in refused.renewal_error
    assert due_at(refused) == moment + timedelta(days=1)
    row = AutoRenewal.objects.get(pk=refused.pk)
    assert (row.lease, row.attempts) == (None, 0)
    assert AuditEvent.objects.filter(event="automated-renew-certificate", outcome="refused").count() == 1


def test_what_cannot_be_done_at_once_is_done_one_by_one(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = [issue(profile) for _ in range(3)]
    lock = lock_predecessors

    def overtaken(successions: Any, *, now: datetime) -> None:
        if len(successions) > 1:
            raise Conflict("One of them was renewed in this moment.", retry_after=1)
        lock(successions, now=now)

    monkeypatch.setattr(issuance, "lock_predecessors", overtaken)
    assert work_at(max(map(due_at, certificates))) == 3

    assert len({head(each).pk for each in certificates}) == 3


def test_what_a_batch_has_no_time_for_is_done_one_by_one(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = [issue(profile) for _ in range(3)]
    monkeypatch.setattr(issuance, "BATCH_SECONDS", -1)

    assert work_at(max(map(due_at, certificates))) == 3

    assert len({head(each).pk for each in certificates}) == 3
    assert not Certificate.objects.exclude(renewal_error="").exists()


def test_what_was_tried_before_is_tried_by_itself(profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates = [issue(profile) for _ in range(3)]
    AutoRenewal.objects.filter(pk=certificates[0].pk).update(attempts=1)
    together: list[int] = []
    issue_all = issuance.issue_certificates

    def watched(**arguments: Any) -> Any:
        together.append(len(arguments["items"]))
        return issue_all(**arguments)

    monkeypatch.setattr(auto_renewal, "issue_certificates", watched)
    assert work_at(max(map(due_at, certificates))) == 3

    assert together == [2]
    assert len({head(each).pk for each in certificates}) == 3
