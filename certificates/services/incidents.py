"""Incidents: pick what is affected, have it replaced now and not all at once, see how far that is."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from certificates.models import AffectedCertificate, AutoRenewal, Certificate, Incident
from certificates.models.certificate import CertificateStatus
from certificates.services.succession import spread
from pki_portal.access.models import Project
from pki_portal.access.permissions import Action, require
from pki_portal.access.requester import Requester
from pki_portal.audit.services import record, recorded_refusals
from pki_portal.errors import Invalid, NotFound, Violation
from profiles.policy.wording import duration

DECLARE_EVENT: Final = "declare-incident"
CLOSE_EVENT: Final = "close-incident"
MOST_AFFECTED: Final = 5_000
MOST_IDS: Final = 1_000
DEFAULT_SPREAD: Final = timedelta(hours=1)
LONGEST_SPREAD: Final = timedelta(days=30)
NAMED: Final = 100
_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class Criteria:
    """What picks the affected certificates; all that is given must fit, and something must be.

    Attributes:
        requester_id: of the person or machine identity that asked for them.
        public_key_sha256: hex of the hash of the key (SubjectPublicKeyInfo).
    """

    certificate_ids: tuple[UUID, ...] = ()
    authority_id: UUID | None = None
    profile_id: UUID | None = None
    template_id: UUID | None = None
    requester_id: str = ""
    public_key_sha256: str = ""

    def as_document(self) -> dict[str, Any]:
        """As a JSON value, without what is not given."""
        told = {name: value for name, value in asdict(self).items() if value}
        return {
            name: [str(each) for each in value] if isinstance(value, tuple) else str(value)
            for name, value in told.items()
        }


class AffectedState(StrEnum):
    """What became of a certificate that an incident affects. ``FAILED`` waits too, and ``NOT_REVOKED`` is renewed."""

    RENEWED = "renewed"
    WAITING = "waiting"
    FAILED = "failed"
    NOT_REVOKED = "not_revoked"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Affected:
    """How many certificates, how many of them renew by themselves, and the first of them, the soonest end first."""

    count: int
    renewing: int
    first: tuple[Certificate, ...]


def preview_incident(*, requester: Requester, project: Project, criteria: Criteria) -> Affected:
    """The certificates that an incident would affect now.

    Raises PermissionDenied, NotFound; Invalid: nothing is picked, or too much.
    """
    require(requester=requester, action=Action.CERTIFICATES_REVOKE, project_id=project.pk)
    found = _affected(project, criteria, timezone.now())
    return Affected(len(found), sum(each.renew_at is not None for each in found), tuple(found[:NAMED]))


def declare_incident(
    *, requester: Requester, project: Project, reason: str, criteria: Criteria, over: timedelta
) -> Incident:
    """Have every certificate in force that fits replaced within ``over`` from now.

    Renewals that the portal does by itself come due one after the other, the soonest end first; certificates that
    others renew are told so by their renewal information. None is revoked.

    Raises PermissionDenied, NotFound; Invalid: nothing is picked, or too much, or ``over`` is too long.
    """
    with recorded_refusals(
        event=DECLARE_EVENT,
        actor=requester.actor,
        project_id=project.pk,
        subject_type="project",
        subject_id=str(project.pk),
        data={"reason": reason, "criteria": criteria.as_document()},
    ):
        require(requester=requester, action=Action.CERTIFICATES_REVOKE, project_id=project.pk)
        if over > LONGEST_SPREAD:
            raise _invalid(
                "replace_within",
                "too_long",
                "time for replacing",
                duration(over),
                f"at most {duration(LONGEST_SPREAD)}",
            )
        now = timezone.now()
        with transaction.atomic():
            certificates = _affected(project, criteria, now)
            incident = Incident.objects.create(
                project=project,
                reason=reason,
                criteria=criteria.as_document(),
                declared_at=now,
                declared_by=requester.name[:255],
                replace_by=now + over,
            )
            members = [
                AffectedCertificate(
                    incident=incident, certificate=certificate, replace_at=now + over * place / len(certificates)
                )
                for place, certificate in enumerate(certificates)
            ]
            AffectedCertificate.objects.bulk_create(members, batch_size=_CHUNK)
            _pull_forward(incident.affected.all())
            record(
                event=DECLARE_EVENT,
                actor=requester.actor,
                project_id=project.pk,
                subject_type="incident",
                subject_id=str(incident.pk),
                data={"reason": reason, "criteria": incident.criteria, "count": len(members)},
            )
    return incident


def close_incident(*, requester: Requester, incident: Incident) -> Incident:
    """Replace nothing more because of it: what still waits is renewed on its own day again.

    Raises PermissionDenied, NotFound; Invalid: it is closed.
    """
    with recorded_refusals(
        event=CLOSE_EVENT,
        actor=requester.actor,
        project_id=incident.project_id,
        subject_type="incident",
        subject_id=str(incident.pk),
    ):
        require(requester=requester, action=Action.CERTIFICATES_REVOKE, project_id=incident.project_id)
        with transaction.atomic():
            locked = Incident.objects.select_for_update(of=("self",)).get(pk=incident.pk)
            if locked.closed_at is not None:
                raise _invalid(
                    "incident",
                    "already_closed",
                    "an incident is closed once",
                    f"closed by {locked.closed_by} at {locked.closed_at:%Y-%m-%d %H:%M} UTC",
                    "an open incident",
                )
            locked.closed_at, locked.closed_by = timezone.now(), requester.name[:255]
            locked.save(update_fields=["closed_at", "closed_by"])
            _put_back(locked)
            record(
                event=CLOSE_EVENT,
                actor=requester.actor,
                project_id=locked.project_id,
                subject_type="incident",
                subject_id=str(locked.pk),
                data={"reason": locked.reason},
            )
    return locked


def incidents_visible_to(requester: Requester, project: Project) -> QuerySet[Incident]:
    """The incidents of a project, newest first. Raises PermissionDenied, NotFound."""
    require(requester=requester, action=Action.CERTIFICATES_READ, project_id=project.pk)
    return Incident.objects.filter(project=project)


def find_incident(*, requester: Requester, project_id: UUID, incident_id: UUID) -> Incident:
    """Raises PermissionDenied, NotFound: no such project or incident, or none that the requester may know of."""
    require(requester=requester, action=Action.CERTIFICATES_READ, project_id=project_id)
    found = Incident.objects.filter(pk=incident_id, project=project_id).first()
    if found is None:
        raise NotFound("There is no incident with this id in this project.")
    return found


def progress_of(incident: Incident, now: datetime) -> Mapping[str, int]:
    """How many are affected (``total``), and by :class:`AffectedState` what became of them. One query."""
    states = {state.value: Count("pk", filter=condition) for state, condition in _states(now).items()}
    counts: dict[str, int] = incident.affected.aggregate(total=Count("pk"), **states)
    return counts


def affected_by(
    incident: Incident, *, state: AffectedState | None = None, now: datetime
) -> QuerySet[AffectedCertificate]:
    """The certificates of an incident in the order of their turns, those in one state or all; with each its
    ``successor_id`` and whether it ``renews_by_itself``.
    """
    successor = Certificate.objects.filter(renewed_from=OuterRef("certificate_id")).order_by().values("pk")
    renewing = AutoRenewal.objects.filter(pk=OuterRef("certificate_id"), due_at__isnull=False)
    members = incident.affected.all() if state is None else incident.affected.filter(_states(now)[state])
    return (
        members.annotate(successor_id=Subquery(successor[:1]), renews_by_itself=Exists(renewing))
        .select_related("certificate")
        .defer("certificate__der", "certificate__lint_findings")
        .order_by("replace_at", "pk")
    )


def _states(now: datetime) -> Mapping[AffectedState, Q]:
    lives = Q(certificate__status=CertificateStatus.ACTIVE, certificate__not_after__gt=now)
    is_renewed = Q(certificate__renewed_by__isnull=False)
    return {
        AffectedState.RENEWED: is_renewed,
        AffectedState.WAITING: lives & ~is_renewed,
        AffectedState.FAILED: lives & ~is_renewed & ~Q(certificate__renewal_error=""),
        AffectedState.NOT_REVOKED: lives & is_renewed,
        AffectedState.GONE: ~is_renewed & ~lives,
    }


def open_incident_of(certificate: Certificate) -> AffectedCertificate | None:
    """The open incident that affects a certificate, the one whose turn comes first."""
    members = AffectedCertificate.objects.filter(certificate=certificate, incident__closed_at__isnull=True)
    return members.select_related("incident").order_by("replace_at", "pk").first()


def keep_pulled_forward(certificate: Certificate) -> None:
    """Have a renewal that was just planned anew keep its turn in an open incident; in the caller's transaction."""
    members = AffectedCertificate.objects.filter(certificate=certificate, incident__closed_at__isnull=True)
    if members.exists():
        _pull_forward(members)


