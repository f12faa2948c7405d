"""Revoking a CA's own certificate: the CA that signed it lists it, and the CA itself signs nothing any more."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from certificates.models import (
    AuthorityCertificate,
    CertificateAuthority,
    CertificateRevocationList,
    RevocationEntry,
    RevocationListShard,
)
from certificates.models.authority import AuthorityKind, AuthorityStatus
from certificates.models.certificate import RevocationReason
from certificates.services import journal
from certificates.services.authorities.acts import lock, record_act, recorded, refuse_any
from certificates.services.authorities.versions import version_facts
from certificates.services.blocked_keys import digest_of_authority_key, lock_keys
from certificates.services.crl import shards_by_url
from certificates.services.revocation_entries import (
    block_keys,
    complete_lists,
    count_changes,
    fill,
    invalidity_date_violations,
    is_compromise,
    lists_with,
    next_revision,
    publish_lists,
    shard_of,
)
from pki_portal.access.permissions import Action, require
from pki_portal.access.requester import Requester
from pki_portal.errors import NotFound, Violation

REVOKE_EVENT = "revoke-ca-cert"


@dataclass(frozen=True, slots=True)
class RevokedVersion:
    """A CA's certificate that was revoked.

    Attributes:
        siblings: other versions for the same key that have not ended, where that is compromised; they are to be revoked
            too, those of other issuers by these.
    """

    certificate: AuthorityCertificate
    revoked_at: datetime
    siblings: tuple[AuthorityCertificate, ...] = ()


def revoke_authority_certificate(
    *,
    requester: Requester,
    certificate: AuthorityCertificate,
    reason: RevocationReason,
    invalidity_date: datetime | None = None,
) -> RevokedVersion:
    """Revoke one version of a CA's certificate that another CA of ours signed; this cannot be taken back.

    When this returns, the revocation, its CRL entry and the audit event are committed, the issuer's CRL that says so is
    published, and OCSP tells of it. A CA whose active certificate it is, or whose key is compromised, is disabled until
    it has another certificate; its CRL and OCSP go on. A compromised key is certified never again.

    Raises:
        PermissionDenied, NotFound: the requester may not issue CA certificates, and so not revoke them.
        Invalid: with every violation: none of our CAs signed it, it was revoked already, it is to be put on hold.
        Unavailable: it IS revoked, but the CRL could not be signed; the message says so.
    """
    now = timezone.now()
    authority = certificate.authority
    with recorded(REVOKE_EVENT, requester, authority.project_id, authority):
        require(
            requester=requester,
            action=Action.CERTIFICATE_AUTHORITIES_ISSUE_CA_CERTIFICATE,
            project_id=authority.project_id,
        )
        with transaction.atomic():
            locked = lock(authority.pk)
            version = locked.certificates.select_related("issuer_certificate", "key").filter(pk=certificate.pk).first()
            if version is None:
                raise NotFound("The CA has no certificate with this id.")
            refuse_any(_violations(locked, version, reason=reason, invalidity_date=invalidity_date, now=now))
            entry = _revoke(version, requester=requester, reason=reason, invalidity_date=invalidity_date, now=now)
            if is_compromise(reason, is_ca=True):
                block_keys({digest_of_authority_key(version.key): version.serial_number}, now=entry.revoked_at)
            _stop(locked, version, reason)
            record_act(REVOKE_EVENT, requester, locked, data={**version_facts(version), "reason": reason.name})
    publish_lists(
        lists_with(entry), now=now, done=f"The certificate {version.serial_number} of CA {authority.name} is revoked"
    )
    return RevokedVersion(
        certificate=version,
        revoked_at=entry.revoked_at,
        siblings=_siblings(version, now) if is_compromise(reason, is_ca=True) else (),
    )


def _revoke(
    version: AuthorityCertificate,
    *,
    requester: Requester,
    reason: RevocationReason,
    invalidity_date: datetime | None,
    now: datetime,
) -> RevocationEntry:
    """Column and entry, in the caller's transaction; it is judged to have an issuer of ours."""
    revocation_list = _locked_list(version)
    if is_compromise(reason, is_ca=True):
        lock_keys([digest_of_authority_key(version.key)])
    version.revoked_at = now.replace(microsecond=0)
    version.save(update_fields=["revoked_at"])
    entry = RevocationEntry(
        authority_certificate=version,
        revocation_list=revocation_list,
        serial_number=version.serial_number,
        not_after=version.not_after,
        shard=shard_of(bytes(version.der), shards_by_url(revocation_list)),
    )
    fill(
        entry,
        requester=requester,
        revoked_at=version.revoked_at,
        reason=reason,
        invalidity_date=invalidity_date,
        revision=next_revision(revocation_list),
    )
    entry.save(force_insert=True)
    if entry.shard is not None:
        count_changes(RevocationListShard.objects.filter(pk=entry.shard.pk))
    journal.revoked(revocation_list, [entry], requester=requester)
    return entry


def _locked_list(version: AuthorityCertificate) -> CertificateRevocationList:
    """The complete list of the key that signed it, with that key and its CA."""
    lists = complete_lists().select_related("key__authority").select_for_update(of=("self",), no_key=True)
    return lists.get(key__certificates=version.issuer_certificate_id)


def _stop(authority: CertificateAuthority, version: AuthorityCertificate, reason: RevocationReason) -> None:
    """Let the CA issue nothing where its signatures count for nothing now, in the caller's transaction."""
    active = authority.active_certificate
    if active is None or authority.status != AuthorityStatus.ACTIVE:
        return
    if active.pk == version.pk or (is_compromise(reason, is_ca=True) and active.key_id == version.key_id):
        authority.status = AuthorityStatus.DISABLED
        authority.save(update_fields=["status", "updated_at"])


def _siblings(version: AuthorityCertificate, now: datetime) -> tuple[AuthorityCertificate, ...]:
    others = AuthorityCertificate.objects.filter(key=version.key_id, revoked_at__isnull=True, not_after__gt=now)
    return tuple(others.order_by("version"))


def _violations(
    authority: CertificateAuthority,
    version: AuthorityCertificate,
    *,
    reason: RevocationReason,
    invalidity_date: datetime | None,
    now: datetime,
) -> Iterator[Violation]:
    if version.issuer_certificate_id is None:
        is_root = authority.kind == AuthorityKind.ROOT
        yield Violation(
            field="certificate_id",
            code="without_issuer",
            rule="a CA revokes what it issued",
            asked=f"revoke {version.serial_number}",
            allowed="certificates that a CA of the project signed",
            fix="Take it out of the trust stores that hold it, and disable the CA."
            if is_root
            else "Have the CA that signed it revoke it, and disable this one.",
        )
    entry = RevocationEntry.objects.filter(authority_certificate=version).first()
    if entry is not None:
        yield Violation(
            field="certificate_id",
            code="already_revoked",
            rule="a certificate is revoked once",
            asked=f"revoke {version.serial_number}",
            allowed=f"revoked since {entry.revoked_at:%Y-%m-%d %H:%M:%S} UTC by {entry.actor_name}, reason"
            f" {RevocationReason(entry.reason).name}",
            fix="Nothing is left to do.",
        )
    if reason == RevocationReason.CERTIFICATE_HOLD:
        yield Violation(
            field="reason",
            code="hold_not_for_authorities",
            rule="certificates of CAs are revoked for good",
            asked=reason.name,
            allowed="every other reason",
            fix="Disable the CA, which can be taken back, or choose another reason.",
        )
    yield from invalidity_date_violations(invalidity_date, now=now)
