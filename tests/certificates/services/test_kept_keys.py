"""Kept keys: sealed with the certificate, read by permission and never unseen, destroyed for good."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.db import IntegrityError, transaction
from django.utils import timezone
from pytest_django import Settings

from certificates.keystore.database import forget_keys
from certificates.keystore.sealing import forget_keyring
from certificates.models import AuthorityKey, Certificate, CertificateRequest, CertificateSecret
from certificates.models.secret import CLAIM_WINDOW
from certificates.services import kept_keys
from certificates.services.idempotency import IdempotencyKey
from certificates.services.issuance import IssuedCertificate, issue_certificate
from certificates.services.kept_keys import (
    destroy_private_key,
    destroy_unclaimed_keys,
    is_key_kept,
    open_secret,
    private_key_if_kept,
    read_private_key,
    require_kept_key,
    secret_of,
)
from certificates.services.reconcile import Reconciliation
from certificates.services.renewal import RenewalKeySource, renew_certificate
from certificates.x509.csr import read_csr
from certificates.x509.keys import public_key_info
from pki_portal.access.models import Project, Role
from pki_portal.access.requester import Requester
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import Gone, NotFound, PermissionDenied, Unavailable
from profiles.models import CertificateProfile
from profiles.policy.vocabulary import KeyAlgorithm
from profiles.services import update_profile
from tests.certificates.services.test_issuance import service_request
from tests.factories import SYSTEM, make_project, make_user, requester_for
from tests.scenery import make_issuing_profile
from tests.wire import make_csr

pytestmark = pytest.mark.django_db

READ = "get-cert-private-key"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def profile(project: Project) -> CertificateProfile:
    """One that keeps keys."""
    return escrow(make_issuing_profile(project))


@pytest.fixture
def bob(project: Project) -> Requester:
    return requester_for(make_user("bob", project=project, role=Role.MEMBER))


@pytest.fixture
def viewer(project: Project) -> Requester:
    return requester_for(make_user("vera", project=project, role=Role.VIEWER))


def escrow(profile: CertificateProfile, retention: str = "escrow") -> CertificateProfile:
    return update_profile(requester=SYSTEM, profile=profile, changes={"key_retention": retention})


def issue(profile: CertificateProfile, **asked: Any) -> IssuedCertificate:
    return issue_certificate(profile=profile, request=service_request(), requester=SYSTEM, **asked)


def events(name: str, outcome: str = "done") -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(event=name, outcome=outcome).order_by("pk"))


def test_the_key_is_given_in_the_answer_and_kept(profile: CertificateProfile) -> None:
    issued = issue(profile)

    assert issued.is_key_kept
    assert issued.private_key is not None
    secret = CertificateSecret.objects.get(certificate=issued.certificate)
    assert (secret.retention, secret.destroyed_at, secret.claimed_at) == ("escrow", None, None)
    assert issued.private_key.encode() not in bytes(secret.sealed_private_key or b"")
    assert read_private_key(requester=SYSTEM, certificate=issued.certificate, via="test") == issued.private_key


def test_the_key_read_is_that_of_the_certificate(profile: CertificateProfile) -> None:
    row = issue(profile).certificate

    key = load_pem_private_key(read_private_key(requester=SYSTEM, certificate=row, via="test").encode(), password=None)

    certificate = x509.load_der_x509_certificate(bytes(row.der))
    assert public_key_info(key.public_key()) == public_key_info(certificate.public_key())


def test_an_rsa_key_and_a_self_signed_certificates_key_are_kept_too(project: Project) -> None:
    alone = escrow(
        make_issuing_profile(
            project,
            slug="alone",
            is_self_signed=True,
            algorithms={"key_algorithm": ["RSA-2048"], "signature": ["RSA-SHA256"]},
        )
    )

    issued = issue(alone)

    assert issued.certificate.key_algorithm == KeyAlgorithm.RSA_2048
    assert read_private_key(requester=SYSTEM, certificate=issued.certificate, via="test") == issued.private_key


def test_with_once_nothing_is_kept(project: Project) -> None:
    issued = issue(make_issuing_profile(project))

    assert not issued.is_key_kept
    assert not CertificateSecret.objects.exists()


def test_a_key_from_a_csr_was_never_here(profile: CertificateProfile) -> None:
    signed = issue_certificate(profile=profile, request=read_csr(make_csr()), requester=SYSTEM)

    assert not CertificateSecret.objects.exists()
    for act in (read, destroy):
        with pytest.raises(NotFound, match="CSR"):
            act(SYSTEM, signed.certificate)


def read(requester: Requester, certificate: Certificate) -> object:
    return read_private_key(requester=requester, certificate=certificate, via="test")


def destroy(requester: Requester, certificate: Certificate) -> object:
    return destroy_private_key(requester=requester, certificate=certificate)


def test_a_key_given_at_issue_is_gone_and_the_attempt_is_audited(project: Project) -> None:
    certificate = issue(make_issuing_profile(project)).certificate

    for act in (read, destroy):
        with pytest.raises(Gone, match="given to tests"):
            act(SYSTEM, certificate)

    (event,) = events(READ, "refused")
    assert event.subject_id == str(certificate.pk)


def test_each_reading_is_audited_with_the_way_it_went(profile: CertificateProfile, bob: Requester) -> None:
    certificate = issue(profile).certificate

    read_private_key(requester=bob, certificate=certificate, via="private-key")
    private_key_if_kept(requester=bob, certificate=certificate, via="bundle")

    assert [event.data["via"] for event in events(READ)] == ["private-key", "bundle"]
    assert {(event.actor_name, event.subject_id) for event in events(READ)} == {("bob", str(certificate.pk))}
    assert "PRIVATE" not in str([event.data for event in AuditEvent.objects.all()])


def test_who_may_not_read_keys_is_refused_alone_and_gets_none_in_company(
    profile: CertificateProfile, viewer: Requester
) -> None:
    certificate = issue(profile).certificate

    assert private_key_if_kept(requester=viewer, certificate=certificate, via="bundle") is None
    assert events(READ) == events(READ, "refused") == []
    with pytest.raises(PermissionDenied):
        read_private_key(requester=viewer, certificate=certificate, via="private-key")
    assert len(events(READ, "refused")) == 1


def test_a_stranger_reads_and_destroys_nothing(profile: CertificateProfile) -> None:
    certificate = issue(profile).certificate
    charlie = requester_for(make_user("charlie", project=make_project()))

    for act in (read, destroy):
        with pytest.raises(NotFound):
            act(charlie, certificate)
    assert private_key_if_kept(requester=charlie, certificate=certificate, via="bundle") is None
    assert is_key_kept(certificate)


def test_asking_whether_it_could_be_read_reads_nothing(profile: CertificateProfile, viewer: Requester) -> None:
    certificate = issue(profile).certificate

    require_kept_key(requester=SYSTEM, certificate=certificate)

    assert events(READ) == []
    with pytest.raises(PermissionDenied):
        require_kept_key(requester=viewer, certificate=certificate)


def test_a_destroyed_key_is_gone_with_time_and_actor(profile: CertificateProfile, bob: Requester) -> None:
    certificate = issue(profile).certificate

    secret = destroy_private_key(requester=bob, certificate=certificate)

    assert secret.destroyed_at is not None
    stored = CertificateSecret.objects.get()
    assert (stored.sealed_private_key, stored.destroyed_by) == (None, "bob")
    assert len(events("destroy-cert-private-key")) == 1
    for act in (read, destroy):
        with pytest.raises(Gone, match=f"destroyed by bob at {secret.destroyed_at:%Y-%m-%d %H:%M:%S}"):
            act(SYSTEM, certificate)
    assert private_key_if_kept(requester=SYSTEM, certificate=certificate, via="bundle") is None
    told = secret_of(certificate)
    assert told is not None
    assert told.destroyed_at == secret.destroyed_at


def test_a_viewer_destroys_nothing(profile: CertificateProfile, viewer: Requester) -> None:
    certificate = issue(profile).certificate

    with pytest.raises(PermissionDenied):
        destroy_private_key(requester=viewer, certificate=certificate)

    assert is_key_kept(certificate)
    assert len(events("destroy-cert-private-key", "refused")) == 1


def test_a_change_of_retention_is_for_new_keys(profile: CertificateProfile) -> None:
    kept = issue(profile)

    once = issue(escrow(profile, "once"))

    assert not is_key_kept(once.certificate)
    assert read(SYSTEM, kept.certificate) == kept.private_key


def test_a_replay_never_carries_the_key(profile: CertificateProfile) -> None:
    idempotency = IdempotencyKey(key="k", body_digest="d")
    first = issue(profile, idempotency=idempotency)

    again = issue(profile, idempotency=idempotency)

    assert (again.certificate.pk, again.is_replay, again.private_key) == (first.certificate.pk, True, None)
    assert again.is_key_kept
    assert events(READ) == []


def test_the_key_is_in_no_representation(profile: CertificateProfile) -> None:
    issued = issue(profile)
    secret = CertificateSecret.objects.get()

    for shown in (repr(issued), repr(secret), str(secret)):
        assert "PRIVATE KEY" not in shown


@pytest.fixture
def forgotten() -> Iterator[None]:
    """What a test says of master keys is forgotten after it."""
    yield
    forget_keyring()
    forget_keys()


@pytest.mark.usefixtures("forgotten")
def test_without_the_master_key_nothing_is_signed(project: Project, settings: Settings) -> None:
    alone = escrow(make_issuing_profile(project, is_self_signed=True))
    settings.PKI_PORTAL_MASTER_KEYS = "test:short"
    forget_keyring()

    with pytest.raises(Unavailable):
        issue(alone)

    assert not Certificate.objects.exists()
    assert not CertificateRequest.objects.filter(status="issued").exists()


@pytest.mark.usefixtures("forgotten")
def test_a_key_that_does_not_open_is_told_alone_audited_and_none_in_company(
    profile: CertificateProfile, settings: Settings
) -> None:
    certificate = issue(profile).certificate
    settings.PKI_PORTAL_MASTER_KEYS = "test:" + "A" * 43 + "="
    forget_keyring()

    with pytest.raises(Unavailable):
        read(SYSTEM, certificate)
    assert private_key_if_kept(requester=SYSTEM, certificate=certificate, via="bundle") is None

    assert [event.data["via"] for event in events(READ, "refused")] == ["test", "bundle"]
    assert events(READ) == []


def test_a_sealed_key_opens_in_its_own_row_alone(profile: CertificateProfile) -> None:
    first, second = (issue(profile).certificate for _ in range(2))
    mine, other = first.secret, second.secret
    CertificateSecret.objects.filter(pk=mine.pk).update(sealed_private_key=other.sealed_private_key)

    with pytest.raises(Unavailable):
        read(SYSTEM, first)


def test_a_row_moved_to_another_certificate_does_not_open(profile: CertificateProfile) -> None:
    first, second = (issue(profile).certificate for _ in range(2))
    first.secret.delete()
    CertificateSecret.objects.filter(certificate=second).update(certificate=first)

    with pytest.raises(Unavailable, match="does not belong"):
        read(SYSTEM, first)


def test_a_cas_sealed_key_copied_into_such_a_row_does_not_open(profile: CertificateProfile) -> None:
    certificate = issue(profile).certificate
    ca_key = AuthorityKey.objects.get()
    certificate.secret.delete()
    secret = CertificateSecret.objects.create(
        id=ca_key.pk, certificate=certificate, retention="escrow", sealed_private_key=ca_key.sealed_private_key
    )

    with pytest.raises(Unavailable):
        open_secret(secret)


@pytest.mark.parametrize(
    "broken",
    [
        {"sealed_private_key": None},
        {"destroyed_at": timezone.now},
        {"sealed_private_key": None, "destroyed_at": timezone.now, "claimed_at": timezone.now},
        {"retention": "once", "claimed_at": timezone.now},
    ],
    ids=["empty and not destroyed", "destroyed and not empty", "escrow and claimed", "claimed and not destroyed"],
)
def test_states_that_cannot_be(profile: CertificateProfile, broken: dict[str, Any]) -> None:
    secret = issue(profile).certificate.secret
    values = {name: value() if callable(value) else value for name, value in broken.items()}

    with pytest.raises(IntegrityError), transaction.atomic():
        CertificateSecret.objects.filter(pk=secret.pk).update(**values)


# --- The one claim of a renewal's key


def renewed(profile: CertificateProfile) -> Certificate:
    """A certificate whose key waits for its claim: nobody was there to receive it."""
    escrow(profile, "once")
    profile = CertificateProfile.objects.select_related("template").get(pk=profile.pk)
    answer = renew_certificate(certificate=issue(profile).certificate, requester=SYSTEM)
    assert answer.private_key is None
    assert answer.is_key_kept
    return answer.certificate


def test_the_first_reading_is_the_claim_and_destroys_it(profile: CertificateProfile, bob: Requester) -> None:
    row = renewed(profile)

    key = load_pem_private_key(read_private_key(requester=bob, certificate=row, via="bundle").encode(), password=None)

    assert public_key_info(key.public_key()) == public_key_info(
        x509.load_der_x509_certificate(bytes(row.der)).public_key()
    )
    secret = CertificateSecret.objects.get(certificate=row)
    assert secret.sealed_private_key is None
    assert (secret.claimed_by, secret.destroyed_by) == ("bob", "bob")
    (event,) = events("claim-cert-private-key")
    assert (event.actor_name, event.data["via"]) == ("bob", "bundle")
    with pytest.raises(Gone, match=rf"claimed by bob at {secret.claimed_at:%Y-%m-%d %H:%M:%S} UTC"):
        read_private_key(requester=SYSTEM, certificate=row, via="test")
    assert private_key_if_kept(requester=SYSTEM, certificate=row, via="test") is None


def test_who_may_not_read_keys_claims_none(profile: CertificateProfile, viewer: Requester) -> None:
    row = renewed(profile)

    assert private_key_if_kept(requester=viewer, certificate=row, via="test") is None
    with pytest.raises(PermissionDenied):
        read_private_key(requester=viewer, certificate=row, via="test")
    require_kept_key(requester=SYSTEM, certificate=row)

    assert is_key_kept(row)


def test_an_unclaimed_key_is_destroyed_after_a_week(profile: CertificateProfile) -> None:
    row = renewed(profile)
    secret = CertificateSecret.objects.get(certificate=row)

    assert destroy_unclaimed_keys(now=secret.created_at + timedelta(days=7, seconds=-1)) == 0
    assert destroy_unclaimed_keys(now=secret.created_at + timedelta(days=7)) == 1

    secret.refresh_from_db()
    assert (secret.sealed_private_key, secret.destroyed_by, secret.claimed_at) == (None, "unclaimed keys", None)
    assert events("destroy-cert-private-key")[0].data["reason"] == "not claimed in time"
    with pytest.raises(Gone, match="destroyed by unclaimed keys"):
        read_private_key(requester=SYSTEM, certificate=row, via="test")


def test_an_unclaimed_key_is_destroyed_when_its_certificate_ends(profile: CertificateProfile) -> None:
    row = renewed(profile)
    Certificate.objects.filter(pk=row.pk).update(not_after=row.not_before + timedelta(hours=1))

    assert destroy_unclaimed_keys(now=row.not_before + timedelta(hours=1)) == 1


def test_a_destruction_that_failed_counts_for_nothing(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = renewed(profile)

    def fail(*_arguments: object, **_values: object) -> None:
        raise RuntimeError("the event cannot be stored")

    monkeypatch.setattr(kept_keys, "_record", fail)
    with pytest.raises(RuntimeError):
        destroy_unclaimed_keys(now=timezone.now() + CLAIM_WINDOW)

    assert is_key_kept(row)
    assert not list(Reconciliation(now=timezone.now(), apply=False).differences())


def test_a_kept_key_outlives_the_week(profile: CertificateProfile) -> None:
    row = issue(profile).certificate

    assert destroy_unclaimed_keys(now=timezone.now() + timedelta(days=30)) == 0
    assert is_key_kept(row)


def test_a_renewal_of_a_kept_key_keeps_the_new_one_or_the_same(profile: CertificateProfile) -> None:
    old = issue(profile)

    same = renew_certificate(certificate=old.certificate, requester=SYSTEM, key_source=RenewalKeySource.REUSE)
    new = renew_certificate(certificate=same.certificate, requester=SYSTEM)

    assert read_private_key(requester=SYSTEM, certificate=same.certificate, via="test") == old.private_key
    assert read_private_key(requester=SYSTEM, certificate=new.certificate, via="test") != old.private_key
    assert is_key_kept(new.certificate)
    assert (same.certificate.key_source, new.certificate.key_source) == ("portal", "portal")


def test_a_key_that_a_restore_has_lost_is_told_as_lost(profile: CertificateProfile) -> None:
    row = renewed(profile)
    CertificateSecret.objects.all().delete()

    with pytest.raises(Gone, match="lost when the database was restored"):
        read_private_key(requester=SYSTEM, certificate=row, via="test")
