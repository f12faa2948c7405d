"""Certificates over HTTP: issuing, reading back, listing, and every refusal by name."""

import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from certificates.models import Certificate, CertificateRequest
from certificates.models.certificate import CertificateStatus, RevocationReason
from pki_portal.access import permissions
from pki_portal.access.models import MachineIdentity, Membership, Role
from pki_portal.audit.models import AuditEvent
from tests.assertions import assert_error
from tests.factories import make_project
from tests.scenery import make_issuing_profile
from tests.wire import (
    CERTIFICATES,
    PROFILES,
    REQUESTS,
    Pki,
    issue_body,
    issued,
    load_pem,
    make_client,
    make_csr,
    make_pki,
    make_profile_of,
    post_json,
)

pytestmark = pytest.mark.django_db

SERIAL = re.compile(r"[0-9a-f]{40}")
WIRE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def pki() -> Pki:
    return make_pki()


@pytest.fixture
def robot(pki: Pki) -> Client:
    return make_client(pki.project)


@pytest.fixture
def charlie(pki: Pki) -> Client:
    """An outsider: admin of another project."""
    return make_client(make_project(), name="charlie")


def project_list(pki: Pki) -> str:
    return f"/api/v1/projects/{pki.project.pk}/certificates"


# --- Issue ------------------------------------------------------------------------------------------------------------


def test_issue_answers_certificate_chain_key_and_ids(pki: Pki, robot: Client) -> None:
    response = post_json(robot, CERTIFICATES, issue_body(pki.profile))

    assert response.status_code == 200, response.json()
    body = response.json()
    told = body["certificate"]
    row = Certificate.objects.get()
    assert told["certificateId"] == str(row.pk)
    assert body["certificateRequestId"] == str(row.request_id)
    assert body["status"] == "issued"
    assert told["serialNumber"] == row.serial_number
    assert SERIAL.fullmatch(told["serialNumber"])
    certificate = load_pem(told["certificate"])
    key = load_pem_private_key(told["privateKey"].encode(), password=None)
    assert key.public_key() == certificate.public_key()
    assert "BEGIN PRIVATE KEY" in told["privateKey"]
    assert response.headers["Cache-Control"] == "no-store"


def test_pems_have_no_final_newline_and_the_chain_one_between(pki: Pki, robot: Client) -> None:
    told = issued(robot, pki.profile)

    for name in ("certificate", "issuingCaCertificate", "certificateChain", "privateKey"):
        assert told[name].endswith("-----")
    members = told["certificateChain"].split("-----\n-----BEGIN")
    assert len(members) == 2
    assert told["certificateChain"].startswith(told["issuingCaCertificate"] + "\n-----BEGIN")
    issuing, root = (load_pem(told["issuingCaCertificate"]), load_pem("-----BEGIN" + members[1]))
    load_pem(told["certificate"]).verify_directly_issued_by(issuing)
    issuing.verify_directly_issued_by(root)
    assert root.issuer == root.subject


@pytest.mark.parametrize("flag", [True, "true", "TRUE"])
@pytest.mark.parametrize("place", ["top", "attributes"])
def test_remove_roots_from_chain_drops_the_root_only(pki: Pki, robot: Client, flag: object, place: str) -> None:
    body = issue_body(pki.profile)
    (body if place == "top" else body["attributes"])["removeRootsFromChain"] = flag

    response = post_json(robot, CERTIFICATES, body)

    told = response.json()["certificate"]
    assert told["certificateChain"] == told["issuingCaCertificate"]
    assert not [warning for warning in response.json()["warnings"] if "removeRoots" in warning]


@pytest.mark.parametrize("flag", [False, "false", None])
def test_roots_stay_in_the_chain_unless_removed(pki: Pki, robot: Client, flag: object) -> None:
    response = post_json(robot, CERTIFICATES, issue_body(pki.profile) | {"removeRootsFromChain": flag})

    assert response.json()["certificate"]["certificateChain"].count("BEGIN CERTIFICATE") == 2


def test_a_self_signed_certificate_is_its_own_chain(pki: Pki, robot: Client) -> None:
    profile = make_issuing_profile(pki.project, slug="alone", is_self_signed=True)

    response = post_json(robot, CERTIFICATES, issue_body(profile) | {"removeRootsFromChain": True})

    told = response.json()["certificate"]
    assert told["issuingCaCertificate"] == ""
    assert told["certificateChain"] == told["certificate"]


def test_a_csr_is_signed_without_a_private_key_in_the_answer(pki: Pki, robot: Client) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    body = {"profileId": str(pki.profile.pk), "csr": make_csr(key), "attributes": {"ttl": "30d"}}

    response = post_json(robot, CERTIFICATES, body)

    assert response.status_code == 200, response.json()
    told = response.json()["certificate"]
    assert "privateKey" not in told
    certificate = load_pem(told["certificate"])
    assert certificate.public_key() == key.public_key()
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=30)


def test_attributes_beside_a_csr_are_ignored_and_named(pki: Pki, robot: Client) -> None:
    body = issue_body(pki.profile, organization="Other", keyAlgorithm="RSA_4096", commonName="other.example")
    body["csr"] = make_csr(common_name="service.acme.com")

    response = post_json(robot, CERTIFICATES, body)

    assert response.status_code == 200, response.json()
    subject = load_pem(response.json()["certificate"]["certificate"]).subject
    assert subject.rfc4514_string() == "CN=service.acme.com"
    told = response.json()["warnings"]
    for name in ("commonName", "organization", "altNames", "keyAlgorithm"):
        assert f"/attributes/{name} (the CSR says it) was ignored." in told
    assert "/attributes/ttl" not in " ".join(told)


@pytest.mark.parametrize(("name", "value"), [("ttl", "90 moons"), ("notAfter", "2027-02-30")])
def test_a_bad_time_is_told_with_what_would_pass(pki: Pki, robot: Client, name: str, value: str) -> None:
    body = issue_body(pki.profile)
    del body["attributes"]["ttl"]
    body["attributes"][name] = value

    told = assert_error(post_json(robot, CERTIFICATES, body), status=422, error="ValidationFailure")

    (detail,) = told["details"]
    assert (detail["pointer"], detail["asked"]) == (f"/attributes/{name}", value)
    assert detail["allowed"]
    assert detail["fix"] == told["message"][0]["message"]


