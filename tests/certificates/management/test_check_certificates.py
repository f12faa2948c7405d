"""The check finds nothing in what the portal made, and every kind of damage by name."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
import time_machine
from cryptography import x509
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from certificates.keystore.database import forget_keys
from certificates.management.commands import check_certificates
from certificates.management.commands.check_certificates import issuer_reasons, load_path
from certificates.models import (
    AuthorityCertificate,
    AuthorityKey,
    Certificate,
    CertificateAuthority,
    CertificateRequest,
    CertificateRevocationList,
    CertificateSecret,
    DeltaRevocationList,
    OcspResponder,
    OcspResponse,
    RevocationEntry,
    RevocationSegment,
)
from certificates.models.certificate import RevocationReason
from certificates.services import crl_segments
from certificates.services.authorities import revoke_authority_certificate
from certificates.services.crl import current_delta, publish_crl, publish_due
from certificates.services.kept_keys import destroy_private_key
from certificates.services.revocation import release_hold, revoke_certificate
from certificates.x509.lint import Finding, Severity
from profiles.models import CertificateProfile, CertificateTemplate, ProfileVersion, TemplateVersion
from profiles.services import update_profile
from tests.factories import SYSTEM, make_project
from tests.scenery import make_issuing_profile
from tests.wire import CERTIFICATES, Pki, issued, make_client, make_csr, make_pki, post_json

pytestmark = pytest.mark.django_db


@pytest.fixture
def pki() -> Pki:
    """Three certificates: with our key, from a CSR, self-signed; and a failed request."""
    pki = make_pki()
    robot = make_client(pki.project)
    issued(robot, pki.profile)
    post_json(robot, CERTIFICATES, {"profileId": str(pki.profile.pk), "csr": make_csr()})
    issued(robot, make_issuing_profile(pki.project, slug="alone", is_self_signed=True))
    refused = post_json(robot, CERTIFICATES, {"profileId": str(pki.profile.pk), "attributes": {"ttl": "900d"}})
    assert refused.status_code == 400
    return pki


def findings() -> str:
    """What a failing run prints."""
    out = StringIO()
    with pytest.raises(CommandError) as failure:
        call_command("check_certificates", stdout=out, stderr=StringIO())
    assert failure.value.returncode == 1
    return out.getvalue()


def test_what_the_portal_made_has_no_findings(pki: Pki) -> None:
    out = StringIO()
    call_command("check_certificates", stdout=out, stderr=StringIO())
    assert "No findings in 3 certificates and 2 authorities" in out.getvalue()


def test_an_empty_database_has_no_findings() -> None:
    out = StringIO()
    call_command("check_certificates", stdout=out, stderr=StringIO())
    assert "No findings in 0 certificates and 0 authorities" in out.getvalue()


def own() -> Certificate:
    return Certificate.objects.filter(authority__isnull=False).latest("created_at")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("serial_number", "0" * 39 + "7"),
        ("common_name", "other.acme.com"),
        ("organization", "Other"),
        ("subject_alternative_names", []),
        ("alt_names", "other.acme.com"),
        ("key_usages", ["crl_sign"]),
        ("extended_key_usages", []),
        ("key_algorithm", "RSA_2048"),
        ("signature_algorithm", "RSA-SHA256"),
        ("is_ca", True),
        ("path_length", 3),
        ("not_after", F("not_after") + timedelta(seconds=1)),
        ("fingerprint_sha256", "0" * 64),
        ("fingerprint_sha1", "0" * 40),
    ],
)
def test_a_column_that_is_not_what_was_signed_is_found(pki: Pki, column: str, value: object) -> None:
    row = own()
    Certificate.objects.filter(pk=row.pk).update(**{column: value})

    assert f"certificate {row.pk}: {column} is" in findings()


def swap_encodings(pki: Pki) -> str:
    first, second = Certificate.objects.filter(authority__isnull=False)
    Certificate.objects.filter(pk=first.pk).update(der=second.der)
    return f"certificate {first.pk}: serial_number is"


def break_encoding(pki: Pki) -> str:
    row = own()
    Certificate.objects.filter(pk=row.pk).update(der=b"\x30\x03\x02\x01\x00")
    return f"certificate {row.pk}: cannot be read"


def write_an_unknown_version(pki: Pki) -> str:
    row = own()
    version_3 = b"\xa0\x03\x02\x01\x02"
    Certificate.objects.filter(pk=row.pk).update(der=bytes(row.der).replace(version_3, b"\xa0\x03\x02\x01\x07", 1))
    return f"certificate {row.pk}: cannot be read"


def give_to_another_issuer(pki: Pki) -> str:
    row = own()
    Certificate.objects.filter(pk=row.pk).update(authority_certificate=pki.root.active_certificate_id)
    return f"certificate {row.pk}: its issuing certificate"


def give_to_the_root(pki: Pki) -> str:
    row = own()
    Certificate.objects.filter(pk=row.pk).update(
        authority=pki.root.pk, authority_certificate=pki.root.active_certificate_id
    )
    return "was not issued by"


def lose_a_certificate(pki: Pki) -> str:
    row = own()
    request_id = row.request_id
    row.delete()
    return f"request {request_id}: is issued, and there is no certificate"


def fail_an_issued_request(pki: Pki) -> str:
    row = own()
    CertificateRequest.objects.filter(pk=row.issuing_request.pk).update(status="failed")
    return f"certificate {row.pk}: its request is missing or not issued"


def move_to_another_project(pki: Pki) -> str:
    row = own()
    Certificate.objects.filter(pk=row.pk).update(project=make_project())
    return f"certificate {row.pk}: its request, profile or authority is of another project"


def judge_by_another_profile(pki: Pki) -> str:
    row = own()
    other = ProfileVersion.objects.exclude(profile_id=pki.profile.pk).latest("created_at")
    CertificateRequest.objects.filter(pk=row.issuing_request.pk).update(profile_version=other)
    return f"request {row.request_id}: the versions that judged it are of another profile"


def judge_by_another_template(pki: Pki) -> str:
    row = own()
    other = TemplateVersion.objects.exclude(template_id=pki.profile.template_id).latest("created_at")
    CertificateRequest.objects.filter(pk=row.issuing_request.pk).update(template_version=other)
    judged_by = row.issuing_request.profile_version_id
    return f"profile version {judged_by}: requests that it judged point at template version {other.pk}"


def lose_what_judged(pki: Pki) -> str:
    row = own()
    CertificateRequest.objects.filter(pk=row.issuing_request.pk).update(profile_version=None)
    return f"request {row.request_id}: the versions that judged it are missing"


def skip_a_version(pki: Pki) -> str:
    CertificateTemplate.objects.filter(pk=pki.profile.template_id).update(version=3)
    return f"template {pki.profile.template_id}: is at version 3; not all versions up to it are kept"


def lose_a_version(pki: Pki) -> str:
    CertificateRequest.objects.update(profile_version=None, template_version=None, decision=None)
    ProfileVersion._base_manager.filter(profile_id=pki.profile.pk).delete()
    return f"profile {pki.profile.pk}: is at version 1; not all versions up to it are kept"


def break_a_ca_key(pki: Pki) -> str:
    key = AuthorityKey.objects.get(authority=pki.issuing)
    other = AuthorityKey.objects.get(authority=pki.root)
    AuthorityKey.objects.filter(pk=key.pk).update(sealed_private_key=other.sealed_private_key)
    forget_keys()
    return f"authority key {key.pk}: cannot be used"


def change_a_ca_certificate(pki: Pki) -> str:
    row = AuthorityCertificate.objects.get(authority=pki.issuing)
    AuthorityCertificate.objects.filter(pk=row.pk).update(path_length=None)
    return f"authority certificate {row.pk}: path_length is None, the certificate says 0"


def detach_a_ca(pki: Pki) -> str:
    row = AuthorityCertificate.objects.get(authority=pki.issuing)
    AuthorityCertificate.objects.filter(pk=row.pk).update(issuer_certificate=None)
    return f"authority certificate {row.pk}: the certification path does not hold"


def change_a_cas_dates(pki: Pki) -> str:
    CertificateAuthority.objects.filter(pk=pki.issuing.pk).update(not_after=F("not_after") + timedelta(days=1))
    return f"authority {pki.issuing.pk}: its dates are not those of its active certificate"


def renumber_a_crl(pki: Pki) -> str:
    row = CertificateRevocationList.objects.get(key__authority=pki.issuing)
    CertificateRevocationList.objects.filter(pk=row.pk).update(number=7)
    return f"revocation list {row.pk}: number is 7, the list says {row.number}"


def swap_crls(pki: Pki) -> str:
    row = CertificateRevocationList.objects.get(key__authority=pki.issuing)
    other = CertificateRevocationList.objects.get(key__authority=pki.root)
    CertificateRevocationList.objects.filter(pk=row.pk).update(der=other.der)
    return f"revocation list {row.pk}: is not signed by authority key"


def lose_a_crl(pki: Pki) -> str:
    row = CertificateRevocationList.objects.get(key__authority=pki.issuing)
    row.delete()
    return f"authority key {row.key_id}: has no revocation list"


def revoked_one(pki: Pki) -> Certificate:
    certificate = Certificate.objects.filter(authority=pki.issuing, status="active").latest("created_at")
    revoke_certificate(requester=SYSTEM, certificate=certificate, reason=RevocationReason.SUPERSEDED)
    return certificate


def lose_an_entry(pki: Pki) -> str:
    certificate = revoked_one(pki)
    RevocationEntry.objects.all().delete()
    return f"certificate {certificate.pk}: is revoked, and no revocation entry says so"


def lose_a_revocation(pki: Pki) -> str:
    certificate = revoked_one(pki)
    Certificate.objects.filter(pk=certificate.pk).update(status="active", revoked_at=None, revocation_reason=None)
    return f"certificate {certificate.pk}: its state is not that of its revocation entry"


def change_a_reason(pki: Pki) -> str:
    revoked_one(pki)
    RevocationEntry.objects.update(reason=RevocationReason.KEY_COMPROMISE)
    return f"revocation entry {RevocationEntry.objects.get().pk}: its encoding does not say what its columns say"


def move_an_entry(pki: Pki) -> str:
    revoked_one(pki)
    other = CertificateRevocationList.objects.get(key__authority=pki.root)
    RevocationEntry.objects.update(revocation_list=other)
    return f"revocation entry {RevocationEntry.objects.get().pk}: is not of its certificate, or on a list of another"


def revoked_ca(pki: Pki) -> AuthorityCertificate:
    version = AuthorityCertificate.objects.get(authority=pki.issuing)
    revoke_authority_certificate(requester=SYSTEM, certificate=version, reason=RevocationReason.SUPERSEDED)
    return version


def lose_the_entry_of_a_ca(pki: Pki) -> str:
    version = revoked_ca(pki)
    RevocationEntry.objects.all().delete()
    return f"authority certificate {version.pk}: is revoked, and no revocation entry says so"


def lose_the_revocation_of_a_ca(pki: Pki) -> str:
    version = revoked_ca(pki)
    AuthorityCertificate.objects.filter(pk=version.pk).update(revoked_at=None)
    return f"authority certificate {version.pk}: its state is not that of its revocation entry"


def move_the_entry_of_a_ca(pki: Pki) -> str:
    revoked_ca(pki)
    RevocationEntry.objects.update(revocation_list=CertificateRevocationList.objects.get(key__authority=pki.issuing))
    return f"revocation entry {RevocationEntry.objects.get().pk}: is not of its certificate, or on a list of another"


def enable_a_revoked_ca(pki: Pki) -> str:
    version = revoked_ca(pki)
    CertificateAuthority.objects.filter(pk=pki.issuing.pk).update(status="active")
    return f"authority {pki.issuing.pk}: is active, and its certificate {version.pk} is revoked or its key compromised"


def restore_an_older_list(pki: Pki) -> str:
    row = CertificateRevocationList.objects.filter(key__authority=pki.issuing)
    before = row.values("der", "number", "this_update", "next_update", "entry_count").get()
    certificate = revoked_one(pki)
    row.update(**before)
    return f"revocation list {row.get().pk}: does not list {certificate.serial_number}, which is revoked"


def forget_an_entry_that_is_listed(pki: Pki) -> str:
    certificate = revoked_one(pki)
    RevocationEntry.objects.update(released_at=timezone.now(), reason=RevocationReason.CERTIFICATE_HOLD)
    return f": lists {certificate.serial_number}, which is not revoked"


def let_a_list_run_out(pki: Pki) -> str:
    row = CertificateRevocationList.objects.get(key__authority=pki.issuing)
    CertificateRevocationList.objects.update(next_update=timezone.now() - timedelta(hours=1))
    return f"revocation list {row.pk}: has run out"


def leave_a_list_stale(pki: Pki) -> str:
    row = CertificateRevocationList.objects.get(key__authority=pki.issuing)
    CertificateRevocationList.objects.update(revision=7)
    return f"revocation list {row.pk}: misses the latest revocations"


def set_numbers_back(pki: Pki) -> str:
    row = CertificateRevocationList.objects.get(key__authority=pki.issuing)
    CertificateRevocationList.objects.update(base_number=F("number") + 1)
    return f"revocation list {row.pk}: its number {row.number} is below that of an earlier list"


def break_a_delta(pki: Pki) -> str:
    row = CertificateRevocationList.objects.get(key__authority=pki.issuing)
    current_delta(crl_id=row.pk, now=timezone.now())
    DeltaRevocationList.objects.update(base_number=1)
    return f"delta of revocation list {row.pk}: its columns do not say what it says"


def move_a_responder(pki: Pki) -> str:
    call_command("check_certificates", stdout=StringIO(), stderr=StringIO())
    row = OcspResponder.objects.get(key__authority=pki.issuing)
    OcspResponder.objects.filter(pk=row.pk).update(key=AuthorityKey.objects.get(authority=pki.root))
    return f"OCSP responder {row.pk}: was not issued by authority key"


def leave_an_answer_behind(pki: Pki) -> str:
    certificate = Certificate.objects.filter(authority=pki.issuing).latest("created_at")
    call_command("check_certificates", stdout=StringIO(), stderr=StringIO())
    kept = list(OcspResponse.objects.filter(certificate__authority=pki.issuing))
    revoke_certificate(requester=SYSTEM, certificate=kept[0].certificate, reason=RevocationReason.SUPERSEDED)
    OcspResponse.objects.bulk_create(kept)
    assert certificate.authority is not None
    return f"/ocsp/{pki.issuing.pk}, which answers GOOD instead of REVOKED"


def lose_a_ca_certificate(pki: Pki) -> str:
    row = Certificate.objects.filter(authority=pki.issuing).latest("created_at")
    issuer = row.authority_certificate
    assert issuer is not None
    AuthorityCertificate.objects.filter(pk=issuer.pk).update(authority=pki.root, version=9)
    return f"/certificates/{issuer.pk}/der, which answers 404"


@pytest.mark.parametrize(
    "damage",
    [
        lose_an_entry,
        lose_a_revocation,
        change_a_reason,
        move_an_entry,
        lose_the_entry_of_a_ca,
        lose_the_revocation_of_a_ca,
        move_the_entry_of_a_ca,
        enable_a_revoked_ca,
        restore_an_older_list,
        forget_an_entry_that_is_listed,
        let_a_list_run_out,
        leave_a_list_stale,
        set_numbers_back,
        break_a_delta,
        move_a_responder,
        leave_an_answer_behind,
        lose_a_ca_certificate,
        swap_encodings,
        break_encoding,
        write_an_unknown_version,
        give_to_another_issuer,
        give_to_the_root,
        lose_a_certificate,
        fail_an_issued_request,
        move_to_another_project,
        judge_by_another_profile,
        judge_by_another_template,
        lose_what_judged,
        skip_a_version,
        lose_a_version,
        break_a_ca_key,
        change_a_ca_certificate,
        detach_a_ca,
        change_a_cas_dates,
        renumber_a_crl,
        swap_crls,
        lose_a_crl,
    ],
)
def test_damage_is_found_by_name(pki: Pki, damage: Callable[[Pki], str]) -> None:
    expected = damage(pki)
    assert expected in findings()


@pytest.fixture
def sealed(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> CertificateRevocationList:
    """The list of the issuing CA, of two segments."""
    monkeypatch.setattr(crl_segments, "ENTRIES_PER_SEGMENT", 1)
    revoked_one(pki)
    revoked_one(pki)
    row = CertificateRevocationList.objects.get(key__authority=pki.issuing)
    assert len(row.segments) == 2
    return row


def change_a_segment(row: CertificateRevocationList, segment: RevocationSegment) -> str:
    der = bytes(segment.der)
    RevocationSegment.objects.filter(pk=segment.pk).update(der=der[:-1] + bytes([der[-1] ^ 1]))
    return f"revocation list {row.pk}: segment {segment.pk} does not say what its entries say"


def change_what_a_segment_says_of_itself(row: CertificateRevocationList, segment: RevocationSegment) -> str:
    RevocationSegment.objects.filter(pk=segment.pk).update(first_end=F("first_end") - timedelta(days=1))
    return f"revocation list {row.pk}: segment {segment.pk} does not say what its entries say"


def empty_a_segment(row: CertificateRevocationList, segment: RevocationSegment) -> str:
    RevocationSegment.objects.filter(pk=segment.pk).update(first_end=None)
    return f"revocation list {row.pk}: segment {segment.pk} does not say what its entries say"


def lose_a_segment(row: CertificateRevocationList, segment: RevocationSegment) -> str:
    segment.delete()
    return f"revocation list {row.pk}: cannot be read: Parts of the CRL are missing"


def leave_revisions_out(row: CertificateRevocationList, segment: RevocationSegment) -> str:
    segment.delete()
    other = RevocationSegment.objects.get()
    return f"revocation list {row.pk}: segment {other.pk} begins at revision {other.first_revision} instead of 0"


def leave_a_segment_out(row: CertificateRevocationList, segment: RevocationSegment) -> str:
    CertificateRevocationList.objects.filter(pk=row.pk).update(segments=row.segments[:1])
    return f"revocation list {row.pk}: is not made of its segments"


@pytest.mark.parametrize(
    "damage",
    [
        change_a_segment,
        change_what_a_segment_says_of_itself,
        empty_a_segment,
        lose_a_segment,
        leave_revisions_out,
        leave_a_segment_out,
    ],
)
def test_damage_of_segments_is_found_by_name(
    sealed: CertificateRevocationList, damage: Callable[[CertificateRevocationList, RevocationSegment], str]
) -> None:
    expected = damage(sealed, RevocationSegment.objects.earliest("first_revision"))
    assert expected in findings()


def test_segments_that_the_portal_made_have_no_findings(sealed: CertificateRevocationList) -> None:
    call_command("check_certificates", stdout=StringIO(), stderr=StringIO())
    end = max(RevocationEntry.objects.values_list("not_after", flat=True))
    for days in (-1, 1, 2):
        with time_machine.travel(end + timedelta(days=days), tick=False):
            publish_crl(revocation_list=sealed, now=timezone.now())
    assert sealed.entry_count == 0
    with time_machine.travel(end + timedelta(days=2), tick=False):
        list(publish_due(now=timezone.now()))
        call_command("check_certificates", stdout=StringIO(), stderr=StringIO())


def test_addresses_of_another_installation_are_found(pki: Pki, settings: Settings) -> None:
    settings.SITE_URL = "http://elsewhere.test"
    told = findings()
    for part in ("/crl/", "/der", "/ocsp/"):
        assert any(part in line and "not of this installation" in line for line in told.splitlines()), part


def test_what_was_revoked_held_and_released_has_no_findings(pki: Pki) -> None:
    for reason in (RevocationReason.SUPERSEDED, RevocationReason.CERTIFICATE_HOLD):
        certificate = Certificate.objects.filter(authority=pki.issuing, status="active").latest("created_at")
        revoke_certificate(requester=SYSTEM, certificate=certificate, reason=reason)
    call_command("check_certificates", stdout=StringIO(), stderr=StringIO())
    release_hold(requester=SYSTEM, certificate=certificate)
    call_command("check_certificates", stdout=StringIO(), stderr=StringIO())


def test_printing_stops_and_counting_goes_on(pki: Pki) -> None:
    Certificate.objects.update(common_name="other")
    out = StringIO()

    with pytest.raises(CommandError, match="3 findings"):
        call_command("check_certificates", "--max-findings", "1", stdout=out, stderr=StringIO())

    assert len(out.getvalue().splitlines()) == 1


def test_the_work_is_the_same_few_queries_for_any_number(pki: Pki) -> None:
    def cost() -> int:
        OcspResponse.objects.all().delete()
        with CaptureQueriesContext(connection) as queries:
            call_command("check_certificates", stdout=StringIO(), stderr=StringIO())
        return len(queries)

    cost()  # which issues the responders that any question does
    cost()  # after which they are remembered
    before = cost()
    robot = make_client(pki.project, name=f"robot-{uuid.uuid4()}")
    for _ in range(4):
        issued(robot, pki.profile)
    assert cost() == before


def test_an_issuer_that_is_no_ca_is_found(pki: Pki) -> None:
    leaf = x509.load_der_x509_certificate(bytes(own().der))
    path = load_path(AuthorityCertificate.objects.get(issued_certificates=own()))
    assert list(issuer_reasons(path)) == []
    assert "no CA that may sign" in "".join(issuer_reasons((leaf, *path)))


# --- Lint and kept keys -----------------------------------------------------------------------------------------------


def test_a_finding_that_is_not_stored_is_found_though_its_shape_was_clean(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = own()
    finding = Finding(Severity.WARNING, "pkix.key_usage_extension_not_critical", "", "certificate.x")
    monkeypatch.setattr(check_certificates, "lint", lambda der: (finding,) if der == bytes(row.der) else ())

    assert f"certificate {row.pk}: lint has a finding that is not stored: WARNING {finding.code}" in findings()


def test_a_finding_that_is_stored_or_waived_or_a_notice_is_not_told(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "pkix.key_usage_extension_not_critical"
    said = [Finding(Severity.WARNING, code, "", "certificate.x"), Finding(Severity.NOTICE, "pkix.some", "", "")]
    monkeypatch.setattr(check_certificates, "lint", lambda _der: said)
    assert code in findings()

    for profile in CertificateProfile.objects.all():
        update_profile(
            requester=SYSTEM,
            profile=profile,
            changes={"lint_waivers": [{"code": code, "reason": "Old devices want it so."}]},
        )
    call_command("check_certificates", stdout=StringIO(), stderr=StringIO())

    CertificateProfile.objects.update(lint_waivers=[])
    stored = {"severity": "WARNING", "code": code, "node": "certificate.x"}
    Certificate.objects.update(lint_findings=[stored])
    call_command("check_certificates", stdout=StringIO(), stderr=StringIO())


def test_kept_keys_open_and_belong_to_their_certificates(pki: Pki) -> None:
    update_profile(requester=SYSTEM, profile=pki.profile, changes={"key_retention": "escrow"})
    robot = make_client(pki.project, name="other")
    for _ in range(3):
        issued(robot, pki.profile)
    call_command("check_certificates", stdout=StringIO(), stderr=StringIO())
    first, second, third = CertificateSecret.objects.order_by("pk")
    destroy_private_key(requester=SYSTEM, certificate=third.certificate)
    call_command("check_certificates", stdout=StringIO(), stderr=StringIO())

    CertificateSecret.objects.filter(pk=first.pk).update(sealed_private_key=second.sealed_private_key)

    told = findings()
    assert f"certificate {first.certificate_id}: its kept private key cannot be used" in told
    assert str(second.certificate_id) not in told
