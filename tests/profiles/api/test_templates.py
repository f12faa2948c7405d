"""Templates over HTTP; `line` numbers are those of the conformance check-list."""

import re
from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from pki_portal.access.models import Project, Role
from profiles.models import CertificateTemplate
from profiles.policy.vocabulary import IssuerType
from profiles.services import ApiSettings, create_profile
from tests.assertions import assert_error
from tests.factories import SYSTEM, make_identity, make_project, make_token

pytestmark = pytest.mark.django_db

TEMPLATES = "/api/v1/cert-manager/certificate-templates"
POLICIES = "/api/v1/cert-manager/certificate-policies"
RULES: dict[str, Any] = {
    "description": "For web servers",
    "subject": [{"type": "common_name", "allowed": ["*.example.com"]}],
    "sans": [{"type": "dns_name", "required": ["*.example.com"]}],
    "keyUsages": {"required": ["digital_signature"], "allowed": ["key_encipherment"]},
    "extendedKeyUsages": {"required": ["server_auth"]},
    "algorithms": {"signature": ["SHA256-RSA"], "keyAlgorithm": ["RSA-2048", "EC_prime256v1"]},
    "validity": {"max": "90d"},
    "basicConstraints": {"isCA": "allowed", "maxPathLength": -1},
}


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def robot(project: Project) -> APIClient:
    return client_of(project, Role.ADMIN)


def client_of(project: Project | None, role: Role) -> APIClient:
    identity, _, _ = make_identity(project, role=role)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {make_token(identity)}")
    return client


@pytest.fixture
def body(project: Project) -> dict[str, Any]:
    return {"projectId": str(project.pk), "name": "tls-server", **RULES}


