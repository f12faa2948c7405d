"""CAs: their keys, the versions of their certificates, and what is signed for other CAs."""

from certificates.services.authorities.changes import delete_authority, deletion_violations, update_authority
from certificates.services.authorities.elsewhere import (
    SignedIntermediate,
    authority_csr,
    import_authority_certificate,
    sign_intermediate,
)
from certificates.services.authorities.health import end_finding, health_of, keys_of
from certificates.services.authorities.importing import KeyFile, import_authority
from certificates.services.authorities.lookup import (
    authorities_of,
    authority_certificates_of,
    current_certificate_of,
    find_authority,
    find_authority_certificate,
    published_authority_certificate,
    revocation_lists_of,
)
from certificates.services.authorities.making import create_intermediate, create_root
from certificates.services.authorities.paths import certification_path_of, chain_below, chain_of
from certificates.services.authorities.rekeying import Rekeyed, rekey_authority
from certificates.services.authorities.revoking import RevokedVersion, revoke_authority_certificate
from certificates.services.authorities.rules import AuthoritySubject, name_of
from certificates.services.authorities.versions import issue_authority_certificate, renew_authority

__all__ = [
    "AuthoritySubject",
    "KeyFile",
    "Rekeyed",
    "RevokedVersion",
    "SignedIntermediate",
    "authorities_of",
    "authority_certificates_of",
    "authority_csr",
    "certification_path_of",
    "chain_below",
    "chain_of",
    "create_intermediate",
    "create_root",
    "current_certificate_of",
    "delete_authority",
    "deletion_violations",
    "end_finding",
    "find_authority",
    "find_authority_certificate",
    "health_of",
    "import_authority",
    "import_authority_certificate",
    "issue_authority_certificate",
    "keys_of",
    "name_of",
    "published_authority_certificate",
    "rekey_authority",
    "renew_authority",
    "revocation_lists_of",
    "revoke_authority_certificate",
    "sign_intermediate",
    "update_authority",
]
