"""What the journal is told before a CA's key signs, a certificate is revoked or a CRL published.

The files are those of :mod:`pki_portal.journal`.

An act stands in a block of :func:`journaled`, and whatever it writes in between belongs to it:

- ``sign``, on the disk before the key signs: the bytes to be signed, the issuer, and for whom they are signed;
- ``signed``, before the commit: the certificate and its rows, from which they can be made again as they were;
- ``revoke`` and ``release``, on the disk before the commit;
- ``key-destroyed``, on the disk before the commit: a kept private key that was claimed or destroyed;
- ``deleted``, on the disk before the commit: a certificate that is gone on purpose;
- ``authority``, on the disk before the commit: a CA as it stands after an act on it, with its keys, sealed; and
  ``authority-deleted``;
- ``crl``, on the disk before the list is handed out: its number and hash; ``shards``: those that were opened;
- ``undone``, where the act failed: which of its lines count for nothing, and what of it was not even signed.

Private keys of certificates are in no line, sealed or not: they are destroyed when they are claimed, and the journal
forgets nothing. Keys of CAs are, sealed: without them nothing that they signed could be revoked.

Raises, each of the functions: Unavailable where a line cannot be written, and then the act must not go on.
"""

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID, uuid4

from django.conf import settings
from django.db import models
from django.utils import timezone

from certificates.models import (
    AuthorityCertificate,
    Certificate,
    CertificateAuthority,
    CertificateRevocationList,
    CertificateSecret,
    OcspResponder,
    RevocationEntry,
    RevocationListShard,
)
from certificates.models.revocation import PublishedList
from pki_portal import journal
from pki_portal.access.requester import Requester
from pki_portal.errors import PortalError, Unavailable
from pki_portal.rows import bytes_value, row_values

logger = logging.getLogger(__name__)

# What a certificate says itself is read from it again, and what is published is published anew.
REPEATED_COLUMNS: Final = frozenset(
    {
        *("serial_number", "common_name", "organization", "organizational_unit", "country", "state", "locality"),
        *("subject_alternative_names", "alt_names", "key_usages", "extended_key_usages", "key_algorithm"),
        *("signature_algorithm", "is_ca", "path_length", "not_before", "not_after", "fingerprint_sha256"),
        *("fingerprint_sha1", "public_key_sha256", "der"),
    }
)
_PUBLISHED_COLUMNS: Final = frozenset(
    field.attname
    for field in PublishedList._meta.get_fields()
    if isinstance(field, models.Field) and field.attname != "id"
)


@dataclass(slots=True)
class _Act:
    """What one block of :func:`journaled` has written."""

    requester: Requester
    project_id: UUID
    lines: list[UUID] = field(default_factory=list)
    announced: set[UUID] = field(default_factory=set)
    unsigned: set[UUID] = field(default_factory=set)


# As with a transaction, what belongs to an act is what is done within its block, however deep.
_act: ContextVar[_Act | None] = ContextVar("journaled act", default=None)


@contextmanager
def journaled(*, requester: Requester, project_id: UUID) -> Iterator[None]:
    """One act, all of it or nothing: stand outside its transaction, so that the commit is within the block.

    Where the block fails, its lines are told to count for nothing. Whether the database has it decides in any case: a
    commit whose answer was lost may have been one.
    """
    act = _Act(requester=requester, project_id=project_id)
    outer = _act.set(act)
    try:
        yield
    except BaseException as problem:
        if isinstance(problem, PortalError) and not isinstance(problem, Unavailable):
            # A refusal of ours, before any commit: what was signed was thrown away, and nobody has seen it.
            act.unsigned |= act.announced
        _undo(act)
        raise
    finally:
        _act.reset(outer)


class Announcement(NamedTuple):
    """Of bytes that a key is about to sign: ``issuer`` None where the key signs itself, ``profile_id`` where a profile
    allowed it.
    """

    tbs: bytes
    serial_number: str
    issuer: AuthorityCertificate | None
    not_after: datetime
    profile_id: UUID | None


