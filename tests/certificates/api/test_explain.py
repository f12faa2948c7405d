"""A dry run says what issuing would come to, rule by rule, and leaves nothing behind."""

import copy
from typing import Any

import pytest
from django.test import Client

from certificates.models import Certificate, CertificateRequest
from certificates.models.authority import AuthorityStatus
from certificates.services.authorities import update_authority
from pki_portal.access.models import Role
from pki_portal.audit.models import AuditEvent
from tests.certificates.x509.material import VECTORS
from tests.factories import SYSTEM, make_project
from tests.wire import CERTIFICATES, Pki, issue_body, make_client, make_csr, make_pki, post_json

pytestmark = pytest.mark.django_db

DRY_RUN = f"{CERTIFICATES}?dryRun=true"


@pytest.fixture
def pki() -> Pki:
    return make_pki(
        subject=[{"type": "common_name", "required": ["*.acme.com"]}],
        sans=[{"type": "dns_name", "allowed": ["*.acme.com"], "denied": ["secret.acme.com"]}],
    )


@pytest.fixture
def robot(pki: Pki) -> Client:
    return make_client(pki.project, role=Role.MEMBER)


def explain(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    response = post_json(client, DRY_RUN, body)
    assert response.status_code == 200, response.json()
    told: dict[str, Any] = response.json()
    assert told.keys() == {"decision", "plan", "rules", "warnings"}
    return told


def patched(body: dict[str, Any], patch: list[dict[str, Any]]) -> dict[str, Any]:
    """RFC 6902 as far as refusals go: add, replace and remove; a step that finds no place fails."""
    body = copy.deepcopy(body)
    for step in patch:
        *parents, last = step["path"].split("/")[1:]
        place: Any = body
        for part in parents:
            place = place[int(part) if isinstance(place, list) else part]
        if isinstance(place, list):
            index = len(place) if last == "-" else int(last)
            match step["op"]:
                case "add":
                    place.insert(index, step["value"])
                case "replace":
                    place[index] = step["value"]
                case "remove":
                    del place[index]
        elif step["op"] == "remove":
            del place[last]
        else:
            assert step["op"] == "add" or last in place
            place[last] = step["value"]
    return body


def failed(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule for rule in told["rules"] if rule["verdict"] == "fail"]


def test_what_would_be_issued_is_what_is_issued_then(pki: Pki, robot: Client) -> None:
    body = issue_body(pki.profile)

    told = explain(robot, body)
    assert (told["decision"], failed(told)) == ("would-issue", [])
    assert Certificate.objects.count() == CertificateRequest.objects.count() == 0
    assert not AuditEvent.objects.filter(event__contains="certificate-from-profile").exists()

    issued = post_json(robot, CERTIFICATES, body).json()
    certificate = Certificate.objects.get(pk=issued["certificate"]["certificateId"])
    plan = told["plan"]
    assert plan["subject"] == [{"type": "common_name", "value": "service.acme.com"}]
    assert plan["altNames"] == certificate.subject_alternative_names
    assert plan["keyUsages"] == ["digitalSignature"]
    assert plan["keyAlgorithm"] == certificate.key_algorithm
    assert plan["signatureAlgorithm"] == certificate.signature_algorithm
    assert told["warnings"] == issued["warnings"]
    stored = robot.get(f"{CERTIFICATES}/{certificate.pk}/decision").json()
    told_again = [{**rule, "patch": None} for rule in told["rules"]]
    assert [without_times(rule) for rule in stored["rules"]] == [without_times(rule) for rule in told_again]


def without_times(rule: dict[str, Any]) -> dict[str, Any]:
    return {**rule, "asked": ""} if rule["rule"].startswith("validity of CA") else rule


def test_every_rule_is_told_with_its_verdict(pki: Pki, robot: Client) -> None:
    told = explain(robot, issue_body(pki.profile, organization="Acme"))

    verdicts = {(rule["pointer"], rule["verdict"]) for rule in told["rules"]}
    assert verdicts >= {
        ("/attributes/commonName", "pass"),
        ("/attributes/altNames/0", "pass"),
        ("/attributes/organization", "fail"),
        ("/attributes/keyUsages", "filled"),
        ("/attributes/keyAlgorithm", "filled"),
        ("/attributes/ttl", "pass"),
    }
    assert told["decision"] == "would-refuse"
    assert told["plan"] is None


def test_a_dry_run_refuses_for_the_same_reasons_as_the_real_one(pki: Pki, robot: Client) -> None:
    body = issue_body(
        pki.profile, commonName="www.other.com", ttl="900d", keyUsages=["crl_sign"], extendedKeyUsages=["code_signing"]
    )

    told = failed(explain(robot, body))
    refused = post_json(robot, CERTIFICATES, body).json()["details"]

    keys = ("pointer", "code", "rule", "asked", "allowed")
    assert [[rule[key] for key in keys] for rule in told] == [[detail[key] for key in keys] for detail in refused]
    # The fix of a lifetime names an instant, and each was asked at its own.
    assert [rule["patch"] for rule in told] == [detail["patch"] for detail in refused]
    assert len(told) > 4


@pytest.mark.parametrize(
    "attributes",
    [
        {"commonName": "www.other.com"},
        {"commonName": None},
        {"altNames": [{"type": "DNS", "value": "www.other.com"}, {"type": "DNS", "value": "www.other.com"}]},
        {"altNames": [{"type": "DNS", "value": "secret.acme.com"}]},
        {"altNames": [{"type": "DNS", "value": "under_score.acme.com"}, {"type": "IP", "value": "10.0.0.1"}]},
        {"ttl": "900d"},
        {"ttl": None, "notAfter": "2099-01-01"},
        {"organization": "Acme"},
        {"keyUsages": ["key_encipherment", "crl_sign"], "extendedKeyUsages": []},
        {"extendedKeyUsages": ["code_signing", "server_auth"]},
        {"keyAlgorithm": "EC_prime256v1", "signatureAlgorithm": "RSA-SHA256"},
        {"basicConstraints": {"isCA": True}},
        {"basicConstraints": {"isCA": False, "pathLength": 3}},
    ],
    ids=lambda attributes: "+".join(attributes),
)
def test_every_patch_applied_to_the_request_makes_its_reason_go_away(
    pki: Pki, robot: Client, attributes: dict[str, Any]
) -> None:
    body = issue_body(pki.profile, **attributes)
    told = failed(explain(robot, body))

    assert told
    for rule in told:
        assert rule["patch"], rule
        after = failed(explain(robot, patched(body, rule["patch"])))
        assert [rule["code"], rule["rule"], rule["asked"]] not in [
            [each["code"], each["rule"], each["asked"]] for each in after
        ]


def test_fixes_followed_one_after_the_other_end_in_a_certificate(pki: Pki, robot: Client) -> None:
    """Also where the body has no attributes at all, so that a patch has to make them."""
    body: dict[str, Any] = {"profileId": str(pki.profile.pk)}
    for _ in range(10):
        told = failed(explain(robot, body))
        if not told:
            break
        body = patched(body, told[0]["patch"])

    assert post_json(robot, CERTIFICATES, body).status_code == 200


def test_a_csr_is_explained_and_only_its_owner_can_change_it(pki: Pki, robot: Client) -> None:
    body = {
        "profileId": str(pki.profile.pk),
        "csr": make_csr(common_name="www.other.com"),
        "attributes": {"ttl": "900d"},
    }

    told = failed(explain(robot, body))

    assert {rule["pointer"]: bool(rule["patch"]) for rule in told} == {
        "/attributes/commonName": False,
        "/attributes/ttl": True,
    }
    assert all(rule["fix"].startswith("in a new CSR: ") for rule in told if not rule["patch"])


def test_a_csr_that_proves_no_possession_would_be_refused(pki: Pki, robot: Client) -> None:
    csr = (VECTORS / "bad-signature.csr.pem").read_text()
    told = explain(robot, {"profileId": str(pki.profile.pk), "csr": csr})

    assert (told["decision"], told["plan"]) == ("would-refuse", None)
    assert [rule["pointer"] for rule in failed(told)] == ["/csr"]
    assert not AuditEvent.objects.filter(outcome="refused").exists()


def test_a_disabled_ca_would_refuse(pki: Pki, robot: Client) -> None:
    update_authority(requester=SYSTEM, authority=pki.issuing, status=AuthorityStatus.DISABLED)

    told = explain(robot, issue_body(pki.profile))

    assert [(rule["pointer"], rule["patch"]) for rule in failed(told)] == [("/profileId", None)]


def test_who_may_not_issue_may_not_explain(pki: Pki) -> None:
    body = issue_body(pki.profile)
    assert post_json(Client(), DRY_RUN, body).status_code == 401
    assert post_json(make_client(pki.project, role=Role.VIEWER, name="viewer"), DRY_RUN, body).status_code == 403
    assert post_json(make_client(make_project(), name="stranger"), DRY_RUN, body).status_code == 404


def test_what_is_neither_true_nor_false_is_refused(pki: Pki, robot: Client) -> None:
    response = post_json(robot, f"{CERTIFICATES}?dryRun=maybe", issue_body(pki.profile))
    assert response.status_code == 422
    assert Certificate.objects.count() == 0


def test_dry_run_false_issues(pki: Pki, robot: Client) -> None:
    assert post_json(robot, f"{CERTIFICATES}?dryRun=false", issue_body(pki.profile)).status_code == 200
    assert Certificate.objects.count() == 1
