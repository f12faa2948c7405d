"""When a certificate is due for renewal, and what its renewal asks for."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from profiles.policy.request import IssuanceRequest

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RenewalSchedule:
    """``renew_at`` is an instant in UTC; ``renew_before_days`` the threshold that people see, at least 1."""

    renew_before_days: int
    renew_at: datetime


def schedule_renewal(*, not_before: datetime, not_after: datetime, threshold_days: int) -> RenewalSchedule:
    """Renewal ``threshold_days`` before the end.

    A life that is under two days, or no longer than the threshold, renews after two thirds of it.
    """
    life = not_after - not_before
    threshold = timedelta(days=threshold_days)
    if life < 2 * DAY or life <= threshold:
        return RenewalSchedule(
            renew_before_days=max(1, min(threshold_days, life.days - 1)), renew_at=not_before + life * 2 // 3
        )
    return RenewalSchedule(renew_before_days=threshold_days, renew_at=not_after - threshold)


def renewal_request(original: IssuanceRequest, *, life: timedelta) -> IssuanceRequest:
    """The request that a renewal sends down the road: what was asked once, for exactly the same life from then on.

    Where it is silent, what the old certificate says fills it, in the place of the profile's defaults.
    """
    return replace(original, ttl=life, not_before=None, not_after=None, ignored=())