def announce(announcements: Sequence[Announcement]) -> list[UUID]:
    """Bring to the disk what keys are about to sign; the ids of its lines.

    Raises:
        Unavailable: it could not be announced, and nothing may be signed.
    """
    act = _act.get()
    if act is None:
        raise RuntimeError("certificates are signed within `journaled`")
    lines = [uuid4() for _ in announcements]
    act.announced.update(lines)
    act.unsigned.update(lines)
    _append_all("sign", {line: _announced(each) for line, each in zip(lines, announcements, strict=True)})
    return lines


def signature_came_back(line: UUID) -> None:
    """That the key signed what the line announces: should the act fail, somebody may hold the signature."""
    act = _act.get()
    if act is not None:
        act.unsigned.discard(line)


def _announced(announcement: Announcement) -> dict[str, object]:
    issuer = announcement.issuer
    return {
        "issuer": issuer.pk if issuer is not None else None,
        "key": issuer.key_id if issuer is not None else None,
        "serial": announcement.serial_number,
        "notAfter": announcement.not_after,
        "profile": announcement.profile_id,
        "tbs": bytes_value(announcement.tbs),
    }


def certificates_stored(rows: Mapping[UUID, Certificate | OcspResponder]) -> None:
    """Certificates that were just signed, by the line that announced each, and the rows that were just stored with
    them; in the transaction that stored them.

    Not waited for: the commit that follows waits for the disk itself, and the next certificate's first line brings
    these there too.
    """
    told = {uuid4(): _told(row, of=line) for line, row in rows.items()}
    _append_all("signed", told, is_flushed=False)


def tell_certificate(row: Certificate | OcspResponder, *, of: UUID) -> None:
    """A certificate and its rows as they are, for the ``sign`` line with the id ``of``. Not waited for."""
    _append("signed", _told(row, of=of), is_flushed=False)


def _told(row: Certificate | OcspResponder, *, of: UUID) -> dict[str, object]:
    if isinstance(row, Certificate):
        key = row.authority_certificate.key_id if row.authority_certificate is not None else None
        rows = [_document(row.issuing_request), _document(row, leaving_out=REPEATED_COLUMNS)]
    else:
        key = row.key_id
        rows = [_document(row, leaving_out=frozenset({"der", "sealed_private_key"}))]
    der = bytes_value(row.der)
    return {"of": of, "key": key, "serial": row.serial_number, "der": der, "rows": rows}


def authority_changed(authority: CertificateAuthority) -> None:
    """A CA as it stands at the end of an act on it, with its keys and the versions of its certificate."""
    keys = list(authority.keys.order_by("created_at"))
    lists = CertificateRevocationList.objects.filter(key__in=keys).defer("der")
    rows = (
        [_document(authority.project), _document(authority)]
        + [_document(each) for each in (*keys, *authority.certificates.order_by("version"))]
        + [_document(each, leaving_out=_PUBLISHED_COLUMNS) for each in lists]
    )
    _append("authority", {"authority": authority.pk, "rows": rows})


def authority_deleted(authority: CertificateAuthority) -> None:
    """That a CA is gone on purpose."""
    _append("authority-deleted", {"authority": authority.pk})


def revoked(
    revocation_list: CertificateRevocationList, entries: Sequence[RevocationEntry], *, requester: Requester
) -> None:
    """Entries of one list that were just stored, all of one reason."""
    _append(
        "revoke",
        {
            "list": revocation_list.pk,
            "key": revocation_list.key_id,
            "revision": revocation_list.revision,
            "reason": int(entries[0].reason),
            "invalidityDate": entries[0].invalidity_date,
            "actor": {"kind": requester.kind, "id": requester.id, "name": requester.name},
            # None for a CA's certificate, which the next line about the CA tells of.
            "entries": [
                [entry.certificate_id, entry.serial_number, entry.revoked_at, entry.not_after] for entry in entries
            ],
            "authorityCertificate": entries[0].authority_certificate_id,
        },
    )