def test_unknown_keys_are_ignored_and_named(pki: Pki, robot: Client) -> None:
    body = issue_body(pki.profile, favouriteColour="blue") | {"applicationId": str(uuid.uuid4())}
    body["attributes"]["altNames"][0]["note"] = "x"

    response = post_json(robot, CERTIFICATES, body)

    assert response.status_code == 200, response.json()
    told = response.json()["warnings"]
    for pointer in ("/applicationId", "/attributes/favouriteColour", "/attributes/altNames/0/note"):
        assert f"{pointer} was ignored." in told


def test_nulls_and_empty_texts_are_not_asked(pki: Pki, robot: Client) -> None:
    nothing = dict.fromkeys(("organizationalUnit", "country", "state", "keyUsages", "keyAlgorithm", "notAfter"))
    body = issue_body(pki.profile, organization="", locality="", basicConstraints=None, **nothing)
    body |= {"csr": None, "metadata": None}

    response = post_json(robot, CERTIFICATES, body)

    assert response.status_code == 200, response.json()
    subject = load_pem(response.json()["certificate"]["certificate"]).subject
    assert subject.rfc4514_string() == "CN=service.acme.com"


def test_metadata_is_kept_with_certificate_and_request(pki: Pki, robot: Client) -> None:
    metadata = [{"key": "ticket", "value": "OPS-7"}, {"key": "empty", "value": ""}]

    response = post_json(robot, CERTIFICATES, issue_body(pki.profile) | {"metadata": metadata})

    assert response.status_code == 200, response.json()
    row = Certificate.objects.select_related("request").get()
    assert row.metadata == metadata
    assert row.issuing_request.metadata == metadata
    assert robot.get(f"{CERTIFICATES}/{row.pk}").json()["certificate"]["metadata"] == metadata


def test_all_violations_come_at_once_with_their_fixes(pki: Pki, robot: Client) -> None:
    body = issue_body(pki.profile, ttl="400d", extendedKeyUsages=["code_signing"], country="US")

    response = post_json(robot, CERTIFICATES, body)

    told = assert_error(response, status=400, error="BadRequest")
    pointers = {detail["pointer"] for detail in told["details"]}
    assert {"/attributes/ttl", "/attributes/country"} <= pointers
    assert any(pointer.startswith("/attributes/extendedKeyUsages") for pointer in pointers)
    assert all(detail["fix"] for detail in told["details"])
    assert Certificate.objects.count() == 0
    assert CertificateRequest.objects.get().status == "failed"


def test_a_role_without_read_private_key_gets_none_and_is_told(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    lesser = permissions.ACTIONS_OF_ROLE[Role.MEMBER] - {permissions.Action.CERTIFICATES_READ_PRIVATE_KEY}
    monkeypatch.setitem(permissions.ACTIONS_OF_ROLE, Role.MEMBER, lesser)
    bob = make_client(pki.project, role=Role.MEMBER, name="bob")

    response = post_json(bob, CERTIFICATES, issue_body(pki.profile))

    assert response.status_code == 200
    assert "privateKey" not in response.json()["certificate"]
    assert "private key" in " ".join(response.json()["warnings"])


def test_issue_needs_a_token(pki: Pki) -> None:
    response = post_json(Client(), CERTIFICATES, issue_body(pki.profile))
    assert_error(response, status=401, error="UnauthorizedError")


def test_issue_from_another_projects_profile_is_not_found(pki: Pki, charlie: Client) -> None:
    response = post_json(charlie, CERTIFICATES, issue_body(pki.profile))

    assert_error(response, status=404, error="NotFound")
    assert Certificate.objects.count() == 0


def test_issue_by_a_viewer_is_denied(pki: Pki) -> None:
    viewer = make_client(pki.project, role=Role.VIEWER, name="viewer")

    response = post_json(viewer, CERTIFICATES, issue_body(pki.profile))

    assert_error(response, status=403, error="PermissionDenied")


def test_issue_from_an_unknown_profile_is_not_found(robot: Client) -> None:
    response = post_json(robot, CERTIFICATES, {"profileId": str(uuid.uuid4()), "attributes": {"ttl": "1d"}})
    assert_error(response, status=404, error="NotFound")


def test_a_refused_csr_leaves_an_audit_event(pki: Pki, robot: Client) -> None:
    csr = make_csr()
    lines = csr.splitlines()
    body = "".join(lines[1:-1])
    flipped = body[:-8] + ("A" if body[-8] != "A" else "B") + body[-7:]
    broken = f"{lines[0]}\n{flipped}\n{lines[-1]}\n"

    response = post_json(robot, CERTIFICATES, {"profileId": str(pki.profile.pk), "csr": broken})

    assert response.status_code in {400, 422}
    event = AuditEvent.objects.get(event="sign-certificate-from-profile")
    assert event.outcome == "refused"


def test_post_alone_is_allowed_on_the_collection(robot: Client) -> None:
    assert robot.get(CERTIFICATES).status_code == 405


# --- Shape ------------------------------------------------------------------------------------------------------------

NAME = {"type": "dns_name", "value": "a.acme.com"}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"profileId": "seven"}, "/profileId"),
        ({"profileId": 7}, "/profileId"),
        ({"profileId": None}, "/profileId"),
        ({"csr": ""}, "/csr"),
        ({"csr": 5}, "/csr"),
        ({"csr": "x" * 65537}, "/csr"),
        ({"attributes": []}, "/attributes"),
        ({"attributes": "x"}, "/attributes"),
        ({"attributes": {"commonName": 0}}, "/attributes/commonName"),
        ({"attributes": {"commonName": ["a"]}}, "/attributes/commonName"),
        ({"attributes": {"ttl": "1y", "notAfter": "2027-01-01"}}, "/attributes/ttl"),
        ({"attributes": {"ttl": 90}}, "/attributes/ttl"),
        ({"attributes": {"ttl": "soon"}}, "/attributes/ttl"),
        ({"attributes": {"ttl": "0d"}}, "/attributes/ttl"),
        ({"attributes": {"ttl": "-1d"}}, "/attributes/ttl"),
        ({"attributes": {"ttl": ""}}, "/attributes/ttl"),
        ({"attributes": {"notBefore": "2027-02-01", "notAfter": "2027-01-01"}}, "/attributes/notAfter"),
        ({"attributes": {"notAfter": "tomorrow"}}, "/attributes/notAfter"),
        ({"attributes": {"notAfter": 1798761600}}, "/attributes/notAfter"),
        ({"attributes": {"keyUsages": "digital_signature"}}, "/attributes/keyUsages"),
        ({"attributes": {"keyUsages": ["sign_everything"]}}, "/attributes/keyUsages/0"),
        ({"attributes": {"keyUsages": [1]}}, "/attributes/keyUsages/0"),
        ({"attributes": {"extendedKeyUsages": ["anything"]}}, "/attributes/extendedKeyUsages/0"),
        ({"attributes": {"keyAlgorithm": "RSA_1024"}}, "/attributes/keyAlgorithm"),
        ({"attributes": {"signatureAlgorithm": "MD5"}}, "/attributes/signatureAlgorithm"),
        ({"attributes": {"altNames": {"type": "DNS"}}}, "/attributes/altNames"),
        ({"attributes": {"altNames": ["a.acme.com"]}}, "/attributes/altNames/0"),
        ({"attributes": {"altNames": [{"type": "DNS"}]}}, "/attributes/altNames/0/value"),
        ({"attributes": {"altNames": [{"type": "DNS", "value": ""}]}}, "/attributes/altNames/0/value"),
        ({"attributes": {"altNames": [NAME, {"type": "carrier_pigeon", "value": "x"}]}}, "/attributes/altNames/1/type"),
        ({"attributes": {"basicConstraints": {}}}, "/attributes/basicConstraints/isCA"),
        ({"attributes": {"basicConstraints": {"isCA": "true"}}}, "/attributes/basicConstraints/isCA"),
        (
            {"attributes": {"basicConstraints": {"isCA": True, "pathLength": -1}}},
            "/attributes/basicConstraints/pathLength",
        ),
        ({"removeRootsFromChain": "perhaps"}, "/removeRootsFromChain"),
        ({"removeRootsFromChain": 1}, "/removeRootsFromChain"),
        ({"metadata": {"a": "b"}}, "/metadata"),
        ({"metadata": [{"value": "x"}]}, "/metadata/0/key"),
        ({"metadata": [{"key": "k" * 256, "value": "x"}]}, "/metadata/0/key"),
        ({"metadata": [{"key": "k", "value": "v" * 1021}]}, "/metadata/0/value"),
    ],
)
def test_wrong_shape_is_refused_with_its_place(pki: Pki, robot: Client, changes: dict[str, Any], pointer: str) -> None:
    response = post_json(robot, CERTIFICATES, {"profileId": str(pki.profile.pk)} | changes)

    told = assert_error(response, status=422, error="ValidationFailure", field=pointer)
    path = [str(part) for part in told["message"][0]["path"]]
    assert "/" + "/".join(path) == told["details"][0]["pointer"]
    assert CertificateRequest.objects.count() == 0


