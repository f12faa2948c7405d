"""Revocation on the wire: each fact of wire-api 4.6 (and 3.5, 3.8), one test; what is better on purpose says so."""

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from django.test import Client

from certificates.models import Certificate, RevocationEntry
from certificates.models.certificate import CertificateStatus, RevocationReason
from pki_portal.access.models import Role
from pki_portal.audit.models import AuditEvent
from tests.assertions import assert_error
from tests.factories import make_project
from tests.wire import CERTIFICATES, Pki, issued, load_pem, make_client, make_csr, make_pki, post_json

pytestmark = pytest.mark.django_db


@pytest.fixture
def pki() -> Pki:
    return make_pki()


@pytest.fixture
def robot(pki: Pki) -> Client:
    return make_client(pki.project)


def revoke(client: Client, reference: str, **body: Any) -> Any:
    return post_json(client, f"{CERTIFICATES}/{reference}/revoke", {"revocationReason": "SUPERSEDED"} | body)


def crl_named_in(certificate_pem: str) -> x509.CertificateRevocationList:
    """Fetched from where the certificate says, without login."""
    (point,) = load_pem(certificate_pem).extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert point.full_name is not None
    response = Client().get(point.full_name[0].value.removeprefix("http://pki.test"))
    assert response.headers["Content-Type"] == "application/pkix-crl"
    return x509.load_der_x509_crl(response.content)


def test_the_answer_names_serial_number_and_time(pki: Pki, robot: Client) -> None:
    certificate = issued(robot, pki.profile)
    response = revoke(robot, certificate["certificateId"])
    assert response.status_code == 200
    body = response.json()
    assert body["message"] == "Successfully revoked certificate"
    assert body["serialNumber"] == certificate["serialNumber"]
    told = robot.get(f"{CERTIFICATES}/{certificate['certificateId']}").json()["certificate"]
    assert body["revokedAt"] == told["revokedAt"]


@pytest.mark.parametrize("reason", list(RevocationReason))
def test_status_time_and_numeric_reason_are_set(pki: Pki, robot: Client, reason: RevocationReason) -> None:
    certificate = issued(robot, pki.profile)
    assert revoke(robot, certificate["certificateId"], revocationReason=reason.name).status_code == 200
    told = robot.get(f"{CERTIFICATES}/{certificate['certificateId']}").json()["certificate"]
    assert (told["status"], told["revocationReason"]) == ("revoked", reason.value)
    assert told["revokedAt"].endswith("Z")


def test_the_crl_is_rebuilt_at_once(pki: Pki, robot: Client) -> None:
    certificate = issued(robot, pki.profile)
    serial_number = int(certificate["serialNumber"], 16)
    before = crl_named_in(certificate["certificate"])
    assert before.get_revoked_certificate_by_serial_number(serial_number) is None

    revoke(robot, certificate["certificateId"], revocationReason="KEY_COMPROMISE")

    after = crl_named_in(certificate["certificate"])
    entry = after.get_revoked_certificate_by_serial_number(serial_number)
    assert entry is not None
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise
    numbers = [crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for crl in (before, after)]
    assert numbers[0] < numbers[1]


@pytest.mark.parametrize("reference", ["00000000-0000-4000-8000-000000000000", "ab" * 20, "ab" * 32, "nonsense", "%00"])
def test_an_unknown_certificate_is_404(pki: Pki, robot: Client, reference: str) -> None:
    assert_error(revoke(robot, reference), status=404, error="NotFound")


def test_a_certificate_of_another_project_is_404(pki: Pki, robot: Client) -> None:
    outsider = make_client(make_project("Other"), name="outsider")
    assert_error(revoke(outsider, issued(robot, pki.profile)["certificateId"]), status=404, error="NotFound")


def test_a_certificate_without_a_ca_is_400(robot: Client, pki: Pki) -> None:
    row = issued(robot, pki.profile)
    Certificate.objects.update(authority=None, authority_certificate=None)
    assert_error(revoke(robot, row["certificateId"]), status=400, error="BadRequest", field="/certificateId")


def test_the_right_to_revoke_is_needed(pki: Pki, robot: Client) -> None:
    certificate = issued(robot, pki.profile)
    viewer = make_client(pki.project, role=Role.VIEWER, name="viewer")
    assert_error(revoke(viewer, certificate["certificateId"]), status=403, error="PermissionDenied")
    assert_error(revoke(Client(), certificate["certificateId"]), status=401, error="UnauthorizedError")
    assert not RevocationEntry.objects.exists()


def test_revoking_twice_is_400_and_names_the_first(pki: Pki, robot: Client) -> None:
    """The reference answers 500."""
    certificate = issued(robot, pki.profile)
    revoke(robot, certificate["certificateId"], revocationReason="CESSATION_OF_OPERATION")
    body = assert_error(revoke(robot, certificate["certificateId"]), status=400, error="BadRequest")
    assert "CESSATION_OF_OPERATION" in body["message"]
    assert "robot" in body["message"]


