from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from pki_portal.access import universal_auth
from pki_portal.access.models import AccessToken, ClientSecret, LoginFailure, Membership, Role
from pki_portal.access.universal_auth import IssuedToken, Settings
from pki_portal.audit.models import AuditEvent, Outcome
from pki_portal.errors import (
    Forbidden,
    Invalid,
    Malformed,
    NotFound,
    PermissionDenied,
    RateLimited,
    TokenRejected,
    Unauthenticated,
)
from tests.factories import SYSTEM, make_actor, make_identity, make_project, make_user, requester_for

pytestmark = pytest.mark.django_db


def log_in(client_id: str, client_secret: str, address: str | None = "127.0.0.1") -> IssuedToken:
    return universal_auth.log_in(client_id=client_id, client_secret=client_secret, actor=make_actor(address))


# --- Login


def test_login_gives_a_token_and_counts_the_use() -> None:
    robot, client_id, client_secret = make_identity()
    issued = log_in(client_id, client_secret)
    assert issued.access_token.startswith("pkt_")
    assert (issued.expires_in, issued.max_ttl) == (7200, 2_592_000)
    assert ClientSecret.objects.get().num_uses == 1
    event = AuditEvent.objects.first()
    assert event is not None
    assert (event.event, event.outcome) == ("login-identity-universal-auth", Outcome.DONE)
    assert (event.actor_kind, event.actor_id, event.address) == ("identity", str(robot.pk), "127.0.0.1")


def test_secrets_do_not_show_in_reprs() -> None:
    robot, client_id, client_secret = make_identity()
    issued = log_in(client_id, client_secret)
    secret = universal_auth.create_client_secret(requester=SYSTEM, identity_id=robot.pk)
    assert issued.access_token not in repr(issued)
    assert secret.client_secret not in repr(secret)


def test_client_id_is_read_in_any_case() -> None:
    _, client_id, client_secret = make_identity()
    assert log_in(client_id.upper(), client_secret)


@pytest.mark.parametrize("client_id", ["", "x", "00000000-0000-4000-8000-000000000000", "\x00", "é" * 200])
def test_unknown_client_id_and_wrong_secret_are_one_refusal(client_id: str) -> None:
    _, known, client_secret = make_identity()
    with pytest.raises(Unauthenticated) as unknown:
        log_in(client_id, client_secret)
    with pytest.raises(Unauthenticated) as wrong:
        log_in(known, "pks_wrong")
    assert unknown.value.message == wrong.value.message


def test_secret_of_another_identity_is_refused() -> None:
    _, client_id, _ = make_identity()
    _, _, other_secret = make_identity(name="other")
    with pytest.raises(Unauthenticated):
        log_in(client_id, other_secret)


def test_failed_login_is_recorded_without_the_secret() -> None:
    _, client_id, _ = make_identity()
    with pytest.raises(Unauthenticated):
        log_in(client_id, "pks_wrong-secret-text")
    event = AuditEvent.objects.first()
    assert event is not None
    assert (event.outcome, event.subject_id, event.actor_kind) == (Outcome.REFUSED, client_id, "anonymous")
    assert "wrong-secret-text" not in str(vars(event))


def test_revoked_secret_is_refused_and_its_tokens_end() -> None:
    robot, client_id, client_secret = make_identity()
    issued = log_in(client_id, client_secret)
    universal_auth.revoke_client_secret(
        requester=SYSTEM, identity_id=robot.pk, client_secret_id=ClientSecret.objects.get().pk
    )
    with pytest.raises(Unauthenticated):
        log_in(client_id, client_secret)
    with pytest.raises(Unauthenticated):
        universal_auth.renew(access_token=issued.access_token, actor=make_actor())


def test_expired_secret_is_refused() -> None:
    robot, client_id, _ = make_identity()
    secret = universal_auth.create_client_secret(requester=SYSTEM, identity_id=robot.pk, ttl=60).client_secret
    assert log_in(client_id, secret)
    with time_machine.travel(timezone.now() + timedelta(seconds=61), tick=False), pytest.raises(Unauthenticated):
        log_in(client_id, secret)


def test_secret_is_used_as_often_as_it_may_be() -> None:
    robot, client_id, _ = make_identity()
    secret = universal_auth.create_client_secret(requester=SYSTEM, identity_id=robot.pk, num_uses_limit=2).client_secret
    assert log_in(client_id, secret)
    assert log_in(client_id, secret)
    with pytest.raises(Unauthenticated):
        log_in(client_id, secret)


