"""What is published about revocation."""

import uuid

from django.db import models

from certificates.models.authority import AuthorityKey


class CertificateRevocationList(models.Model):
    """The current CRL of one CA key (RFC 5280, 5); ``id`` is in the URL that certificates carry: it never changes."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.OneToOneField(AuthorityKey, on_delete=models.CASCADE, related_name="revocation_list")
    # None only between the CA's making and its first certificate, when there is no issuer name to sign with.
    number = models.PositiveBigIntegerField(null=True, blank=True)
    der = models.BinaryField(null=True, blank=True)
    this_update = models.DateTimeField(null=True, blank=True)
    next_update = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(
                    number__isnull=True, der__isnull=True, this_update__isnull=True, next_update__isnull=True
                )
                | models.Q(
                    number__isnull=False, der__isnull=False, this_update__isnull=False, next_update__isnull=False
                ),
                name="crl_complete_or_not_yet_made",
            ),
        )

    def __str__(self) -> str:
        return f"CRL {self.id}"
