"""Mails to those who may approve a request now: written down when it comes to wait for them, sent by the worker."""

from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from django.conf import settings
from django.utils import timezone

from certificates.models import ApprovalMail, ApprovalRequest
from certificates.models.request import CertificateRequest, RequestStatus
from certificates.services.approvals.standing import StepStanding, approvers_now, standing_of, with_requests
from certificates.services.approvals.steps import steps_of
from certificates.services.mail import send_mail
from pki_portal.access.models import User

NAMES_TOLD: Final = 50


def plan_mails(row: ApprovalRequest, now: datetime) -> None:
    """Have everybody told who may agree at the current step, where it says so; in the caller's transaction.

    Each person once for each step: who was told of it before is not told again, whoever approves or leaves meanwhile.
    """
    if not any(step.notify_approvers for step in steps_of(row.steps)):
        return
    current = standing_of(row).current
    if current is None or not current.step.notify_approvers:
        return
    users = User.objects.filter(pk__in=approvers_now(row, current.step)).exclude(email="")
    told = sorted(users.values_list("pk", flat=True))
    ApprovalMail.objects.bulk_create(
        [ApprovalMail(approval_request=row, step=current.number, user_id=user_id) for user_id in told],
        ignore_conflicts=True,
    )
    # New ones, and those that were not sent because the step before had opened again.
    unsent = row.mails.filter(step=current.number, user_id__in=told, sent_at__isnull=True, gave_up_at__isnull=True)
    unsent.update(due_at=now)


def tell_approver(mail: ApprovalMail, now: datetime) -> None:
    """Send one mail, unless it was sent, or the request does not wait for this person at this step any more.

    That it was sent is written down at once, before the row is given back. Raises GiveUp, Unavailable.
    """
    mail = ApprovalMail.objects.get(pk=mail.pk)
    if mail.sent_at is not None:
        return
    row = with_requests(ApprovalRequest.objects.filter(pk=mail.approval_request_id)).get()
    if row.request.status != RequestStatus.PENDING_APPROVAL or row.expires_at <= now:
        return
    standing = standing_of(row)
    current = standing.current
    if current is None or current.number != mail.step or mail.user_id not in approvers_now(row, current.step):
        return
    address = User.objects.filter(pk=mail.user_id).values_list("email", flat=True).first()
    if not address:
        return
    body = _body(row, current, len(standing.steps))
    send_mail(key=mail.pk, to=[address], subject=_subject(row.request), body=body)
    ApprovalMail.objects.filter(pk=mail.pk).update(sent_at=timezone.now())


def _subject(request: CertificateRequest) -> str:
    return f"[PKI Portal] {_line(request.project.name)}: {_line(request.requester_name)} asks for your approval"


def _body(row: ApprovalRequest, current: StepStanding, steps: int) -> str:
    request, step = row.request, current.step
    names = _names(request.asked)
    more = len(names) - NAMES_TOLD
    return "\n".join(
        [
            f"{_line(request.requester_name)} asks for a certificate of {_line(request.project.name)}."
            " It waits for approval, and you may give it.",
            "",
            f"Profile: {_line(request.profile_slug)}",
            "Names:",
            *(f"    {each}" for each in names[:NAMES_TOLD]),
            *([f"    ... and {more} more"] if more > 0 else []),
            f"Demanded by: approval policy {_line(step.policy)}, step {current.number + 1} of {steps}"
            f"{f' ({_line(step.name)})' if step.name else ''}: {_line(str(step))}",
            f"Until: {row.expires_at:%Y-%m-%d %H:%M} UTC, then the request expires",
            "",
            f"{settings.SITE_URL}/projects/{quote(request.project.slug)}/requests/{request.pk}/",
            "",
        ]
    )


def _names(asked: dict[str, Any]) -> list[str]:
    """Every name that was asked for, with its kind."""
    told = [*asked["subject"], *asked["subject_alternative_names"]]
    return [f"{_line(each['type'].replace('_', ' '))}: {_line(each['value'])}" for each in told]


def _line(text: str) -> str:
    """One line, whatever people typed."""
    return " ".join(text.split())
