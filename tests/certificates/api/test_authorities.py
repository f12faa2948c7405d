"""CAs over HTTP: what clients send, what they get, and what anybody may download."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID
from django.utils import timezone
from rest_framework.test import APIClient

from certificates.models import CertificateAuthority, CertificateRevocationList
from certificates.models.authority import AuthorityStatus
from certificates.services.authorities import create_intermediate, renew_authority, update_authority
from certificates.services.authorities.rules import AuthoritySubject
from pki_portal.access.models import Project, Role
from profiles.policy.vocabulary import KeyAlgorithm
from tests.assertions import assert_error
from tests.factories import SYSTEM, make_authority, make_identity, make_project, make_token

pytestmark = pytest.mark.django_db

BASE = "/api/v1/cert-manager/ca/internal"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def robot(project: Project) -> APIClient:
    """The API as the machine identity that is admin of the project sees it."""
    return client_of(project, Role.ADMIN)


def client_of(project: Project, role: Role) -> APIClient:
    identity, _, _ = make_identity(project, role=role)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {make_token(identity)}")
    return client


def body_of(project: Project, **configuration: Any) -> dict[str, Any]:
    """What a client sends for a new CA: empty strings for what it does not use, -1 for no limit."""
    return {
        "projectId": str(project.pk),
        "name": "root-ca",
        "status": "active",
        "configuration": {
            "type": "root",
            "friendlyName": "",
            "commonName": "Acme Root",
            "organization": "Acme",
            "ou": "",
            "country": "",
            "province": "",
            "locality": "",
            "maxPathLength": -1,
            "keyAlgorithm": "EC_prime256v1",
            **configuration,
        },
    }


def pem_of(text: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(text.encode())


def pending(project: Project) -> CertificateAuthority:
    return create_intermediate(
        requester=SYSTEM,
        project=project,
        name="issuing",
        subject=AuthoritySubject(common_name="Acme Issuing"),
        key_algorithm=KeyAlgorithm.EC_PRIME256V1,
        parent=None,
        max_path_length=0,
    )


# --- Create -----------------------------------------------------------------------------------------------------------


def test_created_root_answers_active_as_a_bare_object(robot: APIClient, project: Project) -> None:
    answer = robot.post(BASE, body_of(project, notAfter="2035-11-07", notBefore=""))

    assert answer.status_code == 200
    body = answer.json()
    stored = CertificateAuthority.objects.get()
    assert stored.active_certificate is not None
    assert set(body) == {"id", "name", "projectId", "type", "status", "configuration"}
    assert (body["id"], body["projectId"]) == (str(stored.pk), str(project.pk))
    assert (body["type"], body["status"]) == ("internal", "active")
    assert body["configuration"] == {
        "type": "root",
        "friendlyName": "",
        "commonName": "Acme Root",
        "organization": "Acme",
        "ou": "",
        "country": "",
        "province": "",
        "locality": "",
        "notBefore": body["configuration"]["notBefore"],
        "notAfter": "2035-11-07T00:00:00.000Z",
        "maxPathLength": -1,
        "keyAlgorithm": "EC_prime256v1",
        "keyStore": "database",
        "chainPhase": None,
        "nameConstraints": None,
        "crlDistributionPointUrls": [],
        "dn": "O=Acme, CN=Acme Root",
        "parentCaId": None,
        "serialNumber": stored.active_certificate.serial_number,
        "activeCaCertId": str(stored.active_certificate.pk),
        "isOcspEnabled": True,
    }
    assert body["configuration"]["notBefore"].endswith("Z")


def test_created_without_ocsp_it_signs_nothing_that_names_a_responder(robot: APIClient, project: Project) -> None:
    root = robot.post(BASE, body_of(project, isOcspEnabled=False)).json()
    below = body_of(project, type="intermediate", parentCaId=root["id"], commonName="Acme Issuing")
    issuing = robot.post(BASE, below | {"name": "issuing"}).json()

    assert (root["configuration"]["isOcspEnabled"], issuing["configuration"]["isOcspEnabled"]) == (False, True)
    certificate = pem_of(robot.get(f"{BASE}/{issuing['id']}/certificate").json()["certificate"])
    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert [each.access_method for each in access] == [AuthorityInformationAccessOID.CA_ISSUERS]


def test_created_with_name_constraints_and_mirrors(robot: APIClient, project: Project) -> None:
    asked = {"permitted": {"dns": ["Example.com"], "ip": ["10.0.0.0/8"]}, "excluded": {"email": [".example.net"]}}
    mirror = "http://crl.example.com/root.crl"
    sent = body_of(project, nameConstraints=asked, crlDistributionPointUrls=[mirror, f" {mirror} "])

    configuration = robot.post(BASE, sent).json()["configuration"]

    assert configuration["nameConstraints"] == {
        "permitted": {"dns": ["example.com"], "ip": ["10.0.0.0/8"]},
        "excluded": {"email": [".example.net"]},
    }
    assert configuration["crlDistributionPointUrls"] == [mirror]


def test_names_and_urls_that_no_certificate_can_carry_are_pointed_at(robot: APIClient, project: Project) -> None:
    sent = body_of(
        project,
        nameConstraints={"permitted": {"dns": ["ok.example", "*.example.com"]}, "excluded": {"ip": ["10.0.0.1/8"]}},
        crlDistributionPointUrls=["http://crl.example.com/a", "ldap://crl.example.com/a", "http://u:p@h.example/a"],
    )
    answer = robot.post(BASE, sent)

    told = assert_error(answer, status=400, error="BadRequest")
    assert [detail["pointer"] for detail in told["details"]] == [
        "/configuration/nameConstraints/permitted/dns/1",
        "/configuration/nameConstraints/excluded/ip/0",
        "/configuration/crlDistributionPointUrls/1",
        "/configuration/crlDistributionPointUrls/2",
    ]


def test_mirrors_change_and_the_rest_of_a_configuration_does_not(robot: APIClient, project: Project) -> None:
    root = make_authority(project)
    urls = [f"http://crl{number}.example.com/" for number in range(5)]

    changed = robot.patch(f"{BASE}/{root.pk}", {"configuration": {"crlDistributionPointUrls": urls[:4], "ou": "X"}})
    assert changed.json()["configuration"]["crlDistributionPointUrls"] == urls[:4]
    assert changed.json()["warnings"] == ["/configuration/ou is not known here and was ignored."]

    refused = robot.patch(f"{BASE}/{root.pk}", {"configuration": {"crlDistributionPointUrls": urls}})
    assert_error(refused, status=400, error="BadRequest", field="/configuration/crlDistributionPointUrls")


def test_a_new_key_and_the_switch_of_the_chain(robot: APIClient, project: Project) -> None:
    root = make_authority(project)
    asked = {"type": "new-key", "notAfter": "2060-01-01", "keyAlgorithm": "ECDSA-P384"}
    answer = robot.post(f"{BASE}/{root.pk}/renew", asked)
    assert answer.status_code == 200
    new = pem_of(answer.json()["certificate"])
    assert isinstance(new.public_key(), ec.EllipticCurvePublicKey)
    assert answer.json()["certificateChain"] == ""
    assert robot.get(f"{BASE}/{root.pk}").json()["configuration"]["chainPhase"] == "old"

    changed = robot.patch(f"{BASE}/{root.pk}", {"configuration": {"chainPhase": "cross-signed"}}).json()
    assert changed["configuration"]["chainPhase"] == "cross-signed"
    assert changed["configuration"]["keyAlgorithm"] == "EC_secp384r1"
    versions = robot.get(f"{BASE}/{root.pk}/ca-certificates").json()
    assert [each["version"] for each in versions] == [1, 2, 3, 4]
    assert [len(each["certificateChain"]) > 0 for each in versions] == [False, False, True, True]
    assert len(robot.get(f"{BASE}/{root.pk}/crls").json()) == 2


def test_a_phase_of_a_ca_with_one_key_is_refused(robot: APIClient, project: Project) -> None:
    root = make_authority(project)
    answer = robot.patch(f"{BASE}/{root.pk}", {"configuration": {"chainPhase": "new"}})
    assert_error(answer, status=400, error="BadRequest", field="/configuration/chainPhase")
    assert_error(
        robot.patch(f"{BASE}/{root.pk}", {"configuration": {"chainPhase": "next"}}),
        status=422,
        error="ValidationFailure",
    )


def elsewhere() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A root that was made elsewhere."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Corp Root")])
    now = timezone.now()
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), 77, now - timedelta(days=1), now + timedelta(days=900))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return key, builder.sign(key, hashes.SHA256())


def import_body(project: Project, **changes: Any) -> dict[str, Any]:
    key, certificate = elsewhere()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    asked = {
        "projectId": str(project.pk),
        "name": "corp-root",
        "privateKey": text,
        "certificate": certificate.public_bytes(Encoding.PEM).decode(),
    }
    return asked | changes


def test_import_answers_the_ca_and_nothing_of_its_key(robot: APIClient, project: Project) -> None:
    body = import_body(project)
    answer = robot.post(f"{BASE}/import", body)

    assert answer.status_code == 200
    told = answer.json()
    assert (told["status"], told["configuration"]["dn"]) == ("active", "CN=Corp Root")
    assert set(told) == {"id", "name", "projectId", "type", "status", "configuration"}
    assert body["privateKey"].splitlines()[1] not in answer.content.decode()


def test_import_of_der_and_of_pkcs12_in_base64(robot: APIClient, project: Project) -> None:
    key, certificate = elsewhere()
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass word "))
    sent = import_body(
        project,
        name="der",
        privateKey=b64encode(der).decode(),
        password="pass word ",
        certificate=certificate.public_bytes(Encoding.PEM).decode(),
    )
    assert robot.post(f"{BASE}/import", sent).status_code == 200

    key, certificate = elsewhere()
    store = serialize_key_and_certificates(b"x", key, certificate, None, BestAvailableEncryption(b"secret"))
    sent = {
        "projectId": str(project.pk),
        "name": "store",
        "privateKey": b64encode(store).decode(),
        "password": "secret",
    }
    assert robot.post(f"{BASE}/import", sent).status_code == 200


@pytest.mark.parametrize(
    ("changes", "status", "pointer"),
    [
        ({"privateKey": "AAAA"}, 422, "/privateKey"),
        ({"privateKey": 7}, 422, "/privateKey"),
        ({"certificate": ""}, 422, "/certificate"),
        ({"certificateChain": "x"}, 422, "/certificateChain"),
        ({"name": "Not A Slug"}, 400, "/name"),
    ],
)
def test_import_refuses_at_the_place(
    robot: APIClient, project: Project, changes: dict[str, Any], status: int, pointer: str
) -> None:
    answer = robot.post(f"{BASE}/import", import_body(project, **changes))
    names = {400: "BadRequest", 422: "ValidationFailure"}
    assert_error(answer, status=status, error=names[status], field=pointer)
    assert not CertificateAuthority.objects.exists()


def test_import_into_a_project_of_others_is_not_found(robot: APIClient) -> None:
    assert_error(robot.post(f"{BASE}/import", import_body(make_project())), status=404, error="NotFound")


def test_created_intermediate_without_parent_waits(robot: APIClient, project: Project) -> None:
    body = robot.post(BASE, body_of(project, type="intermediate", maxPathLength=0)).json()

    assert body["status"] == "pending-certificate"
    configuration = body["configuration"]
    assert (configuration["activeCaCertId"], configuration["serialNumber"]) == (None, None)
    assert (configuration["notBefore"], configuration["notAfter"]) == (None, None)
    assert configuration["maxPathLength"] == 0


def test_created_intermediate_with_parent_is_active(robot: APIClient, project: Project) -> None:
    root = make_authority(project, max_path_length=1)

    body = robot.post(
        BASE, body_of(project, type="intermediate", commonName="Sub", maxPathLength=0, parentCaId=str(root.pk))
    ).json()

    assert body["status"] == "active"
    assert body["configuration"]["parentCaId"] == str(root.pk)


@pytest.mark.parametrize(
    "spelling", ["RSA_2048", "rsa-2048", "P-256", "ECDSA-P384", "EC_secp384r1", "ED25519", "ml_dsa_65"]
)
def test_key_algorithm_in_every_spelling(robot: APIClient, project: Project, spelling: str) -> None:
    body = robot.post(BASE, body_of(project, keyAlgorithm=spelling)).json()

    assert body["configuration"]["keyAlgorithm"] in set(KeyAlgorithm)


def test_name_is_lowered_and_trimmed(robot: APIClient, project: Project) -> None:
    assert robot.post(BASE, body_of(project) | {"name": "  Root-CA "}).json()["name"] == "root-ca"


def test_unknown_keys_are_ignored_and_named(robot: APIClient, project: Project) -> None:
    body = robot.post(BASE, body_of(project, keySource="internal")).json()

    assert body["warnings"] == ["/configuration/keySource is not known here and was ignored."]


def test_every_violation_names_its_place_in_the_body(robot: APIClient, project: Project) -> None:
    root = make_authority(project, max_path_length=1, not_after=datetime(2030, 1, 1, tzinfo=UTC))

    answer = robot.post(
        BASE,
        body_of(
            project,
            type="intermediate",
            ou="x" * 65,
            province="x" * 129,
            commonName="",
            notAfter="2029-01-01",
            maxPathLength=1000,
            parentCaId=str(root.pk),
        )
        | {"name": "not_a_slug"},
    )

    body = assert_error(answer, status=400, error="BadRequest", field="/configuration/ou")
    assert {detail["pointer"] for detail in body["details"]} == {
        "/name",
        "/configuration/ou",
        "/configuration/province",
        "/configuration/maxPathLength",
    }
    answer = robot.post(
        BASE,
        body_of(project, type="intermediate", commonName="Sub", notAfter="2031", parentCaId=str(root.pk)),
    )
    body = assert_error(answer, status=400, error="BadRequest", field="/configuration/notAfter")
    assert {detail["pointer"] for detail in body["details"]} == {
        "/configuration/notAfter",
        "/configuration/maxPathLength",
    }


def test_ca_without_any_name_is_refused(robot: APIClient, project: Project) -> None:
    answer = robot.post(BASE, body_of(project, commonName="", organization=""))

    assert_error(answer, status=400, error="BadRequest", field="/configuration/commonName")


@pytest.mark.parametrize(
    ("configuration", "field"),
    [
        ({"type": "leaf"}, "/configuration/type"),
        ({"keyAlgorithm": "RSA_1024"}, "/configuration/keyAlgorithm"),
        ({"notAfter": "tomorrow"}, "/configuration/notAfter"),
        ({"notAfter": "2029-02-30"}, "/configuration/notAfter"),
        ({"notBefore": "1949-12-31"}, "/configuration/notBefore"),
        ({"commonName": 7}, "/configuration/commonName"),
        ({"commonName": "x" * 2000}, "/configuration/commonName"),
        ({"maxPathLength": "0"}, "/configuration/maxPathLength"),
        ({"maxPathLength": -2}, "/configuration/maxPathLength"),
        ({"parentCaId": "root"}, "/configuration/parentCaId"),
        ({"friendlyName": "x" * 256}, "/configuration/friendlyName"),
    ],
)
def test_malformed_configuration_is_refused(
    robot: APIClient, project: Project, configuration: dict[str, Any], field: str
) -> None:
    answer = robot.post(BASE, body_of(project, **configuration))

    assert_error(answer, status=422, error="ValidationFailure", field=field)
    assert not CertificateAuthority.objects.exists()


def test_taken_name_is_refused(robot: APIClient, project: Project) -> None:
    robot.post(BASE, body_of(project))

    assert_error(robot.post(BASE, body_of(project)), status=400, error="BadRequest", field="/name")


@pytest.mark.parametrize("reference", [str(uuid4()), "not-an-id"])
def test_unknown_project_is_not_found(robot: APIClient, project: Project, reference: str) -> None:
    answer = robot.post(BASE, body_of(project) | {"projectId": reference})

    assert_error(answer, status=404, error="NotFound")


def test_parent_of_another_project_is_not_found(robot: APIClient, project: Project) -> None:
    stranger = make_authority(make_project())

    answer = robot.post(BASE, body_of(project, type="intermediate", parentCaId=str(stranger.pk)))

    assert_error(answer, status=404, error="NotFound")


def test_anonymous_gets_401(project: Project) -> None:
    for answer in (APIClient().post(BASE, body_of(project)), APIClient().get(f"{BASE}?projectId={project.pk}")):
        assert_error(answer, status=401, error="UnauthorizedError")


def test_member_may_read_and_not_create(project: Project) -> None:
    root = make_authority(project)
    bob = client_of(project, Role.MEMBER)

    assert bob.get(f"{BASE}/{root.pk}").status_code == 200
    assert_error(bob.post(BASE, body_of(project)), status=403, error="PermissionDenied")
    assert_error(bob.patch(f"{BASE}/{root.pk}", {"status": "disabled"}), status=403, error="PermissionDenied")
    assert_error(bob.delete(f"{BASE}/{root.pk}"), status=403, error="PermissionDenied")
    assert_error(bob.post(f"{BASE}/{root.pk}/certificate", {"notAfter": "2040"}), status=403, error="PermissionDenied")


# --- Read, change, delete ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", ""),
        ("patch", ""),
        ("delete", ""),
        ("get", "/csr"),
        ("get", "/certificate"),
        ("post", "/certificate"),
        ("get", f"/certificate/{uuid4()}"),
        ("get", "/ca-certificates"),
        ("post", "/sign-intermediate"),
        ("post", "/import-certificate"),
        ("post", "/renew"),
        ("get", "/crls"),
    ],
)
def test_cas_of_others_do_not_exist(robot: APIClient, method: str, path: str) -> None:
    stranger = make_authority(make_project())

    assert_error(getattr(robot, method)(f"{BASE}/{stranger.pk}{path}"), status=404, error="NotFound")
    assert_error(getattr(robot, method)(f"{BASE}/nonsense{path}"), status=422, error="ValidationFailure")
    assert CertificateAuthority.objects.filter(pk=stranger.pk).exists()


def test_lists_hold_the_cas_of_the_project(robot: APIClient, project: Project) -> None:
    first, second = make_authority(project), make_authority(project)
    make_authority(make_project())

    internal = robot.get(f"{BASE}?projectId={project.pk}").json()
    assert [each["id"] for each in internal] == [str(second.pk), str(first.pk)]
    every = robot.get(f"/api/v1/cert-manager/ca?projectId={project.pk}").json()
    assert every == {"certificateAuthorities": internal}
    flat = robot.get(f"/api/v1/projects/{project.pk}/cas?status=active&limit=1&offset=1").json()
    assert [each["id"] for each in flat["cas"]] == [str(first.pk)]
    assert flat["cas"][0]["commonName"] == first.common_name
    assert robot.get(f"/api/v1/projects/{project.pk}/cas?commonName={second.common_name}").json()["cas"][0][
        "id"
    ] == str(second.pk)
    assert robot.get(f"/api/v1/projects/{project.pk}/cas?friendlyName=none").json() == {"cas": []}


def test_lists_of_other_projects_are_not_found(robot: APIClient) -> None:
    stranger = make_project()

    for path in (
        f"{BASE}?projectId={stranger.pk}",
        f"/api/v1/cert-manager/ca?projectId={stranger.pk}",
        f"/api/v1/projects/{stranger.pk}/cas",
    ):
        assert_error(robot.get(path), status=404, error="NotFound")
    assert_error(robot.get(BASE), status=422, error="ValidationFailure", field="/projectId")


def test_patch_turns_ocsp_off_and_on(robot: APIClient, project: Project) -> None:
    root = make_authority(project)
    for is_on in (False, True):
        answer = robot.patch(f"{BASE}/{root.pk}", {"configuration": {"isOcspEnabled": is_on}})
        assert answer.json()["configuration"]["isOcspEnabled"] is is_on
        root.refresh_from_db()
        assert root.is_ocsp_enabled is is_on


def test_patch_disables_and_renames(robot: APIClient, project: Project) -> None:
    root = make_authority(project)

    body = robot.patch(f"{BASE}/{root.pk}", {"status": "disabled", "name": "old-root", "configuration": {}}).json()

    assert (body["status"], body["name"]) == ("disabled", "old-root")
    root.refresh_from_db()
    assert root.status == AuthorityStatus.DISABLED
    answer = robot.patch(f"{BASE}/{root.pk}", {"status": "pending-certificate"})
    assert_error(answer, status=400, error="BadRequest", field="/status")


def test_delete_answers_what_was_deleted(robot: APIClient, project: Project) -> None:
    root = make_authority(project)

    assert robot.delete(f"{BASE}/{root.pk}").json()["id"] == str(root.pk)
    assert not CertificateAuthority.objects.exists()


def test_delete_of_a_parent_is_refused(robot: APIClient, project: Project) -> None:
    root = make_authority(project)
    make_authority(project, parent=root, name="child")

    body = assert_error(robot.delete(f"{BASE}/{root.pk}"), status=400, error="BadRequest")

    assert "child" in body["details"][0]["asked"]


# --- Certificates -----------------------------------------------------------------------------------------------------


def test_certificate_of_a_pending_ca_is_a_400(robot: APIClient, project: Project) -> None:
    assert_error(robot.get(f"{BASE}/{pending(project).pk}/certificate"), status=400, error="BadRequest")


def test_pending_ca_gets_its_certificate(robot: APIClient, project: Project) -> None:
    root = make_authority(project, max_path_length=1)
    issuing = pending(project)

    answer = robot.post(
        f"{BASE}/{issuing.pk}/certificate",
        {"notBefore": "", "notAfter": "2030-06-12", "maxPathLength": 0, "parentCaId": str(root.pk)},
    )

    body = answer.json()
    assert set(body) == {"certId", "certificate", "certificateChain", "serialNumber"}
    certificate = pem_of(body["certificate"])
    certificate.verify_directly_issued_by(pem_of(body["certificateChain"]))
    assert certificate.not_valid_after_utc == datetime(2030, 6, 12, tzinfo=UTC)
    assert body["serialNumber"] == f"{certificate.serial_number:040x}"
    assert robot.get(f"{BASE}/{issuing.pk}/certificate/{body['certId']}").json() == body
    unrevoked = {"revokedAt": None, "revocationReason": None}
    assert robot.get(f"{BASE}/{issuing.pk}/ca-certificates").json() == [body | {"version": 1} | unrevoked]
    del body["certId"]
    assert robot.get(f"{BASE}/{issuing.pk}/certificate").json() == body
    assert_error(robot.get(f"{BASE}/{issuing.pk}/certificate/{uuid4()}"), status=404, error="NotFound")


def test_path_length_left_out_is_that_of_the_ca(robot: APIClient, project: Project) -> None:
    root = make_authority(project, max_path_length=1)
    issuing = pending(project)

    body = robot.post(f"{BASE}/{issuing.pk}/certificate", {"notAfter": "2030", "parentCaId": str(root.pk)}).json()

    constraints = pem_of(body["certificate"]).extensions.get_extension_for_class(x509.BasicConstraints).value
    assert constraints.path_length == 0


def test_refused_certificate_names_its_fields(robot: APIClient, project: Project) -> None:
    root = make_authority(project, max_path_length=1)

    answer = robot.post(
        f"{BASE}/{pending(project).pk}/certificate",
        {"notBefore": "2000", "notAfter": "2090", "maxPathLength": -1, "parentCaId": str(root.pk)},
    )

    body = assert_error(answer, status=400, error="BadRequest", field="/notAfter")
    assert {detail["pointer"] for detail in body["details"]} == {"/notBefore", "/notAfter", "/maxPathLength"}
    assert_error(
        robot.post(f"{BASE}/{root.pk}/certificate", {}), status=422, error="ValidationFailure", field="/notAfter"
    )


def test_root_certificate_has_no_chain(robot: APIClient, project: Project) -> None:
    assert robot.get(f"{BASE}/{make_authority(project).pk}/certificate").json()["certificateChain"] == ""


def test_renew_makes_the_next_version(robot: APIClient, project: Project) -> None:
    root = make_authority(project)

    body = robot.post(f"{BASE}/{root.pk}/renew", {"type": "existing", "notAfter": "2050-01-01"}).json()

    assert pem_of(body["certificate"]).not_valid_after_utc == datetime(2050, 1, 1, tzinfo=UTC)
    assert [each["version"] for each in robot.get(f"{BASE}/{root.pk}/ca-certificates").json()] == [1, 2]
    answer = robot.post(f"{BASE}/{root.pk}/renew", {"type": "existing", "notAfter": "2049-01-01"})
    assert_error(answer, status=400, error="BadRequest", field="/notAfter")
    answer = robot.post(f"{BASE}/{root.pk}/renew", {"type": "new", "notAfter": "2060-01-01"})
    assert_error(answer, status=422, error="ValidationFailure", field="/type")


def test_csr_sign_and_import_make_an_active_ca(robot: APIClient, project: Project) -> None:
    root = make_authority(project, max_path_length=1)
    issuing = pending(project)

    csr = robot.get(f"{BASE}/{issuing.pk}/csr").json()["csr"]
    signed = robot.post(
        f"{BASE}/{root.pk}/sign-intermediate", {"csr": csr + "\n", "notAfter": "2030-01-01", "maxPathLength": 0}
    ).json()
    assert set(signed) == {"certificate", "certificateChain", "issuingCaCertificate", "serialNumber"}
    assert signed["issuingCaCertificate"] == signed["certificateChain"]
    imported = robot.post(
        f"{BASE}/{issuing.pk}/import-certificate",
        {"certificate": signed["certificate"], "certificateChain": signed["certificateChain"]},
    )

    assert imported.json()["caId"] == str(issuing.pk)
    assert robot.get(f"{BASE}/{issuing.pk}").json()["configuration"]["parentCaId"] == str(root.pk)


def test_csr_of_a_root_is_a_400(robot: APIClient, project: Project) -> None:
    assert_error(robot.get(f"{BASE}/{make_authority(project).pk}/csr"), status=400, error="BadRequest")


def test_bad_csr_and_certificate_are_refused(robot: APIClient, project: Project) -> None:
    root = make_authority(project, max_path_length=1)
    answer = robot.post(
        f"{BASE}/{root.pk}/sign-intermediate", {"csr": "nonsense", "notAfter": "2030", "maxPathLength": 0}
    )
    assert_error(answer, status=422, error="ValidationFailure", field="/csr")
    answer = robot.post(
        f"{BASE}/{pending(project).pk}/import-certificate", {"certificate": "nonsense", "certificateChain": "x"}
    )
    assert_error(answer, status=422, error="ValidationFailure", field="/certificate")


def test_sign_intermediate_without_path_length_under_a_limited_ca_is_refused(
    robot: APIClient, project: Project
) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Partner")])
    csr = x509.CertificateSigningRequestBuilder(name).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())

    answer = robot.post(
        f"{BASE}/{make_authority(project, max_path_length=1).pk}/sign-intermediate",
        {"csr": csr.public_bytes(Encoding.PEM).decode(), "notAfter": "2030"},
    )

    assert_error(answer, status=400, error="BadRequest", field="/maxPathLength")


# --- Published --------------------------------------------------------------------------------------------------------


def published_by(project: Project) -> tuple[str, str]:
    """Paths of CRL and CA certificate, as an issued certificate names them."""
    issuing = make_authority(project, parent=make_authority(project, max_path_length=1))
    assert issuing.active_certificate is not None
    certificate = x509.load_der_x509_certificate(bytes(issuing.active_certificate.der))
    point = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value[0]
    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value[0]
    return urlsplit((point.full_name or [])[0].value).path, urlsplit(access.access_location.value).path


def test_both_urls_of_a_certificate_answer_anybody(client: Any, project: Project) -> None:
    crl_path, certificate_path = published_by(project)

    answer = client.get(crl_path, HTTP_ACCEPT="application/pkix-crl")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/pkix-crl")
    crl = x509.load_der_x509_crl(answer.content)
    answer = client.get(certificate_path, HTTP_ACCEPT="image/png")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/pkix-cert")
    root = x509.load_der_x509_certificate(answer.content)
    assert crl.is_signature_valid(root.public_key())  # type: ignore[arg-type]
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number > 0
    assert client.get(crl_path.removesuffix("/der")).content == client.get(crl_path).content


def test_published_documents_are_cached_and_conditional(client: Any, project: Project) -> None:
    for path in published_by(project):
        answer = client.get(path)
        assert answer["Cache-Control"].startswith("public, max-age=")
        assert client.get(path, HTTP_IF_NONE_MATCH=answer["ETag"]).status_code == 304
        again = client.get(path, HTTP_IF_MODIFIED_SINCE=answer["Last-Modified"])
        assert (again.status_code, again.content) == (304, b"")
        assert client.get(path, HTTP_IF_NONE_MATCH='"other"').status_code == 200
        assert client.head(path)["ETag"] == answer["ETag"]


def test_unknown_published_documents_are_404(client: Any, project: Project) -> None:
    root = make_authority(project)
    assert root.active_certificate is not None
    waiting = CertificateRevocationList.objects.get(key__authority=pending(project))

    for path in (
        f"/api/v1/cert-manager/crl/{uuid4()}/der",
        f"/api/v1/cert-manager/crl/{waiting.pk}/der",
        f"{BASE}/{root.pk}/certificates/{uuid4()}/der",
        f"{BASE}/{uuid4()}/certificates/{root.active_certificate.pk}/der",
    ):
        assert_error(client.get(path, HTTP_ACCEPT="application/pkix-crl"), status=404, error="NotFound")
    assert_error(client.get("/api/v1/cert-manager/crl/x/der"), status=422, error="ValidationFailure")


def test_old_version_stays_at_its_address(client: Any, project: Project) -> None:
    root = make_authority(project)
    assert root.active_certificate is not None
    old = root.active_certificate
    renew_authority(requester=SYSTEM, authority=root, not_after=datetime(2050, 1, 1, tzinfo=UTC))

    assert client.get(f"{BASE}/{root.pk}/certificates/{old.pk}/der").content == bytes(old.der)


def test_crls_of_a_ca_are_listed_in_pem(robot: APIClient, project: Project) -> None:
    root = make_authority(project)
    update_authority(requester=SYSTEM, authority=root, status=AuthorityStatus.DISABLED)

    (listed,) = robot.get(f"{BASE}/{root.pk}/crls").json()

    assert UUID(listed["id"]) == CertificateRevocationList.objects.get().pk
    issuer = x509.load_pem_x509_crl(listed["crl"].encode()).issuer
    assert root.common_name in issuer.rfc4514_string()