def test_all_shape_errors_come_at_once(pki: Pki, robot: Client) -> None:
    body = {"csr": 5, "attributes": {"commonName": 0, "altNames": [{"type": 1, "value": 2}], "keyUsages": ["x"]}}

    told = assert_error(post_json(robot, CERTIFICATES, body), status=422, error="ValidationFailure")

    assert {detail["pointer"] for detail in told["details"]} == {
        "/profileId",
        "/csr",
        "/attributes/commonName",
        "/attributes/altNames/0/type",
        "/attributes/altNames/0/value",
        "/attributes/keyUsages/0",
    }


def test_missing_life_is_named_where_nothing_gives_one(pki: Pki, robot: Client) -> None:
    profile = make_profile_of(pki.issuing, slug="open-ended", validity=None)
    body = issue_body(profile)
    del body["attributes"]["ttl"]

    response = post_json(robot, CERTIFICATES, body)

    assert_error(response, status=422, error="ValidationFailure", field="/attributes/ttl")


@pytest.mark.parametrize("count", [1001, 10_000])
def test_too_many_names_are_one_violation(pki: Pki, robot: Client, count: int) -> None:
    names = [{"type": "DNS", "value": f"a{number}.acme.com"} for number in range(count)]

    response = post_json(robot, CERTIFICATES, issue_body(pki.profile, altNames=names))

    told = assert_error(response, status=422, error="ValidationFailure", field="/attributes/altNames")
    assert len(told["details"]) == 1


SPELLINGS = [
    {"keyAlgorithm": "EC_prime256v1", "signatureAlgorithm": "ECDSA-SHA256"},
    {"keyAlgorithm": "ECDSA-P256", "signatureAlgorithm": "SHA256-ECDSA"},
    {"keyAlgorithm": "p-256", "signatureAlgorithm": "ecdsa-sha256"},
    {"keyUsages": ["digital_signature"], "extendedKeyUsages": ["server_auth"]},
    {"keyUsages": ["digitalSignature"], "extendedKeyUsages": ["serverAuth"]},
    {"keyUsages": ["DIGITAL_SIGNATURE"], "extendedKeyUsages": ["SERVER_AUTH"]},
    {"altNames": [{"type": "DNS", "value": "service.acme.com"}, {"type": "IP", "value": "192.0.2.7"}]},
    {"altNames": [{"type": "dns_name", "value": "service.acme.com"}, {"type": "ip_address", "value": "192.0.2.7"}]},
    {"altNames": [{"type": "Dns", "value": "service.acme.com"}, {"type": "EMAIL", "value": "ops@acme.com"}]},
    {"altNames": [{"type": "URI", "value": "https://service.acme.com/x"}]},
]


@pytest.mark.parametrize("attributes", SPELLINGS, ids=str)
def test_every_spelling_is_read(pki: Pki, robot: Client, attributes: dict[str, Any]) -> None:
    told = issued(robot, pki.profile, **attributes)
    assert load_pem(told["certificate"]).subject.rfc4514_string() == "CN=service.acme.com"


@pytest.mark.parametrize(
    ("ttl", "life"),
    [
        ("25s", timedelta(seconds=25)),
        ("2m", timedelta(minutes=2)),
        ("24h", timedelta(hours=24)),
        ("90d", timedelta(days=90)),
        ("1y", timedelta(days=365)),
        ("7776000s", timedelta(days=90)),
        ("2w", timedelta(days=14)),
        ("1.5 days", timedelta(hours=36)),
    ],
)
def test_ttl_is_kept_to_the_second(pki: Pki, robot: Client, ttl: str, life: timedelta) -> None:
    certificate = load_pem(issued(robot, pki.profile, ttl=ttl)["certificate"])
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == life


