"""When a certificate is due: decisions on short lives and on thresholds."""

from datetime import UTC, datetime, timedelta

import pytest

from profiles.policy.renewal import RenewalSchedule, schedule_renewal

START = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("life", "threshold_days", "renew_before_days", "after"),
    [
        (timedelta(days=365), 7, 7, timedelta(days=358)),
        (timedelta(days=31), 30, 30, timedelta(days=1)),
        (timedelta(days=8), 7, 7, timedelta(days=1)),
        (timedelta(days=7), 7, 6, timedelta(days=7) * 2 // 3),
        (timedelta(days=3), 30, 2, timedelta(days=2)),
        (timedelta(hours=47), 1, 1, timedelta(hours=47) * 2 // 3),
        (timedelta(minutes=3), 7, 1, timedelta(minutes=2)),
    ],
)
def test_due_at_the_threshold_or_after_two_thirds_of_a_short_life(
    life: timedelta, threshold_days: int, renew_before_days: int, after: timedelta
) -> None:
    schedule = schedule_renewal(not_before=START, not_after=START + life, threshold_days=threshold_days)
    assert schedule == RenewalSchedule(renew_before_days=renew_before_days, renew_at=START + after)
