"""Java's own keystore format (JKS, version 2), for software that reads nothing newer.

The format has no standard; it is what ``sun.security.provider.JavaKeyStore`` and ``KeyProtector`` of the OpenJDK read.
Its protection is SHA-1 without iterations: a PKCS#12 file, which every Java since 8 reads, keeps a key better.
"""

import hashlib
import os
import struct
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certificates.x509 import der
from certificates.x509.keys import PrivateKey

_MAGIC: Final = 0xFEEDFEED
_VERSION: Final = 2
_PRIVATE_KEY_ENTRY: Final = 1
_KEY_PROTECTOR: Final = "1.3.6.1.4.1.42.2.17.1.1"
_SALT_BYTES: Final = 20
# What the seal of a store is salted with, in every Java.
_SEAL_SALT: Final = b"Mighty Aphrodite"


def jks_of(
    *, private_key: PrivateKey, path: Sequence[x509.Certificate], alias: str, password: str, now: datetime
) -> bytes:
    """A keystore with one key and its path (its certificate first), under one password for both. Secret.

    Args:
        alias: Java looks it up without regard to case and writes it in lower case, so it is written so here.
        now: the time of making that stands in the entry.
    """
    secret = password.encode("utf-16-be")
    entry = struct.pack(">I", _PRIVATE_KEY_ENTRY) + _utf(alias.lower()) + struct.pack(">q", int(now.timestamp() * 1000))
    entry += _counted(_protected(private_key, secret)) + struct.pack(">I", len(path))
    for certificate in path:
        entry += _utf("X.509") + _counted(certificate.public_bytes(Encoding.DER))
    store = struct.pack(">III", _MAGIC, _VERSION, 1) + entry
    return store + _sha1(secret, _SEAL_SALT, store)


def _protected(private_key: PrivateKey, secret: bytes) -> bytes:
    """EncryptedPrivateKeyInfo (RFC 5958, 3) by Java's key protector: the key with a stream of hashes over it."""
    key = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    salt = os.urandom(_SALT_BYTES)
    stream = b"".join(_hashes(secret, salt, len(key)))
    hidden = bytes(octet ^ mask for octet, mask in zip(key, stream, strict=False))
    algorithm = der.sequence(der.object_identifier(_KEY_PROTECTOR), der.tlv(der.NULL))
    return der.sequence(algorithm, der.octet_string(salt + hidden + _sha1(secret, key)))


def _hashes(secret: bytes, salt: bytes, length: int) -> Iterator[bytes]:
    digest = salt
    for _ in range(0, length, hashlib.sha1(usedforsecurity=False).digest_size):
        digest = _sha1(secret, digest)
        yield digest


def _sha1(*parts: bytes) -> bytes:
    # The format knows no other.
    return hashlib.sha1(b"".join(parts), usedforsecurity=False).digest()


def _counted(octets: bytes) -> bytes:
    return struct.pack(">I", len(octets)) + octets


def _utf(text: str) -> bytes:
    """Java's modified UTF-8 (DataOutput.writeUTF): each half of a surrogate pair by itself."""
    units = text.encode("utf-16-be")
    halves = (units[at : at + 2].decode("utf-16-be", "surrogatepass") for at in range(0, len(units), 2))
    octets = b"".join(half.encode("utf-8", "surrogatepass") for half in halves)
    return struct.pack(">H", len(octets)) + octets
