"""What stands around requests of people, and is kept away from programs, where it is a tenth of the price."""

from typing import Any

from csp.middleware import CSPMiddleware
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest


class _NotForPrograms:
    """Stands before a middleware in the order of classes, and keeps requests that bring a bearer token out of it: no
    session, message or content policy has a part in them.
    """

    def __call__(self, request: HttpRequest) -> Any:
        credentials = request.META.get("HTTP_AUTHORIZATION", "")
        if credentials[:7].lower() == "bearer " and request.path_info.startswith("/api/"):
            return self.get_response(request)  # type: ignore[attr-defined]
        return super().__call__(request)  # type: ignore[misc]


class PageCspMiddleware(_NotForPrograms, CSPMiddleware):
    """The content policy of pages."""


class PageSessionMiddleware(_NotForPrograms, SessionMiddleware):
    """Sessions of people."""


class PageAuthenticationMiddleware(_NotForPrograms, AuthenticationMiddleware):
    """Who is logged in, of people."""


class PageMessageMiddleware(_NotForPrograms, MessageMiddleware):
    """Messages on pages."""