@pytest.mark.parametrize(
    "spelling", ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S+00:00", "%Y-%m-%dT%H:%M:%S.000Z"]
)
def test_not_after_is_read_as_date_or_time(pki: Pki, robot: Client, spelling: str) -> None:
    end = (timezone.now() + timedelta(days=100)).replace(hour=0, minute=0, second=0, microsecond=0)
    told = issued(robot, pki.profile, ttl=None, notAfter=end.strftime(spelling))
    assert load_pem(told["certificate"]).not_valid_after_utc == end.astimezone(UTC)


# --- Idempotency ------------------------------------------------------------------------------------------------------


def test_the_same_key_and_body_answer_the_same_certificate_without_its_key(pki: Pki, robot: Client) -> None:
    body = issue_body(pki.profile)
    first = post_json(robot, CERTIFICATES, body, **{"Idempotency-Key": "order-7"}).json()

    again = post_json(robot, CERTIFICATES, body, **{"Idempotency-Key": "order-7"})

    assert again.status_code == 200
    told = again.json()
    assert told["idempotentReplay"] is True
    assert "idempotentReplay" not in first
    assert "privateKey" not in told["certificate"]
    assert "privateKey" in first["certificate"]
    assert "issue again" in told["message"]
    assert told["certificate"] == {key: value for key, value in first["certificate"].items() if key != "privateKey"}
    assert told["certificateRequestId"] == first["certificateRequestId"]
    assert Certificate.objects.count() == 1


def test_spacing_and_order_of_keys_do_not_make_another_body(pki: Pki, robot: Client) -> None:
    body = issue_body(pki.profile)
    backwards = json.dumps(dict(reversed(body.items())), indent=4)
    post_json(robot, CERTIFICATES, body, **{"Idempotency-Key": "order-7"})

    again = post_json(robot, CERTIFICATES, backwards, **{"Idempotency-Key": "order-7"})

    assert again.json()["idempotentReplay"] is True


def test_the_same_key_with_another_body_is_a_conflict(pki: Pki, robot: Client) -> None:
    post_json(robot, CERTIFICATES, issue_body(pki.profile), **{"Idempotency-Key": "order-7"})

    again = post_json(robot, CERTIFICATES, issue_body(pki.profile, ttl="91d"), **{"Idempotency-Key": "order-7"})

    assert_error(again, status=409, error="Conflict")
    assert Certificate.objects.count() == 1


def test_keys_of_two_requesters_are_two_keys(pki: Pki, robot: Client) -> None:
    bob = make_client(pki.project, role=Role.MEMBER, name="bob")
    body = issue_body(pki.profile)

    for client in (robot, bob):
        assert "idempotentReplay" not in post_json(client, CERTIFICATES, body, **{"Idempotency-Key": "x"}).json()

    assert Certificate.objects.count() == 2


def test_a_refused_request_gives_its_key_back(pki: Pki, robot: Client) -> None:
    refused = post_json(robot, CERTIFICATES, issue_body(pki.profile, ttl="400d"), **{"Idempotency-Key": "x"})
    assert refused.status_code == 400

    assert post_json(robot, CERTIFICATES, issue_body(pki.profile), **{"Idempotency-Key": "x"}).status_code == 200


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "tab\there"])
def test_an_unusable_idempotency_key_is_refused(pki: Pki, robot: Client, key: str) -> None:
    response = post_json(robot, CERTIFICATES, issue_body(pki.profile), **{"Idempotency-Key": key})

    assert_error(response, status=422, error="ValidationFailure")
    assert Certificate.objects.count() == 0


def test_the_longest_idempotency_key_is_read(pki: Pki, robot: Client) -> None:
    response = post_json(robot, CERTIFICATES, issue_body(pki.profile), **{"Idempotency-Key": "!~" + "x" * 253})
    assert response.status_code == 200


# --- One certificate --------------------------------------------------------------------------------------------------


def test_a_certificate_is_read_by_id_and_by_serial_number_in_any_spelling(pki: Pki, robot: Client) -> None:
    told = issued(robot, pki.profile)
    serial = told["serialNumber"]
    spellings = [told["certificateId"], serial, serial.upper(), ":".join(re.findall("..", serial))]

    for reference in spellings:
        response = robot.get(f"{CERTIFICATES}/{reference}")
        assert response.status_code == 200, reference
        assert response.json()["certificate"]["id"] == told["certificateId"]


def test_the_certificate_object_is_complete(pki: Pki, robot: Client) -> None:
    told = issued(
        robot,
        pki.profile,
        organization="Acme",
        altNames=[{"type": "DNS", "value": "b.acme.com"}, {"type": "DNS", "value": "a.acme.com"}],
        keyAlgorithm="EC_prime256v1",
        signatureAlgorithm="ECDSA-SHA256",
        keyUsages=["digital_signature"],
        extendedKeyUsages=["server_auth"],
    )

    found = robot.get(f"{CERTIFICATES}/{told['certificateId']}").json()["certificate"]

    times = {name: found.pop(name) for name in ("createdAt", "updatedAt", "notBefore", "notAfter", "renewAt")}
    assert all(WIRE_TIME.fullmatch(moment) for moment in times.values())
    fingerprints = found.pop("fingerprints")
    assert fingerprints == {"sha256": found.pop("fingerprintSha256"), "sha1": found.pop("fingerprintSha1")}
    assert found == {
        "id": told["certificateId"],
        "projectId": str(pki.project.pk),
        "caId": str(pki.issuing.pk),
        "caCertId": str(pki.issuing.active_certificate_id),
        "caName": "issuing",
        "issuerName": "C=US, O=Acme, CN=Acme Issuing CA",
        "source": "issued",
        "caType": "internal",
        "certificateTemplateId": str(pki.profile.template_id),
        "profileId": str(pki.profile.pk),
        "profileName": "server",
        "enrollmentType": "api",
        "pkiSubscriberId": None,
        "status": "active",
        "serialNumber": told["serialNumber"],
        "friendlyName": None,
        "commonName": "service.acme.com",
        "subjectOrganization": "Acme",
        "subjectOrganizationalUnit": None,
        "subjectCountry": None,
        "subjectState": None,
        "subjectLocality": None,
        "altNames": "b.acme.com,a.acme.com,service.acme.com",
        "revokedAt": None,
        "revocationReason": None,
        "keyUsages": ["digitalSignature"],
        "extendedKeyUsages": ["serverAuth"],
        "keyAlgorithm": "EC_prime256v1",
        "signatureAlgorithm": "ECDSA-SHA256",
        "isCA": False,
        "pathLength": None,
        "keySource": "portal",
        "hasPrivateKey": False,
        "renewedFromCertificateId": None,
        "renewedByCertificateId": None,
        "renewBeforeDays": 7,
        "renewalError": None,
        "renewalRehearsal": None,
        "metadata": [],
        "subject": {
            "commonName": "service.acme.com",
            "organization": "Acme",
            "organizationalUnit": None,
            "country": None,
            "state": None,
            "locality": None,
            "domainComponents": [],
            "serialNumber": None,
            "email": None,
        },
        "basicConstraints": {"isCA": False},
    }


