"""CAs that the database has lost, or knows as they were before."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db import IntegrityError, models, transaction

from certificates.models import CertificateAuthority, RevocationListShard
from certificates.services.reconcile.differences import RECONCILER, Difference, Kind
from certificates.services.reconcile.rows import MODELS, Missing, row_of, store_as_it_was
from certificates.services.reconcile.survey import Entry, Survey
from pki_portal.access.models import Project
from pki_portal.audit.services import record

_NEEDED = {"parent_id", "active_certificate_id", "issuer_certificate_id"}


def reconcile_authorities(survey: Survey, *, apply: bool) -> Iterator[Difference]:
    """Each CA as its last line has it, with the keys and versions that are not there; parents first."""
    waiting = [
        entry
        for entry in survey.authorities.values()
        if entry["kind"] == "authority" and not survey.is_under_way(entry) and _is_behind(entry)
    ]
    problems: dict[str, str] = {}
    while waiting:
        left = []
        for entry in waiting:
            problem = _restore(entry) if apply else ""
            if problem:
                problems[entry["authority"]] = problem
                left.append(entry)
            else:
                yield Difference(Kind.AUTHORITY, _name(entry))
        if len(left) == len(waiting):
            yield from (Difference(Kind.AUTHORITY, _name(each), problems[each["authority"]]) for each in left)
            break
        waiting = left
    yield from _reconcile_shards(survey, apply=apply)


def _is_behind(entry: Entry) -> bool:
    """Whether the database misses the CA, a part of it, or the last act on it."""
    documents = entry["rows"]
    present = {
        label: set(
            map(str, MODELS[label]._base_manager.filter(pk__in=_ids(documents, label)).values_list("pk", flat=True))
        )
        for label in {document["model"] for document in documents}
    }
    if any(document["values"]["id"] not in present[document["model"]] for document in documents):
        return True
    return _is_older(entry)


def _is_older(entry: Entry) -> bool:
    """Whether the stored CA, which is there, has not seen the act of the line."""
    stored = CertificateAuthority.objects.get(pk=entry["authority"])
    values = _values(entry)
    is_unfinished = stored.active_certificate_id is None and values["active_certificate_id"] is not None
    return is_unfinished or stored.updated_at < datetime.fromisoformat(values["updated_at"])


def _restore(entry: Entry) -> str:
    """What stands in the way, or nothing."""
    try:
        with transaction.atomic():
            for document in _in_order(entry):
                row = row_of(document)
                is_there = row._meta.model._base_manager.filter(pk=row.pk).exists()
                # Of what is there the CA alone changes; a key may be sealed under a newer master key by now.
                if is_there and not isinstance(row, CertificateAuthority):
                    continue
                _store(row, is_there=is_there)
            values = _values(entry)
            if _is_older(entry):
                # With its active certificate, which had to wait for the versions.
                store_as_it_was(row_of(_document(entry, "certificates.certificateauthority")), needs=_NEEDED)
            record(
                event="reconcile-ca",
                actor=RECONCILER.actor,
                project_id=values["project_id"],
                subject_type="certificate-authority",
                subject_id=entry["authority"],
                data={"name": values["name"], "asOf": entry["at"]},
            )
    except Missing as problem:
        return str(problem)
    except IntegrityError as problem:
        return f"the database refuses it: {problem}"
    return ""


def _store(row: models.Model, *, is_there: bool) -> None:
    if isinstance(row, CertificateAuthority):
        if is_there:
            return
        # Waiting for a certificate until the versions are there.
        row.active_certificate_id, row.status = None, "pending-certificate"
    store_as_it_was(row, needs=_NEEDED)


def _in_order(entry: Entry) -> list[dict[str, Any]]:
    """Versions after the versions that issued them: a root's two keys certify each other."""
    documents = entry["rows"]
    versions = [each for each in documents if each["model"] == "certificates.authoritycertificate"]
    self_signed = [each for each in versions if each["values"]["issuer_certificate_id"] is None]
    return [each for each in documents if each not in versions] + sorted(
        versions, key=lambda each: (each not in self_signed, each["values"]["version"])
    )


def _reconcile_shards(survey: Survey, *, apply: bool) -> Iterator[Difference]:
    """Shards whose addresses certificates may name."""
    for entry in survey.shards:
        for document in entry["rows"] if entry["id"] not in survey.undone else ():
            if RevocationListShard.objects.filter(pk=document["values"]["id"]).exists():
                continue
            problem = ""
            if apply:
                try:
                    with transaction.atomic():
                        shard = row_of(document)
                        store_as_it_was(shard)
                        lists = MODELS["certificates.certificaterevocationlist"]._base_manager
                        generation = document["values"]["generation"]
                        lists.filter(pk=entry["list"], shard_generation__lt=generation).update(
                            shard_generation=generation
                        )
                except (Missing, IntegrityError) as refusal:
                    problem = str(refusal)
            yield Difference(Kind.SHARD, document["values"]["id"], problem)


def _name(entry: Entry) -> str:
    project = Project.objects.filter(pk=_values(entry)["project_id"]).values_list("slug", flat=True).first()
    return f"{_values(entry)['name']} ({entry['authority']}) of project {project or _values(entry)['project_id']}"


def _values(entry: Entry) -> dict[str, Any]:
    values: dict[str, Any] = _document(entry, "certificates.certificateauthority")["values"]
    return values


def _document(entry: Entry, label: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in entry["rows"] if each["model"] == label)
    return found


def _ids(documents: list[dict[str, Any]], label: str) -> list[str]:
    return [each["values"]["id"] for each in documents if each["model"] == label]
