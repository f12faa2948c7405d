"""A portal in processes of its own, as people run it: quickstart, then gunicorn."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_SECONDS = 60


@dataclass
class Portal:
    """One installation; ``start`` and ``kill`` as often as wanted, the state stays."""

    state: Path
    environment: dict[str, str] = field(repr=False)
    base_url: str
    made: dict[str, Any] = field(repr=False)
    process: subprocess.Popen[bytes] | None = None

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a management command of this installation to its end."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def start(self) -> None:
        """Serve, and return when it answers."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "pki_portal.wsgi:application"],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that the whole tree can be killed at once
        )
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.base_url}/readyz", timeout=2):  # noqa: S310 - our own address
                    return
            except OSError:
                assert self.process.poll() is None, "gunicorn ended instead of serving"
                time.sleep(0.1)
        raise AssertionError("the portal did not answer in time")

    def kill(self) -> None:
        """SIGKILL for the master and every worker at the same moment."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def end(self) -> None:
        """SIGTERM for the master: it ends when every request that a process has begun is answered."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def token(self) -> str:
        """A fresh access token of the machine identity that quickstart made."""
        answer = self.call(
            "POST",
            "/api/v1/auth/universal-auth/login",
            {"clientId": self.made["clientId"], "clientSecret": self.made["clientSecret"]},
        )
        return str(answer["accessToken"])

    def call(self, method: str, path: str, body: object = None, *, token: str | None = None) -> dict[str, Any]:
        """Send one API request; an answer other than 2xx raises urllib's HTTPError, a dead server OSError."""
        message = urllib.request.Request(  # noqa: S310 - our own address
            self.base_url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})},
        )
        with urllib.request.urlopen(message, timeout=60) as answer:  # noqa: S310 - our own address
            read: dict[str, Any] = json.load(answer)
            return read


def install(state: Path, *, database_url: str = "") -> Portal:
    """A new installation with its demo project, not serving yet; on SQLite in ``state`` unless told otherwise."""
    installed = _installation(state, database_url)
    made = installed.manage("quickstart", "--json")
    assert made.returncode == 0, made.stderr
    installed.made.update(json.loads(made.stdout))
    return installed


def migrate(state: Path, *, database_url: str) -> None:
    """No more than the tables, as quickstart makes them."""
    done = _installation(state, database_url).manage("migrate", "--verbosity", "0")
    assert done.returncode == 0, done.stderr


def _installation(state: Path, database_url: str) -> Portal:
    url = f"http://127.0.0.1:{free_port()}"
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PKI_PORTAL", "DJANGO", "PYTEST"))
    }
    environment = kept | {
        "PKI_PORTAL_VAR": str(state),
        "DATABASE_URL": database_url,
        "HOST": "127.0.0.1",
        "PORT": url.rpartition(":")[2],
        "SITE_URL": url,
    }
    return Portal(state=state, environment=environment, base_url=url, made={})


def processes_of(group: int) -> list[tuple[int, str]]:
    """Process id and command line of everything in a process group, which a portal is by the id of its master."""
    listed = subprocess.run(["ps", "-A", "-o", "pgid=,pid=,command="], capture_output=True, text=True, check=True)
    rows = (line.split(maxsplit=2) for line in listed.stdout.splitlines())
    return [(int(pid), command) for pgid, pid, command in rows if int(pgid) == group]


def web_processes(portal: Portal) -> list[int]:
    """Those that answer requests."""
    assert portal.process is not None
    master = portal.process.pid
    return [pid for pid, command in processes_of(master) if "gunicorn" in command and pid != master]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
