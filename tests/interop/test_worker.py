"""The web server brings a worker: it is started again when it dies, and ends with the server however that ends."""

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from tests.certificates.alerts.receivers import LOOPBACK, webhook_receiver
from tests.pki_portal.test_metrics import counted
from tests.portal import Portal, free_port, processes_of, web_processes


@pytest.fixture(autouse=True)
def webhooks_may_reach_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the portals of these tests."""
    monkeypatch.setenv("WEBHOOK_ALLOWED_NETWORKS", ",".join(LOOPBACK))


def workers_of(portal: Portal) -> list[int]:
    """Process ids of the workers in the portal's process group."""
    assert portal.process is not None
    return [pid for pid, command in processes_of(portal.process.pid) if "manage.py worker" in command]


@pytest.mark.timeout(180)
def test_a_worker_lives_beside_the_web_server_and_dies_with_it(portal: Portal) -> None:
    assert portal.process is not None
    group = portal.process.pid
    _wait_until(lambda: len(workers_of(portal)) == 1)
    (first,) = workers_of(portal)
    os.kill(first, signal.SIGKILL)
    _wait_until(lambda: workers_of(portal) not in ([], [first]))

    # A reload, after which its end is waited for still.
    before = set(processes_of(group))
    portal.process.send_signal(signal.SIGHUP)
    _wait_until(lambda: len(set(processes_of(group)) - before) >= 2)
    portal.process.send_signal(signal.SIGTERM)
    assert portal.process.wait(40) == 0
    assert processes_of(group) == []

    # Web processes look for their master at least every half of this; with gunicorn.conf.py's that is 30 seconds.
    portal.environment["GUNICORN_CMD_ARGS"] = "--timeout 20"
    portal.start()
    _wait_until(lambda: len(workers_of(portal)) == 1)
    group = portal.process.pid
    portal.process.send_signal(signal.SIGKILL)  # the web server's master alone: it can tell nobody
    portal.process.wait()
    portal.process = None
    _wait_until(lambda: processes_of(group) == [])


@pytest.mark.timeout(180)
def test_every_process_counts_into_the_same_metrics(portal: Portal) -> None:
    token = portal.token()
    answered = refused = 0
    for number in range(20):
        name = f"host-{number}.example.com"
        names = [{"type": "dns_name", "value": name}]
        attributes = {"commonName": name, "altNames": names, "ttl": "1d" if number % 4 else "9000d"}
        body = {"profileId": portal.made["profileIds"]["tls-server"], "attributes": attributes}
        try:
            portal.call("POST", "/api/v1/cert-manager/certificates", body, token=token)
            answered += 1
        except urllib.error.HTTPError:
            refused += 1
        if number == 10:
            _end_one_web_process(portal)
    assert (answered, refused) == (15, 5)
    for _ in range(5):  # whichever process answers
        with urllib.request.urlopen(f"{portal.base_url}/metrics") as answer:  # noqa: S310 - our own address
            text = answer.read().decode()
        assert counted(text, "pki_certificates_issued_total", project=portal.made["projectId"]) == 15
        assert counted(text, "pki_issuances_refused_total", code="ttl_too_long") == 5
        assert counted(text, "pki_issue_request_seconds_count", status="2xx") == 15
        assert counted(text, "pki_key_pool_depth", algorithm="RSA_2048") is not None


@pytest.fixture
def redis_url() -> Iterator[str]:
    """A Redis server for this test; the environment of the portals made after it names it."""
    port = free_port()
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", "/"]
    server = subprocess.Popen(["redis-server", *arguments], stdout=subprocess.DEVNULL)
    with pytest.MonkeyPatch.context() as patch:
        url = f"redis://127.0.0.1:{port}/0"
        patch.setenv("TASKS_REDIS_URL", url)
        _wait_until(lambda: _answers(url), seconds=20)
        yield url
    server.kill()
    server.wait()


def _answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.mark.timeout(180)
def test_hints_can_be_queued_in_redis_and_are_not_missed_when_it_is_gone(redis_url: str, portal: Portal) -> None:
    _wait_until(lambda: len(workers_of(portal)) == 1)
    worker = workers_of(portal)
    with redis.Redis.from_url(redis_url) as client:
        client.rpush("rq:queue:default", "no such job", b"\xff")
        send_a_test(portal, name="by-redis")
        calls: Any = client.info("commandstats")
        assert calls["cmdstat_rpush"]["calls"] >= 2
        _wait_until(lambda: client.llen("rq:queue:default") == 0)
        assert client.keys("rq:job:*") == []
        assert _queue_depth(portal) == 0
        client.shutdown(nosave=True)
    assert _queue_depth(portal) is None
    send_a_test(portal, name="without")
    assert workers_of(portal) == worker


def _queue_depth(portal: Portal) -> float | None:
    with urllib.request.urlopen(f"{portal.base_url}/metrics") as answer:  # noqa: S310 - our own address
        return counted(answer.read().decode(), "pki_background_queue_depth")


@pytest.mark.timeout(180)
def test_a_test_of_an_alert_arrives_within_seconds(portal: Portal) -> None:
    send_a_test(portal, name="hook")


def send_a_test(portal: Portal, *, name: str) -> None:
    """A webhook gets it, and the log says so."""
    token = portal.token()
    with webhook_receiver() as receiver:
        alert = {
            "projectId": portal.made["projectId"],
            "name": name,
            "type": "certificate-expiry",
            "alertBefore": "30d",
            "channels": [{"channelType": "webhook", "config": {"url": receiver.url}}],
        }
        made = portal.call("POST", "/api/v1/cert-manager/alerts", alert, token=token)["alert"]
        path = f"/api/v1/cert-manager/alerts/{made['id']}"
        portal.call("POST", f"{path}/test", token=token)
        _wait_until(lambda: bool(receiver.received), seconds=30)
        deliveries = f"{path}/deliveries"  # the receiver answers as long as it is there
        _wait_until(lambda: portal.call("GET", deliveries, token=token)["deliveries"][0]["status"] == "delivered")


def _end_one_web_process(portal: Portal) -> None:
    """As gunicorn itself does after so many requests."""
    assert portal.process is not None
    first = web_processes(portal)[0]
    os.kill(first, signal.SIGTERM)
    _wait_until(lambda: first not in web_processes(portal))


def _wait_until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
