"""Every preset saves, has the risks that are meant, and issues what the linter finds nothing wrong with."""

from typing import Any

import pytest
from cryptography import x509
from django.test import Client
from django.utils import timezone

from certificates.models import CertificateAuthority
from certificates.services.issuance import issue_certificate
from certificates.x509.lint import Severity, lint
from pki_portal.access.models import Role
from profiles.policy.request import AttributeValue, GeneralName, IssuanceRequest
from profiles.policy.risks import RiskCode, risks_of
from profiles.policy.rules import TemplateRules
from profiles.policy.vocabulary import NameType, SubjectAttribute
from profiles.presets import PRESETS, Preset, preset_named
from profiles.services import ApiSettings, TemplateDocument, create_profile, create_template
from tests.assertions import assert_error
from tests.factories import SYSTEM, make_authority, make_project
from tests.wire import make_client

ADDRESS = "/api/v1/cert-manager/certificate-templates/presets"
ANY_NAME, ANY_WILDCARD = RiskCode.ANY_NAME_FOR_CLIENTS, RiskCode.ANY_WILDCARD
HOST, MAIL = (NameType.DNS_NAME, "host.acme.com"), (NameType.EMAIL, "alice@acme.com")
# Its risks while the names are open; a typical request: common name, alternative names; purposes it is granted.
EXPECTED: dict[str, tuple[list[RiskCode], str, list[tuple[NameType, str]], list[str]]] = {
    "tls-server": ([ANY_WILDCARD], "host.acme.com", [HOST, (NameType.IP_ADDRESS, "192.0.2.1")], ["serverAuth"]),
    "tls-client": ([ANY_NAME, ANY_WILDCARD], "billing", [MAIL], ["clientAuth"]),
    "dual-purpose-server": ([ANY_NAME, ANY_WILDCARD], "host.acme.com", [HOST], ["serverAuth", "clientAuth"]),
    "device": ([ANY_NAME, ANY_WILDCARD], "printer-7", [HOST], ["clientAuth"]),
    "user": ([ANY_NAME], "Alice", [MAIL], ["clientAuth", "emailProtection"]),
    "email-protection": ([], "Alice", [MAIL], ["emailProtection"]),
    "code-signing": ([], "Acme Release", [MAIL], ["codeSigning"]),
    "ocsp-signer": ([], "Acme OCSP", [], ["OCSPSigning"]),
    "time-stamping-signer": ([], "Acme TSA", [], ["timeStamping"]),
}


def test_every_preset_is_looked_at_here() -> None:
    assert [preset.slug for preset in PRESETS] == list(EXPECTED)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.slug)
def test_it_has_a_sentence_and_the_risks_that_are_meant(preset: Preset) -> None:
    assert preset.when.startswith("For ")
    assert preset.when.endswith(".")
    found = risks_of(TemplateRules.from_json(preset.document), now=timezone.now())
    assert [risk.code for risk in found] == EXPECTED[preset.slug][0]


def test_unknown_ones_are_none() -> None:
    assert preset_named("nonsense") is None


@pytest.mark.django_db
def test_each_issues_a_typical_certificate_that_the_linter_finds_clean() -> None:
    project = make_project()
    authority = make_authority(project)
    for slug, (_, common_name, names, purposes) in EXPECTED.items():
        certificate = issued(authority, slug, common_name, names)
        parsed = x509.load_der_x509_certificate(certificate)
        extension = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        assert sorted(usage._name for usage in extension.value) == sorted(purposes)
        assert extension.critical is (slug == "time-stamping-signer")
        is_unchecked = any(isinstance(each.value, x509.OCSPNoCheck) for each in parsed.extensions)
        assert is_unchecked is (slug == "ocsp-signer")
        grave = [finding for finding in lint(certificate) if finding.severity is not Severity.NOTICE]
        assert grave == [], slug


def issued(authority: CertificateAuthority, slug: str, common_name: str, names: list[tuple[NameType, str]]) -> bytes:
    preset = preset_named(slug)
    assert preset is not None
    template = create_template(
        requester=SYSTEM, project=authority.project, document=TemplateDocument(**preset.document)
    )
    profile = create_profile(
        requester=SYSTEM,
        project=authority.project,
        slug=slug,
        certificate_authority_id=authority.pk,
        template_id=template.pk,
        enrollment_method="api",
        api=ApiSettings(),
    )
    request = IssuanceRequest(
        subject=(AttributeValue(SubjectAttribute.COMMON_NAME, common_name),),
        subject_alternative_names=tuple(GeneralName(kind, value) for kind, value in names),
    )
    return bytes(issue_certificate(profile=profile, request=request, requester=SYSTEM).certificate.der)


@pytest.mark.django_db
def test_the_api_lists_documents_that_are_ready_to_post() -> None:
    project = make_project()
    operator = make_client(project, role=Role.OPERATOR)

    presets: list[dict[str, Any]] = operator.get(ADDRESS, {"projectId": str(project.pk)}).json()["presets"]

    assert [preset["slug"] for preset in presets] == list(EXPECTED)
    for preset in presets:
        assert preset.keys() == {"slug", "label", "when", "certificateTemplate"}
        body = preset["certificateTemplate"] | {"projectId": str(project.pk)}
        made = operator.post(ADDRESS.removesuffix("/presets"), body, content_type="application/json")
        assert made.status_code == 200
        template = made.json()["certificateTemplate"]
        assert {key: template[key] or None for key in preset["certificateTemplate"]} == {
            key: value or None for key, value in preset["certificateTemplate"].items()
        }


@pytest.mark.django_db
def test_who_may_create_no_template_gets_no_preset() -> None:
    project = make_project()
    query = {"projectId": str(project.pk)}
    for role in (Role.MEMBER, Role.VIEWER):
        robot = make_client(project, role=role, name=role.value)
        assert_error(robot.get(ADDRESS, query), status=403, error="PermissionDenied")
    assert_error(make_client(make_project()).get(ADDRESS, query), status=404, error="NotFound")
    assert Client().get(ADDRESS, query).status_code == 401
    assert make_client(project).get(ADDRESS).status_code == 422