def test_a_self_signed_certificate_has_no_ca(pki: Pki, robot: Client) -> None:
    profile = make_issuing_profile(pki.project, slug="alone", is_self_signed=True)
    told = issued(robot, profile)

    found = robot.get(f"{CERTIFICATES}/{told['certificateId']}").json()["certificate"]

    assert [found[name] for name in ("caId", "caCertId", "caName", "caType")] == [None] * 4


def test_the_successor_of_a_renewed_certificate_is_told(pki: Pki, robot: Client) -> None:
    old, new = issued(robot, pki.profile), issued(robot, pki.profile)
    Certificate.objects.filter(pk=new["certificateId"]).update(renewed_from=old["certificateId"])

    told_old = robot.get(f"{CERTIFICATES}/{old['certificateId']}").json()["certificate"]
    told_new = robot.get(f"{CERTIFICATES}/{new['certificateId']}").json()["certificate"]

    assert told_old["renewedByCertificateId"] == new["certificateId"]
    assert told_new["renewedFromCertificateId"] == old["certificateId"]
    listed = robot.get(project_list(pki)).json()["certificates"]
    assert {row["id"]: row["renewedByCertificateId"] for row in listed} == {
        old["certificateId"]: new["certificateId"],
        new["certificateId"]: None,
    }


@pytest.mark.parametrize("tail", ["", "/certificate", "/private-key", "/bundle"])
@pytest.mark.parametrize(
    "reference", [str(uuid.uuid4()), "0" * 40, "seven", "%00", "f" * 41, "a" * 5000, "..", "%F0%9F%94%91"]
)
def test_an_unknown_certificate_is_not_found(robot: Client, reference: str, tail: str) -> None:
    assert_error(robot.get(f"{CERTIFICATES}/{reference}{tail}"), status=404, error="NotFound")


@pytest.mark.parametrize("tail", ["", "/certificate", "/private-key", "/bundle"])
def test_another_projects_certificate_is_not_found(pki: Pki, robot: Client, charlie: Client, tail: str) -> None:
    told = issued(robot, pki.profile)

    for reference in (told["certificateId"], told["serialNumber"]):
        assert_error(charlie.get(f"{CERTIFICATES}/{reference}{tail}"), status=404, error="NotFound")


def test_a_member_without_access_does_not_know_of_it(pki: Pki, robot: Client) -> None:
    told = issued(robot, pki.profile)
    nobody = make_client(pki.project, role=Role.NO_ACCESS, name="nobody")

    assert_error(nobody.get(f"{CERTIFICATES}/{told['certificateId']}"), status=404, error="NotFound")


def test_a_serial_number_of_two_projects_is_ambiguous_and_the_ids_are_named(pki: Pki, robot: Client) -> None:
    other = make_pki()
    told = issued(robot, pki.profile)
    both = MachineIdentity.objects.get(name="robot")
    Membership.objects.create(project=other.project, identity=both, role=Role.ADMIN)
    twin = issued(robot, other.profile)
    Certificate.objects.filter(pk=twin["certificateId"]).update(serial_number=told["serialNumber"])

    response = robot.get(f"{CERTIFICATES}/{told['serialNumber']}")

    body = assert_error(response, status=400, error="BadRequest")
    assert told["certificateId"] in body["message"]
    assert twin["certificateId"] in body["message"]


def test_the_body_answers_certificate_and_chain(pki: Pki, robot: Client) -> None:
    told = issued(robot, pki.profile)

    response = robot.get(f"{CERTIFICATES}/{told['certificateId']}/certificate")

    assert response.json() == {
        "certificate": told["certificate"],
        "certificateChain": told["certificateChain"],
        "serialNumber": told["serialNumber"],
    }


def test_the_bundle_has_no_private_key_any_more(pki: Pki, robot: Client) -> None:
    told = issued(robot, pki.profile)

    response = robot.get(f"{CERTIFICATES}/{told['certificateId']}/bundle")

    assert response.json() == {
        "certificate": told["certificate"],
        "certificateChain": told["certificateChain"],
        "privateKey": None,
        "serialNumber": told["serialNumber"],
    }
    assert response.headers["Cache-Control"] == "no-store"


def test_the_private_key_of_an_issued_certificate_is_gone(pki: Pki, robot: Client) -> None:
    told = issued(robot, pki.profile)

    response = robot.get(f"{CERTIFICATES}/{told['certificateId']}/private-key")

    body = assert_error(response, status=410, error="Gone")
    assert "robot" in body["message"]
    assert AuditEvent.objects.filter(event="get-cert-private-key", outcome="refused").count() == 1


def test_the_private_key_of_a_csr_was_never_here(pki: Pki, robot: Client) -> None:
    body = {"profileId": str(pki.profile.pk), "csr": make_csr()}
    told = post_json(robot, CERTIFICATES, body).json()["certificate"]

    response = robot.get(f"{CERTIFICATES}/{told['certificateId']}/private-key")

    assert_error(response, status=404, error="NotFound")


def test_a_viewer_may_not_ask_for_private_keys(pki: Pki, robot: Client) -> None:
    told = issued(robot, pki.profile)
    viewer = make_client(pki.project, role=Role.VIEWER, name="viewer")

    response = viewer.get(f"{CERTIFICATES}/{told['certificateId']}/private-key")

    assert_error(response, status=403, error="PermissionDenied")
    assert viewer.get(f"{CERTIFICATES}/{told['certificateId']}/bundle").json()["privateKey"] is None


