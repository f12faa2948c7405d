"""What waited too long for a process is refused with the time after which to come back."""

import json
import socket
import time
from collections.abc import Iterator

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory

from pki_portal import admission
from pki_portal.admission import AdmissionMiddleware, seconds_waited


@pytest.fixture
def waiting(client: Client) -> Iterator[socket.socket]:
    """The server's end of a connection whose only bytes came a while ago, when the portal was ready."""
    client.get("/healthz")
    time.sleep(0.02)  # the kernel's clock for this goes in steps of up to ten milliseconds
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as sender,
    ):
        sender.sendall(b"GET / HTTP/1.1\r\n\r\n")
        time.sleep(0.05)
        connection, _ = server.accept()
        with connection:
            connection.recv(100)
            yield connection


def test_the_kernel_tells_how_long_a_request_lay_in_the_queue(waiting: socket.socket) -> None:
    waited = seconds_waited(waiting)
    assert waited is not None
    assert waited >= 0.04


def test_of_what_is_no_tcp_nothing_is_known() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert seconds_waited(ours) is None
    assert seconds_waited(ours) is None


def test_nothing_is_known_of_a_closed_connection(waiting: socket.socket) -> None:
    waiting.close()
    assert seconds_waited(waiting) is None


def ask(client: Client, path: str, connection: socket.socket) -> tuple[int, str, str]:
    answer = client.get(path, **{"gunicorn.socket": connection})  # type: ignore[arg-type]
    return answer.status_code, answer.get("Retry-After", ""), answer.content.decode()


def test_who_waited_too_long_gets_an_answer_of_the_api_without_a_query(
    client: Client, waiting: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "LONGEST_WAIT_SECONDS", 0.01)
    status, retry_after, text = ask(client, "/api/v1/projects", waiting)
    assert (status, retry_after) == (503, "2")
    body = json.loads(text)
    assert (body["statusCode"], body["error"]) == (503, "ServiceUnavailable")
    assert "nothing was done" in body["message"]


def test_people_get_a_page_that_says_so(
    client: Client, waiting: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "LONGEST_WAIT_SECONDS", 0.01)
    answer = client.get("/", **{"gunicorn.socket": waiting})  # type: ignore[arg-type]
    assert (answer.status_code, answer["Retry-After"]) == (503, "2")
    assert "Too much to do just now" in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    assert "default-src 'none'" in answer["Content-Security-Policy"]


def test_supervisors_are_always_answered(
    client: Client, waiting: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "LONGEST_WAIT_SECONDS", 0.01)
    assert ask(client, "/healthz", waiting)[0] == 200


def test_who_waited_for_a_restart_is_served(waiting: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "LONGEST_WAIT_SECONDS", 0.01)
    started_after_it_came = AdmissionMiddleware(lambda _: HttpResponse("served"))
    request = RequestFactory().get("/api/v1/projects", **{"gunicorn.socket": waiting})  # type: ignore[arg-type]
    assert started_after_it_came(request).content == b"served"


def test_who_waited_a_little_is_served(client: Client, waiting: socket.socket) -> None:
    assert ask(client, "/api/status", waiting)[0] == 200
