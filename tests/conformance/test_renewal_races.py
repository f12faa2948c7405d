"""A thousand claims of one key, and a thousand requests with one Idempotency-Key, in real threads on real connections:
one of them wins.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from django.test import Client

from certificates.models import Certificate, CertificateRequest, CertificateSecret, IdempotencyRecord
from certificates.services.auto_renewal import RENEWER
from certificates.services.idempotency import IdempotencyKey
from certificates.services.issuance import IssuedCertificate, issue_certificate
from certificates.services.kept_keys import read_private_key
from certificates.services.renewal import renew_certificate
from pki_portal.audit.models import AuditEvent
from pki_portal.errors import Conflict, Gone, Invalid
from profiles.policy.request import GeneralName, IssuanceRequest
from profiles.policy.vocabulary import NameType
from tests.conformance.test_races import at_once
from tests.factories import SYSTEM, make_identity, make_token
from tests.wire import CERTIFICATES, PROFILES, REQUESTS, Pki, make_pki

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 4
EACH = 250
KEY = IdempotencyKey(key="once", body_digest="0" * 64)
ASKED = IssuanceRequest(subject_alternative_names=(GeneralName(NameType.DNS_NAME, "service.acme.com"),))


@pytest.fixture
def pki() -> Pki:
    return make_pki()


@pytest.fixture
def headers(pki: Pki) -> dict[str, str]:
    identity, _, _ = make_identity(pki.project)
    return {"Authorization": f"Bearer {make_token(identity)}"}


def make_certificate(pki: Pki) -> Certificate:
    return issue_certificate(profile=pki.profile, request=ASKED, requester=SYSTEM).certificate


def outcomes(act: Callable[[], Any]) -> list[Any]:
    """What a thousand calls of ``act`` came to: what each returned, or the refusal that it raised."""

    def run(_: int) -> list[Any]:
        found: list[Any] = []
        for _ in range(EACH):
            try:
                found.append(act())
            except (Conflict, Gone, Invalid) as refusal:
                found.append(refusal)
        return found

    return [each for found in at_once(run, THREADS) for each in found]


# --- Claims -----------------------------------------------------------------------------------------------------------


def test_one_of_a_thousand_claims_gets_the_key(pki: Pki) -> None:
    renewed = renew_certificate(certificate=make_certificate(pki), requester=SYSTEM).certificate

    found = outcomes(lambda: read_private_key(requester=SYSTEM, certificate=renewed, via="private-key"))

    assert len(found) == THREADS * EACH
    (key,) = [each for each in found if isinstance(each, str)]
    assert_key_of(renewed, key)
    assert {type(each) for each in found if each is not key} == {Gone}
    assert_claimed_once(renewed)


def test_one_claim_wins_over_every_endpoint_that_can_carry_the_key(pki: Pki, headers: dict[str, str]) -> None:
    for _ in range(3):
        renewed = renew_certificate(certificate=make_certificate(pki), requester=SYSTEM).certificate
        ways = (
            f"{CERTIFICATES}/{renewed.pk}/private-key",
            f"{CERTIFICATES}/{renewed.pk}/bundle",
            f"{CERTIFICATES}/{renewed.serial_number}/bundle",
            f"{REQUESTS}/{renewed.request_id}",
            f"{PROFILES}/{pki.profile.pk}/certificates/latest-active-bundle",
        )

        def ask(number: int, ways: tuple[str, ...] = ways) -> list[Any]:
            robot = Client(headers=headers)
            asked = ways[number % len(ways) :] + ways[: number % len(ways)]
            return [robot.get(way) for way in asked]

        answers = [answer for each in at_once(ask, THREADS) for answer in each]

        assert {answer.status_code for answer in answers} <= {200, 410}
        told = [answer.json() for answer in answers if answer.status_code == 200]
        keys = [each if isinstance(each, str) else each["privateKey"] for each in told]
        (key,) = [each for each in keys if each is not None]
        assert_key_of(renewed, key)
        assert_claimed_once(renewed)


def test_a_claim_and_a_destruction_at_once_leave_one_of_them(pki: Pki, headers: dict[str, str]) -> None:
    for _ in range(3):
        renewed = renew_certificate(certificate=make_certificate(pki), requester=SYSTEM).certificate
        way = f"{CERTIFICATES}/{renewed.pk}/private-key"

        def act(number: int, way: str = way) -> int:
            return Client(headers=headers).generic("DELETE" if number % 2 else "GET", way).status_code

        assert Counter(at_once(act, THREADS)) == {200: 1, 410: THREADS - 1}
        events = AuditEvent.objects.filter(subject_id=str(renewed.pk), outcome="done")
        assert events.filter(event__in=("claim-cert-private-key", "destroy-cert-private-key")).count() == 1


def assert_key_of(certificate: Certificate, pem: str) -> None:
    """The key in PEM is the certificate's."""
    public = load_pem_private_key(pem.encode(), None).public_key()
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    of_certificate = x509.load_der_x509_certificate(bytes(Certificate.objects.get(pk=certificate.pk).der)).public_key()
    assert public.public_bytes(*form) == of_certificate.public_bytes(*form)


