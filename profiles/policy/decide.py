"""The one verdict on a request; see ``profiles.policy.judges`` for each part of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from profiles.policy.judges.algorithms import judge_key_algorithm, judge_signature_algorithm
from profiles.policy.judges.alternative_names import (
    add_common_name,
    judge_alternative_names,
    judge_email_of_subject,
    judge_name_constraints,
)
from profiles.policy.judges.constraints import judge_basic_constraints
from profiles.policy.judges.findings import Findings
from profiles.policy.judges.lifetime import Validity, judge_issuer, judge_validity, utc_second
from profiles.policy.judges.subject import (
    judge_amount_of_text,
    judge_distance_from_issuer,
    judge_presence_of_names,
    judge_subject,
)
from profiles.policy.judges.usages import judge_extended_key_usages, judge_key_usages
from profiles.policy.plan import JUDGED, Decision, IssuancePlan
from profiles.policy.request import AttributeValue, GeneralName, IssuanceRequest, IssuerFacts
from profiles.policy.rules import ProfileDefaults, TemplateRules
from profiles.policy.vocabulary import ExtendedKeyUsage

# RFC 6960, 4.2.2.2.1: a responder that nobody checks should be certified for a short time, and renewed often.
UNCHECKED_RESPONDER_LIFE: Final = timedelta(days=30)


def decide(
    *,
    rules: TemplateRules,
    defaults: ProfileDefaults,
    request: IssuanceRequest,
    issuer: IssuerFacts | None,
    now: datetime,
) -> Decision:
    """Judges a request by its template, its profile's defaults and the CA that would sign.

    Pure and total: no clock, no input beyond the arguments, never raises. What the request leaves open is filled from
    the profile, then from the template, and named in the warnings; what is filled is judged like what is asked.

    Args:
        issuer: None for a self-signed profile.
        now: aware UTC.
    """
    findings = Findings(
        has_csr=request.applicant_key is not None, warnings=[f"{part} was ignored." for part in request.ignored]
    )
    now = utc_second(now)
    key = request.applicant_key

    judge_presence_of_names(findings, rules=rules, defaults=defaults, request=request, is_self_signed=issuer is None)
    subject: tuple[AttributeValue, ...] = ()
    alternative_names: tuple[GeneralName, ...] = ()
    if judge_amount_of_text(findings, request):
        subject = judge_subject(findings, rules=rules, defaults=defaults, request=request)
        judge_distance_from_issuer(findings, rules=rules, subject=subject, issuer=issuer)
        alternative_names = judge_alternative_names(findings, rules=rules, request=request)
        alternative_names = judge_email_of_subject(
            findings,
            rules=rules,
            source=defaults.source,
            request=request,
            subject=subject,
            alternative_names=alternative_names,
        )
    constraints = judge_basic_constraints(
        findings, rule=rules.basic_constraints, asked=request.basic_constraints, issuer=issuer
    )
    key_algorithm = judge_key_algorithm(findings, rules=rules, defaults=defaults, request=request, issuer=issuer)
    key_usages = judge_key_usages(
        findings,
        rules=rules,
        defaults=defaults,
        request=request,
        algorithm=key_algorithm,
        is_ca=constraints.is_ca,
    )
    extended_key_usages = judge_extended_key_usages(findings, rules=rules, defaults=defaults, request=request)
    signature_algorithm = judge_signature_algorithm(
        findings, rules=rules, defaults=defaults, request=request, issuer=issuer, key_algorithm=key_algorithm
    )
    validity = judge_validity(findings, rules=rules, defaults=defaults, request=request, issuer=issuer, now=now)
    judge_issuer(findings, issuer=issuer, now=now)
    if ExtendedKeyUsage.SERVER_AUTH in extended_key_usages and not findings.violations:
        alternative_names = add_common_name(
            findings, rules=rules, subject=subject, alternative_names=alternative_names, issuer=issuer
        )
    judge_name_constraints(
        findings,
        request=request,
        subject=subject,
        alternative_names=alternative_names,
        is_ca=constraints.is_ca,
        issuer=issuer,
    )

    violations, warnings, checks = findings.told_violations(), findings.told_warnings(), findings.told_checks()
    if violations or key_algorithm is None or signature_algorithm is None or validity is None:
        return Decision(plan=None, violations=violations, warnings=warnings, checks=checks)
    plan = IssuancePlan(
        subject=subject,
        subject_alternative_names=alternative_names,
        key_usages=key_usages,
        extended_key_usages=extended_key_usages,
        key_algorithm=key_algorithm,
        signature_algorithm=signature_algorithm,
        not_before=validity.not_before,
        not_after=validity.not_after,
        basic_constraints=constraints,
        subject_public_key_info=None if key is None else key.subject_public_key_info,
        is_self_signed=issuer is None,
        is_ocsp_responder=issuer is not None and _needs_no_check(extended_key_usages, validity),
        judged=JUDGED,
    )
    return Decision(plan=plan, violations=(), warnings=warnings, checks=checks)


def _needs_no_check(purposes: Sequence[str], validity: Validity) -> bool:
    """Whether it is for OCSP answers alone, and so short-lived that nobody need ask whether it was revoked itself."""
    return (
        tuple(purposes) == (ExtendedKeyUsage.OCSP_SIGNING,)
        and validity.not_after - validity.not_before <= UNCHECKED_RESPONDER_LIFE
    )
