"""Defaults are judged by the evaluator itself, against the profile's own template and CA."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from certificates.models import CertificateAuthority
from pki_portal.access.models import Project
from profiles.models import CertificateProfile
from profiles.services import default_violations, update_profile
from tests.factories import SYSTEM, make_project
from tests.scenery import make_issuing_profile

pytestmark = pytest.mark.django_db

ALGORITHMS = {"key_algorithm": ["ECDSA-P256", "RSA-2048"], "signature": ["SHA256-ECDSA"]}


@pytest.fixture
def project() -> Project:
    return make_project()


def fields(profile: CertificateProfile, **defaults: Any) -> list[str]:
    """What of these defaults cannot pass."""
    changed = update_profile(requester=SYSTEM, profile=profile, changes={"defaults": defaults})
    return sorted({violation.field for violation in default_violations(changed, now=timezone.now())})


def test_defaults_that_pass_have_nothing_to_tell(project: Project) -> None:
    profile = make_issuing_profile(project, algorithms=ALGORITHMS)

    assert fields(profile) == []
    assert (
        fields(
            profile,
            common_name="service.acme.com",
            organization="Acme",
            ttl="90d",
            key_usages=["digital_signature"],
            extended_key_usages=["server_auth"],
            key_algorithm="EC_prime256v1",
            signature_algorithm="ECDSA-SHA256",
        )
        == []
    )


@pytest.mark.parametrize(
    ("defaults", "field"),
    [
        ({"country": "US"}, "defaults/country"),
        ({"domain_components": ["com", "acme"]}, "defaults/domain_components"),
        ({"ttl": "2y"}, "defaults/ttl"),
        ({"ttl_days": 900}, "defaults/ttl"),
        ({"key_usages": ["digital_signature", "non_repudiation"]}, "defaults/key_usages"),
        ({"key_usages": ["key_agreement"]}, "defaults/key_usages"),
        ({"extended_key_usages": ["server_auth", "client_auth"]}, "defaults/extended_key_usages"),
        ({"key_algorithm": "EC_secp384r1"}, "defaults/key_algorithm"),
        ({"signature_algorithm": "RSA-SHA256"}, "defaults/signature_algorithm"),
    ],
)
def test_a_default_that_cannot_pass_is_named(project: Project, defaults: dict[str, Any], field: str) -> None:
    assert fields(make_issuing_profile(project, algorithms=ALGORITHMS), **defaults) == [field]


def test_a_life_past_the_end_of_the_ca_is_named(project: Project) -> None:
    profile = make_issuing_profile(project, authority_life=timedelta(days=30))

    assert fields(profile, ttl="90d") == ["defaults/ttl"]
    assert fields(profile, ttl="20d") == []


def test_a_self_signed_profile_is_judged_without_a_ca(project: Project) -> None:
    profile = make_issuing_profile(project, is_self_signed=True)

    assert fields(profile, ttl="90d") == []
    assert fields(profile, ttl="399d") == ["defaults/ttl"]


def test_a_ca_without_certificate_cannot_be_judged(project: Project) -> None:
    profile = make_issuing_profile(project)
    CertificateAuthority.objects.update(status="pending-certificate", active_certificate=None)

    assert fields(profile, ttl="9y") == []
