import json
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import DataError, IntegrityError, InternalError, OperationalError
from django.http import Http404, HttpRequest
from django.test import Client, RequestFactory
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.test import APIClient
from rest_framework.views import APIView

from pki_portal import api, errors
from pki_portal.errors import Violation
from pki_portal.rest import EnumField, StrictCharField, StrictIntegerField, StrictListField, UUIDField, WireSerializer
from tests.assertions import assert_error
from tests.factories import make_project, make_user
from tests.pki_portal.test_rest import Colour

pytestmark = pytest.mark.django_db


def handled(exc: Exception) -> Any:
    request = Request(RequestFactory().post("/api/v1/projects"))
    return api.handle(exc, {"request": request, "view": APIView()})


@pytest.mark.parametrize(
    ("exc", "status", "error"),
    [
        (errors.Malformed("m"), 422, "ValidationFailure"),
        (errors.Invalid("m"), 400, "BadRequest"),
        (errors.Unauthenticated("m"), 401, "UnauthorizedError"),
        (errors.TokenRejected("m"), 403, "TokenError"),
        (errors.PermissionDenied("m"), 403, "PermissionDenied"),
        (errors.Forbidden("m"), 403, "ForbiddenError"),
        (errors.NotFound("m"), 404, "NotFound"),
        (errors.Gone("m"), 410, "Gone"),
        (errors.Conflict("m"), 409, "Conflict"),
        (errors.TooLarge("m"), 413, "PayloadTooLarge"),
        (errors.RateLimited("m", retry_after=7), 429, "RateLimitExceeded"),
        (errors.Unavailable("m"), 503, "ServiceUnavailable"),
        (Http404(), 404, "NotFound"),
        (exceptions.NotFound(), 404, "NotFound"),
        (exceptions.NotAuthenticated(), 401, "UnauthorizedError"),
        (exceptions.AuthenticationFailed(), 401, "UnauthorizedError"),
        (exceptions.PermissionDenied(), 403, "PermissionDenied"),
        (DjangoPermissionDenied(), 403, "PermissionDenied"),
        (exceptions.ParseError(), 422, "ValidationFailure"),
        (exceptions.MethodNotAllowed("PUT"), 405, "MethodNotAllowed"),
        (exceptions.UnsupportedMediaType("text/plain"), 415, "UnsupportedMediaType"),
        (exceptions.NotAcceptable(), 406, "NotAcceptable"),
        (exceptions.Throttled(wait=3), 429, "RateLimitExceeded"),
        (RequestDataTooBig(), 413, "PayloadTooLarge"),
        (SuspiciousOperation(), 400, "BadRequest"),
        (OperationalError("secret dsn"), 503, "ServiceUnavailable"),
        (InternalError("read-only"), 503, "ServiceUnavailable"),
        (IntegrityError("secret row"), 409, "Conflict"),
        (DataError("secret row"), 400, "BadRequest"),
    ],
)
def test_every_kind_has_its_status_and_name(exc: Exception, status: int, error: str) -> None:
    response = handled(exc)
    assert (response.status_code, response.data["statusCode"], response.data["error"]) == (status, status, error)
    assert response.data["message"]
    assert "secret" not in json.dumps(response.data)


def test_every_kind_of_portal_error_stands_in_the_table() -> None:
    assert {kind.kind for kind in errors.PortalError.__subclasses__()} <= set(api.STATUS_OF_KIND)


def test_an_unforeseen_exception_is_logged_and_its_text_stays_inside(caplog: pytest.LogCaptureFixture) -> None:
    response = handled(RuntimeError("the password is hunter2"))
    assert response.status_code == 500
    assert "hunter2" not in json.dumps(response.data)
    assert response.data["reqId"] in caplog.text


