"""How every service here records what it refuses."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from pki_portal.access.requester import Requester
from pki_portal.audit.services import recorded_refusals


@contextmanager
def recorded(
    requester: Requester, event: str, project_id: UUID | None, subject_type: str, subject_id: str, **data: str
) -> Iterator[None]:
    """Record a refusal that leaves the block."""
    with recorded_refusals(
        event=event,
        actor=requester.actor,
        project_id=project_id,
        subject_type=subject_type,
        subject_id=subject_id,
        data=data,
    ):
        yield
