"""How machine identities prove who they are: client secrets, and the bearer tokens that a login gives."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypedDict
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from pki_portal.access import login_throttle
from pki_portal.access.addresses import is_trusted, networks_of
from pki_portal.access.models import AccessToken, ClientSecret, MachineIdentity, UniversalAuth, any_address
from pki_portal.access.refusals import bounded_refusals
from pki_portal.access.requester import Requester
from pki_portal.access.services import get_identity, require_identity_control, require_identity_revocation
from pki_portal.access.texts import SECRET_DESCRIPTION_MAX_LENGTH, check_description
from pki_portal.access.tokens import hash_of, is_access_token, new_access_token, new_client_secret, visible_prefix_of
from pki_portal.audit.services import JSON, Actor, record, recorded_refusals
from pki_portal.errors import Forbidden, Invalid, NotFound, TokenRejected, Unauthenticated, Violation

SHORTEST_TTL = 31  # clients subtract up to 30 seconds from expiresIn before they renew
_LOGIN = "login-identity-universal-auth"
_UNKNOWN_TOKEN = "The access token is unknown, expired or revoked: log in again."  # noqa: S105


class _About(TypedDict):
    project_id: None
    subject_type: str
    subject_id: str


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """The answer to a login or a renewal; the token itself exists only here. Lives in whole seconds."""

    access_token: str = field(repr=False)
    expires_in: int
    max_ttl: int


@dataclass(frozen=True, slots=True)
class IssuedSecret:
    """A new client secret; its text exists only here."""

    row: ClientSecret
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """What universal auth of one identity allows; None leaves a value as it is. Lives in seconds."""

    access_token_ttl: int | None = None
    access_token_max_ttl: int | None = None
    access_token_num_uses_limit: int | None = None
    client_secret_trusted_ips: Sequence[str] | None = None
    access_token_trusted_ips: Sequence[str] | None = None


# --- Configuration ----------------------------------------------------------------------------------------------------


def attach(*, requester: Requester, identity_id: UUID, settings: Settings | None = None) -> UniversalAuth:
    """Let an identity log in with secrets. Raises NotFound, PermissionDenied, Malformed, Invalid where it has it
    already.
    """
    event = "add-identity-universal-auth"
    with recorded_refusals(event=event, actor=requester.actor, **_about(identity_id)):
        identity = _controlled(requester, identity_id)
        universal_auth = UniversalAuth(identity=identity)
        _apply(universal_auth, settings or Settings())
        with transaction.atomic():
            try:
                with transaction.atomic():
                    universal_auth.save(force_insert=True)
            except IntegrityError:
                raise Invalid(f"{identity.name} has universal auth already: change it instead.") from None
            record(event=event, actor=requester.actor, **_about(identity_id), data=_as_data(universal_auth))
    return universal_auth


def update(*, requester: Requester, identity_id: UUID, settings: Settings) -> UniversalAuth:
    """Change what is given: trusted networks at once, lives and limits at the next login. Raises as :func:`attach`."""
    event = "update-identity-universal-auth"
    with recorded_refusals(event=event, actor=requester.actor, **_about(identity_id)):
        _controlled(requester, identity_id)
        with transaction.atomic():
            universal_auth = _of(identity_id, for_update=True)
            _apply(universal_auth, settings)
            universal_auth.save(
                update_fields=[
                    "access_token_ttl",
                    "access_token_max_ttl",
                    "access_token_num_uses_limit",
                    "client_secret_trusted_ips",
                    "access_token_trusted_ips",
                    "updated_at",
                ]
            )
            record(event=event, actor=requester.actor, **_about(identity_id), data=_as_data(universal_auth))
    return universal_auth


def detach(*, requester: Requester, identity_id: UUID) -> UniversalAuth:
    """Take universal auth away: every secret and token of it is gone at once. Raises NotFound, PermissionDenied."""
    event = "revoke-identity-universal-auth"
    with recorded_refusals(event=event, actor=requester.actor, **_about(identity_id)):
        _controlled(requester, identity_id)
        with transaction.atomic():
            universal_auth = _of(identity_id, for_update=True)
            UniversalAuth.objects.filter(pk=universal_auth.pk).delete()
            record(event=event, actor=requester.actor, **_about(identity_id))
    return universal_auth


def get(*, requester: Requester, identity_id: UUID) -> UniversalAuth:
    """Read the configuration of an identity that the requester may know of. Raises NotFound."""
    get_identity(requester=requester, identity_id=identity_id)
    return _of(identity_id)


def _apply(universal_auth: UniversalAuth, settings: Settings) -> None:
    for name in ("client_secret_trusted_ips", "access_token_trusted_ips"):
        given = getattr(settings, name)
        if given is not None:
            setattr(universal_auth, name, networks_of(given, field=name) or any_address())
    for name in ("access_token_ttl", "access_token_max_ttl", "access_token_num_uses_limit"):
        given = getattr(settings, name)
        if given is not None:
            setattr(universal_auth, name, given)
    violations = [
        _ttl_violation(name, life)
        for name in ("access_token_ttl", "access_token_max_ttl")
        if 0 < (life := getattr(universal_auth, name)) < SHORTEST_TTL or life > UniversalAuth.LONGEST_TTL
    ]
    if _life(universal_auth.access_token_ttl) > _life(universal_auth.access_token_max_ttl):
        violations.append(
            Violation(
                field="access_token_ttl",
                code="ttl_over_max",
                rule="accessTokenMaxTTL of this identity",
                asked=str(universal_auth.access_token_ttl),
                allowed=f"at most {_life(universal_auth.access_token_max_ttl)}",
                fix=f"Ask for {_life(universal_auth.access_token_max_ttl)} seconds or raise accessTokenMaxTTL.",
            )
        )
    if violations:
        raise Invalid("These lives of access tokens do not fit.", violations=violations)


def _ttl_violation(name: str, life: int) -> Violation:
    return Violation(
        field=name,
        code="ttl_out_of_range",
        rule="the life of access tokens",
        asked=str(life),
        allowed=f"0 (the longest) or {SHORTEST_TTL} to {UniversalAuth.LONGEST_TTL} seconds",
        fix=f"Ask for {SHORTEST_TTL if life < SHORTEST_TTL else UniversalAuth.LONGEST_TTL} seconds.",
    )


def _life(seconds: int) -> int:
    return seconds or UniversalAuth.LONGEST_TTL


# --- Client secrets ---------------------------------------------------------------------------------------------------


def create_client_secret(
    *, requester: Requester, identity_id: UUID, description: str = "", num_uses_limit: int = 0, ttl: int = 0
) -> IssuedSecret:
    """Make a secret; ``ttl`` in seconds, 0 for no end, ``num_uses_limit`` in logins, 0 for none. Raises NotFound,
    PermissionDenied, Invalid for a ttl or a limit that is out of range.
    """
    event = "create-identity-universal-auth-client-secret"
    with recorded_refusals(event=event, actor=requester.actor, **_about(identity_id)):
        _controlled(requester, identity_id)
        _check_secret_limits(ttl=ttl, num_uses_limit=num_uses_limit)
        check_description(description, longest=SECRET_DESCRIPTION_MAX_LENGTH)
        universal_auth = _of(identity_id)
        client_secret = new_client_secret()
        now = timezone.now()
        with transaction.atomic():
            row = ClientSecret.objects.create(
                universal_auth=universal_auth,
                description=description,
                secret_hash=hash_of(client_secret),
                prefix=visible_prefix_of(client_secret),
                num_uses_limit=num_uses_limit,
                ttl=ttl,
                expires_at=now + timedelta(seconds=ttl) if ttl else None,
            )
            record(event=event, actor=requester.actor, **_about(identity_id), data=_secret_as_data(row))
    return IssuedSecret(row=row, client_secret=client_secret)


def _check_secret_limits(*, ttl: int, num_uses_limit: int) -> None:
    violations = [
        Violation(
            field=field,
            code="out_of_range",
            rule=f"the {meaning} of a client secret",
            asked=str(asked),
            allowed=f"0 (no limit) to {longest}",
            fix=f"Ask for 0 to {longest}.",
        )
        for field, meaning, asked, longest in (
            ("ttl", "life", ttl, ClientSecret.LONGEST_TTL),
            ("num_uses_limit", "number of uses", num_uses_limit, ClientSecret.MOST_USES),
        )
        if not 0 <= asked <= longest
    ]
    if violations:
        raise Invalid("These limits of a client secret do not fit.", violations=violations)


def get_client_secret(*, requester: Requester, identity_id: UUID, client_secret_id: UUID) -> ClientSecret:
    """Find one secret's record. Raises NotFound."""
    universal_auth = get(requester=requester, identity_id=identity_id)
    row = universal_auth.client_secrets.filter(pk=client_secret_id).first()
    if row is None:
        raise NotFound(f"Client secret {client_secret_id} was not found.")
    return row


