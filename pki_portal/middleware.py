"""One id per request, so that an answer, its audit events and the log lines about it can be put side by side."""

import logging
import secrets
from collections.abc import Callable
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponse

_current: ContextVar[str] = ContextVar("request_id", default="-")


class RequestIdMiddleware:
    """Sets ``request.request_id`` (``req-`` and 16 random characters) and sends it back as ``X-Request-Id``.

    The id is always our own: one sent by the client would let it write into the log and the audit trail.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = f"req-{secrets.token_hex(8)}"
        request.request_id = request_id  # type: ignore[attr-defined]
        token = _current.set(request_id)
        try:
            response = self.get_response(request)
        finally:
            _current.reset(token)
        response["X-Request-Id"] = request_id
        return response


class ApiNeverStoredMiddleware:
    """Tells caches to keep no answer of the API: all are someone's own, and some hold secrets."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.path_info.startswith("/api/"):
            response.setdefault("Cache-Control", "no-store")
        return response


class RequestIdFilter(logging.Filter):
    """Gives every log record the id of the request it belongs to, or ``-``."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = _current.get()
        return True
