"""A decision as the JSON document that is stored with a request and shown to whoever asks why."""

from typing import Any

from pki_portal.errors import Change
from profiles.policy.plan import Check, Decision, IssuancePlan
from profiles.policy.wording import time

WOULD_ISSUE, WOULD_REFUSE = "would-issue", "would-refuse"


def decision_document(decision: Decision) -> dict[str, Any]:
    """``{decision, plan, rules, warnings}`` in inside spelling, times in ISO 8601; holds no secret and no key.

    ``decision`` is what a dry run would say; whoever stores the document of a real act writes what came of it.
    """
    plan = decision.plan
    return {
        "decision": WOULD_REFUSE if plan is None else WOULD_ISSUE,
        "plan": None if plan is None else plan_document(plan),
        "rules": [check_document(check) for check in decision.checks],
        "warnings": list(decision.warnings),
    }


def plan_document(plan: IssuancePlan) -> dict[str, Any]:
    """What the certificate says, or would say, beside its issuer, serial number and key."""
    return {
        "subject": [{"type": str(each.type), "value": each.value} for each in plan.subject],
        "subject_alternative_names": [
            {"type": str(each.type), "value": each.value} for each in plan.subject_alternative_names
        ],
        "key_usages": [usage.value for usage in plan.key_usages],
        "extended_key_usages": [str(usage) for usage in plan.extended_key_usages],
        "key_algorithm": plan.key_algorithm.value,
        "signature_algorithm": plan.signature_algorithm.value,
        "not_before": time(plan.not_before),
        "not_after": time(plan.not_after),
        "basic_constraints": {
            "is_ca": plan.basic_constraints.is_ca,
            "path_length": plan.basic_constraints.path_length,
        },
        "is_self_signed": plan.is_self_signed,
        "key_source": "portal" if plan.subject_public_key_info is None else "applicant",
    }


def check_document(check: Check) -> dict[str, Any]:
    """One row of the trace."""
    return {
        "field": check.field,
        "code": check.code,
        "rule": check.rule,
        "asked": check.asked,
        "allowed": check.allowed,
        "verdict": check.verdict.value,
        "fix": check.fix,
        "changes": [_change_document(change) for change in check.changes],
    }


def _change_document(change: Change) -> dict[str, Any]:
    step = {"op": change.op, "field": change.field}
    return step if change.op == "remove" else {**step, "value": change.value}