@pytest.fixture
def made(robot: APIClient, body: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = robot.post(TEMPLATES, body).json()["certificateTemplate"]
    return answer


def told(answer: dict[str, Any]) -> list[str]:
    """The warnings; of risks the code alone."""
    return [each if each.startswith("/") else each.partition(":")[0] for each in answer["warnings"]]


# Of RULES: a required name refuses no others, so any wildcard passes beside it.
RISKS = ["any_wildcard", "ca_allowed"]


def use(template_id: str, slug: str) -> None:
    template = CertificateTemplate.objects.select_related("project").get(pk=template_id)
    create_profile(
        requester=SYSTEM,
        project=template.project,
        slug=slug,
        template_id=template.pk,
        enrollment_method="api",
        issuer_type=IssuerType.SELF_SIGNED,
        api=ApiSettings(),
    )


def test_create_answers_the_template(robot: APIClient, body: dict[str, Any], project: Project) -> None:
    response = robot.post(TEMPLATES, body)

    assert response.status_code == 200
    assert set(response.json()) == {"certificateTemplate", "warnings"}
    template = response.json()["certificateTemplate"]
    assert {key: template[key] for key in RULES} == RULES
    assert template["name"] == "tls-server"
    assert template["projectId"] == str(project.pk)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", template["createdAt"])
    assert told(response.json()) == RISKS


def test_create_with_a_name_alone_answers_every_key(robot: APIClient, project: Project) -> None:
    template = robot.post(TEMPLATES, {"projectId": str(project.pk), "name": "bare"}).json()["certificateTemplate"]

    assert template["description"] is None
    assert (template["subject"], template["sans"]) == ([], [])
    for key in ("keyUsages", "extendedKeyUsages", "algorithms", "validity", "basicConstraints"):
        assert template[key] is None


def test_line_30_the_name_becomes_a_slug_and_the_answer_says_so(robot: APIClient, body: dict[str, Any]) -> None:
    answer = robot.post(TEMPLATES, body | {"name": "TLS Server!"}).json()

    assert answer["certificateTemplate"]["name"] == "tls-server"
    assert "/name" in answer["warnings"][0]


def test_a_taken_name_gets_a_random_end(robot: APIClient, body: dict[str, Any], made: dict[str, Any]) -> None:
    answer = robot.post(TEMPLATES, body).json()

    assert re.fullmatch("tls-server-[a-z0-9]{8}", answer["certificateTemplate"]["name"])
    assert answer["warnings"]


def test_words_are_read_in_any_spelling_and_answered_in_one(robot: APIClient, body: dict[str, Any]) -> None:
    answer = robot.post(
        TEMPLATES,
        body
        | {
            "subject": [{"type": "COMMON_NAME", "allowed": ["*"]}],
            "sans": [
                {"type": "DNS", "allowed": ["*"]},
                {"type": "IP", "allowed": ["*"]},
                {"type": "EMAIL", "denied": ["*"]},
            ],
            "keyUsages": {"allowed": ["digitalSignature", "cRLSign"]},
            "extendedKeyUsages": {"allowed": ["serverAuth"]},
            "basicConstraints": {"isCA": "DENIED"},
        },
    ).json()["certificateTemplate"]

    assert answer["subject"] == [{"type": "common_name", "allowed": ["*"]}]
    assert [rule["type"] for rule in answer["sans"]] == ["dns_name", "ip_address", "email"]
    assert answer["keyUsages"] == {"allowed": ["digital_signature", "crl_sign"]}
    assert answer["extendedKeyUsages"] == {"allowed": ["server_auth"]}
    assert answer["basicConstraints"] == {"isCA": "denied"}


@pytest.mark.parametrize(
    "algorithms",
    [
        {"signature": ["SHA256-RSA", "sha512-ecdsa"], "keyAlgorithm": ["RSA-2048", "ECDSA-P256"]},
        {"signature": ["RSA-SHA256"], "keyAlgorithm": ["RSA_2048", "EC_prime256v1", "ED25519"]},
        {"keyAlgorithm": ["P-256"]},
    ],
)
def test_algorithms_are_answered_as_they_were_asked(
    robot: APIClient, body: dict[str, Any], algorithms: dict[str, list[str]]
) -> None:
    answer = robot.post(TEMPLATES, body | {"algorithms": algorithms}).json()["certificateTemplate"]

    assert answer["algorithms"] == algorithms


def test_integers_are_answered_as_integers(robot: APIClient, body: dict[str, Any]) -> None:
    sent = body | {"basicConstraints": {"isCA": "allowed", "maxPathLength": 2.0}}

    assert b'"maxPathLength":2}' in robot.post(TEMPLATES, sent).content


def test_the_later_names_are_aliases(robot: APIClient, body: dict[str, Any], project: Project) -> None:
    created = robot.post(POLICIES, body)
    assert created.status_code == 200
    policy = created.json()["certificatePolicy"]
    path = f"{POLICIES}/{policy['id']}"

    assert robot.get(path).json() == {"certificatePolicy": policy}
    listed = robot.get(POLICIES, {"projectId": str(project.pk)}).json()
    assert listed == {"certificatePolicies": [policy], "totalCount": 1}
    assert robot.patch(path, {"name": "new"}).json()["certificatePolicy"]["name"] == "new"
    assert robot.delete(path).json()["certificatePolicy"]["id"] == policy["id"]
    assert_error(robot.get(path), status=404, error="NotFound")


def test_unknown_keys_are_ignored_and_named(robot: APIClient, body: dict[str, Any]) -> None:
    response = robot.post(
        TEMPLATES, body | {"colour": "red", "subject": [{"type": "common_name", "allowed": ["*"], "a/b": 1}]}
    )

    assert response.status_code == 200
    assert sorted(told(response.json())) == [
        "/colour is not known here and was ignored.",
        "/subject/0/a~1b is not known here and was ignored.",
        *RISKS,
    ]


def test_line_31_patch_changes_what_it_names(robot: APIClient, made: dict[str, Any]) -> None:
    response = robot.patch(f"{TEMPLATES}/{made['id']}", {"name": "New Name", "validity": {"max": "1y"}})

    assert response.status_code == 200
    template = response.json()["certificateTemplate"]
    assert template["name"] == "new-name"
    assert template["validity"] == {"max": "1y"}
    assert template["subject"] == made["subject"]
    assert template["description"] == made["description"]


def test_patch_of_nothing_changes_nothing(robot: APIClient, made: dict[str, Any]) -> None:
    answer = robot.patch(f"{TEMPLATES}/{made['id']}", {}).json()
    assert (answer["certificateTemplate"], told(answer)) == (made, [*RISKS, "unused"])


def test_patch_does_not_move_a_template(robot: APIClient, made: dict[str, Any]) -> None:
    answer = robot.patch(f"{TEMPLATES}/{made['id']}", {"projectId": str(uuid4())}).json()

    assert answer["certificateTemplate"]["projectId"] == made["projectId"]
    assert told(answer) == ["/projectId is not known here and was ignored.", *RISKS, "unused"]


def test_patch_with_null_empties_a_rule(robot: APIClient, made: dict[str, Any]) -> None:
    changes = {"keyUsages": None, "sans": None, "description": None}

    template = robot.patch(f"{TEMPLATES}/{made['id']}", changes).json()["certificateTemplate"]

    assert (template["keyUsages"], template["sans"], template["description"]) == (None, [], None)


def test_line_32_unknown_is_not_found(robot: APIClient) -> None:
    path = f"{TEMPLATES}/{uuid4()}"

    assert_error(robot.get(path), status=404, error="NotFound")
    assert_error(robot.patch(path, {"name": "x"}), status=404, error="NotFound")
    assert_error(robot.delete(path), status=404, error="NotFound")


def test_line_33_list_pages_by_20_and_searches(robot: APIClient, project: Project) -> None:
    CertificateTemplate.objects.bulk_create(
        CertificateTemplate(project=project, name=f"t-{number:02}", description="odd" if number % 2 else "")
        for number in range(22)
    )
    CertificateTemplate.objects.create(project=make_project("Other"), name="foreign")

    def listed(**query: Any) -> Any:
        return robot.get(TEMPLATES, {"projectId": str(project.pk)} | query).json()

    first, rest, one, odd = listed(), listed(offset=20), listed(limit=1), listed(search="ODD", limit=100)

    assert (len(first["certificateTemplates"]), first["totalCount"]) == (20, 22)
    assert (len(rest["certificateTemplates"]), rest["totalCount"]) == (2, 22)
    assert len(one["certificateTemplates"]) == 1
    assert (len(odd["certificateTemplates"]), odd["totalCount"]) == (11, 11)
    assert len({row["id"] for row in first["certificateTemplates"] + rest["certificateTemplates"]}) == 22


def test_lists_are_newest_first(robot: APIClient, body: dict[str, Any], project: Project) -> None:
    for name in ("first", "second", "third"):
        robot.post(TEMPLATES, body | {"name": name})

    rows = robot.get(TEMPLATES, {"projectId": str(project.pk)}).json()["certificateTemplates"]

    assert [row["name"] for row in rows] == ["third", "second", "first"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"offset": -1}, "/offset"),
        ({"limit": 0}, "/limit"),
        ({"limit": 101}, "/limit"),
        ({"limit": "many"}, "/limit"),
        ({"search": "nul\x00"}, "/search"),
        ({"projectId": ""}, "/projectId"),
    ],
)
def test_a_malformed_query_is_refused(robot: APIClient, project: Project, query: dict[str, Any], field: str) -> None:
    response = robot.get(TEMPLATES, {"projectId": str(project.pk)} | query)

    assert_error(response, status=422, error="ValidationFailure", field=field)


