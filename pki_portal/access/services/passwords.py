"""The one-time links by which people set a password."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from pki_portal.access.models import (
    SetPasswordLink,
    User,
)
from pki_portal.access.requester import Requester
from pki_portal.access.services.refusals import recorded
from pki_portal.access.tokens import hash_of, new_link_token
from pki_portal.audit.services import Actor, record
from pki_portal.errors import Gone, Invalid, PermissionDenied, Violation

SET_PASSWORD_LINK_LIFE = timedelta(hours=24)


def make_set_password_link(*, requester: Requester, user: User) -> str:
    """Make an absolute address, good once and for 24 hours, at which ``user`` sets a password. The caller hands it over
    and forgets it.

    Whoever has it has the account: raises PermissionDenied unless an administrator or a command asks.
    """
    event = "create-set-password-link"
    with recorded(requester, event, None, "user", str(user.pk), username=user.get_username()):
        if not requester.is_unlimited:
            raise PermissionDenied("Only an administrator makes links to set a password.")
        token = new_link_token()
        now = timezone.now()
        with transaction.atomic():
            link = SetPasswordLink.objects.create(
                user=user, token_hash=hash_of(token), expires_at=now + SET_PASSWORD_LINK_LIFE
            )
            record(
                event=event,
                actor=requester.actor,
                project_id=None,
                subject_type="user",
                subject_id=str(user.pk),
                data={"username": user.get_username(), "linkId": str(link.pk)},
            )
    return f"{settings.SITE_URL}/accounts/set-password/{token}/"


def find_set_password_link(*, token: str) -> SetPasswordLink:
    """Find the link of a token that still opens. Raises Gone otherwise, whatever the reason."""
    link = SetPasswordLink.objects.select_related("user").filter(token_hash=hash_of(token)).first()
    return _usable(link)


def get_set_password_link(*, link_id: UUID) -> SetPasswordLink:
    """Find a link by its row id while it still opens. Raises Gone."""
    return _usable(SetPasswordLink.objects.select_related("user").filter(pk=link_id).first())


def _usable(link: SetPasswordLink | None) -> SetPasswordLink:
    if link is None or link.used_at is not None or link.expires_at <= timezone.now() or not link.user.is_active:
        raise Gone("This link has been used or has expired. Ask an administrator for a new one.")
    return link


def set_password(*, link: SetPasswordLink, password: str, actor: Actor) -> User:
    """Use up the link and set the password; every other open link of the person ends too.

    Raises Gone where someone was faster, Invalid with a violation for each fault of the password.
    """
    user = link.user
    try:
        validate_password(password, user)
    except ValidationError as problem:
        raise Invalid(
            "The password is too easy to guess.",
            violations=[
                Violation("password", "weak_password", "the password rules", "", "a longer, less common one", message)
                for message in problem.messages
            ],
        ) from None
    now = timezone.now()
    with transaction.atomic():
        used = SetPasswordLink.objects.filter(pk=link.pk, used_at=None, expires_at__gt=now).update(used_at=now)
        if not used:
            raise Gone("This link has been used or has expired. Ask an administrator for a new one.")
        SetPasswordLink.objects.filter(user=user, used_at=None).update(used_at=now)
        user.set_password(password)
        user.save(update_fields=["password"])
        record(
            event="set-password",
            actor=actor,
            project_id=None,
            subject_type="user",
            subject_id=str(user.pk),
            data={"username": user.get_username(), "linkId": str(link.pk)},
        )
    return user
