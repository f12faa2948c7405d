"""More than can be done: whoever cannot be served in time is told so; and a graceful restart, which loses nobody."""

import fcntl
import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pki_portal.admission import LONGEST_WAIT_SECONDS
from tests.pki_portal.test_metrics import counted
from tests.portal import Portal, install, web_processes

CERTIFICATES = "/api/v1/cert-manager/certificates"

# It is the queue before the database that is judged.
pytestmark = [pytest.mark.timeout(180), pytest.mark.any_database]


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """One for all, on SQLite: no database has a part in this."""
    running = install(tmp_path_factory.mktemp("portal") / "var")
    running.environment |= {"WORKER": "false", "KEY_POOL": "false"}
    running.start()
    yield running
    running.kill()


def body_of(portal: Portal, name: str, **attributes: str) -> dict[str, object]:
    asked = {"commonName": name, "ttl": "1d", "altNames": [{"type": "dns_name", "value": name}]}
    return {"profileId": portal.made["profileIds"]["tls-server"], "attributes": asked | attributes}


def test_what_waited_too_long_is_refused_as_soon_as_anybody_can(portal: Portal) -> None:
    token = portal.token()
    processes = web_processes(portal)
    assert len(processes) == 2

    def ask(path: str) -> tuple[int, str, bytes]:
        request = urllib.request.Request(  # noqa: S310 - our own address
            portal.base_url + path, headers={"Authorization": f"Bearer {token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own address
                return answer.status, answer.headers.get("Retry-After", ""), answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.headers.get("Retry-After", ""), refusal.read()

    with ThreadPoolExecutor(5) as clients:
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        told = [clients.submit(ask, path) for path in [f"/api/v1/projects?number={n}" for n in range(4)] + ["/healthz"]]
        time.sleep(LONGEST_WAIT_SECONDS + 0.5)
        for pid in processes:
            os.kill(pid, signal.SIGCONT)
        answers = [each.result() for each in told]
    assert [status for status, _, _ in answers] == [503, 503, 503, 503, 200]
    assert {retry_after for _, retry_after, _ in answers[:4]} == {"2"}
    assert json.loads(answers[0][2])["error"] == "ServiceUnavailable"
    assert ask("/api/v1/projects")[0] == 200
    with urllib.request.urlopen(f"{portal.base_url}/metrics") as answer:  # noqa: S310 - our own address
        text = answer.read().decode()
    assert counted(text, "pki_queue_wait_seconds_count", outcome="turned_away") == 4


def test_slow_keys_leave_a_process_for_the_others(portal: Portal) -> None:
    token = portal.token()
    slow = body_of(portal, "slow.example.com", keyAlgorithm="RSA_4096")
    places = portal.state / "slow-work"
    places.mkdir(exist_ok=True)
    with (places / "0.lock").open("w") as place:  # as another process would that makes such a key
        fcntl.flock(place, fcntl.LOCK_EX)
        with pytest.raises(urllib.error.HTTPError) as refusal:
            portal.call("POST", CERTIFICATES, slow, token=token)
        with refusal.value as answer:
            assert (answer.code, answer.headers["Retry-After"]) == (503, "2")
            assert "CSR" in json.load(answer)["details"][0]["fix"]
        portal.call("POST", CERTIFICATES, body_of(portal, "quick.example.com"), token=token)
    assert portal.call("POST", CERTIFICATES, slow, token=token)["status"] == "issued"


def test_a_graceful_restart_loses_no_request(portal: Portal) -> None:
    token = portal.token()
    before = set(web_processes(portal))
    lost: list[Exception] = []
    answered: list[int] = []
    is_over = threading.Event()

    def issue(client: int) -> None:
        while not is_over.is_set():
            body = body_of(portal, f"host-{client}-{len(answered)}.example.com")
            try:
                portal.call("POST", CERTIFICATES, body, token=token)
            except OSError as problem:
                lost.append(problem)
            else:
                answered.append(client)

    clients = [threading.Thread(target=issue, args=(number,)) for number in range(4)]
    for client in clients:
        client.start()
    try:
        until(lambda: len(answered) > 20)
        assert portal.process is not None
        portal.process.send_signal(signal.SIGHUP)
        until(lambda: len(now := set(web_processes(portal))) == 2 and not now & before)
        so_far = len(answered)
        until(lambda: len(answered) > so_far + 20)
    finally:
        is_over.set()
        for client in clients:
            client.join(60)
    assert lost == []


def until(condition: Callable[[], bool], *, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
