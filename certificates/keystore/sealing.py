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
from functools import cache
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


class MasterKeysInvalid(Unavailable):
    """The configured master keys cannot be read; the text names no part of any key."""


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

    def seal(self, plaintext: bytes, associated_data: bytes) -> bytes:
        """Encrypt; it opens only with the same ``associated_data``."""
        header = VERSION + bytes([len(self.sealing_key_id)]) + self.sealing_key_id.encode("ascii")
        data_key = AESGCM.generate_key(bit_length=8 * KEY_BYTES)
        wrap_nonce = secrets.token_bytes(NONCE_BYTES)
        wrapped = AESGCM(self._keys[self.sealing_key_id]).encrypt(wrap_nonce, data_key, header)
        nonce = secrets.token_bytes(NONCE_BYTES)
        ciphertext = AESGCM(data_key).encrypt(nonce, plaintext, VERSION + associated_data)
        return header + wrap_nonce + wrapped + nonce + ciphertext

    def open_sealed(self, sealed: bytes, associated_data: bytes) -> bytes:
        """Decrypt what ``seal`` made.

        Raises:
            Unavailable: the master key that it names is not configured.
            SealBroken: it was altered, belongs to another row, or the configured key of that name is another one.
        """
        header, body = _split_header(sealed)
        key_id = header[2:].decode("ascii", errors="replace")
        if key_id not in self._keys:
            raise Unavailable(
                f"A secret is sealed with the master key {key_id}, which is not configured. "
                "Add it to PKI_PORTAL_MASTER_KEYS (or the file of PKI_PORTAL_MASTER_KEYS_FILE) and restart."
            )
        wrap_nonce, rest = body[:NONCE_BYTES], body[NONCE_BYTES:]
        wrapped, rest = rest[:WRAPPED_BYTES], rest[WRAPPED_BYTES:]
        try:
            data_key = AESGCM(self._keys[key_id]).decrypt(wrap_nonce, wrapped, header)
        except InvalidTag:
            raise SealBroken(
                f"A secret does not open with the configured master key {key_id}: it was sealed with another key of "
                "that name, or was altered. Configure the key that was in use when it was sealed, or restore the row."
            ) from None
        try:
            return AESGCM(data_key).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], VERSION + associated_data)
        except InvalidTag:
            raise SealBroken(
                "A sealed secret was altered or belongs to another row of the database. Restore the row from a backup."
            ) from None


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
        raise SealBroken("A sealed secret has an unknown form or was cut off. Restore the row from a backup.")
    end = 2 + sealed[1]
    return sealed[:end], sealed[end:]


def new_master_key_text(key_id: str = "k1") -> str:
    """A new master key in the form of the configuration. Secret."""
    return f"{key_id}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode('ascii')}"


@cache
def keyring() -> KeyRing:
    """The configured master keys, read once per process.

    Raises:
        Unavailable: none are configured, or they cannot be read; nothing is remembered then.
    """
    text: str = settings.PKI_PORTAL_MASTER_KEYS
    return KeyRing.from_text(text if text.strip() else _text_of_file())


def _text_of_file() -> str:
    path = Path(settings.PKI_PORTAL_MASTER_KEYS_FILE)
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise MasterKeysInvalid(
            f"No master key: PKI_PORTAL_MASTER_KEYS is empty and {path} cannot be read ({type(error).__name__}). "
            "Run manage.py quickstart, or set one of PKI_PORTAL_MASTER_KEYS and PKI_PORTAL_MASTER_KEYS_FILE."
        ) from None


def forget_keyring() -> None:
    """Read the configuration again at the next use."""
    keyring.cache_clear()