def _affected(project: Project, criteria: Criteria, now: datetime) -> list[Certificate]:
    """Certificates in force without a successor, the soonest end first. Raises Invalid."""
    if criteria == Criteria():
        raise _invalid("", "criteria_missing", "what picks the certificates", "nothing", "at least one of them")
    live = Certificate.objects.filter(
        project=project, status=CertificateStatus.ACTIVE, not_after__gt=now, renewed_by__isnull=True
    )
    given: dict[str, Any] = {
        "pk__in": criteria.certificate_ids,
        "authority": criteria.authority_id,
        "profile": criteria.profile_id,
        "profile__template": criteria.template_id,
        "request__requester_id": criteria.requester_id,
        "public_key_sha256": criteria.public_key_sha256,
    }
    picked = live.filter(**{name: value for name, value in given.items() if value})
    found = list(picked.defer("der", "lint_findings", "metadata").order_by("not_after", "pk")[: MOST_AFFECTED + 1])
    if not found:
        raise _invalid("", "nothing_affected", "what picks the certificates", "no certificate in force", "at least one")
    if len(found) > MOST_AFFECTED:
        raise _invalid(
            "",
            "too_many_certificates",
            "what picks the certificates",
            f"more than {MOST_AFFECTED}",
            f"at most {MOST_AFFECTED}; declare one incident for each profile",
        )
    return found


