"""Single values of the wire: times, ids, and the refusal of one that has the wrong form."""

import re
from datetime import UTC, datetime
from typing import Self
from uuid import UUID

from pki_portal.errors import Malformed, Violation

UUID_FORM = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def iso(moment: datetime) -> str:
    """An aware time as clients expect it: UTC, milliseconds, ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def malformed(*, field: str, code: str, asked: str, allowed: str, fix: str) -> Malformed:
    """A 422 about one value of the request; ``field`` is its inside path (empty for the whole body)."""
    return Malformed(fix, violations=(Violation(field, code, "the form of the request", asked[:200], allowed, fix),))


def parse_uuid(text: str, *, field: str) -> UUID:
    """Read an id from a path or a query in its canonical form. Raises Malformed."""
    if not UUID_FORM.fullmatch(text):
        raise malformed(field=field, code="invalid_uuid", asked=text, allowed="a UUID", fix="Invalid uuid")
    return UUID(text)


class IssueCode(str):
    """The code of a refused value which tells what was asked and what is allowed too; never used for secrets.

    The REST framework makes every error's text anew on its way up and keeps the code alone as it was given.
    """

    asked: str
    allowed: str

    def __new__(cls, code: str, *, asked: str, allowed: str) -> Self:
        """``asked`` is cut to what a reader recognises."""
        made = super().__new__(cls, code)
        made.asked, made.allowed = asked[:100], allowed
        return made