@pytest.mark.parametrize("exc", [IntegrityError("row hunter2"), DataError("row hunter2")])
def test_what_the_database_refuses_is_logged_and_its_text_stays_inside(
    exc: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    response = handled(exc)
    assert "hunter2" not in json.dumps(response.data)
    assert response.data["reqId"] in caplog.text
    assert "hunter2" in caplog.text


@pytest.mark.parametrize(
    ("exc", "seconds"),
    [
        (errors.RateLimited("m", retry_after=7), "7"),
        (errors.Unavailable("m", retry_after=30), "30"),
        (errors.Conflict("m", retry_after=1), "1"),
        (OperationalError(), "5"),
    ],
)
def test_retry_after_is_sent_where_waiting_helps(exc: Exception, seconds: str) -> None:
    assert handled(exc)["Retry-After"] == seconds


def test_conflict_without_a_time_sends_no_retry_after() -> None:
    assert "Retry-After" not in handled(errors.Conflict("m"))


def test_401_names_the_scheme() -> None:
    assert handled(errors.Unauthenticated("m"))["WWW-Authenticate"] == "Bearer"


def test_details_carry_every_violation() -> None:
    violation = Violation("subject_alternative_names/3", "not_allowed", "sans", "x.org", "*.example.com", "Use y.")
    response = handled(errors.Invalid("m", violations=[violation, violation]))
    assert response.data["message"] == "m"
    assert response.data["details"][0] == {
        "pointer": "/attributes/altNames/3",
        "code": "not_allowed",
        "rule": "sans",
        "asked": "x.org",
        "allowed": "*.example.com",
        "fix": "Use y.",
        "patch": None,
    }
    assert len(response.data["details"]) == 2


def test_malformed_tells_issues_in_the_reference_form() -> None:
    violation = Violation("ttl", "bad_ttl", "r", "x", "30d", "Write it as 30d.")
    response = handled(errors.Malformed("m", violations=[violation]))
    assert response.data["message"] == [
        {"code": "custom", "message": "Write it as 30d.", "path": ["attributes", "ttl"]}
    ]


# --- issues


class ItemSerializer(WireSerializer):
    value = StrictCharField()


class BodySerializer(WireSerializer):
    text = StrictCharField(max_length=3, min_length=2, required=False)
    number = StrictIntegerField(min_value=1, max_value=30, required=False)
    colour = EnumField(Colour, required=False)
    key = UUIDField(required=False)
    needed = StrictCharField()
    items = StrictListField(child=ItemSerializer(), required=False, max_length=2)


def issues(data: object) -> list[dict[str, Any]]:
    serializer = BodySerializer(data=data)
    with pytest.raises(serializers.ValidationError) as caught:
        serializer.is_valid(raise_exception=True)
    message: list[dict[str, Any]] = handled(caught.value).data["message"]
    return message


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, {"code": "invalid_type", "received": "undefined", "path": ["needed"], "message": "Required"}),
        ({"needed": None}, {"code": "invalid_type", "received": "null", "path": ["needed"]}),
        ({"needed": 5}, {"code": "invalid_type", "expected": "string", "received": "number", "path": ["needed"]}),
        ({"needed": " "}, {"code": "too_small", "minimum": 1, "type": "string", "path": ["needed"]}),
        ({"needed": "x", "text": "abcd"}, {"code": "too_big", "maximum": 3, "type": "string", "path": ["text"]}),
        ({"needed": "x", "text": "a"}, {"code": "too_small", "minimum": 2, "type": "string", "path": ["text"]}),
        ({"needed": "x", "number": 31}, {"code": "too_big", "maximum": 30, "type": "number", "inclusive": True}),
        ({"needed": "x", "number": 0}, {"code": "too_small", "minimum": 1, "type": "number"}),
        ({"needed": "x", "number": 1.5}, {"code": "invalid_type", "expected": "integer", "received": "float"}),
        (
            {"needed": "x", "colour": "green"},
            {"code": "invalid_enum_value", "options": ["red", "sea-blue"], "received": "green", "path": ["colour"]},
        ),
        ({"needed": "x", "key": "?"}, {"code": "invalid_string", "validation": "uuid", "message": "Invalid uuid"}),
        ({"needed": "x", "items": [{"value": "a"}, {}]}, {"code": "invalid_type", "path": ["items", 1, "value"]}),
        ({"needed": "x", "items": [{}] * 3}, {"code": "too_big", "maximum": 2, "type": "array", "path": ["items"]}),
        ([], {"code": "invalid_type", "expected": "object", "received": "array", "path": []}),
    ],
)
def test_validation_errors_have_the_reference_form(data: object, expected: dict[str, Any]) -> None:
    found = issues(data)
    assert len(found) == 1
    assert expected.items() <= found[0].items()


def test_validation_errors_are_all_told_with_their_pointers() -> None:
    serializer = BodySerializer(data={"items": [{}, {"value": 1}]})
    with pytest.raises(serializers.ValidationError) as caught:
        serializer.is_valid(raise_exception=True)
    details = handled(caught.value).data["details"]
    assert [detail["pointer"] for detail in details] == ["/needed", "/items/0/value", "/items/1/value"]


