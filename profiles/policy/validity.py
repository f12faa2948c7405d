"""Lengths of life: text to durations."""

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

from profiles.policy.wording import quoted

# ASCII digits only, and few of them: an amount beyond the calendar need not be computed to be refused.
_DURATION = re.compile(r"(?P<amount>[0-9]{1,15}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}) *(?P<unit>[a-z]+)", re.IGNORECASE)
_BARE_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")

_MILLISECOND, _SECOND, _MINUTE, _HOUR, _DAY = 1, 1_000, 60_000, 3_600_000, 86_400_000


def _units(spellings: Mapping[int, str]) -> Mapping[str, int]:
    return {unit: milliseconds for milliseconds, units in spellings.items() for unit in units.split()}


_REQUEST_UNITS = _units(
    {
        _MILLISECOND: "ms msec msecs millisecond milliseconds",
        _SECOND: "s sec secs second seconds",
        _MINUTE: "m min mins minute minutes",
        _HOUR: "h hr hrs hour hours",
        _DAY: "d day days",
        7 * _DAY: "w week weeks",
        365 * _DAY: "y yr yrs year years",
    }
)
# In a template's validity, and nowhere else, "m" is a month of 30 days.
_TEMPLATE_UNITS = {**_REQUEST_UNITS, **_units({30 * _DAY: "m mo month months"})}


class InvalidDuration(ValueError):
    """A text that is no length of time; the message says what would be."""


def parse_ttl(text: str) -> timedelta:
    """Reads the TTL of a request: ``90d``, ``1.5h``, ``30 days``, ``25s``; ``m`` is minutes, ``y`` is 365 days.

    Raises:
        InvalidDuration: no such length, no unit, zero, or beyond what a timedelta holds.
    """
    return _parse(text, _REQUEST_UNITS, "write a number and a unit: s, m (minutes), h, d, w or y, for example 90d")


def parse_max_validity(text: str) -> timedelta:
    """Reads ``validity.max`` and ``validity.min`` of a template: as ``parse_ttl``, but ``m`` is months of 30 days.

    Raises:
        InvalidDuration: as ``parse_ttl``.
    """
    return _parse(text, _TEMPLATE_UNITS, "write a number and a unit: h, d, w, m (months of 30 days) or y, as in 90d")


def _parse(text: str, units: Mapping[str, int], advice: str) -> timedelta:
    stripped = text.strip(" \t\r\n")
    if _BARE_NUMBER.fullmatch(stripped):
        raise InvalidDuration(f"{quoted(text)} has no unit; {advice}")
    parts = _DURATION.fullmatch(stripped)
    unit = units.get(parts["unit"].lower()) if parts else None
    if parts is None or unit is None:
        raise InvalidDuration(f"{quoted(text)} is not a length of time; {advice}")
    try:
        length = timedelta(microseconds=int(Decimal(parts["amount"]) * unit * 1000))
    except OverflowError:
        raise InvalidDuration(f"{quoted(text)} is longer than any calendar; {advice}") from None
    if not length:
        raise InvalidDuration(f"{quoted(text)} is no time at all; {advice}")
    return length
