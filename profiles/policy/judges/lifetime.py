"""Validity (RFC 5280, 4.1.2.5), and whether the CA can sign at this time at all."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pki_portal.errors import Change
from profiles.policy.errors import Code
from profiles.policy.judges.findings import Findings
from profiles.policy.request import IssuanceRequest, IssuerFacts
from profiles.policy.rules import ProfileDefaults, TemplateRules
from profiles.policy.wording import duration, shown, time

_SECOND = timedelta(seconds=1)
_USUAL_LIFE = timedelta(days=90)
_SHORT_ENOUGH = timedelta(days=3650)
# RFC 5280, 4.1.2.5: UTCTime begins in 1950.
EARLIEST = datetime(1950, 1, 1, tzinfo=UTC)
_FIRST_MOMENT = datetime(1, 1, 1, tzinfo=UTC)
_LAST_MOMENT = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Validity:
    """Aware UTC, whole seconds."""

    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class _Asked:
    """How long a life is wanted, and by whom; ``field`` is where it can be changed."""

    length: timedelta
    field: str
    label: str


def utc_second(moment: datetime) -> datetime:
    """The moment in UTC, whole seconds; a naive one is taken as UTC, one off the calendar as the calendar's edge."""
    if moment.tzinfo is None:
        return moment.replace(microsecond=0, tzinfo=UTC)
    try:
        return moment.astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        return _FIRST_MOMENT if moment.year == 1 else _LAST_MOMENT


def judge_validity(
    findings: Findings,
    *,
    rules: TemplateRules,
    defaults: ProfileDefaults,
    request: IssuanceRequest,
    issuer: IssuerFacts | None,
    now: datetime,
) -> Validity | None:
    """From when to when; None where that cannot be told, which is refused. Never cut to fit a limit."""
    if request.ttl is not None and (request.not_before is not None or request.not_after is not None):
        findings.refuse(
            "ttl",
            Code.TTL_AND_DATES,
            rule="one way to say it",
            asked="ttl and dates",
            allowed="a ttl, or notBefore and notAfter",
            fix="leave out the ttl, or the dates",
            changes=(Change("remove", "ttl"),),
        )
        return None
    start = now if request.not_before is None else utc_second(request.not_before)
    field, end = _end(findings, rules, defaults, request, start, now)
    if end is None:
        return None
    validity = Validity(start, end)
    mend = _Mending(
        request=request,
        field=field,
        start=start,
        last=_latest_end(rules, issuer, start),
        now=now,
        least=rules.min_validity or _SECOND,
    )
    if _is_sound(findings, validity, mend):
        _judge_limits(findings, rules, issuer, validity, mend)
    return validity


