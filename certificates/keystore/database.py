"""Private keys sealed in a column of the database."""

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import Final
from uuid import UUID

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from certificates.keystore.base import MemorySigner, Signer
from certificates.keystore.sealing import KeyRing, keyring, open_sealed, seal
from certificates.x509.keys import PrivateKey, public_key_info
from pki_portal.errors import Unavailable
from pki_portal.metrics import KEY_CACHE, count

CACHED_KEYS: Final = 64
CACHED_SECONDS: Final = 600.0


def seal_private_key(key: PrivateKey, *, key_id: UUID) -> bytes:
    """PKCS#8 DER of the key, sealed for the row ``key_id``."""
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return seal(der, _associated_data(key_id))


def open_private_key(*, key_id: UUID, sealed: bytes) -> PrivateKey:
    """The key sealed for that row; not cached, for keys that are opened once.

    Raises:
        Unavailable: the master key is missing or another one, or the row was altered.
    """
    return _key_in(key_id, sealed, _associated_data(key_id))


def seal_subject_key(key: PrivateKey, *, secret_id: UUID) -> bytes:
    """A certificate's private key in PKCS#8 DER, sealed for the row ``secret_id``.

    Other associated data than a CA's key has: a CA's sealed key copied into such a row opens for nobody.
    """
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return seal(der, _subject_key_data(secret_id))


def open_subject_key(*, secret_id: UUID, sealed: bytes, public_key_spki: bytes) -> PrivateKey:
    """The key of the certificate with that SubjectPublicKeyInfo (DER), sealed for that row; not cached.

    Raises:
        Unavailable: the master key is missing or another one, the row was altered, or belongs to another certificate.
    """
    key = _key_in(secret_id, sealed, _subject_key_data(secret_id))
    if public_key_info(key.public_key()) != public_key_spki:
        raise Unavailable(
            f"The sealed key {secret_id} does not belong to its certificate. Restore both rows from one backup."
        )
    return key


def _key_in(key_id: UUID, sealed: bytes, associated_data: bytes) -> PrivateKey:
    der = open_sealed(sealed, associated_data)
    try:
        # Not proven prime again (43-258 ms for RSA): these bytes were sealed here and have just been authenticated.
        key = load_der_private_key(der, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Unavailable(f"The sealed secret {key_id} is not a private key.") from None
    if not isinstance(key, PrivateKey):
        raise Unavailable(f"The sealed secret {key_id} is a key of a kind that signs nothing here.")
    return key


def load_signer(*, key_id: UUID, sealed: bytes, public_key_spki: bytes) -> Signer:
    """The signer of a CA, cached in this process for ten minutes; safe between threads.

    What is cached counts only for these sealed bytes under the master keys as they stand now: a row that was replaced
    is opened again at once, and with a master key that is gone nothing signs, cached or not.

    Args:
        public_key_spki: DER of the SubjectPublicKeyInfo in the CA's certificate.

    Raises:
        Unavailable: the key does not open, or is not the one of the CA's certificate. Nothing was signed.
    """
    ring = keyring()
    if (signer := _signers.get(ring, key_id, sealed)) is None:
        signer = MemorySigner(open_private_key(key_id=key_id, sealed=sealed))
        _signers.put(keyring(), key_id, sealed, signer)
        count(KEY_CACHE, result="miss")
    else:
        count(KEY_CACHE, result="hit")
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


def _subject_key_data(secret_id: UUID) -> bytes:
    return f"certificate-private-key:{secret_id}".encode("ascii")


@dataclass(frozen=True, slots=True)
class _Opened:
    """A decrypted key, the sealed bytes that it came from, and the end of its stay in memory."""

    sealed: bytes = field(repr=False)
    signer: MemorySigner
    expires: float


class _Signers:
    """Decrypted signers by row, bounded in number and age; the least recently used goes first.

    All of them go when the key ring is another one.
    """

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._ring: KeyRing | None = None
        self._entries: OrderedDict[UUID, _Opened] = OrderedDict()
        self._lock = Lock()

    def get(self, ring: KeyRing, key_id: UUID, sealed: bytes) -> MemorySigner | None:
        with self._lock:
            self._drop_stale(ring)
            found = self._entries.get(key_id)
            if found is None or found.sealed != sealed:
                return None
            self._entries.move_to_end(key_id)
            return found.signer

    def put(self, ring: KeyRing, key_id: UUID, sealed: bytes, signer: MemorySigner) -> None:
        with self._lock:
            self._drop_stale(ring)
            self._entries[key_id] = _Opened(sealed, signer, time.monotonic() + self._seconds)
            self._entries.move_to_end(key_id)
            while len(self._entries) > self._limit:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def _drop_stale(self, ring: KeyRing) -> None:
        """Every expired entry, not only the one asked for: a key that nobody uses must not stay in memory."""
        if ring is not self._ring:
            self._entries.clear()
            self._ring = ring
        now = time.monotonic()
        for key_id in [key_id for key_id, opened in self._entries.items() if opened.expires <= now]:
            del self._entries[key_id]


_signers: Final = _Signers(CACHED_KEYS, CACHED_SECONDS)
