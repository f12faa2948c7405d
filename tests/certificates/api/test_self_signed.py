"""Self-signed profiles (the reference, 4.3), sentence by sentence; revocation and renewal have tests of their own."""

import pytest
from django.test import Client

from certificates.models import Certificate
from certificates.services.retrieval import certificate_pem
from profiles.models import CertificateProfile
from profiles.services import update_profile, update_template
from tests.assertions import assert_error
from tests.factories import SYSTEM, make_authority, make_project
from tests.scenery import make_issuing_profile
from tests.wire import CERTIFICATES, PROFILES, issue_body, load_pem, make_client, make_csr, post_json

pytestmark = pytest.mark.django_db


@pytest.fixture
def profile() -> CertificateProfile:
    return make_issuing_profile(make_project(), slug="alone", is_self_signed=True)


@pytest.fixture
def robot(profile: CertificateProfile) -> Client:
    return make_client(profile.project)


def test_it_has_no_ca_and_enrolls_by_api_only(robot: Client, profile: CertificateProfile) -> None:
    body = {
        "projectId": str(profile.project_id),
        "certificateTemplateId": str(profile.template_id),
        "slug": "other",
        "enrollmentType": "api",
        "issuerType": "self-signed",
        "apiConfig": {},
    }
    authority = make_authority(profile.project)

    with_ca = post_json(robot, PROFILES, body | {"caId": str(authority.pk)})
    by_est = post_json(robot, PROFILES, body | {"enrollmentType": "est", "estConfig": {"passphrase": "x"}})
    made = post_json(robot, PROFILES, body).json()["certificateProfile"]

    assert_error(with_ca, status=422, error="ValidationFailure", field="/caId")
    assert_error(by_est, status=422, error="ValidationFailure", field="/enrollmentType")
    assert (made["issuerType"], made["caId"]) == ("self-signed", None)


def test_the_answer_has_no_issuing_ca_and_the_certificate_as_its_chain(
    robot: Client, profile: CertificateProfile
) -> None:
    answer = post_json(robot, CERTIFICATES, issue_body(profile)).json()["certificate"]

    assert answer["issuingCaCertificate"] == ""
    assert answer["certificateChain"] == answer["certificate"]
    certificate = load_pem(answer["certificate"])
    certificate.verify_directly_issued_by(certificate)


def test_remove_roots_from_chain_has_no_effect(robot: Client, profile: CertificateProfile) -> None:
    answer = post_json(robot, CERTIFICATES, issue_body(profile) | {"removeRootsFromChain": True}).json()["certificate"]

    assert answer["certificateChain"] == answer["certificate"]


def test_the_row_has_no_ca(robot: Client, profile: CertificateProfile) -> None:
    answer = post_json(robot, CERTIFICATES, issue_body(profile)).json()["certificate"]

    told = robot.get(f"{CERTIFICATES}/{answer['certificateId']}").json()["certificate"]

    assert (told["caId"], told["caCertId"], told["caName"], told["caType"]) == (None, None, None, None)
    row = Certificate.objects.get()
    assert (row.authority, certificate_pem(row)) == (None, answer["certificate"])


def test_algorithms_that_are_not_asked_are_filled_and_named(robot: Client, profile: CertificateProfile) -> None:
    """decisions.md, 11: from the profile's defaults, else the template's first; the answer says which."""
    update_template(
        requester=SYSTEM,
        template=profile.template,
        changes={"algorithms": {"key_algorithm": ["ECDSA-P384", "ECDSA-P256"], "signature": ["SHA384-ECDSA"]}},
    )

    answer = post_json(robot, CERTIFICATES, issue_body(profile)).json()

    row = Certificate.objects.get()
    assert (row.key_algorithm, row.signature_algorithm) == ("EC_secp384r1", "ECDSA-SHA384")
    assert any("EC_secp384r1" in warning for warning in answer["warnings"])
    update_profile(requester=SYSTEM, profile=profile, changes={"defaults": {"key_algorithm": "EC_prime256v1"}})
    answer = post_json(robot, CERTIFICATES, issue_body(profile)).json()["certificate"]
    assert Certificate.objects.get(pk=answer["certificateId"]).key_algorithm == "EC_prime256v1"


def test_a_life_is_needed_where_neither_profile_nor_template_has_one(
    robot: Client, profile: CertificateProfile
) -> None:
    body = issue_body(profile)
    del body["attributes"]["ttl"]
    assert post_json(robot, CERTIFICATES, body).status_code == 200, "the template's longest"
    update_template(requester=SYSTEM, template=profile.template, changes={"validity": None})

    assert_error(post_json(robot, CERTIFICATES, body), status=422, error="ValidationFailure", field="/attributes/ttl")


def test_a_csr_is_refused(robot: Client, profile: CertificateProfile) -> None:
    response = post_json(robot, CERTIFICATES, {"profileId": str(profile.pk), "csr": make_csr()})

    body = assert_error(response, status=400, error="BadRequest")
    assert "csr_not_self_signable" in [detail["code"] for detail in body["details"]]
    assert not Certificate.objects.exists()