@pytest.mark.parametrize(
    ("data", "asked", "allowed", "fix"),
    [
        ({}, "nothing", "a value", "Send a value: this field is required."),
        ({"needed": None}, "null", "a value", "Send a value instead of null."),
        ({"needed": 5}, "a number", "a string", "Send a string."),
        ({"needed": "x", "number": 1.5}, "a float", "an integer", "Send an integer."),
        ([], "an array", "an object", "Send an object."),
        (
            {"needed": "x", "text": "abcd"},
            "more than 3 characters",
            "at most 3 characters",
            "Send at most 3 characters.",
        ),
        ({"needed": "x", "number": 0}, "less than 1", "at least 1", "Send at least 1."),
        ({"needed": "x", "items": [{}] * 3}, "more than 2 members", "at most 2 members", "Send at most 2 members."),
        ({"needed": "x", "colour": "green"}, "green", "red, sea-blue", "Send one of: red, sea-blue."),
    ],
)
def test_details_of_a_wrong_form_tell_what_would_pass(data: object, asked: str, allowed: str, fix: str) -> None:
    serializer = BodySerializer(data=data)
    with pytest.raises(serializers.ValidationError) as caught:
        serializer.is_valid(raise_exception=True)
    (detail,) = handled(caught.value).data["details"]
    assert (detail["asked"], detail["allowed"], detail["fix"]) == (asked, allowed, fix)


# --- outside the views


@pytest.mark.django_db
def test_a_page_that_is_not_there_for_one_person_is_kept_by_no_cache(client: Client) -> None:
    client.force_login(make_user("charlie"))
    for address in ("/nonsense/", f"/projects/{make_project().slug}/"):
        answer = client.get(address)
        assert answer.status_code == 404
        assert "no-store" in answer.headers["Cache-Control"]


def test_unknown_api_address_answers_json(client: Client) -> None:
    assert_error(client.get("/api/v1/nonsense"), status=404, error="NotFound")


def test_unknown_page_answers_html(client: Client) -> None:
    response = client.get("/nonsense")
    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")


def test_trailing_slash_under_api_is_not_redirected(client: Client) -> None:
    assert_error(client.post("/api/v1/auth/universal-auth/login/"), status=404, error="NotFound")


def test_wrong_method_is_405_and_names_the_right_ones() -> None:
    response = APIClient().get("/api/v1/auth/universal-auth/login")
    assert_error(response, status=405, error="MethodNotAllowed")
    assert "POST" in response["Allow"]


def test_foreign_host_is_refused_as_json(client: Client) -> None:
    assert_error(client.get("/api/v1/projects", headers={"host": "evil.example"}), status=400, error="BadRequest")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b"[" * 100_000, 422),
        (b"\xff", 422),
        (b"null", 422),
        (b"[]", 422),
        (b'"text"', 422),
        (b"5", 422),
        (b'"' + b"a" * 10_000_000 + b'"', 413),
    ],
)
def test_hostile_bodies_are_refused(client: Client, body: bytes, status: int) -> None:
    response = client.post("/api/v1/auth/universal-auth/login", body, content_type="application/json")
    assert response.status_code == status, response.content[:300]
    assert response.json()["statusCode"] == status


def test_a_body_of_another_type_is_415(client: Client) -> None:
    response = client.post("/api/v1/auth/universal-auth/login", b"<a/>", content_type="text/xml")
    assert_error(response, status=415, error="UnsupportedMediaType")


def test_a_body_without_content_type_is_json(client: Client) -> None:
    response = client.post("/api/v1/auth/universal-auth/login", b"{}", content_type="")
    assert_error(response, status=422, error="ValidationFailure", field="/clientId")


def test_request_id_is_in_header_and_body(client: Client) -> None:
    response = client.get("/api/v1/projects")
    assert response.json()["reqId"] == response["X-Request-Id"]


def test_server_error_under_api_is_json_and_503_for_the_database() -> None:
    request: HttpRequest = RequestFactory().get("/api/v1/projects")
    for exc, status in ((OperationalError("dsn"), 503), (RuntimeError("dsn"), 500)):
        try:
            raise exc
        except (OperationalError, RuntimeError):
            response = api.server_error(request)
        assert response.status_code == status
        assert b"dsn" not in response.content


def test_csrf_failure_on_a_page_is_html() -> None:
    response = api.csrf_failure(RequestFactory().post("/accounts/set-password/"), reason="no token")
    assert response.status_code == 403
    assert response["Content-Type"].startswith("text/html")
