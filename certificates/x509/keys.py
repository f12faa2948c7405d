"""Keys: make, write, name and judge them."""

import math
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificatePublicKeyTypes,
    PublicKeyTypes,
)
from cryptography.x509 import SubjectKeyIdentifier

from certificates.x509.rsa_keys import PUBLIC_EXPONENT, generate_rsa
from profiles.policy.judges import algorithms
from profiles.policy.vocabulary import KeyAlgorithm, KeyFamily, SignatureAlgorithm, key_family

PrivateKey: TypeAlias = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | mldsa.MLDSA44PrivateKey
    | mldsa.MLDSA65PrivateKey
    | mldsa.MLDSA87PrivateKey
)
PublicKey: TypeAlias = (
    rsa.RSAPublicKey
    | ec.EllipticCurvePublicKey
    | ed25519.Ed25519PublicKey
    | mldsa.MLDSA44PublicKey
    | mldsa.MLDSA65PublicKey
    | mldsa.MLDSA87PublicKey
)

MIN_RSA_BITS: Final = 2048
# Past this the checks below cost more than they tell; such a key is of no size that is certified anyway.
MAX_CHECKED_RSA_BITS: Final = 8192
FERMAT_STEPS: Final = 100

_RSA_ALGORITHMS: Final[Mapping[int, KeyAlgorithm]] = MappingProxyType(
    {2048: KeyAlgorithm.RSA_2048, 3072: KeyAlgorithm.RSA_3072, 4096: KeyAlgorithm.RSA_4096}
)
_EC_ALGORITHMS: Final[Mapping[str, KeyAlgorithm]] = MappingProxyType(
    {
        "secp256r1": KeyAlgorithm.EC_PRIME256V1,
        "secp384r1": KeyAlgorithm.EC_SECP384R1,
        "secp521r1": KeyAlgorithm.EC_SECP521R1,
    }
)
_CURVES: Final[Mapping[KeyAlgorithm, Callable[[], ec.EllipticCurve]]] = MappingProxyType(
    {
        KeyAlgorithm.EC_PRIME256V1: ec.SECP256R1,
        KeyAlgorithm.EC_SECP384R1: ec.SECP384R1,
        KeyAlgorithm.EC_SECP521R1: ec.SECP521R1,
    }
)
# Kinds of keys that have neither sizes nor curves to choose from.
_PLAIN_KEYS: Final[Mapping[KeyAlgorithm, type[PublicKeyTypes]]] = MappingProxyType(
    {
        KeyAlgorithm.ED25519: ed25519.Ed25519PublicKey,
        KeyAlgorithm.ML_DSA_44: mldsa.MLDSA44PublicKey,
        KeyAlgorithm.ML_DSA_65: mldsa.MLDSA65PublicKey,
        KeyAlgorithm.ML_DSA_87: mldsa.MLDSA87PublicKey,
    }
)
_GENERATORS: Final[Mapping[KeyAlgorithm, Callable[[], PrivateKey]]] = MappingProxyType(
    {
        KeyAlgorithm.ED25519: ed25519.Ed25519PrivateKey.generate,
        KeyAlgorithm.ML_DSA_44: mldsa.MLDSA44PrivateKey.generate,
        KeyAlgorithm.ML_DSA_65: mldsa.MLDSA65PrivateKey.generate,
        KeyAlgorithm.ML_DSA_87: mldsa.MLDSA87PrivateKey.generate,
    }
)
_HASHES: Final[Mapping[SignatureAlgorithm, Callable[[], hashes.HashAlgorithm]]] = MappingProxyType(
    {
        SignatureAlgorithm.RSA_SHA256: hashes.SHA256,
        SignatureAlgorithm.RSA_SHA384: hashes.SHA384,
        SignatureAlgorithm.RSA_SHA512: hashes.SHA512,
        SignatureAlgorithm.ECDSA_SHA256: hashes.SHA256,
        SignatureAlgorithm.ECDSA_SHA384: hashes.SHA384,
        SignatureAlgorithm.ECDSA_SHA512: hashes.SHA512,
    }
)


def _primes_below(limit: int) -> tuple[int, ...]:
    return tuple(n for n in range(2, limit) if all(n % divisor for divisor in range(2, math.isqrt(n) + 1)))


_SMALL_PRIMES: Final = _primes_below(2000)
_SMALL_PRIMES_PRODUCT: Final = math.prod(_SMALL_PRIMES)


