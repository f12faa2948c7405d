"""The append-only table of acts and refusals. It knows no other app: whoever acted is stored as plain values."""

from typing import Any, ClassVar, NoReturn

from django.db import models


class AppendOnlyError(RuntimeError):
    """Code tried to change or delete what was recorded; that is a fault in the code, never a client's."""

    def __init__(self) -> None:
        super().__init__("Audit events are written once: they are neither changed nor deleted.")


class Outcome(models.TextChoices):
    """Whether the act was done or turned down."""

    DONE = "done", "done"
    REFUSED = "refused", "refused"


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    """Reads only; every bulk change is an :class:`AppendOnlyError`."""

    def update(self, **_changes: Any) -> NoReturn:
        """Refuse."""
        raise AppendOnlyError

    def delete(self) -> NoReturn:
        """Refuse."""
        raise AppendOnlyError

    def bulk_update(self, *_args: Any, **_options: Any) -> NoReturn:
        """Refuse."""
        raise AppendOnlyError

    def update_or_create(self, *_args: Any, **_values: Any) -> NoReturn:
        """Refuse."""
        raise AppendOnlyError


class AuditEvent(models.Model):
    """One act or refusal. ``id`` is a sequence: it may have gaps, and a later id may be committed before an earlier
    one.

    ``chain_position`` and ``chain_hash`` are filled once by the sealer, after the commit, so that writers never wait
    for each other.
    """

    id = models.BigAutoField(primary_key=True)
    occurred_at = models.DateTimeField()
    event = models.CharField(max_length=100)
    outcome = models.CharField(max_length=16, choices=Outcome, default=Outcome.DONE)
    actor_kind = models.CharField(max_length=16)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_name = models.CharField(max_length=255, blank=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    project_id = models.UUIDField(null=True, blank=True)
    subject_type = models.CharField(max_length=64)
    subject_id = models.CharField(max_length=255, blank=True)
    data = models.JSONField(default=dict, blank=True)
    chain_position = models.PositiveBigIntegerField(null=True, blank=True, editable=False, unique=True)
    chain_hash = models.BinaryField(max_length=32, null=True, blank=True, editable=False)

    objects: ClassVar[models.Manager["AuditEvent"]] = AuditEventQuerySet.as_manager()

    class Meta:
        """Newest first; the two indexes serve the log of a project and the history of one object."""

        ordering = ("-id",)
        verbose_name = "audit event"
        indexes = (
            models.Index(fields=("project_id", "-id"), name="audit_event_of_project"),
            models.Index(fields=("subject_type", "subject_id", "-id"), name="audit_event_of_subject"),
        )
        constraints = (
            models.CheckConstraint(condition=models.Q(outcome__in=Outcome.values), name="audit_event_outcome_known"),
        )

    def __str__(self) -> str:
        """Name the act and its outcome."""
        return f"{self.event} ({self.outcome})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert; saving a row that already exists is an :class:`AppendOnlyError`."""
        if not self._state.adding:
            raise AppendOnlyError
        kwargs["force_insert"] = True
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse."""
        raise AppendOnlyError
