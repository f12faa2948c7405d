"""What a change would do is told from what was really asked, and changes nothing."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.utils import timezone

from certificates.models import Certificate, CertificateRequest
from certificates.services import impact
from certificates.services.authorities.rules import issuer_facts_of
from certificates.services.issuance import issue_certificate
from certificates.services.requests import read_applicant_csr, request_of
from pki_portal.access.models import Role
from pki_portal.errors import Forbidden, Malformed, NotFound, PermissionDenied
from profiles.impact import Impact
from profiles.models import CertificateProfile, CertificateTemplate, TemplateVersion
from profiles.policy.decide import decide
from profiles.policy.errors import PolicyViolation
from profiles.policy.request import AttributeValue, BasicConstraints, GeneralName, IssuanceRequest
from profiles.policy.rules import TemplateRules
from profiles.policy.vocabulary import (
    ExtendedKeyUsage,
    KeyAlgorithm,
    KeyUsage,
    NameType,
    SignatureAlgorithm,
    SubjectAttribute,
)
from profiles.services.profiles import MoveTo, preview_profile, update_profile
from profiles.services.templates import preview_template
from tests.factories import SYSTEM, make_project, make_user, requester_for
from tests.scenery import make_issuing_profile
from tests.wire import make_csr

pytestmark = pytest.mark.django_db

ONLY_ACME: dict[str, Any] = {
    "subject": [{"type": "common_name", "allowed": ["*.acme.com"]}],
    "sans": [{"type": "dns_name", "allowed": ["*.acme.com"]}],
}


def asked(name: str, **changes: object) -> IssuanceRequest:
    values: dict[str, object] = {
        "subject": (AttributeValue(SubjectAttribute.COMMON_NAME, name),),
        "subject_alternative_names": (GeneralName(NameType.DNS_NAME, name),),
        "ttl": timedelta(days=90),
    }
    return IssuanceRequest(**(values | changes))  # type: ignore[arg-type]


def issue(profile: CertificateProfile, request: IssuanceRequest) -> Certificate:
    return issue_certificate(profile=profile, request=request, requester=SYSTEM).certificate


def refuse(profile: CertificateProfile, request: IssuanceRequest) -> None:
    with pytest.raises(PolicyViolation):
        issue_certificate(profile=profile, request=request, requester=SYSTEM)


def preview(profile: CertificateProfile, changes: Mapping[str, object], now: datetime | None = None) -> Impact:
    return preview_template(requester=SYSTEM, template=profile.template, changes=changes, now=now or timezone.now())


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project())


def test_what_was_stored_is_what_was_judged(profile: CertificateProfile) -> None:
    request = IssuanceRequest(
        subject=(
            AttributeValue(SubjectAttribute.COMMON_NAME, "a.acme.com"),
            AttributeValue(SubjectAttribute.ORGANIZATION, "Acme"),
        ),
        subject_alternative_names=(
            GeneralName(NameType.DNS_NAME, "a.acme.com"),
            GeneralName(NameType.IP_ADDRESS, "192.0.2.1"),
        ),
        key_usages=(KeyUsage.DIGITAL_SIGNATURE,),
        extended_key_usages=(ExtendedKeyUsage.SERVER_AUTH, "1.2.3.4"),
        key_algorithm=KeyAlgorithm.EC_SECP384R1,
        signature_algorithm=SignatureAlgorithm.ECDSA_SHA384,
        not_before=timezone.now(),
        not_after=timezone.now() + timedelta(days=30),
        basic_constraints=BasicConstraints(is_ca=False),
    )
    refuse(profile, request)

    assert request_of(CertificateRequest.objects.get()) == request


def test_what_a_csr_asked_is_read_from_it_again(profile: CertificateProfile) -> None:
    csr = make_csr(ec.generate_private_key(ec.SECP256R1()))
    request = read_applicant_csr(profile=profile, requester=SYSTEM, csr=csr)
    issue(profile, request)

    assert request_of(CertificateRequest.objects.get()) == request


def test_requests_and_renewals_are_told_apart_by_what_the_change_does_to_them(profile: CertificateProfile) -> None:
    fits, other = issue(profile, asked("www.acme.com")), issue(profile, asked("www.other.com"))
    refuse(profile, asked("www.acme.com", ttl=timedelta(days=900)))
    refuse(profile, asked("-bad-.acme.com"))

    found = preview(profile, ONLY_ACME | {"validity": {"max": "1000d"}})

    assert (found.requests.total, found.requests.looked_at, found.requests.is_sample) == (4, 4, False)
    assert (found.requests.passing, found.requests.newly_passing) == (2, 1)
    assert (found.requests.newly_refused, found.requests.refused_anyway) == (1, 1)
    (request,) = found.refused_requests
    assert (request.request_id, request.certificate_id) == (other.request_id, None)
    assert (request.name, request.profile_slug) == ("www.other.com", profile.slug)
    assert {violation.field for violation in request.violations} == {
        "subject/common_name",
        "subject_alternative_names/0",
    }
    assert (found.renewals.total, found.renewals.passing, found.renewals.newly_refused) == (2, 1, 1)
    (renewal,) = found.refused_renewals
    assert (renewal.certificate_id, renewal.moment) == (other.pk, other.renew_at)
    assert {fits.pk, other.pk} == set(Certificate.objects.values_list("pk", flat=True))
    assert TemplateVersion.objects.filter(template_id=profile.template_id).count() == 1
    profile.template.refresh_from_db()
    assert profile.template.version == 1


def test_the_newest_come_first(profile: CertificateProfile) -> None:
    names = ["a.other.com", "b.other.com", "c.other.com"]
    for name in names:
        issue(profile, asked(name))

    found = preview(profile, ONLY_ACME)

    assert [each.name for each in found.refused_requests] == names[::-1]
    assert [each.name for each in found.refused_renewals] == names[::-1]


def test_old_requests_and_other_profiles_do_not_count(profile: CertificateProfile) -> None:
    issue(profile, asked("www.other.com"))
    CertificateRequest.objects.update(created_at=timezone.now() - timedelta(days=91))
    stranger = make_issuing_profile(profile.project, slug="stranger")
    issue(stranger, asked("www.other.com"))

    found = preview(profile, ONLY_ACME)

    assert found.requests.total == 0
    assert found.renewals.total == 1


def test_what_no_longer_lives_renews_no_more(profile: CertificateProfile) -> None:
    issue(profile, asked("www.other.com"))
    profile = update_profile(requester=SYSTEM, profile=profile, changes={"api": {"auto_renew": False}})
    issue(profile, asked("never.other.com"))

    later = timezone.now() + timedelta(days=91)
    assert preview(profile, ONLY_ACME).renewals.total == 1
    assert preview(profile, ONLY_ACME, now=later).renewals.total == 0


def test_a_renewal_is_judged_as_of_its_day(profile: CertificateProfile) -> None:
    """The CA ends in 3650 days: what renews shortly before that fails whatever the template says."""
    issue(profile, asked("www.acme.com", ttl=timedelta(days=300)))
    authority = profile.certificate_authority
    assert authority is not None
    version = authority.active_certificate
    assert version is not None
    type(version).objects.update(not_after=timezone.now() + timedelta(days=400))

    found = preview(profile, {"validity": {"max": "300d"}})

    assert (found.renewals.newly_refused, found.renewals.refused_anyway) == (0, 1)
    assert found.requests.passing == 1


def test_a_renewal_asks_for_what_was_filled_in_and_no_default_fills_it_again(profile: CertificateProfile) -> None:
    profile = update_profile(requester=SYSTEM, profile=profile, changes={"defaults": {"organization": "Acme"}})
    issue(profile, asked("www.acme.com"))
    profile = update_profile(requester=SYSTEM, profile=profile, changes={"defaults": {"organization": "Other"}})

    found = preview(
        profile,
        {"subject": [{"type": "common_name", "allowed": ["*"]}, {"type": "organization", "allowed": ["Other"]}]},
    )

    assert (found.requests.passing, found.renewals.newly_refused) == (1, 1)
    (violation,) = found.refused_renewals[0].violations
    assert violation.asked == 'organization "Acme" (as in the certificate before it)'


def test_csr_born_requests_are_replayed(profile: CertificateProfile) -> None:
    for name in ("www.acme.com", "www.other.com"):
        csr = make_csr(common_name=name, dns_names=(name,))
        issue(profile, read_applicant_csr(profile=profile, requester=SYSTEM, csr=csr))

    found = preview(profile, ONLY_ACME)

    assert (found.requests.passing, found.requests.newly_refused, found.renewals.total) == (1, 1, 0)


def test_more_than_are_replayed_are_a_sample_and_called_so(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(impact, "MOST_REPLAYED", 2)
    for name in ("a.acme.com", "b.other.com", "c.acme.com"):
        issue(profile, asked(name))

    found = preview(profile, ONLY_ACME)

    assert (found.requests.total, found.requests.looked_at, found.requests.is_sample) == (3, 2, True)
    assert [each.name for each in found.refused_requests] == ["b.other.com"]


def test_many_names_under_many_patterns_are_a_sample_too(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = tuple(GeneralName(NameType.DNS_NAME, f"n{number}.acme.com") for number in range(50))
    for _ in range(3):
        issue(profile, asked("n0.acme.com", subject_alternative_names=names))
    patterns = [*(f"*x*y{number}.acme.com" for number in range(98)), "*.acme.com"]
    # The present rules have six patterns: two requests of 51 names take less than this, three take more.
    monkeypatch.setattr(impact, "MOST_COMPARISONS", 51 * 107 * 2)

    found = preview(profile, {"sans": [{"type": "dns_name", "allowed": patterns}]})

    assert [tally.looked_at for tally in (found.requests, found.renewals)] == [2, 2]
    assert found.requests.is_sample
    assert found.renewals.is_sample


def test_counts_equal_those_of_judging_each_by_hand(profile: CertificateProfile) -> None:
    for number in range(20):
        issue(profile, asked(f"host-{number}.{'acme' if number % 3 else 'other'}.com"))
    changed: CertificateTemplate = profile.template
    document = changed.document() | ONLY_ACME
    rules = TemplateRules.from_json(document)
    authority = profile.certificate_authority
    assert authority is not None

    now = timezone.now()
    refused = [
        row
        for row in CertificateRequest.objects.all()
        if decide(
            rules=rules,
            defaults=profile.profile_defaults(),
            request=request_of(row),
            issuer=issuer_facts_of(authority),
            now=now,
        ).violations
    ]

    found = preview(profile, ONLY_ACME, now)
    assert found.requests.newly_refused == len(refused) == 7
    assert {each.request_id for each in found.refused_requests} == {row.pk for row in refused}


def test_wrong_rules_are_refused_as_they_would_be_on_save(profile: CertificateProfile) -> None:
    with pytest.raises(Malformed) as refusal:
        preview(profile, {"validity": {"max": "soon"}})
    assert [violation.field for violation in refusal.value.violations] == ["validity/max"]


def test_only_who_may_change_it_may_preview(profile: CertificateProfile) -> None:
    viewer = requester_for(make_user("bob", project=profile.project, role=Role.VIEWER))
    with pytest.raises(PermissionDenied):
        preview_template(requester=viewer, template=profile.template, changes={}, now=timezone.now())


def test_defaults_of_a_profile_are_previewed_and_not_saved(profile: CertificateProfile) -> None:
    issue(profile, asked("www.acme.com"))
    issue(profile, asked("api.acme.com", ttl=None))

    found = preview_profile(
        requester=SYSTEM, profile=profile, changes={"defaults": {"ttl": "900d"}}, now=timezone.now()
    )

    assert [each.name for each in found.refused_requests] == ["api.acme.com"]
    assert (found.requests.passing, found.renewals.newly_refused, found.first_refused_renewal) == (1, 0, None)
    profile.refresh_from_db()
    assert (profile.defaults, profile.version) == ({}, 1)


def test_a_move_is_previewed_and_the_first_renewal_that_would_fail_is_told(profile: CertificateProfile) -> None:
    later, sooner = (issue(profile, asked("www.other.com", ttl=timedelta(days=days))) for days in (90, 30))
    issue(profile, asked("www.acme.com"))
    narrow = make_issuing_profile(profile.project, slug="narrow", **ONLY_ACME)
    moves = {
        "template": MoveTo(template_id=narrow.template_id),
        "authority": MoveTo(certificate_authority_id=narrow.certificate_authority_id),
    }

    found = {
        name: preview_profile(requester=SYSTEM, profile=profile, changes={}, move_to=move, now=timezone.now())
        for name, move in moves.items()
    }

    assert (found["template"].requests.newly_refused, found["authority"].requests.newly_refused) == (2, 0)
    assert {each.certificate_id for each in found["template"].refused_renewals} == {later.pk, sooner.pk}
    assert found["template"].first_refused_renewal == sooner.renew_at
    assert found["authority"].renewals.newly_refused == 0
    assert CertificateProfile.objects.get(pk=profile.pk).template_id == profile.template_id


def test_a_profile_preview_is_refused_as_the_save_would_be(profile: CertificateProfile) -> None:
    stranger = make_issuing_profile(make_project(), slug="stranger")
    now = timezone.now()
    for kind, changes, move in (
        (Malformed, {"slug": "Not A Slug"}, None),
        (Malformed, {"defaults": {"ttl": "soon"}}, None),
        (Malformed, {}, MoveTo()),
        (NotFound, {}, MoveTo(certificate_authority_id=stranger.certificate_authority_id)),
        (Forbidden, {}, MoveTo(template_id=stranger.template_id)),
        (Forbidden, {"issuer_type": "self-signed"}, None),
    ):
        for act in (
            partial(preview_profile, now=now),
            update_profile,
        ):
            with pytest.raises(kind):
                act(requester=SYSTEM, profile=profile, changes=changes, move_to=move)


def test_only_who_may_change_a_profile_may_preview_it(profile: CertificateProfile) -> None:
    viewer = requester_for(make_user("bob", project=profile.project, role=Role.VIEWER))
    with pytest.raises(PermissionDenied):
        preview_profile(requester=viewer, profile=profile, changes={}, now=timezone.now())