# --- Lists ------------------------------------------------------------------------------------------------------------


def test_the_list_is_newest_first_with_its_total(pki: Pki, robot: Client) -> None:
    ids = [issued(robot, pki.profile, commonName=f"{name}.acme.com")["certificateId"] for name in "abc"]

    body = robot.get(project_list(pki), {"limit": 2}).json()

    assert [row["id"] for row in body["certificates"]] == [ids[2], ids[1]]
    assert body["totalCount"] == 3
    rest = robot.get(project_list(pki), {"limit": 2, "offset": 2}).json()
    assert [row["id"] for row in rest["certificates"]] == [ids[0]]
    assert rest["certificates"][0]["hasPrivateKey"] is False


def test_a_self_signed_certificate_counts(pki: Pki, robot: Client) -> None:
    issued(robot, pki.profile)
    issued(robot, make_issuing_profile(pki.project, slug="alone", is_self_signed=True))

    body = robot.get(project_list(pki)).json()

    assert body["totalCount"] == len(body["certificates"]) == 2


def test_only_the_projects_own_certificates_are_listed(pki: Pki, robot: Client) -> None:
    other = make_pki()
    issued(make_client(other.project, name="charlie"), other.profile)
    mine = issued(robot, pki.profile)

    body = robot.get(project_list(pki)).json()

    assert [row["id"] for row in body["certificates"]] == [mine["certificateId"]]
    assert_error(robot.get(project_list(other)), status=404, error="NotFound")


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("alpha", {"alpha"}),
        ("ALPHA.acme", {"alpha"}),
        ("shared", {"alpha", "beta"}),
        ("192.0.2.7", {"beta"}),
        ("acme", {"alpha", "beta"}),
        ("  alpha  ", {"alpha"}),
        ("", {"alpha", "beta"}),
        ("%", set()),
        ("_", set()),
        ("nothing-like-it", set()),
    ],
)
def test_search_reads_names(pki: Pki, robot: Client, search: str, found: set[str]) -> None:
    for name, extra in (("alpha", []), ("beta", [{"type": "IP", "value": "192.0.2.7"}])):
        names = [{"type": "DNS", "value": f"{name}.acme.com"}, {"type": "DNS", "value": "shared.acme.com"}, *extra]
        issued(robot, pki.profile, commonName=f"{name}.acme.com", altNames=names)

    body = robot.get(project_list(pki), {"search": search}).json()

    assert {row["commonName"].split(".")[0] for row in body["certificates"]} == found
    assert body["totalCount"] == len(found)


def test_search_reads_serial_numbers_and_ids(pki: Pki, robot: Client) -> None:
    told = issued(robot, pki.profile)
    issued(robot, pki.profile)

    for search in (told["serialNumber"], told["serialNumber"][:24].upper(), told["certificateId"]):
        body = robot.get(project_list(pki), {"search": search}).json()
        assert [row["id"] for row in body["certificates"]] == [told["certificateId"]]


def set_state(certificate_id: str, state: str) -> None:
    """Make a row look expired or revoked."""
    row = Certificate.objects.get(pk=certificate_id)
    if "expired" in state:
        row.not_before, row.not_after = datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 2, 1, tzinfo=UTC)
    if "revoked" in state:
        row.status, row.revoked_at = CertificateStatus.REVOKED, timezone.now()
        row.revocation_reason = RevocationReason.KEY_COMPROMISE
    row.save()


@pytest.mark.parametrize(
    ("status", "found"), [("active", {"a"}), ("expired", {"b"}), ("revoked", {"c", "d"}), ("REVOKED", {"c", "d"})]
)
def test_the_status_filter_computes_expiry(pki: Pki, robot: Client, status: str, found: set[str]) -> None:
    for name, state in (("a", "active"), ("b", "expired"), ("c", "revoked"), ("d", "expired and revoked")):
        set_state(issued(robot, pki.profile, commonName=f"{name}.acme.com")["certificateId"], state)

    body = robot.get(project_list(pki), {"status": status}).json()

    assert {row["commonName"][0] for row in body["certificates"]} == found
    assert body["totalCount"] == len(found)


def test_a_revoked_certificate_answers_time_and_reason(pki: Pki, robot: Client) -> None:
    told = issued(robot, pki.profile)
    set_state(told["certificateId"], "revoked")

    found = robot.get(f"{CERTIFICATES}/{told['certificateId']}").json()["certificate"]

    assert found["status"] == "revoked"
    assert found["revocationReason"] == 1
    assert WIRE_TIME.fullmatch(found["revokedAt"])


def test_profiles_narrow_the_list_repeated_or_with_commas(pki: Pki, robot: Client) -> None:
    second, third = (make_profile_of(pki.issuing, slug=slug) for slug in ("second", "third"))
    ids = {profile.slug: issued(robot, profile)["certificateId"] for profile in (pki.profile, second, third)}
    wanted = [str(pki.profile.pk), str(second.pk)]

    for query in ({"profileIds": wanted}, {"profileIds": ",".join(wanted)}):
        body = robot.get(project_list(pki), query).json()
        assert {row["id"] for row in body["certificates"]} == {ids["server"], ids["second"]}
    assert robot.get(project_list(pki), {"profileIds": str(uuid.uuid4())}).json()["totalCount"] == 0


def test_common_name_dates_and_deployability_narrow_the_list(pki: Pki, robot: Client) -> None:
    old, new = (issued(robot, pki.profile, commonName=f"{name}.acme.com") for name in ("old", "new"))
    Certificate.objects.filter(pk=old["certificateId"]).update(created_at=datetime(2026, 1, 1, tzinfo=UTC))
    Certificate.objects.filter(pk=new["certificateId"]).update(renewed_from=old["certificateId"])

    def listed(**query: str) -> list[str]:
        return [row["commonName"] for row in robot.get(project_list(pki), query).json()["certificates"]]

    assert listed(commonName="NEW") == ["new.acme.com"]
    assert listed(friendlyName="anything") == []
    assert listed(toDate="2026-02-01") == ["old.acme.com"]
    assert listed(fromDate="2026-02-01T00:00:00Z") == ["new.acme.com"]
    assert listed(forPkiSync="true") == ["new.acme.com"]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "x"},
        {"offset": "-1"},
        {"offset": "9" * 30},
        {"status": "lost"},
        {"profileIds": "seven"},
        {"fromDate": "yesterday"},
        {"search": "x" * 256},
        {"search": "a\x00b"},
        {"forPkiSync": "perhaps"},
    ],
    ids=str,
)
def test_a_bad_query_is_refused(pki: Pki, robot: Client, query: dict[str, str]) -> None:
    assert_error(robot.get(project_list(pki), query), status=422, error="ValidationFailure")


