"""Profiles over HTTP; `line` numbers are those of the conformance check-list."""

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from certificates.models import AuthorityCertificate, CertificateAuthority
from pki_portal.access.models import MachineIdentity, Membership, Project, Role
from profiles.models import ApiEnrollment, CertificateProfile, CertificateTemplate, EstEnrollment
from profiles.policy.vocabulary import IssuerType
from profiles.services import ApiSettings, TemplateDocument, create_profile, create_template
from tests.assertions import assert_error
from tests.factories import SYSTEM, make_authority, make_identity, make_project, make_token
from tests.scenery import server_template

pytestmark = pytest.mark.django_db

PROFILES = "/api/v1/cert-manager/certificate-profiles"
PASSPHRASE = "open sesame"
UUID_PATTERN = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def robot_itself(project: Project) -> MachineIdentity:
    identity, _, _ = make_identity(project, role=Role.ADMIN)
    return identity


@pytest.fixture
def robot(robot_itself: MachineIdentity) -> APIClient:
    return client_of(robot_itself)


def client_of(identity: MachineIdentity) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {make_token(identity)}")
    return client


def client_with(project: Project, role: Role) -> APIClient:
    identity, _, _ = make_identity(project, role=role)
    return client_of(identity)


@pytest.fixture
def authority(project: Project) -> CertificateAuthority:
    return make_authority(project)


@pytest.fixture
def template(project: Project) -> CertificateTemplate:
    return make_template(project)


def make_template(project: Project) -> CertificateTemplate:
    return create_template(requester=SYSTEM, project=project, document=TemplateDocument(name="server"))


@pytest.fixture
def body(project: Project, authority: CertificateAuthority, template: CertificateTemplate) -> dict[str, Any]:
    """The sample of the source page, its ids filled in."""
    return {
        "projectId": str(project.pk),
        "caId": str(authority.pk),
        "certificateTemplateId": str(template.pk),
        "slug": "my-api-profile",
        "description": "Certificate profile for API enrollment",
        "enrollmentType": "API",
        "apiConfig": {"autoRenew": True, "renewBeforeDays": 7},
    }


def without(body: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in keys}


