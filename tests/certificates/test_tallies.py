"""What triggers count is what there is, whatever happened to the rows."""

import itertools
import threading
from datetime import timedelta

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.utils import timezone

from certificates.models import Certificate, CertificateRequest, Tally
from certificates.models.certificate import CertificateSource, RevocationReason
from certificates.models.request import RequestStatus
from certificates.querysets import (
    CertificateFilters,
    RequestFilters,
    StatusFilter,
    certificates_visible_to,
    narrowed,
    narrowed_requests,
    requests_visible_to,
)
from certificates.services.deletion import delete_certificate
from certificates.services.revocation import release_hold, revoke_certificate
from certificates.tallies import count_by_status, count_certificates, count_requests, make_tallies
from pki_portal.errors import PortalError
from profiles.models import CertificateProfile
from tests.factories import SYSTEM, make_project
from tests.pages import make_issued
from tests.scenery import make_issuing_profile


@pytest.fixture
def profile(db: None) -> CertificateProfile:
    return make_issuing_profile(make_project())


def assert_counted(profile: CertificateProfile) -> None:
    """Every combination of what is counted, against the rows."""
    project, now = profile.project, timezone.now()
    for status, source, profiles in itertools.product(
        (None, *StatusFilter), (None, *CertificateSource), ((), (profile.pk,))
    ):
        filters = CertificateFilters(status=status, source=source, profile_ids=profiles)
        found = narrowed(certificates_visible_to(SYSTEM, project), filters, now=now).count()
        assert count_certificates(project_id=project.pk, filters=filters, now=now) == found, filters
    for state, profiles in itertools.product((None, *RequestStatus), ((), (profile.pk,))):
        asked = RequestFilters(status=state, profile_ids=profiles)
        found = narrowed_requests(requests_visible_to(SYSTEM, project), asked).count()
        assert count_requests(project_id=project.pk, filters=asked) == found, asked


def end(certificate: Certificate, after: timedelta) -> None:
    """As if it ended so long after now."""
    now = timezone.now()
    Certificate.objects.filter(pk=certificate.pk).update(not_before=now - timedelta(days=90), not_after=now + after)


def test_counts_are_those_of_the_rows_whatever_happens_to_them(profile: CertificateProfile) -> None:
    assert_counted(profile)
    held, gone, ended, today = (make_issued(profile, f"{number}.acme.com") for number in range(4))
    assert_counted(profile)

    revoke_certificate(requester=SYSTEM, certificate=held, reason=RevocationReason.CERTIFICATE_HOLD)
    revoke_certificate(requester=SYSTEM, certificate=gone, reason=RevocationReason.SUPERSEDED)
    assert_counted(profile)
    release_hold(requester=SYSTEM, certificate=held)
    gone.refresh_from_db()
    delete_certificate(requester=SYSTEM, certificate=gone)
    assert_counted(profile)
    end(ended, timedelta(days=-3))
    end(today, timedelta(seconds=-1))
    assert_counted(profile)
    with pytest.raises(PortalError):
        make_issued(profile, "not a name")
    assert CertificateRequest.objects.filter(status=RequestStatus.FAILED).exists()
    assert_counted(profile)
    Certificate.objects.update(profile=None)
    CertificateRequest.objects.update(profile=None)
    assert_counted(profile)

    counts = count_by_status(project_id=profile.project_id, now=timezone.now())
    assert (counts.active, counts.expired, counts.revoked) == (1, 2, 0)


def test_what_is_rolled_back_was_not_counted(profile: CertificateProfile) -> None:
    with transaction.atomic():
        make_issued(profile)
        transaction.set_rollback(True)

    assert_counted(profile)


def test_everything_is_counted_where_a_trigger_was_lost(profile: CertificateProfile) -> None:
    make_issued(profile)
    Tally.objects.all().delete()
    config = apps.get_app_config("certificates")
    make_tallies(using="default", app_config=config)
    assert not Tally.objects.exists(), "nothing was missing"

    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("DROP TRIGGER tallied_certificates_certificate_insert_new")
        else:
            cursor.execute("DROP TRIGGER tallied_insert ON certificates_certificate")
    make_tallies(using="default", app_config=config)

    assert_counted(profile)
    make_issued(profile)
    assert_counted(profile)


@pytest.mark.postgresql  # SQLite has one writer at a time
@pytest.mark.django_db(transaction=True)
def test_transactions_that_issue_at_once_do_not_wait_for_each_other() -> None:
    profile = make_issuing_profile(make_project())
    issued: list[Certificate] = []

    def issue() -> None:
        try:
            issued.append(make_issued(profile))
        finally:
            connection.close()

    with transaction.atomic():
        make_issued(profile)
        beside = threading.Thread(target=issue)
        beside.start()
        beside.join(30)
        assert issued, "the other waited"
    assert Tally.objects.order_by().values("slot").distinct().count() == 2
    assert_counted(profile)
