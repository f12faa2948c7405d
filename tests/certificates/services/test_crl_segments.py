"""Complete CRLs of sealed segments: they say what their entries say, whoever revokes or publishes meanwhile."""

import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from certificates.management import revocation_findings
from certificates.models import AuthorityCertificate, CertificateRevocationList, RevocationEntry, RevocationSegment
from certificates.models.certificate import RevocationReason
from certificates.services import crl as publishing
from certificates.services import crl_segments
from certificates.services.crl import current_crl, document_of, publish_crl
from certificates.services.crl_segments import Contents, says_what_its_entries_say
from certificates.services.revocation_entries import complete_lists, fill, next_revision
from pki_portal.errors import Unavailable
from tests.factories import SYSTEM, make_authority, make_project

pytestmark = pytest.mark.django_db

HOLD = RevocationReason.CERTIFICATE_HOLD
PER_SEGMENT = 4


@pytest.fixture(autouse=True)
def few_entries_per_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crl_segments, "ENTRIES_PER_SEGMENT", PER_SEGMENT)
    monkeypatch.setattr(crl_segments, "SEGMENTS_AT_ONCE", 2)


@pytest.fixture
def stored() -> CertificateRevocationList:
    """The list of a CA that has revoked nothing yet."""
    return CertificateRevocationList.objects.get(key__authority=make_authority(make_project()))


def revoke(
    stored: CertificateRevocationList,
    *serial_numbers: int,
    reason: RevocationReason = RevocationReason.SUPERSEDED,
    not_after: datetime | None = None,
) -> None:
    """One act, as the services do it, of certificates that are on no list, or on hold."""
    with transaction.atomic():
        row = complete_lists().select_for_update().get(pk=stored.pk)
        revision = next_revision(row)
        for number in serial_numbers:
            known = row.entries.filter(serial_number=f"{number:040x}").first()
            entry = known or RevocationEntry(
                revocation_list=row,
                serial_number=f"{number:040x}",
                not_after=not_after or timezone.now() + timedelta(days=90),
            )
            revoked_at = timezone.now().replace(microsecond=0)
            fill(entry, requester=SYSTEM, revoked_at=revoked_at, reason=reason, invalidity_date=None, revision=revision)
            entry.save()


def release(stored: CertificateRevocationList, number: int) -> None:
    with transaction.atomic():
        revision = next_revision(complete_lists().select_for_update().get(pk=stored.pk))
        entry = RevocationEntry.objects.filter(serial_number=f"{number:040x}")
        entry.update(released_at=timezone.now(), revision=revision)


def publish(stored: CertificateRevocationList, now: datetime | None = None) -> None:
    publish_crl(revocation_list=stored, now=now or timezone.now())


def parsed(stored: CertificateRevocationList) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(document_of(stored).der)


def listed(stored: CertificateRevocationList) -> list[int]:
    """One number for each entry, so that what is listed twice is told."""
    return sorted(entry.serial_number for entry in parsed(stored))


def current(stored: CertificateRevocationList) -> list[tuple[int, int, int]]:
    segments = stored.segment_rows.filter(replaced_at__isnull=True).order_by("first_revision")
    return list(segments.values_list("first_revision", "last_revision", "entry_count"))


