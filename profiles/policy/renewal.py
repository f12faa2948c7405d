"""When a certificate is due for renewal, and what its renewal asks for."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from profiles.policy.request import AttributeValue, IssuanceRequest
from profiles.policy.rules import ProfileDefaults
from profiles.policy.vocabulary import SubjectAttribute

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RenewalSchedule:
    """``renew_at`` is an instant in UTC; ``renew_before_days`` the threshold that people see, at least 1."""

    renew_before_days: int
    renew_at: datetime


@dataclass(frozen=True, slots=True)
class RenewalWindow:
    """From when to when to renew; the moment within is a matter of chance. Aware UTC, ``end`` later than ``start``."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class RenewalChanges:
    """What a renewal shall have differently from its predecessor; nothing by default.

    Attributes:
        subject: what stands in the place of all values of an attribute; nothing removes it.
        fields: other fields of IssuanceRequest by name, each as it shall be asked now; None asks for nothing.
    """

    subject: Mapping[SubjectAttribute, tuple[str, ...]] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)


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


def renewal_window(renew_at: datetime, *, not_after: datetime) -> RenewalWindow:
    """From ``renew_at`` on, for a tenth of what is left of the life then, and at most a day."""
    return RenewalWindow(renew_at, renew_at + min(DAY, (not_after - renew_at) / 10))


def renewal_request(original: IssuanceRequest, *, life: timedelta) -> IssuanceRequest:
    """The request that a renewal sends down the road: what was asked once, for exactly the same life from then on.

    Where it is silent, what the old certificate says fills it, in the place of the profile's defaults.
    """
    return replace(original, ttl=life, not_before=None, not_after=None, ignored=())


def changed(
    request: IssuanceRequest, granted: ProfileDefaults, changes: RenewalChanges
) -> tuple[IssuanceRequest, ProfileDefaults]:
    """Request and filling of a renewal with ``changes`` made: what was changed is filled by nothing old."""
    kept = tuple(each for each in request.subject if each.type not in changes.subject)
    added = tuple(AttributeValue(kind, value) for kind, values in changes.subject.items() for value in values)
    fields = dict(changes.fields)
    if any(fields.get(name) is not None for name in ("not_before", "not_after")):
        fields.setdefault("ttl", None)
    filling: dict[str, Any] = {
        name: None
        for name in ("key_usages", "extended_key_usages", "key_algorithm", "signature_algorithm")
        if name in fields
    }
    return (
        replace(request, subject=(*kept, *added), **fields),
        replace(
            granted, subject=tuple(each for each in granted.subject if each.type not in changes.subject), **filling
        ),
    )
