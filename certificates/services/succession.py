"""A certificate that takes another's place: what fills its request, and how the two are linked on the one road."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from cryptography import x509

from certificates.models import AutoRenewal, Certificate
from certificates.models.certificate import CertificateStatus, KeySource, RevocationReason
from certificates.services.kept_keys import SealedKey
from certificates.x509.names import read_subject
from pki_portal.access.remembering import Scope, remembered
from pki_portal.errors import Invalid, NotFound, Violation
from profiles.models import ApiEnrollment
from profiles.policy.plan import IssuancePlan
from profiles.policy.renewal import RenewalSchedule, renewal_window, schedule_renewal
from profiles.policy.rules import ProfileDefaults, Source
from profiles.policy.vocabulary import ExtendedKeyUsage, KeyAlgorithm, KeyUsage, as_word

_RULE = "state of the certificate that is renewed"


@dataclass(frozen=True, slots=True)
class Succession:
    """What the road must know beside the request when the new certificate takes the place of another.

    Attributes:
        filling: fills what the request leaves open, in the place of the profile's defaults.
        key_source: of the new certificate; one with the same key keeps where that came from.
        event: what the audit calls it.
        kept_key: the predecessor's key, sealed for the successor, where that has the same one and it is kept.
        is_from_head: the predecessor was just read as one without a successor; the transaction looks again in any case.
    """

    predecessor: Certificate
    filling: ProfileDefaults
    key_source: KeySource
    event: str
    kept_key: SealedKey | None = field(default=None, repr=False)
    is_from_head: bool = False


def granted_by(certificate: Certificate) -> ProfileDefaults:
    """What a stored certificate says, to fill its renewal in the place of the profile's defaults."""
    return ProfileDefaults(
        # A column holds several values of one attribute as one text, so the subject is read from the certificate.
        subject=read_subject(x509.load_der_x509_certificate(bytes(certificate.der)).subject),
        key_usages=tuple(map(KeyUsage, certificate.key_usages)),
        extended_key_usages=tuple(as_word(each, ExtendedKeyUsage) or each for each in certificate.extended_key_usages),
        key_algorithm=as_word(certificate.key_algorithm, KeyAlgorithm),
        source=Source.PREDECESSOR,
    )


def repeats_predecessor(plan: IssuancePlan, certificate: Certificate) -> bool:
    """Whether a planned successor says nothing that its predecessor does not, for no longer, and has the same key or
    once more one that the portal makes: what was agreed to once need not be agreed to again.
    """
    key = plan.subject_public_key_info
    is_same_key = key is not None and hashlib.sha256(key).hexdigest() == certificate.public_key_sha256
    names = [{"type": str(name.type), "value": name.value} for name in plan.subject_alternative_names]
    subject = read_subject(x509.load_der_x509_certificate(bytes(certificate.der)).subject)
    return (
        (is_same_key or (key is None and certificate.key_source == KeySource.PORTAL))
        and plan.subject == subject
        and all(name in certificate.subject_alternative_names for name in names)
        and {str(usage) for usage in plan.key_usages} <= set(certificate.key_usages)
        and {str(usage) for usage in plan.extended_key_usages} == set(certificate.extended_key_usages)
        and plan.basic_constraints.is_ca == certificate.is_ca
        and plan.basic_constraints.path_length == certificate.path_length
        and plan.not_after - plan.not_before <= certificate.not_after - certificate.not_before
    )


def lock_predecessors(successions: Sequence[Succession], *, now: datetime) -> None:
    """Lock the predecessors in the caller's transaction and make sure that all still may be renewed.

    Whoever comes second waits here and then finds the successor of the first. They are locked in the order of their
    ids, and rows that only point at them are not kept waiting, so that nobody waits in a circle. Raises Invalid, or
    NotFound where one was deleted.
    """
    ids = [each.predecessor.pk for each in successions]
    if not ids:
        return
    locked = Certificate.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=ids).order_by("pk")
    rows = {row.pk: row for row in locked.defer("der", "lint_findings", "metadata")}
    renewed = dict(Certificate.objects.filter(renewed_from__in=ids).order_by().values_list("renewed_from", "pk"))
    for each in successions:
        row = rows.get(each.predecessor.pk)
        if row is None:
            raise NotFound("The certificate was deleted while its renewal was made; none was issued.")
        refuse_any(_state_violations(row, renewed.get(row.pk), now=now))
        each.predecessor.has_own_renewal = row.has_own_renewal
        each.predecessor.renew_before_days = row.renew_before_days


def link_predecessors(successions: Sequence[Succession]) -> None:
    """Leave nothing to renew, and no old failure to show, in the transaction that stores the successors."""
    ids = [each.predecessor.pk for each in successions]
    if ids:
        Certificate.objects.filter(pk__in=ids).exclude(renewal_error="").update(renewal_error="")
        AutoRenewal.objects.filter(pk__in=ids).update(due_at=None)


