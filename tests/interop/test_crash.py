"""kill -9 in the middle of work: whoever was told of a certificate finds it, and nothing is half there."""

import threading
import time
from collections.abc import Callable
from http.client import HTTPException

import pytest

from tests.portal import Portal

CLIENTS = 8
ISSUANCES = 500
KILLS = 3


@pytest.mark.timeout(300)
def test_every_answered_certificate_survives_kill_9(portal: Portal) -> None:
    token = portal.token()
    answered: list[str] = []
    left = iter(range(ISSUANCES))
    lock = threading.Lock()

    def issue_until_done() -> None:
        while True:
            with lock:
                number = next(left, None)
            if number is None:
                return
            body = {
                "profileId": portal.made["profileIds"]["tls-server"],
                "attributes": {
                    "commonName": f"host-{number}.example.com",
                    "ttl": "1d",
                    "altNames": [{"type": "dns_name", "value": f"host-{number}.example.com"}],
                },
            }
            try:
                answer = portal.call("POST", "/api/v1/cert-manager/certificates", body, token=token)
            except (OSError, HTTPException, ValueError):
                # The server died before or within the answer: this client was told nothing.
                time.sleep(0.05)
                continue
            answered.append(answer["certificate"]["certificateId"])

    clients = [threading.Thread(target=issue_until_done) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for kill in range(1, KILLS + 1):
        wanted = kill * ISSUANCES // (KILLS + 2)
        _wait_until(lambda wanted=wanted: len(answered) >= wanted or not _alive(clients))  # type: ignore[misc]
        portal.kill()
        portal.start()
    for client in clients:
        client.join(timeout=120)

    assert not _alive(clients)
    assert len(answered) > ISSUANCES // 2
    assert len(set(answered)) == len(answered)
    for certificate_id in answered:
        found = portal.call("GET", f"/api/v1/cert-manager/certificates/{certificate_id}", token=token)
        assert found["certificate"]["id"] == certificate_id
    # What the killed processes had announced and not finished is settled by one command.
    settled = portal.manage("reconcile")
    assert settled.returncode == 0, settled.stdout + settled.stderr
    checked = portal.manage("check_certificates")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def _alive(clients: list[threading.Thread]) -> bool:
    return any(client.is_alive() for client in clients)


def _wait_until(condition: Callable[[], bool], *, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the portal stopped issuing"
        time.sleep(0.01)
