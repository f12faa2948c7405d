"""Keys that sign once: a self-signed certificate is signed by the key that it certifies."""

from dataclasses import dataclass

from certificates.keystore.base import MemorySigner


@dataclass(frozen=True, slots=True)
class EphemeralSigner(MemorySigner):
    """The new key of a self-signed certificate; kept by nobody here."""
