#!/usr/bin/env python3
"""Ends with a message where the portal could not listen, before a first start writes that address into certificates."""

import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pki_portal import settings


def main() -> str | None:
    """What stands in the way, or None."""
    if settings.UNREADABLE:
        return None  # the next step says so
    host, _, port = settings.LISTEN.rpartition(":")
    try:
        found = socket.getaddrinfo(
            host.strip("[]") or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as listener:
            # As gunicorn does: what a server that just ended left behind is no obstacle.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        what = f"{settings.LISTEN} cannot be listened on ({reason}); nothing was made."
        return f"{what} Free it, or set another PORT in .env"
    return None


if __name__ == "__main__":
    sys.exit(main())
