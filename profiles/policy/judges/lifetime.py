"""Validity (RFC 5280, 4.1.2.5), and whether the CA can sign at this time at all."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from profiles.policy.errors import Code
from profiles.policy.judges.findings import Findings
from profiles.policy.request import IssuanceRequest, IssuerFacts
from profiles.policy.rules import ProfileDefaults, TemplateRules
from profiles.policy.wording import duration, shown, time

_SECOND = timedelta(seconds=1)
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
            allowed="a ttl, or not_before and not_after",
            fix="leave out the ttl, or the dates",
        )
        return None
    start = now if request.not_before is None else utc_second(request.not_before)
    field, end = _end(findings, rules, defaults, request, start)
    if end is None:
        return None
    validity = Validity(start, end)
    if _is_sound(findings, validity, field, now):
        _judge_limits(findings, rules, issuer, validity, field, now)
    return validity


def judge_issuer(findings: Findings, *, issuer: IssuerFacts | None, now: datetime) -> None:
    """Whether the CA may sign now."""
    if issuer is None:
        return
    name = f"CA {shown(issuer.name)}"
    if not issuer.is_active:
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


def _end(
    findings: Findings, rules: TemplateRules, defaults: ProfileDefaults, request: IssuanceRequest, start: datetime
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
        )
        return asked.field, None
    try:
        return asked.field, start + asked.length // _SECOND * _SECOND
    except OverflowError:
        findings.refuse(
            asked.field,
            Code.DATE_OUT_OF_RANGE,
            rule="RFC 5280, 4.1.2.5",
            asked=asked.label,
            allowed="an end in the year 9999 or before",
            fix=f"ask for a ttl of at most {duration(rules.max_validity or timedelta(days=3650))}",
        )
        return asked.field, None


def _asked_length(
    findings: Findings, rules: TemplateRules, defaults: ProfileDefaults, request: IssuanceRequest
) -> _Asked | None:
    if request.ttl is not None:
        return _Asked(request.ttl, "ttl", f"ttl {duration(request.ttl)}")
    for length, source in ((defaults.ttl, "the profile's default"), (rules.max_validity, "the template's longest")):
        if length is not None:
            findings.note(f"no ttl was asked for: {duration(length)} is {source}")
            return _Asked(length, "ttl", f"ttl {duration(length)} ({source})")
    findings.refuse(
        "ttl",
        Code.VALIDITY_MISSING,
        rule="request, profile or template",
        asked="how long the certificate shall live",
        allowed="a ttl or a not_after, for neither profile nor template says one",
        fix="add a ttl, for example 90d",
    )
    return None


def _is_sound(findings: Findings, validity: Validity, field: str, now: datetime) -> bool:
    """Whether the dates make a life that has not ended and can be written down."""
    start, end = validity.not_before, validity.not_after
    sound = True
    if start < EARLIEST:
        findings.refuse(
            "not_before",
            Code.DATE_OUT_OF_RANGE,
            rule="RFC 5280, 4.1.2.5",
            asked=f"not_before {time(start)}",
            allowed=f"{EARLIEST.year} or later",
            fix="leave not_before out to start now",
        )
        sound = False
    if end <= start:
        findings.refuse(
            field,
            Code.ENDS_BEFORE_START,
            rule="RFC 5280, 4.1.2.5",
            asked=f"not_after {time(end)}",
            allowed=f"after {time(start)}",
            fix=f"ask for a not_after later than {time(max(start, now))}",
        )
        return False
    if end <= now:
        findings.refuse(
            field,
            Code.ENDS_IN_PAST,
            rule="the present time",
            asked=f"not_after {time(end)}",
            allowed=f"after {time(now)}",
            fix=f"ask for a not_after later than {time(now)}",
        )
        return False
    return sound


def _judge_limits(
    findings: Findings,
    rules: TemplateRules,
    issuer: IssuerFacts | None,
    validity: Validity,
    field: str,
    now: datetime,
) -> None:
    """The template's longest life and the CA's own; a CA that has expired is refused elsewhere, once."""
    start, end = validity.not_before, validity.not_after
    last = _latest_end(rules, issuer, start)
    if rules.max_validity is not None and end - start > rules.max_validity:
        findings.refuse(
            field,
            Code.TTL_TOO_LONG,
            rule="template validity/max",
            asked=f"a life of {duration(end - start)}",
            allowed=f"at most {duration(rules.max_validity)}",
            fix=_shorter(start, last, now),
        )
    if issuer is None or utc_second(issuer.not_after) <= now:
        return
    issuer_start, issuer_end = utc_second(issuer.not_before), utc_second(issuer.not_after)
    if start < issuer_start:
        findings.refuse(
            "not_before",
            Code.STARTS_BEFORE_ISSUER,
            rule=f"validity of CA {shown(issuer.name)}",
            asked=f"not_before {time(start)}",
            allowed=f"{time(issuer_start)} or later",
            fix=f"ask for a not_before of {time(max(issuer_start, now))} or later",
        )
    if end > issuer_end:
        findings.refuse(
            field,
            Code.ENDS_AFTER_ISSUER,
            rule=f"validity of CA {shown(issuer.name)}",
            asked=f"not_after {time(end)}",
            allowed=f"until {time(issuer_end)}",
            fix=_shorter(start, last, now),
        )


def _latest_end(rules: TemplateRules, issuer: IssuerFacts | None, start: datetime) -> datetime:
    """The latest end that both the template and the CA let pass."""
    last = _LAST_MOMENT if issuer is None else utc_second(issuer.not_after)
    if rules.max_validity is None:
        return last
    try:
        return min(last, utc_second(start + rules.max_validity))
    except OverflowError:
        return last


def _shorter(start: datetime, last: datetime, now: datetime) -> str:
    longest = last - start
    if longest < _SECOND or last <= now:
        return "use another profile: under this one no certificate can start then"
    return f"ask for a ttl of at most {_rounded(longest)}, or a not_after of {time(last)} or before"


def _rounded(length: timedelta) -> str:
    """The length, down to whole days or hours where that loses little."""
    for unit in (timedelta(days=1), timedelta(hours=1)):
        if length >= 2 * unit:
            return duration(length // unit * unit)
    return duration(length)
