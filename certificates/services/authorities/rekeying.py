"""A new key for a CA: RFC 4210, 4.4 for roots, whose old and new keys certify each other so that nobody is cut off."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from certificates.models import AuthorityCertificate, AuthorityKey, CertificateAuthority
from certificates.models.authority import AuthorityKind, AuthorityStatus, ChainPhase, KeyStore
from certificates.services.authorities.acts import lock_with_parent, record_act, recorded, refuse_any
from certificates.services.authorities.elsewhere import csr_of_key
from certificates.services.authorities.rules import (
    attributes_of,
    facts_of_version,
    reissue_violations,
    state_violation,
    validity_of,
    without_certificate,
)
from certificates.services.authorities.versions import (
    install,
    newest_key,
    publish_first_crl,
    sign_authority_certificate,
    sign_version,
    store_version,
    version_facts,
)
from certificates.services.crl import create_revocation_list
from certificates.services.signing import (
    destroyed_on_failure,
    key_store_violations,
    make_private_key,
    signer_of,
    store_authority_key,
)
from certificates.x509.keys import PrivateKey, algorithm_of, load_public_key
from pki_portal.access.permissions import Action, require
from pki_portal.access.requester import Requester
from pki_portal.errors import Violation
from profiles.policy.authority import decide_authority
from profiles.policy.judges.lifetime import Validity
from profiles.policy.name_constraints import constraints_of
from profiles.policy.vocabulary import KeyAlgorithm


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """What came of a re-key: the new key's certificate, or a CSR (PEM) for it where the parent is elsewhere."""

    certificate: AuthorityCertificate | None
    csr: str = ""


def rekey_authority(
    *,
    requester: Requester,
    authority: CertificateAuthority,
    not_after: datetime,
    key_algorithm: KeyAlgorithm | None = None,
) -> Rekeyed:
    """Give a CA a new key under its old name; the old key stays for the CRL of what it signed.

    A root begins in the phase ``old``: the new root certificate can be handed to those who trust the old one, both keys
    have certified each other, and nothing else changes until it is switched. An intermediate under a parent of
    ours signs with the new key at once, for who trusts the parent trusts it; one whose parent is elsewhere goes on with
    the old key until a certificate for the new one is imported.

    Args:
        key_algorithm: None means that of the present key.

    Raises:
        PermissionDenied, NotFound: the requester may not do so.
        Invalid: with every violation.
        Unavailable: a key cannot be used.
    """
    now = timezone.now()
    validity = validity_of(not_before=None, not_after=not_after, default_years=0, now=now)
    with recorded("rekey-ca", requester, authority.project_id, authority):
        require(
            requester=requester,
            action=Action.CERTIFICATE_AUTHORITIES_ISSUE_CA_CERTIFICATE,
            project_id=authority.project_id,
        )
        # Judged before the key is made, which takes long, and again with the CA locked.
        key_store, algorithm = KeyStore(authority.key_store), key_algorithm or KeyAlgorithm(authority.key_algorithm)
        refuse_any(
            (
                *_rekey_violations(authority, authority.parent, validity=validity, now=now),
                *key_store_violations(key_store, algorithm),
            )
        )
        private_key = make_private_key(algorithm, key_store=key_store, authority_name=authority.name)
        with transaction.atomic(), destroyed_on_failure(private_key):
            locked, parent = lock_with_parent(authority, None)
            refuse_any(_rekey_violations(locked, parent, validity=validity, now=now))
            rekeyed = _rekey(locked, parent, private_key, validity=validity, now=now)
            facts = version_facts(rekeyed.certificate) if rekeyed.certificate is not None else {}
            record_act("rekey-ca", requester, locked, data={"keyAlgorithm": algorithm, **facts})
    authority.refresh_from_db()
    return rekeyed


def _rekey_violations(
    authority: CertificateAuthority, parent: CertificateAuthority | None, *, validity: Validity, now: datetime
) -> Iterator[Violation]:
    active = authority.active_certificate
    if active is None:
        yield without_certificate(authority)
        return
    if authority.chain_phase not in {"", ChainPhase.NEW}:
        yield state_violation(
            authority,
            "rekey_under_way",
            f"is on its way to another key already (phase {authority.chain_phase})",
            "Switch it to the new root first.",
        )
    if not newest_key(authority).certificates.exists():
        yield state_violation(
            authority,
            "rekey_waits",
            "has a new key already that waits for its certificate",
            "Have the CSR of the CA signed, and import the certificate.",
        )
    found = reissue_violations(authority, parent, validity=validity, max_path_length=active.path_length, now=now)
    # An intermediate whose parent is elsewhere gets a CSR instead of a certificate.
    yield from (each for each in found if each.code != "parent_missing")


