"""The record of people's logins, failed logins, logouts and changed passwords. Nothing that was typed as a password
comes here.
"""

from typing import Any

from allauth.account.signals import password_changed, password_set
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models import Q
from django.dispatch import receiver
from django.http import HttpRequest

from pki_portal.access.models import User
from pki_portal.access.requester import client_address_of, request_id_of, requester_of_user
from pki_portal.audit.services import Actor, record, record_refusal
from pki_portal.errors import Unauthenticated

# Long enough for a user name; what is typed into the wrong field is cut.
_TYPED_LENGTH = 64


@receiver(user_logged_in)
def record_login(sender: object, request: HttpRequest | None, user: User, **_: Any) -> None:
    """Record who came in."""
    _record("login-user", request, user)


@receiver(user_logged_out)
def record_logout(sender: object, request: HttpRequest | None, user: User | None, **_: Any) -> None:
    """Record who left; a logout of nobody is none."""
    if user is not None:
        _record("logout-user", request, user)


@receiver(password_changed)
@receiver(password_set)
def record_password_change(sender: object, request: HttpRequest | None, user: User, **_: Any) -> None:
    """Record whose password is another now."""
    _record("change-password", request, user)


@receiver(user_login_failed)
def record_failed_login(
    sender: object, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any
) -> None:
    """Record whom someone wanted to be."""
    typed = str(credentials.get("username") or credentials.get("email") or "")
    known = Q(username=typed) | Q(email__iexact=typed)
    user = User.objects.filter(known).first() if typed and "\x00" not in typed else None
    record_refusal(
        Unauthenticated("The user name or the password is wrong."),
        event="login-user",
        actor=Actor("anonymous", "", "", _address_of(request), request_id_of(request) if request else ""),
        project_id=None,
        subject_type="user",
        subject_id=str(user.pk) if user else "",
        data={"username": user.get_username() if user else typed[:_TYPED_LENGTH]},
    )


def _record(event: str, request: HttpRequest | None, user: User) -> None:
    requester = requester_of_user(
        user, address=_address_of(request), request_id=request_id_of(request) if request else ""
    )
    record(
        event=event,
        actor=requester.actor,
        project_id=None,
        subject_type="user",
        subject_id=str(user.pk),
        data={"username": user.get_username()},
    )


def _address_of(request: HttpRequest | None) -> str | None:
    return client_address_of(request) if request is not None else None
