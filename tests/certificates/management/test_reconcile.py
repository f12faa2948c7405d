"""A database that has forgotten: whatever was signed, revoked or published since is known again."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import OperationalError, models, transaction
from django.utils import timezone

from certificates.keystore.database import forget_keys
from certificates.models import (
    AuthorityCertificate,
    AuthorityKey,
    AutoRenewal,
    BlockedKey,
    Certificate,
    CertificateAuthority,
    CertificateRequest,
    CertificateRevocationList,
    OcspResponder,
    RevocationEntry,
)
from certificates.models.authority import AuthorityStatus
from certificates.models.certificate import CertificateStatus, RevocationReason
from certificates.services import crl, issuance
from certificates.services import journal as certificate_journal
from certificates.services.authorities import delete_authority, rekey_authority, renew_authority, update_authority
from certificates.services.authorities.revoking import revoke_authority_certificate
from certificates.services.crl import current_crl, current_delta
from certificates.services.deletion import delete_certificate
from certificates.services.kept_keys import read_private_key
from certificates.services.ocsp import answer_ocsp
from certificates.services.renewal import renew_certificate
from certificates.services.revocation import release_hold, revoke_certificate
from certificates.x509.ocsp import issuer_hashes
from pki_portal import journal
from pki_portal.access.models import Project
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import Gone, Unavailable
from pki_portal.rows import column_value
from profiles.models import CertificateProfile
from profiles.services import update_profile
from tests.factories import SYSTEM, make_authority, make_project
from tests.pages import make_issued
from tests.scenery import make_issuing_profile
from tests.wire import make_profile_of

pytestmark = pytest.mark.django_db

REASON = RevocationReason.SUPERSEDED
REVOKED, GOOD, UNKNOWN = ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.UNKNOWN


@contextmanager
def forgotten() -> Iterator[None]:
    """What is done in the block is told and in the journal, and then the database is as it was."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
    forget_keys()


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project())


def reconcile(*options: str) -> str:
    """What a run that leaves nothing prints."""
    out = StringIO()
    call_command("reconcile", *options, stdout=out)
    return out.getvalue()


def left() -> str:
    """What a run that leaves something prints and says."""
    out = StringIO()
    with pytest.raises(CommandError) as failure:
        call_command("reconcile", stdout=out)
    assert failure.value.returncode == 1
    return f"{out.getvalue()}{failure.value}"


def nothing_is_left() -> bool:
    """Whether another run has nothing to do, and the check no finding."""
    call_command("check_certificates", stdout=StringIO(), stderr=StringIO())
    return "mended: nothing." in reconcile()


def status_of(issuer: AuthorityCertificate, serial_number: str) -> ocsp.OCSPCertStatus:
    """What the CA's responder says."""
    certificate = x509.load_der_x509_certificate(bytes(issuer.der))
    asked = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        *issuer_hashes(certificate)["sha256"], int(serial_number, 16), hashes.SHA256()
    )
    answer = answer_ocsp(
        authority_id=issuer.authority_id,
        document=asked.build().public_bytes(Encoding.DER),
        now=timezone.now(),
    )
    return ocsp.load_der_ocsp_response(answer.der).certificate_status


def issuer_of(profile: CertificateProfile) -> AuthorityCertificate:
    authority = profile.certificate_authority
    assert authority is not None
    assert authority.active_certificate is not None
    return authority.active_certificate


def list_of(profile: CertificateProfile) -> CertificateRevocationList:
    return CertificateRevocationList.objects.get(key=issuer_of(profile).key_id)


def columns(row: Any) -> dict[str, Any]:
    """All of a row but the time of its last change."""
    return {
        field.attname: bytes(value) if isinstance(value := getattr(row, field.attname), memoryview) else value
        for field in row._meta.concrete_fields
        if field.attname != "updated_at"
    }


def append(kind: str, **values: Any) -> None:
    """A line as another process would have left it, some time ago."""
    old = timezone.now() - timedelta(hours=1)
    journal.append([{"kind": kind, "id": uuid.uuid4(), "at": old, "machine": "elsewhere", "process": 1, **values}])


