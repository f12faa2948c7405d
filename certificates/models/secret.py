"""Private keys of certificates that the portal keeps."""

import uuid
from datetime import datetime, timedelta

from django.db import models

from certificates.models.certificate import Certificate
from profiles.policy.vocabulary import KeyRetention

# A key that nobody claims is destroyed after this, or when its certificate ends.
CLAIM_WINDOW = timedelta(days=7)


def secret_retentions() -> list[tuple[str, str]]:
    return [(KeyRetention.ONCE, "Until its one claim"), (KeyRetention.ESCROW, "Until it is destroyed")]


class CertificateSecret(models.Model):
    """The private key of one certificate, as sealed bytes that are bound to this row's id.

    ``escrow``: readable again and again; ``once``: read by one claim, which destroys it. Destroying empties the sealed
    bytes and leaves the row, which says when and who; the names are for people, the audit log has the ids.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    certificate = models.OneToOneField(Certificate, on_delete=models.CASCADE, related_name="secret")
    retention = models.CharField(max_length=16, choices=secret_retentions)
    sealed_private_key = models.BinaryField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    claimed_by = models.CharField(max_length=255, blank=True, default="")
    destroyed_at = models.DateTimeField(null=True, blank=True)
    destroyed_by = models.CharField(max_length=255, blank=True, default="")

    class Meta:
        indexes = (
            # Rows stay when their key is destroyed: these are the few of which somebody could still get one.
            models.Index(
                fields=("retention", "created_at"),
                condition=models.Q(destroyed_at__isnull=True),
                name="secret_not_destroyed",
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=models.Q(sealed_private_key__isnull=True, destroyed_at__isnull=False)
                | models.Q(sealed_private_key__isnull=False, destroyed_at__isnull=True),
                name="secret_sealed_until_destroyed",
            ),
            models.CheckConstraint(
                condition=models.Q(claimed_at__isnull=True)
                | models.Q(retention=KeyRetention.ONCE, destroyed_at__isnull=False),
                name="secret_claim_destroys",
            ),
        )

    def __str__(self) -> str:
        return f"private key of certificate {self.certificate_id}"

    @property
    def is_waiting(self) -> bool:
        """Whether its one claim is still to come."""
        return self.retention == KeyRetention.ONCE and self.destroyed_at is None

    @property
    def claim_ends_at(self) -> datetime:
        """When a key that waits for its claim is destroyed."""
        return min(self.created_at + CLAIM_WINDOW, self.certificate.not_after)
