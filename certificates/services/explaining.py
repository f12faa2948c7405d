"""What the one road would decide, and nothing done: its steps 3 and 4 and the lint of step 5."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from certificates.models import CertificateAuthority
from certificates.services.approvals.demand import demand_of
from certificates.services.blocked_keys import with_blocked_key_told
from certificates.services.issuance import CHANGEABLE, require_method
from certificates.services.issuing_authority import IssuingAuthority, issuer_by_id
from certificates.services.lint import Waivers
from certificates.services.signing import lint_plan
from certificates.x509.issuer import DistributionUrls
from pki_portal.access.models import Project
from pki_portal.access.permissions import Action, require
from pki_portal.access.requester import Requester
from pki_portal.errors import Invalid, NotFound
from profiles.enrollment import EnrollmentMethod
from profiles.models import CertificateProfile
from profiles.policy.decide import decide
from profiles.policy.plan import Decision, refused
from profiles.policy.request import IssuanceRequest
from profiles.policy.rules import ProfileDefaults, TemplateRules


def explain_request(
    *,
    profile: CertificateProfile,
    request: IssuanceRequest,
    requester: Requester,
    method: EnrollmentMethod = EnrollmentMethod.API,
) -> Decision:
    """What ``issue_certificate`` would decide now: its steps 3 and 4 and the lint of step 5.

    No key of a CA is touched and nothing is stored. What stands in the way outside the rules (a CA without a
    certificate, a finding of the lint) is told as violations too.

    Raises:
        PermissionDenied, NotFound: the requester may not issue from this profile.
        Forbidden: the profile enrolls by another method.
    """
    decision = judge_request(profile=profile, request=request, requester=requester, method=method)
    demand = demand_of(profile=profile, requester=requester) if decision.plan is not None else None
    if demand is None:
        return decision
    return replace(decision, warnings=(*decision.warnings, f"The request waits for approval by {demand}."))


def judge_request(
    *, profile: CertificateProfile, request: IssuanceRequest, requester: Requester, method: EnrollmentMethod
) -> Decision:
    """As :func:`explain_request`, but for whose approval it would wait. Raises likewise."""
    require(requester=requester, action=Action.CERTIFICATE_PROFILES_ISSUE_CERT, project_id=profile.project_id)
    require_method(profile, method)
    return _explain(
        rules=profile.template.rules(), profile=profile, authority_id=profile.certificate_authority_id, request=request
    )


def explain_rules(
    *,
    project: Project,
    rules: TemplateRules,
    request: IssuanceRequest,
    requester: Requester,
    profile: CertificateProfile | None = None,
    authority: CertificateAuthority | None = None,
) -> Decision:
    """What ``issue_certificate`` would decide by ``rules``, stored or not, with the rest taken from ``profile``.

    Without a profile nothing is filled in from one, and ``authority`` would sign; without that too, the subject's own
    key. Profile and authority are of ``project``.

    To read templates is permission enough, for nothing comes of it: no key is touched and nothing is stored, and all
    that the answer tells (rules, defaults, the CA's name and dates) may be read by whoever reads templates.

    Raises:
        PermissionDenied, NotFound: the requester may not read templates there.
    """
    require(requester=requester, action=Action.CERTIFICATE_TEMPLATES_READ, project_id=project.pk)
    signer = profile.certificate_authority_id if profile else authority.pk if authority else None
    return _explain(rules=rules, profile=profile, authority_id=signer, request=request)


def _explain(
    *, rules: TemplateRules, profile: CertificateProfile | None, authority_id: UUID | None, request: IssuanceRequest
) -> Decision:
    """The decision now, and the lint of what it plans. Raises NotFound where the CA was deleted meanwhile."""
    now = timezone.now()
    try:
        issuer = issuer_by_id(authority_id)
    except Invalid as refusal:
        return refused(refusal.violations, None)
    except CertificateAuthority.DoesNotExist:
        raise NotFound("The CA that would sign was deleted meanwhile.") from None
    return explain_by(
        rules=rules,
        defaults=profile.profile_defaults() if profile else ProfileDefaults(),
        waivers=Waivers(profile.slug, profile.waivers(), now) if profile else Waivers("", (), now),
        issuer=issuer,
        request=with_blocked_key_told(request),
        now=now,
    )


def explain_by(
    *,
    rules: TemplateRules,
    defaults: ProfileDefaults,
    waivers: Waivers,
    issuer: IssuingAuthority | None,
    request: IssuanceRequest,
    now: datetime,
) -> Decision:
    """What ``issue_certificate`` would decide at ``now``, if all stood then as it does today; no query."""
    decision = decide(rules=rules, defaults=defaults, request=request, issuer=issuer.facts if issuer else None, now=now)
    if decision.plan is None:
        return decision
    try:
        lint_plan(
            plan=decision.plan,
            issuer=issuer.issuer if issuer is not None else None,
            urls=issuer.choose_urls() if issuer is not None else DistributionUrls(),
            change=CHANGEABLE,
            waivers=waivers,
        )
    except Invalid as refusal:
        return refused(refusal.violations, decision)
    return decision
