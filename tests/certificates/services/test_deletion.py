"""Deleting certificates: what goes, what stays, and that CRL and OCSP go on saying what they said."""

import threading
from datetime import timedelta
from io import StringIO

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from certificates.models import (
    BlockedKey,
    Certificate,
    CertificateRequest,
    CertificateRevocationList,
    CertificateSecret,
    RevocationEntry,
    RevocationSegment,
)
from certificates.models.certificate import RevocationReason
from certificates.services import crl_segments
from certificates.services.authorities import delete_authority
from certificates.services.crl import publish_crl
from certificates.services.deletion import delete_certificate
from certificates.services.ocsp import answer_ocsp
from certificates.services.renewal import renew_certificate
from certificates.services.revocation import revoke_certificate
from pki_portal import journal
from pki_portal.access.models import Role
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import Conflict, Invalid, NotFound, PermissionDenied
from profiles.models import CertificateProfile
from tests.factories import SYSTEM, make_project, make_user, requester_for
from tests.pages import make_issued
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project())


def delete(certificate: Certificate) -> None:
    delete_certificate(requester=SYSTEM, certificate=certificate)


def revoke(certificate: Certificate, reason: RevocationReason = RevocationReason.SUPERSEDED) -> Certificate:
    revoke_certificate(requester=SYSTEM, certificate=certificate, reason=reason)
    certificate.refresh_from_db()
    return certificate


def ended(certificate: Certificate) -> Certificate:
    """As if its life had ended yesterday."""
    now = timezone.now()
    Certificate.objects.filter(pk=certificate.pk).update(
        not_before=now - timedelta(days=9), not_after=now - timedelta(days=1)
    )
    RevocationEntry.objects.filter(certificate=certificate).update(not_after=now - timedelta(days=1))
    certificate.refresh_from_db()
    return certificate


def ocsp_status(certificate: Certificate) -> ocsp.OCSPCertStatus:
    """Of a certificate whose row may be gone."""
    issuer = certificate.authority_certificate
    assert issuer is not None
    leaf, above = (x509.load_der_x509_certificate(bytes(each.der)) for each in (certificate, issuer))
    asked = ocsp.OCSPRequestBuilder().add_certificate(leaf, above, hashes.SHA256()).build()
    answer = answer_ocsp(
        authority_id=issuer.authority_id, document=asked.public_bytes(Encoding.DER), now=timezone.now()
    )
    return ocsp.load_der_ocsp_response(answer.der).certificate_status


def crl_row(certificate: Certificate) -> CertificateRevocationList:
    issuer = certificate.authority_certificate
    assert issuer is not None
    return CertificateRevocationList.objects.get(key=issuer.key_id)


def chain_of_three(profile: CertificateProfile) -> list[Certificate]:
    """One, renewed by the next, renewed by the last."""
    rows = [make_issued(profile)]
    for _ in range(2):
        rows.append(renew_certificate(requester=SYSTEM, certificate=rows[-1]).certificate)
    return rows


def test_a_revoked_one_goes_and_crl_and_ocsp_tell_of_it_as_before(profile: CertificateProfile) -> None:
    certificate = revoke(make_issued(profile), RevocationReason.KEY_COMPROMISE)
    assert ocsp_status(certificate) is ocsp.OCSPCertStatus.REVOKED

    delete(certificate)

    assert not Certificate.objects.exists()
    assert ocsp_status(certificate) is ocsp.OCSPCertStatus.REVOKED
    row = crl_row(certificate)
    publish_crl(revocation_list=row, now=timezone.now() + timedelta(days=6))
    crl = x509.load_der_x509_crl(bytes(row.der or b""))
    assert crl.get_revoked_certificate_by_serial_number(int(certificate.serial_number, 16)) is not None
    assert BlockedKey.objects.filter(pk=certificate.public_key_sha256).exists()
    assert CertificateRequest.objects.get().certificate_deleted_at is not None
    event = AuditEvent.objects.get(event="delete-cert")
    assert (event.outcome, event.subject_id) == ("done", str(certificate.pk))
    assert event.data["fingerprintSha256"] == certificate.fingerprint_sha256
    deleted = [line.entry["certificate"] for line in journal.read() if line.entry and line.entry["kind"] == "deleted"]
    assert deleted[-1] == str(certificate.pk)
    call_command("check_certificates", stdout=StringIO(), stderr=StringIO())


