"""Requests at the same moment, in real threads on real connections."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from certificates.models import Certificate, CertificateRequest
from pki_portal.audit.models import AuditEvent
from tests.factories import make_identity, make_token
from tests.wire import CERTIFICATES, Pki, issue_body, make_pki

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 4


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
