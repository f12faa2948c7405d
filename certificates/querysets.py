"""What a requester may see of certificates and requests, and how lists of them are narrowed and sorted.

Lists never load encodings, CSRs or lint findings: `for_list` and `requests_for_list` defer them and join the rest, so
that a page costs one query however long it is.
"""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from django.db.models import Exists, Model, OuterRef, Q, QuerySet, Subquery

from certificates.models import (
    AffectedCertificate,
    AutoRenewal,
    Certificate,
    CertificateAuthority,
    CertificateRequest,
    CertificateSecret,
)
from certificates.models.certificate import CertificateSource, CertificateStatus
from certificates.models.request import RequestStatus
from certificates.trigrams import field_like, named_like
from pki_portal.access.models import Project
from pki_portal.access.permissions import Action, projects_allowing
from pki_portal.access.requester import Requester
from profiles.models import CertificateProfile


class StatusFilter(StrEnum):
    """States that a list can be narrowed to; "expired" is not stored but computed from the clock."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class CertificateOrder(StrEnum):
    """Columns that certificates can be sorted by."""

    CREATED_AT = "created_at"
    NOT_BEFORE = "not_before"
    NOT_AFTER = "not_after"
    COMMON_NAME = "common_name"
    KEY_ALGORITHM = "key_algorithm"
    STATUS = "status"


class RequestOrder(StrEnum):
    """Columns that certificate requests can be sorted by."""

    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"
    COMMON_NAME = "common_name"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class CertificateFilters:
    """What a list of certificates is narrowed to; None and empty mean "any"."""

    search: str = ""
    common_name: str = ""
    friendly_name: str = ""
    status: StatusFilter | None = None
    source: CertificateSource | None = None
    profile_ids: tuple[uuid.UUID, ...] = ()
    created_from: datetime | None = None
    created_to: datetime | None = None
    deployable_only: bool = False
    failing_renewal_only: bool = False
    # The incident in which they were replaced.
    replaced_in: uuid.UUID | None = None

    @property
    def is_tallied(self) -> bool:
        """Whether nothing but what tallies know narrows the list: status, source and profiles."""
        return replace(self, status=None, source=None, profile_ids=()) == CertificateFilters()


@dataclass(frozen=True, slots=True)
class RequestFilters:
    """What a list of certificate requests is narrowed to; None and empty mean "any"."""

    search: str = ""
    status: RequestStatus | None = None
    profile_ids: tuple[uuid.UUID, ...] = ()
    created_from: datetime | None = None
    created_to: datetime | None = None

    @property
    def is_tallied(self) -> bool:
        """Whether nothing but what tallies know narrows the list: status and profiles."""
        return replace(self, status=None, profile_ids=()) == RequestFilters()


def certificates_visible_to(requester: Requester, project: Project | None = None) -> QuerySet[Certificate]:
    """Certificates that the requester may read, of one project or of all; newest first."""
    allowed = projects_allowing(requester=requester, action=Action.CERTIFICATES_READ)
    certificates = Certificate.objects.filter(project__in=allowed)
    return certificates if project is None else certificates.filter(project=project)


def requests_visible_to(requester: Requester, project: Project | None = None) -> QuerySet[CertificateRequest]:
    """Certificate requests that the requester may read, of one project or of all; newest first."""
    allowed = projects_allowing(requester=requester, action=Action.CERTIFICATE_REQUESTS_READ)
    requests = CertificateRequest.objects.filter(project__in=allowed)
    return requests if project is None else requests.filter(project=project)


def with_status(queryset: QuerySet[Certificate], status: str, now: datetime) -> QuerySet[Certificate]:
    """Those that are ``active``, ``expired`` or ``revoked`` at ``now``; a revoked one never counts as expired."""
    wanted = StatusFilter(status)
    if wanted is StatusFilter.REVOKED:
        return queryset.filter(status=CertificateStatus.REVOKED)
    valid = queryset.exclude(status=CertificateStatus.REVOKED)
    return valid.filter(not_after__gt=now) if wanted is StatusFilter.ACTIVE else valid.filter(not_after__lte=now)


def matching(queryset: QuerySet[Certificate], search: str) -> QuerySet[Certificate]:
    """Those with ``search`` in a name, at the start of the serial number, or as their id; blank finds all."""
    text = search.strip()
    if not text:
        return queryset
    found = named_like(text)
    if digits := normal_serial_number(text):
        # As a range, which the index serves whatever the collation: g comes after every digit.
        found |= Q(serial_number__gte=digits, serial_number__lt=f"{digits}g") | Q(serial_number=digits.zfill(40))
    if identifier := id_in(text):
        found |= Q(pk=identifier)
    return queryset.filter(found)


def narrowed(queryset: QuerySet[Certificate], filters: CertificateFilters, *, now: datetime) -> QuerySet[Certificate]:
    """All of ``filters`` applied; dates are those of the row's making."""
    narrow = matching(queryset, filters.search)
    if filters.common_name:
        narrow = narrow.filter(field_like("common_name", filters.common_name))
    if filters.friendly_name:
        narrow = narrow.filter(field_like("friendly_name", filters.friendly_name))
    if filters.status is not None:
        narrow = with_status(narrow, filters.status, now)
    if filters.source is not None:
        narrow = narrow.filter(source=filters.source)
    if filters.profile_ids:
        narrow = narrow.filter(profile__in=filters.profile_ids)
    if filters.created_from is not None:
        narrow = narrow.filter(created_at__gte=filters.created_from)
    if filters.created_to is not None:
        narrow = narrow.filter(created_at__lte=filters.created_to)
    if filters.replaced_in is not None:
        affected = AffectedCertificate.objects.filter(incident=filters.replaced_in).values("certificate")
        narrow = narrow.filter(pk__in=affected, renewed_by__isnull=False)
    if filters.deployable_only:
        narrow = with_status(narrow, StatusFilter.ACTIVE, now).filter(renewed_by__isnull=True)
    return failing_renewals(narrow, now) if filters.failing_renewal_only else narrow


