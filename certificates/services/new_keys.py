"""Keys that are made for applicants."""

from certificates.services.ready_keys import ready_key
from certificates.x509.keys import PrivateKey, generate
from profiles.policy.vocabulary import KeyAlgorithm


def make_key(algorithm: KeyAlgorithm) -> PrivateKey:
    """A new key of an end entity: one that lies ready, where there is one, else made now."""
    return ready_key(algorithm) or generate(algorithm)
