"""OCSP as relying parties ask: what is answered, by whom, for how long; and that a revocation is in the next answer."""

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, ExtensionOID
from django.test import Client
from django.utils import timezone

from certificates.keystore.database import forget_keys
from certificates.models import (
    AuthorityKey,
    Certificate,
    CertificateAuthority,
    OcspResponder,
    OcspResponse,
)
from certificates.models.authority import AuthorityStatus, ChainPhase
from certificates.models.certificate import RevocationReason
from certificates.services.authorities import rekey_authority, renew_authority, sign_intermediate, update_authority
from certificates.services.ocsp import answer_ocsp
from certificates.services.revocation import release_hold, revoke_certificate
from certificates.x509 import der
from pki_portal.audit.models import AuditEvent
from profiles.models import CertificateProfile
from profiles.policy.vocabulary import KeyAlgorithm
from tests.assertions import assert_error
from tests.factories import SYSTEM, make_authority, make_project
from tests.pages import make_issued
from tests.scenery import make_issuing_profile
from tests.wire import make_csr

pytestmark = pytest.mark.django_db

BASE = "/api/v1/cert-manager/ocsp"
SHA1 = hashes.SHA1()  # noqa: S303 - what nearly every client sends: a name of the issuer, not a protection
GOOD, REVOKED, UNKNOWN = ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project())


def ca_of(certificate: Certificate) -> CertificateAuthority:
    assert certificate.authority is not None
    return certificate.authority


def issuer_of(certificate: Certificate) -> x509.Certificate:
    assert certificate.authority_certificate is not None
    return x509.load_der_x509_certificate(bytes(certificate.authority_certificate.der))


def request_for(
    certificate: Certificate, *, nonce: bytes | None = None, algorithm: hashes.HashAlgorithm = SHA1
) -> bytes:
    leaf = x509.load_der_x509_certificate(bytes(certificate.der))
    builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer_of(certificate), algorithm)
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def post(authority: CertificateAuthority, document: bytes) -> Any:
    return Client().post(f"{BASE}/{authority.pk}", document, content_type="application/ocsp-request")


def get(authority: CertificateAuthority, document: bytes, **headers: str) -> Any:
    encoded = quote(base64.b64encode(document).decode(), safe="")
    return Client().get(f"{BASE}/{authority.pk}/{encoded}", headers=headers)


def read(response: Any) -> ocsp.OCSPResponse:
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/ocsp-response")
    return ocsp.load_der_ocsp_response(response.content)


def ask(certificate: Certificate, **how: Any) -> ocsp.OCSPResponse:
    """By POST, and verified by the certificate's issuer."""
    return verified(read(post(ca_of(certificate), request_for(certificate, **how))), issuer_of(certificate))


def verified(answer: ocsp.OCSPResponse, issuer: x509.Certificate) -> ocsp.OCSPResponse:
    """Signed by the one certificate in it, which the issuer made a responder (RFC 6960, 4.2.2.2)."""
    (responder,) = answer.certificates
    responder.verify_directly_issued_by(issuer)
    purposes = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.OCSP_SIGNING]
    responder.extensions.get_extension_for_oid(ExtensionOID.OCSP_NO_CHECK)
    key = responder.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        assert answer.signature_hash_algorithm is not None
        key.verify(answer.signature, answer.tbs_response_bytes, padding.PKCS1v15(), answer.signature_hash_algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        assert answer.signature_hash_algorithm is not None
        key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(answer.signature_hash_algorithm))
    else:
        key.verify(answer.signature, answer.tbs_response_bytes)  # type: ignore[union-attr, call-arg]
    assert responder.not_valid_before_utc <= answer.produced_at_utc < responder.not_valid_after_utc
    return answer