def _pull_forward(members: QuerySet[AffectedCertificate]) -> None:
    """Have the worker come to them at their turn, unless it comes sooner; what does not renew by itself stays so."""
    turn = members.filter(certificate=OuterRef("pk")).order_by("replace_at").values("replace_at")
    renewals = _locked(AutoRenewal.objects.filter(pk__in=members.values("certificate"), due_at__isnull=False))
    renewals.filter(due_at__gt=Subquery(turn[:1])).update(due_at=Subquery(turn[:1]), attempts=0, gave_up_at=None)


def _put_back(incident: Incident) -> None:
    """Plan what still waits for its turn on its own day, in the caller's transaction."""
    members = incident.affected.values("certificate")
    early = _locked(AutoRenewal.objects.filter(pk__in=members, due_at__lt=F("certificate__renew_at")))
    rows = list(early.select_related("certificate").only("due_at", "certificate__renew_at", "certificate__not_after"))
    for row in rows:
        if row.certificate.renew_at is not None:
            row.due_at = spread(row.certificate.renew_at, not_after=row.certificate.not_after)
    AutoRenewal.objects.bulk_update(rows, ["due_at"], batch_size=_CHUNK)
    others = AffectedCertificate.objects.filter(incident__closed_at__isnull=True, certificate__in=members)
    _pull_forward(others)


def _locked(renewals: QuerySet[AutoRenewal]) -> QuerySet[AutoRenewal]:
    """The same, locked until the transaction ends, in the order of their keys: no two acts wait for each other."""
    list(renewals.order_by("pk").select_for_update(of=("self",)).values_list("pk"))
    return renewals


def _invalid(field: str, code: str, rule: str, asked: str, allowed: str) -> Invalid:
    violation = Violation(field=field, code=code, rule=rule, asked=asked, allowed=allowed, fix=f"Give {allowed}.")
    return Invalid(f"{rule.capitalize()}: {asked}; allowed is {allowed}.", violations=[violation])