@pytest.mark.parametrize("project_id", ["seven", "%00", "00000000-0000-0000-0000-00000000000g"])
def test_a_project_id_that_is_none_is_refused(robot: Client, project_id: str) -> None:
    response = robot.get(f"/api/v1/projects/{project_id}/certificates")
    assert_error(response, status=422, error="ValidationFailure")


def test_lists_cost_the_same_however_long(pki: Pki, robot: Client, django_assert_num_queries: Any) -> None:
    for _ in range(3):
        issued(robot, pki.profile)
    paths = (
        project_list(pki),
        f"{PROFILES}/{pki.profile.pk}/certificates",
        f"{REQUESTS}?projectSlug={pki.project.slug}",
    )
    costs = {}

    for path in paths:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert robot.get(path).status_code == 200
        costs[path] = len(queries)
        assert not [query for query in queries.captured_queries if '"certificates_certificate"."der"' in query["sql"]]
    for _ in range(5):
        issued(robot, pki.profile)
    for path in paths:
        with django_assert_num_queries(costs[path]):
            robot.get(path)


def search(robot: Client, pki: Pki, **body: Any) -> Any:
    return post_json(robot, f"{project_list(pki)}/search", body)


def test_search_by_post_filters_sorts_and_pages(pki: Pki, robot: Client) -> None:
    for name, ttl in (("b", "30d"), ("a", "90d"), ("c", "60d")):
        issued(robot, pki.profile, commonName=f"{name}.acme.com", ttl=ttl)

    def names(**body: Any) -> list[str]:
        return [row["commonName"][0] for row in search(robot, pki, **body).json()["certificates"]]

    assert names() == ["c", "a", "b"]
    assert names(sortBy="commonName", sortOrder="asc") == ["a", "b", "c"]
    assert names(sortBy="notAfter") == ["a", "c", "b"]
    assert names(sortBy="notAfter", sortOrder="ASC", offset=1, limit=1) == ["c"]
    assert names(search="a.acme", status="active", profileIds=[str(pki.profile.pk)]) == ["a"]
    assert search(robot, pki, limit=1).json()["totalCount"] == 3


@pytest.mark.parametrize("order", ["createdAt", "notBefore", "notAfter", "commonName", "keyAlgorithm", "status"])
def test_a_cursor_goes_on_where_the_page_before_ended(pki: Pki, robot: Client, order: str) -> None:
    for name in ("a", "b", "c"):
        issued(robot, pki.profile, commonName=name)
    everything = [each["id"] for each in search(robot, pki, sortBy=order).json()["certificates"]]

    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        body = search(robot, pki, sortBy=order, limit=1, cursor=cursor).json()
        found += [each["id"] for each in body["certificates"]]
        assert body["totalCount"] == 3
        cursor = body["nextCursor"]
    assert found == everything


def test_every_long_list_goes_by_cursor(pki: Pki, robot: Client) -> None:
    for name in ("a", "b"):
        issued(robot, pki.profile, commonName=name)
    requests = "/api/v1/cert-manager/certificates/certificate-requests"
    of_profile = f"/api/v1/cert-manager/certificate-profiles/{pki.profile.pk}/certificates"
    lists: tuple[tuple[str, str, dict[str, str]], ...] = (
        (project_list(pki), "certificates", {}),
        (of_profile, "certificates", {}),
        (requests, "certificateRequests", {"projectSlug": pki.project.slug}),
        (f"/api/v1/projects/{pki.project.pk}/audit-logs", "auditLogs", {}),
    )
    for path, plural, asked in lists:
        both = robot.get(path, {**asked, "limit": "2"}).json()
        first = robot.get(path, {**asked, "limit": "1"}).json()
        second = robot.get(path, {**asked, "limit": "1", "cursor": first["nextCursor"]}).json()
        assert [*first[plural], *second[plural]] == both[plural], path
        assert_error(robot.get(path, {**asked, "cursor": "nonsense"}), status=422, error="ValidationFailure")


def test_what_a_search_finds_is_counted_up_to_ten_thousand(
    pki: Pki, robot: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pki_portal.rest.paging.COUNTED_AT_MOST", 2)
    for name in ("a.one", "b.one", "c.one", "d.two"):
        issued(robot, pki.profile, commonName=f"{name}.acme.com")

    def counted(**query: str | int) -> int:
        count: int = robot.get(project_list(pki), {"limit": 1, **query}).json()["totalCount"]
        return count

    assert counted(status="active") == 4
    assert counted(search="two") == 1
    assert counted(search="one") == 4, "beyond, as many as there are without the search"
    assert counted(search="one", limit=3) == 3


def test_search_names_filters_that_nothing_reads(pki: Pki, robot: Client) -> None:
    body = search(robot, pki, colour="blue").json()
    assert ["/colour" in warning for warning in body["warnings"]] == [True]
    assert search(robot, pki).json()["warnings"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 0},
        {"limit": "5"},
        {"offset": -1},
        {"sortBy": "height"},
        {"sortBy": {}},
        {"sortOrder": "up"},
        {"search": 7},
        {"profileIds": [7]},
        [],
        "x",
        7,
        None,
    ],
    ids=str,
)
def test_a_bad_search_is_refused(pki: Pki, robot: Client, body: Any) -> None:
    response = robot.post(f"{project_list(pki)}/search", json.dumps(body), content_type="application/json")
    assert_error(response, status=422, error="ValidationFailure")


def test_search_of_another_project_is_not_found(pki: Pki, charlie: Client) -> None:
    assert_error(search(charlie, pki), status=404, error="NotFound")


# --- Profiles' certificates -------------------------------------------------------------------------------------------