def test_login_from_an_address_that_is_not_trusted_is_refused() -> None:
    robot, client_id, client_secret = make_identity()
    universal_auth.update(
        requester=SYSTEM, identity_id=robot.pk, settings=Settings(client_secret_trusted_ips=["192.0.2.0/24"])
    )
    with pytest.raises(Forbidden):
        log_in(client_id, client_secret)
    assert log_in(client_id, client_secret, "192.0.2.1")


def test_login_sweeps_expired_tokens() -> None:
    _, client_id, client_secret = make_identity()
    log_in(client_id, client_secret)
    with time_machine.travel(timezone.now() + timedelta(days=31), tick=False):
        log_in(client_id, client_secret)
    assert AccessToken.objects.count() == 1


# --- Throttle


def fail(client_id: str, times: int, address: str | None = "127.0.0.1") -> list[str]:
    outcomes = []
    for _ in range(times):
        try:
            log_in(client_id, "pks_wrong", address)
        except RateLimited as refusal:
            outcomes.append("limited" if 1 <= refusal.retry_after <= 20 else f"limited for {refusal.retry_after} s")
        except Unauthenticated:
            outcomes.append("refused")
    return outcomes


def test_failures_are_slowed_down_and_a_corrected_secret_works_within_a_minute() -> None:
    _, client_id, client_secret = make_identity()
    with time_machine.travel(timezone.now(), tick=False) as clock:
        assert fail(client_id, 5) == ["refused"] * 3 + ["limited"] * 2
        for _ in range(30):
            clock.shift(20)
            assert fail(client_id, 2) == ["refused", "limited"]
        with pytest.raises(RateLimited):
            log_in(client_id, client_secret)
        clock.shift(20)
        assert log_in(client_id, client_secret)
        assert fail(client_id, 1) == ["refused"], "a success starts anew"


def test_delay_grows() -> None:
    _, client_id, _ = make_identity()
    waits = []
    with time_machine.travel(timezone.now(), tick=False) as clock:
        fail(client_id, 3)
        for _ in range(6):
            with pytest.raises(RateLimited) as caught:
                log_in(client_id, "pks_wrong")
            waits.append(caught.value.retry_after)
            clock.shift(caught.value.retry_after)
            assert fail(client_id, 1) == ["refused"]
    assert waits == [1, 2, 4, 8, 16, 20]


def test_client_that_tries_every_30_seconds_for_ever_is_never_limited() -> None:
    _, client_id, client_secret = make_identity()
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(4):
            fail(client_id, 1)
            clock.shift(1)
        for _ in range(50):
            clock.shift(30)
            assert fail(client_id, 1) == ["refused"]
        clock.shift(30)
        assert log_in(client_id, client_secret)


def test_stranger_locks_nobody_out() -> None:
    _, client_id, client_secret = make_identity()
    fail(client_id, 50, "192.0.2.66")
    assert log_in(client_id, client_secret, "192.0.2.1")


def test_unknown_client_ids_are_slowed_down_alike() -> None:
    with time_machine.travel(timezone.now(), tick=False):
        assert fail("nonsense", 4) == ["refused"] * 3 + ["limited"]


def test_address_that_tries_many_client_ids_is_limited_but_the_right_secret_passes() -> None:
    _, client_id, client_secret = make_identity()
    with time_machine.travel(timezone.now(), tick=False):
        outcomes = [fail(f"client-{number}", 1)[0] for number in range(40)]
        assert outcomes == ["refused"] * 30 + ["limited"] * 10
        assert AuditEvent.objects.filter(outcome=Outcome.REFUSED).count() == 30, "floods are not recorded"
        assert log_in(client_id, client_secret)


def test_old_failures_are_swept() -> None:
    with time_machine.travel(timezone.now() - timedelta(days=2), tick=False):
        fail("client-1", 1)
    fail("client-2", 1)
    assert LoginFailure.objects.count() == 2  # the client's and the address's


# --- Tokens


def configured(settings: Settings) -> str:
    robot, client_id, client_secret = make_identity()
    universal_auth.update(requester=SYSTEM, identity_id=robot.pk, settings=settings)
    return log_in(client_id, client_secret).access_token


