"""CRLs: when they are signed anew, what is in them, and what happens when two do it at once."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from certificates.keystore.database import forget_keys
from certificates.models import (
    AuthorityKey,
    Certificate,
    CertificateAuthority,
    CertificateRevocationList,
    RevocationListShard,
)
from certificates.models.certificate import RevocationReason
from certificates.models.revocation import PublishedList
from certificates.services import crl as publishing
from certificates.services.authorities import AuthoritySubject, create_intermediate, sign_intermediate
from certificates.services.crl import (
    CRL_LIFE,
    current_crl,
    current_delta,
    document_of,
    publish_crl,
    publish_due,
    publish_now,
)
from certificates.services.crl_segments import Contents
from certificates.services.revocation import release_hold, revoke_certificate
from certificates.services.urls import delta_crl_url
from certificates.x509.inspect import crl_urls_of
from pki_portal.access.models import Role
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import Conflict, NotFound, PermissionDenied, Unavailable
from profiles.policy.vocabulary import KeyAlgorithm
from tests.factories import SYSTEM, make_authority, make_project, make_user, requester_for

pytestmark = pytest.mark.django_db

DUE = timedelta(days=5, hours=6)


def list_of(authority: CertificateAuthority) -> CertificateRevocationList:
    return CertificateRevocationList.objects.get(key__authority=authority)


def parsed(revocation_list: PublishedList) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(bytes(revocation_list.der or b""))


def number_in(revocation_list: PublishedList) -> int:
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


def revoke(certificate: Certificate, reason: RevocationReason = RevocationReason.SUPERSEDED) -> None:
    revoke_certificate(requester=SYSTEM, certificate=certificate, reason=reason)


def listed_in(crl: bytes, certificate: Certificate) -> x509.RevokedCertificate | None:
    number = int(certificate.serial_number, 16)
    return x509.load_der_x509_crl(crl).get_revoked_certificate_by_serial_number(number)


def is_listed(stored: PublishedList, certificate: Certificate) -> bool:
    stored.refresh_from_db()
    return listed_in(bytes(stored.der or b""), certificate) is not None


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

    assert document_of(served).der == bytes(stored.der or b"")


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

    def winner_comes_first(revocation_list: CertificateRevocationList, *, revision: int) -> Contents:
        monkeypatch.setattr(publishing, "Contents", Contents)
        current_crl(crl_id=stored.pk, now=now)
        return Contents(revocation_list, revision=revision)

    monkeypatch.setattr(publishing, "Contents", winner_comes_first)
    served = current_crl(crl_id=stored.pk, now=now)

    assert number_in(served) == served.number
    stored.refresh_from_db()
    assert stored.number == served.number
    assert bytes(stored.der or b"") == bytes(served.der or b"")


def test_publishing_against_another_makes_the_next_number() -> None:
    stale = list_of(make_authority(make_project()))
    winner = list_of(stale.key.authority)
    publish_crl(revocation_list=winner, now=timezone.now())
    other = winner.number or 0

    publish_crl(revocation_list=stale, now=timezone.now())

    assert (stale.number or 0) > other
    assert number_in(stale) == stale.number


def test_publishing_gives_up_when_others_never_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = list_of(make_authority(make_project()))
    monkeypatch.setattr(publishing, "_published", lambda *_, **__: False)

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
    lost = []
    for _ in range(5):
        publish_crl(revocation_list=stored, now=timezone.now())
        lost.append(stored.number or 0)
    CertificateRevocationList.objects.update(**backup)

    restored = list_of(stored.key.authority)
    publish_crl(revocation_list=restored, now=timezone.now() + timedelta(seconds=1))

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


def test_a_stale_list_is_published_by_whoever_asks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that is too large to be signed within the request that revokes."""
    authority = make_authority(make_project(), max_path_length=1)
    certificate = signed_for(authority, "Bad")
    stored = list_of(authority)
    CertificateRevocationList.objects.update(entry_count=publishing.PUBLISHED_AT_ONCE + 1)
    revoke(certificate)
    assert not is_listed(stored, certificate)

    assert listed_in(document_of(current_crl(crl_id=stored.pk, now=timezone.now())).der, certificate) is not None
    assert is_listed(stored, certificate)


