"""One row of settings per profile for the method that it enrolls by."""

import uuid

from django.db import models

from profiles.models.profile import CertificateProfile


class ApiEnrollment(models.Model):
    """Enrollment by web page or API call."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    profile = models.OneToOneField(CertificateProfile, on_delete=models.CASCADE, related_name="api_enrollment")
    auto_renew = models.BooleanField(default=False)
    renew_before_days = models.PositiveSmallIntegerField(null=True, blank=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(renew_before_days__isnull=True)
                | models.Q(renew_before_days__gte=1, renew_before_days__lte=30),
                name="renew_before_days_between_1_and_30",
            ),
        )

    def __str__(self) -> str:
        return f"API enrollment of {self.profile_id}"


class EstEnrollment(models.Model):
    """Enrollment over Secure Transport (RFC 7030); the pass phrase is kept as a password hash."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    profile = models.OneToOneField(CertificateProfile, on_delete=models.CASCADE, related_name="est_enrollment")
    disable_bootstrap_ca_validation = models.BooleanField(default=False)
    passphrase_hash = models.CharField(max_length=255)
    ca_chain = models.TextField(blank=True, default="")

    def __str__(self) -> str:
        return f"EST enrollment of {self.profile_id}"


class AcmeEnrollment(models.Model):
    """Automatic Certificate Management Environment (RFC 8555)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    profile = models.OneToOneField(CertificateProfile, on_delete=models.CASCADE, related_name="acme_enrollment")
    skip_dns_ownership_verification = models.BooleanField(default=False)
    skip_eab_binding = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"ACME enrollment of {self.profile_id}"
