"""Renewing certificates: by call, on the page, and by the worker; and when the worker shall do it."""

from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from cryptography import x509
from django.db import transaction
from django.utils import timezone

from certificates.models import Certificate
from certificates.models.certificate import CertificateStatus, KeySource
from certificates.services.idempotency import IdempotencyKey
from certificates.services.incidents import keep_pulled_forward
from certificates.services.issuance import BatchItem, IssuedCertificate, issue_certificate
from certificates.services.kept_keys import SealedKey, copy_kept_key
from certificates.services.requests import Asked, request_of
from certificates.services.succession import (
    Succession,
    granted_by,
    plan_auto_renewal,
    refuse_any,
    state_violations,
    successor_id,
)
from certificates.x509.csr import applicant_key_of, read_csr
from pki_portal.access.permissions import Action, require
from pki_portal.access.requester import Requester
from pki_portal.audit.services import record, recorded_refusals
from pki_portal.errors import Forbidden, Invalid, NotFound, PortalError, Violation
from pki_portal.storable import storable
from profiles.enrollment import EnrollmentMethod
from profiles.models import CertificateProfile
from profiles.policy.renewal import DAY, RenewalChanges, changed, renewal_request, schedule_renewal
from profiles.policy.request import IssuanceRequest
from profiles.policy.rules import ProfileDefaults
from profiles.services import profile_by_id

RENEW_EVENT: Final = "renew-certificate"
AUTOMATED_EVENT: Final = "automated-renew-certificate"
CONFIGURE_EVENT: Final = "update-certificate-renewal-config"
DISABLE_EVENT: Final = "disable-certificate-renewal-config"
ERROR_LIMIT: Final = 4_000
# What a request may say beside a CSR, which says the rest itself.
_BESIDE_A_CSR: Final = frozenset({"ttl", "not_before", "not_after", "basic_constraints"})


class RenewalKeySource(StrEnum):
    """Whose key the successor certifies."""

    NEW = "new"
    REUSE = "reuse"
    CSR = "csr"


def renew_certificate(
    *,
    certificate: Certificate,
    requester: Requester,
    key_source: RenewalKeySource = RenewalKeySource.NEW,
    csr: str | bytes | None = None,
    changes: RenewalChanges | None = None,
    idempotency: IdempotencyKey | None = None,
    event: str = RENEW_EVENT,
) -> IssuedCertificate:
    """Issue the successor of a certificate: what was asked for it, with ``changes``, judged by today's rules.

    The life is the old one's to the second. A key that the portal makes is not returned: it waits, sealed, for its one
    claim (``kept_keys``), or is kept where the profile says escrow. The old certificate stays valid.

    Args:
        csr: PEM or DER; with key source CSR, and only then.

    Raises:
        PermissionDenied, NotFound: the requester may not issue from the profile.
        Forbidden: there is no profile to renew by, it enrolls by another method, or the key is the applicant's and
            neither it nor a CSR was named.
        Invalid: the certificate can have no successor, or rules refuse it; the certificate keeps the reasons.
        Conflict, Unavailable: as :func:`issue_certificate`; asking again can help.
    """
    changes = changes or RenewalChanges()
    with _recorded(event, requester, certificate):
        require(requester=requester, action=Action.CERTIFICATE_PROFILES_ISSUE_CERT, project_id=certificate.project_id)
        profile = profile_to_renew_by(certificate)
        _require_key_source(certificate, key_source)
        # What cannot be asked says nothing of the certificate, so it is not kept there.
        refuse_any(_form_violations(certificate, key_source=key_source, csr=csr, changes=changes))
        try:
            request, filling = renewal_of(certificate, key_source=key_source, csr=csr, changes=changes)
            return issue_certificate(
                profile=profile,
                request=request,
                requester=requester,
                metadata=certificate.metadata,
                idempotency=idempotency,
                succession=Succession(
                    predecessor=certificate,
                    filling=filling,
                    key_source=KeySource.APPLICANT
                    if key_source is RenewalKeySource.CSR
                    else KeySource(certificate.key_source),
                    event=event,
                    kept_key=_kept_key(certificate, key_source),
                ),
            )
        except Invalid as refusal:
            # What somebody asked for beside it says nothing of the renewal to come.
            if changes == RenewalChanges() and key_source is RenewalKeySource.NEW:
                keep_error(certificate, refusal)
            raise


def renewal_item(certificate: Certificate, *, requester: Requester, event: str) -> BatchItem:
    """The plain renewal of a certificate with a new key, as one request among many; it was just read as one without a
    successor.

    Raises:
        Forbidden, Invalid: as :func:`renew_certificate`, before anything is judged; nothing is recorded.
    """
    profile = profile_to_renew_by(certificate)
    _require_key_source(certificate, RenewalKeySource.NEW)
    request, filling = renewal_of(certificate)
    asked = Asked(
        profile=profile,
        request=request,
        requester=requester,
        method=EnrollmentMethod.API,
        metadata=certificate.metadata,
    )
    succession = Succession(
        predecessor=certificate,
        filling=filling,
        key_source=KeySource(certificate.key_source),
        event=event,
        is_from_head=True,
    )
    return BatchItem(asked, succession=succession)


