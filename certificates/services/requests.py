"""Rows of certificate requests: what was asked, as stored values."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from certificates.models import CertificateAuthority, CertificateRequest
from certificates.models.request import RequestStatus
from certificates.x509.csr import read_csr
from pki_portal.access.permissions import Action, require
from pki_portal.access.requester import Requester
from pki_portal.audit.services import JSON, recorded_refusals
from pki_portal.errors import Busy, Conflict, PortalError
from pki_portal.storable import storable, storable_json
from profiles.enrollment import EnrollmentMethod
from profiles.models import CertificateProfile
from profiles.policy.explain import decision_document
from profiles.policy.plan import Decision
from profiles.policy.request import AttributeValue, BasicConstraints, GeneralName, IssuanceRequest
from profiles.policy.vocabulary import (
    ExtendedKeyUsage,
    KeyAlgorithm,
    KeyUsage,
    SignatureAlgorithm,
    SubjectAttribute,
    as_word,
)
from profiles.services.versions import find_judging_versions

# Columns are this wide; a refused request may have asked for more.
NAME_WIDTH = 255
SIGN_EVENT = "sign-certificate-from-profile"
_CAME = {RequestStatus.ISSUED: "issued", RequestStatus.PENDING_APPROVAL: "pending-approval"}


@dataclass(frozen=True, slots=True)
class Approved:
    """A stored request that others agreed to, ``approvals`` being who, when and at which step, for the records.

    Made by :mod:`certificates.services.approvals.issuing` alone.
    """

    request: CertificateRequest
    approvals: tuple[Mapping[str, JSON], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request at one profile, or, where that is None, at ``authority`` itself: what is asked, by whom, how.

    ``approved`` where it was stored before and waited: that row is settled, and no other made.
    """

    profile: CertificateProfile | None
    request: IssuanceRequest
    requester: Requester
    method: EnrollmentMethod
    metadata: Sequence[Mapping[str, str]]
    authority: CertificateAuthority | None = None
    approved: Approved | None = None

    @property
    def project_id(self) -> UUID:
        """Of whatever is asked. Raises ValueError where that is nothing."""
        asked = self.profile or self.authority
        if asked is None:
            raise ValueError("a request is made at a profile or at a CA")
        return asked.project_id


def read_applicant_csr(*, profile: CertificateProfile, requester: Requester, csr: str | bytes) -> IssuanceRequest:
    """What a CSR (PEM or DER) asks of ``profile``; a refusal is audited, as the refused sign that it is.

    Raises:
        PermissionDenied, NotFound: the requester may not issue from this profile.
        CsrMalformed, CsrError: it cannot be read, or is refused before any rule is asked.
    """
    with recorded_refusals(
        event=SIGN_EVENT,
        actor=requester.actor,
        project_id=profile.project_id,
        subject_type="certificate-profile",
        subject_id=str(profile.id),
        data={"profileName": profile.slug},
    ):
        require(requester=requester, action=Action.CERTIFICATE_PROFILES_ISSUE_CERT, project_id=profile.project_id)
        return read_csr(csr)


def read_csr_to_explain(*, profile: CertificateProfile, requester: Requester, csr: str | bytes) -> IssuanceRequest:
    """As :func:`read_applicant_csr`, for a dry run: nothing is recorded."""
    require(requester=requester, action=Action.CERTIFICATE_PROFILES_ISSUE_CERT, project_id=profile.project_id)
    return read_csr(csr)


def common_name_of(request: IssuanceRequest) -> str:
    """The first common name asked, cut to what a column holds; empty without one."""
    names = (attribute.value for attribute in request.subject if attribute.type == SubjectAttribute.COMMON_NAME)
    return next(names, "")[:NAME_WIDTH]


def store_request(
    asked: Asked,
    *,
    status: RequestStatus,
    refusal: PortalError | None = None,
    decision: Decision | None = None,
) -> CertificateRequest:
    """Store what was asked in the caller's transaction; arguments as for :func:`new_request`.

    Raises:
        Conflict: the row of an approved request was settled by another process, so this transaction must not commit.
    """
    row = new_request(asked, status=status, refusal=refusal, decision=decision)
    if row._state.adding:
        row.save(force_insert=True)
    return row


def new_request(
    asked: Asked,
    *,
    status: RequestStatus,
    refusal: PortalError | None = None,
    decision: Decision | None = None,
) -> CertificateRequest:
    """A row of what was asked, for the caller to insert, with U+FFFD for what no database takes (a NUL in a CSR).

    That of an approved request is there already, and settled here, in the caller's transaction.

    ``decision`` is what a profile's rules said, if they were asked; the row points at the versions that it had then.

    Raises:
        Conflict: the row of an approved request was settled by another process, so this transaction must not commit.
    """
    profile_version, template_version = find_judging_versions(asked.profile) if asked.profile else (None, None)
    outcome = {
        "profile_version_id": profile_version,
        "template_version_id": template_version,
        "status": status,
        "error_message": storable(refusal.message) if refusal else "",
        "violations": storable_json([asdict(violation) for violation in refusal.violations] if refusal else []),
        "warnings": storable_json(list(decision.warnings) if decision and status in _CAME else []),
        "decision": None if decision is None else storable_json(_trace(asked, decision, status)),
    }
    if asked.approved is not None:
        return _settled(asked.approved.request, outcome)
    return CertificateRequest(
        project_id=asked.project_id,
        profile=asked.profile,
        profile_slug=asked.profile.slug if asked.profile else "",
        method=asked.method,
        common_name=storable(common_name_of(asked.request)),
        asked=storable_json(_document(asked.request)),
        csr=storable(asked.request.csr or ""),
        requester_kind=asked.requester.kind,
        requester_id=asked.requester.id,
        requester_name=asked.requester.name,
        metadata=storable_json(asked.metadata),
        **outcome,
    )