def est(body: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return without(body, "apiConfig") | {"enrollmentType": "est", "estConfig": {"passphrase": PASSPHRASE} | settings}


@pytest.fixture
def made(robot: APIClient, body: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = robot.post(PROFILES, body).json()["certificateProfile"]
    return answer


# --- Create -----------------------------------------------------------------------------------------------------------


def test_the_sample_of_the_source_page_works_verbatim(robot: APIClient, body: dict[str, Any]) -> None:
    response = robot.post(PROFILES, body)

    assert response.status_code == 200
    assert set(response.json()) == {"certificateProfile", "warnings"}
    assert response.json()["warnings"] == []
    profile = response.json()["certificateProfile"]
    assert re.fullmatch(UUID_PATTERN, profile.pop("id"))
    assert re.fullmatch(UUID_PATTERN, profile.pop("apiConfigId"))
    for key in ("createdAt", "updatedAt"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", profile.pop(key))
    assert profile == {
        "projectId": body["projectId"],
        "caId": body["caId"],
        "certificateTemplateId": body["certificateTemplateId"],
        "certificatePolicyId": body["certificateTemplateId"],
        "slug": "my-api-profile",
        "description": "Certificate profile for API enrollment",
        "enrollmentType": "api",
        "issuerType": "ca",
        "estConfigId": None,
        "acmeConfigId": None,
        "externalConfigs": None,
        "defaults": None,
        "keyRetention": "once",
        "lintWaivers": [],
        "requiresApproval": False,
        "version": 1,
    }


def test_line_73_create_stores_the_api_config_id_and_no_others(made: dict[str, Any]) -> None:
    assert made["apiConfigId"] == str(ApiEnrollment.objects.get().pk)
    assert (made["estConfigId"], made["acmeConfigId"]) == (None, None)


def test_line_74_an_unknown_template_is_not_found(robot: APIClient, body: dict[str, Any]) -> None:
    response = robot.post(PROFILES, body | {"certificateTemplateId": str(uuid4())})

    assert_error(response, status=404, error="NotFound")


def test_line_75_a_template_of_another_project_is_forbidden(
    robot: APIClient, robot_itself: MachineIdentity, body: dict[str, Any]
) -> None:
    other = make_project("Other")
    Membership.objects.create(project=other, identity=robot_itself, role=Role.VIEWER)

    response = robot.post(PROFILES, body | {"certificateTemplateId": str(make_template(other).pk)})

    assert_error(response, status=403, error="ForbiddenError")


def test_a_template_of_an_unknown_project_is_not_found(robot: APIClient, body: dict[str, Any]) -> None:
    foreign = make_template(make_project("Other"))

    response = robot.post(PROFILES, body | {"certificateTemplateId": str(foreign.pk)})

    assert_error(response, status=404, error="NotFound")


def test_line_76_a_taken_slug_is_forbidden(robot: APIClient, body: dict[str, Any], made: dict[str, Any]) -> None:
    assert_error(robot.post(PROFILES, body), status=403, error="ForbiddenError", field="/slug")
    assert CertificateProfile.objects.get().slug == made["slug"]


def test_line_77_est_without_its_config_is_malformed(robot: APIClient, body: dict[str, Any]) -> None:
    response = robot.post(PROFILES, without(body, "apiConfig") | {"enrollmentType": "EST"})

    issue = assert_error(response, status=422, error="ValidationFailure", field="/estConfig")["message"][0]
    assert issue["code"] == "custom"


@pytest.mark.parametrize("changes", [{}, {"apiConfig": None}])
def test_line_78_api_without_its_config_is_malformed(
    robot: APIClient, body: dict[str, Any], changes: dict[str, Any]
) -> None:
    response = robot.post(PROFILES, without(body, "apiConfig") | changes)

    assert_error(response, status=422, error="ValidationFailure", field="/apiConfig")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"estConfig": {"passphrase": PASSPHRASE}}, "/estConfig"),
        ({"acmeConfig": {}}, "/acmeConfig"),
        ({"enrollmentType": "acme", "acmeConfig": {}}, "/apiConfig"),
    ],
)
def test_a_foreign_config_is_malformed(
    robot: APIClient, body: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    assert_error(robot.post(PROFILES, body | changes), status=422, error="ValidationFailure", field=field)


def test_line_79_auto_renewal_is_stored(robot: APIClient, made: dict[str, Any]) -> None:
    answer = robot.get(f"{PROFILES}/{made['id']}").json()["certificateProfile"]

    assert answer["apiConfig"] == {"id": made["apiConfigId"], "autoRenew": True, "renewBeforeDays": 7}


def test_auto_renewal_without_its_days_is_warned_of(robot: APIClient, body: dict[str, Any]) -> None:
    answer = robot.post(PROFILES, body | {"apiConfig": {"autoRenew": True}}).json()

    assert answer["warnings"] == ["/apiConfig/autoRenew takes effect only with renewBeforeDays."]


def test_an_empty_id_in_the_config_is_tolerated(robot: APIClient, body: dict[str, Any]) -> None:
    response = robot.post(PROFILES, body | {"apiConfig": {"id": "", "autoRenew": False}})

    assert response.status_code == 200
    assert response.json()["warnings"] == ["/apiConfig/id is not known here and was ignored."]


def test_the_later_name_of_the_template_is_taken(robot: APIClient, body: dict[str, Any]) -> None:
    policy_id = body["certificateTemplateId"]

    answer = robot.post(PROFILES, without(body, "certificateTemplateId") | {"certificatePolicyId": policy_id}).json()

    assert answer["certificateProfile"]["certificateTemplateId"] == policy_id
    assert answer["certificateProfile"]["certificatePolicyId"] == policy_id


def test_both_names_of_the_template_must_agree(robot: APIClient, body: dict[str, Any]) -> None:
    same = robot.post(PROFILES, body | {"certificatePolicyId": body["certificateTemplateId"]})
    other = robot.post(PROFILES, body | {"slug": "other", "certificatePolicyId": str(uuid4())})

    assert same.status_code == 200
    assert_error(other, status=422, error="ValidationFailure", field="/certificatePolicyId")


@pytest.mark.parametrize(
    ("asked", "answered"),
    [("api", "api"), ("Api", "api"), ("API", "api")],
)
def test_enrollment_types_are_read_in_any_case(
    robot: APIClient, body: dict[str, Any], asked: str, answered: str
) -> None:
    answer = robot.post(PROFILES, body | {"enrollmentType": asked, "issuerType": "CA"}).json()["certificateProfile"]

    assert (answer["enrollmentType"], answer["issuerType"]) == (answered, "ca")


def test_a_self_signed_profile_has_no_ca(robot: APIClient, body: dict[str, Any]) -> None:
    answer = robot.post(PROFILES, without(body, "caId") | {"issuerType": "self-signed"}).json()["certificateProfile"]

    assert (answer["issuerType"], answer["caId"]) == ("self-signed", None)
    detail = robot.get(f"{PROFILES}/{answer['id']}").json()["certificateProfile"]
    assert "certificateAuthority" not in detail


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"caId": None}, "/caId"),
        ({"issuerType": "self-signed"}, "/caId"),
        (
            {
                "issuerType": "self-signed",
                "caId": None,
                "enrollmentType": "est",
                "apiConfig": None,
                "estConfig": {"passphrase": PASSPHRASE},
            },
            "/enrollmentType",
        ),
    ],
)
def test_issuer_and_ca_must_agree(robot: APIClient, body: dict[str, Any], changes: dict[str, Any], field: str) -> None:
    response = robot.post(PROFILES, body | changes)

    issue = assert_error(response, status=422, error="ValidationFailure", field=field)["message"][0]
    assert issue["code"] == "custom"