# --- Certificates -----------------------------------------------------------------------------------------------------


def test_nothing_is_to_be_done_where_nothing_is_lost(profile: CertificateProfile) -> None:
    issued = make_issued(profile)
    revoke_certificate(requester=SYSTEM, certificate=issued, reason=REASON)
    make_issued(make_issuing_profile(profile.project, slug="alone", is_self_signed=True))

    assert "mended: nothing." in reconcile()
    assert nothing_is_left()


def test_an_empty_journal_and_an_empty_database() -> None:
    assert "0 lines" in reconcile()


@pytest.mark.parametrize("is_self_signed", [False, True])
def test_a_lost_certificate_comes_back_as_it_was(is_self_signed: bool) -> None:
    profile = make_issuing_profile(make_project(), is_self_signed=is_self_signed)
    with forgotten():
        issued = make_issued(profile)
        before = columns(issued), columns(issued.request)
    assert not Certificate.objects.exists()

    assert "mended: 1 certificates" in reconcile()

    again = Certificate.objects.get()
    assert (columns(again), columns(again.request)) == before
    assert AutoRenewal.objects.get().certificate == again
    [event] = AuditEvent.objects.filter(event="reconcile-certificate")
    assert (event.actor_name, event.subject_id) == ("reconcile", str(again.pk))
    assert event.data["requester"] == {"kind": "system", "id": "", "name": "tests"}
    assert nothing_is_left()


def test_a_dry_run_tells_and_changes_nothing(profile: CertificateProfile) -> None:
    with forgotten():
        issued = make_issued(profile)
        revoke_certificate(requester=SYSTEM, certificate=issued, reason=REASON)
    number = list_of(profile).number

    told = reconcile("--dry-run")

    assert "to be mended: 1 certificates, 1 revocations, 1 CRL numbers" in told
    assert issued.serial_number in told
    assert not Certificate.objects.exists()
    assert list_of(profile).number == number


def test_the_check_finds_what_is_lost(profile: CertificateProfile) -> None:
    with forgotten():
        issued = make_issued(profile)
    out = StringIO()

    with pytest.raises(CommandError):
        call_command("check_certificates", stdout=out, stderr=StringIO())

    assert f"journal and database differ in certificates: {issued.serial_number}" in out.getvalue()


def test_a_renewal_comes_back_with_its_link(profile: CertificateProfile) -> None:
    first = make_issued(profile)
    with forgotten():
        second = renew_certificate(requester=SYSTEM, certificate=first).certificate
        third = renew_certificate(requester=SYSTEM, certificate=second).certificate

    reconcile()

    assert Certificate.objects.get(pk=third.pk).renewed_from.renewed_from == first  # type: ignore[union-attr]
    assert nothing_is_left()


def test_of_two_renewals_of_one_certificate_both_are_known(profile: CertificateProfile) -> None:
    first = make_issued(profile)
    with forgotten():
        lost = renew_certificate(requester=SYSTEM, certificate=first).certificate
    again = renew_certificate(requester=SYSTEM, certificate=first).certificate

    reconcile()

    assert Certificate.objects.get(pk=lost.pk).renewed_from is None
    assert Certificate.objects.get(pk=again.pk).renewed_from == first


def test_a_profile_that_is_lost_too_is_left_empty(profile: CertificateProfile) -> None:
    authority = profile.certificate_authority
    assert authority is not None
    with forgotten():
        issued = make_issued(make_profile_of(authority, slug="newer"))

    reconcile()

    again = Certificate.objects.get(pk=issued.pk)
    assert again.profile is None
    assert again.issuing_request.profile_slug == "newer"
    assert status_of(issuer_of(profile), issued.serial_number) is GOOD


