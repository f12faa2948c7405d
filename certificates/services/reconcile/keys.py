"""Private keys that were claimed or destroyed, and that a restored backup has brought back."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import models, transaction

from certificates.models import CertificateSecret
from certificates.services.reconcile.differences import RECONCILER, Difference, Kind
from certificates.services.reconcile.survey import Entry, Survey
from pki_portal import journal
from pki_portal.audit.services import record
from profiles.policy.vocabulary import KeyRetention

CHUNK = 500


def reconcile_keys(survey: Survey, *, apply: bool) -> Iterator[Difference]:
    """Destroy again what was destroyed, so that no key is claimed twice."""
    batch: list[Entry] = []
    for line in journal.read():
        entry = line.entry
        if entry is not None and entry["kind"] == "key-destroyed" and entry["id"] not in survey.undone:
            batch.append(entry)
        if len(batch) == CHUNK:
            yield from _reconcile_batch(survey, batch, apply=apply)
            batch = []
    yield from _reconcile_batch(survey, batch, apply=apply)


def _reconcile_batch(survey: Survey, batch: Sequence[Entry], *, apply: bool) -> Iterator[Difference]:
    kept = _kept(each["secret"] for each in batch).values_list("pk", flat=True)
    still = {str(pk) for pk in kept}
    for entry in batch:
        if entry["secret"] not in still:
            continue
        subject = f"of certificate {entry['certificate']}, destroyed {entry['destroyedAt'][:19]} UTC"
        if survey.is_under_way(entry):
            yield Difference(Kind.UNDER_WAY, f"private key {subject}")
            continue
        if apply:
            _destroy(entry)
        yield Difference(Kind.KEY, subject)


def _kept(secrets: Any) -> models.QuerySet[CertificateSecret]:
    return CertificateSecret.objects.filter(pk__in=list(secrets), destroyed_at__isnull=True)


def _destroy(entry: Entry) -> None:
    with transaction.atomic():
        secret = _kept([entry["secret"]]).select_for_update(of=("self",)).select_related("certificate").get()
        secret.sealed_private_key = None
        secret.destroyed_at = datetime.fromisoformat(entry["destroyedAt"])
        secret.destroyed_by = entry["destroyedBy"]
        if entry["claimedAt"] and secret.retention == KeyRetention.ONCE:
            secret.claimed_at, secret.claimed_by = datetime.fromisoformat(entry["claimedAt"]), entry["claimedBy"]
        secret.save(update_fields=["sealed_private_key", "destroyed_at", "destroyed_by", "claimed_at", "claimed_by"])
        record(
            event="reconcile-private-key",
            actor=RECONCILER.actor,
            project_id=secret.certificate.project_id,
            subject_type="certificate",
            subject_id=str(secret.certificate_id),
            data={"serialNumber": secret.certificate.serial_number, "journalledAt": entry["at"]},
        )