def renewal_of(
    certificate: Certificate,
    *,
    key_source: RenewalKeySource = RenewalKeySource.NEW,
    csr: str | bytes | None = None,
    changes: RenewalChanges | None = None,
) -> tuple[IssuanceRequest, ProfileDefaults]:
    """What a renewal asks for, and what fills it where it is silent.

    Names and usages are those of the original *request*, not what came of it; a CSR says its own.

    Raises:
        CsrMalformed, CsrError: a CSR cannot be read, or is one that is no longer read.
    """
    life = certificate.not_after - certificate.not_before
    filling = granted_by(certificate)
    original = read_csr(csr) if csr is not None else request_of(certificate.issuing_request)
    if key_source is RenewalKeySource.REUSE and original.applicant_key is None:
        key = x509.load_der_x509_certificate(bytes(certificate.der)).public_key()
        original = replace(original, applicant_key=applicant_key_of(key), key_algorithm=None)
    return changed(renewal_request(original, life=life), filling, changes or RenewalChanges())


def configure_renewal(*, certificate: Certificate, requester: Requester, renew_before_days: int | None) -> Certificate:
    """Have the certificate renew by itself so many days before its end, or not at all (None); its successors likewise.

    Raises:
        PermissionDenied, NotFound: the requester may not change certificates.
        Invalid: it has no profile, has or can have no successor, or its life is too short for that.
        Forbidden: its profile enrolls by another method, or the portal did not make its key.
    """
    event = DISABLE_EVENT if renew_before_days is None else CONFIGURE_EVENT
    with _recorded(event, requester, certificate):
        require(requester=requester, action=Action.CERTIFICATES_EDIT, project_id=certificate.project_id)
        if certificate.profile is None:
            refuse_any([_no_profile(certificate)])
        profile_to_renew_by(certificate)
        if renew_before_days is not None:
            _require_key_source(certificate, RenewalKeySource.NEW)
        with transaction.atomic():
            locked = Certificate.objects.select_for_update(of=("self",)).filter(pk=certificate.pk).first()
            if locked is None:
                raise NotFound("There is no certificate with this id.")
            if renew_before_days is None:
                locked.renew_before_days = locked.renew_at = None
            else:
                now = timezone.now()
                refuse_any([*state_violations(locked, now=now), *_time_violations(locked, renew_before_days, now=now)])
                schedule = schedule_renewal(
                    not_before=locked.not_before, not_after=locked.not_after, threshold_days=renew_before_days
                )
                locked.renew_before_days, locked.renew_at = renew_before_days, schedule.renew_at
            locked.has_own_renewal = True
            locked.renewal_error = ""
            locked.save(
                update_fields=["renew_before_days", "renew_at", "has_own_renewal", "renewal_error", "updated_at"]
            )
            plan_auto_renewal(locked)
            keep_pulled_forward(locked)
            record(
                event=event,
                actor=requester.actor,
                project_id=locked.project_id,
                subject_type="certificate",
                subject_id=str(locked.pk),
                data={"serialNumber": locked.serial_number, "renewBeforeDays": renew_before_days},
            )
    return locked


def keep_error(certificate: Certificate, refusal: PortalError) -> None:
    """Keep every reason on the certificate, unless it was renewed or deleted meanwhile: then nothing failed."""
    with transaction.atomic():
        # Whoever renews it now holds this lock: its successor is seen here, or it takes back what is written here.
        locked = Certificate.objects.select_for_update(of=("self",)).only("status").filter(pk=certificate.pk).first()
        if locked is not None and locked.status == CertificateStatus.ACTIVE and successor_id(locked.pk) is None:
            Certificate.objects.filter(pk=locked.pk).update(renewal_error=storable(refusal.message)[:ERROR_LIMIT])


def profile_to_renew_by(certificate: Certificate) -> CertificateProfile:
    """The certificate's profile with its template, as they are now.

    Raises Forbidden: there is none any more, or it enrolls by another method; and Invalid for what was imported.
    """
    if certificate.is_imported:
        refuse_any([_no_profile(certificate)])
    profile = profile_by_id(certificate.profile_id) if certificate.profile_id else None
    if profile is None:
        raise Forbidden(
            "No profile stands behind this certificate, so no rules say how to renew it.",
            violations=[_no_profile(certificate)],
        )
    if profile.enrollment_method != EnrollmentMethod.API:
        raise Forbidden(
            f"Profile {profile.slug!r} enrolls by {profile.enrollment_method!r}; only what a profile of type "
            f"{EnrollmentMethod.API.value!r} issued is renewed here."
        )
    return profile


