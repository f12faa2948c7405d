"""What a complete CRL is made of: segments of entries that were sealed for all lists to come, and what is read anew.

An entry that is revoked for good never changes again, and every change of a list has a revision of its own, counted
under the lock of the list's row. So the entries of all revisions up to one that was read are there, and those of them
that are not on hold can be put one after the other once: a list of a million entries is read as some hundred values.
Entries on hold, and the last few, are read for each list.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

import psycopg
from django.db import connection, models
from django.db.models import Min
from django.db.models.functions import Greatest

from certificates.models import CertificateRevocationList, RevocationEntry, RevocationListShard, RevocationSegment
from certificates.models.certificate import RevocationReason
from certificates.x509.crl import SignedCrl
from pki_portal.errors import Unavailable

# At least, where more follow; those of one revision are in one segment.
ENTRIES_PER_SEGMENT = 4096
# For whoever is still downloading a list that a replaced segment is part of.
REPLACED_KEPT_FOR = timedelta(hours=1)
# Entries, and segments of some 220 kB each, read from the database at once.
CHUNK = 10_000
SEGMENTS_AT_ONCE = 4

_SEGMENTS: Final = f"SELECT id, der FROM {RevocationSegment._meta.db_table} WHERE id = ANY(%s)"  # noqa: S608 - a constant
# revision, reason, der
_Row = tuple[int, int, bytes]


class Contents:
    """The entries of the next complete list; reading them finds out what is to be sealed with it.

    Attributes:
        kept: segments that are stored.
        replaced: segments that are stored and say what is to be said no more.
        fresh: segments that come to be with this list, without their entries: those of a million are 53 MB, and there
            are never two copies.
        count: how many entries were read.
    """

    def __init__(self, revocation_list: CertificateRevocationList, *, revision: int) -> None:
        """``revision`` was read before, so that all entries up to it are there."""
        self._list, self._revision = revocation_list, revision
        self.kept: list[RevocationSegment] = []
        self.replaced: list[RevocationSegment] = []
        self.fresh: list[RevocationSegment] = []
        self.count = 0
        for segment in current_segments(revocation_list).defer("der"):
            (self.replaced if self._has_ended(segment) else self.kept).append(segment)

    @property
    def segments(self) -> list[RevocationSegment]:
        """As they follow one another in the list, before all other entries."""
        return [*self.kept, *self.fresh]

    @property
    def expected_size(self) -> int:
        """Octets of what is stored; as many are to come, or few more."""
        return sum(segment.size for segment in (*self.kept, *self.replaced))

    def __iter__(self) -> Iterator[bytes]:
        """Raises Unavailable where a stored segment went meanwhile."""
        self.count = sum(segment.entry_count for segment in self.kept)
        yield from encodings_of([segment.pk for segment in self.kept])
        first = 0
        for segment in self.kept:
            if segment.first_revision > first:
                yield from self._seal(first, segment.first_revision - 1)
            first = segment.last_revision + 1
        yield from self._seal_and_tell(first)

    def _seal(self, first: int, last: int) -> Iterator[bytes]:
        """All that was revoked for good from one revision to another, in segments, one at least."""
        cut = _Cut(self._list, first, last)
        rows = _rows(_between(self._list, first, last, since=self._list.scheduled_at)).order_by("revision")
        for segment in cut.segments(rows.iterator(chunk_size=CHUNK)):
            yield self._sealed(segment)
        if cut.first <= last:
            yield self._sealed(_segment(self._list, cut.first, last, cut.rest, self._list.scheduled_at))

    def _seal_and_tell(self, first: int) -> Iterator[bytes]:
        """What was revoked since, and what is on hold, and in segments as much of it as can be."""
        cut = _Cut(self._list, first, self._revision)
        for segment in cut.segments(_rows_from(self._list, first)):
            yield self._sealed(segment)
        singles = [*(row[2] for row in cut.rest), *cut.others]
        self.count += len(singles)
        yield from singles

    def _sealed(self, segment: RevocationSegment) -> bytes:
        encoded, segment.der = bytes(segment.der), b""
        self.fresh.append(segment)
        self.count += segment.entry_count
        return encoded

    def _has_ended(self, segment: RevocationSegment) -> bool:
        """Whether one of its entries is to be listed no more."""
        since = self._list.scheduled_at
        return segment.first_end is not None and since is not None and segment.first_end < since

    def columns(self, crl: SignedCrl) -> dict[str, object]:
        """What the row of the signed list holds of it."""
        end = crl.entries_at + sum(segment.size for segment in self.segments)
        return {
            "der": crl.der[: crl.entries_at] + crl.der[end:] if self.segments else crl.der,
            "segments": [str(segment.pk) for segment in self.segments],
            "segments_at": crl.entries_at if self.segments else 0,
        }

    def store(self, crl: SignedCrl, *, now: datetime) -> None:
        """Store the fresh segments, as they stand in the signed list, and which ones they replace, in the transaction
        that stores the list. What was replaced an hour before ``now`` is deleted.
        """
        stored = self._list.segment_rows
        stored.filter(replaced_at__lt=now - REPLACED_KEPT_FOR).delete()
        stored.filter(pk__in=[segment.pk for segment in self.replaced]).update(replaced_at=now)
        at = crl.entries_at + sum(segment.size for segment in self.kept)
        for segment in self.fresh:
            segment.der = crl.der[at : at + segment.size]
            segment.save(force_insert=True)
            segment.der = b""
            at += segment.size


def current_segments(revocation_list: CertificateRevocationList) -> models.QuerySet[RevocationSegment]:
    """Those that the published list is made of, and the next one will be, by their revisions."""
    return revocation_list.segment_rows.filter(replaced_at__isnull=True).order_by("first_revision")


def says_what_its_entries_say(segment: RevocationSegment) -> bool:
    """Whether a stored segment is what its entries would make; what was left out had ended before any of them does."""
    place = (segment.revocation_list, segment.first_revision, segment.last_revision)
    since = segment.first_end
    rows = [] if since is None else sorted(_rows(_between(*place, since=since)), key=itemgetter(0, 2))
    told = _segment(*place, rows, since)
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
        found = _encodings(some)
        for pk in some:
            if pk not in found:
                raise _parts_missing()
            yield found.pop(pk)


def _encodings(segments: Sequence[UUID]) -> dict[UUID, bytes]:
    """Those of the segments that are there."""
    if connection.vendor == "postgresql":
        # As they are, where Django has each octet sent as two digits: of a million entries in half the time.
        connection.ensure_connection()
        with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
            cursor.execute(_SEGMENTS, [list(segments)], binary=True)
            return dict(cursor.fetchall())
    return {pk: bytes(der) for pk, der in RevocationSegment.objects.filter(pk__in=segments).values_list("pk", "der")}


def size_of(segments: Sequence[UUID]) -> int:
    """Octets of all their entries. Raises Unavailable where one is gone."""
    if not segments:
        return 0
    sizes = list(RevocationSegment.objects.filter(pk__in=segments).values_list("size", flat=True))
    if len(sizes) != len(segments):
        raise _parts_missing()
    return sum(sizes)


def _parts_missing() -> Unavailable:
    return Unavailable("Parts of the CRL are missing: have it published anew, by Publish now on the CA's page.")


def _between(
    revocation_list: CertificateRevocationList, first: int, last: int, *, since: datetime | None
) -> models.QuerySet[RevocationEntry]:
    """What was revoked for good from one revision to another, both passed, and had not ended ``since``: always the
    same.
    """
    listed = listed_entries(revocation_list, since).exclude(reason=RevocationReason.CERTIFICATE_HOLD)
    return listed.filter(revision__gte=first, revision__lte=last)


def _rows_from(revocation_list: CertificateRevocationList, first: int) -> Iterator[_Row]:
    """The entries from revision ``first`` on, and those on hold, by their revisions.

    By one statement: what was on hold and is revoked meanwhile is found with the one revision or with the other.
    """
    listed = listed_entries(revocation_list, revocation_list.scheduled_at)
    held = listed.filter(reason=RevocationReason.CERTIFICATE_HOLD, revision__lt=first)
    found = _rows(listed.filter(revision__gte=first)).union(_rows(held), all=True)
    return found.order_by("revision").iterator(chunk_size=CHUNK)


def _rows(entries: models.QuerySet[RevocationEntry]) -> models.QuerySet[RevocationEntry, Any]:
    return entries.values_list("revision", "reason", "der")


class _Cut:
    """Rows that are cut into segments from revision ``first`` on.

    Attributes:
        first: of the next segment.
        rest: what is too little for another one.
        others: encodings of what can be in none: it is on hold, or later than revision ``last``.
    """

    def __init__(self, revocation_list: CertificateRevocationList, first: int, last: int) -> None:
        self._list, self._last = revocation_list, last
        self.first = first
        self.rest: list[_Row] = []
        self.others: list[bytes] = []

    def segments(self, rows: Iterable[_Row]) -> Iterator[RevocationSegment]:
        """Each as soon as it is large enough, of rows in the order of their revisions; not stored."""
        for revision, changed in groupby(rows, key=itemgetter(0)):
            for row in sorted(changed, key=itemgetter(2)):
                if row[1] == RevocationReason.CERTIFICATE_HOLD or revision > self._last:
                    self.others.append(row[2])
                else:
                    self.rest.append(row)
            if len(self.rest) >= ENTRIES_PER_SEGMENT:
                yield _segment(self._list, self.first, revision, self.rest, self._list.scheduled_at)
                self.first, self.rest = revision + 1, []


def _segment(
    revocation_list: CertificateRevocationList, first: int, last: int, rows: Sequence[_Row], since: datetime | None
) -> RevocationSegment:
    """Of the rows that :func:`_between` finds, in their order; not stored. One query: the database finds the first end
    in less time than Python reads the ends of all rows.
    """
    encoded = b"".join(row[2] for row in rows)
    ends = _between(revocation_list, first, last, since=since).aggregate(first=Min(Greatest("not_after", "revoked_at")))
    return RevocationSegment(
        revocation_list=revocation_list,
        first_revision=first,
        last_revision=last,
        entry_count=len(rows),
        size=len(encoded),
        der=encoded,
        first_end=ends["first"] if rows else None,
    )
