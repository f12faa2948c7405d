"""Certificates as people look at them: with a state that the clock has a say in."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from certificates.models import Certificate
from certificates.models.certificate import CertificateStatus, RevocationReason

EXPIRING_WITHIN = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class CertificateLine:
    """A certificate and the state it is in at one instant; ``issuer`` by name, where no CA here issued it."""

    certificate: Certificate
    status: str
    issuer: str = ""

    @property
    def name(self) -> str:
        """What to call it: its common name, else its first alternative name, else its serial number."""
        names = [name["value"] for name in self.certificate.subject_alternative_names]
        return self.certificate.common_name or (names[0] if names else self.certificate.serial_number)

    @property
    def other_names(self) -> list[str]:
        """The alternative names that ``name`` does not already say."""
        values = [name["value"] for name in self.certificate.subject_alternative_names]
        return [value for value in values if value != self.name]


def line_of(certificate: Certificate, now: datetime) -> CertificateLine:
    """``revoked``, ``on-hold``, ``expired``, ``expiring`` (within 30 days) or ``active``."""
    if certificate.status == CertificateStatus.REVOKED:
        is_held = certificate.revocation_reason == RevocationReason.CERTIFICATE_HOLD
        return CertificateLine(certificate, "on-hold" if is_held else "revoked")
    left = certificate.not_after - now
    if left <= timedelta():
        return CertificateLine(certificate, "expired")
    return CertificateLine(certificate, "expiring" if left <= EXPIRING_WITHIN else "active")


def expiring_soon(certificates: QuerySet[Certificate], now: datetime) -> QuerySet[Certificate]:
    """Valid ones that end within 30 days and were not renewed, the next to end first."""
    return certificates.filter(
        Q(status=CertificateStatus.ACTIVE, not_after__gt=now, not_after__lte=now + EXPIRING_WITHIN),
        renewed_by__isnull=True,
    ).order_by("not_after", "id")
