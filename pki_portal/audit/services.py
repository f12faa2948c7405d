"""Writing audit events: in the acting transaction for what was done, in one of its own for what was refused."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from pki_portal.audit.models import AuditEvent, Outcome
from pki_portal.errors import Busy, PortalError, Unavailable, Violation
from pki_portal.storable import storable, storable_json

logger = logging.getLogger(__name__)

JSON: TypeAlias = "str | int | float | bool | Mapping[str, JSON] | list[JSON] | tuple[JSON, ...] | None"

# A refused request can carry a megabyte of nonsense: the record keeps enough to recognise it.
TEXT_LIMIT = 1000
VIOLATIONS_LIMIT = 50


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, as plain values; ``kind`` is ``user``, ``identity``, ``system`` or ``anonymous``, ``address`` an IP
    address.
    """

    kind: str
    id: str
    name: str
    address: str | None
    request_id: str


def record(
    *,
    event: str,
    actor: Actor,
    project_id: UUID | None,
    subject_type: str,
    subject_id: str,
    data: Mapping[str, JSON] | None = None,
) -> None:
    """Write one event of a done act in the caller's transaction, so that both commit or neither does. ``data`` holds no
    secret.
    """
    new_event(
        event=event, actor=actor, project_id=project_id, subject_type=subject_type, subject_id=subject_id, data=data
    ).save()


def new_event(
    *,
    event: str,
    actor: Actor,
    project_id: UUID | None,
    subject_type: str,
    subject_id: str,
    data: Mapping[str, JSON] | None = None,
    outcome: Outcome = Outcome.DONE,
) -> AuditEvent:
    """What :func:`record` writes, for a caller that inserts it together with other rows."""
    return AuditEvent(
        occurred_at=timezone.now(),
        event=event,
        outcome=outcome,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=storable(actor.name)[:255],
        address=actor.address,
        request_id=actor.request_id,
        project_id=project_id,
        subject_type=subject_type,
        subject_id=storable(subject_id)[:255],
        data=storable_json(data or {}),
    )


@contextmanager
def recorded_refusals(
    *,
    event: str,
    actor: Actor,
    project_id: UUID | None,
    subject_type: str,
    subject_id: str,
    data: Mapping[str, JSON] | None = None,
) -> Iterator[None]:
    """Record a :class:`PortalError` that leaves the block as a refused ``event``, and raise it again.

    Stand outside the act's ``transaction.atomic()``: the record must outlive its rollback.
    """
    try:
        yield
    except PortalError as refusal:
        record_refusal(
            refusal,
            event=event,
            actor=actor,
            project_id=project_id,
            subject_type=subject_type,
            subject_id=subject_id,
            data=data,
        )
        raise


def record_refusal(
    refusal: PortalError,
    *,
    event: str,
    actor: Actor,
    project_id: UUID | None,
    subject_type: str,
    subject_id: str,
    data: Mapping[str, JSON] | None = None,
) -> None:
    """Write a refused ``event`` in a transaction of its own, unless this refusal has been recorded already.

    A fault of the installation also goes to the log: whoever runs it must see it, and the database may be what fails.
    """
    if refusal.is_recorded:
        return
    if isinstance(refusal, Unavailable) and not isinstance(refusal, Busy):
        logger.error("%s: %s", event, refusal.message)
    with transaction.atomic():
        new_event(
            event=event,
            outcome=Outcome.REFUSED,
            actor=actor,
            project_id=project_id,
            subject_type=subject_type,
            subject_id=subject_id,
            data={**(data or {}), **_refusal_as_data(refusal)},
        ).save()
    refusal.is_recorded = True


def _refusal_as_data(refusal: PortalError) -> dict[str, JSON]:
    """Kind, message and the first violations of a refusal, cut to a sane size."""
    told: dict[str, JSON] = {"kind": refusal.kind, "message": refusal.message[:TEXT_LIMIT]}
    if refusal.violations:
        told["violations"] = [_violation_as_data(violation) for violation in refusal.violations[:VIOLATIONS_LIMIT]]
        told["violationCount"] = len(refusal.violations)
    return told


def _violation_as_data(violation: Violation) -> dict[str, JSON]:
    return {
        "field": violation.field[:TEXT_LIMIT],
        "code": violation.code,
        "rule": violation.rule[:TEXT_LIMIT],
        "asked": violation.asked[:TEXT_LIMIT],
        "allowed": violation.allowed[:TEXT_LIMIT],
        "fix": violation.fix[:TEXT_LIMIT],
    }
