"""What a change of templates and profiles would do: stored requests and coming renewals, judged by the new rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID

from django.db.models import QuerySet

from certificates.models import Certificate, CertificateAuthority, CertificateRequest
from certificates.models.certificate import CertificateStatus
from certificates.models.request import RequestStatus
from certificates.services.authorities.rules import issuer_facts_of, issuer_without_certificate
from certificates.services.renewal import renewal_of
from certificates.services.requests import common_name_of, request_of
from pki_portal.errors import PortalError, Violation
from profiles.impact import Impact, NewlyRefused, Proposal, Tally
from profiles.policy.decide import decide
from profiles.policy.request import IssuanceRequest, IssuerFacts
from profiles.policy.rules import ProfileDefaults, TemplateRules

RECENT_DAYS: Final = 90
# A replay takes some 0.3 ms: both kinds together stay under two seconds, however many there are.
MOST_REPLAYED: Final = 1_500
# Of names with patterns: a second of work. Usual requests and templates stay far below; a thousand names under hundreds
# of patterns, which one request may have, take a tenth of a second each.
MOST_COMPARISONS: Final = 3_000_000
_MOST_NAMED: Final = 100
# Read at once: a row may hold as much as 64 KiB of names.
CHUNK: Final = 100

Row = TypeVar("Row", CertificateRequest, Certificate)


@dataclass(frozen=True, slots=True)
class _Judge:
    """Rules, defaults and CA that judge together; ``unable`` holds why that CA can sign nothing at all."""

    rules: TemplateRules
    defaults: ProfileDefaults
    issuer: IssuerFacts | None
    unable: tuple[Violation, ...] = ()

    def count_patterns(self) -> int:
        """How many a name may be compared with, in the rules and in the constraints of the CAs above."""
        constraints = [each.constraints for each in self.issuer.name_constraints] if self.issuer else []
        subtrees = sum(len(each.permitted) + len(each.excluded) for each in constraints)
        rules = (*self.rules.subject.values(), *self.rules.subject_alternative_names.values())
        return subtrees + sum(len(rule.allowed) + len(rule.required) + len(rule.denied) for rule in rules)

    def violations(self, request: IssuanceRequest, now: datetime) -> tuple[Violation, ...]:
        """None where it would pass."""
        if self.unable:
            return self.unable
        return decide(rules=self.rules, defaults=self.defaults, request=request, issuer=self.issuer, now=now).violations

    def filled_by(self, defaults: ProfileDefaults) -> "_Judge":
        """The same with other defaults."""
        return replace(self, defaults=defaults)


@dataclass(frozen=True, slots=True)
class _Change:
    """One profile's judge as it is and as it would be."""

    present: _Judge
    proposed: _Judge
    patterns: int

    def comparisons(self, request: IssuanceRequest) -> int:
        """How many comparisons of a name with a pattern it takes to judge the request by both, at most."""
        names = len(request.subject) + len(request.subject_alternative_names)
        return names * self.patterns


@dataclass(slots=True)
class _Count:
    """Results as they come; the first refused are kept by name."""

    passing: int = 0
    newly_passing: int = 0
    refused_anyway: int = 0
    newly_refused: int = 0
    comparisons: int = 0
    first_refused: datetime | None = None
    named: list[NewlyRefused] = field(default_factory=list)

    def add(self, violations: Sequence[Violation], *, passes_today: bool, refused: NewlyRefused) -> None:
        """One replayed row: what the proposed rules say of it, and whether the present ones let it pass."""
        if not violations:
            self.passing += 1
            self.newly_passing += not passes_today
        elif not passes_today:
            self.refused_anyway += 1
        else:
            self.newly_refused += 1
            self.first_refused = min(self.first_refused or refused.moment, refused.moment)
            if len(self.named) < _MOST_NAMED:
                self.named.append(refused)

    def is_enough_with(self, comparisons: int) -> bool:
        """Whether that many more are too many."""
        self.comparisons += comparisons
        return self.comparisons > MOST_COMPARISONS

    def tally(self, total: int) -> Tally:
        return Tally(total, self.passing, self.newly_passing, self.newly_refused, self.refused_anyway)