def test_a_ca_that_is_unknown_or_foreign_is_not_found(robot: APIClient, body: dict[str, Any]) -> None:
    foreign = make_authority(make_project("Other"))

    for authority_id in (uuid4(), foreign.pk):
        assert_error(robot.post(PROFILES, body | {"caId": str(authority_id)}), status=404, error="NotFound")


def test_external_configs_are_forbidden_unless_null(robot: APIClient, body: dict[str, Any]) -> None:
    assert_error(
        robot.post(PROFILES, body | {"externalConfigs": {"template": "User"}}), status=403, error="ForbiddenError"
    )
    assert robot.post(PROFILES, body | {"externalConfigs": None}).status_code == 200


def test_defaults_are_kept_and_answered(robot: APIClient, body: dict[str, Any]) -> None:
    defaults = {
        "commonName": "server.example.com",
        "organization": "Acme",
        "organizationalUnit": "",
        "country": "US",
        "state": None,
        "ttlDays": 30,
        "keyUsages": ["digitalSignature"],
        "extendedKeyUsages": ["server_auth"],
        "keyAlgorithm": "RSA-2048",
        "signatureAlgorithm": "SHA256-RSA",
    }

    made = robot.post(PROFILES, body | {"defaults": defaults}).json()["certificateProfile"]

    assert made["defaults"] == {
        "commonName": "server.example.com",
        "organization": "Acme",
        "country": "US",
        "ttlDays": 30,
        "keyUsages": ["digital_signature"],
        "extendedKeyUsages": ["server_auth"],
        "keyAlgorithm": "RSA-2048",
        "signatureAlgorithm": "SHA256-RSA",
    }


def test_unknown_keys_are_ignored_and_named(robot: APIClient, body: dict[str, Any]) -> None:
    response = robot.post(PROFILES, body | {"colour": "red", "apiConfig": {"autoRenew": False, "every": 7}})

    assert response.status_code == 200
    assert sorted(response.json()["warnings"]) == [
        "/apiConfig/every is not known here and was ignored.",
        "/colour is not known here and was ignored.",
    ]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"projectId": 7}, "/projectId"),
        ({"caId": "no-uuid"}, "/caId"),
        ({"caId": ""}, "/caId"),
        ({"caId": 7}, "/caId"),
        ({"certificateTemplateId": "no-uuid"}, "/certificateTemplateId"),
        ({"certificateTemplateId": None}, "/certificateTemplateId"),
        ({"slug": ""}, "/slug"),
        ({"slug": None}, "/slug"),
        ({"slug": 7}, "/slug"),
        ({"slug": "My-Profile"}, "/slug"),
        ({"slug": "my_profile"}, "/slug"),
        ({"slug": "a" * 256}, "/slug"),
        ({"description": "a" * 1001}, "/description"),
        ({"description": ["a"]}, "/description"),
        ({"enrollmentType": "pigeon"}, "/enrollmentType"),
        ({"enrollmentType": None}, "/enrollmentType"),
        ({"enrollmentType": 1}, "/enrollmentType"),
        ({"issuerType": "nobody"}, "/issuerType"),
        ({"apiConfig": []}, "/apiConfig"),
        ({"apiConfig": "yes"}, "/apiConfig"),
        ({"apiConfig": {"autoRenew": "true"}}, "/apiConfig/autoRenew"),
        ({"apiConfig": {"autoRenew": 1}}, "/apiConfig/autoRenew"),
        ({"apiConfig": {"renewBeforeDays": 0}}, "/apiConfig/renewBeforeDays"),
        ({"apiConfig": {"renewBeforeDays": 31}}, "/apiConfig/renewBeforeDays"),
        ({"apiConfig": {"renewBeforeDays": 7.5}}, "/apiConfig/renewBeforeDays"),
        ({"apiConfig": {"renewBeforeDays": "7"}}, "/apiConfig/renewBeforeDays"),
        ({"externalConfigs": 7}, "/externalConfigs"),
        ({"defaults": 7}, "/defaults"),
        ({"defaults": {"ttlDays": 0}}, "/defaults/ttlDays"),
        ({"defaults": {"ttl": "soon"}}, "/defaults/ttl"),
        ({"defaults": {"ttl": "1d", "ttlDays": 1}}, "/defaults/ttl"),
        ({"defaults": {"country": "Elbonia"}}, "/defaults/country"),
        ({"defaults": {"keyUsages": ["fly"]}}, "/defaults/keyUsages/0"),
        ({"defaults": {"keyAlgorithm": "RSA_512"}}, "/defaults/keyAlgorithm"),
    ],
)
def test_wrong_shapes_are_refused_by_place(
    robot: APIClient, body: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    response = robot.post(PROFILES, body | changes)

    assert_error(response, status=422, error="ValidationFailure", field=field)
    assert not CertificateProfile.objects.exists()


@pytest.mark.parametrize("missing", ["projectId", "certificateTemplateId", "slug", "enrollmentType"])
def test_what_is_required_must_be_there(robot: APIClient, body: dict[str, Any], missing: str) -> None:
    response = robot.post(PROFILES, without(body, missing))

    answer = assert_error(response, status=422, error="ValidationFailure", field=f"/{missing}")
    assert answer["message"][0]["message"] == "Required"


# --- EST --------------------------------------------------------------------------------------------------------------


def test_line_86_an_est_profile_answers_its_config_without_the_pass_phrase(
    robot: APIClient, body: dict[str, Any], authority: CertificateAuthority, project: Project
) -> None:
    der = bytes(AuthorityCertificate.objects.get(authority=authority).der)
    pem = x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode().strip()

    created = robot.post(PROFILES, est(body, caChain=pem, disableBootstrapCaValidation=True))

    assert created.status_code == 200
    made = created.json()["certificateProfile"]
    read = robot.get(f"{PROFILES}/{made['id']}")
    listed = robot.get(PROFILES, {"projectId": str(project.pk)})
    config = {"id": made["estConfigId"], "disableBootstrapCaValidation": True, "caChain": pem}
    assert read.json()["certificateProfile"]["estConfig"] == config
    assert listed.json()["certificateProfiles"][0]["estConfig"] == config
    stored = EstEnrollment.objects.get().passphrase_hash
    for response in (created, read, listed):
        assert PASSPHRASE.encode() not in response.content
        assert stored.encode() not in response.content


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"passphrase": ""}, "/estConfig/passphrase"),
        ({"passphrase": 7}, "/estConfig/passphrase"),
        ({"passphrase": None}, "/estConfig/passphrase"),
        ({"caChain": "no PEM"}, "/estConfig/caChain"),
        ({"caChain": 7}, "/estConfig/caChain"),
        ({"disableBootstrapCaValidation": "no"}, "/estConfig/disableBootstrapCaValidation"),
    ],
)
def test_broken_est_configs_are_refused(
    robot: APIClient, body: dict[str, Any], settings: dict[str, Any], field: str
) -> None:
    response = robot.post(PROFILES, est(body, **settings))

    assert_error(response, status=422, error="ValidationFailure", field=field)
    assert PASSPHRASE.encode() not in response.content


