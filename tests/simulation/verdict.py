"""What must be true at the end of the year."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from certificates.models import AutoRenewal, Certificate, CertificateRequest, CertificateSecret
from certificates.models.certificate import CertificateStatus
from certificates.models.request import RequestStatus
from certificates.models.secret import CLAIM_WINDOW
from certificates.services.kept_keys import CLAIM_EVENT
from certificates.services.renewal import AUTOMATED_EVENT, RENEW_EVENT
from pki_portal.audit.models import AuditEvent, Outcome
from profiles.policy.vocabulary import KeyRetention

COLUMNS = (
    *("id", "renewed_from_id", "status", "not_before", "not_after", "created_at", "serial_number"),
    *("renewal_error", "revoked_at", "public_key_sha256", "profile__slug"),
)


@dataclass
class Verdict:
    """Each fault as a sentence, none if all is well; and counts."""

    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def expect(self, is_so: object, fault: str) -> None:
        """Note the fault unless it is so."""
        if not is_so:
            self.faults.append(fault)


def judge(*, journal: Path, now: datetime, lineages: int) -> Verdict:
    """Read everything that there is."""
    verdict = Verdict()
    rows: dict[UUID, dict[str, Any]] = {row["id"]: row for row in Certificate.objects.values(*COLUMNS).iterator()}
    _judge_lineages(verdict, rows, now=now, lineages=lineages)
    _judge_claims(verdict, rows, journal=journal, now=now)
    _judge_reasons(verdict)
    return verdict


def _judge_lineages(verdict: Verdict, rows: dict[UUID, dict[str, Any]], *, now: datetime, lineages: int) -> None:
    successors = defaultdict(list)
    for row in rows.values():
        if row["renewed_from_id"]:
            successors[row["renewed_from_id"]].append(row["id"])
    waiting = set(AutoRenewal.objects.filter(due_at__gt=now).values_list("pk", flat=True))
    first = [row for row in rows.values() if row["renewed_from_id"] is None]
    verdict.expect(len(first) == lineages, f"{len(first)} lineages instead of {lineages}")
    serial_numbers = {row["serial_number"] for row in rows.values()}
    verdict.expect(len(serial_numbers) == len(rows), "a serial number stands twice")
    reached = 0
    for row in first:
        reached += 1
        while following := successors[row["id"]]:
            verdict.expect(len(following) == 1, f"{row['id']} has {len(following)} successors")
            successor = rows[following[0]]
            reached += 1
            verdict.counts["renewals"] += 1
            verdict.expect(successor["not_before"] <= row["not_after"], f"a gap before {successor['id']}")
            verdict.expect(successor["created_at"] <= row["not_after"], f"{successor['id']} came after the end")
            verdict.expect(
                row["revoked_at"] is None or row["revoked_at"] >= successor["created_at"],
                f"{row['id']} was renewed after it was revoked",
            )
            verdict.expect(not row["renewal_error"], f"{row['id']} has a successor and an error")
            row = successor
        _judge_head(verdict, row, now=now, waiting=waiting)
    verdict.expect(reached == len(rows), f"{len(rows) - reached} certificates are of no lineage")
    verdict.counts["certificates"] = len(rows)
    done = Counter(
        AuditEvent.objects.filter(event__in=(RENEW_EVENT, AUTOMATED_EVENT), outcome=Outcome.DONE).values_list(
            "event", flat=True
        )
    )
    verdict.counts.update(by_workers=done[AUTOMATED_EVENT], by_call=done[RENEW_EVENT])
    verdict.expect(sum(done.values()) == verdict.counts["renewals"], "events and successors are not as many")


def _judge_head(verdict: Verdict, row: dict[str, Any], *, now: datetime, waiting: set[UUID]) -> None:
    if row["status"] == CertificateStatus.REVOKED:
        verdict.counts["revoked heads"] += 1
    elif row["profile__slug"] == "ending":
        verdict.counts["heads of the CA that ended"] += 1
        verdict.expect(row["renewal_error"], f"{row['id']} of the CA that ended has no reason")
        verdict.expect(row["not_after"] <= now, f"{row['id']} outlives its CA")
    else:
        verdict.counts["live heads"] += 1
        verdict.expect(row["not_after"] > now, f"{row['id']} of {row['profile__slug']} has ended without a successor")
        verdict.expect(row["id"] in waiting, f"{row['id']} is due for no renewal")


def _judge_claims(verdict: Verdict, rows: dict[UUID, dict[str, Any]], *, journal: Path, now: datetime) -> None:
    got: dict[UUID, list[str]] = defaultdict(list)
    for line in journal.read_text().splitlines():
        key, what = line.split()
        if len(what) == 64:
            got[UUID(key)].append(what)
        else:
            verdict.counts[f"claims refused ({what})"] += 1
    for certificate, keys in got.items():
        verdict.expect(len(keys) == 1, f"the key of {certificate} was got {len(keys)} times")
        verdict.expect(keys[0] == rows[certificate]["public_key_sha256"], f"the key of {certificate} is another's")
    claimed = set(CertificateSecret.objects.filter(claimed_at__isnull=False).values_list("certificate", flat=True))
    verdict.expect(set(got) <= claimed, "a key was got that is not claimed")
    told = Counter(
        AuditEvent.objects.filter(event=CLAIM_EVENT, outcome=Outcome.DONE).values_list("subject_id", flat=True)
    )
    verdict.expect(not told or max(told.values()) == 1, "a claim is told twice")
    verdict.expect({str(key) for key in claimed} == set(told), "claims and their events differ")
    once = CertificateSecret.objects.filter(retention=KeyRetention.ONCE)
    # The job comes round every hour, and the clock jumps.
    overdue = once.filter(destroyed_at__isnull=True, created_at__lt=now - CLAIM_WINDOW - timedelta(days=4))
    verdict.expect(not overdue.exists(), f"{overdue.count()} keys wait longer than they may")
    verdict.counts.update(
        {
            "keys claimed": len(claimed),
            "answers of a claim lost": len(claimed - set(got)),
            "keys destroyed unclaimed": once.filter(destroyed_at__isnull=False, claimed_at__isnull=True).count(),
            "keys in escrow": CertificateSecret.objects.filter(retention=KeyRetention.ESCROW).count(),
        }
    )


def _judge_reasons(verdict: Verdict) -> None:
    failed = CertificateRequest.objects.filter(status=RequestStatus.FAILED)
    verdict.counts["refused renewals"] = failed.count()
    verdict.expect(not failed.filter(error_message="").exists(), "a request failed without a message")
    verdict.expect(not failed.filter(violations=[]).exists(), "a request failed without a reason")
    for codes in failed.values_list("violations", flat=True).iterator():
        verdict.counts.update(f"refused: {each['code']}" for each in codes)
    verdict.expect(
        not CertificateRequest.objects.filter(status=RequestStatus.ISSUED, certificate=None).exists(),
        "a request is issued and has no certificate",
    )
    waiting = AutoRenewal.objects.filter(due_at__isnull=False)
    silent = waiting.filter(attempts__gt=0, last_error="")
    verdict.expect(not silent.exists(), f"{silent.count()} renewals failed and say nothing")
    verdict.expect(not AutoRenewal.objects.filter(gave_up_at__isnull=False).exists(), "a renewal was given up")
    verdict.expect(not waiting.filter(lease__isnull=False).exists(), "a lease is left over")
