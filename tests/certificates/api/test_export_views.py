"""GET /certificates/{id}/download and POST /certificates/{id}/pkcs12."""

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12
from django.test import Client

from certificates.x509.keys import private_key_pem
from pki_portal.access.models import Role
from profiles.policy.vocabulary import KeyRetention
from profiles.services import update_profile
from tests.assertions import assert_error
from tests.factories import SYSTEM
from tests.wire import CERTIFICATES, Pki, issued, make_client, make_pki, post_json

pytestmark = pytest.mark.django_db

BODY = {"password": "secret 7", "alias": "web"}


@pytest.fixture
def pki() -> Pki:
    return make_pki()


@pytest.fixture
def robot(pki: Pki) -> Client:
    return make_client(pki.project)


def escrow(pki: Pki) -> Pki:
    update_profile(requester=SYSTEM, profile=pki.profile, changes={"key_retention": KeyRetention.ESCROW})
    return pki


@pytest.mark.parametrize("accept", ["*/*", "application/pkcs12", "text/html"])
def test_a_download_has_a_name_a_type_and_is_not_cached(pki: Pki, robot: Client, accept: str) -> None:
    made = issued(robot, pki.profile)
    address = f"{CERTIFICATES}/{made['serialNumber']}/download"
    response = robot.get(address, {"format": "FULLCHAIN"}, headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["Content-Disposition"] == 'attachment; filename="service.acme.com.fullchain.pem"'
    assert response.headers["Content-Type"] == "application/x-pem-file"
    assert response.headers["Cache-Control"] == "no-store"
    assert len(x509.load_pem_x509_certificates(response.content)) == 2
    plain = robot.get(address)
    assert plain.content.decode().strip() == made["certificate"]


def test_a_format_that_is_none_is_named(pki: Pki, robot: Client) -> None:
    made = issued(robot, pki.profile)
    response = robot.get(f"{CERTIFICATES}/{made['certificateId']}/download", {"format": "docx"})
    told = assert_error(response, status=422, error="ValidationFailure", field="/format")
    assert "truststore" in str(told["message"])


def test_pkcs12_holds_the_kept_key(pki: Pki, robot: Client) -> None:
    made = issued(robot, escrow(pki).profile)
    response = post_json(robot, f"{CERTIFICATES}/{made['certificateId']}/pkcs12", BODY)
    assert response.status_code == 200, response.content
    assert response.headers["Content-Disposition"] == 'attachment; filename="service.acme.com.p12"'
    assert response.headers["Content-Type"] == "application/x-pkcs12"
    assert response.headers["Cache-Control"] == "no-store"
    store = load_pkcs12(response.content, b"secret 7")
    assert private_key_pem(store.key) == made["privateKey"]  # type: ignore[arg-type]
    legacy = post_json(robot, f"{CERTIFICATES}/{made['certificateId']}/pkcs12", BODY | {"format": "pkcs12-legacy"})
    assert load_pkcs12(legacy.content, b"secret 7").key is not None


def test_a_renewed_key_is_claimed_by_its_file_and_only_once(pki: Pki, robot: Client) -> None:
    old = issued(robot, pki.profile)
    renewed = post_json(robot, f"{CERTIFICATES}/{old['certificateId']}/renew", {}).json()
    address = f"{CERTIFICATES}/{renewed['certificateId']}"
    refused = post_json(robot, f"{address}/pkcs12", BODY | {"password": "short"})
    assert_error(refused, status=422, error="ValidationFailure", field="/password")
    viewer = make_client(pki.project, role=Role.VIEWER, name="viewer")
    assert_error(post_json(viewer, f"{address}/pkcs12", BODY), status=403, error="PermissionDenied")

    claimed = post_json(robot, f"{address}/pkcs12", BODY)
    store = load_pkcs12(claimed.content, b"secret 7")
    assert store.key is not None
    assert store.cert is not None
    assert store.cert.certificate == x509.load_pem_x509_certificate(renewed["certificate"].encode())
    assert_error(post_json(robot, f"{address}/pkcs12", BODY), status=410, error="Gone")
    assert_error(robot.get(f"{address}/private-key"), status=410, error="Gone")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"password": "12345"}, "/password"),
        ({"password": "pässword"}, "/password"),
        ({"password": "p" * 256}, "/password"),
        ({"password": None}, "/password"),
        ({"alias": ""}, "/alias"),
        ({"alias": "a" * 256}, "/alias"),
        ({"format": "zip"}, "/format"),
    ],
)
def test_refusals_name_the_field_and_not_the_password(
    pki: Pki, robot: Client, change: dict[str, Any], field: str
) -> None:
    made = issued(robot, escrow(pki).profile)
    response = post_json(robot, f"{CERTIFICATES}/{made['certificateId']}/pkcs12", BODY | change)
    told = assert_error(response, status=422, error="ValidationFailure", field=field)
    assert "pässword" not in str(told)
    assert "12345" not in str(told["details"])


def test_without_a_kept_key_there_is_nothing_to_pack(pki: Pki, robot: Client) -> None:
    address = f"{CERTIFICATES}/{issued(robot, pki.profile)['certificateId']}/pkcs12"
    assert_error(post_json(robot, address, BODY), status=410, error="Gone")
    assert_error(post_json(make_client(name="stranger"), address, BODY), status=404, error="NotFound")
    assert_error(robot.get(address), status=405, error="MethodNotAllowed")


def test_the_deploy_kit_is_served_to_whoever_may_read_the_certificate(pki: Pki, robot: Client) -> None:
    made = issued(robot, pki.profile)
    viewer = make_client(pki.project, role=Role.VIEWER, name="viewer")
    told = viewer.get(f"{CERTIFICATES}/{made['certificateId']}/deploy-kit").json()
    assert told.keys() == {"certificateId", "files", "recipes", "warnings"}
    assert told["files"][1] == {
        "name": "service.acme.com.fullchain.pem",
        "format": "fullchain",
        "holds": "the certificate and its intermediates, as servers send them",
    }
    (nginx,) = [recipe for recipe in told["recipes"] if recipe["id"] == "nginx"]
    assert (nginx["group"], [block["language"] for block in nginx["blocks"]]) == ("server", ["shell", "nginx", "shell"])
    assert "server_name service.acme.com;" in nginx["blocks"][1]["text"]
    (files,) = [recipe for recipe in told["recipes"] if recipe["id"] == "files"]
    assert f"http://pki.test/api/v1/cert-manager/certificates/{made['certificateId']}" in files["blocks"][0]["text"]
    stranger = make_client(name="stranger")
    assert_error(stranger.get(f"{CERTIFICATES}/{made['certificateId']}/deploy-kit"), status=404, error="NotFound")
