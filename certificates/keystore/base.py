"""What every place of keys hands out."""

from dataclasses import dataclass, field
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes, PublicKeyTypes


class Signer(Protocol):
    """A key that signs, wherever it is.

    ``private_key`` may be of cryptography itself or a subclass of its key classes that asks a device: the builders
    take both.
    """

    @property
    def private_key(self) -> CertificateIssuerPrivateKeyTypes: ...

    def public_key(self) -> PublicKeyTypes: ...


@dataclass(frozen=True, slots=True)
class MemorySigner:
    """A key in this process's memory."""

    private_key: CertificateIssuerPrivateKeyTypes = field(repr=False)

    def public_key(self) -> PublicKeyTypes:
        return self.private_key.public_key()
