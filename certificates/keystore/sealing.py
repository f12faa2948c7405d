"""Envelope encryption of secrets at rest: a data key for each secret, wrapped by a master key.

A sealed secret is bytes::

    version (1) | length of key id (1) | key id | nonce (12) | wrapped data key (48) | nonce (12) | ciphertext and tag

Both steps are AES-256-GCM. The wrapping authenticates version and key id; the ciphertext authenticates version and the
caller's associated data, the identity of the row, so that a secret copied to another row does not open.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from pki_portal.errors import Unavailable

VERSION: Final = b"\x01"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
WRAPPED_BYTES: Final = KEY_BYTES + 16
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_FORM: Final = "name:base64 of 32 bytes, several separated by commas, the one that seals first (k2:...,k1:...)"
_UNKNOWN_FORM: Final = "A sealed secret has an unknown form or was cut off. Restore the row from a backup."


class MasterKeysInvalid(Unavailable):
    """The configured master keys cannot be read; the text names no part of any key."""


class MasterKeyUnknown(Unavailable):
    """A sealed secret names a master key that is not configured."""


class SealBroken(Unavailable):
    """A sealed secret that does not open: altered, moved to another row, or sealed by another key of the same name."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Master keys by name: the first seals, all open."""

    sealing_key_id: str
    _keys: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Keys from ``k2:<base64>,k1:<base64>``.

        Raises:
            MasterKeysInvalid: with what is wrong and how it should be.
        """
        keys: dict[str, bytes] = {}
        for position, entry in enumerate(text.strip().split(","), start=1):
            key_id, separator, encoded = entry.strip().partition(":")
            if not separator or not _KEY_ID.fullmatch(key_id):
                raise MasterKeysInvalid(f"Master key {position} has no valid name. Expected {_FORM}.")
            if key_id in keys:
                raise MasterKeysInvalid(f"Two master keys are named {key_id}. Give each its own name.")
            keys[key_id] = _decode_key(key_id, encoded)
        return cls(sealing_key_id=next(iter(keys)), _keys=keys)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Names of the master keys, the one that seals first."""
        return tuple(self._keys)

    def seal(self, plaintext: bytes, associated_data: bytes) -> bytes:
        """Encrypt; it opens only with the same ``associated_data``."""
        data_key = AESGCM.generate_key(bit_length=8 * KEY_BYTES)
        nonce = secrets.token_bytes(NONCE_BYTES)
        ciphertext = AESGCM(data_key).encrypt(nonce, plaintext, VERSION + associated_data)
        return self._wrap(data_key) + nonce + ciphertext

    def rewrap(self, sealed: bytes) -> bytes:
        """The same secret with its data key wrapped by the first master key; the secret itself is not decrypted.

        Raises:
            MasterKeyUnknown, SealBroken: its data key does not open.
        """
        data_key, rest = self._unwrap(sealed)
        return self._wrap(data_key) + rest

    def open_sealed(self, sealed: bytes, associated_data: bytes) -> bytes:
        """Decrypt what ``seal`` made.

        Raises:
            MasterKeyUnknown: the master key that it names is not configured.
            SealBroken: it was altered, belongs to another row, or the configured key of that name is another one.
        """
        data_key, rest = self._unwrap(sealed)
        try:
            return AESGCM(data_key).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], VERSION + associated_data)
        except InvalidTag:
            raise SealBroken(
                "A sealed secret was altered or belongs to another row of the database. Restore the row from a backup."
            ) from None

    def _wrap(self, data_key: bytes) -> bytes:
        header = header_of(self.sealing_key_id)
        nonce = secrets.token_bytes(NONCE_BYTES)
        return header + nonce + AESGCM(self._keys[self.sealing_key_id]).encrypt(nonce, data_key, header)

    def _unwrap(self, sealed: bytes) -> tuple[bytes, bytes]:
        """The data key; and nonce and ciphertext of the secret."""
        header, body = _split_header(sealed)
        key_id = key_id_of(sealed)
        if key_id not in self._keys:
            raise MasterKeyUnknown(
                f"A secret is sealed with the master key {key_id}, which is not configured. "
                "Add it to PKI_PORTAL_MASTER_KEYS and restart, or to the file of PKI_PORTAL_MASTER_KEYS_FILE."
            )
        nonce, rest = body[:NONCE_BYTES], body[NONCE_BYTES:]
        wrapped, rest = rest[:WRAPPED_BYTES], rest[WRAPPED_BYTES:]
        try:
            return AESGCM(self._keys[key_id]).decrypt(nonce, wrapped, header), rest
        except InvalidTag:
            raise SealBroken(
                f"A secret does not open with the configured master key {key_id}: it was sealed with another key of "
                "that name, or was altered. Configure the key that was in use when it was sealed, or restore the row."
            ) from None