def revoke_client_secret(*, requester: Requester, identity_id: UUID, client_secret_id: UUID) -> ClientSecret:
    """End a secret and the tokens that it gave; an admin of any of the identity's projects may. Raises NotFound,
    PermissionDenied, Invalid if it is revoked already.
    """
    event = "revoke-identity-universal-auth-client-secret"
    with recorded_refusals(event=event, actor=requester.actor, **_about(identity_id)):
        identity = get_identity(requester=requester, identity_id=identity_id)
        require_identity_revocation(requester=requester, identity=identity)
        row = get_client_secret(requester=requester, identity_id=identity_id, client_secret_id=client_secret_id)
        now = timezone.now()
        with transaction.atomic():
            revoked = ClientSecret.objects.filter(pk=row.pk, revoked_at=None).update(revoked_at=now, updated_at=now)
            if not revoked:
                raise Invalid("The client secret has been revoked already.")
            AccessToken.objects.filter(client_secret=row, revoked_at=None).update(revoked_at=now)
            record(event=event, actor=requester.actor, **_about(identity_id), data=_secret_as_data(row))
    row.refresh_from_db()
    return row


# --- Access tokens ----------------------------------------------------------------------------------------------------


def log_in(*, client_id: str, client_secret: str, actor: Actor) -> IssuedToken:
    """Give a bearer token for a client id and one of its secrets; ``actor`` is anonymous and carries the address.

    Raises Unauthenticated (unknown id and wrong secret are one refusal), Forbidden from an address that is not trusted,
    RateLimited.
    """
    now = timezone.now()
    login_throttle.check(client_id=client_id, address=actor.address, now=now)
    try:
        secret = _presented(client_id, client_secret, actor, now)
        with transaction.atomic():
            _count_login(secret, now)
            issued = _issue_token(secret, now)
            login_throttle.forget(client_id=client_id, address=actor.address)
            _record_login(secret, actor)
    except (Unauthenticated, Forbidden) as refusal:
        # Counted first: while the address fails too often, nothing is recorded either.
        login_throttle.count_failure(client_id=client_id, address=actor.address, now=now)
        with recorded_refusals(event=_LOGIN, actor=actor, project_id=None, subject_type="client", subject_id=client_id):
            raise refusal from None
    return issued


