from certificates.models.approval import Approval, ApprovalMail, ApprovalPolicy, ApprovalRequest
from certificates.models.authority import AuthorityCertificate, AuthorityKey, CertificateAuthority
from certificates.models.certificate import Certificate, IdempotencyRecord
from certificates.models.incident import AffectedCertificate, Incident
from certificates.models.renewal import AutoRenewal
from certificates.models.request import CertificateRequest
from certificates.models.revocation import (
    BlockedKey,
    CertificateRevocationList,
    DeltaRevocationList,
    OcspResponder,
    OcspResponse,
    RevocationEntry,
    RevocationListShard,
    RevocationSegment,
)
from certificates.models.secret import CertificateSecret
from certificates.models.tally import Tally

__all__ = [
    "AffectedCertificate",
    "Approval",
    "ApprovalMail",
    "ApprovalPolicy",
    "ApprovalRequest",
    "AuthorityCertificate",
    "AuthorityKey",
    "AutoRenewal",
    "BlockedKey",
    "Certificate",
    "CertificateAuthority",
    "CertificateRequest",
    "CertificateRevocationList",
    "CertificateSecret",
    "DeltaRevocationList",
    "IdempotencyRecord",
    "Incident",
    "OcspResponder",
    "OcspResponse",
    "RevocationEntry",
    "RevocationListShard",
    "RevocationSegment",
    "Tally",
]