def require_whole(stored: CertificateRevocationList, folder: Path) -> None:
    """The list says what its row says, and openssl verifies it."""
    stored.refresh_from_db()
    crl, document = parsed(stored), document_of(stored)
    assert (len(crl), crl.last_update_utc, crl.next_update_utc) == (
        stored.entry_count,
        stored.this_update,
        stored.next_update,
    )
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == stored.number
    assert document.size == len(document.der)
    issuer = AuthorityCertificate.objects.get(key=stored.key_id)
    (folder / "issuer.pem").write_bytes(x509.load_der_x509_certificate(bytes(issuer.der)).public_bytes(Encoding.PEM))
    (folder / "list.der").write_bytes(document.der)
    command = ["openssl", "crl", "-inform", "DER", "-in", "list.der", "-CAfile", "issuer.pem", "-noout"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert "verify OK" in done.stdout + done.stderr


# --- What is sealed ---------------------------------------------------------------------------------------------------


def test_a_short_list_has_no_segments(stored: CertificateRevocationList) -> None:
    revoke(stored, 1, 2, 3)
    publish(stored)

    assert (stored.segments, stored.segments_at, current(stored)) == ([], 0, [])
    assert document_of(stored).der == bytes(stored.der or b"")
    assert listed(stored) == [1, 2, 3]


def test_segments_what_follows_and_holds_are_all_that_was_revoked(
    stored: CertificateRevocationList, tmp_path: Path
) -> None:
    for number in range(1, 11):
        revoke(stored, number, reason=HOLD if number in {2, 7} else RevocationReason.SUPERSEDED)
    publish(stored)

    # 2 and 7 are on hold.
    assert current(stored) == [(0, 5, 4), (6, 10, 4)]
    assert listed(stored) == list(range(1, 11))
    require_whole(stored, tmp_path)

    revoke(stored, 11)
    publish(stored)

    assert current(stored) == [(0, 5, 4), (6, 10, 4)]
    assert listed(stored) == list(range(1, 12))
    require_whole(stored, tmp_path)
    assert all(map(says_what_its_entries_say, crl_segments.current_segments(stored)))


def test_what_was_revoked_at_once_is_in_one_segment(stored: CertificateRevocationList) -> None:
    revoke(stored, 1)
    revoke(stored, *range(2, 12))
    revoke(stored, 12)
    publish(stored)

    assert current(stored) == [(0, 2, 11)]
    assert listed(stored) == list(range(1, 13))
    assert all(map(says_what_its_entries_say, crl_segments.current_segments(stored)))


def test_publishing_again_reads_no_entry_of_a_segment(stored: CertificateRevocationList) -> None:
    for number in range(1, 10):
        revoke(stored, number)
    publish(stored)
    last = RevocationSegment.objects.latest("last_revision").last_revision
    RevocationEntry.objects.filter(revision__lte=last).update(der=b"never read")

    with CaptureQueriesContext(connection) as queries:
        publish(stored)

    assert listed(stored) == list(range(1, 10))
    entries = [query["sql"] for query in queries if 'FROM "certificates_revocationentry"' in query["sql"]]
    assert len(entries) == 1
    # Nor is any segment written, or the list, beside what is in none.
    assert RevocationSegment.objects.count() == 2
    assert len(bytes(stored.der or b"")) < len(document_of(stored).der)
    assert not [query["sql"] for query in queries if 'INTO "certificates_revocationsegment"' in query["sql"]]


@pytest.mark.parametrize("final", [RevocationReason.KEY_COMPROMISE, None])
def test_a_hold_that_ends_after_its_neighbours_were_sealed(
    stored: CertificateRevocationList, final: RevocationReason | None, tmp_path: Path
) -> None:
    for number in range(1, 7):
        revoke(stored, number, reason=HOLD if number == 3 else RevocationReason.SUPERSEDED)
    publish(stored)
    assert current(stored) == [(0, 5, 4)]

    if final is not None:
        revoke(stored, 3, reason=final)
    else:
        release(stored, 3)
    publish(stored)

    assert listed(stored) == ([1, 2, 3, 4, 5, 6] if final is not None else [1, 2, 4, 5, 6])
    reasons = {
        entry.serial_number: entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
        for entry in parsed(stored)
    }
    assert reasons.get(3) == (x509.ReasonFlags.key_compromise if final is not None else None)
    require_whole(stored, tmp_path)

    # It is sealed with those that came when it did, and no second time.
    for number in range(7, 11):
        revoke(stored, number)
    publish(stored)
    assert current(stored)[:1] == [(0, 5, 4)]
    assert listed(stored) == sorted({*range(1, 11)} - ({3} if final is None else set()))


def test_a_released_certificate_that_is_revoked_once_more_is_listed_once(stored: CertificateRevocationList) -> None:
    revoke(stored, 1, reason=HOLD)
    release(stored, 1)
    for number in range(2, 7):
        revoke(stored, number)
    publish(stored)
    assert listed(stored) == [2, 3, 4, 5, 6]

    revoke(stored, 1)
    publish(stored)

    assert listed(stored) == [1, 2, 3, 4, 5, 6]


# --- What has ended (RFC 5280, 3.3) -----------------------------------------------------------------------------------


def test_an_ended_entry_leaves_its_segment_after_one_more_scheduled_list(
    stored: CertificateRevocationList, tmp_path: Path
) -> None:
    end = timezone.now().replace(microsecond=0) + timedelta(days=30)
    for number in range(1, 10):
        revoke(stored, number, not_after=end if number in {2, 6} else None)
    publish(stored, end - timedelta(hours=1))
    first = set(RevocationSegment.objects.values_list("pk", flat=True))

    # Not scheduled, so it is not the one more that must be.
    CertificateRevocationList.objects.update(revision=F("revision") + 1)
    current_crl(crl_id=stored.pk, now=end + timedelta(hours=1))
    assert listed(stored) == list(range(1, 10))
    publish(stored, end + timedelta(days=1))
    assert listed(stored) == list(range(1, 10))
    assert set(RevocationSegment.objects.values_list("pk", flat=True)) == first

    publish(stored, end + timedelta(days=2))

    assert listed(stored) == [1, 3, 4, 5, 7, 8, 9]
    require_whole(stored, tmp_path)
    # 2 and 6 made room: what was two segments is one and a rest.
    assert current(stored) == [(0, 5, 4)]
    assert set(RevocationSegment.objects.filter(replaced_at__isnull=False).values_list("pk", flat=True)) == first


def test_a_segment_between_others_is_made_again_alone_and_may_be_empty(stored: CertificateRevocationList) -> None:
    end = timezone.now().replace(microsecond=0) + timedelta(days=30)
    for number in range(1, 13):
        revoke(stored, number, not_after=end if 5 <= number <= 8 else None)
    publish(stored, end - timedelta(hours=1))
    publish(stored, end + timedelta(days=1))
    kept = set(RevocationSegment.objects.exclude(first_revision=5).values_list("pk", flat=True))

    publish(stored, end + timedelta(days=2))

    assert current(stored) == [(0, 4, 4), (5, 8, 0), (9, 12, 4)]
    assert listed(stored) == [1, 2, 3, 4, 9, 10, 11, 12]
    assert kept < set(stored.segment_rows.filter(replaced_at__isnull=True).values_list("pk", flat=True))
    assert all(map(says_what_its_entries_say, crl_segments.current_segments(stored)))
    publish(stored, end + timedelta(days=3))
    assert listed(stored) == [1, 2, 3, 4, 9, 10, 11, 12]


def test_a_list_whose_entries_have_all_ended_is_empty(stored: CertificateRevocationList, tmp_path: Path) -> None:
    end = timezone.now().replace(microsecond=0) + timedelta(days=30)
    for number in range(1, 10):
        revoke(stored, number, not_after=end)
    for days in (-1, 1, 2):
        publish(stored, end + timedelta(days=days))

    assert listed(stored) == []
    require_whole(stored, tmp_path)


def test_who_is_downloading_gets_the_list_that_was_begun_for_an_hour(stored: CertificateRevocationList) -> None:
    end = timezone.now().replace(microsecond=0) + timedelta(days=30)
    for number in range(1, 10):
        revoke(stored, number, not_after=end)
    publish(stored, end - timedelta(days=1))
    publish(stored, end + timedelta(days=1))
    begun, whole = document_of(stored), document_of(stored).der

    publish(stored, end + timedelta(days=2))
    publish(stored, end + timedelta(days=2, minutes=59))
    assert begun.der == whole

    publish(stored, end + timedelta(days=2, minutes=61))
    pieces = begun.pieces()
    with pytest.raises(Unavailable):
        list(pieces)
    assert not RevocationSegment.objects.filter(replaced_at__isnull=False).exists()


# --- Many at once -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before it reads", "after it has read"])
def test_who_loses_the_race_stores_no_segments(
    stored: CertificateRevocationList, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    for number in range(1, 10):
        revoke(stored, number)

    class Overtaken(Contents):
        def __iter__(self) -> Iterator[bytes]:
            monkeypatch.setattr(publishing, "Contents", Contents)
            if when == "before it reads":
                publish(CertificateRevocationList.objects.get(pk=stored.pk))
            yield from super().__iter__()
            if when == "after it has read":
                publish(CertificateRevocationList.objects.get(pk=stored.pk))

    monkeypatch.setattr(publishing, "Contents", Overtaken)
    publish(stored)

    assert current(stored) == [(0, 4, 4), (5, 8, 4)]
    assert RevocationSegment.objects.count() == 2
    assert listed(stored) == list(range(1, 10))


def test_what_happens_while_the_entries_are_read_is_neither_lost_nor_doubled(
    stored: CertificateRevocationList, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the revision that the list is counted from, and the statement that reads what is in no segment."""
    for number in range(1, 8):
        revoke(stored, number, reason=HOLD if number in {2, 3, 4} else RevocationReason.SUPERSEDED)
    rows_from = crl_segments._rows_from

    def with_acts(revocation_list: CertificateRevocationList, first: int) -> Iterator[Any]:
        monkeypatch.setattr(crl_segments, "_rows_from", rows_from)
        revoke(stored, 2)
        revoke(stored, *range(8, 14))
        release(stored, 3)
        return rows_from(revocation_list, first)

    monkeypatch.setattr(crl_segments, "_rows_from", with_acts)
    publish(stored)

    # It says more than the revision that it was counted from, seals nothing of that, and is published anew.
    everything = [1, 2, *range(4, 14)]
    assert listed(stored) == everything
    stored.refresh_from_db()
    assert stored.published_revision == stored.revision - 3
    assert current(stored) == [(0, 7, 4)]
    publish(stored)
    assert listed(stored) == everything
    assert current(stored) == [(0, 7, 4), (8, 9, 7)]
    revoke(stored, 14)
    publish(stored)
    assert listed(stored) == [*everything, 14]


def test_a_hold_that_becomes_final_while_another_segment_is_made_again(
    stored: CertificateRevocationList, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 10):
        revoke(stored, number, reason=HOLD if number == 3 else RevocationReason.SUPERSEDED)
    publish(stored)
    stored.segment_rows.filter(first_revision=0).delete()
    rows_from = crl_segments._rows_from

    def with_an_act(revocation_list: CertificateRevocationList, first: int) -> Iterator[Any]:
        monkeypatch.setattr(crl_segments, "_rows_from", rows_from)
        revoke(stored, 3)
        return rows_from(revocation_list, first)

    monkeypatch.setattr(crl_segments, "_rows_from", with_an_act)
    publish(stored)

    assert current(stored) == [(0, 5, 4), (6, 9, 4)]
    assert listed(stored) == list(range(1, 10))


def test_the_check_finds_nothing_in_lists_that_are_published_while_it_reads(
    stored: CertificateRevocationList, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 10):
        revoke(stored, number)
    publish(stored)

    def with_a_publication(segment: RevocationSegment) -> bool:
        monkeypatch.setattr(revocation_findings, "says_what_its_entries_say", says_what_its_entries_say)
        end = timezone.now() + timedelta(days=91)
        publish(stored, end)
        publish(stored, end)
        return says_what_its_entries_say(segment)

    monkeypatch.setattr(revocation_findings, "says_what_its_entries_say", with_a_publication)

    assert list(revocation_findings.revocation_findings()) == []
    assert current(stored) == []


# --- Damage -----------------------------------------------------------------------------------------------------------


def test_a_lost_segment_is_no_list_and_is_made_again(stored: CertificateRevocationList, tmp_path: Path) -> None:
    for number in range(1, 14):
        revoke(stored, number)
    publish(stored)
    stored.segment_rows.filter(first_revision=5).delete()

    with pytest.raises(Unavailable, match="Parts of the CRL are missing"):
        document_of(stored)
    publish(stored)

    assert listed(stored) == list(range(1, 14))
    require_whole(stored, tmp_path)


def test_a_segment_that_goes_while_the_list_is_read_is_an_error(stored: CertificateRevocationList) -> None:
    for number in range(1, 21):
        revoke(stored, number)
    publish(stored)
    pieces = document_of(stored).pieces()
    assert next(pieces)
    assert next(pieces)
    RevocationSegment.objects.all().delete()

    with pytest.raises(Unavailable):
        list(pieces)
