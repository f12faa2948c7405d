"""What a rule finds to tell, and the digest of what it has not told yet."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

from django.conf import settings
from django.db import transaction

from certificates.alerts.models import AlertDelivery, AlertDigest, AlertKind, AlertNotice, AlertRule
from certificates.models import Certificate, CertificateAuthority, CertificateRevocationList
from certificates.models.authority import AuthorityStatus
from certificates.models.certificate import CertificateStatus
from pki_portal.background.schedule import Every, Nightly, Schedule
from pki_portal.background.tasks import hint
from pki_portal.rest import iso
from profiles.policy.names import matches
from profiles.policy.vocabulary import NameType, SubjectAttribute

# People read alerts in the morning; a CRL can end before the next one.
MORNING: Final = Nightly(time(6), spread=timedelta(minutes=15))
SCHEDULES: Final[Mapping[AlertKind, Schedule]] = {
    AlertKind.CERTIFICATE_EXPIRY: MORNING,
    AlertKind.AUTHORITY_EXPIRY: MORNING,
    AlertKind.CRL_EXPIRY: Every(timedelta(minutes=15)),
}
# What a message holds; all are counted, and none is told again.
ITEMS_KEPT: Final = 100
# After its end nothing can be found any more; some days more, for clocks.
FORGOTTEN: Final = timedelta(days=30)
CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class Found:
    """One thing near its end: ``subject_id`` names this very thing (a CRL's next one is another)."""

    subject_id: str
    item: Mapping[str, Any]


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


def find(rule: AlertRule, now: datetime) -> Iterator[Found]:
    """Everything of the project that the rule is about at ``now``, told or not, the soonest end first."""
    finder = {
        AlertKind.CERTIFICATE_EXPIRY: _certificates,
        AlertKind.AUTHORITY_EXPIRY: _authorities,
        AlertKind.CRL_EXPIRY: _crls,
    }[AlertKind(rule.kind)]
    yield from finder(rule, now, now + timedelta(seconds=rule.alert_before_seconds))


def _untold(rule: AlertRule, found: Iterable[Found]) -> Iterator[Found]:
    waiting = iter(found)
    while chunk := list(islice(waiting, CHUNK)):
        told = set(
            rule.notices.filter(
                threshold=rule.alert_before_seconds, subject_id__in=[each.subject_id for each in chunk]
            ).values_list("subject_id", flat=True)
        )
        yield from (each for each in chunk if each.subject_id not in told)


def _certificates(rule: AlertRule, now: datetime, until: datetime) -> Iterator[Found]:
    """Certificates in force without a successor."""
    ending = Certificate.objects.filter(
        project=rule.project_id,
        status=CertificateStatus.ACTIVE,
        not_after__gt=now,
        not_after__lte=until,
        renewed_by__isnull=True,
    ).order_by("not_after", "pk")
    columns = (
        *("pk", "common_name", "subject_alternative_names", "alt_names", "serial_number", "not_after"),
        *("profile_id", "profile__slug"),
    )
    for row in ending.values(*columns).iterator(chunk_size=CHUNK):
        if not all(_certificate_fits(row, each) for each in rule.filters):
            continue
        name = row["common_name"] or row["alt_names"].partition(",")[0] or row["serial_number"]
        yield Found(
            str(row["pk"]),
            {
                "id": str(row["pk"]),
                "name": name[:255],
                "serialNumber": row["serial_number"],
                "profileName": row["profile__slug"] or "",
                "notAfter": iso(row["not_after"]),
                "url": _page(rule, f"certificates/{row['pk']}/"),
            },
        )


def _authorities(rule: AlertRule, now: datetime, until: datetime) -> Iterator[Found]:
    """CAs by their certificate of today: a renewed one is told anew when that one ends."""
    ending = CertificateAuthority.objects.filter(
        project=rule.project_id,
        status=AuthorityStatus.ACTIVE,
        active_certificate__not_after__gt=now,
        active_certificate__not_after__lte=until,
    ).order_by("active_certificate__not_after", "pk")
    for authority in ending.select_related("active_certificate"):
        certificate = authority.active_certificate
        if certificate is not None and _authority_fits(rule, authority):
            yield Found(str(certificate.pk), _of_authority(rule, authority, certificate.not_after))


def _crls(rule: AlertRule, now: datetime, until: datetime) -> Iterator[Found]:
    """CRLs that nobody has signed anew; one that has ended already too."""
    ending = CertificateRevocationList.objects.filter(
        key__authority__project=rule.project_id, key__authority__status=AuthorityStatus.ACTIVE, next_update__lte=until
    ).order_by("next_update", "pk")
    for crl in ending.select_related("key__authority").defer("der"):
        authority = crl.key.authority
        if crl.next_update is not None and _authority_fits(rule, authority):
            yield Found(f"{crl.pk}:{crl.number}", _of_authority(rule, authority, crl.next_update))


def _of_authority(rule: AlertRule, authority: CertificateAuthority, not_after: datetime) -> dict[str, Any]:
    return {
        "id": str(authority.pk),
        "name": authority.name,
        "notAfter": iso(not_after),
        "url": _page(rule, f"authorities/{authority.pk}/"),
    }


def _page(rule: AlertRule, path: str) -> str:
    return f"{settings.SITE_URL}/projects/{quote(rule.project.slug)}/{path}"


# --- Filters ----------------------------------------------------------------------------------------------------------


def _certificate_fits(row: Mapping[str, Any], condition: Mapping[str, str]) -> bool:
    if condition["field"] == "profile_name":
        return _fits(condition, row["profile__slug"] or "", SubjectAttribute.COMMON_NAME)
    if condition["field"] == "common_name":
        return _fits(condition, row["common_name"], SubjectAttribute.COMMON_NAME)
    return any(_fits(condition, name["value"], NameType(name["type"])) for name in row["subject_alternative_names"])


def _authority_fits(rule: AlertRule, authority: CertificateAuthority) -> bool:
    return all(_fits(each, authority.name, SubjectAttribute.COMMON_NAME) for each in rule.filters)


def _fits(condition: Mapping[str, str], value: str, kind: NameType | SubjectAttribute) -> bool:
    wanted = condition["value"]
    match condition["operator"]:
        case "equals":
            return value.casefold() == wanted.casefold()
        case "contains":
            return wanted.casefold() in value.casefold()
        case "starts_with":
            return value.casefold().startswith(wanted.casefold())
        case "ends_with":
            return value.casefold().endswith(wanted.casefold())
    return matches(wanted, value, kind)