def test_a_pass_phrase_is_required(robot: APIClient, body: dict[str, Any]) -> None:
    response = robot.post(PROFILES, est(body) | {"estConfig": {}})

    assert_error(response, status=422, error="ValidationFailure", field="/estConfig/passphrase")


def test_an_acme_profile_answers_its_config(robot: APIClient, body: dict[str, Any]) -> None:
    config = {"skipDnsOwnershipVerification": True}
    sent = without(body, "apiConfig") | {"enrollmentType": "ACME", "acmeConfig": config}

    made = robot.post(PROFILES, sent).json()["certificateProfile"]

    read = robot.get(f"{PROFILES}/{made['id']}").json()["certificateProfile"]
    assert read["acmeConfig"] == config | {"id": made["acmeConfigId"], "skipEabBinding": False}


# --- Read -------------------------------------------------------------------------------------------------------------


def test_line_82_get_by_id_answers_what_the_profile_refers_to(
    robot: APIClient, made: dict[str, Any], authority: CertificateAuthority, template: CertificateTemplate
) -> None:
    profile = robot.get(f"{PROFILES}/{made['id']}").json()["certificateProfile"]

    assert {key: profile[key] for key in made} == made
    assert profile["certificateAuthority"] == {
        "id": str(authority.pk),
        "projectId": made["projectId"],
        "status": "active",
        "name": authority.name,
        "isExternal": False,
    }
    described = {"id": str(template.pk), "projectId": made["projectId"], "name": "server", "description": None}
    assert profile["certificateTemplate"] == profile["certificatePolicy"] == described
    assert "estConfig" not in profile
    assert "acmeConfig" not in profile


def test_line_82_configs_are_answered_on_request(robot: APIClient, made: dict[str, Any]) -> None:
    path = f"{PROFILES}/{made['id']}"

    asked = robot.get(path, {"includeConfigs": "true"}).json()["certificateProfile"]
    declined = robot.get(path, {"includeConfigs": "false"}).json()["certificateProfile"]

    assert asked["apiConfig"]["renewBeforeDays"] == 7
    assert declined == made
    assert_error(robot.get(path, {"includeConfigs": "maybe"}), status=422, error="ValidationFailure")


