"""What has waited too long for a web process is refused at once, instead of being answered when nobody listens any
more.

A sync worker takes one request at a time; the others wait in the queue of the listening socket (``backlog`` in
``gunicorn.conf.py``), where nobody can tell them anything. When a worker comes to one, the kernel knows how long ago
its last byte came: that is how long it has waited at least, measured by one clock and by no header that somebody sends.
To refuse costs a fraction of a millisecond, so under more load than it can bear the portal works through the queue as
fast as it fills, answers as much as it can, and nobody waits much longer than this.
"""

import socket
import struct
import time
from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse

from pki_portal.api import refused
from pki_portal.errors import Busy
from pki_portal.metrics import QUEUE_WAIT_SECONDS, observe

# Programs and proxies wait for ten seconds and more; a queue of this length is no burst any more.
LONGEST_WAIT_SECONDS: Final = 5.0
RETRY_AFTER_SECONDS: Final = 2
# Supervisors ask whether it is alive, and it is: no node is to be taken away for having much to do.
NEVER_TURNED_AWAY: Final = frozenset({"/healthz", "/readyz", "/metrics"})

# struct tcp_info of Linux: eight bytes, then numbers of four; tcpi_last_data_recv, in milliseconds, is the twelfth.
_TCP_INFO: Final[int | None] = getattr(socket, "TCP_INFO", None)
_LAST_DATA_RECEIVED: Final = struct.Struct("=52xI")


class AdmissionMiddleware:
    """Answers 503 with Retry-After in the place of everything behind it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._ready_since = time.monotonic()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        connection = request.META.get("gunicorn.socket")
        waited = None if connection is None else seconds_waited(connection)
        if waited is None or request.path_info in NEVER_TURNED_AWAY:
            return self.get_response(request)
        # Who came before this process was ready has waited for a restart, which is no load, and is over.
        if waited <= LONGEST_WAIT_SECONDS or waited >= time.monotonic() - self._ready_since:
            observe(QUEUE_WAIT_SECONDS, waited, outcome="served")
            return self.get_response(request)
        observe(QUEUE_WAIT_SECONDS, waited, outcome="turned_away")
        return refused(
            request,
            Busy(
                "The portal has more to do than it can, and this request has waited too long already; nothing was done."
                " Try again.",
                retry_after=RETRY_AFTER_SECONDS,
            ),
        )


def seconds_waited(connection: socket.socket) -> float | None:
    """Since the last byte came; None where that cannot be known: not TCP, or not Linux."""
    if _TCP_INFO is None or connection.family not in {socket.AF_INET, socket.AF_INET6}:
        return None
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _LAST_DATA_RECEIVED.size)
    except OSError:
        return None
    if len(info) < _LAST_DATA_RECEIVED.size:
        return None
    milliseconds: int = _LAST_DATA_RECEIVED.unpack(info)[0]
    return milliseconds / 1000