def assert_claimed_once(certificate: Certificate) -> None:
    """One event tells of it, and nothing of the key is left."""
    claims = AuditEvent.objects.filter(event="claim-cert-private-key", subject_id=str(certificate.pk), outcome="done")
    assert claims.count() == 1
    secret = CertificateSecret.objects.get(certificate=certificate)
    assert secret.claimed_at is not None
    assert secret.sealed_private_key is None


# --- One Idempotency-Key ----------------------------------------------------------------------------------------------


def assert_one_made(found: list[Any]) -> Certificate:
    """One made it, the others were told of it or asked to come again; the certificate."""
    assert len(found) == THREADS * EACH
    made = [each for each in found if isinstance(each, IssuedCertificate)]
    (fresh,) = [each for each in made if not each.is_replay]
    assert {each.certificate.pk for each in made} == {fresh.certificate.pk}
    assert all(each.private_key is None for each in made if each is not fresh)
    refused = [each for each in found if not isinstance(each, IssuedCertificate)]
    assert {type(each) for each in refused} <= {Conflict}
    assert all(each.retry_after for each in refused)
    assert IdempotencyRecord.objects.get().certificate_id == fresh.certificate.pk
    return fresh.certificate


def test_a_thousand_issues_with_one_idempotency_key_make_one_certificate(pki: Pki) -> None:
    found = outcomes(lambda: issue_certificate(profile=pki.profile, request=ASKED, requester=SYSTEM, idempotency=KEY))

    assert_one_made(found)
    assert Certificate.objects.count() == CertificateRequest.objects.count() == 1


def test_a_thousand_renewals_with_one_idempotency_key_make_one_successor(pki: Pki) -> None:
    old = make_certificate(pki)

    found = outcomes(lambda: renew_certificate(certificate=old, requester=SYSTEM, idempotency=KEY))

    assert assert_one_made(found).renewed_from_id == old.pk
    assert Certificate.objects.count() == CertificateRequest.objects.count() == 2
    assert CertificateSecret.objects.count() == 1
    assert AuditEvent.objects.filter(event="renew-certificate", outcome="done").count() == 1
    assert Certificate.objects.get(pk=old.pk).renewal_error == ""


def test_renewals_at_once_without_a_key_make_one_successor_and_no_failure_to_show(pki: Pki) -> None:
    for _ in range(3):
        old = make_certificate(pki)

        def act(number: int, old: Certificate = old) -> Any:
            try:
                return renew_certificate(certificate=old, requester=RENEWER if number == 0 else SYSTEM)
            except Invalid as refusal:
                return refusal.violations[0].code

        found = at_once(act, THREADS)

        (made,) = [each for each in found if isinstance(each, IssuedCertificate)]
        assert [each for each in found if each is not made] == ["already_renewed"] * (THREADS - 1)
        assert Certificate.objects.filter(renewed_from=old).get() == made.certificate
        assert Certificate.objects.get(pk=old.pk).renewal_error == ""