def test_a_profile_that_was_changed_since_is_as_it_was_and_its_certificates_come_back(
    profile: CertificateProfile,
) -> None:
    with forgotten():
        update_profile(requester=SYSTEM, profile=profile, changes={"description": "Changed."})
        lost = make_issued(CertificateProfile.objects.select_related("template", "project").get(pk=profile.pk))

    assert "mended: 1 certificates" in reconcile()

    brought_back = Certificate.objects.select_related("request").get(pk=lost.pk)
    assert (brought_back.profile, brought_back.issuing_request.profile_version) == (profile, None)
    assert nothing_is_left()


def test_a_project_that_is_lost_is_told(profile: CertificateProfile) -> None:
    with forgotten():
        issued = make_issued(make_issuing_profile(make_project(), slug="alone", is_self_signed=True))

    told = left()

    assert f"certificates: {issued.serial_number}" in told
    assert "project" in told
    assert "is not in the database" in told


def test_another_certificate_under_its_id_is_told(profile: CertificateProfile) -> None:
    issued = make_issued(profile)
    Certificate.objects.filter(pk=issued.pk).update(der=b"another")

    assert "the database has another certificate with its id" in left()


def test_a_responder_comes_back_without_its_key(profile: CertificateProfile) -> None:
    issued = make_issued(profile)
    with forgotten():
        status_of(issuer_of(profile), issued.serial_number)
        lost = OcspResponder.objects.get()

    assert "mended: 1 OCSP responders" in reconcile()

    assert OcspResponder.objects.get().sealed_private_key is None
    assert status_of(issuer_of(profile), lost.serial_number) is GOOD
    assert nothing_is_left()


def test_a_key_that_was_claimed_is_not_claimed_again(profile: CertificateProfile) -> None:
    renewed = renew_certificate(requester=SYSTEM, certificate=make_issued(profile)).certificate
    with forgotten():
        read_private_key(requester=SYSTEM, certificate=renewed, via="bundle")
        claimed = columns(renewed.secret)
    renewed = Certificate.objects.get(pk=renewed.pk)
    assert renewed.secret.sealed_private_key

    assert "mended: 1 private keys" in reconcile()

    renewed = Certificate.objects.get(pk=renewed.pk)
    assert renewed.secret.sealed_private_key is None
    assert renewed.secret.claimed_by == "tests"
    assert claimed["id"] == renewed.secret.pk
    with pytest.raises(Gone):
        read_private_key(requester=SYSTEM, certificate=renewed, via="bundle")
    assert nothing_is_left()


def test_the_key_of_a_deleted_certificate_stays_destroyed(profile: CertificateProfile) -> None:
    renewed = renew_certificate(requester=SYSTEM, certificate=make_issued(profile)).certificate
    revoke_certificate(requester=SYSTEM, certificate=renewed, reason=REASON)
    with forgotten():
        delete_certificate(requester=SYSTEM, certificate=Certificate.objects.get(pk=renewed.pk))
    assert Certificate.objects.get(pk=renewed.pk).secret.sealed_private_key

    assert "mended: 1 private keys" in reconcile()

    assert Certificate.objects.get(pk=renewed.pk).secret.sealed_private_key is None
    assert nothing_is_left()


# --- CAs --------------------------------------------------------------------------------------------------------------


def test_cas_that_are_lost_come_back_with_keys_certificates_and_lists() -> None:
    with forgotten():
        root = make_authority(make_project("Lost"))
        below = make_authority(root.project, parent=root)
        issued = make_issued(make_profile_of(below))
        revoke_certificate(requester=SYSTEM, certificate=issued, reason=REASON)
        before = [columns(each) for each in CertificateAuthority.objects.order_by("pk")]
    assert not Project.objects.exists()

    told = reconcile()

    assert "2 CAs, 1 certificates, 1 revocations" in told
    assert [columns(each) for each in CertificateAuthority.objects.order_by("pk")] == before
    assert Project.objects.get().name == "Lost"
    below = CertificateAuthority.objects.get(pk=below.pk)
    assert below.active_certificate is not None
    assert status_of(below.active_certificate, issued.serial_number) is REVOKED
    make_issued(make_profile_of(below, slug="another"))
    assert nothing_is_left()


