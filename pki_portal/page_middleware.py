"""What stands around requests of people, and is kept away from programs, where it is a tenth of the price."""

from typing import Any

from csp.middleware import CSPMiddleware
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest

# What certificates point to; nobody logs in there.
_PUBLISHED = ("/api/v1/cert-manager/ocsp/", "/api/v1/cert-manager/crl/")


class _NotForPrograms:
    """Stands before a middleware in the order of classes, and keeps requests that bring a bearer token out of it, and
    those for OCSP and CRLs: no session, message or content policy has a part in them.
    """

    def __call__(self, request: HttpRequest) -> Any:
        path = request.path_info
        is_called = request.META.get("HTTP_AUTHORIZATION", "")[:7].lower() == "bearer " and path.startswith("/api/")
        if is_called or path.startswith(_PUBLISHED):
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
