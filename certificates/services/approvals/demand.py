"""Whether a request waits for approval, and for whose."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db.models import Q, QuerySet

from certificates.models import ApprovalPolicy
from certificates.services.approvals.steps import Step, steps_of, usual_step, with_names
from certificates.services.requests import Asked
from pki_portal.access.remembering import Scope, remembered
from pki_portal.access.requester import Requester
from pki_portal.errors import Forbidden, Violation
from profiles.models import CertificateProfile

# How long a request waits where no policy says it.
USUAL_WAIT: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Demand:
    """Steps in their order, and how long the request waits for them before it expires."""

    steps: tuple[Step, ...]
    longest_wait: timedelta

    def __str__(self) -> str:
        return ", then ".join(map(str, self.steps))


def demand_of(*, profile: CertificateProfile, requester: Requester) -> Demand | None:
    """What this requester's request at the profile would wait for; None for nothing. At most two queries.

    Every policy that matches is to be met, in the order in which they were made; a machine identity passes those that
    say so. A profile that demands approval by itself gets one step of its own where no policy is for it.
    """
    policies = _policies_of(profile)
    if not policies:
        return Demand((usual_step(),), USUAL_WAIT) if profile.requires_approval else None
    binding = [each for each in policies if not (each.bypass_for_machine_identities and requester.kind == "identity")]
    steps = [replace(step, policy=each.name) for each in binding for step in steps_of(each.steps)]
    if not steps:
        return None
    waits = [each.max_request_seconds for each in binding if each.max_request_seconds is not None]
    return Demand(with_names(steps), timedelta(seconds=min(waits)) if waits else USUAL_WAIT)


@remembered(Scope.RULES)
def _policies_of(profile: CertificateProfile) -> tuple[ApprovalPolicy, ...]:
    return tuple(policies_for(profile))


def policies_for(profile: CertificateProfile) -> QuerySet[ApprovalPolicy]:
    """The policies that are for a profile, in their order."""
    named = ApprovalPolicy.profiles.through.objects.filter(certificateprofile_id=profile.pk)
    return ApprovalPolicy.objects.filter(
        Q(is_for_all_profiles=True) | Q(pk__in=named.values("approvalpolicy_id")), project_id=profile.project_id
    )


def profiles_that_wait(profiles: Collection[CertificateProfile]) -> set[UUID]:
    """Those of which nobody, person or machine identity, gets a certificate that nobody else has agreed to."""
    waiting = set()
    for profile in profiles:
        bypasses = policies_for(profile).values_list("bypass_for_machine_identities", flat=True)
        if not all(bypasses) if bypasses else profile.requires_approval:
            waiting.add(profile.pk)
    return waiting


def require_approved(asked: Asked) -> None:
    """Return if the request may be issued now: nothing is demanded, or it was approved. Raises Forbidden."""
    if asked.profile is None or asked.approved is not None:
        return
    demand = demand_of(profile=asked.profile, requester=asked.requester)
    if demand is None:
        return
    raise Forbidden(
        f"Requests at {asked.profile.slug} wait for approval by {demand}; nothing was issued.",
        violations=[
            Violation(
                field="profile",
                code="approval_required",
                rule=f"approval of requests at {asked.profile.slug}",
                asked="a certificate at once",
                allowed=f"one that was approved by {demand}",
                fix="Send an issue request, which is stored and waits for approval.",
            )
        ],
    )