def test_an_entry_leaves_the_list_after_its_end_as_if_the_row_were_there(profile: CertificateProfile) -> None:
    certificate = ended(revoke(make_issued(profile)))
    delete(certificate)
    row = crl_row(certificate)
    counts = []
    for days in (7, 14):
        publish_crl(revocation_list=row, now=timezone.now() + timedelta(days=days))
        counts.append(row.entry_count)
    assert counts == [1, 0]  # RFC 5280, 3.3: one scheduled list beyond the end


def test_one_that_has_ended_goes_with_its_kept_key(profile: CertificateProfile) -> None:
    CertificateProfile.objects.update(key_retention="escrow")
    certificate = ended(make_issued(profile))
    assert CertificateSecret.objects.exists()
    assert ocsp_status(certificate) is ocsp.OCSPCertStatus.GOOD

    delete(certificate)

    assert not CertificateSecret.objects.exists()
    assert ocsp_status(certificate) is ocsp.OCSPCertStatus.UNKNOWN
    with pytest.raises(NotFound):
        delete(certificate)


def test_what_is_live_or_on_hold_stays(profile: CertificateProfile) -> None:
    live, held = make_issued(profile), revoke(make_issued(profile), RevocationReason.CERTIFICATE_HOLD)
    for certificate, code in ((live, "certificate_live"), (held, "certificate_on_hold")):
        with pytest.raises(Invalid) as refusal:
            delete(certificate)
        (violation,) = refusal.value.violations
        assert violation.code == code
        assert violation.fix.startswith("Revoke it first")
    assert Certificate.objects.count() == 2
    assert AuditEvent.objects.filter(event="delete-cert", outcome="refused").count() == 2
    delete(ended(held))


def test_what_no_ca_signed_goes_at_any_time() -> None:
    delete(make_issued(make_issuing_profile(make_project(), is_self_signed=True)))
    assert not Certificate.objects.exists()


@pytest.mark.parametrize(("gone", "linked"), [(0, [(1, None), (2, 1)]), (1, [(0, None), (2, 0)]), (2, [(1, 0)])])
def test_the_chain_of_renewals_is_linked_around_it(
    profile: CertificateProfile, gone: int, linked: list[tuple[int, int | None]]
) -> None:
    chain = chain_of_three(profile)
    delete(revoke(chain[gone]))
    for place, before in linked:
        chain[place].refresh_from_db()
        assert chain[place].renewed_from_id == (None if before is None else chain[before].pk)


def test_a_member_deletes_nothing_and_an_outsider_finds_nothing(profile: CertificateProfile) -> None:
    certificate = revoke(make_issued(profile))
    bob = requester_for(make_user("bob", project=profile.project, role=Role.MEMBER))
    charlie = requester_for(make_user("charlie"))
    with pytest.raises(PermissionDenied):
        delete_certificate(requester=bob, certificate=certificate)
    with pytest.raises(NotFound):
        delete_certificate(requester=charlie, certificate=certificate)
    assert Certificate.objects.exists()


@pytest.mark.parametrize("per_segment", [1, crl_segments.ENTRIES_PER_SEGMENT])
def test_a_ca_stays_while_a_revocation_of_what_was_deleted_is_needed(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch, per_segment: int
) -> None:
    monkeypatch.setattr(crl_segments, "ENTRIES_PER_SEGMENT", per_segment)
    certificate = revoke(make_issued(profile))
    authority = certificate.authority
    assert authority is not None
    delete(certificate)
    CertificateProfile.objects.all().delete()

    with pytest.raises(Invalid) as refusal:
        delete_authority(requester=SYSTEM, authority=authority)
    assert [each.code for each in refusal.value.violations] == ["has_revocations"]

    assert RevocationSegment.objects.count() == (1 if per_segment == 1 else 0)
    RevocationEntry.objects.update(not_after=timezone.now() - timedelta(days=1))
    delete_authority(requester=SYSTEM, authority=authority)
    assert not RevocationSegment.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_neighbours_are_deleted_at_once(profile: CertificateProfile) -> None:
    chain = [revoke(each) for each in chain_of_three(profile)]
    barrier = threading.Barrier(len(chain))
    told: list[Exception] = []

    def go(certificate: Certificate) -> None:
        barrier.wait()
        try:
            delete(certificate)
        except Exception as problem:  # noqa: BLE001 - judged below
            told.append(problem)
        finally:
            connection.close()

    threads = [threading.Thread(target=go, args=(each,)) for each in chain]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(each, Conflict) for each in told)
    assert Certificate.objects.count() == len(told)
    assert not Certificate.objects.exclude(renewed_from__isnull=True).exclude(
        renewed_from__in=Certificate.objects.all()
    )
