"""Revoking a CA's own certificate: who tells of it when the call returns, what stops, and what leads on."""

from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from django.utils import timezone

from certificates.models import (
    AuthorityCertificate,
    BlockedKey,
    CertificateAuthority,
    CertificateRevocationList,
    RevocationEntry,
)
from certificates.models.authority import AuthorityStatus
from certificates.models.certificate import RevocationReason
from certificates.services.authorities import (
    chain_of,
    delete_authority,
    health_of,
    issue_authority_certificate,
    rekey_authority,
    renew_authority,
    revoke_authority_certificate,
    sign_intermediate,
    update_authority,
)
from certificates.services.authorities.revoking import RevokedVersion
from certificates.services.ocsp import answer_ocsp
from certificates.services.retrieval import certification_path_pem
from certificates.services.revocation import revoke_certificate
from pki_portal.access.models import Role
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import Invalid, PermissionDenied
from tests.factories import SYSTEM, make_authority, make_user, requester_for
from tests.pages import make_issued
from tests.relying_parties import openssl_objection
from tests.wire import Pki, make_csr, make_pki, make_profile_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def pki() -> Pki:
    return make_pki()


def later(days: int = 900) -> datetime:
    return timezone.now() + timedelta(days=days)


def active_of(authority: CertificateAuthority) -> AuthorityCertificate:
    authority.refresh_from_db()
    assert authority.active_certificate is not None
    return authority.active_certificate


def revoke(
    authority: CertificateAuthority,
    reason: RevocationReason = RevocationReason.SUPERSEDED,
    *,
    version: AuthorityCertificate | None = None,
) -> RevokedVersion:
    certificate = version or active_of(authority)
    return revoke_authority_certificate(requester=SYSTEM, certificate=certificate, reason=reason)


def loaded(row: AuthorityCertificate) -> x509.Certificate:
    return x509.load_der_x509_certificate(bytes(row.der))


def crl_of(authority: CertificateAuthority) -> x509.CertificateRevocationList:
    """As the database holds it, published by whoever revoked."""
    row = CertificateRevocationList.objects.get(key=active_of(authority).key_id)
    return x509.load_der_x509_crl(bytes(row.der or b""))


def status_at(issuer: CertificateAuthority, version: AuthorityCertificate) -> ocsp.OCSPCertStatus:
    asked = ocsp.OCSPRequestBuilder().add_certificate(loaded(version), loaded(active_of(issuer)), hashes.SHA256())
    document = asked.build().public_bytes(Encoding.DER)
    answer = answer_ocsp(authority_id=issuer.pk, document=document, now=timezone.now())
    return ocsp.load_der_ocsp_response(answer.der).certificate_status


def codes(refusal: pytest.ExceptionInfo[Invalid]) -> set[str]:
    return {violation.code for violation in refusal.value.violations}


def test_crl_and_ocsp_of_the_issuer_tell_of_it_and_openssl_refuses_what_is_below(pki: Pki) -> None:
    leaf = x509.load_der_x509_certificate(bytes(make_issued(pki.profile).der))
    version = active_of(pki.issuing)
    root, issuing = loaded(active_of(pki.root)), loaded(version)
    lists = [crl_of(pki.root), crl_of(pki.issuing)]
    assert openssl_objection(leaf, trusted=[root], untrusted=[issuing], crls=lists) == ""
    assert status_at(pki.root, version) is ocsp.OCSPCertStatus.GOOD

    revoked = revoke(pki.issuing, RevocationReason.CESSATION_OF_OPERATION)

    (entry,) = crl_of(pki.root)
    assert (entry.serial_number, entry.revocation_date_utc) == (issuing.serial_number, revoked.revoked_at)
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is (
        x509.ReasonFlags.cessation_of_operation
    )
    assert status_at(pki.root, version) is ocsp.OCSPCertStatus.REVOKED
    lists = [crl_of(pki.root), crl_of(pki.issuing)]
    assert "certificate revoked" in openssl_objection(leaf, trusted=[root], untrusted=[issuing], crls=lists)
    event = AuditEvent.objects.get(event="revoke-ca-cert")
    assert (event.outcome, event.subject_id) == ("done", str(pki.issuing.pk))
    assert (event.data["serialNumber"], event.data["reason"]) == (version.serial_number, "CESSATION_OF_OPERATION")