def released(revocation_list: CertificateRevocationList, certificate: Certificate, *, released_at: datetime) -> None:
    """That a hold has ended."""
    _append(
        "release",
        {
            "list": revocation_list.pk,
            "key": revocation_list.key_id,
            "revision": revocation_list.revision,
            "certificate": certificate.pk,
            "serial": certificate.serial_number,
            "releasedAt": released_at,
            "notAfter": certificate.not_after,
        },
    )


def certificate_deleted(certificate: Certificate) -> None:
    """That a certificate is gone on purpose; its revocation is not."""
    _append("deleted", {"certificate": certificate.pk, "serial": certificate.serial_number})


def key_destroyed(secret: CertificateSecret) -> None:
    """That the private key of a certificate was claimed or destroyed, and must not come back."""
    _append(
        "key-destroyed",
        {
            "secret": secret.pk,
            "certificate": secret.certificate_id,
            "destroyedAt": secret.destroyed_at,
            "destroyedBy": secret.destroyed_by,
            "claimedAt": secret.claimed_at,
            "claimedBy": secret.claimed_by,
        },
    )


def crl_signed(*, list_id: UUID, number: int, der: bytes) -> None:
    """A list that was just stored and is about to be handed out, in the transaction that stored it."""
    _append("crl", {"list": list_id, "number": number, "sha256": hashlib.sha256(der).hexdigest()})


def shards_opened(revocation_list: CertificateRevocationList, shards: Sequence[RevocationListShard]) -> None:
    """Shards whose addresses the next certificates may name."""
    rows = [_document(each, leaving_out=_PUBLISHED_COLUMNS) for each in shards]
    _append("shards", {"list": revocation_list.pk, "rows": rows})


def _undo(act: _Act) -> None:
    """Best effort: where this is lost too, the lines count, and more is known than there was."""
    if not act.lines:
        return
    unsigned = [line for line in act.lines if line in act.unsigned]
    try:
        journal.append([_entry("undone", {"of": act.lines, "unsigned": unsigned})])
    except OSError as problem:
        logger.error("the journal cannot be told that an act failed: %s", problem)


def _append(kind: str, values: Mapping[str, object], *, is_flushed: bool = True) -> None:
    _append_all(kind, {uuid4(): values}, is_flushed=is_flushed)


def _append_all(kind: str, lines: Mapping[UUID, Mapping[str, object]], *, is_flushed: bool = True) -> None:
    """Lines of one kind by their ids, all or none."""
    act = _act.get()
    whose: dict[str, object] = {}
    if act is not None:
        whose = {"project": act.project_id, "requester": _actor(act.requester)}
        act.lines += lines
    try:
        journal.append(
            [_entry(kind, values, line_id=line) | whose for line, values in lines.items()], is_flushed=is_flushed
        )
    except OSError as problem:
        raise Unavailable(
            f"The issuance journal in {settings.PKI_PORTAL_JOURNAL} cannot be written ({problem.strerror}): nothing is"
            " signed or revoked without it."
        ) from problem


def _entry(kind: str, values: Mapping[str, object], *, line_id: UUID | None = None) -> dict[str, object]:
    return {
        "kind": kind,
        "id": line_id or uuid4(),
        "at": timezone.now(),
        "machine": journal.machine(),
        "process": os.getpid(),
        **values,
    }


def _actor(requester: Requester) -> dict[str, str]:
    return {"kind": requester.kind, "id": requester.id, "name": requester.name}


def _document(row: models.Model, *, leaving_out: frozenset[str] = frozenset()) -> dict[str, object]:
    return {"model": row._meta.label_lower, "values": row_values(row, leaving_out=leaving_out)}