def test_the_revocation_is_audited(pki: Pki, robot: Client) -> None:
    certificate = issued(robot, pki.profile)
    revoke(robot, certificate["certificateId"])
    event = AuditEvent.objects.get(event="revoke-cert")
    assert (event.subject_id, event.actor_name) == (certificate["certificateId"], "robot")


@pytest.mark.parametrize("spelling", ["keyCompromise", "key_compromise", "KEY_COMPROMISE"])
def test_reasons_are_read_in_every_spelling(pki: Pki, robot: Client, spelling: str) -> None:
    certificate = issued(robot, pki.profile)
    assert revoke(robot, certificate["certificateId"], revocationReason=spelling).status_code == 200
    assert Certificate.objects.get().revocation_reason == RevocationReason.KEY_COMPROMISE


@pytest.mark.parametrize("reason", [None, "REMOVE_FROM_CRL", "", 1, ["SUPERSEDED"], "nonsense"])
def test_no_reason_or_one_that_is_none_is_422(pki: Pki, robot: Client, reason: object) -> None:
    certificate = issued(robot, pki.profile)
    response = revoke(robot, certificate["certificateId"], revocationReason=reason)
    assert_error(response, status=422, error="ValidationFailure", field="/revocationReason")


def spellings(certificate: dict[str, Any]) -> list[str]:
    fingerprint = Certificate.objects.get(pk=certificate["certificateId"]).fingerprint_sha256
    in_pairs = ":".join(fingerprint[at : at + 2] for at in range(0, 64, 2)).upper()
    return [certificate["serialNumber"].upper(), fingerprint, in_pairs]


@pytest.mark.parametrize("spelling", range(3))
def test_serial_number_and_fingerprint_name_a_certificate_too(pki: Pki, robot: Client, spelling: int) -> None:
    certificate = issued(robot, pki.profile)
    assert revoke(robot, spellings(certificate)[spelling]).json()["serialNumber"] == certificate["serialNumber"]


def test_the_same_idempotency_key_answers_the_same_and_revokes_once(pki: Pki, robot: Client) -> None:
    path = f"{CERTIFICATES}/{issued(robot, pki.profile)['certificateId']}/revoke"
    body = {"revocationReason": "SUPERSEDED"}
    first, again = (post_json(robot, path, body, **{"Idempotency-Key": "k"}).json() for _ in range(2))
    assert again == first | {"idempotentReplay": True}
    other = post_json(robot, path, {"revocationReason": "KEY_COMPROMISE"}, **{"Idempotency-Key": "k"})
    assert_error(other, status=409, error="Conflict")


def test_a_compromised_key_is_refused_in_csrs_and_its_siblings_are_named(pki: Pki, robot: Client) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    body = {"profileId": str(pki.profile.pk), "csr": make_csr(key), "attributes": {"ttl": "30d"}}
    one, other = (post_json(robot, CERTIFICATES, body).json()["certificate"] for _ in range(2))

    told = revoke(robot, one["certificateId"], revocationReason="KEY_COMPROMISE").json()

    assert [each["id"] for each in told["siblings"]] == [other["certificateId"]]
    refused = assert_error(post_json(robot, CERTIFICATES, body), status=400, error="BadRequest", field="/csr")
    assert "compromised" in str(refused["details"])


def test_a_hold_is_released(pki: Pki, robot: Client) -> None:
    certificate = issued(robot, pki.profile)
    path = f"{CERTIFICATES}/{certificate['certificateId']}/release-hold"
    assert_error(robot.post(path), status=400, error="BadRequest")
    revoke(robot, certificate["certificateId"], revocationReason="CERTIFICATE_HOLD")
    assert len(crl_named_in(certificate["certificate"])) == 1
    answer = robot.post(path)
    assert (answer.status_code, answer.json()["serialNumber"]) == (200, certificate["serialNumber"])
    assert len(crl_named_in(certificate["certificate"])) == 0
    assert Certificate.objects.get().status == CertificateStatus.ACTIVE


# --- Many at once (beyond the reference) ------------------------------------------------------------------------------


def test_many_are_revoked_as_previewed(pki: Pki, robot: Client) -> None:
    path = f"/api/v1/projects/{pki.project.pk}/certificates/revoke"
    wanted = {issued(robot, pki.profile, commonName=f"wiki{number}.acme.com")["certificateId"] for number in range(3)}
    issued(robot, pki.profile)
    body = {"filter": {"search": "wiki"}, "revocationReason": "CESSATION_OF_OPERATION"}

    seen = post_json(robot, path, body | {"dryRun": True}).json()
    assert (seen["dryRun"], seen["count"]) == (True, 3)
    assert {each["id"] for each in seen["certificates"]} == wanted
    assert not RevocationEntry.objects.exists()

    assert_error(post_json(robot, path, body), status=422, error="ValidationFailure", field="/expectedCount")
    act = body | {"expectedCount": seen["count"], "selection": seen["selection"]}
    assert_error(post_json(robot, path, act | {"expectedCount": 4}), status=409, error="Conflict")
    done = post_json(robot, path, act)
    assert (done.status_code, done.json()["count"]) == (200, 3)
    revoked = Certificate.objects.filter(status=CertificateStatus.REVOKED)
    assert {str(each.pk) for each in revoked} == wanted
    assert_error(post_json(robot, path, act), status=409, error="Conflict")


