"""Keys that were made in advance."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key

from certificates.x509 import key_pool
from certificates.x509.keys import PrivateKey, algorithm_of
from pki_portal.metrics import KEY_POOL, count
from profiles.policy.vocabulary import KeyAlgorithm


def ready_key(algorithm: KeyAlgorithm) -> PrivateKey | None:
    """One of this server's pool, which nobody else has or will get; None where none lies ready. Never fails, never
    waits.
    """
    pool = key_pool.opened()
    if pool is None or algorithm not in key_pool.CAPACITY:
        return None
    pkcs8 = pool.take(algorithm)
    key = _loaded(pkcs8, algorithm) if pkcs8 is not None else None
    count(KEY_POOL, algorithm=algorithm, result="miss" if key is None else "hit")
    return key


def _loaded(pkcs8: bytes, algorithm: KeyAlgorithm) -> PrivateKey | None:
    """The key in it, if it is one of that algorithm."""
    try:
        # To prove its primes would take as long as to make a new key. It was made by our own process, under our uid,
        # and came by a socket that nobody else has.
        key = load_der_private_key(pkcs8, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, PrivateKey) and algorithm_of(key.public_key()) is algorithm else None
