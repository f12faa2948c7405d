"""Renaming, disabling, enabling and deleting CAs."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, models, transaction
from django.utils import timezone

from certificates.models import (
    CertificateAuthority,
    RevocationEntry,
)
from certificates.models.authority import AuthorityStatus, ChainPhase
from certificates.services.authorities.acts import lock, name_taken_told, record_act, recorded, refuse_any
from certificates.services.authorities.rekeying import switch_chain, switch_violations
from certificates.services.authorities.rules import (
    crl_url_violations,
    is_cut_off,
    name_taken,
    name_violations,
    normalised_urls,
)
from certificates.services.journal import authority_deleted
from certificates.services.signing import destroy_token_keys
from pki_portal.access.permissions import Action, require
from pki_portal.access.requester import Requester
from pki_portal.errors import Conflict, Violation


def update_authority(
    *,
    requester: Requester,
    authority: CertificateAuthority,
    name: str | None = None,
    status: AuthorityStatus | None = None,
    crl_distribution_point_urls: Sequence[str] | None = None,
    chain_phase: ChainPhase | None = None,
    is_ocsp_enabled: bool | None = None,
) -> CertificateAuthority:
    """Rename, disable or enable a CA or its OCSP, name mirrors of its CRL, or switch a root's chain; None leaves as it
    is.

    A disabled CA signs no certificates, but its CRL and OCSP go on. Mirrors and the OCSP responder are in what is
    signed from then on; once OCSP is disabled, whoever asks is told ``unauthorized``.

    Raises:
        PermissionDenied, NotFound: the requester may not edit the CA.
        Invalid: with every violation.
    """
    now = timezone.now()
    urls = None if crl_distribution_point_urls is None else list(normalised_urls(crl_distribution_point_urls))
    with recorded("update-ca", requester, authority.project_id, authority):
        require(requester=requester, action=Action.CERTIFICATE_AUTHORITIES_EDIT, project_id=authority.project_id)
        with name_taken_told(authority.project, name or ""), transaction.atomic():
            locked = lock(authority.pk)
            phase = chain_phase if chain_phase is not None and chain_phase != locked.chain_phase else None
            refuse_any(
                (
                    *_update_violations(locked, name=name, status=status),
                    *crl_url_violations(urls or ()),
                    *(switch_violations(locked, phase, now) if phase is not None else ()),
                )
            )
            wanted: dict[str, Any] = {
                "name": name,
                "status": status,
                "crl_distribution_point_urls": urls,
                "is_ocsp_enabled": is_ocsp_enabled,
            }
            changed = {
                field: value for field, value in wanted.items() if value is not None and value != getattr(locked, field)
            }
            if changed:
                for field, value in changed.items():
                    setattr(locked, field, value)
                locked.save(update_fields=[*changed, "updated_at"])
            if phase is not None:
                switch_chain(locked, phase, now)
                changed["chain_phase"] = phase
            if changed:
                record_act("update-ca", requester, locked, data={field: str(value) for field, value in changed.items()})
    authority.refresh_from_db()
    return authority


def _update_violations(
    authority: CertificateAuthority, *, name: str | None, status: AuthorityStatus | None
) -> Iterator[Violation]:
    if name is not None and name != authority.name:
        yield from name_violations(name)
        if CertificateAuthority.objects.filter(project_id=authority.project_id, name=name).exists():
            yield name_taken(name)
    if status is None or status == authority.status:
        return
    if status == AuthorityStatus.ACTIVE and is_cut_off(authority):
        yield _status_violation(
            authority,
            status,
            "disabled: its certificate was revoked, or its key is compromised",
            "Give the CA a new certificate, where the key is compromised with a new key; that enables it.",
        )
    elif status == AuthorityStatus.PENDING_CERTIFICATE:
        yield _status_violation(authority, status, "active or disabled", "Disable the CA instead.")
    elif authority.active_certificate_id is None:
        yield _status_violation(
            authority, status, "pending-certificate, until it has a certificate", "Install a certificate first."
        )


def _status_violation(authority: CertificateAuthority, asked: str, allowed: str, fix: str) -> Violation:
    return Violation(
        field="status",
        code="status_not_possible",
        rule=f"CA {authority.name} is {authority.status}",
        asked=asked,
        allowed=allowed,
        fix=fix,
    )


def delete_authority(*, requester: Requester, authority: CertificateAuthority) -> None:
    """Delete a CA that nothing depends on, with its key, its certificates and its CRL.

    Raises:
        PermissionDenied, NotFound: the requester may not delete the CA.
        Invalid: certificates, CAs or profiles depend on it; each kind is a violation.
        Conflict: something came to depend on it meanwhile.
    """
    with recorded("delete-ca", requester, authority.project_id, authority):
        require(requester=requester, action=Action.CERTIFICATE_AUTHORITIES_DELETE, project_id=authority.project_id)
        try:
            with transaction.atomic():
                locked = lock(authority.pk)
                refuse_any(deletion_violations(locked, now=timezone.now()))
                record_act("delete-ca", requester, locked, data={})
                authority_deleted(locked)
                keys = list(locked.keys.all())
                _delete(locked)
                transaction.on_commit(lambda: destroy_token_keys(keys))
        except (IntegrityError, models.ProtectedError) as problem:
            raise Conflict(f"CA {authority.name} came into use meanwhile and was not deleted.") from problem


def _delete(authority: CertificateAuthority) -> None:
    """In the order that the protecting references need."""
    authority.active_certificate = None
    authority.status = AuthorityStatus.PENDING_CERTIFICATE
    authority.save(update_fields=["active_certificate", "status"])
    # Those that are left are of certificates that have ended, or are of its own.
    RevocationEntry.objects.filter(revocation_list__key__authority=authority).delete()
    authority.certificates.filter(issuer_certificate__authority=authority).delete()
    authority.certificates.all().delete()
    authority.keys.all().delete()
    authority.delete()


def deletion_violations(authority: CertificateAuthority, *, now: datetime) -> Iterator[Violation]:
    """What depends on the CA, each kind one violation with its fix; five queries."""
    # By relation, not by import: profiles name their CA by a string.
    profiles = sorted(authority.certificate_profiles.values_list("slug", flat=True)[:10])
    children = sorted(
        {
            *authority.children.values_list("name", flat=True)[:10],
            *CertificateAuthority.objects.filter(certificates__issuer_certificate__authority=authority)
            .exclude(pk=authority.pk)
            .values_list("name", flat=True)[:10],
        }
    )
    issued = authority.issued_certificates.count()
    # Of certificates that were deleted since, and of CAs that were.
    others = RevocationEntry.objects.filter(revocation_list__key__authority=authority, not_after__gt=now)
    revoked = others.filter(certificate__isnull=True).exclude(authority_certificate__authority=authority).count()
    for code, users, fix in (
        ("in_use_by_profiles", ", ".join(profiles), "Delete these profiles first."),
        ("in_use_by_authorities", ", ".join(children), "Delete these CAs first, or renew them under another parent."),
        (
            "has_issued_certificates",
            f"{issued} certificates" if issued else "",
            "Disable the CA instead: what it signed needs its CRL.",
        ),
        (
            "has_revocations",
            f"{revoked} revocations of certificates that have not ended" if revoked else "",
            "Disable the CA instead: relying parties need its CRL until these end.",
        ),
    ):
        if users:
            yield Violation(
                field="authority",
                code=code,
                rule="a CA is deleted only while nothing depends on it",
                asked=f"delete {authority.name}, used by {users}",
                allowed="an unused CA",
                fix=fix,
            )
