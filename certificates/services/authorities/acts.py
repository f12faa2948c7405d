"""What every act on a CA shares: locks, refusals, and their records."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db import IntegrityError

from certificates.models import (
    CertificateAuthority,
)
from certificates.services.authorities.rules import name_of, name_taken
from certificates.services.journal import authority_changed, journaled
from certificates.x509.names import distinguished_name
from pki_portal.access.models import Project
from pki_portal.access.requester import Requester
from pki_portal.audit.services import record, recorded_refusals
from pki_portal.errors import Invalid, NotFound, Violation


def lock(authority_id: UUID) -> CertificateAuthority:
    """The CA, locked until the transaction ends. Raises NotFound where it is gone."""
    authority = (
        CertificateAuthority.objects.select_for_update(of=("self",), no_key=True)
        .select_related("active_certificate__key__revocation_list", "active_certificate__authority", "parent")
        .filter(pk=authority_id)
        .first()
    )
    if authority is None:
        raise NotFound("There is no CA with this id.")
    return authority


def lock_with_parent(
    authority: CertificateAuthority, parent: CertificateAuthority | None
) -> tuple[CertificateAuthority, CertificateAuthority | None]:
    """Both CAs, locked in the order of their ids, so that two such calls never wait for each other in a circle."""
    parent_id = parent.pk if parent is not None else authority.parent_id
    wanted = {authority.pk} if parent_id is None else {authority.pk, parent_id}
    locked = {pk: lock(pk) for pk in sorted(wanted)}
    return locked[authority.pk], locked[parent_id] if parent_id is not None else None


def require_parent_in(project_id: UUID, parent: CertificateAuthority | None) -> None:
    """Raise NotFound for a parent of another project."""
    if parent is not None and parent.project_id != project_id:
        raise NotFound("There is no parent CA with this id in the project.")


def refuse_any(violations: Iterable[Violation]) -> None:
    """Raise Invalid with all violations, if there are any."""
    found = tuple(violations)
    if found:
        raise Invalid("; ".join(_sentence(violation) for violation in found), violations=found)


def _sentence(violation: Violation) -> str:
    return f"{violation.field}: {violation.asked or 'nothing'} was asked, allowed is {violation.allowed}"


@contextmanager
def name_taken_told(project: Project, name: str) -> Iterator[None]:
    """Turn the database's refusal of a second CA of one name into ours; stand outside the transaction."""
    try:
        yield
    except IntegrityError:
        if CertificateAuthority.objects.filter(project=project, name=name).exists():
            refuse_any([name_taken(name)])
        raise


@contextmanager
def recorded(
    event: str,
    requester: Requester,
    project_id: UUID,
    authority: CertificateAuthority | None = None,
    *,
    data: dict[str, str] | None = None,
) -> Iterator[None]:
    """Record a refusal of the act that the block is, and what it does in the journal; ``data`` where there is no CA
    yet.
    """
    with (
        recorded_refusals(
            event=event,
            actor=requester.actor,
            project_id=project_id,
            subject_type="certificate-authority",
            subject_id=str(authority.pk) if authority is not None else "",
            data=data if authority is None else {"name": authority.name},
        ),
        journaled(requester=requester, project_id=project_id),
    ):
        yield


def record_act(event: str, requester: Requester, authority: CertificateAuthority, *, data: dict[str, str]) -> None:
    """Record the act in the caller's transaction, at its end: the journal gets the CA as it stands then."""
    record(
        event=event,
        actor=requester.actor,
        project_id=authority.project_id,
        subject_type="certificate-authority",
        subject_id=str(authority.pk),
        data={"name": authority.name, "dn": distinguished_name(name_of(authority)), **data},
    )
    authority_changed(authority)