def test_line_82_get_by_slug(robot: APIClient, made: dict[str, Any], project: Project) -> None:
    path = f"{PROFILES}/slug/my-api-profile"

    found = robot.get(path, {"projectId": str(project.pk)})
    assert found.json()["certificateProfile"]["id"] == made["id"]
    assert_error(robot.get(f"{PROFILES}/slug/none", {"projectId": str(project.pk)}), status=404, error="NotFound")
    assert_error(robot.get(path), status=422, error="ValidationFailure", field="/projectId")
    assert_error(robot.get(path, {"projectId": str(uuid4())}), status=404, error="NotFound")


def test_line_82_unknown_is_not_found(robot: APIClient) -> None:
    assert_error(robot.get(f"{PROFILES}/{uuid4()}"), status=404, error="NotFound")


def fill(project: Project, template: CertificateTemplate, count: int) -> None:
    for number in range(count):
        create_profile(
            requester=SYSTEM,
            project=project,
            slug=f"p-{number:02}",
            description="odd" if number % 2 else "",
            template_id=template.pk,
            enrollment_method="api",
            issuer_type=IssuerType.SELF_SIGNED,
            api=ApiSettings(),
        )


def test_line_83_list_pages_by_20_and_filters(
    robot: APIClient,
    body: dict[str, Any],
    made: dict[str, Any],
    project: Project,
    authority: CertificateAuthority,
    template: CertificateTemplate,
) -> None:
    fill(project, template, 21)
    robot.post(PROFILES, est(body) | {"slug": "est"})

    def listed(**query: Any) -> tuple[list[dict[str, Any]], int]:
        answer = robot.get(PROFILES, {"projectId": str(project.pk)} | query).json()
        return answer["certificateProfiles"], answer["totalCount"]

    first, total = listed()
    rest, _ = listed(offset=20, limit=100)
    assert (len(first), len(rest), total) == (20, 3, 23)
    assert first[0]["slug"] == "est"
    assert rest[-1]["id"] == made["id"]
    assert [row["slug"] for row in listed(enrollmentType="EST")[0]] == ["est"]
    assert listed(issuerType="self-signed")[1] == 21
    assert listed(caId=str(authority.pk))[1] == 2
    assert listed(caId=str(uuid4())) == ([], 0)
    assert listed(search="ODD")[1] == 10
    assert [row["slug"] for row in listed(search="api-PROF")[0]] == ["my-api-profile"]
    assert listed(search="%") == ([], 0)
    assert listed(offset=10**6) == ([], 23)


def test_lists_answer_what_profiles_refer_to_in_a_fixed_number_of_queries(
    robot: APIClient, made: dict[str, Any], project: Project, template: CertificateTemplate
) -> None:
    fill(project, template, 1)
    with CaptureQueriesContext(connection) as few:
        robot.get(PROFILES, {"projectId": str(project.pk)})
    CertificateProfile.objects.exclude(pk=made["id"]).delete()
    fill(project, template, 12)
    with CaptureQueriesContext(connection) as many:
        rows = robot.get(PROFILES, {"projectId": str(project.pk)}).json()["certificateProfiles"]

    assert len(many) == len(few)
    assert len(rows) == 13
    assert rows[-1]["certificateAuthority"]["status"] == "active"
    assert rows[-1]["apiConfig"]["autoRenew"] is True


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"offset": -1}, "/offset"),
        ({"limit": 101}, "/limit"),
        ({"enrollmentType": "pigeon"}, "/enrollmentType"),
        ({"issuerType": "nobody"}, "/issuerType"),
        ({"caId": "no-uuid"}, "/caId"),
        ({"search": "nul\x00"}, "/search"),
    ],
)
def test_a_malformed_query_is_refused(robot: APIClient, project: Project, query: dict[str, Any], field: str) -> None:
    response = robot.get(PROFILES, {"projectId": str(project.pk)} | query)

    assert_error(response, status=422, error="ValidationFailure", field=field)


# --- Change -----------------------------------------------------------------------------------------------------------


def test_line_81_patch_changes_what_it_names(robot: APIClient, made: dict[str, Any]) -> None:
    response = robot.patch(
        f"{PROFILES}/{made['id']}",
        {"slug": "new", "apiConfig": {"autoRenew": False}, "defaults": {"ttl": "1y"}, "description": None},
    )

    assert response.status_code == 200
    profile = response.json()["certificateProfile"]
    assert (profile["slug"], profile["description"], profile["defaults"]) == ("new", None, {"ttl": "1y"})
    assert profile["apiConfigId"] == made["apiConfigId"]
    config = robot.get(f"{PROFILES}/{made['id']}").json()["certificateProfile"]["apiConfig"]
    assert (config["autoRenew"], config["renewBeforeDays"]) == (False, 7)


def test_patch_of_nothing_changes_nothing(robot: APIClient, made: dict[str, Any]) -> None:
    assert robot.patch(f"{PROFILES}/{made['id']}", {}).json() == {"certificateProfile": made, "warnings": []}


