"""What a complete CRL is made of: segments of entries that were sealed for all lists to come, and what is read anew.

An entry that is revoked for good never changes again, and every change of a list has a revision of its own, counted
under the lock of the list's row. So the entries of all revisions up to one that was read are there, and those of them
that are not on hold can be put one after the other once: a list of a million entries is read as some hundred values.
Entries on hold, and the last few, are read for each list.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models.functions import Greatest

from certificates.models import CertificateRevocationList, RevocationEntry, RevocationListShard, RevocationSegment
from certificates.models.certificate import RevocationReason
from certificates.x509.crl import EncodedEntries, SignedCrl
from pki_portal.errors import Unavailable

# At least, where more follow; those of one revision are in one segment.
ENTRIES_PER_SEGMENT = 4096
# For whoever is still downloading a list that a replaced segment is part of.
REPLACED_KEPT_FOR = timedelta(hours=1)
# Entries, and segments of some 220 kB each, read from the database at once.
CHUNK = 10_000
SEGMENTS_AT_ONCE = 4

# revision, reason, end, der
_Row = tuple[int, int, datetime, bytes]


@dataclass(slots=True)
class Contents:
    """The entries of one list that is to be signed.

    Attributes:
        kept: segments that are stored, without their entries.
        fresh: segments that come to be with this list.
        replaced: segments that are stored and say what is to be said no more.
        singles: the entries of no segment.
    """

    kept: list[RevocationSegment]
    fresh: list[RevocationSegment]
    replaced: list[RevocationSegment]
    singles: list[bytes]

    @property
    def segments(self) -> list[RevocationSegment]:
        """As they follow one another in the list, before the single entries."""
        return [*self.kept, *self.fresh]

    def entries(self) -> EncodedEntries:
        """To be read once. Reading raises Unavailable where a segment went meanwhile."""
        return EncodedEntries(
            pieces=self._pieces(),
            size=sum(segment.size for segment in self.segments) + sum(map(len, self.singles)),
            count=sum(segment.entry_count for segment in self.segments) + len(self.singles),
        )

    def _pieces(self) -> Iterator[bytes]:
        yield from encodings_of([segment.pk for segment in self.kept])
        for segment in self.fresh:
            yield bytes(segment.der)
            segment.der = b""  # those of a million entries are 53 MB, which are in the list now
        yield from self.singles

    def store(self, revocation_list: CertificateRevocationList, crl: SignedCrl, *, now: datetime) -> None:
        """Store the fresh segments, as they stand in the signed list, and which ones they replace, in the transaction
        that stores the list. What was replaced an hour before ``now`` is deleted.
        """
        segments = revocation_list.sealed_segments
        segments.filter(replaced_at__lt=now - REPLACED_KEPT_FOR).delete()
        segments.filter(pk__in=[segment.pk for segment in self.replaced]).update(replaced_at=now)
        at = crl.entries_at + sum(segment.size for segment in self.kept)
        for segment in self.fresh:
            segment.der = crl.der[at : at + segment.size]
            segment.save(force_insert=True)
            segment.der = b""
            at += segment.size


def contents_of(revocation_list: CertificateRevocationList, *, revision: int) -> Contents:
    """What the next complete list says; ``revision`` was read before, so that all entries up to it are there."""
    contents = Contents(kept=[], fresh=[], replaced=[], singles=[])
    first = 0
    for segment in current_segments(revocation_list).defer("der"):
        if _has_ended(segment, revocation_list.scheduled_at):
            contents.replaced.append(segment)
            continue
        if segment.first_revision > first:
            contents.fresh += _segments_between(revocation_list, first, segment.first_revision - 1)
        contents.kept.append(segment)
        first = segment.last_revision + 1
    fresh, unsealed, contents.singles = _cut(revocation_list, _rows_from(revocation_list, first), first, revision)
    contents.fresh += fresh
    contents.singles += [encoded for *_, encoded in unsealed]
    return contents


def current_segments(revocation_list: CertificateRevocationList) -> models.QuerySet[RevocationSegment]:
    """Those that the published list is made of, and the next one will be, by their revisions."""
    return revocation_list.sealed_segments.filter(replaced_at__isnull=True).order_by("first_revision")


def says_what_its_entries_say(segment: RevocationSegment) -> bool:
    """Whether a stored segment is what its entries would make; what was left out had ended before any of them does."""
    rows: list[_Row] = []
    if segment.first_end is not None:
        rows += _rows_between(
            segment.revocation_list, segment.first_revision, segment.last_revision, since=segment.first_end
        )
    rows.sort(key=itemgetter(0, 3))
    told = _segment(segment.revocation_list, segment.first_revision, segment.last_revision, rows)
    return all(
        getattr(segment, column) == getattr(told, column) for column in ("der", "size", "entry_count", "first_end")
    )


def listed_entries(
    revocation_list: CertificateRevocationList | RevocationListShard, since: datetime | None
) -> models.QuerySet[RevocationEntry]:
    """What a list tells, ``since`` being the last scheduled one.

    RFC 5280, 3.3: an entry stays until it was on a scheduled list that was issued after its certificate's end.
    """
    listed = revocation_list.entries.filter(released_at__isnull=True).order_by()
    if since is not None:
        listed = listed.filter(models.Q(not_after__gte=since) | models.Q(revoked_at__gte=since))
    return listed


def encodings_of(segments: Sequence[UUID]) -> Iterator[bytes]:
    """The entries of segments in that order. Raises Unavailable where one is gone."""
    for start in range(0, len(segments), SEGMENTS_AT_ONCE):
        some = segments[start : start + SEGMENTS_AT_ONCE]
        found = dict(RevocationSegment.objects.filter(pk__in=some).values_list("pk", "der"))
        for pk in some:
            if pk not in found:
                raise _parts_missing()
            yield bytes(found.pop(pk))


def size_of(segments: Sequence[UUID]) -> int:
    """Octets of all their entries. Raises Unavailable where one is gone."""
    sizes = list(RevocationSegment.objects.filter(pk__in=segments).values_list("size", flat=True))
    if len(sizes) != len(segments):
        raise _parts_missing()
    return sum(sizes)


def _parts_missing() -> Unavailable:
    return Unavailable("Parts of the CRL are missing: have it published anew, by Publish now on the CA's page.")


def _has_ended(segment: RevocationSegment, since: datetime | None) -> bool:
    """Whether one of its entries is to be listed no more."""
    return segment.first_end is not None and since is not None and segment.first_end < since


def _segments_between(revocation_list: CertificateRevocationList, first: int, last: int) -> Iterator[RevocationSegment]:
    """Segments, one at least, of all that was revoked for good from one revision to another, not stored."""
    rows = _rows_between(revocation_list, first, last, since=revocation_list.scheduled_at)
    segments, rest, _ = _cut(revocation_list, rows, first, last)
    yield from segments
    sealed_to = segments[-1].last_revision if segments else first - 1
    if sealed_to < last:
        yield _segment(revocation_list, sealed_to + 1, last, rest)


def _rows_between(
    revocation_list: CertificateRevocationList, first: int, last: int, *, since: datetime | None
) -> Iterator[_Row]:
    """What was revoked for good, by its revisions."""
    listed = listed_entries(revocation_list, since).exclude(reason=RevocationReason.CERTIFICATE_HOLD)
    found = _rows(listed.filter(revision__gte=first, revision__lte=last))
    return found.order_by("revision").iterator(chunk_size=CHUNK)


def _rows_from(revocation_list: CertificateRevocationList, first: int) -> Iterator[_Row]:
    """The entries from revision ``first`` on, and those on hold, by their revisions.

    By one statement: what was on hold and is revoked meanwhile is found with the one revision or with the other.
    """
    listed = listed_entries(revocation_list, revocation_list.scheduled_at)
    held = listed.filter(reason=RevocationReason.CERTIFICATE_HOLD, revision__lt=first)
    found = _rows(listed.filter(revision__gte=first)).union(_rows(held), all=True)
    return found.order_by("revision").iterator(chunk_size=CHUNK)


def _rows(entries: models.QuerySet[RevocationEntry]) -> models.QuerySet[RevocationEntry, Any]:
    ended = entries.annotate(end=Greatest("not_after", "revoked_at"))
    return ended.values_list("revision", "reason", "end", "der")


def _cut(
    revocation_list: CertificateRevocationList, rows: Iterable[_Row], first: int, last: int
) -> tuple[list[RevocationSegment], list[_Row], list[bytes]]:
    """Segments from revision ``first`` on; what is too little for another one; and the encodings of what can be in
    none: it is on hold, or later than revision ``last``.
    """
    segments: list[RevocationSegment] = []
    some: list[_Row] = []
    others: list[bytes] = []
    for revision, changed in groupby(rows, key=itemgetter(0)):
        for row in sorted(changed, key=itemgetter(3)):
            if row[1] == RevocationReason.CERTIFICATE_HOLD or revision > last:
                others.append(row[3])
            else:
                some.append(row)
        if len(some) >= ENTRIES_PER_SEGMENT:
            segments.append(_segment(revocation_list, first, revision, some))
            first, some = revision + 1, []
    return segments, some, others


def _segment(
    revocation_list: CertificateRevocationList, first: int, last: int, rows: Sequence[_Row]
) -> RevocationSegment:
    encoded = b"".join(row[3] for row in rows)
    return RevocationSegment(
        revocation_list=revocation_list,
        first_revision=first,
        last_revision=last,
        entry_count=len(rows),
        size=len(encoded),
        der=encoded,
        first_end=min((row[2] for row in rows), default=None),
    )
