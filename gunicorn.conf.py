"""How the portal is served; the reasons and the measurements stand in docs/ and in the comments here."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from certificates.x509 import key_pool
from pki_portal import settings

if settings.UNREADABLE:
    sys.exit("; ".join(settings.UNREADABLE.values()) + ".")
bind = settings.LISTEN
worker_class = "sync"
workers = settings.WEB_CONCURRENCY
# What waits for a worker. What has waited too long is refused in a fraction of a millisecond (pki_portal/admission.py),
# so a full queue is gone in a second; what finds no place in it is not accepted, and a proxy asks another node.
backlog = 1024
timeout = 60
graceful_timeout = 30
keepalive = 5
# Memory grows by next to nothing (docs/benchmarks.md, G11), and who is replaced costs the others two seconds of CPU.
max_requests = 50_000
max_requests_jitter = 5_000
# The API's description allows a hundred ids in one query; the default of 4094 bytes would cut that short.
limit_request_line = 8190
# Keys and database connections must not be shared through fork.
preload_app = False
# A shared-memory heartbeat file does not stall with the disk.
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - the file is made by gunicorn, under a random name
worker_tmp_dir = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
# Query strings can hold what must not be kept; the audit trail says who did what.
accesslog = None
errorlog = "-"
loglevel = "info"
# The control socket lets anything with our uid stop the server, and lies in a home folder that may not exist.
control_socket_disable = True
chdir = str(Path(__file__).parent)
proc_name = "pki-portal"


def when_ready(server: Any) -> None:
    """Start what works beside the web server, under a keeper that starts it again if it crashes; the pool of keys is
    there before the web processes are forked, which share it.
    """
    kept: list[dict[str, Any]] = []
    descriptors: list[int] = []
    if settings.WORKER:
        kept.append({"command": [sys.executable, "manage.py", "worker", "--parent"]})
    if settings.KEY_POOL and sys.platform == "linux":
        with suppress(OSError):  # without it each process makes the keys that it needs
            descriptors = key_pool.open_once().descriptors()
            maker = [sys.executable, "-m", "certificates.x509.key_pool_process", ",".join(map(str, descriptors))]
            kept.append({"command": maker, "descriptors": descriptors})
    if kept:
        # With the server, which outlives a reload; this module does not.
        server.keeper = subprocess.Popen(  # noqa: S603 - our own interpreter and our own commands
            [sys.executable, "-m", "pki_portal.background.keeper", json.dumps(kept)], pass_fds=descriptors
        )


def on_exit(server: Any) -> None:
    """End all that with the web server. Of a server that was killed the keeper notices the end by itself."""
    keeper: subprocess.Popen[bytes] | None = getattr(server, "keeper", None)
    if keeper is not None:
        keeper.terminate()
        keeper.wait()
