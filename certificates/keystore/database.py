"""Private keys sealed in a column of the database."""

import time
from collections import OrderedDict
from threading import Lock
from typing import Final
from uuid import UUID

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from certificates.keystore.base import MemorySigner, Signer
from certificates.keystore.sealing import keyring
from certificates.x509.keys import PrivateKey, public_key_info
from pki_portal.errors import Unavailable

CACHED_KEYS: Final = 64
CACHED_SECONDS: Final = 600.0


def seal_private_key(key: PrivateKey, *, key_id: UUID) -> bytes:
    """PKCS#8 DER of the key, sealed for the row ``key_id``."""
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return keyring().seal(der, _associated_data(key_id))


def open_private_key(*, key_id: UUID, sealed: bytes) -> PrivateKey:
    """The key sealed for that row; not cached, for keys that are opened once.

    Raises:
        Unavailable: the master key is missing or another one, or the row was altered.
    """
    der = keyring().open_sealed(sealed, _associated_data(key_id))
    try:
        # Not proven prime again (43-258 ms for RSA): these bytes were sealed here and have just been authenticated.
        key = load_der_private_key(der, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Unavailable(f"The sealed secret {key_id} is not a private key.") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise Unavailable(f"The sealed secret {key_id} is a key of a kind that signs nothing here.")
    return key


def load_signer(*, key_id: UUID, sealed: bytes, public_key_spki: bytes) -> Signer:
    """The signer of a CA, cached in this process for ten minutes; safe between threads.

    Args:
        public_key_spki: DER of the SubjectPublicKeyInfo in the CA's certificate.

    Raises:
        Unavailable: the key does not open, or is not the one of the CA's certificate. Nothing was signed.
    """
    if (signer := _signers.get((key_id, sealed))) is None:
        signer = MemorySigner(open_private_key(key_id=key_id, sealed=sealed))
        _signers.put((key_id, sealed), signer)
    if public_key_info(signer.public_key()) != public_key_spki:
        raise Unavailable(
            f"The sealed key {key_id} does not belong to the certificate of its CA. Restore both rows from one backup."
        )
    return signer


def forget_keys() -> None:
    """Drop every decrypted key from this process."""
    _signers.clear()


def _associated_data(key_id: UUID) -> bytes:
    return f"private-key:{key_id}".encode("ascii")


class _Signers:
    """Decrypted signers by row and sealed bytes, bounded in number and age; the least recently used goes first."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._entries: OrderedDict[tuple[UUID, bytes], tuple[float, MemorySigner]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: tuple[UUID, bytes]) -> MemorySigner | None:
        with self._lock:
            self._drop_expired()
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][1]

    def put(self, key: tuple[UUID, bytes], signer: MemorySigner) -> None:
        with self._lock:
            self._entries[key] = (time.monotonic() + self._seconds, signer)
            self._entries.move_to_end(key)
            while len(self._entries) > self._limit:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def _drop_expired(self) -> None:
        """Every expired entry, not only the one asked for: a key that nobody uses must not stay in memory."""
        now = time.monotonic()
        for key in [key for key, (expires, _) in self._entries.items() if expires <= now]:
            del self._entries[key]


_signers: Final = _Signers(CACHED_KEYS, CACHED_SECONDS)
