"""Revoking the certificates of CAs on the wire."""

from typing import Any

import pytest
from django.test import Client

from certificates.models import RevocationEntry
from pki_portal.access.models import Role
from tests.assertions import assert_error
from tests.factories import make_project
from tests.wire import Pki, make_client, make_pki, post_json

pytestmark = pytest.mark.django_db

BASE = "/api/v1/cert-manager/ca/internal"


@pytest.fixture
def pki() -> Pki:
    return make_pki()


@pytest.fixture
def robot(pki: Pki) -> Client:
    return make_client(pki.project)


def revoke(client: Client, pki: Pki, *, ca: Any = None, certificate: Any = None, **body: Any) -> Any:
    authority = ca or pki.issuing
    named = certificate or authority.active_certificate_id
    path = f"{BASE}/{authority.pk}/certificates/{named}/revoke"
    return post_json(client, path, {"revocationReason": "SUPERSEDED"} | body)


def test_the_answer_names_ca_serial_number_and_time_and_versions_tell(pki: Pki, robot: Client) -> None:
    (before,) = robot.get(f"{BASE}/{pki.issuing.pk}/ca-certificates").json()
    assert (before["revokedAt"], before["revocationReason"]) == (None, None)

    response = revoke(robot, pki, certificate=before["certId"], revocationReason="keyCompromise")

    body = response.json()
    assert response.status_code == 200, body
    assert set(body) == {"message", "caId", "serialNumber", "revokedAt", "siblings"}
    assert (body["caId"], body["serialNumber"], body["siblings"]) == (str(pki.issuing.pk), before["serialNumber"], [])
    (after,) = robot.get(f"{BASE}/{pki.issuing.pk}/ca-certificates").json()
    assert after == before | {"revokedAt": body["revokedAt"], "revocationReason": 1}
    assert robot.get(f"{BASE}/{pki.issuing.pk}").json()["status"] == "disabled"


def test_refusals_point_into_path_and_body(pki: Pki, robot: Client) -> None:
    told = revoke(robot, pki, ca=pki.root, revocationReason="CERTIFICATE_HOLD", invalidityDate="2999-01-01")
    body = assert_error(told, status=400, error="BadRequest", field="/certificateId")
    pointers = [detail["pointer"] for detail in body["details"]]
    assert pointers == ["/certificateId", "/revocationReason", "/invalidityDate"]
    assert_error(
        revoke(robot, pki, revocationReason="BOREDOM"), status=422, error="ValidationFailure", field="/revocationReason"
    )


def test_who_may_not_is_told_so_and_what_is_not_there_is_404(pki: Pki, robot: Client) -> None:
    member = make_client(pki.project, role=Role.MEMBER, name="member")
    outsider = make_client(make_project("Other"), name="outsider")
    assert_error(revoke(Client(), pki), status=401, error="UnauthorizedError")
    assert_error(revoke(member, pki), status=403, error="PermissionDenied")
    assert_error(revoke(outsider, pki), status=404, error="NotFound")
    other = pki.root.active_certificate_id
    assert_error(revoke(robot, pki, certificate=other), status=404, error="NotFound")
    assert_error(revoke(robot, pki, certificate="nonsense"), status=422, error="ValidationFailure")
    assert not RevocationEntry.objects.exists()
