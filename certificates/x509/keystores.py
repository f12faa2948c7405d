"""Files that other programs take: PKCS#7 (RFC 2315), PKCS#12 (RFC 7292), encrypted PKCS#8 (RFC 5958)."""

from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates
from cryptography.hazmat.primitives.serialization.pkcs12 import (
    PBES,
    PKCS12Certificate,
    serialize_java_truststore,
    serialize_key_and_certificates,
)

from certificates.x509.keys import PrivateKey
from profiles.policy.vocabulary import KeyAlgorithm

# Below what .NET (300,000) and NSS (600,000) open at most.
MODERN_ROUNDS: Final = 100_000
LEGACY_ROUNDS: Final = 2048
# Kinds that have no place in a PKCS#12 file that programs of today would open.
OUTSIDE_KEYSTORES: Final = frozenset({KeyAlgorithm.ML_DSA_44, KeyAlgorithm.ML_DSA_65, KeyAlgorithm.ML_DSA_87})


def pkcs7_of(path: Sequence[x509.Certificate]) -> bytes:
    """A certs-only SignedData in DER (``.p7b``)."""
    return serialize_certificates(list(path), Encoding.DER)


def pkcs12_of(
    *, private_key: PrivateKey, path: Sequence[x509.Certificate], alias: str, password: str, is_legacy: bool
) -> bytes:
    """A key and its path (its certificate first) under a password. Secret.

    Args:
        is_legacy: encrypt as old programs can read it (3DES and SHA-1), else by PBES2 with AES-256 and SHA-256.

    Raises:
        ValueError: a key of this kind does not go into PKCS#12 (ML-DSA).
    """
    if not isinstance(private_key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise ValueError("a key of this kind does not go into PKCS#12")
    builder = PrivateFormat.PKCS12.encryption_builder()
    if is_legacy:
        builder = builder.kdf_rounds(LEGACY_ROUNDS).key_cert_algorithm(PBES.PBESv1SHA1And3KeyTripleDESCBC)
        builder = builder.hmac_hash(hashes.SHA1())  # noqa: S303 - what is asked for
    else:
        builder = builder.kdf_rounds(MODERN_ROUNDS).key_cert_algorithm(PBES.PBESv2SHA256AndAES256CBC)
        builder = builder.hmac_hash(hashes.SHA256())
    return serialize_key_and_certificates(
        alias.encode(), private_key, path[0], list(path[1:]), builder.build(password.encode())
    )


def encrypted_pem_of(*, private_key: PrivateKey, path: Sequence[x509.Certificate], password: str) -> bytes:
    """An encrypted PKCS#8 key in PEM, and after it the path. Secret."""
    protection = BestAvailableEncryption(password.encode())
    key = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)
    return key + b"".join(each.public_bytes(Encoding.PEM) for each in path)


def truststore_of(anchor: x509.Certificate, *, alias: str, password: str) -> bytes:
    """A PKCS#12 truststore as Java reads it, with one certificate; it holds no secret."""
    protection = BestAvailableEncryption(password.encode())
    return serialize_java_truststore([PKCS12Certificate(anchor, alias.encode())], protection)