def test_what_was_done_to_a_ca_is_done_again() -> None:
    root, other = make_authority(make_project()), make_authority(make_project())
    end = root.not_after
    assert end is not None
    with forgotten():
        renew_authority(requester=SYSTEM, authority=root, not_after=end + timedelta(days=30))
        rekey_authority(requester=SYSTEM, authority=root, not_after=end + timedelta(days=60))
        update_authority(requester=SYSTEM, authority=other, name="renamed", status=AuthorityStatus.DISABLED)
        before = [columns(each) for each in CertificateAuthority.objects.order_by("pk")]
        versions = AuthorityCertificate.objects.count()

    assert "2 CAs" in reconcile()

    assert [columns(each) for each in CertificateAuthority.objects.order_by("pk")] == before
    assert AuthorityCertificate.objects.count() == versions
    assert AuthorityKey.objects.filter(authority=root).count() == 2
    assert nothing_is_left()


def test_a_ca_that_was_deleted_stays_away() -> None:
    root = make_authority(make_project())
    delete_authority(requester=SYSTEM, authority=root)

    reconcile()

    assert not CertificateAuthority.objects.exists()


def test_a_name_that_was_given_again_is_told() -> None:
    project = make_project()
    with forgotten():
        make_authority(project, name="root")
    make_authority(project, name="root")

    assert "CAs: root" in left()


# --- What nobody has seen ---------------------------------------------------------------------------------------------


@pytest.fixture
def unfinished(profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch) -> str:
    """The serial number of a certificate that was signed, and the database went away before it was stored."""

    def gone(*_: Any, **__: Any) -> None:
        raise OperationalError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(issuance, "insert_together", gone)
        with pytest.raises(OperationalError):
            make_issued(profile)
    serials = [line.entry["serial"] for line in journal.read() if line.entry and line.entry["kind"] == "sign"]
    return str(serials[-1])


def test_what_may_have_been_signed_is_put_on_hold(profile: CertificateProfile, unfinished: str) -> None:
    assert status_of(issuer_of(profile), unfinished) is UNKNOWN

    assert "mended: 1 certificates that may have been signed" in reconcile()

    [entry] = RevocationEntry.objects.all()
    assert (entry.certificate, entry.serial_number, entry.reason) == (None, unfinished, 6)
    assert status_of(issuer_of(profile), unfinished) is REVOKED
    published = x509.load_der_x509_crl(bytes(list_of(profile).der or b""))
    listed = published.get_revoked_certificate_by_serial_number(int(unfinished, 16))
    assert listed is not None
    assert listed.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.certificate_hold
    assert AuditEvent.objects.filter(event="reconcile-unconfirmed").count() == 1
    current_delta(crl_id=list_of(profile).pk, now=timezone.now())
    assert nothing_is_left()


def test_a_hold_is_lifted_once_the_certificate_is_found(profile: CertificateProfile) -> None:
    with forgotten():
        issued = make_issued(profile)
    lines = [line.entry for line in journal.read() if line.entry]
    finished = next(entry for entry in lines if entry["kind"] == "signed")
    [path] = settings.PKI_PORTAL_JOURNAL.iterdir()
    whole = path.read_bytes()
    path.write_bytes(b"".join(line for line in whole.splitlines(keepends=True) if b'"kind":"signed"' not in line))
    reconcile()
    assert status_of(issuer_of(profile), issued.serial_number) is REVOKED

    path.write_bytes(whole)
    reconcile()

    assert finished["serial"] == issued.serial_number
    assert status_of(issuer_of(profile), issued.serial_number) is GOOD
    [entry] = RevocationEntry.objects.all()
    assert entry.certificate == issued
    revoke_certificate(requester=SYSTEM, certificate=Certificate.objects.get(pk=issued.pk), reason=REASON)
    assert status_of(issuer_of(profile), issued.serial_number) is REVOKED
    assert nothing_is_left()


