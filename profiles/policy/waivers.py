"""Waivers: findings of the linter that a profile's operators accept, each with a written reason."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from profiles.policy.documents import Defects, read_array, read_object, read_text

SHORTEST_REASON = 10
LONGEST_REASON = 500
MOST_WAIVERS = 50
_CODE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")


@dataclass(frozen=True, slots=True)
class LintWaiver:
    """Lets certificates with the finding ``code`` pass; from ``expires_at`` (aware) on it no longer counts."""

    code: str
    reason: str
    expires_at: datetime | None = None

    def counts_at(self, now: datetime) -> bool:
        """Whether it has not expired at ``now`` (aware)."""
        return self.expires_at is None or now < self.expires_at


def read_waivers(document: object) -> tuple[LintWaiver, ...]:
    """Compiles a profile's list of waivers (``code``, ``reason``, ``expires_at``); null is an empty list.

    Whether there is such a finding is for the linter to say; here a code is judged by its form.

    Raises:
        RuleError: with every defect.
        DuplicateRule: all is readable, but a code stands twice.
    """
    defects = Defects()
    waivers: dict[str, LintWaiver] = {}
    entries = read_array(defects, "lint_waivers", document)
    if len(entries) > MOST_WAIVERS:
        defects.add("lint_waivers", entries, f"at most {MOST_WAIVERS} waivers")
        entries = ()
    for index, member in enumerate(entries):
        place = f"lint_waivers/{index}"
        entry = read_object(defects, place, member)
        if entry is None:
            if member is None:
                defects.add(place, member, "an object with code and reason")
            continue
        code = read_text(defects, f"{place}/code", entry.get("code"), _read_code)
        reason = read_text(defects, f"{place}/reason", entry.get("reason"), _read_reason)
        for name in ("code", "reason"):
            if entry.get(name) is None:
                defects.add(f"{place}/{name}", None, "a text that is not empty")
        expires_at = read_text(defects, f"{place}/expires_at", entry.get("expires_at"), _read_instant)
        if code is None or reason is None:
            continue
        if code in waivers:
            defects.add_duplicate(f"{place}/code", code)
        waivers[code] = LintWaiver(code, reason, expires_at)
    defects.raise_any()
    return tuple(waivers.values())


def waivers_as_json(waivers: Iterable[LintWaiver]) -> list[dict[str, str | None]]:
    """What :func:`read_waivers` reads back."""
    return [
        {
            "code": waiver.code,
            "reason": waiver.reason,
            "expires_at": None if waiver.expires_at is None else waiver.expires_at.isoformat(),
        }
        for waiver in waivers
    ]


def _read_code(text: str) -> str:
    code = text.strip()
    if not _CODE.fullmatch(code):
        raise ValueError("the id of a finding as the linter writes it, such as pkix.invalid_uri_syntax")
    return code


def _read_reason(text: str) -> str:
    reason = " ".join(text.split())
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON or not reason.isprintable():
        raise ValueError(f"a reason of {SHORTEST_REASON} to {LONGEST_REASON} printable characters")
    return reason


def _read_instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text.strip())
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError("a time as in 2027-06-30T00:00:00Z") from None
