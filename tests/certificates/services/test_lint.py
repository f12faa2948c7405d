"""Lint in the act of issuing: what blocks, what a profile waives, and that neither leaks to another profile."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from certificates.models import Certificate
from certificates.services.issuance import issue_certificate
from certificates.services.lint import Waivers, lint_violations
from certificates.x509 import lint as x509_lint
from certificates.x509.lint import Finding, Severity, forget_shapes
from pki_portal.access.models import Project
from pki_portal.errors import Invalid
from profiles.models import CertificateProfile
from profiles.policy.waivers import LintWaiver
from profiles.services import MoveTo, update_profile
from tests.certificates.services.test_issuance import service_request
from tests.factories import SYSTEM, make_project
from tests.scenery import make_issuing_profile

CODE = "pkix.invalid_domain_name_syntax"
REASON = "The old load balancers know no other names."
WAIVER = {"code": CODE, "reason": REASON}


def test_each_finding_becomes_one_violation_that_tells_what_to_change() -> None:
    told = Finding(Severity.ERROR, "pkix.some_rule", "a value is missing", "certificate.tbsCertificate")
    silent = Finding(Severity.FATAL, "pkix.other_rule", "", "certificate")

    violations = lint_violations([told, silent], change="the CA")

    assert [violation.fix for violation in violations] == [
        "Change the CA so that this no longer holds: a value is missing.",
        "Change the CA so that this no longer holds: pkix.other_rule.",
    ]
    assert [violation.code for violation in violations] == ["pkix.some_rule", "pkix.other_rule"]


def test_where_a_profile_can_waive_it_the_fix_says_so() -> None:
    waivable = Finding(Severity.ERROR, CODE, "", "certificate")
    unreadable = Finding(Severity.FATAL, x509_lint.UNREADABLE, "", "certificate")

    fixes = [each.fix for each in lint_violations([waivable, unreadable], change="the request", profile="server")]

    assert ["an operator can waive it on the profile server" in fix for fix in fixes] == [True, False]


def test_an_expired_waiver_does_not_count() -> None:
    now = timezone.now()
    past, coming = (LintWaiver(CODE, REASON, now + timedelta(days=days)) for days in (-1, 1))

    assert Waivers("server", [past, coming], now).counting == (coming,)
    assert Waivers("server", [past, coming], coming.expires_at or now).counting == ()


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without the built-in waivers, so that a private host name has a real finding that blocks."""
    monkeypatch.setattr(x509_lint, "_built_in_waiver", lambda _finding, _own_urls: "")
    forget_shapes()
    yield
    forget_shapes()


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def profile(project: Project) -> CertificateProfile:
    return make_issuing_profile(project)


def waiving(profile: CertificateProfile, *waivers: dict[str, str]) -> CertificateProfile:
    return update_profile(requester=SYSTEM, profile=profile, changes={"lint_waivers": list(waivers)})


def issue(profile: CertificateProfile, name: str = "mailhost") -> Certificate:
    return issue_certificate(profile=profile, request=service_request(name), requester=SYSTEM).certificate


@pytest.mark.django_db
@pytest.mark.usefixtures("strict")
class TestIssuing:
    def test_a_finding_blocks_and_is_named_with_both_ways_out(self, profile: CertificateProfile) -> None:
        with pytest.raises(Invalid, match=CODE) as refusal:
            issue(profile)

        (violation,) = refusal.value.violations
        assert violation.code == CODE
        assert "Change the request or the template" in violation.fix
        assert f"an operator can waive it on the profile {profile.slug}" in violation.fix
        assert not Certificate.objects.exists()

    def test_a_waived_finding_passes_and_is_kept_with_the_reason(self, profile: CertificateProfile) -> None:
        certificate = issue(waiving(profile, WAIVER))

        (finding,) = Certificate.objects.get(pk=certificate.pk).lint_findings
        assert (finding["code"], finding["value"], finding["waived"]) == (CODE, "mailhost", REASON)

    def test_another_finding_still_blocks(self, profile: CertificateProfile) -> None:
        with pytest.raises(Invalid, match=CODE):
            issue(waiving(profile, {**WAIVER, "code": "pkix.invalid_uri_syntax"}))

    def test_an_expired_waiver_blocks_again(self, profile: CertificateProfile) -> None:
        yesterday = (timezone.now() - timedelta(days=1)).isoformat()

        with pytest.raises(Invalid, match=CODE):
            issue(waiving(profile, {**WAIVER, "expires_at": yesterday}))

        tomorrow = (timezone.now() + timedelta(days=1)).isoformat()
        assert issue(waiving(profile, {**WAIVER, "expires_at": tomorrow})).lint_findings

    def test_a_waiver_is_for_its_profile_alone(self, project: Project, profile: CertificateProfile) -> None:
        """The same CA, template and name: one shape, and the memory of shapes must not know the waiver."""
        twin = make_issuing_profile(project, slug="twin")
        move_to = MoveTo(certificate_authority_id=profile.certificate_authority_id, template_id=profile.template_id)
        twin = update_profile(requester=SYSTEM, profile=twin, changes={}, move_to=move_to)
        waived = waiving(profile, WAIVER)

        for _ in range(2):
            issue(waived)
            with pytest.raises(Invalid, match=CODE):
                issue(twin)

    def test_taken_away_it_blocks_again(self, profile: CertificateProfile) -> None:
        issue(waiving(profile, WAIVER))

        with pytest.raises(Invalid, match=CODE):
            issue(waiving(profile))


@pytest.mark.django_db
def test_a_built_in_waiver_tells_its_reason_too(profile: CertificateProfile) -> None:
    (finding,) = issue(profile).lint_findings

    assert "private host name" in finding["waived"]


@pytest.mark.django_db
def test_warnings_and_notices_are_kept_and_block_nothing(
    profile: CertificateProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tuple(Finding(severity, "pkix.some", "", "certificate") for severity in (Severity.WARNING, Severity.NOTICE))
    monkeypatch.setattr(x509_lint, "lint", lambda _der: said)
    forget_shapes()

    stored = issue(profile, "service.acme.com").lint_findings

    assert [finding["severity"] for finding in stored] == ["WARNING", "NOTICE"]
