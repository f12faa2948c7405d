"""Dry runs of the renewals to come, so that those that will fail are known weeks before."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from certificates.models import AutoRenewal
from certificates.models.certificate import CertificateStatus
from certificates.services.approvals.demand import require_approved
from certificates.services.auto_renewal import RENEWER
from certificates.services.explaining import explain_by
from certificates.services.issuing_authority import IssuingAuthority, issuer_by_id
from certificates.services.lint import Waivers
from certificates.services.renewal import ERROR_LIMIT, profile_to_renew_by, renewal_of
from certificates.services.requests import Asked
from certificates.services.succession import repeats_predecessor
from pki_portal.errors import Forbidden, PortalError, Violation
from pki_portal.storable import storable, storable_json
from profiles.enrollment import EnrollmentMethod
from profiles.models import CertificateProfile
from profiles.policy.errors import Code
from profiles.policy.rules import TemplateRules

HORIZON: Final = timedelta(days=45)
NIGHT: Final = time(2, tzinfo=UTC)
# In between the worker does other work: some 20 seconds.
SLICE: Final = 10_000
BATCH: Final = 200
# What fails is looked at again this often, as many as this, so that people see at once that they mended it.
AGAIN: Final = timedelta(minutes=10)
AGAIN_AT_MOST: Final = 1_000
_VIOLATIONS_KEPT: Final = 20

_IN_SHORT: Final[Mapping[str, str]] = {
    Code.ENDS_AFTER_ISSUER: "The CA ends first",
    Code.ISSUER_EXPIRED: "The CA will have ended",
    Code.ISSUER_NOT_ACTIVE: "The CA is disabled",
    Code.TTL_TOO_LONG: "The template allows a shorter life",
}


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a dry run came to; ``error`` is for people, and empty where the renewal would succeed."""

    error: str = ""
    violations: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True)
class _Standing:
    """What judges every renewal by one profile, as it is today."""

    profile: CertificateProfile
    rules: TemplateRules
    issuer: IssuingAuthority | None


def rehearse_renewals(*, now: datetime) -> bool:
    """Rehearse what is due within 45 days and was not rehearsed since the night began; whether there is more of that.

    The soonest first, in short transactions. Then, again, of those that would fail: what was mended is told at once.
    """
    waiting = coming(now).filter(Q(rehearsed_at__isnull=True) | Q(rehearsed_at__lt=_night_before(now)))
    done = 0
    for batch in _batches(waiting, SLICE):
        _rehearse(batch, now)
        done += len(batch)
    if done >= SLICE:
        return True
    for batch in _batches(will_fail(coming(now)).filter(rehearsed_at__lte=now - AGAIN), AGAIN_AT_MOST):
        _rehearse(batch, now)
    return False


def coming(now: datetime) -> QuerySet[AutoRenewal]:
    """The renewals due within 45 days, of certificates in force without a successor."""
    return AutoRenewal.objects.filter(
        due_at__lte=now + HORIZON,
        certificate__status=CertificateStatus.ACTIVE,
        certificate__not_after__gt=now,
        certificate__renewed_by__isnull=True,
    )


def will_fail(renewals: QuerySet[AutoRenewal]) -> QuerySet[AutoRenewal]:
    """Those whose last rehearsal failed."""
    return renewals.exclude(rehearsal_error="")


def _night_before(now: datetime) -> datetime:
    night = datetime.combine(now.astimezone(UTC).date(), NIGHT)
    return night if night <= now else night - timedelta(days=1)


def _batches(renewals: QuerySet[AutoRenewal], most: int) -> Iterator[list[AutoRenewal]]:
    """By key and not by offset: what was rehearsed leaves the set meanwhile."""
    ordered = renewals.order_by("due_at", "pk").select_related("certificate__request").defer("rehearsal_violations")
    after = Q()
    while most > 0 and (batch := list(ordered.filter(after)[: min(BATCH, most)])):
        yield batch
        most -= len(batch)
        last = batch[-1]
        after = Q(due_at__gt=last.due_at) | Q(due_at=last.due_at, pk__gt=last.pk)


def _rehearse(batch: Iterable[AutoRenewal], now: datetime) -> None:
    """Judge each as of the moment when it is due, and write down what came of it, in one transaction for all.

    Profiles and CAs are read once for a batch.
    """
    standings: dict[UUID | None, _Standing | PortalError] = {}
    passing: list[UUID] = []
    failing: list[tuple[AutoRenewal, Rehearsal]] = []
    for row in batch:
        profile_id = row.certificate.profile_id
        # Without a profile the refusal names the certificate, which may be another project's than the next one is.
        if profile_id is None or profile_id not in standings:
            standings[profile_id] = _standing_of(row)
        outcome = _outcome(row, standings[profile_id], now)
        if outcome.error:
            failing.append((row, outcome))
        else:
            passing.append(row.pk)
    with transaction.atomic():
        AutoRenewal.objects.filter(pk__in=passing).update(rehearsed_at=now, rehearsal_error="", rehearsal_violations=[])
        for row, outcome in failing:
            # Of a renewal that was moved or done meanwhile nothing is known.
            AutoRenewal.objects.filter(pk=row.pk, due_at=row.due_at).update(
                rehearsed_at=now,
                rehearsal_error=storable(outcome.error)[:ERROR_LIMIT],
                rehearsal_violations=storable_json([asdict(each) for each in outcome.violations[:_VIOLATIONS_KEPT]]),
            )


def _standing_of(row: AutoRenewal) -> _Standing | PortalError:
    try:
        profile = profile_to_renew_by(row.certificate)
        return _Standing(profile, profile.template.rules(), issuer_by_id(profile.certificate_authority_id))
    except PortalError as refusal:
        return refusal


def _outcome(row: AutoRenewal, standing: _Standing | PortalError, now: datetime) -> Rehearsal:
    if isinstance(standing, PortalError):
        return _failed(standing.violations, standing.message)
    due = max(now, row.due_at or now)
    profile = standing.profile
    try:
        request, filling = renewal_of(row.certificate)
    except PortalError as refusal:
        return _failed(refusal.violations, refusal.message)
    decision = explain_by(
        rules=standing.rules,
        defaults=filling,
        waivers=Waivers(profile.slug, profile.waivers(), due),
        issuer=standing.issuer,
        request=request,
        now=due,
    )
    if decision.plan is None or decision.violations:
        return _failed(decision.violations, "")
    if not repeats_predecessor(decision.plan, row.certificate):
        try:
            require_approved(Asked(profile, request, RENEWER, EnrollmentMethod.API, metadata=()))
        except Forbidden as refusal:
            return _failed(refusal.violations, refusal.message)
    return Rehearsal()


def _failed(violations: tuple[Violation, ...], message: str) -> Rehearsal:
    return Rehearsal("\n".join(map(_reason, violations)) or message, violations)


def _reason(violation: Violation) -> str:
    short = _IN_SHORT.get(violation.code)
    told = f"{violation.asked}; allowed is {violation.allowed} ({violation.rule})."
    return f"{short}: {told}" if short else told