def _no_profile(certificate: Certificate) -> Violation:
    if certificate.is_imported:
        return Violation(
            field="certificate",
            code="imported",
            rule="a certificate is renewed by the CA that issued it",
            asked=f"{certificate}, which was imported",
            allowed="a certificate that was issued here",
            fix="Have its own CA renew it and import the result, or issue a new one from a profile here.",
        )
    return Violation(
        field="certificate",
        code="no_profile",
        rule="a certificate is renewed by the profile that it was issued from",
        asked=str(certificate),
        allowed="a certificate that was issued from a profile which is still there",
        fix="Issue a new certificate from a profile.",
    )


def _require_key_source(certificate: Certificate, key_source: RenewalKeySource) -> None:
    """Raises Forbidden where a new key was asked for and the portal has never made this certificate's."""
    if key_source is RenewalKeySource.NEW and certificate.key_source == KeySource.APPLICANT:
        raise Forbidden(
            "The key of this certificate is the applicant's: it was signed from a CSR.",
            violations=[
                Violation(
                    field="key_source",
                    code="applicant_key",
                    rule="who makes the key",
                    asked="a new key made by the portal",
                    allowed=f"{RenewalKeySource.REUSE} or {RenewalKeySource.CSR}",
                    fix="Renew by call with the renewalKeySource reuse, or csr and a CSR with a new key.",
                )
            ],
        )


def _form_violations(
    certificate: Certificate, *, key_source: RenewalKeySource, csr: str | bytes | None, changes: RenewalChanges
) -> list[Violation]:
    """What does not go together in what was asked."""
    found = []
    if (key_source is RenewalKeySource.CSR) != (csr is not None):
        found.append(
            Violation(
                field="csr",
                code="csr_with_key_source",
                rule="a CSR goes with the key source csr, and only with that",
                asked=f"key source {key_source}, {'a' if csr is not None else 'no'} CSR",
                allowed="key source csr with a CSR, or another one without",
                fix="Leave the CSR out." if csr is not None else "Send the CSR.",
            )
        )
    is_said_by_csr = csr is not None or bool(certificate.issuing_request.csr)
    overruled = sorted([*changes.subject, *(set(changes.fields) - _BESIDE_A_CSR)])
    if is_said_by_csr and overruled:
        found.append(
            Violation(
                field="attributes",
                code="said_by_csr",
                rule="a CSR says its names, usages and algorithms itself",
                asked=", ".join(overruled),
                allowed="ttl, notBefore, notAfter and basicConstraints",
                fix="Leave them out, or renew with a CSR that says them.",
            )
        )
    if certificate.authority_id is None and key_source is not RenewalKeySource.NEW:
        found.append(
            Violation(
                field="key_source",
                code="self_signed",
                rule="a self-signed certificate is signed by its own key, which is not kept",
                asked=str(key_source),
                allowed=RenewalKeySource.NEW,
                fix="Renew with a new key.",
            )
        )
    return found


def _time_violations(certificate: Certificate, days: int, *, now: datetime) -> list[Violation]:
    """Why it cannot renew so many days before its end. A life under two days renews after two thirds of it."""
    life = certificate.not_after - certificate.not_before
    if days >= life.days and not (days == 1 and life < 2 * DAY):
        return [
            Violation(
                field="renew_before_days",
                code="longer_than_life",
                rule="a renewal is due within the life of the certificate",
                asked=f"{days} days before the end of a life of {life.days} days",
                allowed=f"1 to {max(life.days - 1, 1)}",
                fix=f"Ask for {max(life.days - 1, 1)} or less.",
            )
        ]
    schedule = schedule_renewal(not_before=certificate.not_before, not_after=certificate.not_after, threshold_days=days)
    if schedule.renew_at > now:
        return []
    left = (certificate.not_after - now).days
    fix = f"Ask for {min(left, 30)} or less, or renew it now." if left else "Renew it now."
    return [
        Violation(
            field="renew_before_days",
            code="renewal_in_the_past",
            rule="a renewal is due in the future",
            asked=f"{days} days before the end, which was {schedule.renew_at:%Y-%m-%d %H:%M} UTC",
            allowed=f"less than the {left} days that are left",
            fix=fix,
        )
    ]


def _kept_key(certificate: Certificate, key_source: RenewalKeySource) -> SealedKey | None:
    return copy_kept_key(certificate) if key_source is RenewalKeySource.REUSE else None


def _recorded(event: str, requester: Requester, certificate: Certificate) -> AbstractContextManager[None]:
    return recorded_refusals(
        event=event,
        actor=requester.actor,
        project_id=certificate.project_id,
        subject_type="certificate",
        subject_id=str(certificate.pk),
        data={"serialNumber": certificate.serial_number},
    )