def _presented(client_id: str, client_secret: str, actor: Actor, now: datetime) -> ClientSecret:
    """The secret's row, found by its hash; what is wrong with it is told only to whoever holds it."""
    secret = (
        ClientSecret.objects.select_related("universal_auth__identity")
        .filter(secret_hash=hash_of(client_secret))
        .first()
    )
    expected = str(secret.universal_auth.client_id) if secret else ""
    if secret is None or not hmac.compare_digest(expected.encode(), client_id.strip().lower().encode()):
        raise Unauthenticated("The client id or the client secret is wrong.")
    if not secret.is_usable(now):
        raise Unauthenticated("The client secret is revoked, expired or used up.")
    if not is_trusted(actor.address, secret.universal_auth.client_secret_trusted_ips):
        raise Forbidden(f"This identity may not log in from {actor.address}.")
    return secret


def _count_login(secret: ClientSecret, now: datetime) -> None:
    """Take one use in a conditional UPDATE: of two logins at once only one gets the last."""
    counted = (
        ClientSecret.objects.filter(pk=secret.pk, revoked_at=None)
        .filter(Q(expires_at=None) | Q(expires_at__gt=now))
        .filter(Q(num_uses_limit=0) | Q(num_uses__lt=F("num_uses_limit")))
        .update(num_uses=F("num_uses") + 1)
    )
    if not counted:
        raise Unauthenticated("The client secret is revoked, expired or used up.")


def _issue_token(secret: ClientSecret, now: datetime) -> IssuedToken:
    universal_auth = secret.universal_auth
    access_token = new_access_token()
    max_ttl = _life(universal_auth.access_token_max_ttl)
    ttl = min(_life(universal_auth.access_token_ttl), max_ttl)
    # What has expired can be neither used nor renewed: the next login sweeps it away.
    AccessToken.objects.filter(universal_auth=universal_auth, expires_at__lt=now).delete()
    AccessToken.objects.create(
        universal_auth=universal_auth,
        client_secret=secret,
        token_hash=hash_of(access_token),
        ttl=ttl,
        expires_at=now + timedelta(seconds=ttl),
        max_expires_at=now + timedelta(seconds=max_ttl),
        num_uses_limit=universal_auth.access_token_num_uses_limit,
    )
    return IssuedToken(access_token=access_token, expires_in=ttl, max_ttl=max_ttl)