def test_the_ca_issues_nothing_and_its_health_says_why(pki: Pki) -> None:
    make_issued(pki.profile)
    revoke(pki.issuing)

    pki.issuing.refresh_from_db()
    assert pki.issuing.status == AuthorityStatus.DISABLED
    with pytest.raises(Invalid) as refusal:
        make_issued(pki.profile)
    assert codes(refusal) == {"issuer_revoked"}
    assert "The certificate was revoked at" in health_of(pki.issuing, timezone.now())[0].text
    with pytest.raises(Invalid) as refusal:
        update_authority(requester=SYSTEM, authority=pki.issuing, status=AuthorityStatus.ACTIVE)
    assert codes(refusal) == {"status_not_possible"}
    # What it issued can still be revoked: its CRL goes on.
    revoke_certificate(requester=SYSTEM, certificate=pki.profile.certificates.get(), reason=RevocationReason.SUPERSEDED)
    assert len(crl_of(pki.issuing)) == 1


def test_nothing_is_issued_below_a_revoked_ca(pki: Pki) -> None:
    middle = make_authority(pki.project, parent=make_authority(pki.project, max_path_length=2), max_path_length=1)
    below = make_authority(pki.project, parent=middle)
    profile = make_profile_of(below, slug="below")
    revoke(middle)

    with pytest.raises(Invalid) as refusal:
        make_issued(profile)
    assert codes(refusal) == {"issuer_revoked"}
    for act in (
        lambda: make_authority(pki.project, parent=middle),
        lambda: sign_intermediate(requester=SYSTEM, authority=middle, csr=make_csr(), not_after=later()),
        lambda: renew_authority(requester=SYSTEM, authority=below, not_after=later(1500)),
    ):
        with pytest.raises(Invalid) as told:
            act()
        assert "issuer_revoked" in codes(told)
    findings = health_of(CertificateAuthority.objects.get(pk=below.pk), timezone.now())
    assert any(f"{middle.name}, above this CA, was revoked" in finding.text for finding in findings)


def test_a_new_certificate_for_the_same_key_leads_on(pki: Pki) -> None:
    before = make_issued(pki.profile)
    first = active_of(pki.issuing)
    revoke(pki.issuing)

    second = renew_authority(requester=SYSTEM, authority=pki.issuing, not_after=later())

    pki.issuing.refresh_from_db()
    assert (pki.issuing.status, second.version) == (AuthorityStatus.ACTIVE, 2)
    make_issued(pki.profile)
    # What was signed under the revoked certificate goes with the new one: the key is the same.
    before.refresh_from_db()
    path = [x509.load_pem_x509_certificate(each.encode()) for each in certification_path_pem(before)]
    assert path[0] == loaded(second)
    leaf = x509.load_der_x509_certificate(bytes(before.der))
    lists = [crl_of(pki.root), crl_of(pki.issuing)]
    assert openssl_objection(leaf, trusted=path[-1:], untrusted=path[:-1], crls=lists) == ""
    first.refresh_from_db()
    assert chain_of(first)[0] == bytes(first.der)  # its own page shows the certificate itself


def test_an_earlier_version_is_revoked_and_the_ca_goes_on(pki: Pki) -> None:
    first = active_of(pki.issuing)
    renew_authority(requester=SYSTEM, authority=pki.issuing, not_after=later(1900))

    revoke(pki.issuing, version=first)

    pki.issuing.refresh_from_db()
    assert pki.issuing.status == AuthorityStatus.ACTIVE
    assert status_at(pki.root, active_of(pki.issuing)) is ocsp.OCSPCertStatus.GOOD
    make_issued(pki.profile)


