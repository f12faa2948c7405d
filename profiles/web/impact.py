"""What a change would do, in the words of the pages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.http import HttpRequest

from profiles.impact import Impact, NewlyRefused, Tally
from profiles.services import renewals_lost

NAMED = 20


@dataclass(frozen=True, slots=True)
class Named:
    """Those that would be refused by name, the first few; ``more`` tells how many others there are."""

    rows: Sequence[NewlyRefused]
    more: int


@dataclass(frozen=True, slots=True)
class Panel:
    """The impact of a change that is not saved.

    Attributes:
        asks: the change was to be saved, and would take renewals away: to save it takes a second press.
    """

    requests_said: Sequence[str]
    renewals_said: Sequence[str]
    requests: Named
    renewals: Named
    asks: bool

    @property
    def is_harmless(self) -> bool:
        """Nothing that passes today would be refused."""
        return not self.requests.rows and not self.renewals.rows


def panel_before_saving(request: HttpRequest, preview: Callable[[], Impact]) -> Panel | None:
    """What to show instead of saving what the form says; None where it is to be saved.

    That is the preview where it was asked for, and where the change takes renewals away until that is confirmed.
    Raises what ``preview`` does where it was asked for.
    """
    if request.POST.get("preview"):
        return panel_of(preview())
    lost = None if request.POST.get("confirmed") else renewals_lost(preview)
    return None if lost is None else panel_of(lost, asks=True)


def panel_of(impact: Impact, *, asks: bool = False) -> Panel:
    """The panel of a form."""
    return Panel(
        requests_said=_requests_said(impact),
        renewals_said=_renewals_said(impact),
        requests=_named(impact.refused_requests, impact.requests),
        renewals=_named(impact.refused_renewals, impact.renewals),
        asks=asks,
    )


def _named(rows: Sequence[NewlyRefused], tally: Tally) -> Named:
    shown = rows[:NAMED]
    return Named(shown, tally.newly_refused - len(shown))


def _requests_said(impact: Impact) -> list[str]:
    tally, since = impact.requests, f"in the last {impact.days} days"
    if not tally.total:
        return [f"Nothing was asked for {since}."]
    as_before = tally.passing - tally.newly_passing
    first = f"{as_before} of {_counted(tally.looked_at, 'recent request')} {_verb(as_before, 'pass')} as before"
    said = [f"{first}; {tally.newly_refused} would be refused."]
    if tally.newly_passing:
        said.append(f"{tally.newly_passing} would pass that {_be(tally.newly_passing)} refused today.")
    if tally.refused_anyway:
        said.append(f"{tally.refused_anyway} {_be(tally.refused_anyway)} refused today and would be then.")
    return [*said, *_sampled(tally, f"requests {since}")]


def _renewals_said(impact: Impact) -> list[str]:
    tally = impact.renewals
    if not tally.total:
        return ["No certificate renews by itself."]
    if not tally.newly_refused:
        said = ["No renewal that passes today would fail."]
    else:
        first = f", the first on {impact.first_refused_renewal:%Y-%m-%d}" if impact.first_refused_renewal else ""
        said = [f"{_counted(tally.newly_refused, 'renewal')} will fail{first}."]
    if tally.newly_passing:
        said.append(f"{tally.newly_passing} would pass that {_verb(tally.newly_passing, 'fail')} today.")
    if tally.refused_anyway:
        said.append(f"{tally.refused_anyway} {_verb(tally.refused_anyway, 'fail')} with and without the change.")
    return [*said, *_sampled(tally, "renewals to come")]


def _sampled(tally: Tally, what: str) -> list[str]:
    return [f"Looked at: the newest {tally.looked_at} of {tally.total} {what}."] if tally.is_sample else []


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _verb(number: int, verb: str) -> str:
    singular = f"{verb}es" if verb.endswith("s") else f"{verb}s"
    return singular if number == 1 else verb


def _be(number: int) -> str:
    return "is" if number == 1 else "are"