def renew(*, access_token: str, actor: Actor) -> IssuedToken:
    """Start the life of a token anew; its text stays. Raises Unauthenticated, TokenRejected, Forbidden, Invalid when it
    is used up.

    Unauthenticated too where the new end would lie past the longest life of all renewals together.
    """
    now = timezone.now()
    token = _presented_token("renew-identity-access-token", access_token, actor, now)
    with recorded_refusals(
        event="renew-identity-access-token", actor=_actor_of(token, actor), **_about(token.universal_auth.identity_id)
    ):
        expires_at = now + timedelta(seconds=token.ttl)
        if token.num_uses_limit and token.num_uses >= token.num_uses_limit:
            raise Invalid("The access token has been used as often as it may be.")
        if expires_at > token.max_expires_at:
            raise Unauthenticated("The access token would outlive its longest life: log in again.")
        with transaction.atomic():
            renewed = AccessToken.objects.filter(pk=token.pk, revoked_at=None, expires_at__gt=now).update(
                expires_at=expires_at
            )
            if not renewed:
                raise Unauthenticated(_UNKNOWN_TOKEN)
            _record_token("renew-identity-access-token", token, actor)
    max_ttl = round((token.max_expires_at - token.created_at).total_seconds())
    return IssuedToken(access_token=access_token, expires_in=token.ttl, max_ttl=max_ttl)


def revoke(*, access_token: str, actor: Actor) -> None:
    """End a token at once; whoever holds it may. Raises Unauthenticated, TokenRejected, Forbidden."""
    now = timezone.now()
    token = _presented_token("revoke-identity-access-token", access_token, actor, now)
    with transaction.atomic():
        if not AccessToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now):
            raise Unauthenticated(_UNKNOWN_TOKEN)
        _record_token("revoke-identity-access-token", token, actor)


def _presented_token(event: str, access_token: str, actor: Actor, now: datetime) -> AccessToken:
    """The token's row; a refusal is recorded as ``event``, of the identity whose token it was if that can be told."""
    token = (
        AccessToken.objects.select_related("universal_auth__identity").filter(token_hash=hash_of(access_token)).first()
    )
    with bounded_refusals(
        event=event,
        actor=actor if token is None else _actor_of(token, actor),
        subject_type="identity",
        subject_id="" if token is None else str(token.universal_auth.identity_id),
    ):
        if not is_access_token(access_token):
            raise TokenRejected("The access token is not one of this portal.")
        if token is None or token.revoked_at is not None or token.expires_at <= now:
            raise Unauthenticated(_UNKNOWN_TOKEN)
        if not is_trusted(actor.address, token.universal_auth.access_token_trusted_ips):
            raise Forbidden(f"The access token may not be used from {actor.address}.")
    return token


# --- Shared -----------------------------------------------------------------------------------------------------------


def _controlled(requester: Requester, identity_id: UUID) -> MachineIdentity:
    identity = get_identity(requester=requester, identity_id=identity_id)
    require_identity_control(requester=requester, identity=identity)
    return identity


def _of(identity_id: UUID, *, for_update: bool = False) -> UniversalAuth:
    rows = UniversalAuth.objects.filter(identity_id=identity_id)
    universal_auth = (rows.select_for_update() if for_update else rows).first()
    if universal_auth is None:
        raise NotFound("This identity has no universal auth.")
    return universal_auth


def _about(identity_id: UUID) -> _About:
    return {"project_id": None, "subject_type": "identity", "subject_id": str(identity_id)}


def _as_data(universal_auth: UniversalAuth) -> dict[str, JSON]:
    return {
        "clientId": str(universal_auth.client_id),
        "accessTokenTTL": universal_auth.access_token_ttl,
        "accessTokenMaxTTL": universal_auth.access_token_max_ttl,
        "accessTokenNumUsesLimit": universal_auth.access_token_num_uses_limit,
        "clientSecretTrustedIps": list(universal_auth.client_secret_trusted_ips),
        "accessTokenTrustedIps": list(universal_auth.access_token_trusted_ips),
    }


def _secret_as_data(row: ClientSecret) -> dict[str, JSON]:
    return {"clientSecretId": str(row.pk), "clientSecretPrefix": row.prefix, "description": row.description}


def _actor_of(token: AccessToken, actor: Actor) -> Actor:
    identity = token.universal_auth.identity
    return Actor(
        kind="identity",
        id=str(identity.pk),
        name=identity.name,
        address=actor.address,
        request_id=actor.request_id,
    )


def _record_login(secret: ClientSecret, actor: Actor) -> None:
    identity = secret.universal_auth.identity
    record(
        event=_LOGIN,
        actor=Actor(
            kind="identity",
            id=str(identity.pk),
            name=identity.name,
            address=actor.address,
            request_id=actor.request_id,
        ),
        **_about(identity.pk),
        data={"clientSecretId": str(secret.pk)},
    )


def _record_token(event: str, token: AccessToken, actor: Actor) -> None:
    record(
        event=event,
        actor=_actor_of(token, actor),
        **_about(token.universal_auth.identity_id),
        data={"accessTokenId": str(token.pk)},
    )
