"""Versions: what a template or a profile said, kept for ever."""

import uuid
from typing import Any, ClassVar, NoReturn

from django.db import models
from django.utils import timezone

from pki_portal.access.models import Project


class ImmutableError(RuntimeError):
    """Code tried to change or delete a version; that is a fault in the code, never a client's."""

    def __init__(self) -> None:
        super().__init__("Versions are written once: they are neither changed nor deleted.")


class VersionQuerySet(models.QuerySet[Any]):
    """Reads and inserts only; every bulk change is an :class:`ImmutableError`."""

    def update(self, **_changes: Any) -> NoReturn:
        """Refuse."""
        raise ImmutableError

    def delete(self) -> NoReturn:
        """Refuse."""
        raise ImmutableError

    def bulk_update(self, *_args: Any, **_options: Any) -> NoReturn:
        """Refuse."""
        raise ImmutableError

    def update_or_create(self, *_args: Any, **_values: Any) -> NoReturn:
        """Refuse."""
        raise ImmutableError


class Version(models.Model):
    """One state of a template or a profile as a whole, numbered from 1, with who brought it about and when.

    What it belongs to is kept as a plain id and a name, not as a foreign key: a version that judged a certificate
    outlives its template and profile, and stays findable by their ids.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    number = models.PositiveIntegerField()
    # The template's name or the profile's slug at that time.
    name = models.CharField(max_length=255)
    document = models.JSONField()
    author_kind = models.CharField(max_length=16)
    author_id = models.CharField(max_length=64, blank=True)
    author_name = models.CharField(max_length=255)
    created_at = models.DateTimeField(default=timezone.now)

    objects: ClassVar[models.Manager[Any]] = VersionQuerySet.as_manager()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.name} version {self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert; saving a row that already exists is an :class:`ImmutableError`."""
        if not self._state.adding:
            raise ImmutableError
        kwargs["force_insert"] = True
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse."""
        raise ImmutableError


class TemplateVersion(Version):
    """``document`` is that of :meth:`CertificateTemplate.document`."""

    template_id = models.UUIDField()

    class Meta:
        ordering = ("template_id", "-number")
        constraints = (
            models.UniqueConstraint(fields=("template_id", "number"), name="template_version_number_unique"),
            models.CheckConstraint(condition=models.Q(number__gte=1), name="template_version_from_1"),
        )


class ProfileVersion(Version):
    """``document`` is that of :meth:`CertificateProfile.document`."""

    profile_id = models.UUIDField()

    class Meta:
        ordering = ("profile_id", "-number")
        constraints = (
            models.UniqueConstraint(fields=("profile_id", "number"), name="profile_version_number_unique"),
            models.CheckConstraint(condition=models.Q(number__gte=1), name="profile_version_from_1"),
        )
