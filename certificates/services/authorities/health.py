"""What an operator should know of a CA before its relying parties notice."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import models

from certificates.models import AuthorityCertificate, AuthorityKey, Certificate, CertificateAuthority
from certificates.models.authority import AuthorityStatus, ChainPhase
from certificates.services.authorities.paths import versions_above
from certificates.services.blocked_keys import blocked_key_of
from certificates.services.signing import check_authority_key
from certificates.x509.keys import algorithm_of, describe, key_identifier, load_public_key
from pki_portal.errors import Unavailable

# A CA is renewed before a tenth of its life is left, and in any case a month ahead.
WARNED_PART = 0.1
WARNED_DAYS = timedelta(days=30)


class Level(StrEnum):
    """How much it hurts."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``fix`` is empty where all is well."""

    level: Level
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class KeyState:
    """One key of a CA.

    Attributes:
        identifier: subject key identifier, lower-case hex.
        role: what it does now, a word or two.
        waits: has no certificate yet.
        needed_until: when the last certificate that it signed ends; None where it signed none that lives.
    """

    key: AuthorityKey
    algorithm: str
    identifier: str
    role: str
    needed_until: datetime | None
    waits: bool


def end_finding(authority: CertificateAuthority, now: datetime) -> Finding | None:
    """How the end of the active certificate stands, or its revocation; None while there is none. No query."""
    if authority.active_certificate is not None and authority.active_certificate.revoked_at is not None:
        return Finding(
            Level.BAD,
            f"The certificate was revoked at {authority.active_certificate.revoked_at:%Y-%m-%d %H:%M} UTC: nothing that"
            " the CA signed is accepted, and it issues nothing.",
            "Give the CA a new certificate, and a new key where that was compromised.",
        )
    start, end = authority.not_before, authority.not_after
    if authority.status == AuthorityStatus.PENDING_CERTIFICATE or start is None or end is None:
        return None
    days = (end - now).days
    if end <= now:
        return Finding(Level.BAD, f"The certificate ended {-days} days ago: it signs nothing.", "Renew the CA.")
    if end - now < max((end - start) * WARNED_PART, WARNED_DAYS):
        return Finding(
            Level.WARNING, f"The certificate ends in {days} days; nothing below it can live longer.", "Renew the CA."
        )
    return Finding(Level.GOOD, f"The certificate ends in {days} days.")


def health_of(authority: CertificateAuthority, now: datetime) -> list[Finding]:
    """Certificate, keys and CRLs of a CA; unseals its keys."""
    ending = end_finding(authority, now)
    return [
        *([ending] if ending is not None else []),
        *_path_findings(authority),
        *_key_findings(authority),
        *_crl_findings(authority, now),
        *_phase_findings(authority),
    ]


def _path_findings(authority: CertificateAuthority) -> Iterator[Finding]:
    """What was revoked above the CA; one query for each CA there."""
    if authority.active_certificate is None:
        return
    for version in versions_above(authority.active_certificate)[1:]:
        if version.revoked_at is not None:
            yield Finding(
                Level.BAD,
                f"The certificate of {version.authority.name}, above this CA, was revoked: nothing below is accepted.",
                f"Give {version.authority.name} a new certificate, or renew this CA under another parent.",
            )


def _key_findings(authority: CertificateAuthority) -> Iterator[Finding]:
    keys = list(authority.keys.order_by("created_at"))
    active = authority.active_certificate.key_id if authority.active_certificate is not None else None
    broken = 0
    for key in keys:
        if key.pk == active and blocked_key_of(key) is not None:
            yield Finding(Level.BAD, "The key is compromised: it is certified never again.", "Give the CA a new key.")
        try:
            check_authority_key(key)
        except Unavailable as problem:
            broken += 1
            yield Finding(Level.BAD, problem.message, "Mend it: nothing is signed until then.")
    if not broken:
        yield Finding(Level.GOOD, "The key opens." if len(keys) == 1 else f"All {len(keys)} keys open.")


def _crl_findings(authority: CertificateAuthority, now: datetime) -> Iterator[Finding]:
    for key in authority.keys.select_related("revocation_list").order_by("created_at"):
        crl = key.revocation_list
        if crl.next_update is None:
            continue
        if crl.next_update <= now:
            yield Finding(
                Level.BAD,
                f"CRL number {crl.number} has run out: relying parties that check it refuse everything.",
                "Open its address: it is signed anew unless the key cannot be used.",
            )
        else:
            yield Finding(Level.GOOD, f"CRL number {crl.number} is good for {_span(crl.next_update - now)}.")


def _phase_findings(authority: CertificateAuthority) -> Iterator[Finding]:
    if authority.chain_phase in {ChainPhase.OLD, ChainPhase.CROSS_SIGNED}:
        yield Finding(
            Level.WARNING,
            "The CA is on its way to a new key.",
            "Hand the new root to all clients, then switch the chain.",
        )


def _span(length: timedelta) -> str:
    return f"{length.days} days" if length.days > 1 else f"{int(length.total_seconds() // 3600)} hours"


def keys_of(authority: CertificateAuthority, now: datetime) -> list[KeyState]:
    """The CA's keys, newest first; two queries for each."""
    active = authority.active_certificate.key_id if authority.active_certificate is not None else None
    return [_state_of(key, active == key.pk, now) for key in authority.keys.order_by("-created_at")]


def _state_of(key: AuthorityKey, is_active: bool, now: datetime) -> KeyState:
    public_key = load_public_key(bytes(key.subject_public_key_info))
    needed_until = _needed_until(key, now)
    waits = not key.certificates.exists()
    if is_active:
        role = "signs"
    elif waits:
        role = "waits for its certificate"
    elif needed_until is not None:
        role = "publishes its CRL"
    else:
        role = "rests"
    return KeyState(
        key=key,
        algorithm=algorithm_of(public_key) or describe(public_key),
        identifier=key_identifier(public_key).hex(),
        role=role,
        needed_until=needed_until,
        waits=waits,
    )


def _needed_until(key: AuthorityKey, now: datetime) -> datetime | None:
    """When the last certificate that the key signed ends, of end entities and of CAs."""
    ends = [
        Certificate.objects.filter(authority_certificate__key=key, not_after__gt=now),
        AuthorityCertificate.objects.filter(issuer_certificate__key=key, not_after__gt=now),
    ]
    found = [rows.aggregate(last=models.Max("not_after"))["last"] for rows in ends]
    return max((end for end in found if end is not None), default=None)
