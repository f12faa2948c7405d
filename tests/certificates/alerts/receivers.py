"""Receivers of alerts as they are in the world: an HTTP server and a mail server, each on a port of this machine."""

import email
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from tests.portal import free_port

LOOPBACK = ["127.0.0.0/8"]


@dataclass
class Receiver:
    """What came, and what is answered: the statuses one by one, then 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    received: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def webhook_receiver(*statuses: int, **headers: str) -> Iterator[Receiver]:
    """A web server that keeps what it gets."""
    receiver = Receiver(statuses=list(statuses), headers=headers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.received.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook?for=pki"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class MailServer:
    """A mail server with its mail; ``answer`` is what it says to every recipient."""

    host: str = ""
    port: int = 0
    answer: str = "250 OK"
    mail: list[tuple[list[str], Message]] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - the name that aiosmtpd calls
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if self.answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - as above
        self.mail.append((list(envelope.rcpt_tos), email.message_from_bytes(envelope.content)))
        return "250 taken"


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """A real SMTP server."""
    server = MailServer()
    controller = Controller(server, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        server.host, server.port = controller.hostname, controller.port
        yield server
    finally:
        controller.stop()
