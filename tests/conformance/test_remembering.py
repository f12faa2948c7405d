"""What a process remembers counts no longer than it holds: changed by another process, it acts on the next request."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from certificates.models import ApprovalPolicy, Certificate
from certificates.models.authority import AuthorityStatus
from certificates.models.certificate import RevocationReason
from certificates.services.approvals.steps import steps_as_json, usual_step
from certificates.services.authorities import renew_authority, update_authority
from certificates.services.revocation import revoke_certificate
from pki_portal.access.models import AccessToken, MachineIdentity, Membership, Role, UniversalAuth
from pki_portal.access.remembering import Scope, read_stamps, remembered, remembering
from profiles.models import CertificateTemplate
from profiles.services import delete_profile, update_profile, update_template
from tests.factories import SYSTEM
from tests.wire import CERTIFICATES, Pki, issue_body, issued, make_client, make_csr, make_pki, post_json

pytestmark = pytest.mark.django_db(transaction=True)

Change = Callable[[Pki], object]


def elsewhere(act: Callable[[], object]) -> None:
    """Do it in another process, which has connections of its own."""
    connections.close_all()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            act()
            connections.close_all()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture
def pki() -> Pki:
    return make_pki()


@pytest.fixture
def client(pki: Pki) -> Client:
    """One that has issued, so that this process remembers all that it takes."""
    client = make_client(pki.project, role=Role.MEMBER)
    issued(client, pki.profile)
    with CaptureQueriesContext(connection) as queries:
        issued(client, pki.profile)
    statements = [each["sql"] for each in queries]
    asked = [sql for sql in statements if sql.startswith("SELECT") and "access_stamp" not in sql]
    assert asked == [], "what is not remembered cannot be remembered for too long"
    return client


def status_of(client: Client, pki: Pki, **attributes: Any) -> int:
    status: int = post_json(client, CERTIFICATES, issue_body(pki.profile, **attributes)).status_code
    return status


def narrow(pki: Pki) -> object:
    names = [{"type": "dns_name", "allowed": ["*.other.com"]}]
    return update_template(requester=SYSTEM, template=pki.profile.template, changes={"sans": names})


CHANGES: dict[str, tuple[Change, int]] = {
    "a token is revoked": (lambda _: AccessToken.objects.update(revoked_at=timezone.now()), 401),
    "a token is deleted": (lambda _: AccessToken.objects.all().delete(), 401),
    "the addresses that a token may come from": (
        lambda _: UniversalAuth.objects.update(access_token_trusted_ips=["203.0.113.0/24"]),
        403,
    ),
    "an identity is deleted": (lambda _: MachineIdentity.objects.all().delete(), 401),
    "a role": (lambda _: Membership.objects.update(role=Role.VIEWER), 403),
    "a membership ends": (lambda _: Membership.objects.all().delete(), 404),
    "a template": (narrow, 400),
    "a template, past all services": (lambda _: CertificateTemplate.objects.update(validity={"max": "1d"}), 400),
    "a profile is deleted": (lambda pki: delete_profile(requester=SYSTEM, profile=pki.profile), 404),
    "a CA is disabled": (
        lambda pki: update_authority(requester=SYSTEM, authority=pki.issuing, status=AuthorityStatus.DISABLED),
        400,
    ),
    "the CA above is disabled": (
        lambda pki: update_authority(requester=SYSTEM, authority=pki.root, status=AuthorityStatus.DISABLED),
        200,
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_by_another_process_acts_at_once(pki: Pki, client: Client, change: str) -> None:
    act, status = CHANGES[change]

    elsewhere(lambda: act(pki))

    assert status_of(client, pki) == status


def test_a_new_certificate_of_the_ca_is_handed_out_at_once(pki: Pki, client: Client) -> None:
    before = issued(client, pki.profile)["issuingCaCertificate"]

    later = (pki.issuing.not_after or timezone.now()) + timedelta(days=1)
    elsewhere(lambda: renew_authority(requester=SYSTEM, authority=pki.issuing, not_after=later))

    assert issued(client, pki.profile)["issuingCaCertificate"] != before


def test_a_policy_of_approvals_holds_the_next_request_back(pki: Pki, client: Client) -> None:
    steps = steps_as_json([usual_step()])

    elsewhere(lambda: ApprovalPolicy.objects.create(project=pki.project, name="All", steps=steps))

    assert post_json(client, CERTIFICATES, issue_body(pki.profile)).json()["status"] == "pending_approval"


def test_a_key_that_is_compromised_gets_no_other_certificate(pki: Pki, client: Client) -> None:
    csr = make_csr()
    first = post_json(client, CERTIFICATES, {"profileId": str(pki.profile.pk), "csr": csr}).json()

    def revoke() -> None:
        certificate = Certificate.objects.get(pk=first["certificate"]["certificateId"])
        revoke_certificate(requester=SYSTEM, certificate=certificate, reason=RevocationReason.KEY_COMPROMISE)

    elsewhere(revoke)

    refused = post_json(client, CERTIFICATES, {"profileId": str(pki.profile.pk), "csr": csr})
    assert refused.status_code == 400
    assert "compromised" in refused.json()["message"]


def test_what_was_found_in_a_transaction_that_failed_is_forgotten(pki: Pki, client: Client) -> None:
    with transaction.atomic():
        narrow(pki)
        assert status_of(client, pki) == 400
        transaction.set_rollback(True)

    assert status_of(client, pki) == 200


@pytest.mark.postgresql  # SQLite has no server to lose
def test_a_connection_that_the_database_has_closed_costs_no_request(pki: Pki, client: Client) -> None:
    connection.close_if_unusable_or_obsolete()  # as each request begins: whether it stands is to be found out
    elsewhere_closed = connection.copy()
    with elsewhere_closed.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"  # of nobody else on that server
        )
    elsewhere_closed.close()

    assert status_of(client, pki) == 200


def test_outside_of_a_block_nothing_is_remembered() -> None:
    calls: list[int] = []

    @remembered(Scope.RULES)
    def answer(number: int) -> int:
        calls.append(number)
        return number

    assert [answer(1), answer(1)] == [1, 1]
    assert calls == [1, 1]
    for _ in range(2):
        with remembering():
            assert [answer(1), answer(1)] == [1, 1]
    assert calls == [1, 1, 1]


def test_every_watched_table_changes_its_stamp(pki: Pki) -> None:
    before = read_stamps()
    update_profile(requester=SYSTEM, profile=pki.profile, changes={"description": "another"})
    between = read_stamps()
    make_client(pki.project)
    after = read_stamps()

    assert before is not None
    assert between is not None
    assert after is not None
    assert between.rules != before.rules
    assert between.access == before.access
    assert after.access != between.access
    assert after.rules == between.rules
