"""Private keys over HTTP: kept ones are read by permission, by GET alone, and destroyed."""

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.test import Client

from certificates.models import CertificateSecret
from pki_portal.access.models import Role
from pki_portal.audit.models import AuditEvent
from profiles.services import update_profile
from tests.assertions import assert_error
from tests.certificates.services.test_kept_keys import events
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
    post_json,
)

pytestmark = pytest.mark.django_db

READ = "get-cert-private-key"


@pytest.fixture
def pki() -> Pki:
    """With a profile that keeps keys."""
    pki = make_pki()
    update_profile(requester=SYSTEM, profile=pki.profile, changes={"key_retention": "escrow"})
    return pki


@pytest.fixture
def robot(pki: Pki) -> Client:
    return make_client(pki.project)


@pytest.fixture
def viewer(pki: Pki) -> Client:
    return make_client(pki.project, role=Role.VIEWER, name="viewer")


def composites(pki: Pki) -> list[str]:
    """Addresses of every larger answer that has the key in it."""
    certificate = pki.profile.certificates.get()
    return [
        f"{CERTIFICATES}/{certificate.pk}/bundle",
        f"{CERTIFICATES}/{certificate.serial_number}/bundle",
        f"{PROFILES}/{pki.profile.pk}/certificates/latest-active-bundle",
        f"{REQUESTS}/{certificate.request_id}",
    ]


def test_the_key_is_a_json_string_and_belongs_to_the_certificate(pki: Pki, robot: Client) -> None:
    told = issued(robot, pki.profile)

    response = robot.get(f"{CERTIFICATES}/{told['certificateId']}/private-key")

    assert response.status_code == 200
    assert response.json() == told["privateKey"]
    assert response.headers["Cache-Control"] == "no-store"
    key = load_pem_private_key(response.json().encode(), password=None)
    assert key.public_key() == load_pem(told["certificate"]).public_key()


def test_every_larger_answer_has_it_as_often_as_it_is_read_and_each_is_audited(pki: Pki, robot: Client) -> None:
    told = issued(robot, pki.profile)

    for address in composites(pki) * 2:
        response = robot.get(address)
        assert response.json()["privateKey"] == told["privateKey"], address
        assert response.json()["certificate"] == told["certificate"]
        assert response.headers["Cache-Control"] == "no-store"

    assert [event.data["via"] for event in events(READ)] == [
        "bundle",
        "bundle",
        "latest-active-bundle",
        "certificate-request",
    ] * 2
    assert {event.actor_name for event in events(READ)} == {"robot"}


def test_line_93_without_read_private_key_it_is_null_in_company_and_refused_alone(
    pki: Pki, robot: Client, viewer: Client
) -> None:
    told = issued(robot, pki.profile)

    for address in composites(pki):
        assert viewer.get(address).json()["privateKey"] is None
    response = viewer.get(f"{CERTIFICATES}/{told['certificateId']}/private-key")

    assert_error(response, status=403, error="PermissionDenied")
    assert events(READ) == []
    assert len(events(READ, "refused")) == 1


def test_line_94_a_key_that_does_not_open_is_null_and_the_answer_200(pki: Pki, robot: Client) -> None:
    told = issued(robot, pki.profile)
    secret = CertificateSecret.objects.get()
    sealed = bytes(secret.sealed_private_key or b"")
    CertificateSecret.objects.update(sealed_private_key=sealed[:-1] + bytes([sealed[-1] ^ 1]))

    for address in composites(pki):
        response = robot.get(address)
        assert (response.status_code, response.json()["privateKey"]) == (200, None)
    response = robot.get(f"{CERTIFICATES}/{told['certificateId']}/private-key")

    assert_error(response, status=503, error="ServiceUnavailable")
    assert events(READ) == []


def test_head_reads_no_key(pki: Pki, robot: Client, viewer: Client) -> None:
    told = issued(robot, pki.profile)
    alone = f"{CERTIFICATES}/{told['certificateId']}/private-key"

    for address in [*composites(pki), alone]:
        response = robot.head(address)
        assert (response.status_code, response.content) == (200, b""), address
    assert viewer.head(alone).status_code == 403

    assert events(READ) == []


def test_strangers_find_nothing(pki: Pki, robot: Client) -> None:
    told = issued(robot, pki.profile)
    charlie = make_client(make_project(), name="charlie")
    address = f"{CERTIFICATES}/{told['certificateId']}/private-key"

    for response in (charlie.get(address), charlie.delete(address), charlie.head(address)):
        assert response.status_code == 404
    assert Client().delete(address).status_code == 401
    assert CertificateSecret.objects.get().destroyed_at is None


def test_delete_destroys_it_for_good(pki: Pki, robot: Client) -> None:
    told = issued(robot, pki.profile)
    address = f"{CERTIFICATES}/{told['certificateId']}/private-key"
    assert robot.get(f"{CERTIFICATES}/{told['certificateId']}").json()["certificate"]["hasPrivateKey"] is True

    response = robot.delete(address)

    assert response.status_code == 200
    assert set(response.json()) == {"message", "serialNumber", "destroyedAt"}
    assert response.json()["serialNumber"] == told["serialNumber"]
    at = response.json()["destroyedAt"][:19].replace("T", " ")
    for again in (robot.get(address), robot.delete(address)):
        body = assert_error(again, status=410, error="Gone")
        assert f"destroyed by robot at {at} UTC" in body["message"]
    for composite in composites(pki):
        assert robot.get(composite).json()["privateKey"] is None
    assert robot.get(f"{CERTIFICATES}/{told['certificateId']}").json()["certificate"]["hasPrivateKey"] is False
    assert AuditEvent.objects.filter(event="destroy-cert-private-key", outcome="done").count() == 1


def test_a_viewer_destroys_nothing(pki: Pki, robot: Client, viewer: Client) -> None:
    told = issued(robot, pki.profile)

    response = viewer.delete(f"{CERTIFICATES}/{told['certificateId']}/private-key")

    assert_error(response, status=403, error="PermissionDenied")
    assert CertificateSecret.objects.get().destroyed_at is None


def test_of_a_csr_there_never_was_a_key(pki: Pki, robot: Client) -> None:
    answer = post_json(robot, CERTIFICATES, {"profileId": str(pki.profile.pk), "csr": make_csr()}).json()

    address = f"{CERTIFICATES}/{answer['certificate']['certificateId']}/private-key"

    for response in (robot.get(address), robot.delete(address)):
        assert_error(response, status=404, error="NotFound")
    assert robot.get(f"{REQUESTS}/{answer['certificateRequestId']}").json()["privateKey"] is None


def test_a_replay_carries_no_key_and_says_where_it_is(pki: Pki, robot: Client) -> None:
    headers = {"Idempotency-Key": "once"}
    first = post_json(robot, CERTIFICATES, issue_body(pki.profile), **headers).json()

    again = post_json(robot, CERTIFICATES, issue_body(pki.profile), **headers).json()

    assert "privateKey" in first["certificate"]
    assert "privateKey" not in again["certificate"]
    assert "private-key" in again["message"]
    assert events(READ) == []


def test_the_lists_tell_which_certificates_have_a_key(pki: Pki, robot: Client) -> None:
    issued(robot, pki.profile)
    post_json(robot, CERTIFICATES, {"profileId": str(pki.profile.pk), "csr": make_csr()})

    listed = robot.get(f"/api/v1/projects/{pki.project.pk}/certificates").json()["certificates"]

    assert [row["hasPrivateKey"] for row in listed] == [False, True]
    assert "PRIVATE KEY" not in str(listed)