def test_renewal_starts_the_life_anew() -> None:
    token = configured(Settings(access_token_ttl=100, access_token_max_ttl=1000))
    now = timezone.now()
    with time_machine.travel(now + timedelta(seconds=90), tick=False):
        issued = universal_auth.renew(access_token=token, actor=make_actor())
    assert (issued.access_token, issued.expires_in, issued.max_ttl) == (token, 100, 1000)
    with time_machine.travel(now + timedelta(seconds=180), tick=False):
        assert universal_auth.renew(access_token=token, actor=make_actor())


def test_renewal_after_the_end_is_refused() -> None:
    token = configured(Settings(access_token_ttl=100, access_token_max_ttl=1000))
    with time_machine.travel(timezone.now() + timedelta(seconds=101), tick=False), pytest.raises(Unauthenticated):
        universal_auth.renew(access_token=token, actor=make_actor())


def test_renewal_past_the_longest_life_is_refused() -> None:
    token = configured(Settings(access_token_ttl=100, access_token_max_ttl=150))
    with time_machine.travel(timezone.now() + timedelta(seconds=60), tick=False), pytest.raises(Unauthenticated):
        universal_auth.renew(access_token=token, actor=make_actor())


def test_renewal_of_a_used_up_token_is_refused_as_invalid() -> None:
    token = configured(Settings(access_token_num_uses_limit=1, access_token_ttl=100))
    AccessToken.objects.update(num_uses=1)
    with pytest.raises(Invalid):
        universal_auth.renew(access_token=token, actor=make_actor())


def test_revoked_token_is_neither_renewed_nor_revoked_again() -> None:
    token = configured(Settings(access_token_ttl=100))
    universal_auth.revoke(access_token=token, actor=make_actor())
    for act in (universal_auth.renew, universal_auth.revoke):
        with pytest.raises(Unauthenticated):
            act(access_token=token, actor=make_actor())


@pytest.mark.parametrize("token", ["", "x", "eyJ.x.y", "pkt_short"])
def test_what_is_no_token_of_ours_is_rejected(token: str) -> None:
    with pytest.raises(TokenRejected):
        universal_auth.renew(access_token=token, actor=make_actor())


def test_ttl_of_zero_is_the_longest_life() -> None:
    robot, client_id, client_secret = make_identity()
    universal_auth.update(
        requester=SYSTEM, identity_id=robot.pk, settings=Settings(access_token_ttl=0, access_token_max_ttl=0)
    )
    assert log_in(client_id, client_secret).expires_in == 315_360_000


# --- Configuration and secrets


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (Settings(access_token_ttl=30), "access_token_ttl"),
        (Settings(access_token_max_ttl=1), "access_token_max_ttl"),
        (Settings(access_token_ttl=315_360_001), "access_token_ttl"),
        (Settings(access_token_ttl=3600, access_token_max_ttl=1800), "access_token_ttl"),
        (Settings(access_token_ttl=0), "access_token_ttl"),
    ],
)
def test_lives_that_do_not_fit_are_refused(settings: Settings, field: str) -> None:
    robot, _, _ = make_identity()
    with pytest.raises(Invalid) as caught:
        universal_auth.update(requester=SYSTEM, identity_id=robot.pk, settings=settings)
    assert field in [violation.field for violation in caught.value.violations]
    robot.universal_auth.refresh_from_db()
    assert robot.universal_auth.access_token_ttl == 7200


def test_bad_networks_are_refused() -> None:
    robot, _, _ = make_identity()
    with pytest.raises(Malformed):
        universal_auth.update(
            requester=SYSTEM, identity_id=robot.pk, settings=Settings(access_token_trusted_ips=["nonsense"])
        )


def test_second_attach_is_refused() -> None:
    robot, _, _ = make_identity()
    with pytest.raises(Invalid):
        universal_auth.attach(requester=SYSTEM, identity_id=robot.pk)


def test_detach_takes_secrets_and_tokens_along() -> None:
    robot, client_id, client_secret = make_identity()
    log_in(client_id, client_secret)
    universal_auth.detach(requester=SYSTEM, identity_id=robot.pk)
    assert not ClientSecret.objects.exists()
    assert not AccessToken.objects.exists()
    with pytest.raises(NotFound):
        universal_auth.get(requester=SYSTEM, identity_id=robot.pk)