# --- What is answered -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key_algorithm",
    [
        KeyAlgorithm.RSA_2048,
        KeyAlgorithm.EC_PRIME256V1,
        KeyAlgorithm.EC_SECP384R1,
        KeyAlgorithm.EC_SECP521R1,
        KeyAlgorithm.ED25519,
        KeyAlgorithm.ML_DSA_65,
    ],
)
def test_good_before_and_revoked_after_for_every_kind_of_ca(key_algorithm: KeyAlgorithm) -> None:
    certificate = make_issued(make_issuing_profile(make_project(), authority_key=key_algorithm))
    assert ask(certificate).certificate_status is GOOD

    done = revoke_certificate(requester=SYSTEM, certificate=certificate, reason=RevocationReason.KEY_COMPROMISE)

    answer = ask(certificate)
    assert answer.certificate_status is REVOKED
    assert answer.revocation_time_utc == done.revoked_at
    assert answer.revocation_reason is x509.ReasonFlags.key_compromise


def test_an_answer_lives_an_hour_and_repeats_what_was_asked(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    for algorithm in (SHA1, hashes.SHA256()):
        answer = ask(certificate, algorithm=algorithm)
        assert answer.serial_number == int(certificate.serial_number, 16)
        assert type(answer.hash_algorithm) is type(algorithm)
        assert answer.next_update_utc is not None
        assert answer.next_update_utc - answer.this_update_utc == timedelta(hours=1)
        assert answer.this_update_utc == answer.produced_at_utc


def test_an_issued_certificate_names_the_responder(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    access = x509.load_der_x509_certificate(bytes(certificate.der)).extensions.get_extension_for_class(
        x509.AuthorityInformationAccess
    )
    (url,) = [
        each.access_location.value for each in access.value if each.access_method == AuthorityInformationAccessOID.OCSP
    ]
    assert url == f"http://pki.test{BASE}/{certificate.authority_id}"
    response = Client().post(
        url.removeprefix("http://pki.test"), request_for(certificate), content_type="application/ocsp-request"
    )
    assert read(response).certificate_status is GOOD


def test_a_hold_is_revoked_and_a_released_one_good(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    revoke_certificate(requester=SYSTEM, certificate=certificate, reason=RevocationReason.CERTIFICATE_HOLD)
    assert ask(certificate).revocation_reason is x509.ReasonFlags.certificate_hold
    release_hold(requester=SYSTEM, certificate=certificate)
    assert ask(certificate).certificate_status is GOOD


@pytest.mark.parametrize("nonce", [b"n", b"n" * 32, b"n" * 128])
def test_a_nonce_comes_back(profile: CertificateProfile, nonce: bytes) -> None:
    answer = ask(make_issued(profile), nonce=nonce)
    assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce


def several(*certificates: Certificate) -> bytes:
    singles = [der.Value.whole(request_for(each)).members()[0].members()[0].members()[0] for each in certificates]
    return der.sequence(der.sequence(der.sequence(*(each.encoded for each in singles))))


def test_several_certificates_are_answered_in_their_order(profile: CertificateProfile) -> None:
    good, bad = make_issued(profile), make_issued(profile)
    revoke_certificate(requester=SYSTEM, certificate=bad, reason=RevocationReason.SUPERSEDED)
    answer = read(post(ca_of(good), several(good, bad, good)))
    told = [(each.serial_number, each.certificate_status) for each in answer.responses]
    good_number, bad_number = int(good.serial_number, 16), int(bad.serial_number, 16)
    assert told == [(good_number, GOOD), (bad_number, REVOKED), (good_number, GOOD)]


def asking_for(certificate: Certificate, serial_number: int) -> bytes:
    issuer = issuer_of(certificate)
    name, key = hashes.Hash(SHA1), hashes.Hash(SHA1)
    name.update(issuer.subject.public_bytes())
    info = der.Value.whole(issuer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    key.update(info.members()[1].contents[1:])
    algorithm = der.sequence(der.object_identifier("1.3.14.3.2.26"), b"\x05\x00")
    number = serial_number.to_bytes(serial_number.bit_length() // 8 + 1, "big", signed=True)
    asked = der.sequence(
        algorithm, der.octet_string(name.finalize()), der.octet_string(key.finalize()), der.tlv(der.INTEGER, number)
    )
    return der.sequence(der.sequence(der.sequence(der.sequence(asked))))


@pytest.mark.parametrize("serial_number", [0, 1, -1, 2**159, 2**160, 2**400])
def test_what_was_never_issued_is_unknown_and_not_kept(profile: CertificateProfile, serial_number: int) -> None:
    certificate = make_issued(profile)
    answer = read(post(ca_of(certificate), asking_for(certificate, serial_number)))
    assert (answer.certificate_status, answer.serial_number) == (UNKNOWN, serial_number)
    assert not OcspResponse.objects.exists()


def test_cas_below_the_ca_itself_and_its_responder_are_known(profile: CertificateProfile) -> None:
    root = make_authority(profile.project)
    below = make_authority(profile.project, parent=root)
    signed = sign_intermediate(
        requester=SYSTEM,
        authority=root,
        csr=make_csr(),
        not_after=timezone.now() + timedelta(days=9),
        max_path_length=0,
    ).certificate
    assert ask(signed).certificate_status is GOOD
    numbers = [below.active_certificate.serial_number, root.active_certificate.serial_number]  # type: ignore[union-attr]
    numbers += OcspResponder.objects.filter(key__authority=root).values_list("serial_number", flat=True)
    assert len(numbers) == 3
    for number in numbers:
        answer = read(post(root, asking_for(signed, int(number, 16))))
        assert answer.certificate_status is GOOD


def test_an_expired_certificate_is_answered_with_how_far_answers_reach_back(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    revoke_certificate(requester=SYSTEM, certificate=certificate, reason=RevocationReason.SUPERSEDED)
    with time_machine.travel(certificate.not_after + timedelta(days=5), tick=False):
        response = post(ca_of(certificate), request_for(certificate))
        assert read(response).certificate_status is REVOKED
        assert der.object_identifier("1.3.6.1.5.5.7.48.1.6") in response.content
    assert (
        der.object_identifier("1.3.6.1.5.5.7.48.1.6") not in post(ca_of(certificate), request_for(certificate)).content
    )


# --- What is refused --------------------------------------------------------------------------------------------------


def status_of(response: Any) -> ocsp.OCSPResponseStatus:
    assert response.headers["Cache-Control"] == "no-store"
    return read(response).response_status


@pytest.mark.parametrize("document", [b"", b"rubbish", b"\x30\x03\x02\x01\x00", b"x" * 100_000])
def test_rubbish_is_malformed(profile: CertificateProfile, document: bytes) -> None:
    ca = ca_of(make_issued(profile))
    assert status_of(post(ca, document)) is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


@pytest.mark.parametrize("encoded", ["x", "%00", "a/b/c", "%E2%82%AC", "===="])
def test_rubbish_in_the_path_is_malformed(profile: CertificateProfile, encoded: str) -> None:
    response = Client().get(f"{BASE}/{make_issued(profile).authority_id}/{encoded}")
    assert status_of(response) is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


@pytest.mark.parametrize("octets", [0, 129])
def test_a_nonce_of_no_or_too_many_octets_is_malformed(profile: CertificateProfile, octets: int) -> None:
    certificate = make_issued(profile)
    (tbs,) = der.Value.whole(request_for(certificate)).members()
    nonce = der.extension("1.3.6.1.5.5.7.48.1.2", der.octet_string(b"n" * octets))
    document = der.sequence(der.sequence(tbs.contents, der.tlv(der.context(2), der.sequence(nonce))))
    assert status_of(post(ca_of(certificate), document)) is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


def elsewhere(certificate: Certificate) -> tuple[CertificateAuthority, bytes]:
    return make_authority(make_project()), request_for(certificate)


def with_another(certificate: Certificate) -> tuple[CertificateAuthority, bytes]:
    other = make_issued(make_issuing_profile(make_project(), slug="other"))
    return ca_of(certificate), several(certificate, other)


def switched_off(certificate: Certificate) -> tuple[CertificateAuthority, bytes]:
    ask(certificate)  # there is an answer to give
    update_authority(requester=SYSTEM, authority=ca_of(certificate), is_ocsp_enabled=False)
    return ca_of(certificate), request_for(certificate)


def unknown_hash(certificate: Certificate) -> tuple[CertificateAuthority, bytes]:
    return ca_of(certificate), request_for(certificate, algorithm=hashes.SHA512())


def no_ca(certificate: Certificate) -> tuple[CertificateAuthority, bytes]:
    return CertificateAuthority(), request_for(certificate)


@pytest.mark.parametrize("case", [elsewhere, with_another, switched_off, unknown_hash, no_ca])
def test_what_is_not_ours_to_answer_is_unauthorized(
    profile: CertificateProfile, case: Callable[[Certificate], tuple[CertificateAuthority, bytes]]
) -> None:
    ca, document = case(make_issued(profile))
    assert status_of(post(ca, document)) is ocsp.OCSPResponseStatus.UNAUTHORIZED


def test_an_id_that_is_none_is_422(profile: CertificateProfile) -> None:
    document = request_for(make_issued(profile))
    response = Client().post(f"{BASE}/x", document, content_type="application/ocsp-request")
    assert_error(response, status=422, error="ValidationFailure")


def test_a_ca_without_ocsp_names_no_responder(profile: CertificateProfile) -> None:
    ca = profile.certificate_authority
    assert ca is not None
    update_authority(requester=SYSTEM, authority=ca, is_ocsp_enabled=False)
    leaf = x509.load_der_x509_certificate(bytes(make_issued(profile).der))
    methods = [
        each.access_method for each in leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    ]
    assert methods == [AuthorityInformationAccessOID.CA_ISSUERS]


# --- GET and caches (RFC 5019) ----------------------------------------------------------------------------------------


def test_get_answers_the_same_and_says_how_long_to_keep_it(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    response = get(ca_of(certificate), request_for(certificate))
    answer = verified(read(response), issuer_of(certificate))
    assert answer.certificate_status is GOOD
    headers = response.headers
    assert headers["Cache-Control"] == "max-age=300, public, no-transform, must-revalidate"
    assert answer.next_update_utc is not None
    assert headers["Expires"] == http(answer.next_update_utc)
    assert headers["Last-Modified"] == http(answer.this_update_utc)
    known = get(ca_of(certificate), request_for(certificate), **{"If-None-Match": headers["ETag"]})
    assert (known.status_code, known.content) == (304, b"")


def http(moment: datetime) -> str:
    return moment.strftime("%a, %d %b %Y %H:%M:%S GMT")


def test_base64_with_slashes_is_read_whether_they_are_escaped_or_not(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    encoded = base64.b64encode(request_for(certificate)).decode()
    assert read(Client().get(f"{BASE}/{certificate.authority_id}/{encoded}")).certificate_status is GOOD


def test_an_answer_with_a_nonce_is_kept_nowhere(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    response = get(ca_of(certificate), request_for(certificate, nonce=b"n" * 16))
    assert response.headers["Cache-Control"] == "no-store"
    assert "ETag" not in response.headers
    assert not OcspResponse.objects.exists()


# --- Answers that were signed before ----------------------------------------------------------------------------------


def test_an_answer_is_given_again_for_half_its_life(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    document, ca = request_for(certificate), ca_of(certificate)
    now = timezone.now()
    first = answer_ocsp(authority_id=ca.pk, document=document, now=now)
    assert answer_ocsp(authority_id=ca.pk, document=document, now=now + timedelta(minutes=29)).der == first.der
    later = answer_ocsp(authority_id=ca.pk, document=document, now=now + timedelta(minutes=31))
    assert later.der != first.der
    assert OcspResponse.objects.count() == 1
    # A clock that was set back gets none from the future.
    before = answer_ocsp(authority_id=ca.pk, document=document, now=now - timedelta(minutes=5))
    assert before.this_update is not None
    assert before.this_update < now


def test_a_revocation_takes_kept_answers_away(profile: CertificateProfile) -> None:
    certificate, other = make_issued(profile), make_issued(profile)
    for each in (certificate, other):
        for algorithm in (SHA1, hashes.SHA256()):
            ask(each, algorithm=algorithm)
    assert OcspResponse.objects.count() == 4
    revoke_certificate(requester=SYSTEM, certificate=certificate, reason=RevocationReason.SUPERSEDED)
    assert set(OcspResponse.objects.values_list("certificate", flat=True)) == {other.pk}
    assert ask(certificate).certificate_status is REVOKED


def test_old_answers_are_swept_away(profile: CertificateProfile) -> None:
    certificate, other = make_issued(profile), make_issued(profile)
    ask(certificate)
    document, ca = request_for(other), ca_of(other)
    answer_ocsp(authority_id=ca.pk, document=document, now=timezone.now() + timedelta(hours=2))
    assert list(OcspResponse.objects.values_list("certificate", flat=True)) == [other.pk]


# --- Responders -------------------------------------------------------------------------------------------------------


def test_a_responder_is_issued_once_recorded_and_replaced_after_a_week(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    for _ in range(2):
        ask(certificate, nonce=b"n")
    responder = OcspResponder.objects.get()
    assert responder.not_after - responder.not_before == timedelta(days=14)
    event = AuditEvent.objects.get(event="issue-ocsp-responder")
    assert event.data["serialNumber"] == responder.serial_number
    assert (event.actor_kind, event.subject_id) == ("system", str(certificate.authority_id))
    with time_machine.travel(timezone.now() + timedelta(days=8), tick=False):
        ask(certificate)
        assert OcspResponder.objects.count() == 2
    with time_machine.travel(timezone.now() + timedelta(days=16), tick=False):
        ask(certificate)
    # Of one that has ended the key is destroyed; its certificate stays.
    responder.refresh_from_db()
    assert responder.sealed_private_key is None


def test_no_column_holds_the_responder_s_key(profile: CertificateProfile) -> None:
    ask(make_issued(profile))
    sealed = bytes(OcspResponder.objects.get().sealed_private_key or b"")
    assert sealed
    for opening in (b"PRIVATE KEY", der.object_identifier("1.2.840.10045.2.1")):
        assert opening not in sealed


def break_ca_keys() -> None:
    AuthorityKey.objects.update(sealed_private_key=b"\x01nonsense")
    forget_keys()


def test_a_broken_ca_key_stops_no_answer_while_the_responder_lives(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    ask(certificate)
    break_ca_keys()
    with time_machine.travel(timezone.now() + timedelta(days=13), tick=False):
        assert ask(certificate).certificate_status is GOOD
    with time_machine.travel(timezone.now() + timedelta(days=15), tick=False):
        response = post(ca_of(certificate), request_for(certificate))
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "30"
        answer = ocsp.load_der_ocsp_response(response.content)
        assert answer.response_status is ocsp.OCSPResponseStatus.TRY_LATER


def test_a_disabled_ca_goes_on_answering(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    update_authority(requester=SYSTEM, authority=ca_of(certificate), status=AuthorityStatus.DISABLED)
    assert ask(certificate).certificate_status is GOOD


def test_a_renewed_ca_answers_for_what_its_earlier_certificate_signed(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    ca = ca_of(certificate)
    assert ca.not_after is not None
    renew_authority(requester=SYSTEM, authority=ca, not_after=ca.not_after + timedelta(days=30))
    assert ask(certificate).certificate_status is GOOD


def test_a_ca_with_a_new_key_answers_for_what_its_old_key_signed(profile: CertificateProfile) -> None:
    before = make_issued(profile)
    ca = ca_of(before)
    rekey_authority(requester=SYSTEM, authority=ca, not_after=timezone.now() + timedelta(days=3650))
    update_authority(requester=SYSTEM, authority=ca, chain_phase=ChainPhase.NEW)
    after = make_issued(profile)
    assert issuer_of(before).public_key() != issuer_of(after).public_key()
    assert ask(before).certificate_status is ask(after).certificate_status is GOOD
    assert {each.key_id for each in OcspResponder.objects.all()} == set(ca.keys.values_list("pk", flat=True))
    # One answer cannot be signed for both keys.
    assert status_of(post(ca, several(before, after))) is ocsp.OCSPResponseStatus.UNAUTHORIZED
    revoke_certificate(requester=SYSTEM, certificate=before, reason=RevocationReason.SUPERSEDED)
    assert ask(before).certificate_status is REVOKED
    assert ask(after).certificate_status is GOOD