def _powers_of_65537(prime: int) -> frozenset[int]:
    return frozenset(pow(PUBLIC_EXPONENT, exponent, prime) for exponent in range(prime - 1))


# CVE-2017-15361 (ROCA): the moduli are powers of 65537 modulo each small prime. These primes are the ones where that is
# rare for other moduli: all seventeen hold for one honest modulus in 2^27.
_ROCA_RESIDUES: Final = {
    prime: _powers_of_65537(prime)
    for prime in (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
}


def generate(algorithm: KeyAlgorithm) -> PrivateKey:
    """A new key from the system's generator. RSA takes 40 ms (2048) to 500 ms (4096) on average."""
    if algorithm in _GENERATORS:
        return _GENERATORS[algorithm]()
    if algorithm.family is KeyFamily.EC:
        return ec.generate_private_key(_CURVES[algorithm]())
    bits = next(size for size, named in _RSA_ALGORITHMS.items() if named is algorithm)
    return generate_rsa(bits)


@cache
def throw_away_key(family: KeyFamily) -> PrivateKey:
    """One per process and family: it signs what is thrown away, so it need be neither secret nor new."""
    algorithms = {
        KeyFamily.RSA: KeyAlgorithm.RSA_2048,
        KeyFamily.EC: KeyAlgorithm.EC_PRIME256V1,
        KeyFamily.ED25519: KeyAlgorithm.ED25519,
        KeyFamily.ML_DSA_44: KeyAlgorithm.ML_DSA_44,
        KeyFamily.ML_DSA_65: KeyAlgorithm.ML_DSA_65,
        KeyFamily.ML_DSA_87: KeyAlgorithm.ML_DSA_87,
    }
    return generate(algorithms[family])


@cache
def throw_away_signer(family: KeyFamily) -> PrivateKey:
    """The same, where nobody looks at the key: of a size that costs little to sign with."""
    if family is KeyFamily.RSA:
        return rsa.generate_private_key(PUBLIC_EXPONENT, 1024)  # noqa: S505 - nothing that it signs is kept
    return throw_away_key(family)


def private_key_pem(key: PrivateKey) -> str:
    """PKCS#8 PEM (RFC 5958), unencrypted, without a final newline. Secret."""
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode("ascii").strip()


def public_key_info(public_key: PublicKeyTypes) -> bytes:
    """DER of SubjectPublicKeyInfo (RFC 5280, 4.1.2.7)."""
    return public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def load_public_key(subject_public_key_info: bytes) -> PublicKey:
    """Key of a DER SubjectPublicKeyInfo.

    Raises:
        ValueError: it is none, or of a family that is not certified here.
    """
    try:
        key = serialization.load_der_public_key(subject_public_key_info)
    except UnsupportedAlgorithm as error:
        raise ValueError("the key is of a kind or curve that is not supported") from error
    if not isinstance(key, PublicKey):
        raise ValueError(f"{describe(key)} keys are not supported")
    return key


def key_identifier(public_key: CertificatePublicKeyTypes) -> bytes:
    """RFC 5280, 4.2.1.2, method (1): SHA-1 of the subjectPublicKey bits; an identifier, not a protection."""
    return SubjectKeyIdentifier.from_public_key(public_key).digest


def algorithm_of(public_key: PublicKeyTypes) -> KeyAlgorithm | None:
    """Name of the key's algorithm; None where it is of a kind, size or curve that is not certified here."""
    if isinstance(public_key, rsa.RSAPublicKey):
        return _RSA_ALGORITHMS.get(public_key.key_size)
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return _EC_ALGORITHMS.get(public_key.curve.name)
    return next((name for name, kind in _PLAIN_KEYS.items() if isinstance(public_key, kind)), None)


def describe(public_key: PublicKeyTypes) -> str:
    """What the key is, for people (``RSA 1024``, ``EC secp256k1``)."""
    if isinstance(public_key, rsa.RSAPublicKey):
        return f"RSA {public_key.key_size}"
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return f"EC {public_key.curve.name}"
    if isinstance(public_key, dsa.DSAPublicKey):
        return f"DSA {public_key.key_size}"
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        return "Ed25519"
    if isinstance(public_key, ed448.Ed448PublicKey):
        return "Ed448"
    if (algorithm := algorithm_of(public_key)) is not None:
        return algorithm.value
    return type(public_key).__name__.removesuffix("PublicKey").lstrip("_")


def weaknesses(public_key: PublicKeyTypes) -> tuple[str, ...]:
    """Each reason why this key must not be certified, for people; empty for a good key.

    That a point of an EC key is on its curve is checked where the key is loaded.
    """
    if isinstance(public_key, rsa.RSAPublicKey):
        return tuple(_rsa_weaknesses(public_key))
    if isinstance(public_key, ec.EllipticCurvePublicKey) and public_key.curve.name not in _EC_ALGORITHMS:
        return (f"the curve {public_key.curve.name} is none of {', '.join(_EC_ALGORITHMS)}",)
    return ()


def _rsa_weaknesses(public_key: rsa.RSAPublicKey) -> list[str]:
    numbers = public_key.public_numbers()
    found = []
    if public_key.key_size < MIN_RSA_BITS:
        found.append(f"an RSA modulus of {public_key.key_size} bits is too short; {MIN_RSA_BITS} are the least")
    # FIPS 186-5, 5.1: 2^16 < e < 2^256, and odd, without which a key does not load.
    if not PUBLIC_EXPONENT <= numbers.e < 2**256:
        size = f"{numbers.e}" if numbers.e < PUBLIC_EXPONENT else f"{numbers.e.bit_length()} bits long"
        found.append(f"the RSA public exponent is {size}; it must be at least {PUBLIC_EXPONENT} and below 2^256")
    if public_key.key_size <= MAX_CHECKED_RSA_BITS:
        found.extend(_modulus_weaknesses(numbers.n))
    return found


def _modulus_weaknesses(modulus: int) -> list[str]:
    if math.gcd(modulus, _SMALL_PRIMES_PRODUCT) != 1:
        return ["the RSA modulus has a small prime factor"]
    found = []
    if all(modulus % prime in residues for prime, residues in _ROCA_RESIDUES.items()):
        found.append("the RSA modulus has the fingerprint of a broken generator (ROCA, CVE-2017-15361)")
    if _has_close_primes(modulus):
        found.append("the two primes of the RSA modulus are so close together that it can be factored (Fermat)")
    return found


def _has_close_primes(modulus: int) -> bool:
    """Whether a few steps of Fermat's method factor an odd modulus."""
    middle = math.isqrt(modulus - 1) + 1
    for candidate in range(middle, middle + FERMAT_STEPS):
        remainder = candidate * candidate - modulus
        if math.isqrt(remainder) ** 2 == remainder:
            return True
    return False


def signing_hash(algorithm: SignatureAlgorithm) -> hashes.HashAlgorithm | None:
    """The hash of a signature algorithm; None for Ed25519 (RFC 8410) and ML-DSA (RFC 9881): they hash."""
    return _HASHES[algorithm]() if algorithm in _HASHES else None


def default_signature_algorithm(public_key: PublicKeyTypes) -> SignatureAlgorithm:
    """What a CA signs with unless told otherwise: the hash is as strong as its key (RFC 5480, 4 for curves).

    Raises:
        ValueError: a key of this kind signs nothing here.
    """
    if isinstance(public_key, PublicKey):
        named = algorithm_of(public_key)
        name = named.value if named else describe(public_key)
        return algorithms.default_signature_algorithm(key_family(name), name)
    raise ValueError(f"a CA cannot sign with {describe(public_key)}")


def signature_of(
    key: CertificateIssuerPrivateKeyTypes, data: bytes | memoryview, algorithm: SignatureAlgorithm
) -> bytes:
    """The signature of whole bytes, by the key of a CA or a responder, wherever it is.

    Raises:
        ValueError: the key makes no such signature.
    """
    hashed = signing_hash(algorithm)
    if hashed is None:
        return key.sign(data)  # type: ignore[call-arg, arg-type]
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashed)  # type: ignore[arg-type] # takes any buffer
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(hashed))
    raise ValueError("the key makes no such signature")


def is_signature_of(
    public_key: PublicKeyTypes, signature: bytes, data: bytes | memoryview, algorithm: SignatureAlgorithm
) -> bool:
    """Whether the key's owner signed these bytes with that algorithm: the other side of :func:`signature_of`."""
    hashed = signing_hash(algorithm)
    try:
        if hashed is None:
            public_key.verify(signature, data)  # type: ignore[union-attr, call-arg, arg-type]
        elif isinstance(public_key, rsa.RSAPublicKey):
            public_key.verify(signature, data, padding.PKCS1v15(), hashed)  # type: ignore[arg-type] # takes any buffer
        else:
            public_key.verify(signature, data, ec.ECDSA(hashed))  # type: ignore[union-attr, call-arg, arg-type]
    except (InvalidSignature, TypeError):
        return False
    return True