def failing_renewals(queryset: QuerySet[Certificate], now: datetime) -> QuerySet[Certificate]:
    """Certificates in force whose last renewal was refused, or whose next one would be by its last rehearsal."""
    # By keys and not by a join: each half has an index of its own, which holds the few alone.
    failed = Certificate.objects.exclude(renewal_error="").order_by().values("pk")
    will_fail = AutoRenewal.objects.exclude(rehearsal_error="").filter(due_at__isnull=False).order_by().values("pk")
    failing = queryset.filter(pk__in=failed.union(will_fail))
    return with_status(failing, StatusFilter.ACTIVE, now).filter(renewed_by__isnull=True)


def sorted_by(
    queryset: QuerySet[Certificate], order: CertificateOrder, *, is_descending: bool
) -> QuerySet[Certificate]:
    """Sorted by one column and then by id, so that pages neither repeat nor miss a row."""
    return queryset.order_by(f"-{order.value}" if is_descending else order.value, "id")


def with_links(queryset: QuerySet[Certificate]) -> QuerySet[Certificate]:
    """CA, profile and request in the same query, not the CSR; as ``successor_id`` what each was renewed by, and as
    ``has_private_key`` whether the portal keeps the key.
    """
    # Subqueries, not joins: counting the rows leaves them out.
    kept = CertificateSecret.objects.filter(certificate=OuterRef("pk"), destroyed_at__isnull=True)
    successor = Certificate.objects.filter(renewed_from=OuterRef("pk")).order_by().values("pk")
    return (
        queryset.annotate(successor_id=Subquery(successor[:1]), has_private_key=Exists(kept))
        .select_related("authority", "profile", "request")
        .defer(
            *("request__asked", "request__csr", "request__violations", "request__warnings"),
            *("request__decision", "request__metadata"),
        )
    )


# What lists show of what is linked. To read all of the four tables took longer than to find the rows.
_LISTED: Final[Mapping[str, tuple[type[Model], Collection[str]]]] = {
    "authority": (CertificateAuthority, {"id", "name"}),
    "profile": (CertificateProfile, {"id", "slug", "template"}),
    "request": (CertificateRequest, {"id", "method"}),
}
_NOT_LISTED: Final = [
    f"{link}__{field.name}"
    for link, (model, listed) in _LISTED.items()
    for field in model._meta.concrete_fields
    if field.name not in listed
]


def for_list(queryset: QuerySet[Certificate]) -> QuerySet[Certificate]:
    """Rows as a list shows them: links in the same query, of these only what lists show, and no encoding."""
    return with_links(queryset).defer("der", "lint_findings", "external_chain", *_NOT_LISTED)


def matching_requests(queryset: QuerySet[CertificateRequest], search: str) -> QuerySet[CertificateRequest]:
    """Those with ``search`` in the common name asked or in a name of their certificate, or with exactly that id."""
    text = search.strip()
    if not text:
        return queryset
    found = Q(common_name__icontains=text) | Q(certificate__alt_names__icontains=text)
    if identifier := id_in(text):
        found |= Q(pk=identifier)
    return queryset.filter(found)


def narrowed_requests(queryset: QuerySet[CertificateRequest], filters: RequestFilters) -> QuerySet[CertificateRequest]:
    """All of ``filters`` applied."""
    narrow = matching_requests(queryset, filters.search)
    if filters.status is not None:
        narrow = narrow.filter(status=filters.status)
    if filters.profile_ids:
        narrow = narrow.filter(profile__in=filters.profile_ids)
    if filters.created_from is not None:
        narrow = narrow.filter(created_at__gte=filters.created_from)
    if filters.created_to is not None:
        narrow = narrow.filter(created_at__lte=filters.created_to)
    return narrow


def sorted_requests(
    queryset: QuerySet[CertificateRequest], order: RequestOrder, *, is_descending: bool
) -> QuerySet[CertificateRequest]:
    """Sorted by one column and then by id."""
    return queryset.order_by(f"-{order.value}" if is_descending else order.value, "id")


def requests_for_list(queryset: QuerySet[CertificateRequest]) -> QuerySet[CertificateRequest]:
    """Rows as a list shows them: profile and certificate in the same query, no CSR, no trace, no encoding."""
    return queryset.select_related("profile", "certificate", "approval").defer(
        "approval__steps", "csr", "violations", "warnings", "decision", "certificate__der", "certificate__lint_findings"
    )


def normal_serial_number(text: str) -> str:
    """Serial number digits as stored, from whatever spelling (``0A:1B``, upper case); empty if it is not one."""
    digits = _digits(text)
    return digits if 0 < len(digits) <= 40 else ""


def normal_fingerprint(text: str) -> str:
    """SHA-256 fingerprint as stored, from whatever spelling; empty if it is not one."""
    digits = _digits(text)
    return digits if len(digits) == 64 else ""


def _digits(text: str) -> str:
    """Hex digits without what people put between them; empty if there is anything else."""
    digits = text.replace(":", "").replace(" ", "").lower()
    return "" if set(digits) - set("0123456789abcdef") else digits


def id_in(text: str) -> uuid.UUID | None:
    """The UUID that ``text`` spells in its canonical form, else None."""
    try:
        identifier = uuid.UUID(text)
    except ValueError:
        return None
    return identifier if str(identifier) == text.lower() else None
