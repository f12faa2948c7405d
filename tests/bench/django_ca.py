"""The peer django-ca, from PyPI: as shipped, and with the password hasher taken out of its API's authentication."""

import base64
import os
import subprocess
import urllib.request
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from tests.bench.applicants import requests_from_csrs
from tests.bench.guards import read_certificate
from tests.bench.postgres import Postgres
from tests.bench.servers import Servers, free_port
from tests.bench.targets import Ledger, Server, Target

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-bench" / "bin" / "python"
DATABASE = "django_ca"
USER, PASSWORD = "bench", "correct horse battery staple"
# As many as our own server starts on PostgreSQL.
WORKERS = 3
_PREPARE = f"""
import django; django.setup()
from django.contrib.auth import get_user_model
get_user_model().objects.create_superuser({USER!r}, "", {PASSWORD!r})
"""
_RE_HASH = f"""
import django; django.setup()
from django.contrib.auth import get_user_model
user = get_user_model().objects.get(username={USER!r}); user.set_password({PASSWORD!r}); user.save()
"""


class DjangoCa:
    """Its CAs and servers, each made once, when first asked for. Both kinds of server have databases of their own."""

    def __init__(self, folder: Path, postgres: Postgres, servers: Servers) -> None:
        self._folder, self._postgres, self._servers = folder, postgres, servers
        self._serials: dict[str, str] = {}
        self._running: dict[tuple[bool, int], Server] = {}
        folder.mkdir()

    def signing(self, kind: str, *, with_hasher: bool, workers: int = WORKERS) -> Target:
        """CSRs signed by a CA with a P-256 key (``ec``) or one of RSA-2048 (``rsa``), each stored with its order."""
        server = self.server(with_hasher=with_hasher, workers=workers)
        credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return Target(
            name=server.name + (" RSA" if kind == "rsa" else ""),
            server=server,
            requests=requests_from_csrs(f"/django_ca/api/ca/{self.serial(kind)}/sign/", _asked),
            headers={"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
            issued=1,
            ledger=Ledger(
                url=self._postgres.url(self._database(with_hasher)),
                certificates="SELECT count(*) FROM django_ca_certificate",
                newest="SELECT serial, pub FROM django_ca_certificate ORDER BY id DESC LIMIT %s",
                # What it writes for each besides.
                audit="SELECT count(*) FROM django_ca_certificateorder WHERE certificate_id IS NOT NULL",
            ),
            issuers=self._folder / f"{kind}.pem",
            least_seconds=10 if with_hasher else 0,
        )

    def issue(self, target: Target, count: int) -> None:
        """So many certificates, now."""
        for asked in target.requests[:count]:
            request = urllib.request.Request(  # noqa: S310 - our own address
                target.server.base_url + asked.path, data=asked.body, headers=dict(target.headers)
            )
            with urllib.request.urlopen(request, timeout=60):  # noqa: S310 - our own address
                pass

    def serial(self, kind: str) -> str:
        """Of one of its CAs, as its addresses have it."""
        self._require_made()
        return self._serials[kind]

    def server(self, *, with_hasher: bool, workers: int = WORKERS) -> Server:
        """One that runs."""
        self._require_made()
        key = (with_hasher, workers)
        if key not in self._running:
            port = free_port()
            name = "django-ca" + (" as shipped" if with_hasher else ", hasher out")
            command = [str(PYTHON), "-m", "gunicorn", f"--workers={workers}", f"--bind=127.0.0.1:{port}"]
            command += ["--no-control-socket", "django.core.wsgi:get_wsgi_application()"]
            self._running[key] = self._servers.start(
                name,
                command,
                port=port,
                environment=self._environment(with_hasher),
                log=self._folder / f"{port}.log",
                folder=self._folder,
                probe="/django_ca/",
            )
        return self._running[key]

    def _require_made(self) -> None:
        if self._serials:
            return
        out, shipped = self._database(False), self._database(True)
        self._postgres.create(out)
        self._manage(out, False, "-m", "django", "migrate", "--verbosity=0")
        self._manage(out, False, "-c", _PREPARE)
        for kind, options in {
            "ec": ["--key-type=EC", "--elliptic-curve=secp256r1"],
            "rsa": ["--key-type=RSA", "--key-size=2048"],
        }.items():
            self._manage(out, False, "-m", "django", "init_ca", *options, "--api-enable", kind, f"CN=Bench {kind}")
            with self._postgres.connect(out) as connection:
                query = "SELECT serial, pub FROM django_ca_certificateauthority WHERE name = %s"
                ((self._serials[kind], encoding),) = connection.execute(query, [kind])
            (self._folder / f"{kind}.pem").write_bytes(_pem(bytes(encoding)))
        self._postgres.create(shipped, like=out)
        self._manage(shipped, True, "-c", _RE_HASH)

    def _database(self, with_hasher: bool) -> str:
        return f"{DATABASE}_as_shipped" if with_hasher else DATABASE

    def _environment(self, with_hasher: bool) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "PYTHON"))}
        return kept | {
            "DJANGO_SETTINGS_MODULE": "tests.bench.django_ca_site.settings",
            "PYTHONPATH": str(ROOT),
            "BENCH_DATABASE_URL": self._postgres.url(self._database(with_hasher)),
            "BENCH_FOLDER": str(self._folder),
            **({} if with_hasher else {"BENCH_WITHOUT_HASHER": "1"}),
        }

    def _manage(self, database: str, with_hasher: bool, *arguments: str) -> str:
        environment = self._environment(with_hasher) | {"BENCH_DATABASE_URL": self._postgres.url(database)}
        done = subprocess.run(
            [str(PYTHON), *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"django-ca: {done.stderr}")
        return done.stdout


def _asked(name: str, csr: str) -> dict[str, object]:
    return {
        "csr": csr,
        "profile": "webserver",
        "subject": [{"oid": "2.5.4.3", "value": name}],
        "extensions": [
            {"type": "subject_alternative_name", "value": [{"type": "DNS", "value": name}]},
        ],
    }


def _pem(encoding: bytes) -> bytes:
    return read_certificate(encoding).public_bytes(Encoding.PEM)


def version() -> str:
    """What is installed."""
    code = "import importlib.metadata as m; print(m.version('django-ca'))"
    return subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True, check=True).stdout.strip()
