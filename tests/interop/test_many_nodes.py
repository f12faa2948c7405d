"""Two web nodes behind nginx, two workers, PostgreSQL and Redis: they fail one by one, and no client notices more than
that it has to ask once more.
"""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.certificates.alerts.receivers import LOOPBACK
from tests.interop.test_relying_parties import program
from tests.interop.test_worker import send_a_test
from tests.portal import ROOT, Portal, free_port, install
from tests.simulation.servers import Postgres, Redis, ended_with_us

CERTIFICATES = "/api/v1/cert-manager/certificates"
CLIENTS = 4
LATER_RELEASE = {"DJANGO_SETTINGS_MODULE": "tests.interop.later_release.settings"}


@dataclass
class Clients:
    """Programs that issue without end, each request under a key of its own, and ask again where they are told to."""

    portal: Portal
    token: str
    answered: dict[str, str] = field(default_factory=dict)
    """Certificate ids by Idempotency-Key."""
    under_way: list[str] = field(default_factory=list)
    """Keys whose first request died with its process: they are free when its lease has ended."""
    asked_again: int = 0
    failures: list[str] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)
    is_calm: threading.Event = field(default_factory=threading.Event)

    def work(self, client: int) -> None:
        """Issue until told to stop."""
        number = 0
        while not self.is_over.is_set():
            number += 1
            self.issue(f"host-{client}-{number}.example.com")
            if self.is_calm.is_set():
                self.is_over.wait(0.2)

    def issue(self, key: str) -> None:
        """Until there is an answer that is none to ask again after."""
        for _ in range(200):
            status, answer = self._send(key)
            if status == 200:
                self.answered[key] = json.loads(answer)["certificate"]["certificateId"]
                return
            if status == 409:
                self.under_way.append(key)
                return
            if status != 503:
                break
            self.asked_again += 1
            time.sleep(0.1)
        self.failures.append(f"{key}: {status} {answer.decode()}")

    def _send(self, key: str) -> tuple[int, bytes]:
        address = urlsplit(self.portal.base_url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
        body = {
            "profileId": self.portal.made["profileIds"]["tls-server"],
            "attributes": {"commonName": key, "ttl": "1d", "altNames": [{"type": "dns_name", "value": key}]},
        }
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        }
        try:
            connection.request("POST", CERTIFICATES, json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def in_full_swing(self) -> None:
        """Return while all of them are at it, so that what comes next meets requests under way."""
        self.is_calm.clear()
        so_far = len(self.answered)
        until(lambda: len(self.answered) > so_far + 10)

    def recovered(self) -> None:
        """Return when they are answered again; from then on they take their time."""
        so_far = len(self.answered)
        until(lambda: len(self.answered) > so_far + 10)
        self.is_calm.set()


def start_nginx(folder: Path, portal: Portal, nodes: list[Portal]) -> "subprocess.Popen[bytes]":
    """Debian's, with the configuration that is delivered; only addresses and folders are those of the test."""
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    for number, node in enumerate(nodes, start=1):
        text = text.replace(f"server web-{number}:8000", f"server {urlsplit(node.environment['NODE']).netloc}")
    text = text.replace("listen 8080;", f"listen {urlsplit(portal.base_url).netloc};").replace("/tmp/", f"{folder}/")  # noqa: S108
    assert not re.search(r"web-\d:|8080|/tmp/nginx", text)
    (folder / "nginx.conf").write_text(("user root;\n" if os.geteuid() == 0 else "") + text)
    command = [
        program("nginx"),
        "-p",
        str(folder),
        "-e",
        "stderr",
        "-c",
        str(folder / "nginx.conf"),
        "-g",
        "daemon off;",
    ]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def node_of(portal: Portal, folder: Path) -> Portal:
    """A web node of the installation, with a state folder of its own."""
    port = free_port()
    environment = portal.environment | {
        "PKI_PORTAL_VAR": str(folder),
        "PKI_PORTAL_JOURNAL": str(portal.state / "journal"),
        "PKI_PORTAL_MASTER_KEYS_FILE": str(portal.state / "master-keys"),
        "SECRET_KEY": "the same on all nodes",
        "PORT": str(port),
        "NODE": f"http://127.0.0.1:{port}",
        "TRUSTED_PROXIES": "1",
        "WORKER": "false",
        "KEY_POOL": "false",
        "WEB_CONCURRENCY": "2",
    }
    return replace(portal, state=folder, environment=environment, base_url=environment["NODE"])


def start_worker(node: Portal) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "manage.py", "worker"], cwd=ROOT, env=node.environment, stderr=subprocess.DEVNULL
    )


