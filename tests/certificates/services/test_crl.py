"""CRLs: when they are signed anew, what is in them, and what happens when two do it at once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from django.utils import timezone

from certificates.keystore.database import forget_keys
from certificates.models import AuthorityKey, Certificate, CertificateAuthority, CertificateRevocationList
from certificates.models.certificate import RevocationReason
from certificates.services import crl as publishing
from certificates.services.authorities import AuthoritySubject, create_intermediate, sign_intermediate
from certificates.services.crl import CRL_LIFE, current_crl, publish_crl
from certificates.services.revocation import revoke_certificate
from pki_portal.errors import Conflict, NotFound, Unavailable
from profiles.policy.vocabulary import KeyAlgorithm
from tests.factories import SYSTEM, make_authority, make_project

pytestmark = pytest.mark.django_db

DUE = timedelta(days=5, hours=6)


def list_of(authority: CertificateAuthority) -> CertificateRevocationList:
    return CertificateRevocationList.objects.get(key__authority=authority)


def parsed(revocation_list: CertificateRevocationList) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(bytes(revocation_list.der or b""))


def number_in(revocation_list: CertificateRevocationList) -> int:
    return parsed(revocation_list).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def signed_for(authority: CertificateAuthority, common_name: str) -> Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    csr = x509.CertificateSigningRequestBuilder(name).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return sign_intermediate(
        requester=SYSTEM,
        authority=authority,
        csr=csr.public_bytes(Encoding.PEM).decode(),
        not_after=datetime(2028, 1, 1, tzinfo=UTC),
        max_path_length=0,
    ).certificate


def break_key(authority: CertificateAuthority) -> None:
    AuthorityKey.objects.filter(authority=authority).update(sealed_private_key=b"\x01nonsense")
    forget_keys()


@pytest.mark.parametrize(
    "key_algorithm", [KeyAlgorithm.EC_SECP384R1, KeyAlgorithm.RSA_2048, KeyAlgorithm.ED25519, KeyAlgorithm.ML_DSA_87]
)
def test_first_list_is_empty_and_lives_a_week(key_algorithm: KeyAlgorithm) -> None:
    authority = make_authority(make_project(), key_algorithm=key_algorithm)

    stored = list_of(authority)
    crl = parsed(stored)
    assert (number_in(stored), len(crl)) == (stored.number, 0)
    assert crl.next_update_utc == stored.next_update
    assert (crl.next_update_utc or timezone.now()) - crl.last_update_utc == CRL_LIFE
    assert authority.active_certificate is not None
    issuer = x509.load_der_x509_certificate(bytes(authority.active_certificate.der))
    assert crl.issuer == issuer.subject
    assert crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]


def test_young_list_is_served_as_it_is() -> None:
    stored = list_of(make_authority(make_project()))

    served = current_crl(crl_id=stored.pk, now=timezone.now() + DUE - timedelta(minutes=1))

    assert bytes(served.der or b"") == bytes(stored.der or b"")


def test_list_past_three_quarters_of_its_life_is_signed_anew() -> None:
    stored = list_of(make_authority(make_project()))
    now = timezone.now() + DUE + timedelta(minutes=1)

    served = current_crl(crl_id=stored.pk, now=now)

    first = stored.number or 0
    assert (served.number or 0) > first
    assert number_in(served) == served.number
    assert served.this_update == now.replace(microsecond=0)
    stored.refresh_from_db()
    assert (stored.number, bytes(stored.der or b"")) == (served.number, bytes(served.der or b""))
    assert current_crl(crl_id=stored.pk, now=now).number == served.number


def test_loser_of_a_race_serves_what_the_winner_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = list_of(make_authority(make_project()))
    now = timezone.now() + DUE + timedelta(minutes=1)
    entries = publishing._entries

    def winner_comes_first(revocation_list: CertificateRevocationList) -> Iterator[bytes]:
        monkeypatch.setattr(publishing, "_entries", entries)
        current_crl(crl_id=stored.pk, now=now)
        return entries(revocation_list)

    monkeypatch.setattr(publishing, "_entries", winner_comes_first)
    served = current_crl(crl_id=stored.pk, now=now)

    assert number_in(served) == served.number
    stored.refresh_from_db()
    assert stored.number == served.number
    assert bytes(stored.der or b"") == bytes(served.der or b"")


def test_publishing_against_another_makes_the_next_number() -> None:
    stale = list_of(make_authority(make_project()))
    other = publish_crl(revocation_list=list_of(stale.key.authority), now=timezone.now()).number or 0

    publish_crl(revocation_list=stale, now=timezone.now())

    assert (stale.number or 0) > other
    assert number_in(stale) == stale.number


def test_publishing_gives_up_when_others_never_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = list_of(make_authority(make_project()))
    monkeypatch.setattr(publishing, "_published", lambda *_: False)

    with pytest.raises(Conflict):
        publish_crl(revocation_list=stored, now=timezone.now())


def test_revoked_certificates_are_listed_with_time_and_reason() -> None:
    authority = make_authority(make_project(), max_path_length=1)
    good, bad = signed_for(authority, "Good"), signed_for(authority, "Bad")
    revoked_at = revoke_certificate(
        requester=SYSTEM, certificate=bad, reason=RevocationReason.KEY_COMPROMISE
    ).revoked_at

    stored = list_of(authority)

    (entry,) = parsed(stored)
    assert entry.serial_number == int(bad.serial_number, 16)
    assert entry.revocation_date_utc == revoked_at
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise
    assert parsed(stored).get_revoked_certificate_by_serial_number(int(good.serial_number, 16)) is None


def test_list_never_looks_older_than_the_one_before() -> None:
    stored = list_of(make_authority(make_project()))
    number, this_update = stored.number or 0, stored.this_update

    publish_crl(revocation_list=stored, now=timezone.now() - timedelta(days=1))

    assert number_in(stored) == number + 1
    assert parsed(stored).last_update_utc == this_update


def test_numbers_go_on_above_those_that_a_restored_backup_has_forgotten() -> None:
    stored = list_of(make_authority(make_project()))
    backup = CertificateRevocationList.objects.values("number", "der", "this_update", "next_update").get()
    lost = [publish_crl(revocation_list=stored, now=timezone.now()).number or 0 for _ in range(5)]
    CertificateRevocationList.objects.update(**backup)

    restored = publish_crl(revocation_list=list_of(stored.key.authority), now=timezone.now() + timedelta(seconds=1))

    assert number_in(restored) > max(lost)


def test_valid_list_is_served_while_the_key_cannot_be_used() -> None:
    authority = make_authority(make_project())
    stored = list_of(authority)
    break_key(authority)

    assert current_crl(crl_id=stored.pk, now=timezone.now() + timedelta(days=6)).number == stored.number
    with pytest.raises(Unavailable):
        current_crl(crl_id=stored.pk, now=timezone.now() + timedelta(days=8))


def test_waiting_ca_has_no_list_yet() -> None:
    waiting = create_intermediate(
        requester=SYSTEM,
        project=make_project(),
        name="issuing",
        subject=AuthoritySubject(common_name="Issuing"),
        key_algorithm=KeyAlgorithm.EC_PRIME256V1,
        parent=None,
    )

    for crl_id in (list_of(waiting).pk, uuid4()):
        with pytest.raises(NotFound):
            current_crl(crl_id=crl_id, now=timezone.now())
    with pytest.raises(NotFound):
        publish_crl(revocation_list=list_of(waiting), now=timezone.now())
