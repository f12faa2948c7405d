"""Finding certificates and requests, and giving them back in PEM."""

import uuid
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils import timezone

from certificates.models import Certificate
from certificates.services.issuance import issue_certificate
from certificates.services.retrieval import (
    certificate_pem,
    chain_pem,
    find_certificate,
    find_request,
    latest_active_certificate,
)
from pki_portal.access.models import Membership, Role
from pki_portal.access.permissions import Action
from pki_portal.errors import Invalid, NotFound, PermissionDenied
from profiles.models import CertificateProfile
from profiles.policy.request import AttributeValue, IssuanceRequest
from profiles.policy.vocabulary import SubjectAttribute
from tests.factories import SYSTEM, make_project, make_user, requester_for
from tests.scenery import make_issuing_profile
from tests.wire import Pki, load_pem, make_pki

pytestmark = pytest.mark.django_db


@pytest.fixture
def pki() -> Pki:
    return make_pki()


def issue(profile: CertificateProfile) -> Certificate:
    asked = IssuanceRequest(
        subject=(AttributeValue(SubjectAttribute.COMMON_NAME, "service.acme.com"),), ttl=timedelta(days=30)
    )
    return issue_certificate(profile=profile, request=asked, requester=SYSTEM).certificate


def test_finds_by_id_and_by_serial_number(pki: Pki) -> None:
    certificate = issue(pki.profile)
    alice = requester_for(make_user("alice", project=pki.project))

    for reference in (str(certificate.pk), str(certificate.pk).upper(), certificate.serial_number):
        assert find_certificate(requester=alice, reference=f" {reference} ").pk == certificate.pk


def test_leading_zeros_of_a_serial_number_may_be_missing(pki: Pki) -> None:
    certificate = issue(pki.profile)
    Certificate.objects.filter(pk=certificate.pk).update(serial_number="00" + "7" * 38)

    assert find_certificate(requester=SYSTEM, reference="7" * 38).pk == certificate.pk


def test_an_outsider_finds_nothing(pki: Pki) -> None:
    certificate = issue(pki.profile)
    charlie = requester_for(make_user("charlie", project=make_project()))

    with pytest.raises(NotFound):
        find_certificate(requester=charlie, reference=certificate.serial_number)


def test_a_member_whose_role_lacks_the_act_is_denied(pki: Pki) -> None:
    certificate = issue(pki.profile)
    viewer = requester_for(make_user("bob", project=pki.project, role=Role.VIEWER))

    assert find_certificate(requester=viewer, reference=certificate.serial_number).pk == certificate.pk
    with pytest.raises(PermissionDenied):
        find_certificate(
            requester=viewer, reference=certificate.serial_number, action=Action.CERTIFICATES_READ_PRIVATE_KEY
        )


def test_of_two_with_one_serial_number_the_visible_one_is_found(pki: Pki) -> None:
    other = make_pki()
    mine, theirs = issue(pki.profile), issue(other.profile)
    Certificate.objects.filter(pk=theirs.pk).update(serial_number=mine.serial_number)
    user = make_user("alice", project=pki.project)

    assert find_certificate(requester=requester_for(user), reference=mine.serial_number).pk == mine.pk

    Membership.objects.create(project=other.project, user=user, role=Role.VIEWER)
    with pytest.raises(Invalid) as refusal:
        find_certificate(requester=requester_for(user), reference=mine.serial_number)
    assert str(mine.pk) in refusal.value.violations[0].allowed
    assert str(theirs.pk) in refusal.value.violations[0].allowed


def test_a_request_is_found_by_its_project_only(pki: Pki) -> None:
    certificate = issue(pki.profile)
    alice = requester_for(make_user("alice", project=pki.project))
    charlie = requester_for(make_user("charlie", project=make_project()))

    assert find_request(requester=alice, request_id=certificate.issuing_request.pk).certificate.pk == certificate.pk
    with pytest.raises(NotFound):
        find_request(requester=charlie, request_id=certificate.issuing_request.pk)
    with pytest.raises(NotFound):
        find_request(requester=alice, request_id=uuid.uuid4())


def test_the_latest_active_one_is_neither_expired_nor_revoked(pki: Pki) -> None:
    now = timezone.now()
    assert latest_active_certificate(requester=SYSTEM, profile=pki.profile, now=now) is None

    first, second = issue(pki.profile), issue(pki.profile)

    latest = latest_active_certificate(requester=SYSTEM, profile=pki.profile, now=now)
    assert latest is not None
    assert latest.pk == second.pk
    Certificate.objects.filter(pk=second.pk).update(status="revoked", revoked_at=now, revocation_reason=0)
    latest = latest_active_certificate(requester=SYSTEM, profile=pki.profile, now=now)
    assert latest is not None
    assert latest.pk == first.pk
    assert latest_active_certificate(requester=SYSTEM, profile=pki.profile, now=now + timedelta(days=31)) is None


def test_pems_are_the_stored_bytes_without_final_newline(pki: Pki) -> None:
    certificate = issue(pki.profile)

    pem = certificate_pem(certificate)

    assert load_pem(pem).public_bytes(Encoding.DER) == bytes(certificate.der)
    assert pem == pem.strip()
    issuing, root = chain_pem(certificate).split("-----\n-----")
    assert load_pem(f"{issuing}-----").subject == load_pem(pem).issuer
    assert load_pem(f"-----{root}").issuer == load_pem(f"-----{root}").subject


def test_without_roots_the_self_issued_members_are_left_out(pki: Pki) -> None:
    certificate = issue(pki.profile)

    chain = chain_pem(certificate, without_roots=True)

    assert chain.count("BEGIN CERTIFICATE") == 1
    assert load_pem(chain).subject == load_pem(certificate_pem(certificate)).issuer


def test_directly_under_a_root_nothing_is_left(pki: Pki) -> None:
    certificate = issue(make_issuing_profile(pki.project, slug="flat"))

    assert chain_pem(certificate).count("BEGIN CERTIFICATE") == 1
    assert chain_pem(certificate, without_roots=True) == ""


def test_a_self_signed_certificate_is_its_own_chain(pki: Pki) -> None:
    certificate = issue(make_issuing_profile(pki.project, slug="alone", is_self_signed=True))

    assert chain_pem(certificate, without_roots=True) == chain_pem(certificate) == certificate_pem(certificate)
