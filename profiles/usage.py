"""Questions about profiles that only `certificates` can answer; it answers them from its AppConfig.ready()."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from profiles.impact import Impact, Proposal
from profiles.models import CertificateProfile
from profiles.policy.request import IssuerFacts


class Usage(Protocol):
    """What profiles need to know of CAs and of issued certificates."""

    def is_authority_of_project(self, *, authority_id: UUID, project_id: UUID) -> bool:
        """Whether that CA exists in that project, in whatever status.

        Called inside a transaction; the CA must not vanish before its end (lock the row where the database can).
        """
        ...

    def count_live_certificates(self, *, profile_id: UUID, now: datetime) -> int:
        """Certificates of that profile that at ``now`` are neither expired nor revoked."""
        ...

    def impact_of(self, *, proposals: Sequence[Proposal], now: datetime) -> Impact:
        """What these changes together would do to requests like the recent ones and to renewals; changes nothing."""
        ...

    def lint_codes(self) -> Collection[str]:
        """Ids of the findings that a waiver can name."""
        ...

    def issuer_facts(self, *, authority_id: UUID) -> IssuerFacts | None:
        """The CA as the rules see it now; None where it has no certificate yet."""
        ...

    def profiles_that_wait(self, *, profiles: Collection[CertificateProfile]) -> Collection[UUID]:
        """Ids of those at which nobody gets a certificate that somebody else has not agreed to."""
        ...


_answers: list[Usage] = []


def answer_with(usage: Usage) -> None:
    """Register who answers; the last one registered counts."""
    _answers[:] = [usage]


def usage() -> Usage:
    """Who answers. Raises RuntimeError when no app has registered: a fault of the installation."""
    if not _answers:
        raise RuntimeError("No installed app answers for CAs and certificates: is `certificates` in INSTALLED_APPS?")
    return _answers[0]
