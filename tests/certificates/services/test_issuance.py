"""The one road: it issues exactly what was asked and allowed, and every refusal leaves nothing but its record."""

import uuid
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID
from django.utils import timezone

from certificates.keystore.base import MemorySigner
from certificates.keystore.database import forget_keys
from certificates.models import AuthorityKey, Certificate, CertificateAuthority, CertificateRequest, IdempotencyRecord
from certificates.models.authority import AuthorityStatus
from certificates.models.request import RequestStatus
from certificates.services import issuance, signing
from certificates.services.idempotency import CLAIM_LEASE, KEPT_FOR, SWEPT_AT_ONCE, Claim, IdempotencyKey, claim_key
from certificates.services.issuance import issue_certificate
from certificates.x509 import lint
from certificates.x509.csr import read_csr
from certificates.x509.tbs import ToBeSigned
from certificates.x509.verify import VerificationFailed
from pki_portal.access.models import Project, Role
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import Conflict, Forbidden, NotFound, PermissionDenied, PortalError, Unavailable
from profiles.enrollment import EnrollmentMethod
from profiles.models import CertificateProfile, ProfileVersion, TemplateVersion
from profiles.policy.errors import PolicyViolation
from profiles.policy.request import AttributeValue, GeneralName, IssuanceRequest
from profiles.policy.vocabulary import (
    ExtendedKeyUsage,
    KeyAlgorithm,
    KeyUsage,
    NameType,
    SignatureAlgorithm,
    SubjectAttribute,
)
from profiles.services import delete_profile, delete_template, update_profile, update_template
from tests.factories import SYSTEM, make_project, make_user, requester_for
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def profile(project: Project) -> CertificateProfile:
    return make_issuing_profile(project)


def service_request(name: str = "service.acme.com", **changes: object) -> IssuanceRequest:
    """A web server's request."""
    asked: dict[str, object] = {
        "subject": (AttributeValue(SubjectAttribute.COMMON_NAME, name),),
        "subject_alternative_names": (GeneralName(NameType.DNS_NAME, name),),
        "ttl": timedelta(days=90),
    }
    return IssuanceRequest(**(asked | changes))  # type: ignore[arg-type]


def csr_for(key: ec.EllipticCurvePrivateKey, name: str = "service.acme.com") -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    )
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


def test_issues_what_was_asked_with_a_key_that_fits(profile: CertificateProfile) -> None:
    issued = issue_certificate(profile=profile, request=service_request(), requester=SYSTEM)

    certificate = x509.load_der_x509_certificate(bytes(issued.certificate.der))
    assert issued.private_key is not None
    key = load_pem_private_key(issued.private_key.encode(), password=None)
    assert key.public_key() == certificate.public_key()
    assert certificate.subject.rfc4514_string() == "CN=service.acme.com"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == ["service.acme.com"]
    assert names.critical is False
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=90)


