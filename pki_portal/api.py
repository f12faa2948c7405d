"""Where kinds of errors become HTTP: one table and one body, also for what Django refuses before a view."""

import logging
import re
import secrets
import sys
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import (
    BadRequest,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, InternalError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.cache import patch_cache_control
from django.views import defaults
from rest_framework import exceptions
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request
from rest_framework.response import Response

from pki_portal.access.refusals import record_at_the_door
from pki_portal.errors import Busy, Malformed, PermissionDenied, PortalError, Unauthenticated, Unavailable, Violation
from pki_portal.rest import json_patch, pointer_of, pointer_token
from pki_portal.rest.values import IssueCode

logger = logging.getLogger(__name__)

# kind of PortalError -> status and the reference's name of the error
STATUS_OF_KIND: dict[str, tuple[int, str]] = {
    "malformed": (422, "ValidationFailure"),
    "invalid": (400, "BadRequest"),
    "unauthenticated": (401, "UnauthorizedError"),
    "token_rejected": (403, "TokenError"),
    "permission_denied": (403, "PermissionDenied"),
    "forbidden": (403, "ForbiddenError"),
    "not_found": (404, "NotFound"),
    "gone": (410, "Gone"),
    "conflict": (409, "Conflict"),
    "too_large": (413, "PayloadTooLarge"),
    "rate_limited": (429, "RateLimitExceeded"),
    "unavailable": (503, "ServiceUnavailable"),
    "error": (500, "InternalServerError"),
}

# What the frameworks refuse before one of our kinds can, most special first.
_KIND_OF_EXCEPTION: tuple[tuple[type[Exception], str, str], ...] = (
    (Http404, "not_found", "There is nothing at this address."),
    (exceptions.NotFound, "not_found", "There is nothing at this address."),
    (exceptions.NotAuthenticated, "unauthenticated", "Authentication is required: send a bearer token or log in."),
    (exceptions.AuthenticationFailed, "unauthenticated", "The credentials are not valid."),
    (exceptions.PermissionDenied, "permission_denied", ""),
    (DjangoPermissionDenied, "permission_denied", "This is not allowed."),
    (exceptions.ParseError, "malformed", "The body cannot be read."),
    (exceptions.Throttled, "rate_limited", "Too many requests."),
    (RequestDataTooBig, "too_large", "The body is larger than is read."),
    (TooManyFieldsSent, "too_large", "The body has more fields than are read."),
    (TooManyFilesSent, "too_large", "The body has more files than are read."),
    (SuspiciousOperation, "invalid", "The request cannot be read."),
    (BadRequest, "invalid", "The request cannot be read."),
    (OperationalError, "unavailable", "The database does not answer; nothing was done. Try again."),
    (InterfaceError, "unavailable", "The database does not answer; nothing was done. Try again."),
    # PostgreSQL says so of a standby, which is read-only.
    (InternalError, "unavailable", "The database takes no changes; nothing was done. Try again."),
    # A race or a width that no service foresaw: the database's text stays inside and is logged.
    (IntegrityError, "conflict", "Another act stands in the way; nothing was done. Look again, then try again."),
    (DataError, "invalid", "A value is one that the database cannot hold; nothing was done."),
)
# These keep their own status: they are about HTTP, so no kind of ours stands for them.
_HTTP_REFUSALS = (exceptions.MethodNotAllowed, exceptions.UnsupportedMediaType, exceptions.NotAcceptable)
_RETRY_AFTER_DATABASE = 5
# A body of a megabyte can hold a hundred thousand faults; nobody reads more than these.
_ISSUES_LIMIT = 200
_MESSAGE_LIMIT = 2000


# --- The body ---------------------------------------------------------------------------------------------------------


def error_body(
    *,
    request_id: str,
    status: int,
    error: str,
    message: str | list[dict[str, Any]],
    details: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """The one form of every error under ``/api/``."""
    return {"reqId": request_id, "statusCode": status, "message": message, "error": error, "details": list(details)}


def _detail_of(violation: Violation, body: object) -> dict[str, Any]:
    return {
        "pointer": pointer_of(violation.field),
        "code": violation.code,
        "rule": violation.rule,
        "asked": violation.asked,
        "allowed": violation.allowed,
        "fix": violation.fix,
        "patch": json_patch(violation.changes, body),
    }


def _answer_of(exc: Exception, request: HttpRequest | None) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Body, status and headers for any exception; of what nobody foresaw the text stays inside."""
    request_id = str(getattr(request, "request_id", "") or f"req-{secrets.token_hex(8)}")
    kind, message = _kind_and_message(exc)
    status, error = STATUS_OF_KIND[kind]
    if isinstance(exc, _HTTP_REFUSALS):
        status = exc.status_code
        error = HTTPStatus(status).phrase.title().replace(" ", "")
    told: str | list[dict[str, Any]] = message
    violations: Sequence[Violation] = exc.violations if isinstance(exc, PortalError) else ()
    # Only what has been read and judged offers changes, so that there is a body then.
    body_sent = getattr(request, "data", None) if any(violation.changes for violation in violations) else None
    details = [_detail_of(violation, body_sent) for violation in violations]
    if isinstance(exc, exceptions.ValidationError):
        told = list(issues_of(exc.detail))[:_ISSUES_LIMIT]
        details = [_detail_of_issue(issue) for issue in told]
    elif kind == "malformed":
        told = [_issue_of(violation) for violation in violations] or [_custom_issue(message)]
    body = error_body(request_id=request_id, status=status, error=error, message=told, details=details)
    return body, status, _headers_of(exc, kind)


def _kind_and_message(exc: Exception) -> tuple[str, str]:
    if isinstance(exc, PortalError):
        return (exc.kind, exc.message) if exc.kind != "error" else ("error", "Something went wrong on our side.")
    if isinstance(exc, exceptions.ValidationError):
        return "malformed", ""
    if isinstance(exc, _HTTP_REFUSALS):
        return "invalid", str(exc.detail)
    for known, kind, message in _KIND_OF_EXCEPTION:
        if isinstance(exc, known):
            return kind, message or str(exc)
    return "error", "Something went wrong on our side."


def _headers_of(exc: Exception, kind: str) -> dict[str, str]:
    headers: dict[str, str] = {}
    retry_after = getattr(exc, "retry_after", None)
    if isinstance(exc, exceptions.Throttled):
        retry_after = getattr(exc, "wait", None) or 1
    elif retry_after is None and kind == Unavailable.kind:
        retry_after = _RETRY_AFTER_DATABASE
    if retry_after is not None:
        headers["Retry-After"] = str(max(1, int(retry_after)))
    if kind == "unauthenticated":
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def handle(exc: Exception, context: dict[str, Any]) -> Response:
    """REST framework exception handler: every exception becomes the one error body; none leaves as a traceback."""
    request = context.get("request")
    body, status, headers = _answer_of(exc, request)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR or isinstance(exc, IntegrityError | DataError):
        logger.error("unforeseen exception, told as %s", body["reqId"], exc_info=exc)
    elif status == HTTPStatus.SERVICE_UNAVAILABLE:
        if not getattr(exc, "is_recorded", False):
            logger.error("%s: %s", type(exc).__name__, exc)
    elif request is not None:
        _record(exc, request, body)
    if isinstance(exc, exceptions.MethodNotAllowed) and request is not None:
        headers["Allow"] = ", ".join(context["view"].allowed_methods)
    return Response(body, status=status, headers=headers)


def _record(exc: Exception, request: Request, body: dict[str, Any]) -> None:
    """Leave an audit event of a refusal that no service has recorded; of a wrong form, without what was typed."""
    refusal: PortalError
    if isinstance(exc, PortalError):
        refusal = exc
    elif isinstance(exc, exceptions.ValidationError):
        violations = [
            Violation(detail["pointer"], detail["code"], detail["rule"], "", detail["allowed"], detail["fix"])
            for detail in body["details"]
        ]
        refusal = Malformed("The body has not the right form.", violations=violations)
    elif isinstance(exc, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        refusal = Unauthenticated(body["message"])
    elif isinstance(exc, exceptions.PermissionDenied):
        refusal = PermissionDenied(body["message"])
    elif isinstance(exc, exceptions.ParseError):
        refusal = Malformed("The body cannot be read.")
    else:
        return
    try:
        record_at_the_door(request, refusal)
    except DatabaseError:
        logger.exception("a refusal could not be recorded: %s", refusal.message)


# --- Issues in the form of the reference's validator ------------------------------------------------------------------

_EXPECTED = re.compile(r"Expected (\w+), received (\w+)")
_NUMBER = re.compile(r"-?\d+")
_OPTION = re.compile(r"'([^']*)' \||'([^']*)', received '(.*)'", re.DOTALL)
_BOUND_CODES: dict[str, tuple[str, str]] = {
    "max_length": ("too_big", "maximum"),
    "max_value": ("too_big", "maximum"),
    "min_length": ("too_small", "minimum"),
    "min_value": ("too_small", "minimum"),
}


def issues_of(detail: object, path: tuple[str | int, ...] = ()) -> Iterator[dict[str, Any]]:
    """The issues in the REST framework's tree of errors, each with ``code``, ``path`` and ``message``."""
    if isinstance(detail, ErrorDetail):
        yield _issue_of_detail(detail, path)
    elif isinstance(detail, dict):
        for key, inner in detail.items():
            yield from issues_of(inner, path if key == "non_field_errors" else (*path, key))
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            # A list of texts is about this value; a list of trees goes through its members.
            yield from issues_of(inner, path if isinstance(inner, ErrorDetail) else (*path, index))


def _issue_of_detail(detail: ErrorDetail, path: tuple[str | int, ...]) -> dict[str, Any]:
    text = str(detail)[:_MESSAGE_LIMIT]  # some of the framework's repeat the value
    code = str(detail.code)
    where = {"path": list(path), "message": text}
    if code == "required":
        return {
            "code": "invalid_type",
            "expected": "value",
            "received": "undefined",
            "path": list(path),
            "message": "Required",
        }
    if code == "null":
        return {"code": "invalid_type", "expected": "value", "received": "null"} | where
    if expected := _EXPECTED.fullmatch(text):
        return {"code": "invalid_type", "expected": expected[1], "received": expected[2]} | where
    if code == "blank":
        return {"code": "too_small", "minimum": 1, "type": "string", "inclusive": True, "exact": False} | where
    if code in _BOUND_CODES and (bound := _NUMBER.search(text)):
        name, key = _BOUND_CODES[code]
        return {
            "code": name,
            key: int(bound[0]),
            "type": _measured(code, text),
            "inclusive": True,
            "exact": False,
        } | where
    if code == "invalid_choice":
        found = _OPTION.findall(text)
        options = [first or last for first, last, _ in found]
        return {"received": found[-1][2] if found else "", "code": "invalid_enum_value", "options": options} | where
    if code == "invalid_uuid":
        return {"validation": "uuid", "code": "invalid_string"} | where
    if isinstance(detail.code, IssueCode):
        return {"code": "custom", "params": {"asked": detail.code.asked, "allowed": detail.code.allowed}} | where
    return {"code": "custom"} | where


def _measured(code: str, text: str) -> str:
    if code.endswith("_value"):
        return "number"
    return "array" if "elements" in text else "string"


def _issue_of(violation: Violation) -> dict[str, Any]:
    path: list[str | int] = [
        int(part) if part.isdecimal() else part.replace("~1", "/").replace("~0", "~")
        for part in pointer_of(violation.field).split("/")[1:]
    ]
    if violation.code == "invalid_uuid":
        return {"validation": "uuid", "code": "invalid_string", "message": violation.fix, "path": path}
    return _custom_issue(violation.fix, path)


def _custom_issue(message: str, path: Sequence[str | int] = ()) -> dict[str, Any]:
    return {"code": "custom", "message": message, "path": list(path)}


def _detail_of_issue(issue: dict[str, Any]) -> dict[str, Any]:
    asked, allowed, fix = _told_of(issue)
    return {
        "pointer": "".join(f"/{pointer_token(str(part))}" for part in issue["path"]),
        "code": str(issue["code"]),
        "rule": "the form of the request",
        "asked": asked,
        "allowed": allowed,
        "fix": fix,
        "patch": None,
    }


def _told_of(issue: dict[str, Any]) -> tuple[str, str, str]:
    """What was asked, what is allowed and what would pass; never the value of a field, but for names and times."""
    message = str(issue["message"])
    match issue["code"]:
        case "invalid_type" if issue["received"] == "undefined":
            return "nothing", "a value", "Send a value: this field is required."
        case "invalid_type" if issue["received"] == "null":
            return "null", "a value", "Send a value instead of null."
        case "invalid_type":
            allowed = _with_article(str(issue["expected"]))
            return _with_article(str(issue["received"])), allowed, f"Send {allowed}."
        case "too_big" | "too_small" as code:
            relation, beyond, bound = ("at most", "more than", "maximum") if code == "too_big" else (
                "at least", "less than", "minimum")  # fmt: skip
            measure = f"{issue[bound]}{_UNIT_OF_TYPE[issue['type']]}"
            return f"{beyond} {measure}", f"{relation} {measure}", f"Send {relation} {measure}."
        case "invalid_enum_value":
            options = ", ".join(issue["options"])
            return str(issue["received"]), options, f"Send one of: {options}."
        case "invalid_string":
            return "", "a UUID", "Send a UUID: 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12."
    params = issue.get("params", {})
    return params.get("asked", ""), params.get("allowed", ""), message


_UNIT_OF_TYPE = {"string": " characters", "array": " members", "number": ""}


def _with_article(kind: str) -> str:
    return kind if kind == "null" else f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


# --- What Django answers outside a view -------------------------------------------------------------------------------


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django itself could not read (``handler400``)."""
    return _json(request, exception) if _is_api(request) else defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a refusal outside the REST framework (``handler403``)."""
    return _json(request, exception) if _is_api(request) else _unkept(defaults.permission_denied(request, exception))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an address that no URL pattern knows, or that is not there for this person (``handler404``)."""
    return _json(request, exception) if _is_api(request) else _unkept(defaults.page_not_found(request, exception))


def _unkept(page: HttpResponse) -> HttpResponse:
    # What is not there for one person is there for another, and later perhaps for the same one.
    patch_cache_control(page, private=True, no_store=True)
    return page


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer an exception that left a view or a middleware (``handler500``); Django has logged it."""
    if not _is_api(request):
        return defaults.server_error(request)
    exception = sys.exception()
    return _json(request, exception if isinstance(exception, Exception) else PortalError("unknown"))


def refused(request: HttpRequest, refusal: Busy) -> HttpResponse:
    """Answer what is refused before a view, with the time after which to ask again."""
    if _is_api(request):
        return _json(request, refusal)
    page = render_to_string("503.html")
    return _unkept(HttpResponse(page, status=503, headers=_headers_of(refusal, refusal.kind)))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a POST without its CSRF token (``CSRF_FAILURE_VIEW``)."""
    return permission_denied(request, DjangoPermissionDenied(reason))


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def _json(request: HttpRequest, exception: Exception) -> HttpResponse:
    body, status, headers = _answer_of(exception, request)
    return JsonResponse(body, status=status, headers=headers)