@pytest.mark.parametrize("reason", [RevocationReason.KEY_COMPROMISE, RevocationReason.CA_COMPROMISE])
def test_a_compromised_key_stops_the_ca_until_it_has_another(pki: Pki, reason: RevocationReason) -> None:
    first = active_of(pki.issuing)
    second = renew_authority(requester=SYSTEM, authority=pki.issuing, not_after=later(1900))

    revoked = revoke(pki.issuing, reason, version=first)

    assert [each.pk for each in revoked.siblings] == [second.pk]
    assert BlockedKey.objects.get().serial_number == first.serial_number
    pki.issuing.refresh_from_db()
    assert pki.issuing.status == AuthorityStatus.DISABLED
    assert any("compromised" in finding.text for finding in health_of(pki.issuing, timezone.now()))
    with pytest.raises(Invalid) as refusal:
        renew_authority(requester=SYSTEM, authority=pki.issuing, not_after=later(2000))
    assert codes(refusal) == {"key_blocked"}
    with pytest.raises(Invalid) as refusal:
        issue_authority_certificate(requester=SYSTEM, authority=pki.issuing, not_after=later(), max_path_length=0)
    assert codes(refusal) == {"key_blocked"}
    with pytest.raises(Invalid) as refusal:
        update_authority(requester=SYSTEM, authority=pki.issuing, status=AuthorityStatus.ACTIVE)
    assert codes(refusal) == {"status_not_possible"}

    rekey_authority(requester=SYSTEM, authority=pki.issuing, not_after=later())

    assert active_of(pki.issuing).key_id != first.key_id
    make_issued(pki.profile)


def test_what_cannot_be_revoked_is_told(pki: Pki) -> None:
    with pytest.raises(Invalid) as refusal:
        revoke(pki.root)
    assert codes(refusal) == {"without_issuer"}
    with pytest.raises(Invalid) as refusal:
        revoke(pki.issuing, RevocationReason.CERTIFICATE_HOLD)
    assert codes(refusal) == {"hold_not_for_authorities"}
    assert not RevocationEntry.objects.exists()

    revoke(pki.issuing, RevocationReason.AFFILIATION_CHANGED)
    with pytest.raises(Invalid) as refusal:
        revoke(pki.issuing)
    assert codes(refusal) == {"already_revoked"}
    assert "AFFILIATION_CHANGED" in refusal.value.message
    assert AuditEvent.objects.filter(event="revoke-ca-cert", outcome="refused").count() == 3


def test_a_member_revokes_no_ca(pki: Pki) -> None:
    bob = requester_for(make_user("bob", project=pki.project, role=Role.MEMBER))
    with pytest.raises(PermissionDenied):
        revoke_authority_certificate(
            requester=bob, certificate=active_of(pki.issuing), reason=RevocationReason.SUPERSEDED
        )
    assert not RevocationEntry.objects.exists()


def test_the_entry_outlives_the_ca_and_keeps_its_issuer(pki: Pki) -> None:
    below = make_authority(pki.project, parent=pki.root)
    version = active_of(below)
    revoke(below)

    delete_authority(requester=SYSTEM, authority=below)

    assert len(crl_of(pki.root)) == 1
    assert status_at(pki.root, version) is ocsp.OCSPCertStatus.REVOKED
    pki.profile.delete()
    delete_authority(requester=SYSTEM, authority=pki.issuing)
    with pytest.raises(Invalid) as refusal:
        delete_authority(requester=SYSTEM, authority=pki.root)
    assert codes(refusal) == {"has_revocations"}
    RevocationEntry.objects.update(not_after=timezone.now() - timedelta(days=1))
    delete_authority(requester=SYSTEM, authority=pki.root)
    assert not RevocationEntry.objects.exists()


def test_what_was_signed_for_a_csr_is_revoked_like_a_certificate_and_its_key_blocked(pki: Pki) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    csr = make_csr(key, common_name="Partner CA", dns_names=())
    signed = sign_intermediate(
        requester=SYSTEM, authority=pki.root, csr=csr, not_after=later(), max_path_length=0
    ).certificate
    sign_intermediate(requester=SYSTEM, authority=pki.root, csr=csr, not_after=later(), max_path_length=0)

    revoked = revoke_certificate(requester=SYSTEM, certificate=signed, reason=RevocationReason.CA_COMPROMISE)

    (entry,) = crl_of(pki.root)
    assert f"{entry.serial_number:040x}" == signed.serial_number
    assert len(revoked.siblings) == 1
    with pytest.raises(Invalid) as refusal:
        sign_intermediate(requester=SYSTEM, authority=pki.root, csr=csr, not_after=later(), max_path_length=0)
    assert codes(refusal) == {"key_weak"}