@dataclass(frozen=True, slots=True)
class _Mending:
    """What can be changed of an end that does not pass.

    Attributes:
        field: what says the end: ``ttl`` or ``not_after``.
        last: the latest end that both the template and the CA let pass.
        least: how long a life must be.
    """

    request: IssuanceRequest
    field: str
    start: datetime
    last: datetime
    now: datetime
    least: timedelta

    @property
    def has_room(self) -> bool:
        """Whether anything that starts then can pass at all."""
        return self.last - self.start >= self.least and self.last > max(self.now, EARLIEST)

    def end_earlier(self) -> tuple[str, tuple[Change, ...]]:
        """As long as can be."""
        if not self.has_room:
            return "use another profile: under this one no certificate can start then", ()
        length = _rounded(self.last - self.start)
        fix = f"ask for a ttl of at most {length}, or a notAfter of {time(self.last)} or before"
        # A ttl beside a start is one of two ways too many.
        by_ttl = self.field == "ttl" and self.request.not_before is None
        return fix, (Change("set", "ttl", length) if by_ttl else Change("set", "not_after", time(self.last)),)

    def live_longer(self) -> tuple[str, tuple[Change, ...]]:
        """As short as may be."""
        if not self.has_room:
            return "use another profile: under this one no certificate can start then", ()
        # In whole seconds, as lives are written down.
        least = -(-self.least // _SECOND) * _SECOND
        end = self.start + least
        length = duration(least)
        fix = f"ask for a ttl of at least {length}, or a notAfter of {time(end)} or later"
        by_ttl = self.field == "ttl" and self.request.not_before is None
        return fix, (Change("set", "ttl", length) if by_ttl else Change("set", "not_after", time(end)),)

    def end_later(self) -> tuple[str, tuple[Change, ...]]:
        """After the start and after now, by as much as is usual."""
        begin = max(self.start, self.now)
        fix = f"ask for a notAfter later than {time(begin)}"
        if self.request.not_after is None:
            return fix, (Change("remove", "not_before"),)
        end = _usual_end(begin, self.last, max(_USUAL_LIFE, self.least))
        return fix, (Change("set", "not_after", time(end)),) if end > max(begin, EARLIEST) else ()


def _usual_end(begin: datetime, last: datetime, life: timedelta) -> datetime:
    return last if last - begin < life else begin + life


def judge_issuer(findings: Findings, *, issuer: IssuerFacts | None, now: datetime) -> None:
    """Whether the CA may sign now."""
    if issuer is None:
        return
    name = f"CA {shown(issuer.name)}"
    if issuer.revoked:
        revoked = f"CA {shown(issuer.revoked)}"
        findings.refuse(
            "issuer",
            Code.ISSUER_REVOKED,
            rule="state of the CA",
            asked=name,
            allowed="a CA whose certificate, and none above it, was revoked",
            fix=f"have {revoked} given a new certificate, or use a profile of another CA",
        )
    elif not issuer.is_active:
        findings.refuse(
            "issuer",
            Code.ISSUER_NOT_ACTIVE,
            rule="state of the CA",
            asked=name,
            allowed="an active CA with a certificate",
            fix=f"have {name} enabled, or use a profile of another CA",
        )
    if utc_second(issuer.not_after) <= now:
        findings.refuse(
            "issuer",
            Code.ISSUER_EXPIRED,
            rule="validity of the CA",
            asked=name,
            allowed=f"until {time(utc_second(issuer.not_after))}",
            fix=f"have {name} renewed, or use a profile of another CA",
        )
    elif issuer.is_active and not issuer.revoked:
        findings.passed("issuer", "state of the CA", name, "an active CA whose certificate has not ended")


def _end(
    findings: Findings,
    rules: TemplateRules,
    defaults: ProfileDefaults,
    request: IssuanceRequest,
    start: datetime,
    now: datetime,
) -> tuple[str, datetime | None]:
    """The end, and the field that says it."""
    if request.not_after is not None:
        return "not_after", utc_second(request.not_after)
    asked = _asked_length(findings, rules, defaults, request)
    if asked is None:
        return "ttl", None
    if asked.length < _SECOND:
        findings.refuse(
            asked.field,
            Code.TTL_TOO_SHORT,
            rule="whole seconds (RFC 5280, 4.1.2.5)",
            asked=asked.label,
            allowed="at least 1s",
            fix="ask for a ttl of at least 1s, for example 1h",
            changes=(Change("set", "ttl", "1h"),),
        )
        return asked.field, None
    try:
        return asked.field, start + asked.length // _SECOND * _SECOND
    except OverflowError:
        fix, changes = _end_on_the_calendar(rules, request, start, now)
        findings.refuse(
            asked.field,
            Code.DATE_OUT_OF_RANGE,
            rule="RFC 5280, 4.1.2.5",
            asked=asked.label,
            allowed="an end in the year 9999 or before",
            fix=fix,
            changes=changes,
        )
        return asked.field, None


def _end_on_the_calendar(
    rules: TemplateRules, request: IssuanceRequest, start: datetime, now: datetime
) -> tuple[str, tuple[Change, ...]]:
    """How to ask for an end that can be written down, and not for too long a life instead."""
    by_ttl = request.not_before is None or start < EARLIEST
    begin = now if by_ttl else start
    length = min(rules.max_validity or _SHORT_ENOUGH, _SHORT_ENOUGH, _LAST_MOMENT - begin) // _SECOND * _SECOND
    if length < _SECOND:
        return "ask for an earlier notBefore", ()
    if not by_ttl:
        # A ttl beside a start is one of two ways too many.
        end = time(begin + length)
        return f"ask for a notAfter of {end} or before", (Change("set", "not_after", end),)
    fix, shorter = f"ask for a ttl of at most {duration(length)}", Change("set", "ttl", duration(length))
    if request.not_before is None:
        return fix, (shorter,)
    return f"{fix}, and leave notBefore out to start now", (Change("remove", "not_before"), shorter)


def _asked_length(
    findings: Findings, rules: TemplateRules, defaults: ProfileDefaults, request: IssuanceRequest
) -> _Asked | None:
    if request.ttl is not None:
        return _Asked(request.ttl, "ttl", f"ttl {duration(request.ttl)}")
    for length, source in ((defaults.ttl, "the profile's default"), (rules.max_validity, "the template's longest")):
        if length is not None:
            findings.note(f"no ttl was asked for: {duration(length)} is {source}")
            findings.filled("ttl", source, f"ttl {duration(length)}", "what the applicant leaves open")
            return _Asked(length, "ttl", f"ttl {duration(length)} ({source})")
    findings.refuse(
        "ttl",
        Code.VALIDITY_MISSING,
        rule="request, profile or template",
        asked="how long the certificate shall live",
        allowed="a ttl or a notAfter, for neither profile nor template says one",
        fix="add a ttl, for example 90d",
        changes=(Change("set", "ttl", "90d"),),
    )
    return None


def _is_sound(findings: Findings, validity: Validity, mend: _Mending) -> bool:
    """Whether the dates make a life that has not ended and can be written down."""
    start, end = validity.not_before, validity.not_after
    sound = True
    if start < EARLIEST:
        findings.refuse(
            "not_before",
            Code.DATE_OUT_OF_RANGE,
            rule="RFC 5280, 4.1.2.5",
            asked=f"notBefore {time(start)}",
            allowed=f"{EARLIEST.year} or later",
            fix="leave notBefore out to start now",
            changes=(Change("remove", "not_before"),) if mend.now >= EARLIEST else (),
        )
        sound = False
    if end <= start:
        later, changes = mend.end_later()
        findings.refuse(
            mend.field,
            Code.ENDS_BEFORE_START,
            rule="RFC 5280, 4.1.2.5",
            asked=f"notAfter {time(end)}",
            allowed=f"after {time(start)}",
            fix=later,
            changes=changes,
        )
        return False
    if end <= mend.now:
        later, changes = mend.end_later()
        findings.refuse(
            mend.field,
            Code.ENDS_IN_PAST,
            rule="the present time",
            asked=f"notAfter {time(end)}",
            allowed=f"after {time(mend.now)}",
            fix=later,
            changes=changes,
        )
        return False
    return sound


def _judge_limits(
    findings: Findings, rules: TemplateRules, issuer: IssuerFacts | None, validity: Validity, mend: _Mending
) -> None:
    """The template's longest life and the CA's own; a CA that has expired is refused elsewhere, once."""
    start, end = validity.not_before, validity.not_after
    if rules.max_validity is not None:
        asked, allowed = f"a life of {duration(end - start)}", f"at most {duration(rules.max_validity)}"
        if end - start > rules.max_validity:
            earlier, changes = mend.end_earlier()
            findings.refuse(
                mend.field,
                Code.TTL_TOO_LONG,
                rule="template validity/max",
                asked=asked,
                allowed=allowed,
                fix=earlier,
                changes=changes,
            )
        else:
            findings.passed(mend.field, "template validity/max", asked, allowed)
    if rules.min_validity is not None:
        _judge_least(findings, rules.min_validity, end - start, mend)
    if issuer is None or utc_second(issuer.not_after) <= mend.now:
        return
    issuer_start, issuer_end = utc_second(issuer.not_before), utc_second(issuer.not_after)
    place = f"validity of CA {shown(issuer.name)}"
    if start < issuer_start:
        findings.refuse(
            "not_before",
            Code.STARTS_BEFORE_ISSUER,
            rule=place,
            asked=f"notBefore {time(start)}",
            allowed=f"{time(issuer_start)} or later",
            fix=f"ask for a notBefore of {time(max(issuer_start, mend.now))} or later",
            changes=_start_later(mend, issuer_start),
        )
    if end > issuer_end:
        earlier, changes = mend.end_earlier()
        findings.refuse(
            mend.field,
            Code.ENDS_AFTER_ISSUER,
            rule=place,
            asked=f"notAfter {time(end)}",
            allowed=f"until {time(issuer_end)}",
            fix=earlier,
            changes=changes,
        )
    elif start >= issuer_start:
        findings.passed(
            mend.field, place, f"{time(start)} to {time(end)}", f"{time(issuer_start)} to {time(issuer_end)}"
        )


def _judge_least(findings: Findings, least: timedelta, life: timedelta, mend: _Mending) -> None:
    """The template's shortest life."""
    asked, allowed = f"a life of {duration(life)}", f"at least {duration(least)}"
    if life >= least:
        findings.passed(mend.field, "template validity/min", asked, allowed)
        return
    longer, changes = mend.live_longer()
    findings.refuse(
        mend.field,
        Code.TTL_TOO_SHORT,
        rule="template validity/min",
        asked=asked,
        allowed=allowed,
        fix=longer,
        changes=changes,
    )


def _start_later(mend: _Mending, issuer_start: datetime) -> tuple[Change, ...]:
    """Now, unless the CA's own time has not come yet; a ttl would then start before it whatever is asked."""
    if mend.now >= issuer_start:
        return (Change("remove", "not_before"),)
    if mend.request.ttl is not None or issuer_start < EARLIEST:
        return ()
    return (Change("set", "not_before", time(issuer_start)),)


def _latest_end(rules: TemplateRules, issuer: IssuerFacts | None, start: datetime) -> datetime:
    """The latest end that both the template and the CA let pass."""
    last = _LAST_MOMENT if issuer is None else utc_second(issuer.not_after)
    if rules.max_validity is None:
        return last
    try:
        return min(last, utc_second(start + rules.max_validity))
    except OverflowError:
        return last


def _rounded(length: timedelta) -> str:
    """The length, down to whole days or hours where that loses little."""
    for unit in (timedelta(days=1), timedelta(hours=1)):
        if length >= 2 * unit:
            return duration(length // unit * unit)
    return duration(length)