# --- Entries of expired certificates (RFC 5280, 3.3) ------------------------------------------------------------------


def test_an_expired_certificate_is_on_one_more_scheduled_list_and_then_on_none() -> None:
    authority = make_authority(make_project(), max_path_length=1)
    certificate, other = signed_for(authority, "Bad"), signed_for(authority, "Other")
    revoke(certificate)
    end = certificate.not_after
    stored = list_of(authority)

    publish_crl(revocation_list=stored, now=end - timedelta(hours=1))
    assert is_listed(stored, certificate)
    # Not scheduled, so it is not the one more that must be.
    CertificateRevocationList.objects.update(revision=F("revision") + 1)
    current_crl(crl_id=stored.pk, now=end + timedelta(hours=1))
    assert is_listed(stored, certificate)
    publish_crl(revocation_list=stored, now=end + timedelta(days=1))
    assert is_listed(stored, certificate)
    publish_crl(revocation_list=stored, now=end + timedelta(days=2))
    assert not is_listed(stored, certificate)
    # What is revoked after its end is on one scheduled list as well.
    Certificate.objects.filter(pk=other.pk).update(not_after=end - timedelta(days=400))
    other.refresh_from_db()
    with time_machine.travel(end + timedelta(days=3), tick=False):
        revoke(other)
        assert is_listed(stored, other)


# --- Deltas (RFC 5280, 5.2.4) -----------------------------------------------------------------------------------------


def delta_of(stored: CertificateRevocationList, now: datetime | None = None) -> x509.CertificateRevocationList:
    crl = x509.load_der_x509_crl(current_delta(crl_id=stored.pk, now=now or timezone.now()).der)
    indicator = crl.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    stored.refresh_from_db()
    assert (indicator.critical, indicator.value.crl_number) == (True, stored.base_number)
    return crl


def test_a_delta_tells_what_was_revoked_and_released_since_the_scheduled_list() -> None:
    authority = make_authority(make_project(), max_path_length=1)
    old, held, new = (signed_for(authority, name) for name in ("Old", "Held", "New"))
    stored = list_of(authority)
    revoke(old)
    revoke(held, RevocationReason.CERTIFICATE_HOLD)
    publish_crl(revocation_list=stored, now=timezone.now())
    assert len(delta_of(stored)) == 0

    revoke(new, RevocationReason.KEY_COMPROMISE)
    release_hold(requester=SYSTEM, certificate=held)

    delta = delta_of(stored)
    told = {
        entry.serial_number: entry.extensions.get_extension_for_class(x509.CRLReason).value.reason for entry in delta
    }
    assert told == {
        int(new.serial_number, 16): x509.ReasonFlags.key_compromise,
        int(held.serial_number, 16): x509.ReasonFlags.remove_from_crl,
    }
    complete = parsed(stored)
    assert {entry.serial_number for entry in complete} == {int(each.serial_number, 16) for each in (old, new)}
    (point,) = complete.extensions.get_extension_for_class(x509.FreshestCRL).value
    assert point.full_name is not None
    assert point.full_name[0].value == delta_crl_url(stored.pk)


def test_a_fresh_delta_is_served_as_it_is_and_renewed_in_time() -> None:
    stored = list_of(make_authority(make_project()))
    now = timezone.now()
    first = current_delta(crl_id=stored.pk, now=now)
    assert current_delta(crl_id=stored.pk, now=now + timedelta(hours=17)) == first
    later = current_delta(crl_id=stored.pk, now=now + timedelta(hours=19))
    assert later.number > first.number
    publish_crl(revocation_list=stored, now=now + timedelta(hours=19))
    assert (stored.number or 0) > later.number


def test_a_valid_delta_is_served_while_the_key_cannot_be_used() -> None:
    authority = make_authority(make_project())
    stored = list_of(authority)
    first = current_delta(crl_id=stored.pk, now=timezone.now())
    break_key(authority)
    assert current_delta(crl_id=stored.pk, now=timezone.now() + timedelta(hours=20)) == first
    with pytest.raises(Unavailable):
        current_delta(crl_id=stored.pk, now=timezone.now() + timedelta(hours=25))


# --- Shards (RFC 5280, 5.2.5) -----------------------------------------------------------------------------------------


