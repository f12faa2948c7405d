"""Who sends this API request: a bearer token of a machine identity."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import F
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request

from pki_portal.access.addresses import is_trusted
from pki_portal.access.models import AccessToken
from pki_portal.access.refusals import bounded_refusals
from pki_portal.access.remembering import Scope, remembered
from pki_portal.access.requester import client_address_of, request_id_of, requester_of_identity
from pki_portal.access.tokens import hash_of, is_access_token
from pki_portal.errors import Forbidden, TokenRejected, Unauthenticated

_KEYWORD = "bearer"
_UNKNOWN = "The access token is unknown, expired or revoked: log in again."


@dataclass(frozen=True, slots=True)
class IdentityPrincipal:
    """A machine identity in the place of ``request.user``."""

    pk: UUID
    name: str
    is_authenticated: bool = True
    is_anonymous: bool = False
    is_active: bool = True
    is_staff: bool = False
    is_superuser: bool = False


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What one query tells of a presented token."""

    id: UUID
    identity_id: UUID
    identity_name: str
    can_create_projects: bool
    trusted_ips: list[str]
    expires_at: datetime
    revoked_at: datetime | None
    num_uses_limit: int


class BearerAuthentication(BaseAuthentication):
    """Sets ``request.user`` (IdentityPrincipal), ``request.auth`` (TokenFacts) and ``request.requester``. One query, or
    none where the token is remembered.

    A token that has a use limit costs a second one: the count is one conditional UPDATE, so that no two requests share
    a use.
    """

    def authenticate(self, request: Request) -> tuple[IdentityPrincipal, TokenFacts] | None:
        """Read the header; None without a bearer token. Raises TokenRejected, Unauthenticated, Forbidden."""
        header = request.META.get("HTTP_AUTHORIZATION", "")
        keyword, _, credential = header.partition(" ")
        if keyword.lower() != _KEYWORD:
            return None
        credential = credential.strip()
        if not is_access_token(credential):
            raise TokenRejected("The bearer token is not one of this portal.")
        token = _find(hash_of(credential))
        if token is None or token.revoked_at is not None or token.expires_at <= timezone.now():
            raise Unauthenticated(_UNKNOWN)
        address = client_address_of(request)
        requester = requester_of_identity(
            identity_id=token.identity_id,
            name=token.identity_name,
            can_create_projects=token.can_create_projects,
            address=address,
            request_id=request_id_of(request),
        )
        if not is_trusted(address, token.trusted_ips):
            with bounded_refusals(
                event="use-identity-access-token",
                actor=requester.actor,
                subject_type="identity",
                subject_id=requester.id,
            ):
                raise Forbidden(f"The access token may not be used from {address}.")
        if token.num_uses_limit:
            _count_use(token)
        request.requester = requester  # type: ignore[attr-defined]
        return IdentityPrincipal(pk=token.identity_id, name=token.identity_name), token

    def authenticate_header(self, request: Request) -> str:
        """Name the scheme: without it the REST framework would answer 403 for 401."""
        return "Bearer"


@remembered(Scope.ACCESS)
def _find(token_hash: str) -> TokenFacts | None:
    """One SELECT by the unique index of the hash; plain values, for a model row with its two parents costs twice as
    much.
    """
    row = (
        AccessToken.objects.filter(token_hash=token_hash)
        .order_by()
        .values_list(
            "id",
            "universal_auth__identity_id",
            "universal_auth__identity__name",
            "universal_auth__identity__can_create_projects",
            "universal_auth__access_token_trusted_ips",
            "expires_at",
            "revoked_at",
            "num_uses_limit",
        )[:1]
    )
    return next((TokenFacts(*values) for values in row), None)


def _count_use(token: TokenFacts) -> None:
    counted = AccessToken.objects.filter(pk=token.id, num_uses__lt=F("num_uses_limit")).update(
        num_uses=F("num_uses") + 1
    )
    if not counted:
        raise Unauthenticated("The access token has been used as often as it may be: log in again.")


class PortalSessionAuthentication(SessionAuthentication):
    """A person logged in on the pages may call the API from them; every unsafe method then needs the CSRF token."""
