"""How people log in, where the portal differs from allauth: failures are counted by user name *and* address."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone

from pki_portal.access import login_throttle
from pki_portal.access.requester import client_address_of
from pki_portal.errors import RateLimited


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth brings no types
    """A stranger at another address delays nobody, and a wrong password costs whoever typed it a minute at most.

    allauth itself counts failures by the user name alone, which lets anyone keep a person out.
    """

    def get_client_ip(self, request: HttpRequest) -> str:
        """The same address as everywhere else; empty over a Unix socket."""
        return client_address_of(request) or ""

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Raise ValidationError while the delay of this user name from this address runs."""
        try:
            login_throttle.check(**_who(request, credentials), bucket=login_throttle.PERSON, now=timezone.now())
        except RateLimited as refusal:
            raise ValidationError(refusal.message, code="too_many_login_attempts") from None

    def authenticate(self, request: HttpRequest, **credentials: Any) -> AbstractBaseUser | None:
        """Check the password; the right one ends the delay."""
        user: AbstractBaseUser | None = super().authenticate(request, **credentials)
        if user is not None:
            login_throttle.forget(**_who(request, credentials))
        return user

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Count it. Raises ValidationError while the address fails too often, whatever the names."""
        try:
            login_throttle.count_failure(**_who(request, credentials), bucket=login_throttle.PERSON, now=timezone.now())
        except RateLimited as refusal:
            raise ValidationError(refusal.message, code="too_many_login_attempts") from None


def _who(request: HttpRequest, credentials: dict[str, Any]) -> dict[str, Any]:
    typed = credentials.get("username") or credentials.get("email") or ""
    return {"client_id": f"person\n{typed}", "address": client_address_of(request)}
