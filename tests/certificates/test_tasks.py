"""Jobs of the certificates: CRLs in time, and nothing kept longer than it should."""

from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from cryptography import x509
from django.utils import timezone

from certificates import tasks
from certificates.models import CertificateRevocationList, IdempotencyRecord
from certificates.services.crl import CRL_LIFE, RENEWED_AFTER
from pki_portal.background.schedule import registered_jobs
from pki_portal.errors import Unavailable
from tests.factories import make_authority, make_project

pytestmark = pytest.mark.django_db


def test_crls_are_renewed_at_three_quarters_of_their_life_and_not_before() -> None:
    make_authority(make_project())
    crl = CertificateRevocationList.objects.get()
    assert crl.number is not None
    now = timezone.now()
    with time_machine.travel(now + CRL_LIFE * RENEWED_AFTER - timedelta(minutes=1)):
        tasks.renew_crls(timezone.now())
    assert CertificateRevocationList.objects.get().number == crl.number
    with time_machine.travel(now + CRL_LIFE * RENEWED_AFTER + timedelta(minutes=1)):
        tasks.renew_crls(timezone.now())
        tasks.renew_crls(timezone.now())
    renewed = CertificateRevocationList.objects.get()
    assert renewed.number is not None
    assert renewed.number > crl.number
    assert renewed.der is not None
    assert x509.load_der_x509_crl(bytes(renewed.der)).next_update_utc == renewed.next_update


def test_a_crl_that_cannot_be_signed_is_told_and_keeps_no_other_waiting() -> None:
    project = make_project()
    broken, whole = make_authority(project), make_authority(project)
    broken.keys.update(sealed_private_key=b"\x01")
    before = dict(CertificateRevocationList.objects.values_list("key__authority", "number"))
    with time_machine.travel(timezone.now() + CRL_LIFE * 0.9), pytest.raises(Unavailable, match="1 CRLs"):
        tasks.renew_crls(timezone.now())
    after = dict(CertificateRevocationList.objects.values_list("key__authority", "number"))
    assert after[broken.pk] == before[broken.pk]
    assert (after[whole.pk] or 0) > (before[whole.pk] or 0)


def test_idempotency_records_are_deleted_after_24_hours() -> None:
    now = timezone.now()
    for age in (timedelta(hours=25), timedelta(hours=23)):
        record = IdempotencyRecord.objects.create(
            requester_kind="user", requester_id="1", key_digest=str(age), body_digest="", claim=uuid4(), claimed_at=now
        )
        IdempotencyRecord.objects.filter(pk=record.pk).update(created_at=now - age)
    tasks.delete_idempotency_records(now)
    assert list(IdempotencyRecord.objects.values_list("key_digest", flat=True)) == [str(timedelta(hours=23))]


def test_the_worker_knows_every_job() -> None:
    assert {job.name for job in registered_jobs()} >= {
        "renew-crls",
        "delete-idempotency-records",
        "delete-access-tokens",
        "delete-login-failures",
        "clear-sessions",
        "delete-task-results",
    }