def impact_of(*, proposals: Sequence[Proposal], now: datetime) -> Impact:
    """Replay what was asked of these profiles in the last 90 days, and every renewal to come, by the proposed rules.

    At most ``MOST_REPLAYED`` of each are judged, the newest, and fewer where they have so many names that it would take
    more than ``MOST_COMPARISONS``; the tallies tell how many there are. A renewal is judged
    as of the moment when it is due.
    """
    changes: dict[UUID | None, _Change] = {each.profile.pk: _change(each) for each in proposals}
    requests = CertificateRequest.objects.filter(
        profile__in=list(changes),
        status__in=(RequestStatus.ISSUED, RequestStatus.FAILED),
        created_at__gt=now - timedelta(days=RECENT_DAYS),
    )
    renewals = Certificate.objects.filter(
        profile__in=list(changes),
        status=CertificateStatus.ACTIVE,
        not_after__gt=now,
        renew_at__isnull=False,
        renewed_by__isnull=True,
    )
    asked = _replay_requests(_newest(requests).only(*_REQUEST_COLUMNS), changes, now)
    due = _replay_renewals(_newest(renewals).select_related("request").only(*_RENEWAL_COLUMNS), changes, now)
    return Impact(
        days=RECENT_DAYS,
        requests=asked.tally(requests.count()),
        renewals=due.tally(renewals.count()),
        refused_requests=tuple(asked.named),
        refused_renewals=tuple(due.named),
        first_refused_renewal=due.first_refused,
    )


_REQUEST_COLUMNS: Final = ("profile", "profile_slug", "status", "asked", "csr", "created_at")
_RENEWAL_COLUMNS: Final = (
    *("profile", "request", "der", "not_before", "not_after", "renew_at", "created_at"),
    *("key_usages", "extended_key_usages", "key_algorithm"),
    *(f"request__{column}" for column in ("profile_slug", "asked", "csr")),
)


def _newest(rows: QuerySet[Row]) -> QuerySet[Row]:
    """The first few by date. Found by their keys, for to sort wide rows takes seconds where there are many."""
    keys = list(rows.order_by("-created_at", "id").values_list("pk", flat=True)[:MOST_REPLAYED])
    return rows.model._default_manager.filter(pk__in=keys).order_by("-created_at", "id")


def _change(proposal: Proposal) -> _Change:
    profile = proposal.profile
    present = _judge(profile.template.rules(), profile.profile_defaults(), profile.certificate_authority_id)
    proposed = _judge(proposal.rules, proposal.defaults, proposal.authority_id)
    return _Change(present, proposed, patterns=present.count_patterns() + proposed.count_patterns())


def _judge(rules: TemplateRules, defaults: ProfileDefaults, authority_id: UUID | None) -> _Judge:
    if authority_id is None:
        return _Judge(rules, defaults, issuer=None)
    authority = CertificateAuthority.objects.select_related("active_certificate").get(pk=authority_id)
    issuer = issuer_facts_of(authority)
    return _Judge(rules, defaults, issuer, unable=() if issuer else (issuer_without_certificate(authority),))


def _replay_requests(
    rows: QuerySet[CertificateRequest], changes: Mapping[UUID | None, _Change], now: datetime
) -> _Count:
    count = _Count()
    for row in rows.iterator(CHUNK):
        change = changes[row.profile_id]
        try:
            request = request_of(row)
        except PortalError:
            # A CSR that is no longer read is refused before any rule of these is asked.
            count.refused_anyway += 1
            continue
        if count.is_enough_with(change.comparisons(request)):
            break
        violations = change.proposed.violations(request, now)
        # What was issued passed once, so it is judged by today's rules only where that decides something.
        passes_today = (not violations and row.status == RequestStatus.ISSUED) or not change.present.violations(
            request, now
        )
        count.add(
            violations,
            passes_today=passes_today,
            refused=NewlyRefused(
                request_id=row.pk,
                certificate_id=None,
                name=_name_of(request),
                profile_slug=row.profile_slug,
                moment=row.created_at,
                violations=violations,
            ),
        )
    return count


def _replay_renewals(rows: QuerySet[Certificate], changes: Mapping[UUID | None, _Change], now: datetime) -> _Count:
    count = _Count()
    for certificate in rows.iterator(CHUNK):
        change = changes[certificate.profile_id]
        due = max(now, certificate.renew_at or now)
        try:
            request, granted = renewal_of(certificate)
        except PortalError:
            count.refused_anyway += 1
            continue
        if count.is_enough_with(change.comparisons(request)):
            break
        violations = change.proposed.filled_by(granted).violations(request, due)
        count.add(
            violations,
            passes_today=not violations or not change.present.filled_by(granted).violations(request, due),
            refused=NewlyRefused(
                request_id=certificate.issuing_request.pk,
                certificate_id=certificate.pk,
                name=_name_of(request),
                profile_slug=certificate.issuing_request.profile_slug,
                moment=due,
                violations=violations,
            ),
        )
    return count


def _name_of(request: IssuanceRequest) -> str:
    names = [name.value for name in request.subject_alternative_names]
    return next(filter(None, [common_name_of(request), *names]), "")