def test_patch_with_null_defaults_clears_them(robot: APIClient, body: dict[str, Any]) -> None:
    made = robot.post(PROFILES, body | {"defaults": {"ttl": "1y"}}).json()["certificateProfile"]

    changed = robot.patch(f"{PROFILES}/{made['id']}", {"defaults": None}).json()["certificateProfile"]

    assert changed["defaults"] is None


def test_line_81_ca_and_template_do_not_change_and_are_named(robot: APIClient, made: dict[str, Any]) -> None:
    changes = {"caId": str(uuid4()), "certificateTemplateId": str(uuid4()), "certificatePolicyId": str(uuid4())}

    answer = robot.patch(f"{PROFILES}/{made['id']}", changes).json()

    assert answer["certificateProfile"] == made
    assert answer["warnings"] == [
        f"/{key} was ignored: a profile moves to another CA or template by moveTo." for key in changes
    ]


def test_line_81_patch_of_unknown_is_not_found(robot: APIClient) -> None:
    assert_error(robot.patch(f"{PROFILES}/{uuid4()}", {"slug": "x"}), status=404, error="NotFound")


def test_the_issuer_type_does_not_change(robot: APIClient, made: dict[str, Any]) -> None:
    response = robot.patch(f"{PROFILES}/{made['id']}", {"issuerType": "self-signed"})

    assert_error(response, status=403, error="ForbiddenError")


def test_patch_to_a_taken_slug_is_forbidden(robot: APIClient, body: dict[str, Any], made: dict[str, Any]) -> None:
    robot.post(PROFILES, body | {"slug": "other"})

    response = robot.patch(f"{PROFILES}/{made['id']}", {"slug": "other"})

    assert_error(response, status=403, error="ForbiddenError", field="/slug")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"estConfig": {"passphrase": "x"}}, "/estConfig"),
        ({"estConfig": {"passphrase": "x"}, "apiConfig": {"autoRenew": True}}, "/estConfig"),
        ({"enrollmentType": "est", "apiConfig": {"autoRenew": True}}, "/apiConfig"),
        ({"slug": None}, "/slug"),
        ({"slug": "No"}, "/slug"),
        ({"apiConfig": {"renewBeforeDays": 99}}, "/apiConfig/renewBeforeDays"),
        ({"defaults": {"ttl": "soon"}}, "/defaults/ttl"),
        ({"enrollmentType": "pigeon"}, "/enrollmentType"),
    ],
)
def test_a_malformed_patch_changes_nothing(
    robot: APIClient, made: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    response = robot.patch(f"{PROFILES}/{made['id']}", {"description": "changed"} | changes)

    assert_error(response, status=422, error="ValidationFailure", field=field)
    assert CertificateProfile.objects.get().description == made["description"]


def test_line_87_another_enrollment_type_makes_no_config_and_the_answer_says_so(
    robot: APIClient, made: dict[str, Any]
) -> None:
    answer = robot.patch(
        f"{PROFILES}/{made['id']}", {"enrollmentType": "est", "estConfig": {"passphrase": PASSPHRASE}}
    ).json()

    profile = answer["certificateProfile"]
    assert (profile["enrollmentType"], profile["estConfigId"]) == ("est", None)
    assert profile["apiConfigId"] == made["apiConfigId"]
    assert answer["warnings"][0].startswith("/estConfig was left out of account")
    assert not EstEnrollment.objects.exists()


def test_line_84_delete_answers_the_profile(robot: APIClient, made: dict[str, Any]) -> None:
    response = robot.delete(f"{PROFILES}/{made['id']}")

    assert response.status_code == 200
    assert response.json() == {"certificateProfile": made}
    assert not CertificateProfile.objects.exists()
    assert_error(robot.delete(f"{PROFILES}/{made['id']}"), status=404, error="NotFound")


# --- Who may ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
@pytest.mark.parametrize("reference", ["7", "no-uuid", "my-api-profile", "%00"])
def test_a_malformed_id_is_refused(robot: APIClient, method: str, reference: str) -> None:
    assert_error(getattr(robot, method)(f"{PROFILES}/{reference}"), status=422, error="ValidationFailure")


@pytest.mark.parametrize("slug", ["%00", "a" * 300, "ä", "a%2fb"])
def test_a_strange_slug_is_not_found(robot: APIClient, project: Project, slug: str) -> None:
    response = robot.get(f"{PROFILES}/slug/{slug}", {"projectId": str(project.pk)})

    assert_error(response, status=404, error="NotFound")


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_the_wrong_method_is_refused(robot: APIClient, method: str) -> None:
    assert_error(getattr(robot, method)(PROFILES), status=405, error="MethodNotAllowed")


def test_anonymous_gets_nothing(made: dict[str, Any]) -> None:
    nobody = APIClient()

    for response in (
        nobody.get(PROFILES),
        nobody.post(PROFILES, {}),
        nobody.get(f"{PROFILES}/{made['id']}"),
        nobody.get(f"{PROFILES}/slug/{made['slug']}", {"projectId": made["projectId"]}),
        nobody.patch(f"{PROFILES}/{made['id']}", {}),
        nobody.delete(f"{PROFILES}/{made['id']}"),
    ):
        assert_error(response, status=401, error="UnauthorizedError")


def test_for_an_outsider_nothing_exists(made: dict[str, Any], body: dict[str, Any]) -> None:
    charlie = client_with(make_project("Other"), Role.ADMIN)

    for response in (
        charlie.get(PROFILES, {"projectId": made["projectId"]}),
        charlie.post(PROFILES, body | {"slug": "charlies"}),
        charlie.get(f"{PROFILES}/{made['id']}"),
        charlie.get(f"{PROFILES}/slug/{made['slug']}", {"projectId": made["projectId"]}),
        charlie.patch(f"{PROFILES}/{made['id']}", {"description": "charlie was here"}),
        charlie.delete(f"{PROFILES}/{made['id']}"),
    ):
        assert_error(response, status=404, error="NotFound")
    assert CertificateProfile.objects.get().description == made["description"]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.MEMBER])