def test_only_hash_and_prefix_of_a_secret_are_stored() -> None:
    _, _, client_secret = make_identity()
    row = ClientSecret.objects.get()
    assert client_secret not in str(vars(row))
    assert row.prefix == client_secret.removeprefix("pks_")[:4]
    assert not any(client_secret in str(event.data) for event in AuditEvent.objects.all())


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.MEMBER, Role.VIEWER])
def test_only_an_admin_makes_secrets(role: Role) -> None:
    project = make_project()
    robot, _, _ = make_identity(project)
    bob = requester_for(make_user("bob", project=project, role=role))
    with pytest.raises((PermissionDenied, NotFound)):
        universal_auth.create_client_secret(requester=bob, identity_id=robot.pk)
    assert ClientSecret.objects.count() == 1


def test_admin_of_one_project_makes_no_secret_for_an_identity_of_two() -> None:
    mine, other = make_project(), make_project()
    robot, _, _ = make_identity(other)
    robot.memberships.create(project=mine, role=Role.VIEWER)
    alice = requester_for(make_user(project=mine))
    with pytest.raises(PermissionDenied):
        universal_auth.create_client_secret(requester=alice, identity_id=robot.pk)


def test_secret_is_revoked_once() -> None:
    robot, _, _ = make_identity()
    row = ClientSecret.objects.get()
    revoked = universal_auth.revoke_client_secret(requester=SYSTEM, identity_id=robot.pk, client_secret_id=row.pk)
    assert revoked.revoked_at is not None
    with pytest.raises(Invalid):
        universal_auth.revoke_client_secret(requester=SYSTEM, identity_id=robot.pk, client_secret_id=row.pk)


def test_secret_of_another_identity_is_not_found() -> None:
    make_identity()
    row = ClientSecret.objects.get()
    other, _, _ = make_identity(name="other")
    with pytest.raises(NotFound):
        universal_auth.revoke_client_secret(requester=SYSTEM, identity_id=other.pk, client_secret_id=row.pk)


@pytest.mark.django_db(transaction=True)
def test_of_many_logins_at_once_only_as_many_pass_as_the_secret_has_uses() -> None:
    robot, client_id, _ = make_identity()
    secret = universal_auth.create_client_secret(requester=SYSTEM, identity_id=robot.pk, num_uses_limit=3).client_secret

    def attempt(number: int) -> bool:
        try:
            log_in(client_id, secret, f"192.0.2.{number}")
        except Unauthenticated:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(1, 9))) == 3
    assert ClientSecret.objects.get(num_uses_limit=3).num_uses == 3


def test_admin_of_any_project_of_an_identity_revokes_its_secret() -> None:
    mine, theirs = make_project(), make_project()
    alice = requester_for(make_user("alice", project=mine))
    bob = requester_for(make_user("bob", project=mine, role=Role.OPERATOR))
    robot, client_id, client_secret = make_identity(mine)
    Membership.objects.create(project=theirs, identity=robot, role=Role.MEMBER)
    secret = ClientSecret.objects.get()
    with pytest.raises(PermissionDenied):
        universal_auth.create_client_secret(requester=alice, identity_id=robot.pk)
    with pytest.raises(PermissionDenied):
        universal_auth.revoke_client_secret(requester=bob, identity_id=robot.pk, client_secret_id=secret.pk)
    universal_auth.revoke_client_secret(requester=alice, identity_id=robot.pk, client_secret_id=secret.pk)
    with pytest.raises(Unauthenticated):
        log_in(client_id, client_secret)


def test_identity_without_a_project_makes_itself_no_secret_and_no_longer_life() -> None:
    robot, _, _ = make_identity()
    with pytest.raises(PermissionDenied):
        universal_auth.create_client_secret(requester=requester_for(robot), identity_id=robot.pk)
    with pytest.raises(PermissionDenied):
        universal_auth.update(
            requester=requester_for(robot), identity_id=robot.pk, settings=Settings(access_token_ttl=315_360_000)
        )


@pytest.mark.parametrize("beyond", [-1, 10**12, 10**18, 10**30])
@pytest.mark.parametrize("limit", ["ttl", "num_uses_limit"])
def test_limits_of_a_secret_have_bounds(limit: str, beyond: int) -> None:
    robot, _, _ = make_identity()
    with pytest.raises(Invalid) as refusal:
        universal_auth.create_client_secret(requester=SYSTEM, identity_id=robot.pk, **{limit: beyond})  # type: ignore[arg-type]
    assert [(violation.field, violation.asked) for violation in refusal.value.violations] == [(limit, str(beyond))]
