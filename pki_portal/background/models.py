"""What the database holds of background work."""

from datetime import datetime
from typing import ClassVar

from django.db import models


class DueRow(models.Model):
    """The columns that a row needs to be worked on when its time comes; ``pki_portal.background.work`` alone writes
    them, except that whoever makes or wakes a row sets ``due_at``.

    ``due_at`` is when there is something to do, None when there is not. A worker holds the row under ``lease`` until
    ``leased_until``; then it counts as dead and the row is anybody's. ``attempts`` counts how often it was taken since
    it last succeeded. ``gave_up_at`` tells that nobody will try again by itself, ``last_error`` why.
    """

    due_at = models.DateTimeField(null=True, blank=True)
    lease = models.UUIDField(null=True, blank=True, editable=False)
    leased_until = models.DateTimeField(null=True, blank=True, editable=False)
    attempts = models.PositiveIntegerField(default=0, editable=False)
    last_error = models.TextField(blank=True, default="", editable=False)
    gave_up_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True
        indexes: ClassVar[tuple[models.Index, ...]] = (
            models.Index(fields=("due_at",), condition=models.Q(due_at__isnull=False), name="%(class)s_due"),
            models.Index(fields=("lease",), condition=models.Q(lease__isnull=False), name="%(class)s_lease"),
        )


class ScheduledJob(DueRow):
    """One job that comes round by the clock; its row is made by the first worker that knows it."""

    name = models.CharField(max_length=64, primary_key=True)
    last_started_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_finished_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_succeeded_at = models.DateTimeField(null=True, blank=True, editable=False)
    runs = models.PositiveBigIntegerField(default=0, editable=False)
    failures = models.PositiveBigIntegerField(default=0, editable=False)

    class Meta(DueRow.Meta):
        abstract = False
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Measurement(models.Model):
    """A number that costs too much to be asked for at every look: a job keeps it up to date."""

    name = models.CharField(max_length=100)
    label = models.CharField(max_length=100, blank=True, default="")
    value = models.FloatField()
    measured_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("name", "label"), name="measurement_once"),)

    def __str__(self) -> str:
        return f"{self.name} {self.label}"

    @classmethod
    def keep(cls, *, name: str, label: str, value: float, now: datetime) -> None:
        """Store it in the place of the last one."""
        cls.objects.update_or_create(name=name, label=label, defaults={"value": value, "measured_at": now})
