"""Parts of names: found alike on both databases, and by the index where there is one."""

import pytest
from django.db import connection

from certificates import trigrams
from certificates.models import Certificate
from certificates.trigrams import field_like, named_like
from profiles.models import CertificateProfile
from tests.factories import make_project
from tests.pages import make_issued
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project())


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        *(("shop", True), ("SHOP-7.acme", True), ("p-7", True), ("p", True), ("p-", True), (".", True)),
        *(
            ("shop-8", False),
            ("z", False),
            ("%", False),
            ("_", False),
            ("\\", False),
            ("'", False),
            ("shop%acme", False),
        ),
        ("\N{LATIN SMALL LETTER SHARP S}hop", False),
    ],
)
def test_a_part_is_found_in_any_case_and_means_itself(profile: CertificateProfile, text: str, is_found: bool) -> None:
    make_issued(profile, "shop-7.acme.com")

    assert Certificate.objects.filter(named_like(text)).exists() is is_found
    assert Certificate.objects.filter(field_like("common_name", text)).exists() is is_found
    assert not Certificate.objects.filter(field_like("friendly_name", text)).exists()


@pytest.mark.postgresql  # SQLite looks at every row
def test_postgresql_finds_it_by_index(profile: CertificateProfile) -> None:
    make_issued(profile)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")

    for condition in (named_like("acme"), field_like("common_name", "acme")):
        assert "certificate_name_trigrams" in Certificate.objects.filter(condition).order_by().explain()


@pytest.mark.postgresql
def test_the_index_is_not_asked_for_what_is_in_every_name(profile: CertificateProfile) -> None:
    for number in range(40):
        make_issued(profile, f"{number:02}{'xyz' if number == 7 else number}.acme.com")
    trigrams._shares.cache_clear()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE certificates_certificate")

    assert "@>" not in str(Certificate.objects.filter(named_like("acme.com")).query)
    asked = str(Certificate.objects.filter(named_like("yz.acme")).query).split("@>")[1]
    assert ("YZ." in asked, "ACM" in asked) == (True, False)
    trigrams._shares.cache_clear()
