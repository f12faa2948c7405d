"""CA keys: made, sealed, and lent to whoever signs."""

from pathlib import Path
from uuid import uuid4

from django.conf import settings

from certificates.keystore.base import Signer
from certificates.keystore.database import load_signer, seal_private_key
from certificates.keystore.sealing import forget_keyring, keyring, new_master_key_text
from certificates.models import AuthorityCertificate, AuthorityKey, CertificateAuthority
from certificates.x509.keys import PrivateKey, public_key_info
from pki_portal.state import read_or_create_secret


def signer_of(authority_certificate: AuthorityCertificate) -> Signer:
    """The key behind one version of a CA's certificate. Raises Unavailable where it cannot be unsealed."""
    return signer_of_key(authority_certificate.key)


def signer_of_key(key: AuthorityKey) -> Signer:
    """A CA's key, unsealed once per process. Raises Unavailable."""
    return load_signer(
        key_id=key.id,
        sealed=bytes(key.sealed_private_key),
        public_key_spki=bytes(key.subject_public_key_info),
    )


def store_authority_key(*, authority: CertificateAuthority, private_key: PrivateKey) -> AuthorityKey:
    """Store a new key of a CA, sealed to the id of its row, in the caller's transaction. Raises Unavailable."""
    key_id = uuid4()
    return AuthorityKey.objects.create(
        id=key_id,
        authority=authority,
        subject_public_key_info=public_key_info(private_key.public_key()),
        sealed_private_key=seal_private_key(private_key, key_id=key_id),
    )


def is_master_key_configured() -> bool:
    """Whether there is a text of master keys at all, well-formed or not; reads no key."""
    return bool(settings.PKI_PORTAL_MASTER_KEYS) or _master_key_file().is_file()


def check_master_key() -> None:
    """Return if the configured master keys can be used. Raises Unavailable, saying what is wrong with them."""
    keyring()


def make_master_key_if_none() -> Path | None:
    """Make a master key file (mode 0600) where nothing is configured; the path of a new one, else None.

    Of several processes at once one makes it and all use it. Raises OSError.
    """
    if is_master_key_configured():
        return None
    path = _master_key_file()
    read_or_create_secret(path, new_master_key_text)
    forget_keyring()
    return path


def _master_key_file() -> Path:
    return Path(settings.PKI_PORTAL_MASTER_KEYS_FILE)
