"""What Prometheus is told of background work."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Max
from django.utils import timezone
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from pki_portal.background.models import Measurement, ScheduledJob
from pki_portal.background.tasks import count_hints
from pki_portal.background.work import registered_works
from pki_portal.metrics import register_gauges


def work_gauges() -> Iterator[Metric]:
    """Rows that wait, one indexed count for each kind of work, and the queue of hints."""
    now = timezone.now()
    due = GaugeMetricFamily("pki_background_due_rows", "Rows that are due and in nobody's hands.", labels=["work"])
    for work in registered_works():
        due.add_metric([work.name], work.due(now).order_by().count())
    yield due
    waiting = count_hints()
    if waiting is not None:
        yield GaugeMetricFamily("pki_background_queue_depth", "Hints that wait in the queue.", waiting)


def job_gauges() -> Iterator[Metric]:
    """How each scheduled job fared."""
    success = GaugeMetricFamily(
        "pki_job_last_success_timestamp_seconds", "When the job last succeeded.", labels=["job"]
    )
    runs = CounterMetricFamily("pki_job_runs", "How often the job ran.", labels=["job"])
    failures = CounterMetricFamily("pki_job_failures", "How often the job failed.", labels=["job"])
    for row in ScheduledJob.objects.all():
        if row.last_succeeded_at is not None:
            success.add_metric([row.name], row.last_succeeded_at.timestamp())
        runs.add_metric([row.name], row.runs)
        failures.add_metric([row.name], row.failures)
    yield from (success, runs, failures)


def measured(name: str, help_text: str, label: str) -> Metric:
    """What a job measured under ``name``, by its one label; empty before its first run."""
    family = GaugeMetricFamily(name, help_text, labels=[label])
    for value_of_label, value in Measurement.objects.filter(name=name).values_list("label", "value"):
        family.add_metric([value_of_label], value)
    return family


def last_worker_sign() -> datetime | None:
    """When a worker last finished a scheduled job, whatever came of it; None if none ever has."""
    last: datetime | None = ScheduledJob.objects.aggregate(last=Max("last_finished_at"))["last"]
    return last


def register_all() -> None:
    """Called once, when Django is ready."""
    register_gauges(work_gauges)
    register_gauges(job_gauges)
