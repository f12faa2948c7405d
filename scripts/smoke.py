#!/usr/bin/env python3
"""``make run`` as the README says it, on an empty installation: it serves and issues, and run again it changes nothing.

python scripts/smoke.py
python scripts/with_postgres.py python scripts/smoke.py
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv" / "bin" / "python"
START_TIMEOUT_SECONDS = 120
PAGES = ("/healthz", "/readyz", "/api/status", "/accounts/login/", "/api/schema/")
SECRETS = ("clientSecret", "adminSetPasswordUrl")


def main() -> None:
    """Raises where something is not as promised; what ``make run`` prints holds secrets and stays unseen."""
    with tempfile.TemporaryDirectory(prefix="pki-portal-smoke-") as folder:
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        environment = os.environ | {
            "PKI_PORTAL_VAR": str(Path(folder) / "var"),
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "SITE_URL": url,
        }
        with _make_run(environment, url):
            for page in PAGES:
                _send("GET", url + page)
            made = json.loads(_manage(environment, "quickstart", "--json", "--new-client-secret"))
            certificate = _issue(url, made)
        _demand("BEGIN PRIVATE KEY" in certificate["privateKey"], "no key came with the certificate")
        before = _manage(environment, "dumpdata")

        again = json.loads(_manage(environment, "quickstart", "--json"))
        with _make_run(environment, url):
            _send("GET", f"{url}/readyz")
        after = _manage(environment, "dumpdata")
        _demand(again == made | dict.fromkeys(SECRETS), "quickstart again made other things, or showed secrets")
        _demand(after == before, "make run again changed the database")
    sys.stdout.write("make run serves and issues, and run again it changes nothing\n")


def _demand(is_so: bool, complaint: str) -> None:
    if not is_so:
        raise SystemExit(complaint)


@contextmanager
def _make_run(environment: dict[str, str], url: str) -> Iterator[None]:
    running = subprocess.Popen(
        ["make", "--no-print-directory", "run"],  # noqa: S607
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for(running, f"{url}/readyz")
        yield
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGTERM)
        running.wait(timeout=60)


def _wait_for(running: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if running.poll() is not None:
            raise SystemExit("make run ended instead of serving")
        try:
            _send("GET", address)
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit("make run did not serve in time")


def _issue(url: str, made: dict[str, Any]) -> dict[str, Any]:
    login = {"clientId": made["clientId"], "clientSecret": made["clientSecret"]}
    token = json.loads(_send("POST", f"{url}/api/v1/auth/universal-auth/login", login))["accessToken"]
    body = {
        "profileId": made["profileIds"]["tls-server"],
        "attributes": {
            "commonName": "service.acme.com",
            "ttl": "90d",
            "altNames": [{"type": "DNS", "value": "service.acme.com"}],
        },
    }
    answer = json.loads(_send("POST", f"{url}/api/v1/cert-manager/certificates", body, token=token))
    certificate: dict[str, Any] = answer["certificate"]
    return certificate


def _send(method: str, address: str, body: object = None, *, token: str = "") -> bytes:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data=data, headers=headers, method=method)  # noqa: S310 - our own address
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own address
        received: bytes = answer.read()
        return received


def _manage(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603
        [PYTHON, "manage.py", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"manage.py {arguments[0]} failed: {done.stderr}")
    return done.stdout


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