def test_the_latest_active_bundle_is_the_newest_valid_one(pki: Pki, robot: Client) -> None:
    first, second, third = (issued(robot, pki.profile) for _ in range(3))
    set_state(third["certificateId"], "revoked")
    set_state(second["certificateId"], "expired")

    response = robot.get(f"{PROFILES}/{pki.profile.pk}/certificates/latest-active-bundle")

    assert response.json() == {
        "certificate": first["certificate"],
        "certificateChain": first["certificateChain"],
        "privateKey": None,
        "serialNumber": first["serialNumber"],
    }


def test_the_latest_active_bundle_of_nothing_is_four_nulls(pki: Pki, robot: Client) -> None:
    response = robot.get(f"{PROFILES}/{pki.profile.pk}/certificates/latest-active-bundle")

    assert response.status_code == 200
    assert response.json() == dict.fromkeys(("certificate", "certificateChain", "privateKey", "serialNumber"))


@pytest.mark.parametrize("tail", ["", "/latest-active-bundle"])
def test_certificates_of_unknown_and_foreign_profiles_are_not_found(
    pki: Pki, robot: Client, charlie: Client, tail: str
) -> None:
    assert_error(robot.get(f"{PROFILES}/{uuid.uuid4()}/certificates{tail}"), status=404, error="NotFound")
    assert_error(charlie.get(f"{PROFILES}/{pki.profile.pk}/certificates{tail}"), status=404, error="NotFound")


# --- Requests ---------------------------------------------------------------------------------------------------------


def test_a_failed_request_answers_its_reason_and_nulls(pki: Pki, robot: Client) -> None:
    body = issue_body(pki.profile, ttl="400d", organization="Acme")
    post_json(robot, CERTIFICATES, body | {"metadata": [{"key": "ticket", "value": "7"}]})
    request = CertificateRequest.objects.get()

    found = robot.get(f"{REQUESTS}/{request.pk}").json()

    assert found["status"] == "failed"
    assert found["errorMessage"]
    assert [found[name] for name in ("certificate", "certificateId", "privateKey", "serialNumber")] == [None] * 4
    assert (found["commonName"], found["organization"], found["country"]) == ("service.acme.com", "Acme", None)
    assert found["metadata"] == [{"key": "ticket", "value": "7"}]


def test_requests_are_listed_with_what_came_of_them(pki: Pki, robot: Client) -> None:
    told = issued(robot, pki.profile)
    post_json(robot, CERTIFICATES, issue_body(pki.profile, commonName="bad.acme.com", ttl="400d"))

    body = robot.get(REQUESTS, {"projectSlug": pki.project.slug}).json()

    assert body["totalCount"] == 2
    failed, done = body["certificateRequests"]
    assert (failed["status"], failed["certificate"], failed["certificateId"]) == ("failed", None, None)
    assert failed["errorMessage"]
    assert done["certificate"] == {
        "id": told["certificateId"],
        "serialNumber": told["serialNumber"],
        "status": "active",
    }
    assert done["altNames"] == "service.acme.com"
    assert (done["profileName"], done["caId"]) == ("server", str(pki.issuing.pk))


def test_requests_are_narrowed_and_sorted(pki: Pki, robot: Client) -> None:
    for name, ttl in (("b", "30d"), ("a", "400d"), ("c", "30d")):
        post_json(robot, CERTIFICATES, issue_body(pki.profile, commonName=f"{name}.acme.com", ttl=ttl))

    def names(**query: str) -> list[str]:
        body = robot.get(REQUESTS, {"projectSlug": pki.project.slug} | query).json()
        return [row["commonName"][0] for row in body["certificateRequests"]]

    assert names() == ["c", "a", "b"]
    assert names(status="failed") == ["a"]
    assert names(search="B.ACME") == ["b"]
    assert names(search=str(CertificateRequest.objects.get(common_name="c.acme.com").pk)) == ["c"]
    assert names(sortBy="commonName", sortOrder="asc") == ["a", "b", "c"]
    assert names(profileIds=str(uuid.uuid4())) == []
    assert names(toDate="2020-01-01") == []
    assert names(fromDate="2020-01-01", limit="1") == ["c"]


def test_requests_of_foreign_and_unknown_projects_are_not_found(pki: Pki, charlie: Client) -> None:
    for slug in (pki.project.slug, "no-such-project", "\N{KEY}"):
        assert_error(charlie.get(REQUESTS, {"projectSlug": slug}), status=404, error="NotFound")
    assert_error(charlie.get(REQUESTS), status=422, error="ValidationFailure", field="/projectSlug")


def test_a_request_id_that_is_none_is_refused(robot: Client) -> None:
    assert_error(robot.get(f"{REQUESTS}/seven"), status=422, error="ValidationFailure")


def test_every_kind_of_attribute_name_and_usage_is_asked_and_answered(pki: Pki, robot: Client) -> None:
    anything = [{"type": kind, "allowed": ["*"]} for kind in ("commonName", "DC", "serialNumber", "email")]
    template = pki.profile.template
    template.subject = anything
    template.sans = [{"type": kind, "allowed": ["*"]} for kind in ("dns_name", "email", "upn")]
    template.extended_key_usages = {"allowed": ["server_auth", "1.3.6.1.4.1.311.20.2.2"]}
    template.save()
    answer = issued(
        robot,
        pki.profile,
        commonName="jane.acme.com",
        domainComponents=["com", "Acme"],
        serialNumber="SN-17",
        email="jane@acme.com",
        altNames=[{"type": "UPN", "value": "Jane@CORP.acme.com"}],
        extendedKeyUsages=["1.3.6.1.5.5.7.3.1", "1.3.6.1.4.1.311.20.2.2"],
    )
    read = robot.get(f"{CERTIFICATES}/{answer['certificateId']}").json()["certificate"]
    assert read["subject"]["domainComponents"] == ["com", "acme"]
    assert (read["subject"]["serialNumber"], read["subject"]["email"]) == ("SN-17", "jane@acme.com")
    assert read["altNames"] == "Jane@corp.acme.com,jane@acme.com,jane.acme.com"
    assert read["extendedKeyUsages"] == ["serverAuth", "1.3.6.1.4.1.311.20.2.2"]


def test_a_domain_component_is_refused_at_its_place_in_the_body(pki: Pki, robot: Client) -> None:
    body = issue_body(pki.profile, domainComponents=["com", "a_b"])
    answer = post_json(robot, "/api/v1/cert-manager/certificates", body)
    assert "/attributes/domainComponents/1" in [each["pointer"] for each in answer.json()["details"]]
