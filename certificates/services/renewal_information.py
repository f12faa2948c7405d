"""When a certificate should be renewed, for programs that do it themselves; the idea of RFC 9773."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from certificates.models import Certificate
from certificates.models.certificate import CertificateStatus
from certificates.services.incidents import open_incident_of
from certificates.services.succession import successor_id
from profiles.models import ApiEnrollment
from profiles.policy.renewal import RenewalWindow, renewal_window, schedule_renewal

LONGEST_WAIT: Final = timedelta(hours=6)
SHORTEST_WAIT: Final = timedelta(seconds=10)


class WindowReason(StrEnum):
    """Why the window is where it is."""

    SCHEDULED = "scheduled"
    INCIDENT = "incident"
    REVOKED = "revoked"
    ENDED = "ended"
    RENEWED = "renewed"


@dataclass(frozen=True, slots=True)
class RenewalInformation:
    """A client picks a moment within the window by chance, and renews at once when that is past.

    Attributes:
        explanation: a sentence for people.
        retry_after: when to ask again.
    """

    certificate: Certificate
    window: RenewalWindow
    reason: WindowReason
    explanation: str
    retry_after: timedelta
    successor_id: UUID | None


def renewal_information(certificate: Certificate, *, now: datetime) -> RenewalInformation:
    """When to renew, by the state of the certificate at ``now``; at most three queries."""
    successor = successor_id(certificate.pk)
    window, reason, explanation = _window(certificate, successor, now)
    # A twentieth of a life is soon enough for what changes meanwhile.
    life = certificate.not_after - certificate.not_before
    wait = max(SHORTEST_WAIT, min(LONGEST_WAIT, life / 20))
    return RenewalInformation(certificate, window, reason, explanation, wait, successor)


def _window(certificate: Certificate, successor: UUID | None, now: datetime) -> tuple[RenewalWindow, WindowReason, str]:
    scheduled, told = _scheduled(certificate)
    if successor is not None:
        return scheduled, WindowReason.RENEWED, f"It was renewed: use certificate {successor}."
    if certificate.status == CertificateStatus.REVOKED and certificate.revoked_at is not None:
        return _now(certificate.revoked_at, now), WindowReason.REVOKED, "It is revoked: replace it now."
    if certificate.not_after <= now:
        return _now(certificate.not_after, now), WindowReason.ENDED, "It has ended: replace it now."
    member = open_incident_of(certificate)
    if member is not None and member.replace_at < scheduled.start:
        begin = member.incident.declared_at
        window = RenewalWindow(begin, max(member.replace_at, begin + timedelta(seconds=1)))
        return window, WindowReason.INCIDENT, f"Replace it now: {member.incident.reason}"
    return scheduled, WindowReason.SCHEDULED, told


def _scheduled(certificate: Certificate) -> tuple[RenewalWindow, str]:
    """By its own day, else by its profile's threshold, else after two thirds of its life."""
    renew_at, not_after = certificate.renew_at, certificate.not_after
    if renew_at is not None:
        return renewal_window(renew_at, not_after=not_after), "The portal renews it by itself: fetch what follows it."
    enrollment = (
        ApiEnrollment.objects.filter(profile=certificate.profile_id).first() if certificate.profile_id else None
    )
    days = enrollment.renew_before_days if enrollment else None
    if days is not None:
        at = schedule_renewal(not_before=certificate.not_before, not_after=not_after, threshold_days=days).renew_at
        return renewal_window(at, not_after=not_after), "By the threshold of its profile."
    at = certificate.not_before + (not_after - certificate.not_before) * 2 / 3
    return renewal_window(at, not_after=not_after), "After two thirds of its life."


def _now(since: datetime, now: datetime) -> RenewalWindow:
    return RenewalWindow(since, max(now, since + timedelta(seconds=1)))
