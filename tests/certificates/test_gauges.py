"""What Prometheus is told of certificates, CRLs and jobs."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from certificates.gauges import measure_expiring
from certificates.models import AutoRenewal, Certificate, CertificateRevocationList
from certificates.models.certificate import CertificateStatus, RevocationReason
from certificates.services.crl import CRL_LIFE
from pki_portal import metrics
from pki_portal.background.models import ScheduledJob
from pki_portal.background.work import do_row, work_on
from pki_portal.metrics import exposition
from tests.factories import make_project
from tests.pages import make_issued
from tests.pki_portal.test_metrics import counted
from tests.scenery import make_issuing_profile
from tests.wire import CERTIFICATES, make_client, make_pki, post_json

pytestmark = pytest.mark.django_db


def shown(sample: str, **labels: str) -> float | None:
    return counted(exposition().decode(), sample, **labels)


def test_age_and_remaining_life_of_each_crl() -> None:
    profile = make_issuing_profile(make_project())
    crl = CertificateRevocationList.objects.get()
    labels = {"ca": profile.certificate_authority.name, "key": str(crl.key_id)}  # type: ignore[union-attr]
    assert crl.this_update is not None
    with time_machine.travel(crl.this_update + timedelta(hours=1), tick=False):
        assert shown("pki_crl_age_seconds", **labels) == 3600
        assert shown("pki_crl_seconds_to_next_update", **labels) == CRL_LIFE.total_seconds() - 3600


def test_certificates_that_end_soon_are_counted_by_the_job() -> None:
    project = make_project()
    profile = make_issuing_profile(project)
    now = timezone.now()
    for number, days in enumerate((3, 20, 20, 90)):
        row = make_issued(profile, f"www{number}.example.com")
        Certificate.objects.filter(pk=row.pk).update(not_after=now + timedelta(days=days))
    gone = make_issued(profile, "gone.example.com")
    Certificate.objects.filter(pk=gone.pk).update(
        not_after=now + timedelta(days=3),
        status=CertificateStatus.REVOKED,
        revoked_at=now,
        revocation_reason=RevocationReason.UNSPECIFIED,
    )
    assert shown("pki_certificates_expiring", days="7") is None
    measure_expiring(now)
    measure_expiring(now)
    assert shown("pki_certificates_expiring", days="7") == 1
    assert shown("pki_certificates_expiring", days="30") == 3


def test_jobs_and_due_rows() -> None:
    now = timezone.now().replace(microsecond=0)
    ScheduledJob.objects.create(name="renew-crls", due_at=now, last_succeeded_at=now, runs=5, failures=2)
    assert shown("pki_job_last_success_timestamp_seconds", job="renew-crls") == now.timestamp()
    assert shown("pki_job_runs_total", job="renew-crls") == 5
    assert shown("pki_job_failures_total", job="renew-crls") == 2
    assert shown("pki_background_due_rows", work="scheduled-jobs") == 1
    assert shown("pki_background_queue_depth") == 0


def test_renewals_revocations_ocsp_and_background_work_are_timed() -> None:
    pki = make_pki()
    robot = make_client(pki.project)
    row = make_issued(pki.profile)
    names: tuple[tuple[str, dict[str, str]], ...] = (
        ("pki_request_seconds_count", {"operation": "renew", "status": "2xx"}),
        ("pki_request_seconds_count", {"operation": "revoke", "status": "4xx"}),
        ("pki_request_seconds_count", {"operation": "ocsp", "status": "2xx"}),
        ("pki_background_attempt_seconds_count", {"work": "renewals"}),
    )
    before = [shown(name, **labels) or 0 for name, labels in names]
    assert post_json(robot, f"{CERTIFICATES}/{row.pk}/renew", {}).status_code == 200
    assert post_json(robot, f"{CERTIFICATES}/{row.pk}/revoke", {}).status_code == 422
    assert (
        robot.post(
            f"/api/v1/cert-manager/ocsp/{pki.profile.certificate_authority_id}", b"x", "application/ocsp-request"
        ).status_code
        == 200
    )
    renewal = AutoRenewal.objects.filter(due_at__isnull=False).get()
    AutoRenewal.objects.filter(pk=renewal.pk).update(due_at=timezone.now())
    do_row(work_on(AutoRenewal), renewal.pk)
    assert [(shown(name, **labels) or 0) - was for (name, labels), was in zip(names, before, strict=True)] == [1] * 4


def test_issues_refusals_and_their_time_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    # Tests before this one may have used up the projects that a process names.
    monkeypatch.setattr(metrics, "_seen", {})
    pki = make_pki()
    robot = make_client(pki.project)
    body = {"profileId": str(pki.profile.pk), "attributes": {"commonName": "www.example.com", "ttl": "30d"}}

    def figures() -> list[float]:
        names = (
            ("pki_certificates_issued_total", {"project": str(pki.project.pk)}),
            ("pki_issuances_refused_total", {"code": "ttl_too_long"}),
            ("pki_issue_request_seconds_count", {"status": "2xx"}),
            ("pki_issue_request_seconds_count", {"status": "4xx"}),
        )
        return [shown(name, **labels) or 0 for name, labels in names]

    before = figures()
    assert post_json(robot, CERTIFICATES, body).status_code == 200
    refused = post_json(robot, CERTIFICATES, {**body, "attributes": body["attributes"] | {"ttl": "9000d"}})  # type: ignore[operator]
    assert "ttl_too_long" in {detail["code"] for detail in refused.json()["details"]}
    assert [after - was for after, was in zip(figures(), before, strict=True)] == [1, 1, 1, 1]
