"""What a change of a template or profile would do, as values that ``certificates`` finds out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pki_portal.errors import Violation
from profiles.models import CertificateProfile
from profiles.policy.rules import ProfileDefaults, TemplateRules


@dataclass(frozen=True, slots=True)
class Proposal:
    """One profile as it would judge after the change; what it says now is read from ``profile``.

    Attributes:
        profile: with CA and template loaded.
        authority_id: of the CA that would sign; None for a self-signed profile.
    """

    profile: CertificateProfile
    rules: TemplateRules
    defaults: ProfileDefaults
    authority_id: UUID | None


@dataclass(frozen=True, slots=True)
class NewlyRefused:
    """One request, or one renewal to come, that passes now and would not.

    Attributes:
        request_id: of the request; of a renewal the one that it repeats.
        certificate_id: of the certificate that renews; None for a request.
        name: common name, else the first alternative name.
        moment: when it was asked; of a renewal when it is due. Aware UTC.
    """

    request_id: UUID
    certificate_id: UUID | None
    name: str
    profile_slug: str
    moment: datetime
    violations: tuple[Violation, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """How many there are, how many were judged anew, and what came of those.

    ``looked_at`` is the sum of the three that follow; it is less than ``total`` where there are too many to replay,
    and then the newest were taken.

    Attributes:
        passing: would pass; ``newly_passing`` of them were refused and would be refused today.
        newly_refused: pass today and would not.
        refused_anyway: neither today nor then.
    """

    total: int
    passing: int
    newly_passing: int
    newly_refused: int
    refused_anyway: int

    @property
    def looked_at(self) -> int:
        return self.passing + self.newly_refused + self.refused_anyway

    @property
    def is_sample(self) -> bool:
        return self.looked_at < self.total


@dataclass(frozen=True, slots=True)
class Impact:
    """The whole answer; the lists hold the first of what their tallies count.

    Attributes:
        requests: of the last ``days`` days; ``refused_requests`` newest first.
        renewals: every live certificate that renews by itself; ``refused_renewals`` newest certificate first.
        first_refused_renewal: when the first of all that are newly refused, named or not, is due; aware UTC.
    """

    days: int
    requests: Tally
    renewals: Tally
    refused_requests: Sequence[NewlyRefused]
    refused_renewals: Sequence[NewlyRefused]
    first_refused_renewal: datetime | None
