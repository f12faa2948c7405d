"""POST /certificates/batch: each item by itself, all that pass together."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from django.conf import settings
from django.test import Client

from certificates.models import ApprovalPolicy, Certificate, CertificateRequest
from certificates.services import issuance
from certificates.services.approvals.steps import steps_as_json, usual_step
from certificates.services.signing import sign_all
from certificates.x509.inspect import is_issued_by
from pki_portal import journal, slow_work
from pki_portal.access.models import Membership, Role
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import Conflict
from tests.assertions import assert_error
from tests.wire import CERTIFICATES, Pki, issue_body, make_client, make_csr, make_pki, post_json

pytestmark = pytest.mark.django_db

BATCH = f"{CERTIFICATES}/batch"


@pytest.fixture
def pki() -> Pki:
    return make_pki(sans=[{"type": "dns_name", "allowed": ["*.acme.com"]}])


@pytest.fixture
def client(pki: Pki) -> Client:
    return make_client(pki.project, role=Role.MEMBER)


def named(pki: Pki, name: str) -> dict[str, Any]:
    return issue_body(pki.profile, commonName=name, altNames=[{"type": "dns_name", "value": name}])


def signed(pki: Pki, name: str) -> dict[str, Any]:
    csr = make_csr(common_name=name, dns_names=(name,))
    return {"profileId": str(pki.profile.pk), "csr": csr, "attributes": {"ttl": "30d"}}


def send(client: Client, *items: Any, **headers: str) -> dict[str, Any]:
    response = post_json(client, BATCH, {"items": items}, **headers)
    assert response.status_code == 200, response.json()
    answer: dict[str, Any] = response.json()
    return answer


def test_each_item_gets_its_own_certificate_or_its_own_reasons(pki: Pki, client: Client) -> None:
    answer = send(client, named(pki, "a.acme.com"), signed(pki, "b.acme.com"), named(pki, "www.other.com"), {"no": 1})

    assert (answer["issuedCount"], answer["refusedCount"]) == (2, 2)
    made, certified, denied, malformed = answer["items"]
    assert made["refused"] is certified["refused"] is None
    assert "privateKey" in made["issued"]["certificate"]
    assert "privateKey" not in certified["issued"]["certificate"]
    for each, name in ((made, "a.acme.com"), (certified, "b.acme.com")):
        told = each["issued"]["certificate"]
        certificate = x509.load_pem_x509_certificate(told["certificate"].encode())
        issuer = x509.load_pem_x509_certificate(told["issuingCaCertificate"].encode())
        assert is_issued_by(certificate, issuer)
        assert Certificate.objects.get(pk=told["certificateId"]).common_name == name
    assert denied["issued"] is None
    assert denied["refused"]["statusCode"] == 400
    assert {detail["pointer"].split("/")[2] for detail in denied["refused"]["details"]} == {"2"}
    assert malformed["refused"]["statusCode"] == 422
    assert malformed["refused"]["details"][0]["pointer"] == "/items/3/profileId"
    assert sorted(CertificateRequest.objects.values_list("status", flat=True)) == ["failed", "issued", "issued"]
    acts = AuditEvent.objects.filter(event__endswith="-certificate-from-profile")
    assert sorted(acts.values_list("outcome", flat=True)) == ["done", "done", "refused"]


def test_the_fix_of_an_item_is_a_patch_of_the_batch(pki: Pki, client: Client) -> None:
    (item,) = send(client, named(pki, "www.other.com"))["items"]

    steps = [step for detail in item["refused"]["details"] for step in detail["patch"] or ()]
    assert steps
    assert all(step["path"].startswith("/items/0/attributes/") for step in steps)


def test_one_flush_announces_all_before_any_is_signed(
    pki: Pki, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(client, signed(pki, "first.acme.com"))
    flushed: list[int] = []
    flush = os.fdatasync

    def watched(file: int) -> None:
        flushed.append(file)
        flush(file)

    monkeypatch.setattr(os, "fdatasync", watched)

    send(client, *(signed(pki, f"{number}.acme.com") for number in range(5)))

    assert len(flushed) == 1
    entries = [line.entry for line in journal.read() if line.entry is not None]
    kinds = [entry["kind"] for entry in entries if entry["kind"] in {"sign", "signed"}]
    assert kinds[-10:] == ["sign"] * 5 + ["signed"] * 5


def test_a_key_answers_again_what_was_issued_and_judges_again_what_was_not(pki: Pki, client: Client) -> None:
    items = [named(pki, "a.acme.com"), named(pki, "www.other.com")]
    first = send(client, *items, **{"Idempotency-Key": "once"})

    again = send(client, *items, **{"Idempotency-Key": "once"})

    told, replayed = first["items"][0]["issued"], again["items"][0]["issued"]
    assert replayed["idempotentReplay"] is True
    assert replayed["certificate"]["certificateId"] == told["certificate"]["certificateId"]
    assert "privateKey" not in replayed["certificate"]
    assert again["items"][1]["refused"]["statusCode"] == 400
    assert Certificate.objects.count() == 1
    changed = send(client, named(pki, "b.acme.com"), **{"Idempotency-Key": "once"})
    assert changed["items"][0]["refused"]["statusCode"] == 409


def test_what_judged_was_changed_meanwhile_so_none_is_issued(
    pki: Pki, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(*_: Any) -> None:
        raise Conflict("The rules were changed.", retry_after=1)

    monkeypatch.setattr(issuance, "require_unchanged", changed)
    response = post_json(client, BATCH, {"items": [named(pki, "a.acme.com"), named(pki, "b.acme.com")]})

    assert_error(response, status=409, error="Conflict")
    assert Certificate.objects.count() == CertificateRequest.objects.count() == 0
    assert AuditEvent.objects.get(event="issue-certificates").outcome == "refused"
    assert [line.entry["kind"] for line in journal.read() if line.entry is not None][-1] == "undone"


Prepare = Callable[[Pki, pytest.MonkeyPatch], dict[str, Any]]


def waiting(pki: Pki, _: pytest.MonkeyPatch) -> dict[str, Any]:
    ApprovalPolicy.objects.create(project=pki.project, name="All", steps=steps_as_json([usual_step()]))
    return named(pki, "a.acme.com")


def of_another_project(_: Pki, __: pytest.MonkeyPatch) -> dict[str, Any]:
    return named(make_pki(), "a.acme.com")


def too_late(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(issuance, "BATCH_SECONDS", -1)
    return named(pki, "a.acme.com")


@pytest.mark.parametrize(
    ("prepare", "status"),
    [(waiting, 403), (of_another_project, 404), (too_late, 400)],
    ids=["waiting", "elsewhere", "late"],
)
def test_refused_items(
    pki: Pki, client: Client, prepare: Prepare, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (item,) = send(client, prepare(pki, monkeypatch))["items"]

    assert item["refused"]["statusCode"] == status
    assert not Certificate.objects.exists()


def test_a_key_that_has_to_wait_keeps_the_others_from_nothing(
    pki: Pki, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "PKI_PORTAL_VAR", tmp_path)
    monkeypatch.setattr(slow_work, "_places", 1)
    slow = named(pki, "slow.acme.com")
    slow["attributes"]["keyAlgorithm"] = "RSA_4096"
    with slow_work.in_a_free_place():
        answer = send(client, slow, named(pki, "a.acme.com"))

    waits, made = answer["items"]
    assert waits["refused"]["statusCode"] == 503
    assert waits["refused"]["details"][0]["code"] == "slow_keys_under_way"
    assert made["issued"] is not None


def test_what_nothing_read_beside_the_items_is_named(pki: Pki, client: Client) -> None:
    response = post_json(client, BATCH, {"items": [named(pki, "a.acme.com")], "atomic": True})

    assert response.json()["issuedCount"] == 1
    (warning,) = response.json()["warnings"]
    assert "atomic" in warning


def test_who_may_not_issue_is_told_so_of_each(pki: Pki) -> None:
    viewer = make_client(pki.project, role=Role.VIEWER, name="viewer")

    answer = send(viewer, named(pki, "a.acme.com"), named(pki, "b.acme.com"))

    assert {item["refused"]["statusCode"] for item in answer["items"]} == {403}


@pytest.mark.parametrize("items", [[], None, "x", [{}] * 1001], ids=["none", "null", "text", "too many"])
def test_wrong_lists_are_refused(client: Client, items: Any) -> None:
    assert_error(post_json(client, BATCH, {"items": items}), status=422, error="ValidationFailure")


def test_a_body_of_several_megabytes_is_read_and_one_beyond_the_limit_is_not(pki: Pki, client: Client) -> None:
    padded = named(pki, "a.acme.com") | {"ignored": "x" * (2 * 1024 * 1024)}

    assert send(client, padded)["issuedCount"] == 1
    assert_error(post_json(client, BATCH, {"items": [padded, padded]}), status=413, error="PayloadTooLarge")


def test_a_role_that_is_taken_away_meanwhile_issues_nothing(
    pki: Pki, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = sign_all

    def demoted_meanwhile(judged: Any) -> Any:
        Membership.objects.filter(project=pki.project).update(role=Role.VIEWER)
        return sign(judged)

    monkeypatch.setattr(issuance, "sign_all", demoted_meanwhile)
    response = post_json(client, BATCH, {"items": [named(pki, "a.acme.com"), named(pki, "b.acme.com")]})

    assert_error(response, status=403, error="PermissionDenied")
    assert not Certificate.objects.exists()
