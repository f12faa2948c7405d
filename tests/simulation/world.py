"""What is there when the year begins, and what people do to it meanwhile."""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from certificates.models import Certificate, CertificateAuthority
from certificates.models.authority import AuthorityStatus
from certificates.models.certificate import CertificateStatus, RevocationReason
from certificates.services.authorities import update_authority
from certificates.services.issuance import issue_certificate
from certificates.services.revocation import revoke_certificate
from pki_portal.access.models import Project
from pki_portal.errors import Invalid
from profiles.enrollment import EnrollmentMethod
from profiles.models import CertificateProfile
from profiles.policy.request import AttributeValue, GeneralName, IssuanceRequest
from profiles.policy.vocabulary import KeyRetention, NameType, SubjectAttribute
from profiles.services import ApiSettings, create_profile, create_template, update_template
from tests.factories import SYSTEM, make_authority, make_project
from tests.scenery import server_template

DAY = timedelta(days=1)
# Days before the end that each profile renews; the last two are of the CA that ends, and of escrow.
THRESHOLDS = {"ten": 10, "twenty": 20, "thirty": 30, "ending": 15, "kept": 12}
# How many of a hundred certificates are of the last two.
ENDING, KEPT = 3, 5
LIVES = (45, 120)
ALGORITHMS = {"key_algorithm": ["ECDSA-P256"], "signature": ["SHA256-ECDSA"]}


@dataclass(frozen=True)
class World:
    """One project."""

    project: Project
    sound: CertificateAuthority
    profiles: dict[str, CertificateProfile]

    @classmethod
    def make(cls, *, now: datetime, days: int) -> "World":
        """Two CAs, one of which ends when the simulation is half over, and five profiles with their templates."""
        project = make_project()
        root = make_authority(project, name="root")
        sound = make_authority(project, name="sound", parent=root)
        ending = make_authority(project, name="ending", parent=root, not_after=now + max(days / 2, LIVES[1] + 1) * DAY)
        profiles = {}
        for slug, threshold in THRESHOLDS.items():
            template = create_template(
                requester=SYSTEM, project=project, document=server_template(name=slug, algorithms=ALGORITHMS)
            )
            profiles[slug] = create_profile(
                requester=SYSTEM,
                project=project,
                slug=slug,
                certificate_authority_id=(ending if slug == "ending" else sound).pk,
                template_id=template.pk,
                enrollment_method=EnrollmentMethod.API,
                api=ApiSettings(auto_renew=True, renew_before_days=threshold),
                key_retention=KeyRetention.ESCROW if slug == "kept" else KeyRetention.ONCE,
            )
        return cls(project, sound, profiles)

    def issue(self, numbers: Iterable[int]) -> None:
        """The first certificate of each of these lineages."""
        for number in numbers:
            self._issue(number)

    def _issue(self, number: int) -> None:
        name = f"host-{number}.example.com"
        hundredth = number % 100
        slug = "ending" if hundredth < ENDING else "kept" if hundredth < ENDING + KEPT else None
        profile = CertificateProfile.objects.select_related("template").get(
            pk=self.profiles[slug or ("ten", "twenty", "thirty")[number % 3]].pk
        )
        request = IssuanceRequest(
            subject=(AttributeValue(SubjectAttribute.COMMON_NAME, name),),
            subject_alternative_names=(GeneralName(NameType.DNS_NAME, name),),
            ttl=random.randint(*LIVES) * DAY,
        )
        issue_certificate(profile=profile, request=request, requester=SYSTEM)

    def acts(self, *, days: int, count: int) -> Iterator[tuple[float, Callable[[], Any]]]:
        """What people do, each with the day on which they do it."""
        yield 0.30 * days, lambda: self._set_status(AuthorityStatus.DISABLED)
        yield 0.30 * days + 2, lambda: self._set_status(AuthorityStatus.ACTIVE)
        yield 0.50 * days, lambda: self._limit_life("20d")
        yield 0.50 * days + 3, lambda: self._limit_life("398d")
        for _ in range(max(1, count // 50)):
            yield random.uniform(0.05, 0.95) * days, self._revoke_one

    def _set_status(self, status: AuthorityStatus) -> None:
        update_authority(requester=SYSTEM, authority=self.sound, status=status)

    def _limit_life(self, longest: str) -> None:
        template = CertificateProfile.objects.select_related("template").get(pk=self.profiles["thirty"].pk).template
        update_template(requester=SYSTEM, template=template, changes={"validity": {"max": longest}})

    def _revoke_one(self) -> None:
        """The head of a lineage, which ends it; one that was renewed in this moment is left alone."""
        heads = Certificate.objects.filter(renewed_by__isnull=True, status=CertificateStatus.ACTIVE)
        chosen = heads.exclude(profile=self.profiles["ending"]).order_by("?").first()
        if chosen is not None:
            try:
                revoke_certificate(requester=SYSTEM, certificate=chosen, reason=RevocationReason.SUPERSEDED)
            except Invalid:
                return