def header_of(key_id: str) -> bytes:
    """How every secret begins whose data key is wrapped by that master key."""
    return VERSION + bytes([len(key_id)]) + key_id.encode("ascii")


def key_id_of(sealed: bytes) -> str:
    """Name of the master key in a sealed secret, or in the beginning of one. Raises SealBroken."""
    end = 2 + sealed[1] if sealed[:1] == VERSION and len(sealed) > 1 else 0
    if not end or len(sealed) < end:
        raise SealBroken(_UNKNOWN_FORM)
    return sealed[2:end].decode("ascii", errors="replace")


def _decode_key(key_id: str, encoded: str) -> bytes:
    try:
        key = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise MasterKeysInvalid(f"The master key {key_id} is not base64. Expected {_FORM}.") from None
    if len(key) != KEY_BYTES:
        raise MasterKeysInvalid(
            f"The master key {key_id} has {len(key)} bytes instead of {KEY_BYTES}. Expected {_FORM}."
        )
    return key


def _split_header(sealed: bytes) -> tuple[bytes, bytes]:
    """Version and key id; and what follows them."""
    least = 2 + NONCE_BYTES + WRAPPED_BYTES + NONCE_BYTES + 16
    if sealed[:1] != VERSION or len(sealed) < least or len(sealed) < least + sealed[1]:
        raise SealBroken(_UNKNOWN_FORM)
    end = 2 + sealed[1]
    return sealed[:end], sealed[end:]


def with_new_master_key(text: str) -> str:
    """The same master keys with a new one before them, named by the next free number (``k3:...,k2:...,k1:...``).

    Raises:
        MasterKeysInvalid: the text is none of master keys.
    """
    ring = KeyRing.from_text(text)
    taken = {int(found[1]) for key_id in ring.key_ids if (found := re.fullmatch(r"k(\d{1,9})", key_id))}
    return f"{new_master_key_text(f'k{max(taken, default=0) + 1}')},{text.strip()}"


def new_master_key_text(key_id: str = "k1") -> str:
    """A new master key in the form of the configuration. Secret."""
    return f"{key_id}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode('ascii')}"


def keyring() -> KeyRing:
    """The configured master keys as they stand now; the same object as long as they are the same.

    A file is read again when it changed: what ``manage.py rotate_master_key`` or an administrator writes counts from
    the next use in every process. The environment of a process does not change: there a new text means a restart.

    Raises:
        MasterKeysInvalid: none are configured, or they cannot be read.
    """
    text: str = settings.PKI_PORTAL_MASTER_KEYS
    return _rings.of_text(text) if text.strip() else _rings.of_file(Path(settings.PKI_PORTAL_MASTER_KEYS_FILE))


def forget_keyring() -> None:
    """Read the configuration again at the next use."""
    _rings.forget()


def seal(plaintext: bytes, associated_data: bytes) -> bytes:
    """Encrypt under the first master key; it opens only with the same ``associated_data``. Raises Unavailable."""
    return keyring().seal(plaintext, associated_data)


def open_sealed(sealed: bytes, associated_data: bytes) -> bytes:
    """Decrypt what ``seal`` made, here or in another process.

    Raises:
        Unavailable: the master key is missing or another one, or the secret was altered or is another row's.
    """
    try:
        return keyring().open_sealed(sealed, associated_data)
    except MasterKeyUnknown:
        forget_keyring()  # another process may have sealed it under a key that has just been made
        return keyring().open_sealed(sealed, associated_data)


class _Rings:
    """The one key ring of this process, and what it was read from."""

    def __init__(self) -> None:
        self._read: tuple[object, KeyRing] | None = None

    def of_text(self, text: str) -> KeyRing:
        read = self._read
        if read is None or read[0] != text:
            self._read = read = text, KeyRing.from_text(text)
        return read[1]

    def of_file(self, path: Path) -> KeyRing:
        try:
            seen = path.stat()
            # A new file under the old name has another inode; one that was written in place has other times.
            stamp = (path, seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
            read = self._read
            if read is None or read[0] != stamp:
                self._read = read = stamp, KeyRing.from_text(path.read_text(encoding="ascii"))
        except (OSError, UnicodeDecodeError) as error:
            raise MasterKeysInvalid(
                f"No master key: PKI_PORTAL_MASTER_KEYS is empty and {path} cannot be read ({type(error).__name__}). "
                "Run manage.py quickstart, or set one of PKI_PORTAL_MASTER_KEYS and PKI_PORTAL_MASTER_KEYS_FILE."
            ) from None
        return read[1]

    def forget(self) -> None:
        self._read = None


_rings: Final = _Rings()