def until(condition: Callable[[], bool], *, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Postgres]:
    """PostgreSQL of the wheel and Debian's Redis; the environment of the portals made after them names Redis."""
    database, queue = Postgres(tmp_path / "postgres"), Redis(free_port())
    with ended_with_us(database, queue):
        queue.start()
        monkeypatch.setenv("TASKS_REDIS_URL", queue.url)
        monkeypatch.setenv("WEBHOOK_ALLOWED_NETWORKS", ",".join(LOOPBACK))
        yield database


@pytest.mark.timeout(300)
def test_whatever_fails_every_told_certificate_is_there_once(servers: Postgres, tmp_path: Path) -> None:
    portal = install(tmp_path / "var", database_url=servers.url)
    first, second, third, fourth = (node_of(portal, tmp_path / name) for name in ("web-1", "web-2", "w-1", "w-2"))
    (tmp_path / "nginx").mkdir()
    with ExitStack() as ended:
        for node in (first, second):
            ended.callback(node.kill)
        with ThreadPoolExecutor() as at_once:
            workers = [start_worker(node) for node in (third, fourth)]
            nginx = start_nginx(tmp_path / "nginx", portal, [first, second])
            for process in (*workers, nginx):
                ended.callback(process.wait)
                ended.callback(process.terminate)  # a killed nginx would leave its own workers behind
            list(at_once.map(Portal.start, (first, second)))
        clients = Clients(portal, portal.token())
        threads = [threading.Thread(target=clients.work, args=(number,)) for number in range(CLIENTS)]
        ended.callback(clients.is_over.set)
        for thread in threads:
            thread.start()

        hold_half_requests(portal, ended)

        clients.in_full_swing()
        first.kill()
        clients.recovered()

        workers[0].kill()
        send_a_test(portal, name="by the other worker")

        clients.in_full_swing()
        servers.crash()
        servers.start()
        clients.recovered()

        # A rolling upgrade: what is to be stored first, by whoever comes first; then node by node.
        clients.is_calm.clear()
        upgraded = replace(portal, environment=portal.environment | LATER_RELEASE).manage("migrate", "--no-input")
        assert upgraded.returncode == 0, upgraded.stderr
        first.environment |= LATER_RELEASE
        first.start()
        second.end()
        second.environment |= LATER_RELEASE
        second.start()
        clients.recovered()

        clients.is_over.set()
        for thread in threads:
            thread.join(60)
        end_leases(servers)
        under_way, clients.under_way = clients.under_way, []
        for key in under_way:
            clients.issue(key)
        assert clients.failures == clients.under_way == []

    settled = portal.manage("reconcile")
    assert settled.returncode == 0, settled.stdout + settled.stderr
    checked = portal.manage("check_certificates")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with psycopg.connect(servers.url) as database:
        stored = database.execute(
            "SELECT common_name, id::text FROM certificates_certificate WHERE common_name LIKE 'host-%'"
        )
        assert sorted(stored.fetchall()) == sorted(clients.answered.items())


def hold_half_requests(portal: Portal, ended: ExitStack) -> None:
    """More clients that never come to an end than there are web processes, and nobody waits for them."""
    address = urlsplit(portal.base_url)
    for half in (
        b"GET / HTTP/1.1\r\nHost: 127",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nhalf",
    ):
        for _ in range(10):
            client = ended.enter_context(socket.create_connection((address.hostname, address.port)))
            client.sendall(half)


def end_leases(servers: Postgres) -> None:
    """As the time does in which no request can live any more."""
    with psycopg.connect(servers.url) as database:
        database.execute(
            "UPDATE certificates_idempotencyrecord SET claimed_at = claimed_at - interval '5 minutes'"
            " WHERE certificate_id IS NULL"
        )
