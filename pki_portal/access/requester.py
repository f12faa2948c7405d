"""Who asks, as one frozen value for every door: pages, API, admin, commands."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

from pki_portal.access.addresses import address_of
from pki_portal.access.models import MachineIdentity, User
from pki_portal.audit.services import Actor
from pki_portal.errors import Unauthenticated

RequesterKind = Literal["user", "identity", "system"]


@dataclass(frozen=True, slots=True)
class Requester:
    """A known asker. ``id`` is the primary key as text; ``system`` and a superuser may do everything."""

    kind: RequesterKind
    id: str
    name: str
    is_superuser: bool
    can_create_projects: bool
    address: str | None
    request_id: str

    @property
    def actor(self) -> Actor:
        """The same as the plain value that the audit stores."""
        return Actor(kind=self.kind, id=self.id, name=self.name, address=self.address, request_id=self.request_id)

    @property
    def is_unlimited(self) -> bool:
        """Whether no project role is looked up: a command of the installation, or its administrator."""
        return self.is_superuser or self.kind == "system"

    @property
    def user_id(self) -> int | None:
        """Primary key of the user, if it is one."""
        return int(self.id) if self.kind == "user" else None

    @property
    def identity_id(self) -> UUID | None:
        """Primary key of the machine identity, if it is one."""
        return UUID(self.id) if self.kind == "identity" else None


def requester_of_user(user: User, *, address: str | None, request_id: str) -> Requester:
    """Make a person's requester."""
    return Requester(
        kind="user",
        id=str(user.pk),
        name=user.get_username(),
        is_superuser=user.is_superuser,
        can_create_projects=user.is_superuser,
        address=address,
        request_id=request_id,
    )


def requester_of_identity(
    *, identity_id: UUID, name: str, can_create_projects: bool, address: str | None, request_id: str
) -> Requester:
    """Make a machine identity's requester, of plain values: a request reads no row of the identity."""
    return Requester(
        kind="identity",
        id=str(identity_id),
        name=name,
        is_superuser=False,
        can_create_projects=can_create_projects,
        address=address,
        request_id=request_id,
    )


def system_requester(name: str) -> Requester:
    """Make the requester of a command or background work called ``name``: everything is allowed to it."""
    return Requester(
        kind="system", id="", name=name, is_superuser=False, can_create_projects=True, address=None, request_id=""
    )


def requester_again(*, kind: str, id: str, name: str) -> Requester | None:  # noqa: A002 - as Requester's own
    """Who asked some time ago, by the values that were stored then and as they stand now; None where they are gone."""
    if kind == "user":
        user = User.objects.filter(pk=id, is_active=True).first()
        return None if user is None else requester_of_user(user, address=None, request_id="")
    if kind == "identity":
        identity = MachineIdentity.objects.filter(pk=id).first()
        if identity is None:
            return None
        return requester_of_identity(
            identity_id=identity.pk,
            name=identity.name,
            can_create_projects=identity.can_create_projects,
            address=None,
            request_id="",
        )
    return system_requester(name)


def requester_of(request: HttpRequest | Request) -> Requester:
    """Tell who sent ``request``: a REST framework request or a page request with a login session. Raises
    Unauthenticated.

    The user is read first: on a REST framework request that is what runs the authentication.
    """
    user = request.user
    known: Requester | None = getattr(request, "requester", None)
    if known is not None:
        return known
    if isinstance(user, User) and user.is_active:
        return requester_of_user(user, address=client_address_of(request), request_id=request_id_of(request))
    raise Unauthenticated("Authentication is required: send a bearer token or log in.")


def anonymous_actor(request: HttpRequest | Request) -> Actor:
    """The audit's actor for a request that nobody stands behind yet (a login)."""
    return Actor(
        kind="anonymous", id="", name="", address=client_address_of(request), request_id=request_id_of(request)
    )


def request_id_of(request: HttpRequest | Request) -> str:
    """The id that the request id middleware gave; empty without it."""
    return str(getattr(request, "request_id", ""))


def client_address_of(request: HttpRequest | Request) -> str | None:
    """The client's IP address; None where there is none (a Unix socket).

    Behind ``TRUSTED_PROXIES`` proxies it is the entry of X-Forwarded-For that the outermost of them wrote; what stands
    left of it a client can have made up. Without as many entries the request came past the proxies: the peer counts.
    """
    proxies = settings.TRUSTED_PROXIES
    forwarded = str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",")
    if 0 < proxies <= len(forwarded) and forwarded != [""]:
        return address_of(forwarded[-proxies].strip())
    return address_of(str(request.META.get("REMOTE_ADDR", "")))