def test_reading_roles_read_and_change_nothing(
    made: dict[str, Any], body: dict[str, Any], project: Project, role: Role
) -> None:
    bob = client_with(project, role)

    assert bob.get(f"{PROFILES}/{made['id']}").status_code == 200
    assert bob.get(PROFILES, {"projectId": made["projectId"]}).json()["totalCount"] == 1
    for response in (
        bob.post(PROFILES, body | {"slug": "bobs"}),
        bob.patch(f"{PROFILES}/{made['id']}", {"description": "bob was here"}),
        bob.delete(f"{PROFILES}/{made['id']}"),
    ):
        assert_error(response, status=403, error="PermissionDenied")
    assert CertificateProfile.objects.get().description == made["description"]


def test_an_operator_may_do_all(body: dict[str, Any], project: Project) -> None:
    operator = client_with(project, Role.OPERATOR)

    made = operator.post(PROFILES, body).json()["certificateProfile"]

    assert operator.patch(f"{PROFILES}/{made['id']}", {"slug": "new"}).status_code == 200
    assert operator.delete(f"{PROFILES}/{made['id']}").status_code == 200


# --- Keys, waivers, moving, defaults ----------------------------------------------------------------------------------


def test_key_retention_is_set_changed_and_answered(robot: APIClient, body: dict[str, Any]) -> None:
    made = robot.post(PROFILES, body | {"keyRetention": "ESCROW"}).json()["certificateProfile"]
    assert made["keyRetention"] == "escrow"

    changed = robot.patch(f"{PROFILES}/{made['id']}", {"keyRetention": "once"}).json()["certificateProfile"]

    assert changed["keyRetention"] == "once"
    assert robot.get(f"{PROFILES}/{made['id']}").json()["certificateProfile"]["keyRetention"] == "once"
    response = robot.patch(f"{PROFILES}/{made['id']}", {"keyRetention": "forever"})
    assert_error(response, status=422, error="ValidationFailure", field="/keyRetention")


WAIVER = {"code": "pkix.name_empty", "reason": "The devices have no name until they are installed."}


def test_waivers_are_set_changed_and_answered(robot: APIClient, body: dict[str, Any]) -> None:
    ending = WAIVER | {"expiresAt": "2027-06-30T02:00:00+02:00"}
    made = robot.post(PROFILES, body | {"lintWaivers": [ending]}).json()["certificateProfile"]
    assert made["lintWaivers"] == [WAIVER | {"expiresAt": "2027-06-30T00:00:00.000Z"}]

    changed = robot.patch(f"{PROFILES}/{made['id']}", {"lintWaivers": [WAIVER]}).json()["certificateProfile"]

    assert changed["lintWaivers"] == [WAIVER]
    cleared = robot.patch(f"{PROFILES}/{made['id']}", {"lintWaivers": None}).json()["certificateProfile"]
    assert cleared["lintWaivers"] == []


@pytest.mark.parametrize(
    ("waiver", "field"),
    [
        ({"reason": WAIVER["reason"]}, "/lintWaivers/0/code"),
        (WAIVER | {"code": "pkix.no_such"}, "/lintWaivers/0/code"),
        ({"code": "pkix.name_empty"}, "/lintWaivers/0/reason"),
        (WAIVER | {"reason": "because"}, "/lintWaivers/0/reason"),
        (WAIVER | {"reason": "x" * 501}, "/lintWaivers/0/reason"),
        (WAIVER | {"expiresAt": "soon"}, "/lintWaivers/0/expiresAt"),
        (WAIVER | {"expiresAt": 7}, "/lintWaivers/0/expiresAt"),
        ("x", "/lintWaivers/0"),
        (None, "/lintWaivers/0"),
    ],
)
def test_what_no_waiver_can_be_is_malformed(
    robot: APIClient, body: dict[str, Any], made: dict[str, Any], waiver: Any, field: str
) -> None:
    for response in (
        robot.post(PROFILES, body | {"slug": "other", "lintWaivers": [waiver]}),
        robot.patch(f"{PROFILES}/{made['id']}", {"lintWaivers": [waiver]}),
    ):
        assert_error(response, status=422, error="ValidationFailure", field=field)


