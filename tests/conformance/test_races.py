"""Requests at the same moment, in real threads on real connections."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from threading import Barrier, Thread
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from django.core.management import call_command
from django.db import connections
from django.test import Client
from django.utils import timezone

from certificates.alerts.models import AlertRule
from certificates.models import AuthorityCertificate, Certificate, CertificateAuthority, CertificateRequest
from certificates.models.authority import AuthorityStatus
from certificates.services import issuance
from certificates.services.authorities import (
    KeyFile,
    import_authority,
    issue_authority_certificate,
    update_authority,
)
from certificates.x509.keys import private_key_pem
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import Invalid
from profiles.models import CertificateProfile, CertificateTemplate
from profiles.services import delete_profile, update_profile, update_template
from tests.assertions import assert_error
from tests.certificates.alerts.scenery import HOOK, MAIL, make_rule
from tests.factories import SYSTEM, make_identity, make_token
from tests.wire import CERTIFICATES, Pki, issue_body, make_pki

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 4
END = timezone.now() + timedelta(days=365)


def at_once(act: Callable[[int], Any], count: int = THREADS) -> list[Any]:
    """Run ``act(0)``, ``act(1)``, ... in threads that start together; each closes its own connections."""
    barrier = Barrier(count)

    def run(number: int) -> Any:
        try:
            barrier.wait(timeout=30)
            return act(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@pytest.fixture
def pki() -> Pki:
    return make_pki()


@pytest.fixture
def token(pki: Pki) -> str:
    identity, _, _ = make_identity(pki.project)
    return make_token(identity)


def post(token: str, body: dict[str, Any], **headers: str) -> Any:
    client = Client(headers={"Authorization": f"Bearer {token}"})
    return client.generic("POST", CERTIFICATES, json.dumps(body), "application/json", headers=headers)


def test_identical_requests_make_certificates_of_their_own(pki: Pki, token: str) -> None:
    answers = at_once(lambda _: post(token, issue_body(pki.profile)))

    assert [answer.status_code for answer in answers] == [200] * THREADS
    told = [answer.json()["certificate"] for answer in answers]
    assert len({each["serialNumber"] for each in told}) == THREADS
    assert len({each["privateKey"] for each in told}) == THREADS
    assert Certificate.objects.count() == THREADS


def test_one_idempotency_key_makes_one_certificate(pki: Pki, token: str) -> None:
    answers = at_once(lambda _: post(token, issue_body(pki.profile), **{"Idempotency-Key": "once"}))

    assert {answer.status_code for answer in answers} <= {200, 409}
    done = [answer.json() for answer in answers if answer.status_code == 200]
    fresh = [answer for answer in done if "idempotentReplay" not in answer]
    assert len(fresh) == 1
    assert "privateKey" in fresh[0]["certificate"]
    assert len({answer["certificate"]["certificateId"] for answer in done}) == 1
    for answer in answers:
        if answer.status_code == 409:
            assert int(answer.headers["Retry-After"]) >= 1
    assert Certificate.objects.count() == CertificateRequest.objects.count() == 1
    assert AuditEvent.objects.filter(event="issue-certificate-from-profile", outcome="done").count() == 1
    again = post(token, issue_body(pki.profile), **{"Idempotency-Key": "once"}).json()
    assert again["idempotentReplay"] is True
    assert again["certificate"]["certificateId"] == fresh[0]["certificate"]["certificateId"]


def test_one_idempotency_key_with_two_bodies_makes_one_certificate(pki: Pki, token: str) -> None:
    answers = at_once(
        lambda number: post(token, issue_body(pki.profile, ttl=f"{number + 1}d"), **{"Idempotency-Key": "once"})
    )

    assert sorted(answer.status_code for answer in answers) == [200] + [409] * (THREADS - 1)
    assert Certificate.objects.count() == 1


def meanwhile(monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], object]) -> None:
    """Let ``act`` happen right before the issuance calls its function ``name``."""
    real = getattr(issuance, name)

    def acting(*args: Any, **kwargs: Any) -> Any:
        act()
        return real(*args, **kwargs)

    monkeypatch.setattr(issuance, name, acting)


def test_a_profile_deleted_while_its_certificate_is_signed_issues_nothing(
    pki: Pki, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, "sign_all", lambda: delete_profile(requester=SYSTEM, profile=pki.profile))

    assert_error(post(token, issue_body(pki.profile)), status=404, error="NotFound")

    assert Certificate.objects.count() == CertificateRequest.objects.count() == 0
    assert AuditEvent.objects.filter(event="issue-certificate-from-profile", outcome="refused").count() == 1


def test_a_profile_deleted_while_its_certificate_is_stored_is_no_fault_of_ours(
    pki: Pki, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete() -> None:
        try:
            delete_profile(requester=SYSTEM, profile=CertificateProfile.objects.get(pk=pki.profile.pk))
        finally:
            connections.close_all()

    deleting = Thread(target=delete)

    def begin() -> None:
        deleting.start()
        # PostgreSQL deletes beside us; SQLite's one writer waits until we have committed.
        deleting.join(timeout=1)

    meanwhile(monkeypatch, "insert_together", begin)

    answer = post(token, issue_body(pki.profile))
    deleting.join(timeout=30)

    assert not CertificateProfile.objects.exists()
    if answer.status_code == 200:
        assert Certificate.objects.get().profile is None
    else:
        assert_error(answer, status=404, error="NotFound")
        assert Certificate.objects.count() == CertificateRequest.objects.count() == 0


def disable(authority: CertificateAuthority) -> object:
    return update_authority(requester=SYSTEM, authority=authority, status=AuthorityStatus.DISABLED)


def renew(authority: CertificateAuthority) -> AuthorityCertificate:
    return issue_authority_certificate(requester=SYSTEM, authority=authority, not_after=END, max_path_length=0)


@pytest.mark.parametrize("change", [disable, renew])
def test_a_ca_changed_while_it_signs_issues_nothing(
    pki: Pki, token: str, monkeypatch: pytest.MonkeyPatch, change: Callable[[CertificateAuthority], object]
) -> None:
    meanwhile(monkeypatch, "sign_all", lambda: change(CertificateAuthority.objects.get(pk=pki.issuing.pk)))

    body = assert_error(post(token, issue_body(pki.profile)), status=409, error="Conflict", field="/profileId")

    assert "again" in body["details"][0]["fix"]
    assert Certificate.objects.count() == 0
    assert CertificateRequest.objects.get().status == "failed"
    assert AuditEvent.objects.filter(event="issue-certificate-from-profile", outcome="refused").count() == 1


def change_profile(pki: Pki) -> object:
    return update_profile(requester=SYSTEM, profile=pki.profile, changes={"defaults": {"ttl": "1d"}})


def change_template(pki: Pki) -> object:
    template = pki.profile.template
    return update_template(requester=SYSTEM, template=template, changes={"validity": {"max": "1d"}})


@pytest.mark.parametrize("change", [change_profile, change_template])
def test_rules_changed_while_a_certificate_is_signed_issue_nothing_by_the_old_ones(
    pki: Pki, token: str, monkeypatch: pytest.MonkeyPatch, change: Callable[[Pki], object]
) -> None:
    meanwhile(monkeypatch, "sign_all", lambda: change(pki))

    answer = post(token, issue_body(pki.profile))
    body = assert_error(answer, status=409, error="Conflict", field="/profileId")

    assert int(answer.headers["Retry-After"]) >= 1
    assert "again" in body["details"][0]["fix"]
    assert Certificate.objects.count() == 0
    kept = CertificateRequest.objects.get()
    assert kept.status == "failed"
    assert kept.profile_version is not None
    assert kept.template_version is not None
    assert (kept.profile_version.number, kept.template_version.number) == (1, 1)
    monkeypatch.undo()
    again = post(token, issue_body(pki.profile))
    assert again.status_code == (200 if change is change_profile else 400)


def test_rules_changed_while_certificates_are_made_judge_each_by_what_it_points_at(pki: Pki, token: str) -> None:
    def act(number: int) -> Any:
        if number == 0:
            return [
                update_template(
                    requester=SYSTEM, template=pki.profile.template, changes={"validity": {"max": f"{days}d"}}
                )
                for days in (91, 92, 93)
            ]
        return [post(token, issue_body(pki.profile)).status_code for _ in range(3)]

    answers = at_once(act)

    assert {status for each in answers[1:] for status in each} <= {200, 409}
    assert CertificateTemplate.objects.get().version == 4
    for certificate in Certificate.objects.all():
        assert certificate.issuing_request.template_version is not None
        assert 1 <= certificate.issuing_request.template_version.number <= 4
    call_command("check_certificates", stdout=StringIO(), stderr=StringIO())


def test_one_key_imported_several_times_at_once_makes_one_ca(pki: Pki) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Elsewhere")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number() >> 1)
        .not_valid_before(timezone.now() - timedelta(days=1))
        .not_valid_after(END)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )

    def act(number: int) -> str:
        try:
            import_authority(
                requester=SYSTEM,
                project=pki.project,
                name=f"import-{number}",
                key_file=KeyFile(private_key_pem(key).encode()),
                certificate=certificate.public_bytes(Encoding.PEM).decode(),
            )
        except Invalid as refusal:
            return refusal.violations[0].code
        return "imported"

    assert sorted(at_once(act)) == ["duplicate"] * (THREADS - 1) + ["imported"]


def test_an_alert_deleted_while_it_is_changed_and_tested_is_there_or_not(pki: Pki, token: str) -> None:
    for _ in range(3):
        rule = make_rule(pki.project, channels=(MAIL, HOOK)).rule
        address = f"/api/v1/cert-manager/alerts/{rule.pk}"
        changed = json.dumps({"name": "renamed"}), "application/json"
        acts: list[tuple[Any, ...]] = [
            ("POST", f"{address}/test"),
            ("PATCH", address, *changed),
            ("DELETE", address),
            ("POST", f"{address}/test"),
        ]

        def act(number: int, acts: list[tuple[Any, ...]] = acts) -> list[int]:
            client = Client(headers={"Authorization": f"Bearer {token}"})
            return [client.generic(*acts[number]).status_code for _ in range(3)]

        assert {status for each in at_once(act) for status in each} == {200, 404}
        assert not AlertRule.objects.exists()
