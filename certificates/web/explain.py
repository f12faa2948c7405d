"""A request explained on a page: what it would come to, rule by rule, and the one click that mends it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from django.http import QueryDict

from certificates.web.request_form import RequestForm
from pki_portal.access.web.refusals import Refusal
from pki_portal.errors import Change, Invalid, Malformed
from profiles.policy.amend import ImpossibleChange
from profiles.policy.plan import Check, Decision, IssuancePlan, Verdict, refused

# The changes of one violation; the longest name of a field stands in them a few times at most.
LONGEST_FIX = 100_000
Form = TypeVar("Form", bound=RequestForm)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision as the panel shows it: the rules that are not met first, changes only where the form can make them."""

    plan: IssuancePlan | None
    warnings: tuple[str, ...]
    checks: tuple[Check, ...]

    @property
    def failures(self) -> int:
        """How many rules are not met."""
        return sum(check.verdict is Verdict.FAIL for check in self.checks)


def explain(form: RequestForm, judge: Callable[[], Decision]) -> Explanation | None:
    """What ``judge`` says of the form, its violations beside their fields; None where the form cannot be read.

    A CSR that is refused, or is none, is an answer too.
    """
    if not form.is_valid():
        return None
    try:
        decision = judge()
    except (Malformed, Invalid) as refusal:
        decision = refused(refusal.violations, None)
    form.put(decision.violations)
    told = [check if form.takes(check.changes) else check._replace(changes=()) for check in decision.checks]
    told.sort(key=lambda check: check.verdict is not Verdict.FAIL)
    return Explanation(plan=decision.plan, warnings=decision.warnings, checks=tuple(told))


def mended(make: Callable[[QueryDict], Form], sent: QueryDict, judge: Callable[[Form], Decision]) -> Form:
    """The form with the changes made that a fix button sent as ``apply``; where they do not fit, as sent, refused."""
    form = make(sent)
    form.is_valid()
    try:
        changes = read_changes(sent.get("apply") or "")
        return make(form.after(changes, refused=_refused_paths(form, judge)))
    except ImpossibleChange:
        form.refusal = Refusal(
            title="This fix does not fit what stands here now.",
            text="Nothing was changed. Press Check to see what is refused, and what would pass.",
        )
    return form


def read_changes(text: str) -> list[Change]:
    """The changes that a button carries. Raises ImpossibleChange where it is something else."""
    try:
        steps = json.loads(text) if len(text) <= LONGEST_FIX else None
    except (ValueError, RecursionError):
        steps = None
    if not isinstance(steps, list) or not steps:
        raise ImpossibleChange("a list of changes is needed")
    return [_change(step) for step in steps]


def _change(step: object) -> Change:
    if not isinstance(step, Mapping):
        raise ImpossibleChange("a change is an object")
    op, field = step.get("op"), step.get("field")
    if op not in ("set", "add", "remove") or not isinstance(field, str):
        raise ImpossibleChange("a change has an op and a field")
    return Change(op, field, step.get("value"))


def _refused_paths(form: Form, judge: Callable[[Form], Decision]) -> frozenset[str]:
    """Which parts of the request, as sent, rules refuse; a CSR has no parts that could be changed."""
    if not form.is_valid() or form.is_by_csr:
        return frozenset()
    return frozenset(violation.field for violation in judge(form).violations)