def test_a_profile_moves_by_one_explicit_field(robot: APIClient, made: dict[str, Any], project: Project) -> None:
    authority = make_authority(project)
    template = create_template(requester=SYSTEM, project=project, document=TemplateDocument(name="other"))

    response = robot.patch(
        f"{PROFILES}/{made['id']}",
        {"moveTo": {"caId": str(authority.pk), "certificatePolicyId": str(template.pk)}, "slug": "moved"},
    )

    assert response.status_code == 200, response.json()
    moved = response.json()["certificateProfile"]
    assert (moved["caId"], moved["certificateTemplateId"], moved["slug"], moved["version"]) == (
        str(authority.pk),
        str(template.pk),
        "moved",
        2,
    )
    assert response.json()["warnings"] == []
    back = {"moveTo": {"certificateTemplateId": made["certificateTemplateId"], "caId": None}}
    moved = robot.patch(f"{PROFILES}/{made['id']}", back).json()["certificateProfile"]
    assert (moved["caId"], moved["certificateTemplateId"]) == (str(authority.pk), made["certificateTemplateId"])


@pytest.mark.parametrize(
    ("to", "status", "error", "field"),
    [
        ({}, 422, "ValidationFailure", "/moveTo"),
        ("x", 422, "ValidationFailure", "/moveTo"),
        (None, 422, "ValidationFailure", "/moveTo"),
        ({"caId": "x"}, 422, "ValidationFailure", "/moveTo/caId"),
        (
            {"certificateTemplateId": str(uuid4()), "certificatePolicyId": str(uuid4())},
            422,
            "ValidationFailure",
            "/moveTo/certificatePolicyId",
        ),
        ({"caId": str(uuid4())}, 404, "NotFound", None),
        ({"certificateTemplateId": str(uuid4())}, 404, "NotFound", None),
    ],
)
def test_a_move_that_cannot_be(
    robot: APIClient, made: dict[str, Any], to: Any, status: int, error: str, field: str | None
) -> None:
    response = robot.patch(f"{PROFILES}/{made['id']}", {"moveTo": to})

    assert_error(response, status=status, error=error, field=field)


def test_all_defaults_are_set_and_answered(robot: APIClient, body: dict[str, Any]) -> None:
    defaults = {
        "commonName": "service.acme.com",
        "organization": "Acme",
        "organizationalUnit": "Web",
        "country": "US",
        "state": "CA",
        "locality": "Springfield",
        "ttlDays": 30,
        "keyUsages": ["digital_signature"],
        "extendedKeyUsages": ["server_auth"],
        "keyAlgorithm": "EC_prime256v1",
        "signatureAlgorithm": "ECDSA-SHA256",
    }

    answer = robot.post(PROFILES, body | {"defaults": defaults}).json()

    assert answer["certificateProfile"]["defaults"] == defaults


def test_a_default_that_cannot_pass_is_warned_of(robot: APIClient, project: Project, body: dict[str, Any]) -> None:
    template = create_template(requester=SYSTEM, project=project, document=server_template(name="strict"))
    body |= {"certificateTemplateId": str(template.pk)}

    defaults = {"country": "US", "domainComponents": ["com"], "ttl": "2y"}
    answer = robot.post(PROFILES, body | {"defaults": defaults}).json()

    places = [warning.partition(" ")[0] for warning in answer["warnings"]]
    assert places == ["/defaults/domainComponents", "/defaults/country", "/defaults/ttl"]
    assert all("cannot pass" in warning for warning in answer["warnings"])
    answer = robot.patch(
        f"{PROFILES}/{answer['certificateProfile']['id']}", {"defaults": {"organization": "Acme", "ttl": "90d"}}
    ).json()
    assert answer["warnings"] == []


def test_a_usual_validity_beyond_the_ca_is_warned_of_once(
    robot: APIClient, project: Project, body: dict[str, Any]
) -> None:
    template = create_template(requester=SYSTEM, project=project, document=server_template())
    authority = make_authority(project, not_after=timezone.now() + timedelta(days=100))
    asked = body | {"caId": str(authority.pk), "certificateTemplateId": str(template.pk)}
    first = robot.post(PROFILES, asked | {"slug": "usual", "defaults": {"ttl": "120d"}}).json()["warnings"]
    assert [each.partition(" ")[0] for each in first] == ["/defaults/ttl"]
    (second,) = robot.post(PROFILES, asked | {"slug": "longest", "defaults": {}}).json()["warnings"]
    assert second.startswith("ca_ends_before_longest: The CA ends on ")
