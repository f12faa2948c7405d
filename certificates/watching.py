"""Which changes of CAs, and of what stands in the way of issuing, change the stamp of the rules."""

from certificates.models import (
    ApprovalPolicy,
    AuthorityCertificate,
    AuthorityKey,
    BlockedKey,
    CertificateAuthority,
    CertificateRevocationList,
    OcspResponder,
    RevocationListShard,
)
from pki_portal.access.remembering import Scope
from pki_portal.access.stamp_triggers import watch


def watch_all() -> None:
    """Of lists only where new certificates point: what is on them changes all the time, and nothing here reads it."""
    always = (CertificateAuthority, AuthorityKey, AuthorityCertificate, ApprovalPolicy, BlockedKey, OcspResponder)
    for model in (*always, ApprovalPolicy.profiles.through):
        watch(Scope.RULES, model)
    watch(Scope.RULES, CertificateRevocationList, fields=("shard_generation",))
    watch(Scope.RULES, RevocationListShard, fields=("revocation_list", "generation"))