def _rekey(
    authority: CertificateAuthority,
    parent: CertificateAuthority | None,
    private_key: PrivateKey,
    *,
    validity: Validity,
    now: datetime,
) -> Rekeyed:
    old = authority.active_certificate
    assert old is not None  # noqa: S101 - for the type checker: judged above
    key = store_authority_key(authority=authority, private_key=private_key)
    create_revocation_list(key)
    if authority.kind == AuthorityKind.INTERMEDIATE and parent is None:
        return Rekeyed(certificate=None, csr=csr_of_key(authority, key))
    new = sign_version(authority, key, parent=parent, validity=validity, max_path_length=old.path_length, now=now)
    if authority.kind == AuthorityKind.INTERMEDIATE:
        install(authority, new, parent=parent, now=now)
        return Rekeyed(certificate=new)
    crossing = Validity(not_before=new.not_before, not_after=min(old.not_after, new.not_after))
    _cross_sign(authority, key, issuer=old, validity=crossing, now=now)
    _cross_sign(authority, old.key, issuer=new, validity=crossing, now=now)
    publish_first_crl(key, now=now)
    authority.chain_phase = ChainPhase.OLD
    authority.save(update_fields=["chain_phase", "updated_at"])
    return Rekeyed(certificate=new)


def _cross_sign(
    authority: CertificateAuthority,
    key: AuthorityKey,
    *,
    issuer: AuthorityCertificate,
    validity: Validity,
    now: datetime,
) -> AuthorityCertificate:
    """Let one key of a root certify another of it, as long as both roots live."""
    public_key = load_public_key(bytes(key.subject_public_key_info))
    facts = facts_of_version(authority, issuer)
    plan = decide_authority(
        subject=attributes_of(authority),
        validity=validity,
        path_length=issuer.path_length,
        issuer=facts,
        key_name=algorithm_of(public_key) or authority.key_algorithm,
        now=now,
        name_constraints=constraints_of(authority.name_constraints),
        encoded_subject=bytes(authority.encoded_subject) if authority.encoded_subject is not None else None,
        is_self_issued=True,
    )
    signed = sign_authority_certificate(plan=plan, issuer=issuer, public_key=public_key, signer=signer_of(issuer))
    return store_version(authority=authority, key=key, issuer=issuer, certificate=signed.certificate)


def switch_violations(authority: CertificateAuthority, phase: ChainPhase, now: datetime) -> Iterator[Violation]:
    """What stands against the switch of a root's chain to that phase."""
    if not authority.chain_phase:
        yield _phase_violation(authority, phase, "no phase: it has one key", "Give the CA a new key first.")
        return
    signing = _root_of(authority, phase)
    for each in {signing, _root_of(authority, ChainPhase.NEW if phase is ChainPhase.NEW else ChainPhase.OLD)}:
        if each.not_after <= now:
            yield _phase_violation(
                authority, phase, f"a phase whose roots have not ended ({each} has)", "Choose the phase new."
            )


def _phase_violation(authority: CertificateAuthority, phase: ChainPhase, allowed: str, fix: str) -> Violation:
    return Violation(
        field="chain_phase",
        code="phase_not_possible",
        rule=f"CA {authority.name}",
        asked=phase.value,
        allowed=allowed,
        fix=fix,
    )


def switch_chain(authority: CertificateAuthority, phase: ChainPhase, now: datetime) -> None:
    """Let another key of a root sign, and another chain be handed out, in the caller's transaction.

    ``old``: the old key signs, under the old root. ``cross-signed``: the new key signs; each certificate goes with the
    certificate by which those who trust the other root find it. ``new``: the new key signs, under the new root; what
    the old key signed goes with the old key as the new one certified it.
    """
    status = authority.status
    install(authority, _root_of(authority, phase), parent=None, now=now)
    authority.status = AuthorityStatus(status)
    authority.chain_phase = phase
    authority.save(update_fields=["status", "chain_phase", "updated_at"])


def _root_of(authority: CertificateAuthority, phase: ChainPhase) -> AuthorityCertificate:
    """The newest self-signed certificate of the key that signs in that phase."""
    newest, previous = authority.keys.order_by("-created_at")[:2]
    key = previous if phase is ChainPhase.OLD else newest
    rows = AuthorityCertificate.objects.select_related("key__revocation_list")
    return rows.filter(key=key, issuer_certificate__isnull=True).latest("version")
