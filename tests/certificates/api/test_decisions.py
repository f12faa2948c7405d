"""The stored decision of a certificate or of a request: every rule, told in the wire's words."""

from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from certificates.models import Certificate, CertificateRequest
from pki_portal.access.models import Role
from profiles.services import update_template
from tests.assertions import assert_error
from tests.factories import SYSTEM, make_project
from tests.wire import CERTIFICATES, REQUESTS, Pki, issue_body, issued, make_client, make_csr, make_pki, post_json

pytestmark = pytest.mark.django_db

KEYS = {
    *("certificateId", "certificateRequestId", "profileId", "profileVersion", "certificateTemplateId"),
    *("templateVersion", "decision", "plan", "rules", "warnings", "approvals"),
}


@pytest.fixture
def pki() -> Pki:
    return make_pki()


@pytest.fixture
def robot(pki: Pki) -> Client:
    return make_client(pki.project)


def refused(robot: Client, pki: Pki) -> str:
    """The id of a request that was refused."""
    response = post_json(robot, CERTIFICATES, issue_body(pki.profile, ttl="999d", commonName=""))
    assert response.status_code == 400, response.json()
    return str(CertificateRequest.objects.get(status="failed").pk)


def test_an_issued_certificate_tells_its_plan_and_the_versions_that_judged_it(pki: Pki, robot: Client) -> None:
    update_template(requester=SYSTEM, template=pki.profile.template, changes={"description": "second"})
    made = issued(robot, pki.profile)

    response = robot.get(f"{CERTIFICATES}/{made['certificateId']}/decision")

    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    told = response.json()
    assert told.keys() == KEYS
    request = Certificate.objects.get().issuing_request
    assert (told["certificateId"], told["certificateRequestId"]) == (made["certificateId"], str(request.pk))
    assert (told["profileId"], told["profileVersion"]) == (str(pki.profile.pk), 1)
    assert (told["certificateTemplateId"], told["templateVersion"]) == (str(pki.profile.template_id), 2)
    assert told["decision"] == "issued"
    assert told["plan"]["subject"] == [{"type": "common_name", "value": "service.acme.com"}]
    assert told["plan"]["altNames"] == [{"type": "dns_name", "value": "service.acme.com"}]
    assert told["plan"]["keyUsages"] == ["digitalSignature"]
    assert told["plan"]["extendedKeyUsages"] == ["serverAuth"]
    assert told["plan"]["basicConstraints"] == {"isCA": False}
    assert told["plan"]["notAfter"].endswith("Z")
    assert {rule["verdict"] for rule in told["rules"]} == {"pass", "filled"}
    (name,) = [rule for rule in told["rules"] if rule["pointer"] == "/attributes/commonName" and "*" in rule["allowed"]]
    assert (name["verdict"], name["code"], name["fix"]) == ("pass", "", "")
    assert "service.acme.com" in name["asked"]
    assert told["warnings"] == request.warnings != []


def test_the_serial_number_and_the_request_lead_to_the_same(pki: Pki, robot: Client) -> None:
    made = issued(robot, pki.profile)
    by_id = robot.get(f"{CERTIFICATES}/{made['certificateId']}/decision").json()

    assert robot.get(f"{CERTIFICATES}/{made['serialNumber']}/decision").json() == by_id
    assert robot.get(f"{REQUESTS}/{by_id['certificateRequestId']}/decision").json() == by_id


def test_a_refused_request_tells_every_rule_that_refused_it_by_pointer(pki: Pki, robot: Client) -> None:
    told = robot.get(f"{REQUESTS}/{refused(robot, pki)}/decision").json()

    assert told.keys() == KEYS
    assert (told["decision"], told["certificateId"], told["plan"]) == ("refused", None, None)
    (failed,) = [rule for rule in told["rules"] if rule["verdict"] == "fail"]
    assert set(failed) == {"pointer", "code", "rule", "asked", "allowed", "verdict", "fix", "patch"}
    assert (failed["pointer"], failed["code"]) == ("/attributes/ttl", "ttl_too_long")
    assert failed["fix"]


def test_a_certificate_from_before_decisions_were_kept_has_none_and_says_why(pki: Pki, robot: Client) -> None:
    made = issued(robot, pki.profile)
    CertificateRequest.objects.update(decision=None, profile_version=None, template_version=None)

    response = robot.get(f"{CERTIFICATES}/{made['certificateId']}/decision")

    assert "before decisions were kept" in assert_error(response, status=404, error="NotFound")["message"]


def test_what_a_ca_signed_itself_was_judged_by_no_profile(pki: Pki, robot: Client) -> None:
    body = {"csr": make_csr(common_name="Sub CA", dns_names=()), "notAfter": "2027-01-01", "maxPathLength": 0}
    response = post_json(robot, f"/api/v1/cert-manager/ca/internal/{pki.root.pk}/sign-intermediate", body)
    assert response.status_code == 200, response.json()

    response = robot.get(f"{CERTIFICATES}/{Certificate.objects.get().pk}/decision")

    assert "at the CA itself" in assert_error(response, status=404, error="NotFound")["message"]


def test_who_may_read_neither_gets_neither(pki: Pki, robot: Client) -> None:
    made = issued(robot, pki.profile)
    paths = (
        f"{CERTIFICATES}/{made['certificateId']}/decision",
        f"{REQUESTS}/{Certificate.objects.get().request_id}/decision",
    )
    nobody = Client()
    outsider = make_client(make_project("Other"), name="outsider")
    without = make_client(pki.project, role=Role.NO_ACCESS, name="without")
    viewer = make_client(pki.project, role=Role.VIEWER, name="viewer")
    for path in paths:
        assert_error(nobody.get(path), status=401, error="UnauthorizedError")
        assert_error(outsider.get(path), status=404, error="NotFound")
        assert_error(without.get(path), status=404, error="NotFound")
        assert viewer.get(path).status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        (f"{CERTIFICATES}/{uuid4()}/decision", 404, "NotFound"),
        (f"{CERTIFICATES}/no-id/decision", 404, "NotFound"),
        (f"{REQUESTS}/{uuid4()}/decision", 404, "NotFound"),
        (f"{REQUESTS}/no-id/decision", 422, "ValidationFailure"),
    ],
)
def test_what_is_not_there_is_said(robot: Client, path: str, status: int, error: str) -> None:
    assert_error(robot.get(path), status=status, error=error)


@pytest.mark.parametrize("path", [f"{REQUESTS}?projectSlug={{slug}}", "/api/v1/projects/{id}/certificates"])
def test_lists_do_not_read_the_trace(pki: Pki, robot: Client, path: str) -> None:
    issued(robot, pki.profile)
    with CaptureQueriesContext(connection) as queries:
        response = robot.get(path.format(slug=pki.project.slug, id=pki.project.pk))
    assert response.json()["totalCount"] == 1
    assert not any('"decision"' in query["sql"] for query in queries.captured_queries)
