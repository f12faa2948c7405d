"""The reference's own promises about issuing and reading back, by the numbers of its check-list (wire-api, section 7).

Lines 30 to 84, 86 and 87 are tested where templates and profiles are, each by a test named for it; the last test here
counts them all. 9, 12, 80 and 88 do not apply (no external CAs, no CA keys of other sizes, no plans, no database errors
passed through); 14 to 29 are tested in test_renewal_check_list.py.
"""

import base64
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from django.db import connection
from django.test import Client

from certificates.models import Certificate, CertificateRequest
from pki_portal.access import permissions
from pki_portal.access.models import Role
from pki_portal.audit.models import AuditEvent
from profiles.enrollment import EnrollmentMethod
from profiles.models import CertificateProfile
from profiles.policy.vocabulary import KeyAlgorithm
from profiles.services import EstSettings, create_profile
from tests.assertions import assert_error
from tests.factories import SYSTEM, make_project
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


@pytest.fixture
def pki() -> Pki:
    return make_pki()


@pytest.fixture
def robot(pki: Pki) -> Client:
    return make_client(pki.project)


@pytest.fixture
def est_profile(pki: Pki) -> CertificateProfile:
    return create_profile(
        requester=SYSTEM,
        project=pki.project,
        slug="est",
        certificate_authority_id=pki.issuing.pk,
        template_id=pki.profile.template_id,
        enrollment_method=EnrollmentMethod.EST,
        est=EstSettings(passphrase="open sesame", disable_bootstrap_ca_validation=True),
    )


def test_line_1_an_issue_answers_everything_and_the_stored_id(pki: Pki, robot: Client) -> None:
    told = issued(robot, pki.profile)

    assert set(told) == {
        "certificate", "issuingCaCertificate", "certificateChain", "privateKey", "serialNumber", "certificateId",
    }  # fmt: skip
    assert all(told.values())
    assert told["certificateId"] == str(Certificate.objects.get().pk)


def test_line_2_usages_reach_the_template_in_snake_case(pki: Pki, robot: Client) -> None:
    body = issue_body(pki.profile, keyUsages=["digitalSignature", "cRLSign"], extendedKeyUsages=["codeSigning"])

    details = assert_error(post_json(robot, CERTIFICATES, body), status=400, error="BadRequest")["details"]

    asked = " ".join(detail["asked"] for detail in details)
    assert "crl_sign" in asked
    assert "code_signing" in asked
    assert "digital_signature" not in asked


def test_line_3_a_profile_of_another_method_is_forbidden(robot: Client, est_profile: CertificateProfile) -> None:
    response = post_json(robot, CERTIFICATES, issue_body(est_profile))

    assert "api" in assert_error(response, status=403, error="ForbiddenError")["message"]


def test_line_4_an_unknown_profile_is_not_found(robot: Client) -> None:
    response = post_json(robot, CERTIFICATES, {"profileId": str(uuid.uuid4()), "attributes": {"ttl": "1d"}})

    assert_error(response, status=404, error="NotFound")


