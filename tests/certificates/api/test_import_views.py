"""POST /certificates/import-certificate, and what every other address says of an imported certificate."""

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from django.test import Client

from pki_portal.access.models import Role
from tests.assertions import assert_error
from tests.elsewhere import PASSWORD, foreign, pem_of
from tests.wire import CERTIFICATES, Pki, issued, make_client, make_pki, post_json

pytestmark = pytest.mark.django_db

IMPORT = f"{CERTIFICATES}/import-certificate"


@pytest.fixture
def pki() -> Pki:
    return make_pki()


@pytest.fixture
def robot(pki: Pki) -> Client:
    return make_client(pki.project)


def test_the_reference_s_body_imports_certificate_chain_and_key(pki: Pki, robot: Client) -> None:
    one = foreign()
    body = {
        "projectSlug": pki.project.slug,
        "certificatePem": one.pem.decode(),
        "chainPem": pem_of(*one.chain).decode(),
        "privateKeyPem": one.key_pem.decode(),
        "friendlyName": "shop",
        "pkiCollectionId": "",
    }
    response = post_json(robot, IMPORT, body)
    assert response.status_code == 200, response.json()
    assert response.headers["Cache-Control"] == "no-store"
    told = response.json()
    assert told["certificate"].encode() == one.pem.strip()
    assert told["certificateChain"].encode() == pem_of(*one.chain).strip()
    assert (told["privateKey"], told["isNew"], len(told["certificates"])) == (None, True, 1)
    assert told["warnings"] == [
        "/pkiCollectionId is not known here and was ignored.",
        "The private key was not kept: that was not asked.",
    ]
    seen = robot.get(f"{CERTIFICATES}/{told['certificateId']}").json()["certificate"]
    assert (seen["source"], seen["keySource"], seen["friendlyName"]) == ("imported", "imported", "shop")
    assert (seen["caId"], seen["profileId"], seen["enrollmentType"]) == (None, None, None)
    assert (seen["issuerName"], seen["serialNumber"]) == ("CN=Other Issuing", told["serialNumber"])

    again = post_json(robot, IMPORT, body).json()
    assert (again["certificateId"], again["isNew"]) == (told["certificateId"], False)


def test_a_pkcs12_file_comes_in_base64_and_its_key_can_be_kept(pki: Pki, robot: Client) -> None:
    one = foreign()
    body = {
        "projectSlug": pki.project.slug,
        "certificatePem": base64.encodebytes(one.pkcs12).decode(),
        "password": PASSWORD,
        "keepPrivateKey": True,
    }
    told = post_json(robot, IMPORT, body).json()
    bundle = robot.get(f"{CERTIFICATES}/{told['certificateId']}/bundle").json()
    assert bundle["privateKey"].encode() == one.key_pem.strip()
    assert bundle["certificateChain"].encode() == pem_of(*one.chain).strip()
    assert robot.get(f"{CERTIFICATES}/{told['certificateId']}").json()["certificate"]["hasPrivateKey"] is True


def imported(pki: Pki, robot: Client, **more: Any) -> dict[str, Any]:
    content = base64.b64encode(foreign().certificate.public_bytes(Encoding.DER)).decode()
    told: dict[str, Any] = post_json(
        robot, IMPORT, {"projectSlug": pki.project.slug, "certificatePem": content, **more}
    ).json()
    return told


def test_lists_and_searches_tell_the_imported_apart(pki: Pki, robot: Client) -> None:
    ours = issued(robot, pki.profile)["certificateId"]
    theirs = imported(pki, robot, friendlyName="the shop")["certificateId"]
    listed = f"/api/v1/projects/{pki.project.pk}/certificates"

    def found(**query: str) -> set[str]:
        by_get = {row["id"] for row in robot.get(listed, query).json()["certificates"]}
        by_post = {row["id"] for row in post_json(robot, f"{listed}/search", query).json()["certificates"]}
        assert by_get == by_post
        return by_get

    assert found() == {ours, theirs}
    assert found(source="imported") == found(friendlyName="SHOP") == found(search="the shop") == {theirs}
    assert found(source="issued") == {ours}
    assert_error(robot.get(listed, {"source": "else"}), status=422, error="ValidationFailure", field="/source")


def test_what_only_its_own_ca_can_do_is_refused_with_the_reason(pki: Pki, robot: Client) -> None:
    address = f"{CERTIFICATES}/{imported(pki, robot)['certificateId']}"
    refused = assert_error(
        post_json(robot, f"{address}/revoke", {"revocationReason": "SUPERSEDED"}), status=400, error="BadRequest"
    )
    assert "only the CA that issued it can revoke it" in refused["message"]
    assert "CN=Other Issuing" in refused["details"][0]["fix"]
    for response in (
        post_json(robot, f"{address}/renew", {}),
        robot.patch(f"{address}/config", {"renewBeforeDays": 7}, content_type="application/json"),
    ):
        refused = assert_error(response, status=400, error="BadRequest")
        assert "Have its own CA renew it" in refused["details"][0]["fix"]
    assert_error(robot.get(f"{address}/decision"), status=404, error="NotFound")
    assert_error(robot.get(f"{address}/private-key"), status=404, error="NotFound")
    assert robot.get(f"{address}/bundle").json()["privateKey"] is None


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"certificatePem": "\n"}, 422, "/certificatePem"),
        ({"certificatePem": None}, 422, "/certificatePem"),
        ({"certificatePem": "no certificate"}, 422, "/certificatePem"),
        ({"certificatePem": "A" * 800_000}, 422, "/certificatePem"),
        ({"chainPem": "no chain"}, 422, "/chainPem"),
        ({"privateKeyPem": "no key"}, 422, "/privateKeyPem"),
        ({"privateKeyPem": foreign().key_pem.decode()}, 400, "/privateKeyPem"),
        ({"certificatePem": base64.b64encode(foreign().pkcs12).decode(), "password": "other"}, 422, "/password"),
        ({"projectSlug": "nowhere"}, 404, None),
        ({"keepPrivateKey": "yes"}, 422, "/keepPrivateKey"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_refusals_name_the_field(
    pki: Pki, robot: Client, change: dict[str, Any], status: int, field: str | None
) -> None:
    body = {"projectSlug": pki.project.slug, "certificatePem": foreign().pem.decode()} | change
    names = {400: "BadRequest", 404: "NotFound", 422: "ValidationFailure"}
    told = assert_error(post_json(robot, IMPORT, body), status=status, error=names[status], field=field)
    assert "PRIVATE KEY" not in str(told)


def test_a_viewer_may_not_import_and_others_know_no_project(pki: Pki) -> None:
    body = {"projectSlug": pki.project.slug, "certificatePem": foreign().pem.decode()}
    viewer = make_client(pki.project, role=Role.VIEWER, name="viewer")
    assert_error(post_json(viewer, IMPORT, body), status=403, error="PermissionDenied")
    assert_error(post_json(make_client(name="stranger"), IMPORT, body), status=404, error="NotFound")
    assert_error(post_json(Client(), IMPORT, body), status=401, error="UnauthorizedError")