def state_violations(certificate: Certificate, *, now: datetime) -> list[Violation]:
    """Why a certificate can have no successor now: it has one, or is revoked or past its end. One query."""
    return _state_violations(certificate, successor_id(certificate.pk), now=now)


def succession_violations(succession: Succession, *, now: datetime) -> list[Violation]:
    """The same of the predecessor of a succession; no query where it is known to be a head."""
    predecessor = succession.predecessor
    successor = None if succession.is_from_head else successor_id(predecessor.pk)
    return _state_violations(predecessor, successor, now=now)


def _state_violations(certificate: Certificate, successor: UUID | None, *, now: datetime) -> list[Violation]:
    found = []
    name = str(certificate)
    if certificate.status == CertificateStatus.REVOKED:
        on_hold = certificate.revocation_reason == RevocationReason.CERTIFICATE_HOLD
        found.append(
            Violation(
                field="certificate",
                code="on_hold" if on_hold else "revoked",
                rule=_RULE,
                asked=f"{name}, {'on hold' if on_hold else 'revoked'} at {certificate.revoked_at:%Y-%m-%d %H:%M} UTC",
                allowed="a certificate that is not revoked",
                fix="Release it first, then renew it." if on_hold else "Issue a new certificate instead.",
            )
        )
    if certificate.not_after <= now:
        found.append(
            Violation(
                field="certificate",
                code="expired",
                rule=_RULE,
                asked=f"{name}, ended {certificate.not_after:%Y-%m-%d %H:%M} UTC",
                allowed="a certificate that has not ended",
                fix="Issue a new certificate instead.",
            )
        )
    if successor is not None:
        found.append(
            Violation(
                field="certificate",
                code="already_renewed",
                rule="one successor for each certificate",
                asked=f"another successor of {name}",
                allowed=f"its successor {successor}",
                fix=f"Use or renew certificate {successor}.",
            )
        )
    return found


def refuse_any(violations: list[Violation]) -> None:
    """Raise Invalid with all of them, if there are any."""
    if violations:
        told = "; ".join(f"{each.asked}: {each.fix}" for each in violations)
        raise Invalid(f"The certificate cannot be renewed. {told}", violations=violations)


def successor_id(certificate_id: UUID) -> UUID | None:
    """The certificate that took this one's place, if one did."""
    return Certificate.objects.filter(renewed_from=certificate_id).order_by().values_list("pk", flat=True).first()


def renewal_of_profile(
    profile_id: UUID, *, not_before: datetime, not_after: datetime, predecessor: Certificate | None = None
) -> RenewalSchedule | None:
    """When a new certificate renews by itself: as its profile says, or as was said of its predecessor by hand."""
    if predecessor is not None and predecessor.has_own_renewal:
        days = predecessor.renew_before_days
    else:
        days = _days_of_profile(profile_id)
    if not days:
        return None
    return schedule_renewal(not_before=not_before, not_after=not_after, threshold_days=days)


@remembered(Scope.RULES)
def _days_of_profile(profile_id: UUID) -> int:
    """How many days before their end its certificates renew by themselves; 0 where they do not."""
    settings = ApiEnrollment.objects.filter(profile=profile_id, auto_renew=True)
    return settings.order_by().values_list("renew_before_days", flat=True).first() or 0


def plan_auto_renewal(certificate: Certificate) -> None:
    """Have the worker renew it when it is due, or not at all, as its columns say; in the caller's transaction."""
    if certificate.renew_at is None:
        AutoRenewal.objects.filter(pk=certificate.pk).update(due_at=None)
        return
    AutoRenewal.objects.update_or_create(
        certificate=certificate,
        defaults={
            "due_at": spread(certificate.renew_at, not_after=certificate.not_after),
            "attempts": 0,
            "gave_up_at": None,
            # What was rehearsed was another day.
            "rehearsed_at": None,
            "rehearsal_error": "",
            "rehearsal_violations": [],
        },
    )


def new_auto_renewal(certificate: Certificate) -> AutoRenewal:
    """The row by which the worker renews a new certificate that has a ``renew_at``, for the caller to insert."""
    assert certificate.renew_at is not None  # noqa: S101 - for the type checker
    return AutoRenewal(certificate=certificate, due_at=spread(certificate.renew_at, not_after=certificate.not_after))


def spread(renew_at: datetime, *, not_after: datetime) -> datetime:
    """A moment in the renewal window by chance."""
    window = renewal_window(renew_at, not_after=not_after)
    return window.start + (window.end - window.start) * random.random()  # noqa: S311 - spreads load, guards nothing