def _settled(row: CertificateRequest, outcome: Mapping[str, Any]) -> CertificateRequest:
    """One conditional UPDATE: of all that issue one approved request, however slow, one commits."""
    approved = CertificateRequest.objects.filter(pk=row.pk, status=RequestStatus.PENDING)
    if approved.update(**outcome, updated_at=timezone.now()) != 1:
        raise Conflict("This request was settled by another process; look at what came of it.", retry_after=1)
    row.refresh_from_db()
    return row


def request_of(row: CertificateRequest) -> IssuanceRequest:
    """What a stored request asked, as the value that was judged; warnings of its door are not kept.

    Raises:
        CsrMalformed, CsrError: its CSR is one that is no longer read.
    """
    asked: dict[str, Any] = row.asked
    constraints = asked["basic_constraints"]
    life: dict[str, Any] = {
        "ttl": timedelta(seconds=asked["ttl_seconds"]) if asked["ttl_seconds"] is not None else None,
        "not_before": datetime.fromisoformat(asked["not_before"]) if asked["not_before"] else None,
        "not_after": datetime.fromisoformat(asked["not_after"]) if asked["not_after"] else None,
        "basic_constraints": BasicConstraints(**constraints) if constraints else None,
    }
    if row.csr:
        return replace(read_csr(row.csr), **life)
    key_usages, extended = asked["key_usages"], asked["extended_key_usages"]
    return IssuanceRequest(
        subject=tuple(AttributeValue(each["type"], each["value"]) for each in asked["subject"]),
        subject_alternative_names=tuple(
            GeneralName(each["type"], each["value"]) for each in asked["subject_alternative_names"]
        ),
        key_usages=None if key_usages is None else tuple(map(KeyUsage, key_usages)),
        extended_key_usages=None
        if extended is None
        else tuple(as_word(each, ExtendedKeyUsage) or each for each in extended),
        key_algorithm=KeyAlgorithm(asked["key_algorithm"]) if asked["key_algorithm"] else None,
        signature_algorithm=SignatureAlgorithm(asked["signature_algorithm"]) if asked["signature_algorithm"] else None,
        **life,
    )


@dataclass(slots=True)
class Judgement:
    """Where the caller of :func:`failed_request_kept` leaves what the rules said, once they were asked."""

    decision: Decision | None = None


@contextmanager
def failed_request_kept(asked: Asked) -> Iterator[Judgement]:
    """If rules refuse it inside the block, store the request as failed, in its own transaction; pass the refusal on.

    Stand outside the act's ``transaction.atomic()``. Refusals without violations (permission, a missing part) leave no
    row: the request was never judged. What found no place is tried again, and so is an approved one that something
    stands in the way of, which waits.
    """
    judgement = Judgement()
    try:
        yield judgement
    except PortalError as refusal:
        is_tried_again = isinstance(refusal, Busy) or (asked.approved and isinstance(refusal, Conflict))
        if refusal.violations and not is_tried_again:
            with transaction.atomic():
                store_request(asked, status=RequestStatus.FAILED, refusal=refusal, decision=judgement.decision)
        raise


def _trace(asked: Asked, decision: Decision, status: RequestStatus) -> dict[str, Any]:
    """A decision as it is stored, with what came of the request instead of what would come of it, and who agreed."""
    agreed = {"approvals": list(asked.approved.approvals)} if asked.approved else {}
    return decision_document(decision) | {"decision": _CAME.get(status, "refused")} | agreed


def _document(request: IssuanceRequest) -> dict[str, Any]:
    """The request as JSON values in inside spelling; the CSR has a column of its own."""
    key = request.applicant_key
    return {
        "subject": [{"type": attribute.type, "value": attribute.value} for attribute in request.subject],
        "subject_alternative_names": [
            {"type": name.type, "value": name.value} for name in request.subject_alternative_names
        ],
        "key_usages": request.key_usages,
        "extended_key_usages": request.extended_key_usages,
        "key_algorithm": request.key_algorithm,
        "signature_algorithm": request.signature_algorithm,
        "ttl_seconds": request.ttl.total_seconds() if request.ttl is not None else None,
        "not_before": request.not_before.isoformat() if request.not_before else None,
        "not_after": request.not_after.isoformat() if request.not_after else None,
        "basic_constraints": asdict(request.basic_constraints) if request.basic_constraints else None,
        "applicant_key": key.description if key else None,
    }