def test_certificates_issued_after_a_list_grew_large_are_on_a_shard_and_on_the_complete_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publishing, "ENTRIES_PER_LIST", 1)
    authority = make_authority(make_project(), max_path_length=1)
    before = [signed_for(authority, f"Before {number}") for number in range(3)]
    stored = list_of(authority)
    revoke(before[0])
    assert not RevocationListShard.objects.exists()
    revoke(before[1])
    assert RevocationListShard.objects.count() == publishing.SHARDS_OPENED
    assert not CertificateRevocationList.objects.get().shards.exclude(generation=1).exists()

    after = signed_for(authority, "After")
    (url,) = crl_urls_of(bytes(after.der))
    revoke(after)
    revoke(before[2])

    shard = RevocationListShard.objects.get(pk=url.split("/")[-2])
    crl = parsed(shard)
    assert [entry.serial_number for entry in crl] == [int(after.serial_number, 16)]
    point = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    assert point.critical
    assert point.value.full_name is not None
    assert point.value.full_name[0].value == url
    assert all(is_listed(stored, each) for each in (*before, after))
    with pytest.raises(x509.ExtensionNotFound):
        parsed(stored).extensions.get_extension_for_class(x509.IssuingDistributionPoint)


def test_a_shard_is_published_by_whoever_asks_first_and_follows_hold_and_release(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publishing, "ENTRIES_PER_LIST", 0)
    authority = make_authority(make_project(), max_path_length=1)
    revoke(signed_for(authority, "Before"))
    certificate = signed_for(authority, "After")
    shard = RevocationListShard.objects.get(pk=crl_urls_of(bytes(certificate.der))[0].split("/")[-2])
    assert shard.der is None
    assert len(x509.load_der_x509_crl(document_of(current_crl(crl_id=shard.pk, now=timezone.now())).der)) == 0
    revoke(certificate, RevocationReason.CERTIFICATE_HOLD)
    assert is_listed(shard, certificate)
    release_hold(requester=SYSTEM, certificate=certificate)
    assert not is_listed(shard, certificate)
    revoke(certificate)
    assert is_listed(shard, certificate)
    # The shard was the newest and is full: the next generation is open.
    assert CertificateRevocationList.objects.get().shard_generation == 2


# --- All lists --------------------------------------------------------------------------------------------------------


def test_what_is_due_is_published_and_what_cannot_be_is_told() -> None:
    one, other, third = (make_authority(make_project()) for _ in range(3))
    assert list(publish_due(now=timezone.now())) == []
    AuthorityKey.objects.filter(authority=other).update(sealed_private_key=b"\x01nonsense")
    forget_keys()
    CertificateRevocationList.objects.filter(key__authority__in=[other, third]).update(revision=7)

    told = {found.key.authority_id: problem for found, problem in publish_due(now=timezone.now())}  # type: ignore[union-attr]

    assert one.pk not in told
    assert isinstance(told[other.pk], Unavailable)
    assert told[third.pk] is None
    assert list_of(third).published_revision == 7


def test_publishing_now_is_for_those_who_may_edit_the_ca_and_is_recorded() -> None:
    authority = make_authority(make_project())
    before = list_of(authority).number or 0
    bob = requester_for(make_user("bob", project=authority.project, role=Role.MEMBER))
    with pytest.raises(PermissionDenied):
        publish_now(requester=bob, authority=authority)

    assert publish_now(requester=SYSTEM, authority=authority) == 1

    assert (list_of(authority).number or 0) > before
    events = AuditEvent.objects.filter(event="publish-crl").order_by("id")
    assert list(events.values_list("outcome", flat=True)) == ["refused", "done"]


def test_revoking_reads_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "ENTRIES_PER_LIST", 0)
    authority = make_authority(make_project())
    revoke(signed_for(authority, "first.acme.com"))
    on_a_shard = signed_for(authority, "second.acme.com")

    with CaptureQueriesContext(connection) as queries:
        revoke(on_a_shard)

    read = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
    assert RevocationListShard.objects.filter(entries__certificate=on_a_shard).exists()
    assert not [sql for sql in read if 'revocationlist"."der"' in sql or 'revocationlistshard"."der"' in sql]