def test_many_are_revoked_once_for_one_idempotency_key(pki: Pki, robot: Client) -> None:
    for number in range(3):
        issued(robot, pki.profile, commonName=f"old-{number}.acme.com", altNames=[])
    path = f"/api/v1/projects/{pki.project.pk}/certificates/revoke"
    body = {"filter": {"search": "old-"}, "revocationReason": "SUPERSEDED"}
    seen = post_json(robot, path, body | {"dryRun": True}).json()
    act = body | {"expectedCount": seen["count"], "selection": seen["selection"]}

    done, again = (post_json(robot, path, act, **{"Idempotency-Key": "one"}) for _ in range(2))

    assert (done.status_code, again.status_code) == (200, 200)
    assert again.json() == done.json() | {"idempotentReplay": True}
    assert AuditEvent.objects.filter(event="revoke-cert").count() == 3
    other = post_json(robot, path, act | {"revocationReason": "UNSPECIFIED"}, **{"Idempotency-Key": "one"})
    assert_error(other, status=409, error="Conflict")
    # What finds nothing does nothing, and keeps no key.
    nothing = post_json(robot, path, body | {"dryRun": True}).json()
    empty = body | {"expectedCount": 0, "selection": nothing["selection"]}
    for _ in range(2):
        answer = post_json(robot, path, empty, **{"Idempotency-Key": "two"})
        assert (answer.status_code, answer.json()["count"]) == (200, 0)
        assert "idempotentReplay" not in answer.json()


def test_many_are_revoked_by_those_only_who_may(pki: Pki) -> None:
    path = f"/api/v1/projects/{pki.project.pk}/certificates/revoke"
    body = {"filter": {}, "revocationReason": "SUPERSEDED", "dryRun": True}
    viewer = make_client(pki.project, role=Role.VIEWER, name="viewer")
    assert_error(post_json(viewer, path, body), status=403, error="PermissionDenied")
    outsider = make_client(make_project("Other"), name="outsider")
    assert_error(post_json(outsider, path, body), status=404, error="NotFound")
    assert_error(
        post_json(outsider, path.replace(str(pki.project.pk), "x"), body), status=422, error="ValidationFailure"
    )


# --- Deletion ---------------------------------------------------------------------------------------------------------


def test_deleting_answers_the_deleted_certificate_which_is_gone_then(pki: Pki, robot: Client) -> None:
    row = issued(robot, pki.profile)
    reference = f"{CERTIFICATES}/{row['certificateId']}"
    request_id = str(Certificate.objects.get().request_id)
    revoke(robot, row["certificateId"])
    before = robot.get(reference).json()

    answer = robot.delete(reference)

    assert answer.status_code == 200
    assert answer.json() == before
    assert_error(robot.get(reference), status=404, error="NotFound")
    assert_error(robot.delete(reference), status=404, error="NotFound")
    told = robot.get(f"{CERTIFICATES}/certificate-requests/{request_id}").json()
    assert (told["status"], told["certificate"], told["certificateId"]) == ("issued", None, None)
    event = AuditEvent.objects.get(event="delete-cert")
    assert (event.subject_id, event.data["serialNumber"]) == (row["certificateId"], row["serialNumber"])


def test_a_deleted_certificate_stays_on_the_crl(pki: Pki, robot: Client) -> None:
    """The reference forgets it."""
    row = issued(robot, pki.profile)
    revoke(robot, row["certificateId"])
    assert robot.delete(f"{CERTIFICATES}/{row['certificateId']}").status_code == 200
    crl = crl_named_in(row["certificate"])
    assert crl.get_revoked_certificate_by_serial_number(int(row["serialNumber"], 16)) is not None


def test_a_live_certificate_is_not_deleted(pki: Pki, robot: Client) -> None:
    """The reference deletes it, and its CRL and OCSP know nothing of it any more."""
    row = issued(robot, pki.profile)
    told = robot.delete(f"{CERTIFICATES}/{row['certificateId']}")
    body = assert_error(told, status=400, error="BadRequest", field="/certificateId")
    assert body["details"][0]["fix"] == "Revoke it first, or wait for its end."
    assert Certificate.objects.exists()


def test_the_right_to_delete_is_needed(pki: Pki, robot: Client) -> None:
    row = issued(robot, pki.profile)
    revoke(robot, row["certificateId"])
    member = make_client(pki.project, role=Role.MEMBER, name="member")
    outsider = make_client(make_project("Other"), name="outsider")
    reference = f"{CERTIFICATES}/{row['certificateId']}"
    assert_error(Client().delete(reference), status=401, error="UnauthorizedError")
    assert_error(member.delete(reference), status=403, error="PermissionDenied")
    assert_error(outsider.delete(reference), status=404, error="NotFound")
    assert Certificate.objects.exists()
