"""CAs: what is signed for them, what is refused, and what their certificates say."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID
from django.db import IntegrityError
from django.utils import timezone

from certificates.models import (
    AuthorityCertificate,
    AuthorityKey,
    Certificate,
    CertificateAuthority,
    CertificateRequest,
    CertificateRevocationList,
)
from certificates.models.authority import AuthorityStatus
from certificates.models.request import RequestStatus
from certificates.services import authorities, signing
from certificates.services.authorities import (
    AuthoritySubject,
    authority_csr,
    certification_path_of,
    create_intermediate,
    create_root,
    delete_authority,
    find_authority,
    import_authority_certificate,
    issue_authority_certificate,
    renew_authority,
    sign_intermediate,
    update_authority,
)
from certificates.services.urls import authority_certificate_url, crl_url, ocsp_url
from certificates.x509.lint import Finding, Severity, lint
from certificates.x509.verify import VerificationFailed
from pki_portal.access.models import Project, Role
from pki_portal.audit.models import AuditEvent, Outcome
from pki_portal.errors import Invalid, Malformed, NotFound, PermissionDenied, PortalError
from profiles.policy.vocabulary import KeyAlgorithm
from tests.factories import SYSTEM, make_authority, make_project, make_user, requester_for
from tests.relying_parties import UNVERIFIED_BY_PKILINT, openssl_knows

pytestmark = pytest.mark.django_db

P256 = KeyAlgorithm.EC_PRIME256V1


def certificate_of(authority: CertificateAuthority) -> x509.Certificate:
    """The active certificate, read back from its bytes."""
    assert authority.active_certificate is not None
    return x509.load_der_x509_certificate(bytes(authority.active_certificate.der))


def path_of(authority: CertificateAuthority) -> tuple[bytes, ...]:
    assert authority.active_certificate is not None
    return certification_path_of(authority.active_certificate)


def codes(refusal: pytest.ExceptionInfo[Any]) -> set[str]:
    error = refusal.value
    assert isinstance(error, PortalError)
    return {violation.code for violation in error.violations}


def intermediate(project: Project, parent: CertificateAuthority | None, **changes: Any) -> CertificateAuthority:
    """Ask for an intermediate; ``changes`` are what one test is about."""
    asked: dict[str, Any] = {
        "requester": SYSTEM,
        "project": project,
        "name": "issuing",
        "subject": AuthoritySubject(common_name="Acme Issuing"),
        "key_algorithm": P256,
        "parent": parent,
        "max_path_length": 0,
    }
    return create_intermediate(**(asked | changes))


# --- Making -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key_algorithm", list(KeyAlgorithm))
def test_root_of_every_key_is_active_at_once_and_lint_clean(key_algorithm: KeyAlgorithm) -> None:
    root = make_authority(make_project(), key_algorithm=key_algorithm, max_path_length=1)

    assert root.status == AuthorityStatus.ACTIVE
    assert root.key_algorithm == key_algorithm
    certificate = certificate_of(root)
    certificate.verify_directly_issued_by(certificate)
    findings = {finding.code for finding in lint(certificate.public_bytes(Encoding.DER))}
    assert findings == (set() if openssl_knows([certificate]) else {UNVERIFIED_BY_PKILINT})


def test_root_without_end_lives_ten_years() -> None:
    root = make_authority(make_project())

    certificate = certificate_of(root)
    assert certificate.not_valid_after_utc.year - certificate.not_valid_before_utc.year == 10
    assert root.not_after == certificate.not_valid_after_utc


def test_root_says_what_a_ca_says() -> None:
    subject = AuthoritySubject(
        common_name="Root", organization="Acme", organizational_unit="PKI", country="us", state="CA", locality="SF"
    )
    root = create_root(
        requester=SYSTEM, project=make_project(), name="root", subject=subject, key_algorithm=P256, max_path_length=1
    )

    certificate = certificate_of(root)
    assert certificate.subject.rfc4514_string({}) == certificate.issuer.rfc4514_string({})
    assert [attribute.oid for attribute in certificate.subject] == [
        NameOID.COUNTRY_NAME,
        NameOID.ORGANIZATION_NAME,
        NameOID.ORGANIZATIONAL_UNIT_NAME,
        NameOID.STATE_OR_PROVINCE_NAME,
        NameOID.COMMON_NAME,
        NameOID.LOCALITY_NAME,
    ]
    assert root.country == "US"
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=1)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert (usage.value.key_cert_sign, usage.value.crl_sign, usage.value.digital_signature) == (True, True, True)
    assert not usage.value.key_encipherment
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints)


def test_root_comes_with_sealed_key_crl_and_audit_event() -> None:
    root = make_authority(make_project())

    key = AuthorityKey.objects.get(authority=root)
    assert key.sealed_private_key is not None
    assert b"PRIVATE" not in bytes(key.sealed_private_key)
    crl = x509.load_der_x509_crl(bytes(CertificateRevocationList.objects.get(key=key).der or b""))
    assert crl.is_signature_valid(certificate_of(root).public_key())  # type: ignore[arg-type]
    assert len(crl) == 0
    event = AuditEvent.objects.get(event="create-ca")
    assert (event.subject_id, event.outcome) == (str(root.pk), Outcome.DONE)


def test_intermediate_points_to_its_parent() -> None:
    project = make_project()
    root = make_authority(project, max_path_length=1)
    issuing = make_authority(project, parent=root)

    certificate = certificate_of(issuing)
    assert root.active_certificate is not None
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    crl = CertificateRevocationList.objects.get(key__authority=root)
    assert [name.value for name in points[0].full_name or []] == [crl_url(crl.pk)]
    assert [(each.access_method, each.access_location.value) for each in access] == [
        (AuthorityInformationAccessOID.CA_ISSUERS, authority_certificate_url(root.pk, root.active_certificate.pk)),
        (AuthorityInformationAccessOID.OCSP, ocsp_url(root.pk)),
    ]
    identifier = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    above = certificate_of(root).extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert identifier.key_identifier == above.digest
    assert issuing.parent == root
    assert lint(certificate.public_bytes(Encoding.DER)) == ()


@pytest.mark.parametrize(
    ("root_key", "issuing_key"),
    [
        (KeyAlgorithm.EC_SECP384R1, KeyAlgorithm.RSA_2048),
        (KeyAlgorithm.RSA_2048, KeyAlgorithm.EC_PRIME256V1),
        (KeyAlgorithm.ED25519, KeyAlgorithm.ED25519),
    ],
)
def test_openssl_accepts_the_path(tmp_path: Path, root_key: KeyAlgorithm, issuing_key: KeyAlgorithm) -> None:
    project = make_project()
    root = make_authority(project, key_algorithm=root_key, max_path_length=1)
    issuing = make_authority(project, key_algorithm=issuing_key, parent=root)

    own, anchor = path_of(issuing)
    assert anchor == bytes(AuthorityCertificate.objects.get(authority=root).der)
    (tmp_path / "root.pem").write_bytes(x509.load_der_x509_certificate(anchor).public_bytes(Encoding.PEM))
    (tmp_path / "own.pem").write_bytes(x509.load_der_x509_certificate(own).public_bytes(Encoding.PEM))
    verified = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-CAfile", tmp_path / "root.pem", tmp_path / "own.pem"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr


def test_intermediate_without_end_lives_as_long_as_a_short_parent() -> None:
    project = make_project()
    root = make_authority(project, not_after=timezone.now() + timedelta(days=90))

    assert make_authority(project, parent=root).not_after == root.not_after


def test_intermediate_without_parent_waits_for_a_certificate() -> None:
    issuing = intermediate(make_project(), None, not_after=datetime(2030, 1, 1, tzinfo=UTC))

    assert issuing.status == AuthorityStatus.PENDING_CERTIFICATE
    assert issuing.active_certificate is None
    assert issuing.not_after == datetime(2030, 1, 1, tzinfo=UTC)
    assert CertificateRevocationList.objects.get(key__authority=issuing).der is None


def test_every_violation_is_told_at_once() -> None:
    project = make_project()
    root = make_authority(project, max_path_length=1)
    assert root.not_after is not None

    with pytest.raises(Invalid) as refusal:
        intermediate(
            project,
            root,
            name="Not A Slug",
            max_path_length=1,
            not_before=datetime(2020, 1, 1, tzinfo=UTC),
            not_after=root.not_after + timedelta(days=1),
        )

    assert codes(refusal) == {
        "name_not_a_slug",
        "path_length_too_long",
        "not_before_before_issuer",
        "not_after_past_issuer",
    }
    assert not CertificateAuthority.objects.exclude(pk=root.pk).exists()
    assert AuditEvent.objects.filter(event="create-ca", outcome=Outcome.REFUSED).count() == 1


def test_end_past_the_parent_is_refused_with_the_latest_possible_end() -> None:
    project = make_project()
    root = make_authority(project, not_after=datetime(2030, 1, 1, tzinfo=UTC))

    with pytest.raises(Invalid) as refusal:
        intermediate(project, root, not_after=datetime(2031, 1, 1, tzinfo=UTC))

    (violation,) = refusal.value.violations
    assert violation.field == "not_after"
    assert "2030-01-01T00:00:00Z" in violation.fix


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"subject": AuthoritySubject()}, "subject_empty"),
        ({"subject": AuthoritySubject(common_name="x" * 65)}, "subject_value_invalid"),
        ({"subject": AuthoritySubject(country="USA")}, "subject_value_invalid"),
        ({"subject": AuthoritySubject(common_name="nul\x00")}, "subject_value_invalid"),
        ({"max_path_length": -2}, "path_length_out_of_range"),
        ({"max_path_length": 70000}, "path_length_out_of_range"),
        ({"name": ""}, "name_not_a_slug"),
        ({"name": "x" * 65}, "name_not_a_slug"),
        (
            {"not_before": datetime(2030, 1, 1, tzinfo=UTC), "not_after": datetime(2029, 1, 1, tzinfo=UTC)},
            "validity_backward",
        ),
        (
            {"not_before": datetime(2019, 1, 1, tzinfo=UTC), "not_after": datetime(2020, 1, 1, tzinfo=UTC)},
            "validity_over",
        ),
    ],
)
def test_root_is_refused(changes: dict[str, Any], code: str) -> None:
    asked: dict[str, Any] = {
        "requester": SYSTEM,
        "project": make_project(),
        "name": "root",
        "subject": AuthoritySubject(common_name="Root"),
        "key_algorithm": P256,
    }

    with pytest.raises(Invalid) as refusal:
        create_root(**(asked | changes))

    assert code in codes(refusal)
    assert not CertificateAuthority.objects.exists()


def test_unlimited_path_under_a_limited_parent_is_refused() -> None:
    project = make_project()

    with pytest.raises(Invalid) as refusal:
        intermediate(project, make_authority(project, max_path_length=1), max_path_length=None)

    assert codes(refusal) == {"path_length_too_long"}


def test_parent_of_path_length_zero_is_refused() -> None:
    project = make_project()
    leafs_only = make_authority(project, parent=make_authority(project), max_path_length=0)

    with pytest.raises(Invalid) as refusal:
        intermediate(project, leafs_only)

    assert codes(refusal) == {"issuer_path_length_zero"}


def test_disabled_parent_is_refused() -> None:
    project = make_project()
    root = make_authority(project)
    update_authority(requester=SYSTEM, authority=root, status=AuthorityStatus.DISABLED)

    with pytest.raises(Invalid) as refusal:
        intermediate(project, root)

    assert codes(refusal) == {"issuer_not_active"}


def test_parent_without_certificate_is_refused() -> None:
    project = make_project()
    waiting = intermediate(project, None, name="waiting")

    with pytest.raises(Invalid) as refusal:
        intermediate(project, waiting)

    assert codes(refusal) == {"issuer_without_certificate"}


def test_expired_parent_is_refused() -> None:
    project = make_project()
    root = make_authority(project)
    AuthorityCertificate.objects.filter(authority=root).update(not_after=timezone.now() - timedelta(seconds=1))
    root.refresh_from_db()

    with pytest.raises(Invalid) as refusal:
        intermediate(project, root)

    assert "issuer_expired" in codes(refusal)


def test_name_of_the_parent_is_refused() -> None:
    project = make_project()
    root = make_authority(project, name="root")

    with pytest.raises(Invalid) as refusal:
        intermediate(
            project, root, subject=AuthoritySubject(common_name="Acme root", organization="Acme", country="US")
        )

    assert codes(refusal) == {"subject_is_issuer"}


def test_parent_of_another_project_does_not_exist() -> None:
    with pytest.raises(NotFound):
        intermediate(make_project(), make_authority(make_project()))


def test_taken_name_is_refused() -> None:
    project = make_project()
    make_authority(project, name="root")

    with pytest.raises(Invalid) as refusal:
        make_authority(project, name="root")

    assert codes(refusal) == {"name_taken"}


def test_name_taken_by_a_racing_process_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project()
    make_authority(project, name="root")
    monkeypatch.setattr("certificates.services.authorities.making._creation_violations", lambda *_: iter(()))

    with pytest.raises(Invalid) as refusal:
        make_authority(project, name="root")

    assert codes(refusal) == {"name_taken"}


def test_same_name_in_another_project_is_fine() -> None:
    first = make_authority(make_project(), name="root")
    second = make_authority(make_project(), name="root")

    assert first.name == second.name
    assert first.pk != second.pk


def test_blocking_lint_finding_stops_the_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    finding = Finding(Severity.ERROR, "pkix.some_rule", "a MUST is broken", "certificate.tbsCertificate")
    monkeypatch.setattr(signing, "lint", lambda _: (finding,))

    with pytest.raises(Invalid) as refusal:
        make_authority(make_project())

    assert codes(refusal) == {"pkix.some_rule"}
    assert not CertificateAuthority.objects.exists()


def test_signer_that_signs_something_else_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project()
    root = make_authority(project, max_path_length=1)
    other = certificate_of(root)
    monkeypatch.setattr(signing, "sign", lambda *_: other)

    with pytest.raises(VerificationFailed):
        intermediate(project, root)

    assert not CertificateAuthority.objects.exclude(pk=root.pk).exists()


def test_member_may_not_make_a_ca() -> None:
    project = make_project()
    bob = make_user("bob", project=project, role=Role.MEMBER)

    with pytest.raises(PermissionDenied):
        create_root(
            requester=requester_for(bob),
            project=project,
            name="root",
            subject=AuthoritySubject(common_name="Root"),
            key_algorithm=P256,
        )

    assert not CertificateAuthority.objects.exists()


def test_outsider_does_not_find_the_ca() -> None:
    authority = make_authority(make_project())
    charlie = make_user("charlie", project=make_project())

    with pytest.raises(NotFound):
        find_authority(requester=requester_for(charlie), authority_id=authority.pk)


def test_database_refuses_a_root_with_a_parent() -> None:
    project = make_project()
    root, other = make_authority(project), make_authority(project)

    root.parent = other
    with pytest.raises(IntegrityError):
        root.save(update_fields=["parent"])


# --- New versions -----------------------------------------------------------------------------------------------------


def test_root_gets_a_new_version_with_the_same_key() -> None:
    root = make_authority(make_project())
    before = certificate_of(root)

    version = issue_authority_certificate(
        requester=SYSTEM, authority=root, not_after=datetime(2040, 1, 1, tzinfo=UTC), max_path_length=2
    )

    after = certificate_of(root)
    assert version.version == 2
    assert after.public_key() == before.public_key()
    assert after.serial_number != before.serial_number
    assert (root.not_after, root.max_path_length) == (datetime(2040, 1, 1, tzinfo=UTC), 2)
    assert AuthorityKey.objects.filter(authority=root).count() == 1


def test_waiting_intermediate_gets_its_certificate_from_a_parent() -> None:
    project = make_project()
    root = make_authority(project, max_path_length=1)
    issuing = intermediate(project, None)

    issue_authority_certificate(
        requester=SYSTEM,
        authority=issuing,
        parent=root,
        not_after=datetime(2028, 1, 1, tzinfo=UTC),
        max_path_length=0,
    )

    assert issuing.status == AuthorityStatus.ACTIVE
    assert issuing.parent == root
    certificate_of(issuing).verify_directly_issued_by(certificate_of(root))
    assert CertificateRevocationList.objects.get(key__authority=issuing).number is not None


def test_intermediate_without_any_parent_is_refused() -> None:
    issuing = intermediate(make_project(), None)

    with pytest.raises(Invalid) as refusal:
        issue_authority_certificate(
            requester=SYSTEM, authority=issuing, not_after=datetime(2028, 1, 1, tzinfo=UTC), max_path_length=0
        )

    assert codes(refusal) == {"parent_missing"}


def test_root_under_a_parent_is_refused() -> None:
    project = make_project()

    with pytest.raises(Invalid) as refusal:
        issue_authority_certificate(
            requester=SYSTEM,
            authority=make_authority(project),
            parent=make_authority(project),
            not_after=datetime(2028, 1, 1, tzinfo=UTC),
        )

    assert codes(refusal) == {"root_has_no_parent"}


def test_parent_below_the_ca_is_refused() -> None:
    project = make_project()
    upper = make_authority(project, parent=make_authority(project), max_path_length=3)
    lower = make_authority(project, parent=upper, max_path_length=2)
    assert upper.not_after is not None

    for parent in (lower, upper):
        with pytest.raises(Invalid) as refusal:
            issue_authority_certificate(
                requester=SYSTEM,
                authority=upper,
                parent=parent,
                not_after=upper.not_after,
                max_path_length=3,
            )
        assert codes(refusal) == {"parent_is_below"}


def test_disabled_ca_gets_no_new_version() -> None:
    root = make_authority(make_project())
    update_authority(requester=SYSTEM, authority=root, status=AuthorityStatus.DISABLED)

    with pytest.raises(Invalid) as refusal:
        issue_authority_certificate(requester=SYSTEM, authority=root, not_after=datetime(2040, 1, 1, tzinfo=UTC))

    assert codes(refusal) == {"authority_disabled"}


def test_renewal_keeps_key_path_length_and_parent() -> None:
    project = make_project()
    root = make_authority(project, max_path_length=1, not_after=datetime(2045, 1, 1, tzinfo=UTC))
    issuing = make_authority(project, parent=root)
    before = certificate_of(issuing)

    renew_authority(requester=SYSTEM, authority=issuing, not_after=datetime(2044, 1, 1, tzinfo=UTC))

    after = certificate_of(issuing)
    assert after.public_key() == before.public_key()
    assert after.not_valid_after_utc == datetime(2044, 1, 1, tzinfo=UTC)
    assert issuing.max_path_length == 0
    assert after.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    assert [version.version for version in authorities.authority_certificates_of(issuing)] == [1, 2]


def test_renewal_to_an_earlier_end_is_refused() -> None:
    root = make_authority(make_project())

    with pytest.raises(Invalid) as refusal:
        renew_authority(requester=SYSTEM, authority=root, not_after=timezone.now() + timedelta(days=1))

    assert codes(refusal) == {"not_after_not_later"}


def test_renewal_without_certificate_is_refused() -> None:
    with pytest.raises(Invalid) as refusal:
        renew_authority(
            requester=SYSTEM,
            authority=intermediate(make_project(), None),
            not_after=datetime(2040, 1, 1, tzinfo=UTC),
        )

    assert codes(refusal) == {"without_certificate"}


def test_renewal_past_the_parent_is_refused() -> None:
    project = make_project()
    root = make_authority(project, max_path_length=1)
    issuing = make_authority(project, parent=root)

    with pytest.raises(Invalid) as refusal:
        renew_authority(requester=SYSTEM, authority=issuing, not_after=datetime(2090, 1, 1, tzinfo=UTC))

    assert codes(refusal) == {"not_after_past_issuer"}


def test_active_ca_gets_no_certificate_that_starts_later() -> None:
    project = make_project()
    root = make_authority(project)
    tomorrow = timezone.now() + timedelta(days=1)

    with pytest.raises(Invalid) as refusal:
        issue_authority_certificate(
            requester=SYSTEM, authority=root, not_before=tomorrow, not_after=datetime(2040, 1, 1, tzinfo=UTC)
        )
    assert codes(refusal) == {"not_before_in_future"}

    with pytest.raises(Invalid) as refusal:
        intermediate(project, root, not_before=tomorrow)
    assert codes(refusal) == {"not_before_in_future"}


def test_parent_that_has_not_started_is_refused() -> None:
    project = make_project()
    root = make_authority(project)
    AuthorityCertificate.objects.filter(authority=root).update(not_before=timezone.now() + timedelta(days=1))

    with pytest.raises(Invalid) as refusal:
        intermediate(project, root)

    assert "issuer_not_started" in codes(refusal)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_new_version_leaves_room_for_the_cas_below(elsewhere: bool) -> None:
    project = make_project()
    root = make_authority(project, max_path_length=3)
    end = datetime(2030, 1, 1, tzinfo=UTC)
    if elsewhere:
        sign_intermediate(requester=SYSTEM, authority=root, csr=csr_of(), not_after=end, max_path_length=1)
    else:
        make_authority(project, parent=root, max_path_length=1, not_after=end)

    with pytest.raises(Invalid) as refusal:
        issue_authority_certificate(
            requester=SYSTEM, authority=root, not_after=end - timedelta(days=1), max_path_length=1
        )
    assert codes(refusal) == {"not_after_before_child", "path_length_too_short_for_child"}
    assert {violation.fix for violation in refusal.value.violations} == {
        "Choose an end of 2030-01-01T00:00:00+00:00 or later.",
        "Ask for a path length of at least 2.",
    }

    version = issue_authority_certificate(requester=SYSTEM, authority=root, not_after=end, max_path_length=2)
    assert version.path_length == 2


# --- CSR, import, sign-intermediate -----------------------------------------------------------------------------------


def signed_elsewhere(
    csr: str,
    *,
    root: x509.Certificate,
    root_key: ec.EllipticCurvePrivateKey,
    subject: x509.Name | None = None,
    path_length: int | None = 0,
    is_ca: bool = True,
    crl_sign: bool = True,
    public_key: ec.EllipticCurvePublicKey | None = None,
) -> str:
    """What some other CA makes of our CSR."""
    request = x509.load_pem_x509_csr(csr.encode())
    now = timezone.now()
    usage = x509.KeyUsage(False, False, False, False, False, True, crl_sign, False, False)
    constraints = x509.BasicConstraints(ca=is_ca, path_length=path_length if is_ca else None)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject or request.subject)
        .issuer_name(root.subject)
        .public_key(public_key or request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(constraints, critical=True)
        .add_extension(usage, critical=True)
        .sign(root_key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode()


def foreign_root(common_name: str = "Elsewhere Root") -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = timezone.now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def test_csr_is_for_the_key_and_name_of_the_ca() -> None:
    issuing = intermediate(make_project(), None)

    csr = x509.load_pem_x509_csr(authority_csr(requester=SYSTEM, authority=issuing).encode())

    assert csr.is_signature_valid
    assert csr.subject.rfc4514_string() == "CN=Acme Issuing"
    assert csr.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_root_has_no_csr() -> None:
    with pytest.raises(Invalid) as refusal:
        authority_csr(requester=SYSTEM, authority=make_authority(make_project()))

    assert codes(refusal) == {"root_has_no_csr"}


def test_certificate_of_an_external_parent_is_installed() -> None:
    root, root_key = foreign_root()
    issuing = intermediate(make_project(), None)
    text = signed_elsewhere(authority_csr(requester=SYSTEM, authority=issuing), root=root, root_key=root_key)

    version = import_authority_certificate(
        requester=SYSTEM, authority=issuing, certificate=text, certificate_chain=pem(root)
    )

    assert issuing.status == AuthorityStatus.ACTIVE
    assert issuing.parent is None
    assert certification_path_of(version) == (bytes(version.der), root.public_bytes(Encoding.DER))
    assert CertificateRevocationList.objects.get(key__authority=issuing).number is not None


def test_certificate_of_an_internal_parent_is_linked_to_it() -> None:
    project = make_project()
    root = make_authority(project, max_path_length=1)
    issuing = intermediate(project, None)
    signed = sign_intermediate(
        requester=SYSTEM,
        authority=root,
        csr=authority_csr(requester=SYSTEM, authority=issuing),
        not_after=datetime(2028, 1, 1, tzinfo=UTC),
        max_path_length=0,
    )

    import_authority_certificate(
        requester=SYSTEM,
        authority=issuing,
        certificate=pem(x509.load_der_x509_certificate(bytes(signed.certificate.der))),
        certificate_chain="\n".join(pem(x509.load_der_x509_certificate(der)) for der in signed.certification_path),
    )

    assert issuing.parent == root
    assert path_of(issuing)[1] == path_of(root)[0]

    with pytest.raises(Invalid) as refusal:
        import_authority_certificate(
            requester=SYSTEM,
            authority=issuing,
            certificate=pem(certificate_of(issuing)),
            certificate_chain=pem(certificate_of(root)),
        )
    assert codes(refusal) == {"has_internal_parent", "already_installed"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"subject": x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Other")])}, "subject_differs"),
        ({"public_key": ec.generate_private_key(ec.SECP256R1()).public_key()}, "key_differs"),
        ({"is_ca": False}, "not_a_ca"),
        ({"path_length": 3}, "path_length_differs"),
        ({"path_length": None}, "path_length_differs"),
        ({"crl_sign": False}, "key_usage_missing"),
    ],
)
def test_import_of_a_certificate_for_something_else_is_refused(changes: dict[str, Any], code: str) -> None:
    root, root_key = foreign_root()
    issuing = intermediate(make_project(), None)
    text = signed_elsewhere(authority_csr(requester=SYSTEM, authority=issuing), root=root, root_key=root_key, **changes)

    with pytest.raises(Invalid) as refusal:
        import_authority_certificate(requester=SYSTEM, authority=issuing, certificate=text, certificate_chain=pem(root))

    assert code in codes(refusal)
    issuing.refresh_from_db()
    assert issuing.status == AuthorityStatus.PENDING_CERTIFICATE


def test_import_with_an_unused_or_missing_issuer_is_refused() -> None:
    root, root_key = foreign_root()
    stranger, _ = foreign_root("Stranger")
    issuing = intermediate(make_project(), None)
    text = signed_elsewhere(authority_csr(requester=SYSTEM, authority=issuing), root=root, root_key=root_key)

    for chain in (pem(root) + pem(stranger), pem(stranger), text):
        with pytest.raises(Invalid) as refusal:
            import_authority_certificate(requester=SYSTEM, authority=issuing, certificate=text, certificate_chain=chain)
        assert codes(refusal) == {"chain_incomplete"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not PEM",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        "\u00e9",
        "x" * 300_000,
    ],
)
def test_import_of_something_else_is_malformed(text: str) -> None:
    root, _ = foreign_root()

    with pytest.raises(Malformed) as refusal:
        import_authority_certificate(
            requester=SYSTEM,
            authority=intermediate(make_project(), None),
            certificate=text,
            certificate_chain=pem(root),
        )

    assert refusal.value.violations[0].field == "certificate"


def test_import_into_a_root_is_refused() -> None:
    project = make_project()
    root, other = make_authority(project), make_authority(project, max_path_length=3)
    lower = make_authority(project, parent=other)

    with pytest.raises(Invalid) as refusal:
        import_authority_certificate(
            requester=SYSTEM,
            authority=root,
            certificate=pem(certificate_of(lower)),
            certificate_chain=pem(certificate_of(other)),
        )

    assert codes(refusal) == {"root_imports_nothing"}


def csr_of(common_name: str = "Partner CA", key: Any = None) -> str:
    builder = x509.CertificateSigningRequestBuilder(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])
    )
    signed = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


def test_csr_from_elsewhere_is_signed_and_kept() -> None:
    project = make_project()
    root = make_authority(project, max_path_length=1)

    signed = sign_intermediate(
        requester=SYSTEM,
        authority=root,
        csr=csr_of(),
        not_after=datetime(2028, 1, 1, tzinfo=UTC),
        max_path_length=0,
    )

    stored = Certificate.objects.get()
    assert stored == signed.certificate
    assert (stored.is_ca, stored.path_length, stored.common_name) == (True, 0, "Partner CA")
    certificate = x509.load_der_x509_certificate(bytes(stored.der))
    certificate.verify_directly_issued_by(certificate_of(root))
    assert lint(bytes(stored.der)) == ()
    assert stored.issuing_request.csr.startswith("-----BEGIN CERTIFICATE REQUEST-----")
    assert signed.certification_path == path_of(root)


@pytest.mark.parametrize(
    ("csr", "changes", "code"),
    [
        (csr_of(""), {}, "subject_empty"),
        (csr_of(key=ec.generate_private_key(ec.SECP256K1())), {}, "key_not_supported"),
        (csr_of(), {"max_path_length": None}, "path_length_too_long"),
        (csr_of(), {"max_path_length": 1}, "path_length_too_long"),
        (csr_of(), {"not_after": datetime(2090, 1, 1, tzinfo=UTC)}, "not_after_past_issuer"),
        (csr_of(), {"not_after": datetime(2020, 1, 1, tzinfo=UTC)}, "validity_backward"),
        (csr_of("Acme root"), {}, "subject_is_issuer"),
    ],
)
def test_signing_an_intermediate_is_refused(csr: str, changes: dict[str, Any], code: str) -> None:
    root = create_root(
        requester=SYSTEM,
        project=make_project(),
        name="root",
        subject=AuthoritySubject(common_name="Acme root"),
        key_algorithm=P256,
        max_path_length=1,
    )
    asked: dict[str, Any] = {"not_after": datetime(2028, 1, 1, tzinfo=UTC), "max_path_length": 0}

    with pytest.raises(Invalid) as refusal:
        sign_intermediate(requester=SYSTEM, authority=root, csr=csr, **(asked | changes))

    assert code in codes(refusal)
    assert not Certificate.objects.exists()


def test_refused_signing_of_an_intermediate_keeps_its_failed_request() -> None:
    root = make_authority(make_project(), max_path_length=1)

    with pytest.raises(Invalid):
        sign_intermediate(
            requester=SYSTEM,
            authority=root,
            csr=csr_of(),
            not_after=datetime(2028, 1, 1, tzinfo=UTC),
            max_path_length=1,
        )

    kept = CertificateRequest.objects.get()
    assert (kept.status, kept.common_name, kept.profile) == (RequestStatus.FAILED, "Partner CA", None)
    assert [violation["code"] for violation in kept.violations] == ["path_length_too_long"]
    assert kept.asked["basic_constraints"] == {"is_ca": True, "path_length": 1}
    assert not Certificate.objects.exists()


def test_path_length_of_a_csr_counts_for_nothing() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    csr = (
        x509.CertificateSigningRequestBuilder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Partner CA")]))
        .add_extension(x509.BasicConstraints(ca=True, path_length=100_000), critical=True)
        .sign(key, hashes.SHA256())
    )

    signed = sign_intermediate(
        requester=SYSTEM,
        authority=make_authority(make_project()),
        csr=csr.public_bytes(Encoding.PEM).decode(),
        not_after=datetime(2028, 1, 1, tzinfo=UTC),
        max_path_length=0,
    )

    assert signed.certificate.path_length == 0
    assert signed.certificate.issuing_request.asked["basic_constraints"]["path_length"] == 0


def test_signing_by_a_disabled_ca_is_refused() -> None:
    root = make_authority(make_project(), max_path_length=1)
    update_authority(requester=SYSTEM, authority=root, status=AuthorityStatus.DISABLED)

    with pytest.raises(Invalid) as refusal:
        sign_intermediate(
            requester=SYSTEM,
            authority=root,
            csr=csr_of(),
            not_after=datetime(2028, 1, 1, tzinfo=UTC),
            max_path_length=0,
        )

    assert codes(refusal) == {"issuer_not_active"}


# --- Changing, deleting -----------------------------------------------------------------------------------------------


def test_rename_disable_and_enable() -> None:
    root = make_authority(make_project())

    update_authority(requester=SYSTEM, authority=root, name="new-name", status=AuthorityStatus.DISABLED)
    assert (root.name, root.status) == ("new-name", AuthorityStatus.DISABLED)
    update_authority(requester=SYSTEM, authority=root, status=AuthorityStatus.ACTIVE)

    assert root.status == AuthorityStatus.ACTIVE
    assert AuditEvent.objects.filter(event="update-ca").count() == 2


def test_change_of_nothing_leaves_no_event() -> None:
    root = make_authority(make_project())

    update_authority(requester=SYSTEM, authority=root, name=root.name, status=AuthorityStatus.ACTIVE)

    assert not AuditEvent.objects.filter(event="update-ca").exists()


def test_waiting_ca_cannot_be_enabled() -> None:
    issuing = intermediate(make_project(), None)

    with pytest.raises(Invalid) as refusal:
        update_authority(requester=SYSTEM, authority=issuing, status=AuthorityStatus.ACTIVE)

    assert codes(refusal) == {"status_not_possible"}


def test_active_ca_cannot_be_made_waiting() -> None:
    with pytest.raises(Invalid) as refusal:
        update_authority(
            requester=SYSTEM,
            authority=make_authority(make_project()),
            status=AuthorityStatus.PENDING_CERTIFICATE,
        )

    assert codes(refusal) == {"status_not_possible"}


def test_rename_to_a_taken_name_is_refused() -> None:
    project = make_project()
    make_authority(project, name="first")

    with pytest.raises(Invalid) as refusal:
        update_authority(requester=SYSTEM, authority=make_authority(project), name="first")

    assert codes(refusal) == {"name_taken"}


def test_unused_ca_is_deleted_with_its_key() -> None:
    root = make_authority(make_project())
    renew_authority(requester=SYSTEM, authority=root, not_after=datetime(2050, 1, 1, tzinfo=UTC))

    delete_authority(requester=SYSTEM, authority=root)

    assert not CertificateAuthority.objects.exists()
    assert not AuthorityKey.objects.exists()
    assert not CertificateRevocationList.objects.exists()
    assert AuditEvent.objects.filter(event="delete-ca", outcome=Outcome.DONE).exists()


def test_ca_in_use_is_not_deleted_and_every_use_is_named() -> None:
    project = make_project()
    root = make_authority(project, max_path_length=1)
    make_authority(project, parent=root, name="child")
    sign_intermediate(
        requester=SYSTEM, authority=root, csr=csr_of(), not_after=datetime(2028, 1, 1, tzinfo=UTC), max_path_length=0
    )

    with pytest.raises(Invalid) as refusal:
        delete_authority(requester=SYSTEM, authority=root)

    assert codes(refusal) == {"in_use_by_authorities", "has_issued_certificates"}
    assert "child" in str(refusal.value.violations)


def test_operator_may_delete_and_member_may_not() -> None:
    project = make_project()
    root = make_authority(project)

    with pytest.raises(PermissionDenied):
        delete_authority(requester=requester_for(make_user("bob", project=project, role=Role.MEMBER)), authority=root)
    delete_authority(requester=requester_for(make_user("olivia", project=project, role=Role.OPERATOR)), authority=root)

    assert not CertificateAuthority.objects.exists()
