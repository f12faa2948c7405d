"""Looking at a rule: the digest of what it finds and has not told yet."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta
from itertools import islice
from typing import Any, Final

from django.db import transaction

from certificates.alerts.models import AlertDelivery, AlertDigest, AlertKind, AlertNotice, AlertRule
from certificates.alerts.services.finding import CHUNK, Found, find
from pki_portal.background.schedule import Every, Nightly, Schedule
from pki_portal.background.tasks import hint

# People read alerts in the morning; a CRL can end before the next one, and a short life after a failed renewal.
MORNING: Final = Nightly(time(6), spread=timedelta(minutes=15))
SCHEDULES: Final[Mapping[AlertKind, Schedule]] = {
    AlertKind.CERTIFICATE_EXPIRY: MORNING,
    AlertKind.AUTHORITY_EXPIRY: MORNING,
    AlertKind.CRL_EXPIRY: Every(timedelta(minutes=15)),
    AlertKind.RENEWAL_FAILURE: Every(timedelta(minutes=15)),
    AlertKind.RENEWAL_REHEARSAL: MORNING,
    AlertKind.UNCLAIMED_KEY: Every(timedelta(minutes=15)),
    AlertKind.RISKY_ISSUANCE: MORNING,
}
# What a message holds; all are counted, and none is told again.
ITEMS_KEPT: Final = 100
# After its end nothing can be found any more; some days more, for clocks.
FORGOTTEN: Final = timedelta(days=30)


def evaluate(rule: AlertRule, now: datetime) -> datetime | None:
    """Tell what is new, in one digest; when the rule is looked at next.

    Digest, deliveries and the notices that keep it from being told again are one transaction under a lock on the rule.
    """
    with transaction.atomic():
        locked = AlertRule.objects.select_for_update(of=("self",)).select_related("project").filter(pk=rule.pk).first()
        if locked is None or not locked.is_enabled:
            return None
        if locked.channels.filter(is_enabled=True).exists():
            _tell(locked, now)
    return SCHEDULES[AlertKind(locked.kind)].following(now)


def _tell(rule: AlertRule, now: datetime) -> None:
    forget_after = now + timedelta(seconds=rule.alert_before_seconds) + FORGOTTEN
    told: list[AlertNotice] = []
    items: list[dict[str, Any]] = []
    for found in _untold(rule, find(rule, now)):
        told.append(
            AlertNotice(
                rule=rule,
                subject_id=found.subject_id,
                threshold=rule.alert_before_seconds,
                forget_after=forget_after,
            )
        )
        if len(items) < ITEMS_KEPT:
            items.append(dict(found.item))
    if told:
        AlertNotice.objects.bulk_create(told, batch_size=CHUNK)
        make_digest(rule=rule, items=items, total=len(told), now=now)


def make_digest(
    *, rule: AlertRule, items: Sequence[dict[str, Any]], total: int, now: datetime, is_test: bool = False
) -> AlertDigest:
    """Store a digest with a delivery to each enabled channel, due at once, in the caller's transaction."""
    digest = AlertDigest.objects.create(rule=rule, items=list(items), total=total, created_at=now, is_test=is_test)
    for channel in rule.channels.filter(is_enabled=True):
        delivery = AlertDelivery.objects.create(
            digest=digest, channel=channel, channel_kind=channel.kind, target=channel.target, due_at=now
        )
        hint(delivery)
    return digest


def _untold(rule: AlertRule, found: Iterable[Found]) -> Iterator[Found]:
    waiting = iter(found)
    while chunk := list(islice(waiting, CHUNK)):
        told = set(
            rule.notices.filter(
                threshold=rule.alert_before_seconds, subject_id__in=[each.subject_id for each in chunk]
            ).values_list("subject_id", flat=True)
        )
        yield from (each for each in chunk if each.subject_id not in told)
