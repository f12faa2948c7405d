"""Revocation: what it leaves behind, what refuses it, and that the CRL says so when the call returns."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from django.utils import timezone

from certificates.keystore.database import forget_keys
from certificates.models import AuthorityKey, BlockedKey, Certificate, CertificateRevocationList, RevocationEntry
from certificates.models.certificate import CertificateStatus, RevocationReason
from certificates.querysets import CertificateFilters
from certificates.services import revocation, revocation_entries
from certificates.services.authorities import sign_intermediate
from certificates.services.crl import current_crl
from certificates.services.idempotency import IdempotencyKey, KeyReused
from certificates.services.issuance import issue_certificate
from certificates.services.requests import read_applicant_csr
from certificates.services.revocation import (
    preview_revocation,
    release_hold,
    revoke_certificate,
    revoke_selected,
)
from pki_portal.access.models import Project, Role
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import Conflict, Invalid, NotFound, PermissionDenied, Unavailable
from profiles.models import CertificateProfile
from profiles.policy.errors import PolicyViolation
from tests.factories import SYSTEM, make_authority, make_project, make_user, requester_for
from tests.pages import make_issued
from tests.scenery import make_issuing_profile
from tests.wire import make_csr, make_profile_of

pytestmark = pytest.mark.django_db

REASONS = [reason for reason in RevocationReason if reason is not RevocationReason.CERTIFICATE_HOLD]


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project())


def revoke(certificate: Certificate, reason: RevocationReason = RevocationReason.SUPERSEDED) -> revocation.Revoked:
    return revoke_certificate(requester=SYSTEM, certificate=certificate, reason=reason)


def stored_crl(certificate: Certificate) -> x509.CertificateRevocationList:
    """As the database holds it, published by whoever revoked."""
    issuer = certificate.authority_certificate
    assert issuer is not None
    return x509.load_der_x509_crl(bytes(CertificateRevocationList.objects.get(key=issuer.key_id).der or b""))


def entry_of(certificate: Certificate) -> x509.RevokedCertificate | None:
    return stored_crl(certificate).get_revoked_certificate_by_serial_number(int(certificate.serial_number, 16))


def sign_csr(profile: CertificateProfile, key: ec.EllipticCurvePrivateKey) -> Certificate:
    asked = read_applicant_csr(profile=profile, requester=SYSTEM, csr=make_csr(key))
    asked = replace(asked, ttl=timedelta(days=30))
    return issue_certificate(profile=profile, request=asked, requester=SYSTEM).certificate


def break_key() -> None:
    AuthorityKey.objects.update(sealed_private_key=b"\x01nonsense")
    forget_keys()


@pytest.mark.parametrize("reason", REASONS)
def test_a_revoked_certificate_is_on_the_published_crl(profile: CertificateProfile, reason: RevocationReason) -> None:
    certificate = make_issued(profile)

    revoked = revoke(certificate, reason)

    certificate.refresh_from_db()
    assert (certificate.status, certificate.revocation_reason) == (CertificateStatus.REVOKED, reason)
    assert certificate.revoked_at == revoked.revoked_at
    entry = entry_of(certificate)
    assert entry is not None
    assert entry.revocation_date_utc == revoked.revoked_at
    told = [extension.value.public_bytes() for extension in entry.extensions]
    assert told == ([] if reason is RevocationReason.UNSPECIFIED else [bytes([0x0A, 1, reason])])
    event = AuditEvent.objects.get(event="revoke-cert")
    assert (event.outcome, event.subject_id, event.data["reason"]) == ("done", str(certificate.pk), reason.name)
    assert event.data["serialNumber"] == certificate.serial_number


def test_the_invalidity_date_is_in_the_entry(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    since = timezone.now().replace(microsecond=0) - timedelta(days=3)

    revoke_certificate(
        requester=SYSTEM, certificate=certificate, reason=RevocationReason.KEY_COMPROMISE, invalidity_date=since
    )

    entry = entry_of(certificate)
    assert entry is not None
    assert entry.extensions.get_extension_for_class(x509.InvalidityDate).value.invalidity_date_utc == since


def test_an_invalidity_date_in_the_future_is_refused(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    with pytest.raises(Invalid) as told:
        revoke_certificate(
            requester=SYSTEM,
            certificate=certificate,
            reason=RevocationReason.KEY_COMPROMISE,
            invalidity_date=timezone.now() + timedelta(hours=1),
        )
    assert [each.code for each in told.value.violations] == ["invalidity_date_in_future"]
    assert not RevocationEntry.objects.exists()


def test_revoking_twice_names_the_first_time_reason_and_actor(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    alice = requester_for(make_user("alice", project=profile.project))
    first = revoke_certificate(requester=alice, certificate=certificate, reason=RevocationReason.CA_COMPROMISE)

    with pytest.raises(Invalid) as told:
        revoke(certificate)

    for part in (f"{first.revoked_at:%Y-%m-%d %H:%M:%S}", "CA_COMPROMISE", "alice"):
        assert part in told.value.message
    assert [each.code for each in told.value.violations] == ["already_revoked"]
    assert AuditEvent.objects.filter(event="revoke-cert", outcome="refused").count() == 1
    assert len(stored_crl(certificate)) == 1


def test_a_self_signed_certificate_cannot_be_revoked() -> None:
    certificate = make_issued(make_issuing_profile(make_project(), is_self_signed=True))
    with pytest.raises(Invalid) as told:
        revoke(certificate)
    assert [each.code for each in told.value.violations] == ["without_authority"]


@pytest.mark.parametrize(
    ("role", "refusal"), [(Role.VIEWER, PermissionDenied), (Role.NO_ACCESS, PermissionDenied), (None, NotFound)]
)
def test_who_may_not_revoke_revokes_and_releases_nothing(
    profile: CertificateProfile, role: Role | None, refusal: type[Exception]
) -> None:
    certificate = make_issued(profile)
    project = profile.project if role else None
    charlie = requester_for(make_user("charlie", project=project, role=role or ""))
    for act in (
        lambda: revoke_certificate(
            requester=charlie, certificate=certificate, reason=RevocationReason.CERTIFICATE_HOLD
        ),
        lambda: release_hold(requester=charlie, certificate=certificate),
        lambda: preview_revocation(requester=charlie, project=profile.project, filters=CertificateFilters()),
        lambda: revoke_selected(
            requester=charlie,
            project=profile.project,
            filters=CertificateFilters(),
            reason=RevocationReason.SUPERSEDED,
            count=1,
            digest="",
        ),
    ):
        with pytest.raises(refusal):
            act()
    assert not RevocationEntry.objects.exists()
    assert AuditEvent.objects.filter(outcome="refused").count() == 3  # a preview is a look, not an act


# --- Hold -------------------------------------------------------------------------------------------------------------


def test_a_hold_is_listed_released_and_can_be_put_again(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    for _ in range(2):
        revoke(certificate, RevocationReason.CERTIFICATE_HOLD)
        entry = entry_of(certificate)
        assert entry is not None
        assert (
            entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.certificate_hold
        )

        released = release_hold(requester=SYSTEM, certificate=certificate)

        assert (released.status, released.revoked_at) == (CertificateStatus.ACTIVE, None)
        assert entry_of(certificate) is None
    assert RevocationEntry.objects.get().released_at is not None
    assert AuditEvent.objects.filter(event="release-cert-hold", outcome="done").count() == 2


def test_a_hold_becomes_a_revocation_from_the_day_of_the_hold(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    revoke(certificate, RevocationReason.CERTIFICATE_HOLD)
    since = timezone.now().replace(microsecond=0) - timedelta(days=2)
    Certificate.objects.update(revoked_at=since)

    revoked = revoke(certificate, RevocationReason.KEY_COMPROMISE)

    assert revoked.revoked_at == since
    entry = entry_of(certificate)
    assert entry is not None
    assert entry.revocation_date_utc == since
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise
    with pytest.raises(Invalid):
        release_hold(requester=SYSTEM, certificate=certificate)


def test_what_is_on_hold_cannot_be_put_on_hold(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    revoke(certificate, RevocationReason.CERTIFICATE_HOLD)
    with pytest.raises(Invalid) as told:
        revoke(certificate, RevocationReason.CERTIFICATE_HOLD)
    assert [each.code for each in told.value.violations] == ["already_on_hold"]


def test_only_a_hold_is_released(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    with pytest.raises(Invalid) as told:
        release_hold(requester=SYSTEM, certificate=certificate)
    assert [each.code for each in told.value.violations] == ["not_on_hold"]


# --- Compromised keys -------------------------------------------------------------------------------------------------


def test_a_compromised_key_is_never_certified_again(profile: CertificateProfile) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = sign_csr(profile, key)
    revoke(certificate, RevocationReason.KEY_COMPROMISE)

    with pytest.raises(PolicyViolation) as told:
        sign_csr(profile, key)

    assert [each.code for each in told.value.violations] == ["weak_key"]
    assert certificate.serial_number in told.value.violations[0].allowed
    ca = make_authority(profile.project, max_path_length=1)
    with pytest.raises(Invalid, match="compromised"):
        sign_intermediate(
            requester=SYSTEM,
            authority=ca,
            csr=make_csr(key),
            not_after=timezone.now() + timedelta(days=30),
            max_path_length=0,
        )
    other = make_profile_of(make_authority(make_project()), slug="elsewhere")
    with pytest.raises(PolicyViolation):
        sign_csr(other, key)


def test_any_other_reason_leaves_the_key_usable(profile: CertificateProfile) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    revoke(sign_csr(profile, key), RevocationReason.SUPERSEDED)
    assert sign_csr(profile, key).status == CertificateStatus.ACTIVE
    assert not BlockedKey.objects.exists()


def test_the_siblings_are_the_live_certificates_of_the_key_that_the_requester_may_read(
    profile: CertificateProfile,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate, sibling, over = (sign_csr(profile, key) for _ in range(3))
    revoke(over)
    foreign = sign_csr(make_issuing_profile(make_project("Other"), slug="other"), key)
    bob = requester_for(make_user("bob", project=profile.project, role=Role.MEMBER))

    revoked = revoke_certificate(requester=bob, certificate=certificate, reason=RevocationReason.KEY_COMPROMISE)

    assert revoked.siblings == (sibling,)
    assert foreign not in revoked.siblings


# --- Idempotency ------------------------------------------------------------------------------------------------------


def test_one_key_revokes_once_and_answers_the_same(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    key = IdempotencyKey(key="once", body_digest="aa")
    asked = {"requester": SYSTEM, "certificate": certificate, "reason": RevocationReason.SUPERSEDED}

    first = revoke_certificate(**asked, idempotency=key)  # type: ignore[arg-type]
    again = revoke_certificate(**asked, idempotency=key)  # type: ignore[arg-type]

    assert (first.is_replay, again.is_replay) == (False, True)
    assert first.revoked_at == again.revoked_at
    assert AuditEvent.objects.filter(event="revoke-cert").count() == 1
    with pytest.raises(KeyReused):
        revoke_certificate(**asked, idempotency=replace(key, body_digest="bb"))  # type: ignore[arg-type]


# --- Faults -----------------------------------------------------------------------------------------------------------


def test_a_broken_ca_key_does_not_stop_the_revocation_and_the_last_crl_is_served(profile: CertificateProfile) -> None:
    certificate = make_issued(profile)
    before = stored_crl(certificate)
    sealed = AuthorityKey.objects.values_list("sealed_private_key", flat=True).get()
    break_key()
    key = IdempotencyKey(key="once", body_digest="aa")
    asked = {"requester": SYSTEM, "certificate": certificate, "reason": RevocationReason.SUPERSEDED}

    with pytest.raises(Unavailable, match="is revoked, but the CRL could not be published"):
        revoke_certificate(**asked, idempotency=key)  # type: ignore[arg-type]

    certificate.refresh_from_db()
    assert certificate.status == CertificateStatus.REVOKED
    row = CertificateRevocationList.objects.get()
    served = current_crl(crl_id=row.pk, now=timezone.now())
    assert x509.load_der_x509_crl(bytes(served.der or b"")) == before
    AuthorityKey.objects.update(sealed_private_key=sealed)
    assert revoke_certificate(**asked, idempotency=key).is_replay  # type: ignore[arg-type]
    assert entry_of(certificate) is not None


def test_a_disk_that_is_full_leaves_the_revocation_and_tells_the_cause(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_issued(profile)

    def full(**_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(revocation_entries, "publish_if_stale", full)
    with pytest.raises(Unavailable, match="No space left on device"):
        revoke(certificate)
    monkeypatch.undo()
    served = current_crl(crl_id=CertificateRevocationList.objects.get().pk, now=timezone.now())
    assert len(x509.load_der_x509_crl(bytes(served.der or b""))) == 1


# --- Many at once -----------------------------------------------------------------------------------------------------


def bulk(
    project: Project,
    selection: revocation.Selection,
    filters: CertificateFilters | None = None,
    reason: RevocationReason = RevocationReason.CESSATION_OF_OPERATION,
) -> revocation.Selection:
    return revoke_selected(
        requester=SYSTEM,
        project=project,
        filters=filters or CertificateFilters(),
        reason=reason,
        count=selection.count,
        digest=selection.digest,
    )


def test_what_was_previewed_is_revoked_and_nothing_else(profile: CertificateProfile) -> None:
    other = make_issuing_profile(profile.project, slug="other")
    wanted = {make_issued(each, f"wiki{number}.acme.com") for each in (profile, other) for number in range(2)}
    kept = make_issued(profile, "web.acme.com")
    make_issued(make_issuing_profile(profile.project, slug="own", is_self_signed=True), "wiki7.acme.com")
    make_issued(make_issuing_profile(make_project("Else"), slug="else"), "wiki8.acme.com")
    revoke(make_issued(profile, "wiki9.acme.com"))
    filters = CertificateFilters(search="wiki")

    seen = preview_revocation(requester=SYSTEM, project=profile.project, filters=filters)
    assert (seen.count, set(seen.first)) == (4, wanted)
    done = bulk(profile.project, seen, filters)

    assert (done.count, set(done.first)) == (4, wanted)
    assert set(Certificate.objects.filter(revocation_reason=RevocationReason.CESSATION_OF_OPERATION)) == wanted
    assert all(entry_of(certificate) for certificate in wanted)
    assert entry_of(kept) is None
    assert AuditEvent.objects.filter(event="revoke-cert", outcome="done").count() == 5


def test_what_came_since_the_preview_stops_the_act(profile: CertificateProfile) -> None:
    make_issued(profile)
    seen = preview_revocation(requester=SYSTEM, project=profile.project, filters=CertificateFilters())
    first = Certificate.objects.get()
    make_issued(profile)
    with pytest.raises(Conflict, match="2 now, 1 then"):
        bulk(profile.project, seen)
    revoke(first)
    with pytest.raises(Conflict, match="1 now, 1 then"):  # as many, but another one
        bulk(profile.project, seen)
    assert RevocationEntry.objects.count() == 1


def test_too_many_at_once_are_refused(profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation, "BULK_LIMIT", 1)
    for _ in range(2):
        make_issued(profile)
    with pytest.raises(Invalid, match="More than 1"):
        preview_revocation(requester=SYSTEM, project=profile.project, filters=CertificateFilters())


def test_a_released_hold_can_be_revoked_with_the_others(profile: CertificateProfile) -> None:
    held, other = make_issued(profile), make_issued(profile)
    revoke(held, RevocationReason.CERTIFICATE_HOLD)
    release_hold(requester=SYSTEM, certificate=held)
    seen = preview_revocation(requester=SYSTEM, project=profile.project, filters=CertificateFilters())
    bulk(profile.project, seen, reason=RevocationReason.KEY_COMPROMISE)
    assert len(stored_crl(held)) == 2
    assert RevocationEntry.objects.filter(released_at=None).count() == 2
    assert set(BlockedKey.objects.values_list("serial_number", flat=True)) == {held.serial_number, other.serial_number}