def test_what_the_journal_lost_and_the_database_has_is_told_again(profile: CertificateProfile) -> None:
    issued = make_issued(profile)
    [path] = settings.PKI_PORTAL_JOURNAL.iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b'"kind":"signed"' not in line))

    reconcile()
    count = sum(1 for _ in journal.read())
    reconcile()

    assert sum(1 for _ in journal.read()) == count
    assert not RevocationEntry.objects.exists()
    AutoRenewal.objects.all().delete()
    Certificate.objects.filter(pk=issued.pk)._raw_delete("default")
    reconcile()
    assert Certificate.objects.get(pk=issued.pk).der == issued.der


def test_what_was_never_signed_is_nothing(profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(*_: Any) -> x509.Certificate:
        raise OperationalError("the token is gone")

    with monkeypatch.context() as patched:
        patched.setattr("certificates.services.signing.sign", dead)
        with pytest.raises(OperationalError):
            make_issued(profile)

    assert nothing_is_left()
    assert not RevocationEntry.objects.exists()


def test_what_has_ended_is_left_alone(profile: CertificateProfile) -> None:
    issuer = issuer_of(profile)
    with forgotten():
        issued = make_issued(profile)
    tbs = x509.load_der_x509_certificate(bytes(issued.der)).tbs_certificate_bytes
    [path] = settings.PKI_PORTAL_JOURNAL.iterdir()
    path.unlink()
    append(
        "sign",
        issuer=issuer.pk,
        key=issuer.key_id,
        serial=issued.serial_number,
        notAfter=timezone.now() - timedelta(seconds=1),
        tbs=column_value(models.BinaryField(), tbs),
    )

    assert "mended: nothing." in reconcile()


def test_what_may_be_under_way_is_left_for_the_next_run(
    profile: CertificateProfile, unfinished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if another machine's server were at it.
    monkeypatch.setattr("certificates.services.reconcile.survey.os.getpid", lambda: 1)

    told = left()

    assert f"acts that may be under way: {unfinished}" in told
    assert "two minutes" in told
    assert not RevocationEntry.objects.exists()


# --- Revocations and lists --------------------------------------------------------------------------------------------


def test_revocations_are_told_again_as_they_were(profile: CertificateProfile) -> None:
    known = make_issued(profile)
    since = timezone.now().replace(microsecond=0) - timedelta(days=3)
    with forgotten():
        lost = make_issued(profile, "lost.acme.com")
        revoke_certificate(
            requester=SYSTEM, certificate=known, reason=RevocationReason.KEY_COMPROMISE, invalidity_date=since
        )
        revoke_certificate(requester=SYSTEM, certificate=lost, reason=REASON)
        before = {entry.serial_number: entry.revoked_at for entry in RevocationEntry.objects.all()}
    known.refresh_from_db()
    assert known.status == CertificateStatus.ACTIVE

    assert "2 revocations" in reconcile()

    entries = {entry.serial_number: entry for entry in RevocationEntry.objects.all()}
    assert {serial: entry.revoked_at for serial, entry in entries.items()} == before
    entry = entries[known.serial_number]
    assert (entry.reason, entry.invalidity_date, entry.actor_name) == (1, since, "tests")
    assert BlockedKey.objects.filter(digest=known.public_key_sha256).exists()
    assert all(status_of(issuer_of(profile), serial) is REVOKED for serial in entries)
    assert nothing_is_left()


def test_of_two_revocations_for_good_the_first_one_counts(profile: CertificateProfile) -> None:
    """What is revoked for good never changes again: CRLs have it sealed."""
    issued = make_issued(profile)
    for reason in (REASON, RevocationReason.CESSATION_OF_OPERATION):
        with forgotten():
            revoke_certificate(requester=SYSTEM, certificate=issued, reason=reason)

    reconcile()

    assert RevocationEntry.objects.get().reason == REASON
    assert nothing_is_left()


def test_of_holds_and_releases_the_last_one_counts(profile: CertificateProfile) -> None:
    released, held, revoked, kept = (make_issued(profile, f"{name}.acme.com") for name in ("a", "b", "c", "d"))
    hold = RevocationReason.CERTIFICATE_HOLD
    for each in (released, kept):
        revoke_certificate(requester=SYSTEM, certificate=each, reason=hold)
    with forgotten():
        release_hold(requester=SYSTEM, certificate=released)
        for each in (held, revoked):
            revoke_certificate(requester=SYSTEM, certificate=each, reason=hold)
            release_hold(requester=SYSTEM, certificate=each)
        revoke_certificate(requester=SYSTEM, certificate=held, reason=hold)
        revoke_certificate(requester=SYSTEM, certificate=revoked, reason=REASON)

    reconcile()

    said = {
        each.serial_number: status_of(issuer_of(profile), each.serial_number)
        for each in (released, held, revoked, kept)
    }
    assert list(said.values()) == [GOOD, REVOKED, REVOKED, REVOKED]
    assert RevocationEntry.objects.get(certificate=revoked).reason == REASON
    assert nothing_is_left()


def test_a_later_release_here_stands_over_an_earlier_hold_there(profile: CertificateProfile) -> None:
    issued = make_issued(profile)
    revoke_certificate(requester=SYSTEM, certificate=issued, reason=RevocationReason.CERTIFICATE_HOLD)
    release_hold(requester=SYSTEM, certificate=issued)

    assert "mended: nothing." in reconcile()


def test_a_revocation_that_failed_is_none(profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    issued = make_issued(profile)

    def told_and_gone(*arguments: Any, **options: Any) -> None:
        certificate_journal.revoked(*arguments, **options)
        raise OperationalError("gone")

    with monkeypatch.context() as patched:
        patched.setattr("certificates.services.revocation.revoked", told_and_gone)
        with pytest.raises(OperationalError):
            revoke_certificate(requester=SYSTEM, certificate=issued, reason=REASON)

    assert "mended: nothing." in reconcile()
    assert status_of(issuer_of(profile), issued.serial_number) is GOOD


def test_a_revocation_outlives_a_certificate_that_was_deleted_or_lost(profile: CertificateProfile) -> None:
    with forgotten():
        issued = make_issued(profile)
        revoke_certificate(requester=SYSTEM, certificate=issued, reason=REASON)
        delete_certificate(requester=SYSTEM, certificate=Certificate.objects.get())

    reconcile()

    assert not Certificate.objects.exists()
    assert RevocationEntry.objects.get().serial_number == issued.serial_number
    assert status_of(issuer_of(profile), issued.serial_number) is REVOKED
    assert nothing_is_left()


def test_a_revoked_ca_is_revoked_again() -> None:
    root = make_authority(make_project())
    below = make_authority(root.project, parent=root)
    assert root.active_certificate is not None
    version = below.active_certificate
    assert version is not None
    with forgotten():
        revoke_authority_certificate(requester=SYSTEM, certificate=version, reason=RevocationReason.CA_COMPROMISE)
        later = make_authority(root.project, parent=root)
        assert later.active_certificate is not None
        revoke_authority_certificate(requester=SYSTEM, certificate=later.active_certificate, reason=REASON)

    assert "2 CAs, 2 revocations" in reconcile()

    for each in (version, later.active_certificate):
        again = AuthorityCertificate.objects.get(pk=each.pk)
        assert again.revoked_at is not None
        assert again.authority.status == AuthorityStatus.DISABLED
        assert status_of(root.active_certificate, each.serial_number) is REVOKED
    assert BlockedKey.objects.count() == 1
    assert nothing_is_left()


def test_a_revocation_on_a_list_that_is_lost_is_told() -> None:
    append(
        "revoke",
        list=uuid.uuid4(),
        revision=9,
        reason=1,
        invalidityDate=None,
        actor={"kind": "user", "id": "1", "name": "alice"},
        entries=[[uuid.uuid4(), "0" * 39 + "7", timezone.now(), timezone.now()]],
    )

    assert "is not in the database" in left()


def test_numbers_rise_above_all_that_was_published(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = make_issued(profile)
    # A clock that ran ahead: by milliseconds alone the next numbers would be lower.
    ahead = timezone.now() + timedelta(days=300)
    with forgotten():
        monkeypatch.setattr(crl, "next_number", lambda *_: int(ahead.timestamp() * 1000))
        revoke_certificate(requester=SYSTEM, certificate=issued, reason=REASON)
        published = list_of(profile).number
    monkeypatch.undo()
    assert published is not None
    assert (list_of(profile).number or 0) < published

    assert "1 CRL numbers" in reconcile()

    served = current_crl(crl_id=list_of(profile).pk, now=timezone.now())
    assert served.number is not None
    assert served.number > published
    document = x509.load_der_x509_crl(bytes(list_of(profile).der or b""))
    assert document.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == served.number
    assert current_delta(crl_id=served.pk, now=timezone.now()).number > published
    assert nothing_is_left()


def test_shards_that_were_opened_come_back(profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crl, "ENTRIES_PER_LIST", 1)
    with forgotten():
        for number in range(2):
            revoke_certificate(requester=SYSTEM, certificate=make_issued(profile, f"{number}.acme.com"), reason=REASON)
        sharded = make_issued(profile, "sharded.acme.com")
        revoke_certificate(requester=SYSTEM, certificate=sharded, reason=REASON)

    assert f"{crl.SHARDS_OPENED} CRL shards" in reconcile()

    assert RevocationEntry.objects.get(certificate=sharded).shard is not None
    assert list_of(profile).shard_generation == 1
    assert nothing_is_left()


def test_a_list_that_cannot_be_signed_is_told(profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    with forgotten():
        revoke_certificate(requester=SYSTEM, certificate=make_issued(profile), reason=REASON)

    def locked(*_: Any) -> None:
        raise Unavailable("The key is away.")

    with monkeypatch.context() as patched:
        patched.setattr(crl, "signer_of_key", locked)
        assert "The key is away." in left()

    reconcile()
    assert nothing_is_left()


# --- The journal itself -----------------------------------------------------------------------------------------------


def test_an_altered_line_is_told_each_time(profile: CertificateProfile) -> None:
    [path] = settings.PKI_PORTAL_JOURNAL.iterdir()
    path.write_bytes(path.read_bytes().replace(b'"kind":"crl"', b'"kind":"crx"'))

    assert "lines of the journal" in left()
    assert "is not what was written" in left()


def test_a_torn_line_is_nothing(profile: CertificateProfile) -> None:
    with forgotten():
        make_issued(profile)
    [path] = settings.PKI_PORTAL_JOURNAL.iterdir()
    with path.open("ab") as file:
        file.write(b"12345678 99 {")

    told = reconcile()

    assert "1 are torn" in told
    assert Certificate.objects.count() == 1


def test_a_journal_that_cannot_be_read_is_told(profile: CertificateProfile) -> None:
    folder = settings.PKI_PORTAL_JOURNAL
    folder.rename(folder.with_name("away"))
    folder.write_text("no folder")

    assert "cannot be read" in left()
    with pytest.raises(CommandError):
        call_command("check_certificates", stdout=StringIO(), stderr=StringIO())


def test_it_reads_line_by_line_and_asks_by_the_hundred(
    profile: CertificateProfile, django_assert_max_num_queries: Any
) -> None:
    """What is known already costs two queries for each 500 certificates."""
    issued = make_issued(profile)
    finished = next(line.entry for line in journal.read() if line.entry and line.entry["kind"] == "signed")
    journal.append([{**finished, "id": uuid.uuid4(), "of": uuid.uuid4()} for _ in range(2000)])

    with django_assert_max_num_queries(40):
        assert "mended: nothing." in reconcile()
    assert Certificate.objects.get() == issued
    assert datetime.fromisoformat(finished["at"]) <= timezone.now()
    assert CertificateRequest.objects.count() == 1
