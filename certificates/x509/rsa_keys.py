"""RSA keys are made here, for whoever loads nothing else."""

from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa

PUBLIC_EXPONENT: Final = 65537


def generate_rsa(bits: int) -> rsa.RSAPrivateKey:
    """A new key from the system's generator: 40 ms (2048) to 500 ms (4096) on average."""
    return rsa.generate_private_key(public_exponent=PUBLIC_EXPONENT, key_size=bits)
