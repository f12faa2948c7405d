"""What is visible, and how lists are narrowed; the API's tests send the same filters over the wire."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from certificates.models import Certificate
from certificates.querysets import (
    CertificateFilters,
    CertificateOrder,
    RequestFilters,
    certificates_visible_to,
    for_list,
    id_in,
    matching,
    narrowed,
    narrowed_requests,
    normal_serial_number,
    requests_visible_to,
    sorted_by,
    with_status,
)
from certificates.services.issuance import issue_certificate
from pki_portal.access.models import Role
from profiles.policy.request import AttributeValue, GeneralName, IssuanceRequest
from profiles.policy.vocabulary import NameType, SubjectAttribute
from tests.factories import SYSTEM, make_project, make_user, requester_for
from tests.wire import Pki, make_pki

pytestmark = pytest.mark.django_db


@pytest.fixture
def pki() -> Pki:
    return make_pki()


def issue(pki: Pki, name: str = "service.acme.com") -> Certificate:
    asked = IssuanceRequest(
        subject=(AttributeValue(SubjectAttribute.COMMON_NAME, name),),
        subject_alternative_names=(GeneralName(NameType.DNS_NAME, f"www.{name}"),),
        ttl=timedelta(days=30),
    )
    return issue_certificate(profile=pki.profile, request=asked, requester=SYSTEM).certificate


@pytest.mark.parametrize(
    ("role", "sees"),
    [(Role.ADMIN, 1), (Role.OPERATOR, 1), (Role.MEMBER, 1), (Role.VIEWER, 1), (Role.NO_ACCESS, 0)],
)
def test_what_is_visible_goes_by_role(pki: Pki, role: Role, sees: int) -> None:
    issue(pki)
    bob = requester_for(make_user("bob", project=pki.project, role=role))

    assert certificates_visible_to(bob, pki.project).count() == sees
    assert certificates_visible_to(bob).count() == sees
    assert requests_visible_to(bob, pki.project).count() == sees
    assert requests_visible_to(bob).count() == sees


def test_an_outsider_sees_nothing_of_another_project(pki: Pki) -> None:
    issue(pki)
    charlie = requester_for(make_user("charlie", project=make_project()))

    assert not certificates_visible_to(charlie, pki.project).exists()
    assert not requests_visible_to(charlie).exists()


def test_a_certificate_expires_at_its_very_end(pki: Pki) -> None:
    certificate = issue(pki)
    everything = Certificate.objects.all()

    before = certificate.not_after - timedelta(seconds=1)
    assert with_status(everything, "active", before).exists()
    assert not with_status(everything, "expired", before).exists()
    assert not with_status(everything, "active", certificate.not_after).exists()
    assert with_status(everything, "expired", certificate.not_after).exists()
    assert not with_status(everything, "revoked", before).exists()


def test_a_revoked_certificate_never_counts_as_expired(pki: Pki) -> None:
    certificate = issue(pki)
    now = timezone.now()
    Certificate.objects.update(status="revoked", revoked_at=now, revocation_reason=4)

    late = certificate.not_after + timedelta(days=1)
    assert with_status(Certificate.objects.all(), "revoked", late).exists()
    assert not with_status(Certificate.objects.all(), "expired", late).exists()


def test_search_finds_names_serials_and_ids(pki: Pki) -> None:
    certificate = issue(pki)
    issue(pki, "other.example")
    everything = Certificate.objects.all()

    found = ["service", "WWW.SERVICE", certificate.serial_number[:20], str(certificate.pk), "  service  "]
    for text in found:
        assert list(matching(everything, text)) == [certificate], text
    assert matching(everything, "   ").count() == 2
    assert not matching(everything, str(certificate.pk)[:-1]).exists()


def test_all_filters_apply_together(pki: Pki) -> None:
    certificate = issue(pki)
    now = timezone.now()
    filters: dict[str, Any] = {
        "search": "www",
        "common_name": "SERVICE",
        "profile_ids": (pki.profile.pk,),
        "created_from": certificate.created_at,
        "created_to": certificate.created_at,
        "deployable_only": True,
    }

    assert narrowed(Certificate.objects.all(), CertificateFilters(**filters), now=now).count() == 1
    others: tuple[dict[str, Any], ...] = (
        {"common_name": "other"},
        {"created_from": now + timedelta(days=1)},
        {"created_to": now - timedelta(days=1)},
        {"friendly_name": "x"},
    )
    for missing in others:
        changed = CertificateFilters(**(filters | missing))
        assert narrowed(Certificate.objects.all(), changed, now=now).count() == 0, missing


def test_requests_are_narrowed_by_date(pki: Pki) -> None:
    request = issue(pki).issuing_request
    everything = requests_visible_to(SYSTEM)

    at = request.created_at
    assert narrowed_requests(everything, RequestFilters(created_from=at, created_to=at)).count() == 1
    assert not narrowed_requests(everything, RequestFilters(created_to=at - timedelta(seconds=1))).exists()


def test_equal_values_are_sorted_by_id(pki: Pki) -> None:
    for _ in range(4):
        issue(pki)

    rows = sorted_by(Certificate.objects.all(), CertificateOrder.COMMON_NAME, is_descending=True)

    assert [row.pk for row in rows] == sorted(row.pk for row in rows)


def test_a_list_is_one_query_without_encodings(pki: Pki, django_assert_num_queries: Any) -> None:
    for _ in range(3):
        issue(pki)

    with django_assert_num_queries(1) as queries:
        rows = list(for_list(Certificate.objects.all()))
        for row in rows:
            assert (row.authority, row.profile, row.issuing_request.method) == (pki.issuing, pki.profile, "api")
    assert '."der"' not in queries.captured_queries[0]["sql"]


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("0A:1B", "0a1b"),
        ("0a 1b", "0a1b"),
        ("f" * 40, "f" * 40),
        ("f" * 41, ""),
        ("", ""),
        ("acme", ""),
        ("\u0661", ""),
    ],
)
def test_serial_numbers_are_read_in_every_spelling(text: str, digits: str) -> None:
    assert normal_serial_number(text) == digits


def test_only_canonical_ids_are_ids(pki: Pki) -> None:
    canonical = str(pki.profile.pk)
    assert id_in(canonical) == id_in(canonical.upper()) == pki.profile.pk
    for text in (canonical.replace("-", ""), f"{{{canonical}}}", f"urn:uuid:{canonical}", "", "\x00"):
        assert id_in(text) is None
