"""A renewal is compared with its predecessor by what both certificates say."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from certificates.models import Certificate
from certificates.services.renewal import RenewalKeySource, renew_certificate
from profiles.models import CertificateProfile
from profiles.policy.renewal import RenewalChanges
from profiles.policy.request import GeneralName
from profiles.policy.vocabulary import NameType, SubjectAttribute
from tests.factories import SYSTEM, make_project, make_user
from tests.pages import make_issued
from tests.scenery import make_issuing_profile
from tests.wire import CERTIFICATES, make_client

pytestmark = pytest.mark.django_db

UNCHANGED = [
    *("subject", "subject_alternative_names", "key_usages", "extended_key_usages", "key_algorithm"),
    *("signature_algorithm", "issuer", "life", "basic_constraints", "extensions"),
]


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project())


def told(certificate: Certificate) -> dict[str, Any]:
    answer = make_client(certificate.project).get(f"{CERTIFICATES}/{certificate.pk}/renewal-diff")
    assert answer.status_code == 200
    return dict(answer.json())


def test_only_the_key_is_new_where_nothing_was_changed(profile: CertificateProfile) -> None:
    old = make_issued(profile)
    new = renew_certificate(certificate=old, requester=SYSTEM).certificate
    found = told(new)
    assert (found["certificateId"], found["renewedFromCertificateId"]) == (str(new.pk), str(old.pk))
    assert (found["hasSameKey"], found["unchanged"]) == (False, UNCHANGED)
    (key,) = found["differences"]
    assert key == {
        "path": "key",
        "before": f"SHA-256 {old.public_key_sha256}",
        "after": f"SHA-256 {new.public_key_sha256}",
    }


def test_the_same_key_is_told_as_such(profile: CertificateProfile) -> None:
    new = renew_certificate(
        certificate=make_issued(profile), requester=SYSTEM, key_source=RenewalKeySource.REUSE
    ).certificate
    found = told(new)
    assert (found["hasSameKey"], found["differences"]) == (True, [])


def test_every_changed_field_is_told_by_api_and_page(profile: CertificateProfile, client: Client) -> None:
    old = make_issued(profile)
    changes = RenewalChanges(
        subject={SubjectAttribute.ORGANIZATION: ("Acme",)},
        fields={
            "subject_alternative_names": (GeneralName(NameType.DNS_NAME, "new.acme.com"),),
            "ttl": timedelta(days=30),
        },
    )
    new = renew_certificate(certificate=old, requester=SYSTEM, changes=changes).certificate
    found = {each["path"]: (each["before"], each["after"]) for each in told(new)["differences"]}
    found.pop("key")
    assert found == {
        "subject/organization": (None, ["Acme"]),
        "subject_alternative_names/dns_name": (["service.acme.com"], ["new.acme.com", "service.acme.com"]),
        "life": ("90d", "30d"),
    }

    client.force_login(make_user(project=profile.project))
    page = client.get(f"/projects/{profile.project.slug}/certificates/{new.pk}/").content.decode()
    for text in ("What changed", "a new key", "Subject: Organization", "new.acme.com", "Unchanged: key usages"):
        assert text in page
    assert "What changed" not in client.get(f"/projects/{profile.project.slug}/certificates/{old.pk}/").content.decode()


def test_what_renewed_none_has_no_difference(profile: CertificateProfile) -> None:
    answer = make_client(profile.project).get(f"{CERTIFICATES}/{make_issued(profile).pk}/renewal-diff")
    assert answer.status_code == 404
