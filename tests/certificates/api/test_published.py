"""CRLs over HTTP: forms, conditions, caches, and what is served when nothing can be signed."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import DatabaseError
from django.test import Client
from django.utils import timezone

from certificates.keystore.database import forget_keys
from certificates.models import AuthorityKey, CertificateRevocationList, RevocationSegment
from certificates.models.certificate import RevocationReason
from certificates.services import crl as publishing
from certificates.services import crl_segments
from certificates.services.crl import document_of, publish_crl
from certificates.services.revocation import revoke_certificate
from pki_portal.errors import Unavailable
from profiles.models import CertificateProfile
from tests.assertions import assert_error
from tests.factories import SYSTEM, make_project
from tests.pages import make_issued
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project())


def path(part: str = "der") -> str:
    return f"/api/v1/cert-manager/crl/{CertificateRevocationList.objects.get().pk}/{part}"


def fetch(part: str = "der", **headers: str) -> Any:
    return Client().get(path(part), headers=headers)


def revoke_one(profile: CertificateProfile) -> None:
    revoke_certificate(requester=SYSTEM, certificate=make_issued(profile), reason=RevocationReason.SUPERSEDED)


def test_der_and_pem_are_the_same_list_and_the_delta_another(profile: CertificateProfile) -> None:
    revoke_one(profile)
    der, pem, delta = fetch(), fetch("pem"), fetch("delta")
    assert [each.headers["Content-Type"] for each in (der, pem, delta)] == [
        "application/pkix-crl",
        "application/x-pem-file",
        "application/pkix-crl",
    ]
    crl = x509.load_der_x509_crl(der.content)
    assert x509.load_pem_x509_crl(pem.content) == crl
    assert pem.content.endswith(b"-----END X509 CRL-----\n")
    assert len(crl) == len(x509.load_der_x509_crl(delta.content)) == 1


@pytest.mark.parametrize("part", ["der", "pem", "delta"])
def test_who_has_the_list_is_told_so_until_there_is_another(profile: CertificateProfile, part: str) -> None:
    first = fetch(part)
    etag, modified = first.headers["ETag"], first.headers["Last-Modified"]
    for headers in ({"If-None-Match": etag}, {"If-Modified-Since": modified}, {"If-None-Match": "*"}):
        known = fetch(part, **headers)
        assert (known.status_code, known.content, known.headers["ETag"]) == (304, b"", etag)
        assert known.headers["Cache-Control"] == first.headers["Cache-Control"]
    revoke_one(profile)
    other = fetch(part, **{"If-None-Match": etag})
    assert other.status_code == 200
    assert other.headers["ETag"] != etag


def test_no_cache_keeps_a_list_past_its_end(profile: CertificateProfile) -> None:
    assert fetch().headers["Cache-Control"] == "public, max-age=300"
    AuthorityKey.objects.update(sealed_private_key=b"\x01nonsense")
    forget_keys()
    end = CertificateRevocationList.objects.get().next_update
    assert end is not None
    with time_machine.travel(end - timedelta(seconds=30), tick=False):
        assert fetch().headers["Cache-Control"] == "public, max-age=30"
    with time_machine.travel(end, tick=False):
        body = assert_error(fetch(), status=503, error="ServiceUnavailable")
    assert "sealed" in body["message"].lower()


def test_the_list_is_renewed_before_it_runs_out(profile: CertificateProfile) -> None:
    before = x509.load_der_x509_crl(fetch().content)
    with time_machine.travel(timezone.now() + timedelta(days=6)):
        after = x509.load_der_x509_crl(fetch().content)
        assert before.next_update_utc is not None
        assert after.next_update_utc is not None
        assert after.last_update_utc < before.next_update_utc < after.next_update_utc


def test_a_full_disk_leaves_the_last_list_served(profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fetch().content

    def full(*_: object, **__: object) -> None:
        raise DatabaseError("database or disk is full")

    monkeypatch.setattr(publishing, "_published", full)
    CertificateRevocationList.objects.update(revision=7)
    assert fetch().content == before


@pytest.mark.parametrize("part", ["der", "pem", "delta"])
def test_there_is_no_list_at_another_id(profile: CertificateProfile, part: str) -> None:
    base = "/api/v1/cert-manager/crl"
    assert_error(Client().get(f"{base}/{NOBODY}/{part}"), status=404, error="NotFound")
    assert_error(Client().get(f"{base}/x/{part}"), status=422, error="ValidationFailure")


# --- Lists of segments ------------------------------------------------------------------------------------------------


@pytest.fixture
def long_list(profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch) -> CertificateRevocationList:
    """A published list of three segments and one entry more."""
    monkeypatch.setattr(crl_segments, "ENTRIES_PER_SEGMENT", 1)
    monkeypatch.setattr(crl_segments, "SEGMENTS_AT_ONCE", 1)
    for _ in range(3):
        revoke_one(profile)
    monkeypatch.setattr(crl_segments, "ENTRIES_PER_SEGMENT", 2)
    revoke_one(profile)
    row = CertificateRevocationList.objects.get()
    assert (len(row.segments), row.entry_count) == (3, 4)
    return row


def test_a_list_of_segments_is_streamed_as_it_was_signed(long_list: CertificateRevocationList) -> None:
    whole = document_of(long_list).der
    der, pem = fetch(), fetch("pem")
    assert (der.streaming, pem.streaming) == (True, True)
    assert der.getvalue() == whole
    crl = x509.load_der_x509_crl(whole)
    assert pem.getvalue() == crl.public_bytes(Encoding.PEM)
    assert [int(each.headers["Content-Length"]) for each in (der, pem)] == [
        len(whole),
        len(crl.public_bytes(Encoding.PEM)),
    ]
    assert len(crl) == 4


@pytest.mark.parametrize("part", ["der", "pem"])
def test_of_a_list_of_segments_too_nothing_is_sent_that_the_client_has_or_did_not_ask_for(
    long_list: CertificateRevocationList, part: str
) -> None:
    first = fetch(part)
    head = Client().head(path(part))
    assert head.status_code == 200
    assert head.content == b""
    for name in ("Content-Length", "Content-Type", "ETag", "Last-Modified", "Cache-Control"):
        assert head.headers[name] == first.headers[name]
    known = fetch(part, **{"If-None-Match": first.headers["ETag"]})
    assert (known.status_code, known.content) == (304, b"")


def test_a_list_of_which_a_segment_is_missing_is_not_served(long_list: CertificateRevocationList) -> None:
    long_list.segment_rows.filter(first_revision=0).delete()
    assert "Parts of the CRL are missing" in assert_error(fetch(), status=503, error="ServiceUnavailable")["message"]
    publish_crl(revocation_list=long_list, now=timezone.now())
    assert len(x509.load_der_x509_crl(fetch().getvalue())) == 4


@pytest.mark.parametrize("part", ["der", "pem"])
def test_a_download_that_loses_a_segment_ends_before_the_length_that_was_said(
    long_list: CertificateRevocationList, part: str
) -> None:
    response = fetch(part)
    pieces = iter(response)
    sent = next(pieces) + next(pieces)
    RevocationSegment.objects.all().delete()
    with pytest.raises(Unavailable):
        b"".join(pieces)
    assert 0 < len(sent) < int(response.headers["Content-Length"])
