"""What profiles ask about CAs and certificates."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from django.utils import timezone

from certificates.models import Certificate
from certificates.models.certificate import CertificateStatus, RevocationReason
from certificates.services.authorities import delete_authority, sign_intermediate
from certificates.usage import CertificatesUsage
from pki_portal.errors import Invalid
from profiles.enrollment import EnrollmentMethod
from profiles.models import CertificateProfile
from profiles.services import ApiSettings, TemplateDocument, create_profile, create_template
from profiles.usage import usage
from tests.factories import SYSTEM, make_authority, make_project

pytestmark = pytest.mark.django_db


def test_certificates_answer() -> None:
    assert isinstance(usage(), CertificatesUsage)


def test_ca_is_known_in_its_project_only() -> None:
    project = make_project()
    authority = make_authority(project)

    assert usage().is_authority_of_project(authority_id=authority.pk, project_id=project.pk)
    assert not usage().is_authority_of_project(authority_id=authority.pk, project_id=make_project().pk)
    assert not usage().is_authority_of_project(authority_id=project.pk, project_id=project.pk)


def profile_with_certificate() -> tuple[CertificateProfile, Certificate]:
    project = make_project()
    root = make_authority(project, max_path_length=1)
    template = create_template(
        requester=SYSTEM,
        project=project,
        document=TemplateDocument(name="any", subject=[{"type": "common_name", "allowed": ["*"]}]),
    )
    profile = create_profile(
        requester=SYSTEM,
        project=project,
        slug="any",
        template_id=template.pk,
        certificate_authority_id=root.pk,
        enrollment_method=EnrollmentMethod.API,
        api=ApiSettings(),
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Partner")])
    csr = x509.CertificateSigningRequestBuilder(name).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    certificate = sign_intermediate(
        requester=SYSTEM,
        authority=root,
        csr=csr.public_bytes(Encoding.PEM).decode(),
        not_after=datetime(2028, 1, 1, tzinfo=UTC),
        max_path_length=0,
    ).certificate
    Certificate.objects.filter(pk=certificate.pk).update(profile=profile)
    return profile, certificate


def test_live_certificates_are_neither_expired_nor_revoked() -> None:
    profile, certificate = profile_with_certificate()
    now = timezone.now()

    assert usage().count_live_certificates(profile_id=profile.pk, now=now) == 1
    assert usage().count_live_certificates(profile_id=profile.pk, now=certificate.not_after + timedelta(seconds=1)) == 0
    Certificate.objects.filter(pk=certificate.pk).update(
        status=CertificateStatus.REVOKED, revoked_at=now, revocation_reason=RevocationReason.SUPERSEDED
    )
    assert usage().count_live_certificates(profile_id=profile.pk, now=now) == 0


def test_ca_of_a_profile_is_not_deleted() -> None:
    profile, _ = profile_with_certificate()
    assert profile.certificate_authority is not None

    with pytest.raises(Invalid) as refusal:
        delete_authority(requester=SYSTEM, authority=profile.certificate_authority)

    assert {violation.code for violation in refusal.value.violations} == {
        "in_use_by_profiles",
        "has_issued_certificates",
    }
