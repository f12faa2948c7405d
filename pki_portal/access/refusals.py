"""Refusals that no service has recorded: what a door turned away, and what nobody known was turned away from."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from pki_portal.access import login_throttle
from pki_portal.access.requester import anonymous_actor, requester_of
from pki_portal.audit.services import JSON, Actor, record_refusal
from pki_portal.errors import PortalError, RateLimited, TokenRejected, Unauthenticated

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_EVENT = "refused-request"


@contextmanager
def bounded_refusals(*, event: str, actor: Actor, subject_type: str, subject_id: str) -> Iterator[None]:
    """As ``recorded_refusals``, for what anyone can cause: while an address causes too many, none of them is kept."""
    try:
        yield
    except PortalError as refusal:
        _record_bounded(refusal, event=event, actor=actor, subject_type=subject_type, subject_id=subject_id)
        raise


def record_at_the_door(request: HttpRequest | Request, refusal: PortalError) -> None:
    """Record why a request that would have changed something was turned away, unless a service has done it.

    It stands in the log of the project whose id is in the address, whoever asked.
    """
    if request.method in _SAFE or refusal.is_recorded or isinstance(refusal, RateLimited):
        return
    actor = _actor_of(request, refusal)
    match = request.resolver_match
    data: dict[str, JSON] = {"method": str(request.method)[:16], "route": (match.url_name or "") if match else ""}
    subject_id = request.path[:255]
    if actor.kind == "anonymous":
        _record_bounded(refusal, event=_EVENT, actor=actor, subject_type="address", subject_id=subject_id, data=data)
        return
    record_refusal(
        refusal,
        event=_EVENT,
        actor=actor,
        project_id=_uuid_of(match.kwargs.get("project_id") if match else None),
        subject_type="address",
        subject_id=subject_id,
        data=data,
    )


def _actor_of(request: HttpRequest | Request, refusal: PortalError) -> Actor:
    # Asking who sent it would authenticate anew what has just failed.
    if not isinstance(refusal, Unauthenticated | TokenRejected):
        try:
            return requester_of(request).actor
        except (PortalError, APIException):
            pass
    return anonymous_actor(request)


def _record_bounded(
    refusal: PortalError,
    *,
    event: str,
    actor: Actor,
    subject_type: str,
    subject_id: str,
    data: dict[str, JSON] | None = None,
) -> None:
    if refusal.is_recorded or not login_throttle.may_record(address=actor.address, now=timezone.now()):
        refusal.is_recorded = True  # dropped on purpose: nobody further out shall write it either
        return
    record_refusal(
        refusal,
        event=event,
        actor=actor,
        project_id=None,
        subject_type=subject_type,
        subject_id=subject_id,
        data=data,
    )


def _uuid_of(text: object) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None
