"""What Prometheus is told of certificates and CRLs."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.utils import timezone
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from certificates.models import Certificate, CertificateRevocationList
from certificates.models.certificate import CertificateStatus
from certificates.services.rehearsal import coming, will_fail
from certificates.x509 import key_pool
from pki_portal.access.models import Project
from pki_portal.background.gauges import measured
from pki_portal.background.models import Measurement
from pki_portal.metrics import register_gauges

EXPIRING = "pki_certificates_expiring"
EXPIRING_DAYS = (7, 30)
RENEWALS = "pki_renewals"


def crl_gauges() -> Iterator[Metric]:
    """How old each CRL is and how long it lasts; one row for each CA key, none of the lists themselves."""
    now = timezone.now()
    age = GaugeMetricFamily("pki_crl_age_seconds", "Since the CRL was signed.", labels=["ca", "key"])
    left = GaugeMetricFamily(
        "pki_crl_seconds_to_next_update", "Until the CRL runs out; negative when it has.", labels=["ca", "key"]
    )
    published = CertificateRevocationList.objects.filter(der__isnull=False)
    rows = published.values_list("key__authority__name", "key_id", "this_update", "next_update")
    for name, key_id, this_update, next_update in rows:
        if this_update is not None and next_update is not None:
            age.add_metric([name, str(key_id)], (now - this_update).total_seconds())
            left.add_metric([name, str(key_id)], (next_update - now).total_seconds())
    yield from (age, left)


def expiring_gauge() -> Iterator[Metric]:
    """How many certificates end soon and have no successor, as the job last counted them."""
    yield measured(EXPIRING, "Certificates in force that end within so many days and were not renewed.", "days")


def measure_expiring(now: datetime) -> None:
    """Count the certificates that end soon, project by project: that is what the index is made for."""
    for days in EXPIRING_DAYS:
        ending = Certificate.objects.filter(
            status=CertificateStatus.ACTIVE,
            not_after__gt=now,
            not_after__lte=now + timedelta(days=days),
            renewed_by__isnull=True,
        )
        total = sum(ending.filter(project=project).count() for project in Project.objects.values_list("pk", flat=True))
        Measurement.keep(name=EXPIRING, label=str(days), value=total, now=now)


def renewals_gauge() -> Iterator[Metric]:
    """How the automatic renewals stand, as the job last counted them."""
    yield measured(
        RENEWALS,
        "Automatic renewals: due now, due within 45 days, refused at the last try, failing in the last rehearsal.",
        "state",
    )


def measure_renewals(now: datetime) -> None:
    """Count the renewals that are due, that failed and that will fail."""
    soon = coming(now)
    failed = Certificate.objects.filter(
        status=CertificateStatus.ACTIVE, not_after__gt=now, renewed_by__isnull=True
    ).exclude(renewal_error="")
    counts = {
        "due": soon.filter(due_at__lte=now).count(),
        "due_within_45_days": soon.count(),
        "failed": failed.count(),
        "will_fail": will_fail(soon).count(),
    }
    for state, value in counts.items():
        Measurement.keep(name=RENEWALS, label=state, value=value, now=now)


def key_pool_gauge() -> Iterator[Metric]:
    """How many keys lie ready on this machine; nothing where there is no pool."""
    pool = key_pool.opened()
    if pool is not None:
        depth = GaugeMetricFamily("pki_key_pool_depth", "Keys that lie ready.", labels=["algorithm"])
        for algorithm in key_pool.CAPACITY:
            depth.add_metric([algorithm], pool.depth(algorithm))
        yield depth


def register_all() -> None:
    """Called once, when Django is ready."""
    register_gauges(crl_gauges)
    register_gauges(expiring_gauge)
    register_gauges(renewals_gauge)
    register_gauges(key_pool_gauge)
