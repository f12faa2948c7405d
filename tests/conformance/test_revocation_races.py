"""Revocations at the same moment, and while OCSP is asked, in real threads on real connections."""

from io import StringIO
from threading import Thread
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from certificates.models import Certificate, CertificateRevocationList, OcspResponder, OcspResponse, RevocationEntry
from certificates.models.certificate import RevocationReason
from certificates.services import crl_segments, issuance
from certificates.services.crl import current_crl, document_of, publish_crl
from certificates.services.issuance import issue_certificate
from certificates.services.requests import new_request, read_applicant_csr
from certificates.services.revocation import Revoked, revoke_certificate
from certificates.services.signing import sign_all
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import Conflict, Invalid
from profiles.models import CertificateProfile
from tests.conformance.test_races import THREADS, at_once
from tests.factories import SYSTEM, make_project
from tests.pages import make_issued
from tests.scenery import make_issuing_profile
from tests.wire import make_csr

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 5


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project())


def revoke(certificate: Certificate) -> bool:
    """Whether it was this call that revoked it."""
    try:
        revoke_certificate(requester=SYSTEM, certificate=certificate, reason=RevocationReason.SUPERSEDED)
    except Invalid:
        return False
    return True


def test_one_of_many_revokes_a_certificate(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    assert sorted(at_once(lambda _: revoke(certificate))) == [False] * (THREADS - 1) + [True]
    assert RevocationEntry.objects.count() == 1
    assert AuditEvent.objects.filter(event="revoke-cert", outcome="done").count() == 1


def sign_csr(profile: CertificateProfile, csr: str) -> Certificate:
    asked = read_applicant_csr(profile=profile, requester=SYSTEM, csr=csr)
    return issue_certificate(profile=profile, request=asked, requester=SYSTEM).certificate


def test_a_csr_whose_key_is_compromised_while_it_is_signed_is_not_certified(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    csr = make_csr()
    first = sign_csr(profile, csr)

    def revoked_meanwhile(judged: Any) -> Any:
        signed = sign_all(judged)
        revoke_certificate(requester=SYSTEM, certificate=first, reason=RevocationReason.KEY_COMPROMISE)
        return signed

    monkeypatch.setattr(issuance, "sign_all", revoked_meanwhile)
    with pytest.raises(Conflict) as told:
        sign_csr(profile, csr)
    assert [each.code for each in told.value.violations] == ["key_blocked"]
    assert Certificate.objects.count() == 1


def test_a_revocation_waits_for_who_is_about_to_certify_the_key_and_tells_of_it(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    csr = make_csr()
    first = sign_csr(profile, csr)
    told: list[Revoked] = []

    def revoke_first() -> None:
        try:
            told.append(revoke_certificate(requester=SYSTEM, certificate=first, reason=RevocationReason.KEY_COMPROMISE))
        finally:
            connection.close()

    revoker = Thread(target=revoke_first)

    def stored_late(*arguments: Any, **named: Any) -> Any:
        if revoker.ident is None:
            revoker.start()
            revoker.join(0.3)  # were it not to wait, it would be done by then
        return new_request(*arguments, **named)

    monkeypatch.setattr(issuance, "new_request", stored_late)
    second = sign_csr(profile, csr)
    revoker.join()
    assert [each.pk for each in told[0].siblings] == [second.pk]


def test_many_revocations_at_once_are_all_on_the_list_that_is_published_then(profile: CertificateProfile) -> None:
    for _ in range(ROUNDS):
        certificates = [make_issued(profile) for _ in range(THREADS)]
        before = CertificateRevocationList.objects.get().number or 0

        def revoke_one(number: int, all_of_them: list[Certificate] = certificates) -> bool:
            return revoke(all_of_them[number])

        assert all(at_once(revoke_one))
        row = CertificateRevocationList.objects.get()
        assert (row.number or 0) > before
        assert row.revision == row.published_revision
        listed = {entry.serial_number for entry in x509.load_der_x509_crl(bytes(row.der or b""))}
        assert listed >= {int(certificate.serial_number, 16) for certificate in certificates}
    served = document_of(current_crl(crl_id=row.pk, now=timezone.now()))
    assert len(x509.load_der_x509_crl(served.der)) == ROUNDS * THREADS


def test_segments_are_sealed_once_however_many_revoke_hold_and_publish(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each holds one, revokes it for good and publishes, in turns of its own."""
    monkeypatch.setattr(crl_segments, "ENTRIES_PER_SEGMENT", 2)
    for _ in range(ROUNDS):
        certificates = [make_issued(profile) for _ in range(THREADS)]

        def act(number: int, all_of_them: list[Certificate] = certificates) -> None:
            certificate = all_of_them[number]
            if number % 2:
                revoke_certificate(requester=SYSTEM, certificate=certificate, reason=RevocationReason.CERTIFICATE_HOLD)
            revoke(certificate)
            row = CertificateRevocationList.objects.get()
            publish_crl(revocation_list=row, now=timezone.now(), is_scheduled=False)

        at_once(act)
    row = CertificateRevocationList.objects.get()
    assert row.segments
    listed = [entry.serial_number for entry in x509.load_der_x509_crl(document_of(row).der)]
    assert sorted(listed) == sorted(int(each.serial_number, 16) for each in RevocationEntry.objects.all())
    assert len(listed) == ROUNDS * THREADS
    call_command("check_certificates", stdout=StringIO(), stderr=StringIO())


def ask(certificate: Certificate) -> ocsp.OCSPCertStatus:
    assert certificate.authority_certificate is not None
    issuer = x509.load_der_x509_certificate(bytes(certificate.authority_certificate.der))
    leaf = x509.load_der_x509_certificate(bytes(certificate.der))
    request = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA256()).build()
    response = Client().post(
        f"/api/v1/cert-manager/ocsp/{certificate.authority_id}",
        request.public_bytes(Encoding.DER),
        content_type="application/ocsp-request",
    )
    return ocsp.load_der_ocsp_response(response.content).certificate_status


def test_no_good_answer_outlives_the_revocation_that_it_was_asked_beside(profile: CertificateProfile) -> None:
    for _ in range(ROUNDS):
        certificate = make_issued(profile)

        def act(number: int, certificate: Certificate = certificate) -> Any:
            return revoke(certificate) if number == 0 else [ask(certificate) for _ in range(3)]

        at_once(act)
        assert ask(certificate) is ocsp.OCSPCertStatus.REVOKED
        for kept in OcspResponse.objects.filter(certificate=certificate):
            answer = ocsp.load_der_ocsp_response(bytes(kept.der))
            assert answer.certificate_status is ocsp.OCSPCertStatus.REVOKED


def test_many_questions_at_once_issue_one_responder(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    assert set(at_once(lambda _: ask(certificate))) == {ocsp.OCSPCertStatus.GOOD}
    assert OcspResponder.objects.count() == 1
