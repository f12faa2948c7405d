"""How values are shown in messages: quoted, cut, and never able to break a log line or a page."""

from collections.abc import Iterable
from datetime import datetime, timedelta

_UNITS = ((timedelta(days=1), "d"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "m"), (timedelta(seconds=1), "s"))


def shown(text: str, limit: int = 100) -> str:
    """The text with everything unprintable escaped, cut after ``limit`` characters."""
    cut = text[:limit]
    if not cut.isprintable():
        cut = "".join(each if each.isprintable() else f"\\u{{{ord(each):x}}}" for each in cut)
    return cut if len(text) <= limit else cut + "…"


def quoted(text: str) -> str:
    return f'"{shown(text)}"'


def listed(texts: Iterable[str], limit: int = 10) -> str:
    """The texts with commas between them; from ``limit`` on only how many more there are."""
    every = list(texts)
    shown_ones = [shown(text) or '""' for text in every[:limit]]
    return ", ".join([*shown_ones, f"and {len(every) - limit} more"] if len(every) > limit else shown_ones)


def a(noun: str) -> str:
    """The noun with its article."""
    return f"an {noun}" if noun[:1] in "aeio" else f"a {noun}"


def time(moment: datetime) -> str:
    """ISO 8601 in whole seconds; the moment is aware UTC."""
    if moment.year < 1000:
        return f"year {moment.year}"
    return moment.replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def duration(length: timedelta) -> str:
    """The length in the largest unit that divides it, as ``parse_ttl`` reads it: ``90d``, ``36h``, ``25s``."""
    if length < timedelta(seconds=1):
        return f"{length.total_seconds():g}s"
    for unit, letter in _UNITS:
        if not length % unit:
            return f"{length // unit}{letter}"
    return f"{length // timedelta(seconds=1)}s"
