"""What profiles ask about CAs and certificates (:mod:`profiles.usage`), answered."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from certificates.models import Certificate, CertificateAuthority
from certificates.models.certificate import CertificateStatus
from certificates.services.approvals.demand import profiles_that_wait
from certificates.services.authorities.rules import issuer_facts_of
from certificates.services.impact import impact_of
from certificates.x509.lint import waivable_codes
from profiles.impact import Impact, Proposal
from profiles.models import CertificateProfile
from profiles.policy.request import IssuerFacts


class CertificatesUsage:
    """Answers from this app's tables."""

    def is_authority_of_project(self, *, authority_id: UUID, project_id: UUID) -> bool:
        """Whether that CA exists in that project; its row stays locked until the caller's transaction ends."""
        authorities = CertificateAuthority.objects.select_for_update()
        return authorities.filter(pk=authority_id, project_id=project_id).first() is not None

    def count_live_certificates(self, *, profile_id: UUID, now: datetime) -> int:
        """Certificates of the profile that at ``now`` are neither expired nor revoked."""
        return Certificate.objects.filter(
            profile_id=profile_id, status=CertificateStatus.ACTIVE, not_after__gt=now
        ).count()

    def impact_of(self, *, proposals: Sequence[Proposal], now: datetime) -> Impact:
        """What the proposed rules would refuse and let pass of recent requests and coming renewals."""
        return impact_of(proposals=proposals, now=now)

    def lint_codes(self) -> frozenset[str]:
        """Ids of the findings that a waiver can name."""
        return waivable_codes()

    def profiles_that_wait(self, *, profiles: Collection[CertificateProfile]) -> Collection[UUID]:
        """Those whose requests all wait for approval. A query for each."""
        return profiles_that_wait(profiles)

    def issuer_facts(self, *, authority_id: UUID) -> IssuerFacts | None:
        """The CA as the rules see it now; None where it has no certificate yet."""
        authority = CertificateAuthority.objects.select_related("active_certificate").filter(pk=authority_id).first()
        return None if authority is None else issuer_facts_of(authority)