def test_a_list_needs_its_project(robot: APIClient) -> None:
    assert_error(robot.get(TEMPLATES), status=422, error="ValidationFailure", field="/projectId")
    assert_error(robot.get(TEMPLATES, {"projectId": "no-uuid"}), status=404, error="NotFound")
    assert_error(robot.get(TEMPLATES, {"projectId": str(uuid4())}), status=404, error="NotFound")


def test_line_34_delete_answers_the_template(robot: APIClient, made: dict[str, Any]) -> None:
    response = robot.delete(f"{TEMPLATES}/{made['id']}")

    assert response.status_code == 200
    assert response.json() == {"certificateTemplate": made}
    assert not CertificateTemplate.objects.exists()


def test_line_35_delete_in_use_is_forbidden_and_lists_the_slugs(robot: APIClient, made: dict[str, Any]) -> None:
    use(made["id"], "web")
    use(made["id"], "mail")

    body = assert_error(robot.delete(f"{TEMPLATES}/{made['id']}"), status=403, error="ForbiddenError")

    assert "mail, web" in body["message"]
    assert CertificateTemplate.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"projectId": 7}, "/projectId"),
        ({"projectId": ""}, "/projectId"),
        ({"name": None}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "!!!"}, "/name"),
        ({"name": "x" * 256}, "/name"),
        ({"name": ["a"]}, "/name"),
        ({"description": "x" * 1001}, "/description"),
        ({"description": 7}, "/description"),
        ({"subject": {}}, "/subject"),
        ({"subject": [7]}, "/subject/0"),
        ({"subject": [{"allowed": ["*"]}]}, "/subject/0/type"),
        ({"subject": [{"type": "colour", "allowed": ["*"]}]}, "/subject/0/type"),
        ({"subject": [{"type": "common_name"}]}, "/subject/0"),
        ({"subject": [{"type": "common_name", "allowed": [7]}]}, "/subject/0/allowed/0"),
        ({"subject": [{"type": "common_name", "allowed": "*"}]}, "/subject/0/allowed"),
        ({"subject": [{"type": "common_name", "allowed": ["x" * 501]}]}, "/subject/0/allowed/0"),
        ({"sans": [{"type": "dns_name", "allowed": ["*"] * 251}]}, "/sans/0/allowed"),
        ({"sans": [{"type": "directory_name", "allowed": ["*"]}]}, "/sans/0/type"),
        ({"keyUsages": {}}, "/keyUsages"),
        ({"keyUsages": []}, "/keyUsages"),
        ({"keyUsages": {"allowed": ["fly"]}}, "/keyUsages/allowed/0"),
        ({"keyUsages": {"allowed": ["crl_sign"], "denied": ["crl_sign"]}}, "/keyUsages/denied"),
        ({"extendedKeyUsages": {"denied": []}}, "/extendedKeyUsages"),
        ({"algorithms": {"signature": []}}, "/algorithms/signature"),
        ({"algorithms": {"keyAlgorithm": ["RSA_512"]}}, "/algorithms/keyAlgorithm/0"),
        ({"algorithms": {"keyAlgorithm": [2048]}}, "/algorithms/keyAlgorithm/0"),
        ({"validity": {"max": "soon"}}, "/validity/max"),
        ({"validity": {"max": 90}}, "/validity/max"),
        ({"validity": "90d"}, "/validity"),
        ({"basicConstraints": {"isCA": True}}, "/basicConstraints/isCA"),
        ({"basicConstraints": {"isCA": "allowed", "maxPathLength": -2}}, "/basicConstraints/maxPathLength"),
        ({"basicConstraints": {"isCA": "allowed", "maxPathLength": 1.5}}, "/basicConstraints/maxPathLength"),
        ({"basicConstraints": {"isCA": "allowed", "maxPathLength": 10**6}}, "/basicConstraints/maxPathLength"),
    ],
)
def test_wrong_shapes_are_refused_by_place(
    robot: APIClient, body: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    response = robot.post(TEMPLATES, body | changes)

    assert_error(response, status=422, error="ValidationFailure", field=field)
    assert not CertificateTemplate.objects.exists()


@pytest.mark.parametrize("missing", ["projectId", "name"])
def test_what_is_required_must_be_there(robot: APIClient, body: dict[str, Any], missing: str) -> None:
    del body[missing]

    answer = assert_error(robot.post(TEMPLATES, body), status=422, error="ValidationFailure", field=f"/{missing}")

    assert answer["message"][0]["message"] == "Required"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        (
            {"subject": [{"type": "common_name", "allowed": ["a"]}, {"type": "CN", "denied": ["b"]}]},
            "/subject/1/type",
        ),
        ({"sans": [{"type": "dns_name", "allowed": ["a"]}, {"type": "DNS", "denied": ["b"]}]}, "/sans/1/type"),
        ({"subject": [{"type": "common_name", "allowed": ["a", "a"]}]}, "/subject/0/allowed/1"),
        ({"keyUsages": {"allowed": ["crl_sign", "cRLSign"]}}, "/keyUsages/allowed/1"),
        ({"extendedKeyUsages": {"required": ["server_auth", "server_auth"]}}, "/extendedKeyUsages/required/1"),
    ],
)
def test_what_stands_twice_is_forbidden(
    robot: APIClient, body: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    response = robot.post(TEMPLATES, body | changes)

    assert_error(response, status=403, error="ForbiddenError", field=field)
    assert not CertificateTemplate.objects.exists()


@pytest.mark.parametrize("sent", [b"[]", b'"x"', b"7", b"null", b"{", b"\xff", b'{"name": "\\u0000"}', b'{"a": NaN}'])
def test_what_is_no_object_of_json_is_refused(robot: APIClient, sent: bytes) -> None:
    response = robot.post(TEMPLATES, sent, content_type="application/json")

    assert_error(response, status=422, error="ValidationFailure")


def test_a_body_that_is_too_deep_or_too_large_is_refused(robot: APIClient) -> None:
    deep = robot.post(TEMPLATES, b'{"subject":' * 50_000, content_type="application/json")
    large = robot.post(TEMPLATES, b'{"name":"' + b"x" * 2**20 + b'"}', content_type="application/json")

    assert deep.status_code == 422
    assert_error(large, status=413, error="PayloadTooLarge")


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
@pytest.mark.parametrize("reference", ["7", "no-uuid", "tls-server", "%00", "a" * 300])
def test_a_malformed_id_is_refused(robot: APIClient, method: str, reference: str) -> None:
    response = getattr(robot, method)(f"{TEMPLATES}/{reference}")

    assert_error(response, status=422, error="ValidationFailure")


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_the_wrong_method_is_refused(robot: APIClient, method: str) -> None:
    assert_error(getattr(robot, method)(TEMPLATES), status=405, error="MethodNotAllowed")


def test_an_address_with_a_slash_at_its_end_is_not_found(robot: APIClient) -> None:
    assert_error(robot.post(f"{TEMPLATES}/", {}), status=404, error="NotFound")


def test_anonymous_gets_nothing(made: dict[str, Any]) -> None:
    nobody = APIClient()

    for response in (
        nobody.get(TEMPLATES),
        nobody.post(TEMPLATES, {}),
        nobody.get(f"{TEMPLATES}/{made['id']}"),
        nobody.patch(f"{TEMPLATES}/{made['id']}", {}),
        nobody.delete(f"{TEMPLATES}/{made['id']}"),
    ):
        assert_error(response, status=401, error="UnauthorizedError")


def test_for_an_outsider_nothing_exists(made: dict[str, Any], body: dict[str, Any], project: Project) -> None:
    charlie = client_of(make_project("Other"), Role.ADMIN)

    for response in (
        charlie.get(TEMPLATES, {"projectId": str(project.pk)}),
        charlie.post(TEMPLATES, body),
        charlie.get(f"{TEMPLATES}/{made['id']}"),
        charlie.patch(f"{TEMPLATES}/{made['id']}", {"description": "charlie was here"}),
        charlie.delete(f"{TEMPLATES}/{made['id']}"),
    ):
        assert_error(response, status=404, error="NotFound")
    assert CertificateTemplate.objects.get().description == "For web servers"


def test_a_viewer_reads_and_changes_nothing(made: dict[str, Any], body: dict[str, Any], project: Project) -> None:
    viewer = client_of(project, Role.VIEWER)

    assert viewer.get(f"{TEMPLATES}/{made['id']}").json() == {"certificateTemplate": made}
    assert viewer.get(TEMPLATES, {"projectId": str(project.pk)}).json()["totalCount"] == 1
    for response in (
        viewer.post(TEMPLATES, body),
        viewer.patch(f"{TEMPLATES}/{made['id']}", {"description": "the viewer was here"}),
        viewer.delete(f"{TEMPLATES}/{made['id']}"),
    ):
        assert_error(response, status=403, error="PermissionDenied")
    assert CertificateTemplate.objects.get().description == "For web servers"


def test_without_access_nothing_is_read(made: dict[str, Any], project: Project) -> None:
    locked_out = client_of(project, Role.NO_ACCESS)

    for response in (
        locked_out.get(TEMPLATES, {"projectId": str(project.pk)}),
        locked_out.get(f"{TEMPLATES}/{made['id']}"),
    ):
        assert_error(response, status=403, error="PermissionDenied")
