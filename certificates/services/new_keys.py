"""Keys that are made for applicants."""

from certificates.services.ready_keys import ready_key
from certificates.x509.keys import PrivateKey, generate
from pki_portal.errors import Busy, Violation
from pki_portal.metrics import SLOW_KEYS_REFUSED, count
from pki_portal.slow_work import in_a_free_place
from profiles.policy.vocabulary import KeyAlgorithm

# They take a sixth to half a second on average, now and then some seconds; all others take less than RSA-2048.
SLOW = frozenset({KeyAlgorithm.RSA_3072, KeyAlgorithm.RSA_4096})


def make_key(algorithm: KeyAlgorithm) -> PrivateKey:
    """A new key of an end entity: one that lies ready, where there is one, else made now.

    Raises:
        Busy: it takes long, and as many web processes of this machine are at such a key as may be.
    """
    if ready := ready_key(algorithm):
        return ready
    if algorithm not in SLOW:
        return generate(algorithm)
    try:
        with in_a_free_place():
            return generate(algorithm)
    except Busy as refusal:
        count(SLOW_KEYS_REFUSED, algorithm=algorithm.value)
        raise Busy(refusal.message, violations=[_too_slow(algorithm)]) from None


def _too_slow(algorithm: KeyAlgorithm) -> Violation:
    return Violation(
        field="key_algorithm",
        code="slow_keys_under_way",
        rule="keys that take long to make",
        asked=algorithm.value,
        allowed="a few of RSA_3072 and RSA_4096 at once",
        fix="Send a CSR with a key of your own, which never has to wait, ask for an EC key, or try again later.",
    )