def test_line_5_the_private_key_needs_its_permission(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    lesser = permissions.ACTIONS_OF_ROLE[Role.MEMBER] - {permissions.Action.CERTIFICATES_READ_PRIVATE_KEY}
    bob = make_client(pki.project, role=Role.MEMBER, name="bob")
    assert "privateKey" in issued(bob, pki.profile)

    monkeypatch.setitem(permissions.ACTIONS_OF_ROLE, Role.MEMBER, lesser)

    assert "privateKey" not in issued(bob, pki.profile)


def test_line_6_one_event_for_each_issue(pki: Pki, robot: Client) -> None:
    issued(robot, pki.profile)

    event = AuditEvent.objects.get(event="issue-certificate-from-profile")
    assert event.project_id == pki.project.pk
    assert event.data["certificateProfileId"] == str(pki.profile.pk)
    assert event.data["profileName"] == "server"


def test_line_7_a_signed_csr_answers_no_private_key(pki: Pki, robot: Client) -> None:
    body = {"profileId": str(pki.profile.pk), "csr": make_csr(), "attributes": {"ttl": "1d"}}

    told = post_json(robot, CERTIFICATES, body).json()["certificate"]

    assert set(told) == {
        "certificate", "issuingCaCertificate", "certificateChain", "serialNumber", "certificateId",
    }  # fmt: skip
    assert all(told.values())


def test_line_8_a_csr_for_a_profile_of_another_method_is_forbidden(
    robot: Client, est_profile: CertificateProfile
) -> None:
    response = post_json(robot, CERTIFICATES, {"profileId": str(est_profile.pk), "csr": make_csr()})

    assert "api" in assert_error(response, status=403, error="ForbiddenError")["message"]


@pytest.mark.parametrize("algorithm", ["RSA-SHA256", "RSA-SHA384", "RSA-SHA512"])
def test_line_10_rsa_signatures_work_with_an_rsa_ca(algorithm: str) -> None:
    pki = make_pki(key_algorithm=KeyAlgorithm.RSA_2048)

    told = issued(make_client(pki.project), pki.profile, signatureAlgorithm=algorithm, keyAlgorithm="EC_prime256v1")

    certificate = load_pem(told["certificate"])
    assert certificate.signature_hash_algorithm is not None
    assert certificate.signature_hash_algorithm.name.upper() == algorithm.removeprefix("RSA-")
    assert isinstance(load_pem(told["issuingCaCertificate"]).public_key(), rsa.RSAPublicKey)


@pytest.mark.parametrize("algorithm", ["ECDSA-SHA256", "ECDSA-SHA384", "ECDSA-SHA512"])
def test_line_11_ecdsa_signatures_work_with_an_ec_ca(pki: Pki, robot: Client, algorithm: str) -> None:
    told = issued(robot, pki.profile, signatureAlgorithm=algorithm)

    certificate = load_pem(told["certificate"])
    assert certificate.signature_hash_algorithm is not None
    assert certificate.signature_hash_algorithm.name.upper() == algorithm.removeprefix("ECDSA-")


def test_lines_10_and_11_the_other_family_is_refused_with_what_works(pki: Pki, robot: Client) -> None:
    response = post_json(robot, CERTIFICATES, issue_body(pki.profile, signatureAlgorithm="RSA-SHA256"))

    pointer = "/attributes/signatureAlgorithm"
    details = assert_error(response, status=400, error="BadRequest", field=pointer)["details"]
    assert any("ECDSA" in detail["fix"] + detail["allowed"] for detail in details)


def test_line_13_a_p521_ca_counts_as_ecdsa() -> None:
    pki = make_pki(key_algorithm=KeyAlgorithm.EC_SECP521R1)

    told = issued(make_client(pki.project), pki.profile, signatureAlgorithm="ECDSA-SHA512")

    issuer_key = load_pem(told["issuingCaCertificate"]).public_key()
    assert isinstance(issuer_key, ec.EllipticCurvePublicKey)
    assert issuer_key.curve.name == "secp521r1"


def test_line_37_a_template_that_is_gone_is_not_found(pki: Pki, robot: Client) -> None:
    templates = "/api/v1/cert-manager/certificate-templates"
    body = {"projectId": str(pki.project.pk), "name": "gone", "subject": [{"type": "common_name", "allowed": ["*"]}]}
    template_id = post_json(robot, templates, body).json()["certificateTemplate"]["id"]
    assert robot.delete(f"{templates}/{template_id}").status_code == 200
    profile = {
        "projectId": str(pki.project.pk),
        "caId": str(pki.issuing.pk),
        "certificateTemplateId": template_id,
        "slug": "of-the-gone",
        "enrollmentType": "api",
        "apiConfig": {},
    }

    assert_error(post_json(robot, PROFILES, profile), status=404, error="NotFound")
    assert not CertificateProfile.objects.filter(slug="of-the-gone").exists()


def test_line_85_certificates_of_a_profile_are_paged_filtered_and_searched(pki: Pki, robot: Client) -> None:
    other = make_profile_of(pki.issuing, slug="other")
    issued(robot, other)
    ids = [issued(robot, pki.profile, commonName=f"n{number}.acme.com")["certificateId"] for number in range(21)]
    Certificate.objects.filter(pk=ids[3]).update(
        status="revoked", revoked_at="2026-01-01T00:00:00Z", revocation_reason=4
    )
    path = f"{PROFILES}/{pki.profile.pk}/certificates"

    def listed(**query: str) -> list[str]:
        return [row["id"] for row in robot.get(path, query).json()["certificates"]]

    assert listed() == ids[:0:-1]
    assert listed(offset="20") == ids[:1]
    assert listed(status="revoked") == [ids[3]]
    assert listed(search="n7.acme") == [ids[7]]
    row = robot.get(path, {"search": "n7.acme"}).json()["certificates"][0]
    assert set(row) == {"id", "serialNumber", "cn", "status", "notBefore", "notAfter", "revokedAt", "createdAt"}
    assert row["cn"] == "n7.acme.com"


def test_line_85_certificates_of_an_unknown_profile_are_not_found(robot: Client) -> None:
    assert_error(robot.get(f"{PROFILES}/{uuid.uuid4()}/certificates"), status=404, error="NotFound")


def test_line_89_a_request_is_stored_with_what_was_asked(pki: Pki, robot: Client) -> None:
    issued(robot, pki.profile, altNames=None)

    request = CertificateRequest.objects.get()
    assert (request.status, request.project_id, request.profile_id) == ("issued", pki.project.pk, pki.profile.pk)
    assert request.common_name == "service.acme.com"
    listed = robot.get(REQUESTS, {"projectSlug": pki.project.slug}).json()["certificateRequests"]
    assert listed[0]["altNames"] is None


def test_line_89_without_issue_cert_no_request_is_stored(pki: Pki) -> None:
    viewer = make_client(pki.project, role=Role.VIEWER, name="viewer")

    assert_error(post_json(viewer, CERTIFICATES, issue_body(pki.profile)), status=403, error="PermissionDenied")
    assert CertificateRequest.objects.count() == 0


def test_line_90_a_request_is_found_in_its_own_project_only(pki: Pki, robot: Client) -> None:
    request_id = post_json(robot, CERTIFICATES, issue_body(pki.profile)).json()["certificateRequestId"]
    charlie = make_client(make_project(), name="charlie")

    assert robot.get(f"{REQUESTS}/{request_id}").status_code == 200
    assert_error(robot.get(f"{REQUESTS}/{uuid.uuid4()}"), status=404, error="NotFound")
    assert_error(charlie.get(f"{REQUESTS}/{request_id}"), status=404, error="NotFound")


def test_line_91_an_issued_request_answers_its_certificate(pki: Pki, robot: Client) -> None:
    answer = post_json(robot, CERTIFICATES, issue_body(pki.profile)).json()

    found = robot.get(f"{REQUESTS}/{answer['certificateRequestId']}").json()

    told = answer["certificate"]
    assert found["status"] == "issued"
    assert found["certificate"] == told["certificate"]
    assert found["certificateId"] == told["certificateId"]
    assert found["serialNumber"] == told["serialNumber"]
    assert found["errorMessage"] is None
    for name in ("createdAt", "updatedAt", "notBefore", "notAfter"):
        assert found[name].endswith("Z")


def test_line_92_a_request_without_certificate_answers_nulls(pki: Pki, robot: Client) -> None:
    post_json(robot, CERTIFICATES, issue_body(pki.profile, ttl="400d"))

    found = robot.get(f"{REQUESTS}/{CertificateRequest.objects.get().pk}").json()

    assert found["status"] == "failed"
    assert [found[name] for name in ("certificate", "certificateId", "serialNumber", "privateKey")] == [None] * 4


def test_line_93_without_read_private_key_the_key_is_null(pki: Pki, robot: Client) -> None:
    request_id = post_json(robot, CERTIFICATES, issue_body(pki.profile)).json()["certificateRequestId"]
    viewer = make_client(pki.project, role=Role.VIEWER, name="viewer")

    found = viewer.get(f"{REQUESTS}/{request_id}").json()

    assert found["privateKey"] is None
    assert found["certificate"]
    assert found == robot.get(f"{REQUESTS}/{request_id}").json(), "the role makes a difference although no key is kept"


def test_line_94_a_key_that_cannot_be_given_is_null_and_the_answer_200(pki: Pki, robot: Client) -> None:
    request_id = post_json(robot, CERTIFICATES, issue_body(pki.profile)).json()["certificateRequestId"]

    response = robot.get(f"{REQUESTS}/{request_id}")

    assert response.status_code == 200
    assert response.json()["privateKey"] is None
    assert b"PRIVATE KEY" not in response.content


@pytest.mark.parametrize("algorithm", ["EC_prime256v1", "RSA_2048"])
def test_lines_93_and_94_no_column_of_any_table_holds_the_key(pki: Pki, robot: Client, algorithm: str) -> None:
    told = issued(robot, pki.profile, keyAlgorithm=algorithm)

    key = load_pem_private_key(told["privateKey"].encode(), password=None)
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    # Any run of the key's bytes gives it away; the middle of the DER is inside the secret numbers.
    start = len(der) // 2 if algorithm == "RSA_2048" else der.index(secret_number(key))
    secret = der[start : start + 24]
    spellings = [secret, secret.hex().encode(), *base64_middles(secret)]
    pem_line = told["privateKey"].splitlines()[1].encode()
    cells = list(stored_cells())

    assert any(told["serialNumber"].encode() in cell for _, cell in cells), "the search finds what is there"
    for table, cell in cells:
        assert pem_line not in cell, table
        assert not any(spelling in cell for spelling in spellings), table


def secret_number(key: object) -> bytes:
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.private_numbers().private_value.to_bytes(32, "big")


def base64_middles(secret: bytes) -> Iterator[bytes]:
    """What is the same in every Base64 text that holds ``secret``, at each of its three offsets."""
    for offset in range(3):
        yield base64.b64encode(bytes(offset) + secret)[4 : -4 or None]


def stored_cells() -> Iterator[tuple[str, bytes]]:
    """Every value in every table, with the table's name."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608 - a table of ours
            for row in cursor.fetchall():
                for value in row:
                    is_binary = isinstance(value, bytes | memoryview)
                    yield table, bytes(value) if is_binary else str(value).encode(errors="replace")


def test_every_line_that_applies_has_a_test_of_its_name() -> None:
    wanted = {*range(1, 106)} - {9, 12, 80, 88}

    tested = set()
    for file in Path(__file__).resolve().parents[1].rglob("test_*.py"):
        for numbers in re.findall(r"^def test_lines?_(\d+(?:_and_\d+)*)_", file.read_text(), re.MULTILINE):
            tested |= {int(number) for number in numbers.split("_and_")}

    assert wanted - tested == set()
