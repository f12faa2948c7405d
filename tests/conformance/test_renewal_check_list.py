"""Lines 14 to 29 and 100 to 105 of the reference's check-list: what renewing does, and how it is configured."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.test import Client
from django.utils import timezone

from certificates.models import Certificate
from certificates.models.authority import AuthorityStatus
from certificates.models.certificate import RevocationReason
from certificates.services.authorities import update_authority
from certificates.services.revocation import revoke_certificate
from certificates.x509.keys import public_key_info
from pki_portal.audit.models import AuditEvent
from profiles.services import update_profile, update_template
from tests.assertions import assert_error
from tests.factories import SYSTEM
from tests.wire import CERTIFICATES, Pki, issue_body, issued, load_pem, make_client, make_csr, make_pki, post_json

pytestmark = pytest.mark.django_db


@pytest.fixture
def pki() -> Pki:
    return make_pki()


@pytest.fixture
def robot(pki: Pki) -> Client:
    return make_client(pki.project)


def renew(client: Client, certificate_id: str, body: dict[str, Any] | None = None, **headers: str) -> Any:
    return post_json(client, f"{CERTIFICATES}/{certificate_id}/renew", body or {}, **headers)


def configure(client: Client, certificate_id: str, **body: Any) -> Any:
    return client.patch(f"{CERTIFICATES}/{certificate_id}/config", body, content_type="application/json")


def told(client: Client, certificate_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"{CERTIFICATES}/{certificate_id}").json()["certificate"]
    return found


def issued_id(client: Client, pki: Pki, **attributes: Any) -> str:
    return str(issued(client, pki.profile, **attributes)["certificateId"])


def signed_id(client: Client, pki: Pki) -> str:
    """Of a certificate from a CSR."""
    answer = post_json(client, CERTIFICATES, {"profileId": str(pki.profile.pk), "csr": make_csr()})
    return str(answer.json()["certificate"]["certificateId"])


def row(certificate_id: str) -> Certificate:
    return Certificate.objects.get(pk=certificate_id)


def test_line_14_a_renewal_answers_the_new_one_and_links_both(pki: Pki, robot: Client) -> None:
    update_profile(
        requester=SYSTEM, profile=pki.profile, changes={"api": {"auto_renew": True, "renew_before_days": 14}}
    )
    old = issued_id(robot, pki, ttl="31d")
    Certificate.objects.filter(pk=old).update(renewal_error="something of old")

    answer = renew(robot, old)

    assert answer.status_code == 200, answer.json()
    renewed = answer.json()
    new = told(robot, renewed["certificateId"])
    assert renewed["certificateId"] != old
    assert (new["profileId"], new["renewedFromCertificateId"], new["renewBeforeDays"]) == (str(pki.profile.pk), old, 14)
    before = told(robot, old)
    assert (before["renewedByCertificateId"], before["renewalError"]) == (renewed["certificateId"], None)
    assert before["status"] == "active"
    assert "privateKey" not in renewed


def test_line_15_the_template_is_asked_again_and_its_refusal_kept(pki: Pki, robot: Client) -> None:
    old = issued_id(robot, pki, ttl="90d")
    template = pki.profile.template
    update_template(requester=SYSTEM, template=template, changes={"validity": {"max": "30d"}})

    body = assert_error(renew(robot, old), status=400, error="BadRequest")

    assert "30" in body["message"]
    assert "30" in told(robot, old)["renewalError"]
    assert told(robot, old)["renewedByCertificateId"] is None


def test_line_15_what_was_refused_of_an_odd_wish_says_nothing_of_the_renewal_to_come(pki: Pki, robot: Client) -> None:
    old = issued_id(robot, pki)

    assert_error(renew(robot, old, {"attributes": {"ttl": "9000d"}}), status=400, error="BadRequest")

    assert told(robot, old)["renewalError"] is None


def test_line_16_without_a_profile_it_is_forbidden(pki: Pki, robot: Client) -> None:
    old = issued_id(robot, pki)
    Certificate.objects.filter(pk=old).update(profile=None)

    assert_error(renew(robot, old), status=403, error="ForbiddenError")


def test_line_17_a_new_key_for_a_csr_is_forbidden_and_the_way_out_named(pki: Pki, robot: Client) -> None:
    old = signed_id(robot, pki)

    body = assert_error(renew(robot, old), status=403, error="ForbiddenError")

    assert "reuse" in body["details"][0]["fix"]


def test_line_18_a_second_successor_is_refused_and_the_first_named(pki: Pki, robot: Client) -> None:
    old = issued_id(robot, pki)
    first = renew(robot, old).json()["certificateId"]

    body = assert_error(renew(robot, old), status=400, error="BadRequest")

    assert first in body["details"][0]["fix"]
    assert told(robot, old)["renewalError"] is None


def test_line_19_an_expired_one_is_refused(pki: Pki, robot: Client) -> None:
    old = issued_id(robot, pki, ttl="1h")

    with time_machine.travel(timezone.now() + timedelta(minutes=61), tick=False):
        body = assert_error(renew(robot, old), status=400, error="BadRequest")

    assert [each["code"] for each in body["details"]] == ["expired"]


def test_line_20_a_revoked_one_is_refused(pki: Pki, robot: Client) -> None:
    old = issued_id(robot, pki)
    revoke_certificate(requester=SYSTEM, certificate=row(old), reason=RevocationReason.SUPERSEDED)

    body = assert_error(renew(robot, old), status=400, error="BadRequest")

    assert [each["code"] for each in body["details"]] == ["revoked"]


def test_line_21_a_disabled_ca_is_named_with_its_status(pki: Pki, robot: Client) -> None:
    old = issued_id(robot, pki)
    update_authority(requester=SYSTEM, authority=pki.issuing, status=AuthorityStatus.DISABLED)

    body = assert_error(renew(robot, old), status=400, error="BadRequest")

    assert "CA issuing is not active" in body["message"]
    assert "CA issuing is not active" in told(robot, old)["renewalError"]


def test_line_22_one_that_would_outlive_its_ca_is_refused_with_both_dates(pki: Pki, robot: Client) -> None:
    old = issued_id(robot, pki, ttl="90d")
    end = pki.issuing.active_certificate.not_after  # type: ignore[union-attr]

    with time_machine.travel(end - timedelta(days=80), tick=False):
        Certificate.objects.filter(pk=old).update(
            not_after=end - timedelta(days=1), not_before=end - timedelta(days=91)
        )
        body = assert_error(renew(make_client(pki.project, name="late"), old), status=400, error="BadRequest")

    (reason,) = [each for each in body["details"] if "CA" in each["rule"] or "issuer" in each["rule"].lower()]
    assert f"{end:%Y-%m-%d}" in reason["allowed"] + reason["fix"]


def test_line_23_long_before_the_window_it_is_still_allowed(pki: Pki, robot: Client) -> None:
    assert renew(robot, issued_id(robot, pki, ttl="365d")).status_code == 200


def test_line_24_a_valid_day_is_stored(pki: Pki, robot: Client) -> None:
    old = issued_id(robot, pki, ttl="90d")

    answer = configure(robot, old, renewBeforeDays=20)

    assert answer.json() == {"message": "Certificate configuration updated successfully", "renewBeforeDays": 20}
    found = told(robot, old)
    assert found["renewBeforeDays"] == 20
    assert row(old).renew_at == row(old).not_after - timedelta(days=20)
    event = AuditEvent.objects.get(event="update-certificate-renewal-config")
    assert (event.project_id, event.data["renewBeforeDays"]) == (pki.project.pk, 20)


def test_line_25_configuring_one_without_a_profile_is_refused(pki: Pki, robot: Client) -> None:
    old = issued_id(robot, pki)
    Certificate.objects.filter(pk=old).update(profile=None)

    assert_error(configure(robot, old, renewBeforeDays=7), status=400, error="BadRequest")


def test_line_26_configuring_a_renewed_one_is_refused(pki: Pki, robot: Client) -> None:
    old = issued_id(robot, pki)
    renew(robot, old)

    body = assert_error(configure(robot, old, renewBeforeDays=7), status=400, error="BadRequest")

    assert [each["code"] for each in body["details"]] == ["already_renewed"]


def test_line_27_a_threshold_as_long_as_the_life_is_refused(pki: Pki, robot: Client) -> None:
    old = issued_id(robot, pki, ttl="7d")

    for days in (7, 8):
        assert_error(configure(robot, old, renewBeforeDays=days), status=400, error="BadRequest")
    assert configure(robot, old, renewBeforeDays=6).status_code == 200


def test_line_28_to_disable_sets_nothing(pki: Pki, robot: Client) -> None:
    old = issued_id(robot, pki)
    assert told(robot, old)["renewBeforeDays"] == 7

    answer = configure(robot, old, enableAutoRenewal=False)

    assert answer.json() == {"message": "Auto-renewal disabled successfully"}
    assert (told(robot, old)["renewBeforeDays"], told(robot, old)["renewAt"]) == (None, None)
    assert AuditEvent.objects.get(event="disable-certificate-renewal-config").subject_id == str(old)


def test_line_29_to_disable_one_without_a_profile_is_refused(pki: Pki, robot: Client) -> None:
    old = issued_id(robot, pki)
    Certificate.objects.filter(pk=old).update(profile=None)

    assert_error(configure(robot, old, enableAutoRenewal=False), status=400, error="BadRequest")


def test_line_100_names_come_from_what_was_asked_and_not_from_what_came_of_it(pki: Pki, robot: Client) -> None:
    old = issued_id(robot, pki, commonName="Service.Acme.com", altNames=[])
    assert row(old).alt_names, "a server's common name stands among the alternative names too"

    new = row(renew(robot, old).json()["certificateId"])

    assert new.issuing_request.asked["subject_alternative_names"] == []
    assert new.issuing_request.asked["subject"] == row(old).issuing_request.asked["subject"]
    assert (new.common_name, new.alt_names) == (row(old).common_name, row(old).alt_names)


def test_line_101_nothing_supplied_changes_nothing_but_serial_key_and_time(pki: Pki, robot: Client) -> None:
    old = issued_id(
        robot, pki, ttl="7d", keyAlgorithm="EC_secp384r1", altNames=[{"type": "dns_name", "value": "b.acme.com"}]
    )

    new = renew(robot, old).json()["certificateId"]

    before, after = load_pem(told_pem(robot, old)), load_pem(told_pem(robot, new))
    assert before.subject == after.subject
    assert [(each.oid, each.critical, each.value) for each in before.extensions if each.oid != SKI] == [
        (each.oid, each.critical, each.value) for each in after.extensions if each.oid != SKI
    ]
    assert before.not_valid_after_utc - before.not_valid_before_utc == (
        after.not_valid_after_utc - after.not_valid_before_utc
    )
    assert before.public_key() != after.public_key()
    assert row(old).key_algorithm == row(new).key_algorithm


def test_line_102_supplied_fields_change_null_clears_and_lists_replace(pki: Pki, robot: Client) -> None:
    old = issued_id(
        robot,
        pki,
        organization="Acme",
        altNames=[{"type": "dns_name", "value": "a.acme.com"}, {"type": "dns_name", "value": "b.acme.com"}],
        extendedKeyUsages=["server_auth"],
        ttl="30d",
    )

    changed = renew(
        robot, old, {"attributes": {"organization": None, "altNames": [{"type": "DNS", "value": "c.acme.com"}]}}
    ).json()
    cleared = renew(
        robot, changed["certificateId"], {"attributes": {"altNames": [], "commonName": "d.acme.com", "ttl": "2d"}}
    ).json()

    new, newest = row(changed["certificateId"]), row(cleared["certificateId"])
    # A server's common name joins the alternative names.
    assert (new.organization, new.common_name) == ("", "service.acme.com")
    assert set(new.alt_names.split(", ")) == {"service.acme.com", "c.acme.com"}
    assert new.not_after - new.not_before == timedelta(days=30)
    assert (newest.common_name, newest.alt_names) == ("d.acme.com", "d.acme.com")
    assert newest.not_after - newest.not_before == timedelta(days=2)


def test_line_103_the_key_is_new_unless_told_and_a_csr_goes_with_its_source_alone(pki: Pki, robot: Client) -> None:
    first = issued(robot, pki.profile)
    key = load_pem_private_key(first["privateKey"].encode(), None).public_key()

    without = assert_error(
        renew(robot, first["certificateId"], {"renewalKeySource": "csr"}), status=400, error="BadRequest"
    )
    beside = assert_error(renew(robot, first["certificateId"], {"csr": make_csr()}), status=400, error="BadRequest")
    same = renew(robot, first["certificateId"], {"renewalKeySource": "reuse"}).json()
    fresh = renew(robot, same["certificateId"]).json()
    theirs = renew(robot, fresh["certificateId"], {"renewalKeySource": "csr", "csr": make_csr()}).json()

    assert [without["details"][0]["pointer"], beside["details"][0]["pointer"]] == ["/csr", "/csr"]
    assert public_key_info(load_pem(same["certificate"]).public_key()) == public_key_info(key)
    assert load_pem(fresh["certificate"]).public_key() != load_pem(same["certificate"]).public_key()
    assert told(robot, theirs["certificateId"])["keySource"] == "applicant"
    assert told(robot, theirs["certificateId"])["renewBeforeDays"] is None


def test_line_104_with_a_csr_only_life_and_constraints_may_be_given(pki: Pki, robot: Client) -> None:
    old = signed_id(robot, pki)

    body = assert_error(
        renew(robot, old, {"renewalKeySource": "reuse", "attributes": {"commonName": "x.acme.com", "altNames": []}}),
        status=400,
        error="BadRequest",
    )
    assert "common_name" in body["details"][0]["asked"]
    done = renew(robot, old, {"renewalKeySource": "reuse", "attributes": {"ttl": "2d"}}).json()

    new = row(done["certificateId"])
    assert new.not_after - new.not_before == timedelta(days=2)
    assert new.public_key_sha256 == row(old).public_key_sha256


def test_line_105_the_profiles_defaults_are_never_applied(pki: Pki, robot: Client) -> None:
    old = issued_id(robot, pki)
    update_profile(
        requester=SYSTEM, profile=pki.profile, changes={"defaults": {"organization": "Late Inc", "ttl_days": 3}}
    )

    new = row(renew(robot, old).json()["certificateId"])

    assert new.organization == ""
    assert new.not_after - new.not_before == timedelta(days=90)
    assert issued_organization(robot, pki) == "Late Inc"


SKI = x509.SubjectKeyIdentifier.oid


def told_pem(client: Client, certificate_id: str) -> str:
    return str(client.get(f"{CERTIFICATES}/{certificate_id}/certificate").json()["certificate"])


def issued_organization(client: Client, pki: Pki) -> str:
    answer = post_json(client, CERTIFICATES, issue_body(pki.profile)).json()
    return row(answer["certificate"]["certificateId"]).organization
