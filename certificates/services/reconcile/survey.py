"""A first look at the whole journal: what counts for nothing, and what there is little of."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from certificates.services.reconcile.differences import Difference, Kind
from pki_portal import journal
from pki_portal.journal import Damage, Line

# Longer than any request or attempt of a worker may take.
UNDER_WAY_FOR = timedelta(minutes=2)

Entry = dict[str, Any]


@dataclass(slots=True)
class Survey:
    """What is known of the journal before its lines are gone through one by one.

    Attributes:
        undone: ids of lines whose act failed.
        unsigned: those of them for which no signature came back, or was thrown away before anybody saw it.
        deleted: ids of certificates that are gone on purpose.
        authorities: the last line about each CA.
        numbers: the highest number of each list; ``revisions``: the last revision.
    """

    now: datetime
    lines: int = 0
    torn: int = 0
    altered: list[Line] = field(default_factory=list)
    undone: set[str] = field(default_factory=set)
    unsigned: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    authorities: dict[str, Entry] = field(default_factory=dict)
    shards: list[Entry] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)

    def is_under_way(self, entry: Entry) -> bool:
        """Whether the act of this line may yet commit: it is young, and its process may live."""
        if datetime.fromisoformat(entry["at"]) < self.now - UNDER_WAY_FOR or entry["process"] == os.getpid():
            return False
        return entry["machine"] != journal.machine() or _is_alive(entry["process"])

    def damages(self) -> Iterator[Difference]:
        """Lines that are not what was written: what they announced is not known here."""
        for line in self.altered:
            yield Difference(Kind.LINE, f"{line.segment}, line {line.number}", "is not what was written")


def take_survey(now: datetime) -> Survey:
    """Read all of it once. Raises OSError, EOFError."""
    survey = Survey(now=now)
    authorities: list[Entry] = []
    deletions: list[Entry] = []
    for line in journal.read():
        survey.lines += 1
        entry = line.entry
        if entry is None:
            if line.damage is Damage.TORN:
                survey.torn += 1
            else:
                survey.altered.append(line)
        elif entry["kind"] == "undone":
            survey.undone.update(entry["of"])
            survey.unsigned.update(entry["unsigned"])
        elif entry["kind"] in {"authority", "authority-deleted"}:
            authorities.append(entry)
        elif entry["kind"] == "deleted":
            deletions.append(entry)
        elif entry["kind"] == "shards":
            survey.shards.append(entry)
        elif entry["kind"] == "crl":
            survey.numbers[entry["list"]] = max(entry["number"], survey.numbers.get(entry["list"], 0))
        elif entry["kind"] in {"revoke", "release"}:
            survey.revisions[entry["list"]] = max(entry["revision"], survey.revisions.get(entry["list"], 0))
    for entry in sorted(authorities, key=lambda each: str(each["at"])):
        if entry["id"] not in survey.undone:
            survey.authorities[entry["authority"]] = entry
    survey.deleted = {each["certificate"] for each in deletions if each["id"] not in survey.undone}
    return survey


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