def test_a_signature_by_another_key_than_the_cas_does_not_leave(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = MemorySigner(ec.generate_private_key(ec.SECP256R1()))
    monkeypatch.setattr(issuance, "signer_of", lambda _: wrong)

    with pytest.raises(VerificationFailed, match="signature"):
        issue_certificate(profile=profile, request=service_request(), requester=SYSTEM)

    assert_nothing_was_issued()


def test_what_was_signed_must_be_what_was_judged_byte_for_byte(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sign_in_another_order(judged: ToBeSigned, signer: MemorySigner) -> x509.Certificate:
        """Every value as decided and a good signature, but the extensions stand the other way round."""
        told = judged.draft
        builder = x509.CertificateBuilder(
            told.issuer, told.subject, told.public_key(), told.serial_number,
            told.not_valid_before_utc.replace(tzinfo=None), told.not_valid_after_utc.replace(tzinfo=None),
            list(reversed(list(told.extensions))),
        )  # fmt: skip
        return builder.sign(signer.private_key, SHA256())

    monkeypatch.setattr(signing, "sign", sign_in_another_order)

    with pytest.raises(VerificationFailed) as failure:
        issue_certificate(profile=profile, request=service_request(), requester=SYSTEM)

    assert failure.value.differences == ("TBSCertificate",)
    assert_nothing_was_issued()


def assert_nothing_was_issued() -> None:
    assert not Certificate.objects.exists()
    assert not CertificateRequest.objects.filter(status=RequestStatus.ISSUED).exists()
    assert not AuditEvent.objects.filter(event="issue-certificate-from-profile", outcome="done").exists()


def test_the_path_leads_to_the_root(profile: CertificateProfile) -> None:
    issued = issue_certificate(profile=profile, request=service_request(), requester=SYSTEM)
    path = [x509.load_pem_x509_certificate(pem.encode()) for pem in issued.certification_path]
    x509.load_der_x509_certificate(bytes(issued.certificate.der)).verify_directly_issued_by(path[0])
    for below, above in zip(path, [*path[1:], path[-1]], strict=True):
        below.verify_directly_issued_by(above)
    assert path[-1].issuer == path[-1].subject


def test_the_row_and_its_request_and_event_are_stored(profile: CertificateProfile, project: Project) -> None:
    alice = requester_for(make_user("alice", project=project))
    issued = issue_certificate(profile=profile, request=service_request(), requester=alice)

    row = Certificate.objects.select_related("request").get(pk=issued.certificate.pk)
    assert row.common_name == "service.acme.com"
    assert row.subject_alternative_names == [{"type": "dns_name", "value": "service.acme.com"}]
    assert row.issuing_request.status == RequestStatus.ISSUED
    assert row.issuing_request.requester_name == "alice"
    event = AuditEvent.objects.get(subject_id=str(row.pk))
    assert (event.event, event.actor_name) == ("issue-certificate-from-profile", "alice")
    assert event.data["serialNumber"] == row.serial_number


def test_the_private_key_is_stored_nowhere_and_not_in_the_repr(profile: CertificateProfile) -> None:
    issued = issue_certificate(profile=profile, request=service_request(), requester=SYSTEM)
    assert issued.private_key is not None
    secret = issued.private_key.splitlines()[1]
    assert secret not in repr(issued)
    for model in (Certificate, CertificateRequest, AuditEvent, IdempotencyRecord):
        assert secret not in repr(list(model._default_manager.values()))


def test_signs_a_csr_without_returning_a_key(profile: CertificateProfile) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    issued = issue_certificate(profile=profile, request=read_csr(csr_for(key)), requester=SYSTEM)
    certificate = x509.load_der_x509_certificate(bytes(issued.certificate.der))
    assert issued.private_key is None
    assert certificate.public_key() == key.public_key()
    assert AuditEvent.objects.filter(event="sign-certificate-from-profile").count() == 1


def test_auto_renewal_of_the_profile_takes_effect(profile: CertificateProfile) -> None:
    issued = issue_certificate(profile=profile, request=service_request(), requester=SYSTEM)
    assert issued.certificate.renew_before_days == 7
    assert issued.certificate.renew_at == issued.certificate.not_after - timedelta(days=7)


def test_a_certificate_from_a_csr_does_not_renew_by_itself(profile: CertificateProfile) -> None:
    request = read_csr(csr_for(ec.generate_private_key(ec.SECP256R1())))
    issued = issue_certificate(profile=profile, request=request, requester=SYSTEM)
    assert (issued.certificate.renew_before_days, issued.certificate.renew_at) == (None, None)


@pytest.mark.parametrize(
    "authority_key",
    [KeyAlgorithm.RSA_3072, KeyAlgorithm.EC_SECP384R1, KeyAlgorithm.ED25519, KeyAlgorithm.ML_DSA_65],
)
def test_the_signature_fits_the_authority(project: Project, authority_key: KeyAlgorithm) -> None:
    profile = make_issuing_profile(project, authority_key=authority_key)
    issued = issue_certificate(profile=profile, request=service_request(), requester=SYSTEM)
    assert SignatureAlgorithm(issued.certificate.signature_algorithm).family == authority_key.family


def test_a_self_signed_profile_signs_with_the_certificates_own_key(project: Project) -> None:
    profile = make_issuing_profile(project, is_self_signed=True)
    issued = issue_certificate(profile=profile, request=service_request(), requester=SYSTEM)
    certificate = x509.load_der_x509_certificate(bytes(issued.certificate.der))
    certificate.verify_directly_issued_by(certificate)
    assert issued.certificate.authority is None
    assert issued.certification_path == (certificate.public_bytes(Encoding.PEM).decode().strip(),)


def test_a_self_signed_profile_refuses_a_csr(project: Project) -> None:
    profile = make_issuing_profile(project, is_self_signed=True)
    request = read_csr(csr_for(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(PolicyViolation) as refusal:
        issue_certificate(profile=profile, request=request, requester=SYSTEM)
    assert [violation.field for violation in refusal.value.violations] == ["csr"]


# Refusals


def test_refused_with_every_violation_and_the_failed_request_kept(profile: CertificateProfile) -> None:
    request = service_request(
        key_usages=(KeyUsage.CRL_SIGN,),
        extended_key_usages=(ExtendedKeyUsage.CODE_SIGNING,),
        ttl=timedelta(days=4000),
    )
    with pytest.raises(PolicyViolation) as refusal:
        issue_certificate(profile=profile, request=request, requester=SYSTEM)

    fields = {violation.field for violation in refusal.value.violations}
    assert {"ttl", "key_usages", "extended_key_usages"} <= {field.partition("/")[0] for field in fields}
    assert all(violation.fix for violation in refusal.value.violations)
    assert not Certificate.objects.exists()
    failed = CertificateRequest.objects.get()
    assert failed.status == RequestStatus.FAILED
    assert {violation["code"] for violation in failed.violations} == {
        violation.code for violation in refusal.value.violations
    }
    assert AuditEvent.objects.filter(event="issue-certificate-from-profile", outcome="refused").count() == 1


def test_a_viewer_is_refused(profile: CertificateProfile, project: Project) -> None:
    viewer = requester_for(make_user("vera", project=project, role=Role.VIEWER))
    with pytest.raises(PermissionDenied):
        issue_certificate(profile=profile, request=service_request(), requester=viewer)
    assert not CertificateRequest.objects.exists()


def test_an_outsider_learns_nothing(profile: CertificateProfile) -> None:
    charlie = requester_for(make_user("charlie"))
    with pytest.raises(NotFound):
        issue_certificate(profile=profile, request=service_request(), requester=charlie)


def test_another_enrollment_method_is_refused_by_name(profile: CertificateProfile) -> None:
    with pytest.raises(Forbidden, match="est"):
        issue_certificate(profile=profile, request=service_request(), requester=SYSTEM, method=EnrollmentMethod.EST)


def test_a_disabled_authority_acts_at_once(profile: CertificateProfile) -> None:
    issue_certificate(profile=profile, request=service_request(), requester=SYSTEM)
    CertificateAuthority.objects.filter(certificate_profiles=profile).update(status=AuthorityStatus.DISABLED)
    with pytest.raises(PolicyViolation) as refusal:
        issue_certificate(profile=profile, request=service_request(), requester=SYSTEM)
    assert [violation.code for violation in refusal.value.violations] == ["issuer_not_active"]


def test_the_authoritys_own_name_is_refused(profile: CertificateProfile) -> None:
    taken = (
        AttributeValue(SubjectAttribute.ORGANIZATION, "ACME"),
        AttributeValue(SubjectAttribute.COMMON_NAME, "server  ROOT"),
    )
    with pytest.raises(PolicyViolation) as refusal:
        issue_certificate(profile=profile, request=service_request(subject=taken), requester=SYSTEM)
    assert [violation.code for violation in refusal.value.violations] == ["subject_is_issuer"]


def test_the_end_past_the_authoritys_is_refused_with_the_latest_possible(project: Project) -> None:
    profile = make_issuing_profile(project, authority_life=timedelta(days=30))
    with pytest.raises(PolicyViolation) as refusal:
        issue_certificate(profile=profile, request=service_request(), requester=SYSTEM)
    (violation,) = refusal.value.violations
    authority = CertificateAuthority.objects.get(certificate_profiles=profile)
    assert authority.not_after is not None
    assert authority.not_after.strftime("%Y-%m-%d") in violation.fix


def test_a_key_sealed_for_another_authority_signs_nothing(profile: CertificateProfile, project: Project) -> None:
    other = make_issuing_profile(project, slug="other")
    mine = AuthorityKey.objects.get(authority_id=profile.certificate_authority_id)
    theirs = AuthorityKey.objects.get(authority_id=other.certificate_authority_id)
    AuthorityKey.objects.filter(pk=mine.pk).update(sealed_private_key=theirs.sealed_private_key)
    forget_keys()
    with pytest.raises(PortalError):
        issue_certificate(profile=profile, request=service_request(), requester=SYSTEM)
    assert not Certificate.objects.exists()


def test_a_missing_master_key_is_told_and_signs_nothing(
    profile: CertificateProfile, settings: pytest.MonkeyPatch
) -> None:
    from certificates.keystore.sealing import forget_keyring, new_master_key_text

    settings.PKI_PORTAL_MASTER_KEYS = new_master_key_text()  # type: ignore[attr-defined]
    forget_keyring()
    forget_keys()
    try:
        with pytest.raises(Unavailable):
            issue_certificate(profile=profile, request=service_request(), requester=SYSTEM)
    finally:
        forget_keyring()
        forget_keys()
    assert not Certificate.objects.exists()


# Idempotency


def test_the_same_key_and_body_give_the_same_certificate_without_its_key(profile: CertificateProfile) -> None:
    idempotency = IdempotencyKey("order-1", "digest")
    first = issue_certificate(profile=profile, request=service_request(), requester=SYSTEM, idempotency=idempotency)
    again = issue_certificate(profile=profile, request=service_request(), requester=SYSTEM, idempotency=idempotency)
    assert again.certificate == first.certificate
    assert (again.is_replay, again.private_key) == (True, None)
    assert again.certification_path == first.certification_path
    assert Certificate.objects.count() == 1


def test_the_same_key_with_another_body_is_a_conflict(profile: CertificateProfile) -> None:
    issue_certificate(
        profile=profile, request=service_request(), requester=SYSTEM, idempotency=IdempotencyKey("order-1", "one")
    )
    with pytest.raises(Conflict, match="another request body"):
        issue_certificate(
            profile=profile, request=service_request(), requester=SYSTEM, idempotency=IdempotencyKey("order-1", "two")
        )


def test_two_requesters_may_use_the_same_key(profile: CertificateProfile, project: Project) -> None:
    idempotency = IdempotencyKey("order-1", "digest")
    alice = requester_for(make_user("alice", project=project))
    first = issue_certificate(profile=profile, request=service_request(), requester=SYSTEM, idempotency=idempotency)
    second = issue_certificate(profile=profile, request=service_request(), requester=alice, idempotency=idempotency)
    assert first.certificate != second.certificate


def test_a_refusal_gives_the_key_back(profile: CertificateProfile) -> None:
    idempotency = IdempotencyKey("order-1", "digest")
    with pytest.raises(PolicyViolation):
        issue_certificate(
            profile=profile,
            request=service_request(ttl=timedelta(days=4000)),
            requester=SYSTEM,
            idempotency=idempotency,
        )
    assert not IdempotencyRecord.objects.exists()


def test_a_key_under_way_is_a_conflict_with_a_time_to_retry() -> None:
    now = timezone.now()
    idempotency = IdempotencyKey("order-1", "digest")
    assert isinstance(claim_key(requester=SYSTEM, idempotency=idempotency, now=now), Claim)
    with pytest.raises(Conflict) as refusal:
        claim_key(requester=SYSTEM, idempotency=idempotency, now=now + timedelta(seconds=5))
    assert refusal.value.retry_after == 1


def test_a_dead_ones_claim_is_taken_over_and_then_worth_nothing(profile: CertificateProfile) -> None:
    now = timezone.now()
    idempotency = IdempotencyKey("order-1", "digest")
    dead = claim_key(requester=SYSTEM, idempotency=idempotency, now=now)
    heir = claim_key(requester=SYSTEM, idempotency=idempotency, now=now + CLAIM_LEASE + timedelta(seconds=1))
    assert isinstance(dead, Claim)
    assert isinstance(heir, Claim)
    certificate = issue_certificate(profile=profile, request=service_request(), requester=SYSTEM).certificate
    with pytest.raises(Conflict):
        dead.complete(certificate)
    heir.complete(certificate)
    assert IdempotencyRecord.objects.get().certificate == certificate


def test_a_key_is_forgotten_after_a_day(profile: CertificateProfile) -> None:
    idempotency = IdempotencyKey("order-1", "digest")
    issue_certificate(profile=profile, request=service_request(), requester=SYSTEM, idempotency=idempotency)
    later = timezone.now() + KEPT_FOR + timedelta(seconds=1)
    assert isinstance(claim_key(requester=SYSTEM, idempotency=idempotency, now=later), Claim)


def test_each_claim_deletes_some_of_the_records_that_nobody_asks_for_again() -> None:
    now = timezone.now()
    for number in range(SWEPT_AT_ONCE + 2):
        claim_key(requester=SYSTEM, idempotency=IdempotencyKey(f"order-{number}", "digest"), now=now)
    IdempotencyRecord.objects.update(created_at=now - KEPT_FOR - timedelta(seconds=1))
    claim_key(requester=SYSTEM, idempotency=IdempotencyKey("fresh-1", "digest"), now=now)
    assert IdempotencyRecord.objects.count() == 2 + 1
    claim_key(requester=SYSTEM, idempotency=IdempotencyKey("fresh-2", "digest"), now=now)
    assert IdempotencyRecord.objects.count() == 2


def test_a_clean_shape_is_linted_once_on_localhost_too(
    project: Project, settings: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SITE_URL = "http://localhost:8000"  # type: ignore[attr-defined]
    profile = make_issuing_profile(project)
    linted: list[bytes] = []
    real = lint.lint

    def counted(der: bytes) -> tuple[lint.Finding, ...]:
        linted.append(der)
        return real(der)

    monkeypatch.setattr(lint, "lint", counted)
    for name in ("one.acme.com", "two.acme.com"):
        issue_certificate(profile=profile, request=service_request(name), requester=SYSTEM)
    assert len(linted) == 1


def test_unique_serial_numbers_are_a_constraint(profile: CertificateProfile) -> None:
    row = issue_certificate(profile=profile, request=service_request(), requester=SYSTEM).certificate
    twin = Certificate.objects.get(pk=row.pk)
    request = CertificateRequest.objects.get(pk=row.issuing_request.pk)
    request.pk = uuid.uuid4()
    request.save(force_insert=True)
    twin.pk, twin.request, twin.fingerprint_sha256 = uuid.uuid4(), request, "0" * 64
    from django.db import IntegrityError

    with pytest.raises(IntegrityError):
        twin.save(force_insert=True)


def test_a_turned_off_auto_renewal_sets_nothing(profile: CertificateProfile) -> None:
    profile = update_profile(requester=SYSTEM, profile=profile, changes={"api": {"auto_renew": False}})
    issued = issue_certificate(profile=profile, request=service_request(), requester=SYSTEM)
    assert issued.certificate.renew_at is None


def test_the_request_points_at_the_versions_that_judged_it_and_keeps_the_trace(profile: CertificateProfile) -> None:
    first = issue_certificate(profile=profile, request=service_request(), requester=SYSTEM).certificate.issuing_request
    update_template(requester=SYSTEM, template=profile.template, changes={"validity": {"max": "100d"}})
    profile = update_profile(requester=SYSTEM, profile=profile, changes={"description": "narrowed"})
    second = issue_certificate(profile=profile, request=service_request(), requester=SYSTEM).certificate.issuing_request

    first.refresh_from_db()
    assert first.profile_version is not None
    assert first.template_version is not None
    assert (first.profile_version.profile_id, first.profile_version.number) == (profile.pk, 1)
    assert (first.template_version.template_id, first.template_version.number) == (profile.template_id, 1)
    assert first.template_version.document["validity"] == {"max": "398d"}
    assert second.profile_version is not None
    assert second.template_version is not None
    assert (second.profile_version.number, second.template_version.number) == (2, 2)
    assert second.template_version.document["validity"] == {"max": "100d"}
    assert first.decision is not None
    assert first.decision["decision"] == "issued"
    assert first.decision["plan"]["subject"] == [{"type": "common_name", "value": "service.acme.com"}]
    assert first.decision["warnings"] == first.warnings


def test_a_refused_request_keeps_what_refused_it(profile: CertificateProfile) -> None:
    with pytest.raises(PolicyViolation):
        issue_certificate(profile=profile, request=service_request(ttl=timedelta(days=999)), requester=SYSTEM)

    kept = CertificateRequest.objects.get(status=RequestStatus.FAILED)
    assert kept.profile_version == ProfileVersion.objects.get(profile_id=profile.pk)
    assert kept.template_version == TemplateVersion.objects.get(template_id=profile.template_id)
    assert kept.decision is not None
    assert (kept.decision["decision"], kept.decision["plan"]) == ("refused", None)
    (failed,) = [rule for rule in kept.decision["rules"] if rule["verdict"] == "fail"]
    assert (failed["field"], failed["code"]) == ("ttl", "ttl_too_long")
    assert kept.warnings == []


def test_what_judged_a_certificate_stays_when_profile_and_template_are_deleted(profile: CertificateProfile) -> None:
    request = issue_certificate(
        profile=profile, request=service_request(), requester=SYSTEM
    ).certificate.issuing_request
    delete_profile(requester=SYSTEM, profile=profile)
    delete_template(requester=SYSTEM, template=profile.template)

    request.refresh_from_db()
    assert request.profile is None
    assert request.profile_version is not None
    assert request.template_version is not None
    assert request.profile_version.name == "server"
    assert request.template_version.document["validity"] == {"max": "398d"}


def test_a_row_loaded_before_a_change_issues_nothing(profile: CertificateProfile) -> None:
    update_template(requester=SYSTEM, template=profile.template, changes={"description": "changed"})

    with pytest.raises(Conflict, match="template server was changed"):
        issue_certificate(profile=profile, request=service_request(), requester=SYSTEM)

    assert not Certificate.objects.exists()
