"""The request id: ours, in the answer and in every log line about it."""

import logging
import re

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from pki_portal.middleware import RequestIdFilter, RequestIdMiddleware


def make_record() -> logging.LogRecord:
    record = logging.LogRecord("test", logging.INFO, __file__, 1, "text", None, None)
    assert RequestIdFilter().filter(record)
    return record


def test_each_answer_carries_an_id_of_its_own(client: Client) -> None:
    first, second = (client.get("/healthz")["X-Request-Id"] for _ in range(2))
    assert re.fullmatch(r"req-[0-9a-f]{16}", first)
    assert first != second


def test_an_id_sent_by_the_client_is_not_taken(client: Client) -> None:
    assert client.get("/healthz", headers={"X-Request-Id": "req-forged"})["X-Request-Id"] != "req-forged"


def test_log_records_carry_the_id_of_their_request_and_of_no_other() -> None:
    seen: list[tuple[object, object]] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append((vars(request)["request_id"], vars(make_record())["request_id"]))
        return HttpResponse()

    answer = RequestIdMiddleware(view)(RequestFactory().get("/"))
    assert seen == [(answer["X-Request-Id"], answer["X-Request-Id"])]
    assert vars(make_record())["request_id"] == "-"


def test_the_id_is_taken_back_when_the_view_fails() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        RequestIdMiddleware(view)(RequestFactory().get("/"))
    assert vars(make_record())["request_id"] == "-"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/status", "/api/v1/projects", "/api/v1/nothing-here"])
def test_no_answer_of_the_api_is_kept_by_a_cache(client: Client, path: str) -> None:
    assert "no-store" in client.get(path)["Cache-Control"]
