"""Dates on the wire: what clients of the reference send, which is what JavaScript's ``Date`` reads of ISO 8601."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from profiles.policy.judges.lifetime import EARLIEST

_FORM: Final = re.compile(
    r"(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})"
    r"(?:[Tt ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?)?"
    r"(?:(?P<utc>[Zz])|(?P<sign>[+-])(?P<offset_hour>[0-9]{2}):?(?P<offset_minute>[0-9]{2}))?)?)?)?"
)


def parse_wire_datetime(text: str) -> datetime:
    """Aware UTC time of ``2029``, ``2029-06``, ``2029-06-12`` or an RFC 3339 time; UTC where no offset is written.

    Raises:
        ValueError: it is none of these, does not exist, or no certificate can say it (before 1950).
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError("Expected a date such as 2029-06-12 or 2029-06-12T10:00:00Z")
    parts = {name: int(value) for name, value in found.groupdict(default="0").items() if value.isdecimal()}
    fraction = (found["fraction"] or "").ljust(6, "0")[:6]
    try:
        moment = datetime(
            parts["year"],
            1 if found["month"] is None else parts["month"],
            1 if found["day"] is None else parts["day"],
            parts["hour"],
            parts["minute"],
            parts["second"],
            int(fraction),
            tzinfo=_offset(found["sign"], parts["offset_hour"], parts["offset_minute"]),
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("There is no such date") from None
    if moment < EARLIEST:
        raise ValueError("No certificate can say a time before 1950")
    return moment


def _offset(sign: str | None, hours: int, minutes: int) -> timezone:
    """Raises ValueError for an offset of a day or more."""
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if sign == "-" else offset)
