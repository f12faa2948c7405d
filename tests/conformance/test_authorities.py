"""The reference's behaviour of CAs, section 4.7 of the wire format, each line by its name and over HTTP."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from django.utils import timezone
from rest_framework.test import APIClient

from certificates.models import CertificateAuthority
from pki_portal.access.models import MachineIdentity, Membership, Project, Role
from tests.assertions import assert_error
from tests.factories import make_identity, make_project, make_token

pytestmark = pytest.mark.django_db

BASE = "/api/v1/cert-manager/ca/internal"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def robot(project: Project) -> APIClient:
    identity, _, _ = make_identity(project, role=Role.ADMIN)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {make_token(identity)}")
    return client


def wire_time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def later(days: int = 365) -> str:
    return wire_time(timezone.now().replace(microsecond=0) + timedelta(days=days))


def create(robot: APIClient, project: Project, kind: str = "root", **configuration: Any) -> dict[str, Any]:
    number = CertificateAuthority.objects.count()
    asked = {
        "type": kind,
        "commonName": f"Acme {kind} {number}",
        "organization": "Acme",
        "ou": "",
        "country": "",
        "province": "",
        "locality": "",
        "keyAlgorithm": "EC_prime256v1",
        "maxPathLength": -1,
        **configuration,
    }
    body = {"projectId": str(project.pk), "name": f"ca-{number}", "status": "active", "configuration": asked}
    answer = robot.post(BASE, body)
    assert answer.status_code == 200, answer.content
    made: dict[str, Any] = answer.json()
    return made


def csr(common_name: str = "Partner CA") -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    made = x509.CertificateSigningRequestBuilder(name).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return made.public_bytes(Encoding.PEM).decode()


def sign(robot: APIClient, authority: dict[str, Any], **changes: Any) -> Any:
    asked = {"csr": csr(), "notAfter": later(), "maxPathLength": 0} | changes
    return robot.post(f"{BASE}/{authority['id']}/sign-intermediate", asked)


# --- Create -----------------------------------------------------------------------------------------------------------


def test_a_root_with_not_after_is_self_signed_active_and_version_1(robot: APIClient, project: Project) -> None:
    root = create(robot, project, notAfter="2040-01-01")
    assert root["status"] == "active"
    versions = robot.get(f"{BASE}/{root['id']}/ca-certificates").json()
    assert [each["version"] for each in versions] == [1]
    certificate = x509.load_pem_x509_certificate(versions[0]["certificate"].encode())
    certificate.verify_directly_issued_by(certificate)


def test_a_root_without_not_after_gets_ten_years_and_is_active(robot: APIClient, project: Project) -> None:
    """Decision 15: it does not wait, as it does in the reference."""
    root = create(robot, project)
    assert root["status"] == "active"
    life = datetime.fromisoformat(root["configuration"]["notAfter"]) - timezone.now()
    assert 3650 <= life.days <= 3653
    assert root["configuration"]["maxPathLength"] == -1


def test_an_intermediate_waits_for_its_certificate(robot: APIClient, project: Project) -> None:
    assert create(robot, project, "intermediate")["status"] == "pending-certificate"


def test_an_empty_crl_is_made_with_every_ca(robot: APIClient, project: Project) -> None:
    root = create(robot, project)
    (crl,) = robot.get(f"{BASE}/{root['id']}/crls").json()
    assert len(x509.load_pem_x509_crl(crl["crl"].encode())) == 0


# --- Sign an intermediate ---------------------------------------------------------------------------------------------


def test_sign_intermediate_is_refused_by_a_disabled_ca(robot: APIClient, project: Project) -> None:
    root = create(robot, project)
    robot.patch(f"{BASE}/{root['id']}", {"status": "disabled"})
    assert_error(sign(robot, root), status=400, error="BadRequest")


def test_sign_intermediate_is_refused_without_a_certificate(robot: APIClient, project: Project) -> None:
    assert_error(sign(robot, create(robot, project, "intermediate")), status=400, error="BadRequest")


def test_sign_intermediate_is_refused_by_an_expired_ca(robot: APIClient, project: Project) -> None:
    root = create(robot, project)
    row = CertificateAuthority.objects.get(pk=root["id"]).active_certificate
    assert row is not None
    row.not_after = timezone.now() - timedelta(days=1)
    row.save(update_fields=["not_after"])
    assert_error(sign(robot, root), status=400, error="BadRequest", field="/parentCaId")


def test_sign_intermediate_is_refused_under_path_length_0(robot: APIClient, project: Project) -> None:
    root = create(robot, project, maxPathLength=0)
    assert_error(sign(robot, root), status=400, error="BadRequest", field="/parentCaId")


@pytest.mark.parametrize("asked", [1, 2, -1])
def test_sign_intermediate_is_refused_with_a_path_as_long_as_the_cas(
    robot: APIClient, project: Project, asked: int
) -> None:
    root = create(robot, project, maxPathLength=1)
    answer = sign(robot, root, maxPathLength=asked)
    assert_error(answer, status=400, error="BadRequest", field="/maxPathLength")


def test_sign_intermediate_is_refused_with_a_start_before_the_cas(robot: APIClient, project: Project) -> None:
    root = create(robot, project)
    answer = sign(robot, root, notBefore="2020-01-01")
    assert_error(answer, status=400, error="BadRequest", field="/notBefore")


def test_sign_intermediate_is_refused_with_a_start_after_its_end(robot: APIClient, project: Project) -> None:
    root = create(robot, project)
    answer = sign(robot, root, notBefore=later(20), notAfter=later(10))
    assert_error(answer, status=400, error="BadRequest", field="/notAfter")


def test_sign_intermediate_is_refused_with_an_end_after_the_cas(robot: APIClient, project: Project) -> None:
    root = create(robot, project, notAfter=later(100))
    answer = sign(robot, root, notAfter=later(101))
    told = assert_error(answer, status=400, error="BadRequest", field="/notAfter")
    assert any("latest possible end" in detail["fix"] for detail in told["details"])


def test_sign_intermediate_by_default_asks_for_no_path_limit(robot: APIClient, project: Project) -> None:
    answer = robot.post(
        f"{BASE}/{create(robot, project)['id']}/sign-intermediate", {"csr": csr(), "notAfter": later()}
    ).json()
    assert set(answer) == {"certificate", "certificateChain", "issuingCaCertificate", "serialNumber"}
    certificate = x509.load_pem_x509_certificate(answer["certificate"].encode())
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, None)


def test_sign_intermediate_needs_its_permission(project: Project, robot: APIClient) -> None:
    root = create(robot, project)
    identity, _, _ = make_identity(project, role=Role.MEMBER, name="member")
    member = APIClient()
    member.credentials(HTTP_AUTHORIZATION=f"Bearer {make_token(identity)}")
    assert_error(sign(member, root), status=403, error="PermissionDenied")


# --- Import a certificate ---------------------------------------------------------------------------------------------


def waiting(robot: APIClient, project: Project) -> tuple[dict[str, Any], dict[str, Any], str]:
    """A CA that waits, a root that can sign for it, and the CSR."""
    ours = create(robot, project, "intermediate", maxPathLength=0)
    request = robot.get(f"{BASE}/{ours['id']}/csr").json()["csr"]
    return ours, create(robot, project, maxPathLength=1), request


def install(robot: APIClient, authority: dict[str, Any], certificate: str, chain: str) -> Any:
    body = {"certificate": certificate, "certificateChain": chain}
    return robot.post(f"{BASE}/{authority['id']}/import-certificate", body)


def test_import_sets_active_dates_serial_path_length_and_the_parent_of_the_project(
    robot: APIClient, project: Project
) -> None:
    ours, root, request = waiting(robot, project)
    signed = sign(robot, root, csr=request, notAfter=later(200)).json()
    answer = install(robot, ours, signed["certificate"], signed["certificateChain"])
    assert answer.json()["caId"] == ours["id"]
    told = robot.get(f"{BASE}/{ours['id']}").json()
    assert told["status"] == "active"
    assert told["configuration"]["serialNumber"] == signed["serialNumber"]
    assert told["configuration"]["maxPathLength"] == 0
    assert told["configuration"]["parentCaId"] == root["id"]
    assert told["configuration"]["notAfter"][:10] == later(200)[:10]


def test_import_is_refused_when_chained_to_an_internal_parent(robot: APIClient, project: Project) -> None:
    ours, root, request = waiting(robot, project)
    signed = sign(robot, root, csr=request).json()
    install(robot, ours, signed["certificate"], signed["certificateChain"])
    again = sign(robot, root, csr=request).json()
    answer = install(robot, ours, again["certificate"], again["certificateChain"])
    assert_error(answer, status=400, error="BadRequest", field="/parentCaId")


def test_import_is_refused_for_another_name_and_another_key(robot: APIClient, project: Project) -> None:
    ours, root, _ = waiting(robot, project)
    signed = sign(robot, root, csr=csr("Stranger")).json()
    told = assert_error(
        install(robot, ours, signed["certificate"], signed["certificateChain"]), status=400, error="BadRequest"
    )
    assert {detail["code"] for detail in told["details"]} == {"subject_differs", "key_differs"}


def test_import_is_refused_for_another_path_length(robot: APIClient, project: Project) -> None:
    ours, _, request = waiting(robot, project)
    signed = sign(robot, create(robot, project), csr=request, maxPathLength=3).json()
    told = assert_error(
        install(robot, ours, signed["certificate"], signed["certificateChain"]), status=400, error="BadRequest"
    )
    assert {detail["code"] for detail in told["details"]} == {"path_length_differs"}


def test_import_is_refused_for_what_is_no_ca(robot: APIClient, project: Project) -> None:
    ours, _, request = waiting(robot, project)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Elsewhere")])
    now = timezone.now()

    def made(subject: x509.Name, public_key: Any, is_ca: bool) -> str:
        builder = x509.CertificateBuilder(name, subject, public_key, 9, now, now + timedelta(days=90))
        constraints = x509.BasicConstraints(ca=is_ca, path_length=None)
        signed = builder.add_extension(constraints, critical=True).sign(key, hashes.SHA256())
        return signed.public_bytes(Encoding.PEM).decode()

    asked = x509.load_pem_x509_csr(request.encode())
    leaf = made(asked.subject, asked.public_key(), is_ca=False)
    told = assert_error(
        install(robot, ours, leaf, made(name, key.public_key(), is_ca=True)), status=400, error="BadRequest"
    )
    assert {detail["code"] for detail in told["details"]} == {"not_a_ca"}


def test_import_is_refused_unless_the_chain_builds_with_every_certificate_used(
    robot: APIClient, project: Project
) -> None:
    ours, root, request = waiting(robot, project)
    signed = sign(robot, root, csr=request).json()
    stranger = robot.get(f"{BASE}/{create(robot, project)['id']}/certificate").json()["certificate"]
    for chain in (stranger, f"{signed['certificateChain']}\n{stranger}"):
        answer = install(robot, ours, signed["certificate"], chain)
        assert_error(answer, status=400, error="BadRequest", field="/certificateChain")


# --- Renew ------------------------------------------------------------------------------------------------------------


def test_renew_keeps_the_key_and_every_version(robot: APIClient, project: Project) -> None:
    root = create(robot, project)
    renewed = robot.post(f"{BASE}/{root['id']}/renew", {"type": "existing", "notAfter": "2060-01-01"}).json()
    assert set(renewed) == {"certificate", "certificateChain", "serialNumber"}
    versions = robot.get(f"{BASE}/{root['id']}/ca-certificates").json()
    assert [each["version"] for each in versions] == [1, 2]
    old, new = (x509.load_pem_x509_certificate(each["certificate"].encode()) for each in versions)
    assert old.public_key() == new.public_key()
    assert versions[1]["serialNumber"] == renewed["serialNumber"] != versions[0]["serialNumber"]


def test_renew_needs_a_certificate(robot: APIClient, project: Project) -> None:
    pending = create(robot, project, "intermediate")
    answer = robot.post(f"{BASE}/{pending['id']}/renew", {"type": "existing", "notAfter": later()})
    assert_error(answer, status=400, error="BadRequest")


def test_renew_is_refused_while_disabled(robot: APIClient, project: Project) -> None:
    root = create(robot, project)
    robot.patch(f"{BASE}/{root['id']}", {"status": "disabled"})
    answer = robot.post(f"{BASE}/{root['id']}/renew", {"type": "existing", "notAfter": "2060-01-01"})
    assert_error(answer, status=400, error="BadRequest")


def test_renew_must_end_later_than_now(robot: APIClient, project: Project) -> None:
    root = create(robot, project)
    answer = robot.post(
        f"{BASE}/{root['id']}/renew", {"type": "existing", "notAfter": root["configuration"]["notAfter"]}
    )
    assert_error(answer, status=400, error="BadRequest", field="/notAfter")


def test_renew_of_an_intermediate_needs_an_internal_parent_and_ends_with_it(robot: APIClient, project: Project) -> None:
    root = create(robot, project, notAfter=later(1000), maxPathLength=1)
    below = create(robot, project, "intermediate", maxPathLength=0, parentCaId=root["id"], notAfter=later(100))
    too_long = robot.post(f"{BASE}/{below['id']}/renew", {"type": "existing", "notAfter": later(1001)})
    assert_error(too_long, status=400, error="BadRequest", field="/notAfter")
    renewed = robot.post(f"{BASE}/{below['id']}/renew", {"type": "existing", "notAfter": later(200)})
    assert renewed.status_code == 200

    elsewhere = create(robot, another_project(), maxPathLength=1)
    ours, _, request = waiting(robot, project)
    signed = sign(robot, elsewhere, csr=request).json()
    install(robot, ours, signed["certificate"], signed["certificateChain"])
    answer = robot.post(f"{BASE}/{ours['id']}/renew", {"type": "existing", "notAfter": later(900)})
    assert_error(answer, status=400, error="BadRequest", field="/parentCaId")


def another_project() -> Project:
    """One in which the same robot is admin."""
    other = make_project()
    Membership.objects.create(project=other, identity=MachineIdentity.objects.get(name="robot"), role=Role.ADMIN)
    return other


# --- Disable ----------------------------------------------------------------------------------------------------------


def test_a_disabled_ca_issues_nothing_and_keeps_what_it_issued(robot: APIClient, project: Project) -> None:
    root = create(robot, project)
    signed = sign(robot, root).json()
    robot.patch(f"{BASE}/{root['id']}", {"status": "disabled"})
    assert_error(sign(robot, root), status=400, error="BadRequest")
    kept = robot.get(f"/api/v1/cert-manager/certificates/{signed['serialNumber']}").json()["certificate"]
    assert kept["status"] == "active"
