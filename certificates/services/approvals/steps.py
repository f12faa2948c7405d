"""The steps of an approval as they are stored, and in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from pki_portal.access.models import Role, User

# Who agrees where a profile demands approval and no policy says by whom.
USUAL_ROLES: Final = (Role.ADMIN, Role.OPERATOR)


class ApproverKind(StrEnum):
    """Who an approver is: one person, or everyone with a role in the project."""

    USER = "user"
    ROLE = "role"


@dataclass(frozen=True, slots=True)
class Approver:
    """``id`` is a user's primary key as text, or a role; ``name`` a user's name, for people."""

    kind: ApproverKind
    id: str
    name: str = ""

    def __str__(self) -> str:
        return (self.name or f"user {self.id}") if self.kind is ApproverKind.USER else f"anyone with role {self.id}"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: ``required_approvals`` different people of ``approvers``; ``policy`` names who demands it. They are
    told by mail when a request comes to wait for them, if ``notify_approvers``.
    """

    approvers: tuple[Approver, ...]
    required_approvals: int = 1
    name: str = ""
    policy: str = ""
    notify_approvers: bool = False

    def __str__(self) -> str:
        named = " or ".join(map(str, self.approvers))
        return named if len(self.approvers) == self.required_approvals == 1 else f"{self.required_approvals} of {named}"

    def names(self, user_id: int, role: Role | None) -> bool:
        """Whether somebody with this role in the project is an approver here; nobody without one is."""
        return role is not None and any(
            each.id == (str(user_id) if each.kind is ApproverKind.USER else role.value) for each in self.approvers
        )


def usual_step() -> Step:
    """One admin or operator."""
    return Step(tuple(Approver(ApproverKind.ROLE, role.value) for role in USUAL_ROLES))


def steps_as_json(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """As they are stored."""
    return [
        {
            "name": step.name,
            "policy": step.policy,
            "required_approvals": step.required_approvals,
            "notify_approvers": step.notify_approvers,
            "approvers": [{"type": each.kind.value, "id": each.id, "name": each.name} for each in step.approvers],
        }
        for step in steps
    ]


def steps_of(stored: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    """The steps in a row of a policy or of a request."""
    return tuple(
        Step(
            approvers=tuple(
                Approver(ApproverKind(each["type"]), each["id"], each.get("name", "")) for each in step["approvers"]
            ),
            required_approvals=step["required_approvals"],
            name=step.get("name", ""),
            policy=step.get("policy", ""),
            notify_approvers=step.get("notify_approvers", False),
        )
        for step in stored
    )


def user_ids_in(steps: Iterable[Step]) -> set[int]:
    """The people named one by one."""
    return {int(each.id) for step in steps for each in step.approvers if each.kind is ApproverKind.USER}


def with_names(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps with the names that their people have now. One query."""
    names = dict(User.objects.filter(pk__in=user_ids_in(steps)).values_list("pk", "username"))
    return tuple(
        replace(
            step,
            approvers=tuple(
                Approver(each.kind, each.id, names.get(int(each.id), "")) if each.kind is ApproverKind.USER else each
                for each in step.approvers
            ),
        )
        for step in steps
    )
