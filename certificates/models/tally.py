"""How many certificates and requests there are."""

import uuid

from django.db import models

NO_PROFILE = uuid.UUID(int=0)


class TallyKind(models.TextChoices):
    """What is counted; the first two are sources of certificates."""

    ISSUED = "issued", "Certificates issued here"
    IMPORTED = "imported", "Imported certificates"
    # An issued one is counted by its certificate, until that is deleted.
    REQUEST = "request", "Requests without a certificate"


class Tally(models.Model):
    """A part of the number of rows that have these five things in common: the sum over the slots is the number.

    Triggers count (``certificates.tallies``), in the transaction of the change; nobody else writes here. Transactions
    that run at once take different slots, so that none waits for another.
    """

    pk = models.CompositePrimaryKey("project_id", "kind", "profile_id", "status", "last_day", "slot")
    project_id = models.UUIDField()
    kind = models.CharField(max_length=16, choices=TallyKind.choices)
    # NO_PROFILE where there is none, or none any more.
    profile_id = models.UUIDField()
    status = models.CharField(max_length=16)
    # The day in UTC on which the certificates end; the first of 1970 for requests.
    last_day = models.DateField()
    slot = models.PositiveSmallIntegerField()
    count = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "tallies"

    def __str__(self) -> str:
        return f"{self.count} {self.kind} of {self.project_id}"
