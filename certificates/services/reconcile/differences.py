"""What journal and database can disagree about."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pki_portal.access.requester import system_requester

RECONCILER: Final = system_requester("reconcile")
# Of a certificate that was brought back.
RECONCILED_EVENT: Final = "reconcile-certificate"


class Kind(StrEnum):
    """What a difference is about; the value is for people, in the plural."""

    CERTIFICATE = "certificates"
    RESPONDER = "OCSP responders"
    AUTHORITY = "CAs"
    SHARD = "CRL shards"
    UNCONFIRMED = "certificates that may have been signed"
    REVOCATION = "revocations"
    KEY = "private keys"
    RELEASE = "releases of holds"
    NUMBER = "CRL numbers"
    LINE = "lines of the journal"
    UNDER_WAY = "acts that may be under way"


@dataclass(frozen=True, slots=True)
class Difference:
    """One of them.

    Attributes:
        subject: what it is about, by name or id.
        problem: why it could not be mended; empty where it was, or where nobody tried.
    """

    kind: Kind
    subject: str
    problem: str = ""
