"""Our own portal: installed once, copied with as many rows as are wanted, and served as the README says."""

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests import portal as installation
from tests.bench import filling
from tests.bench.applicants import csrs, host_name
from tests.bench.postgres import Postgres
from tests.bench.servers import Servers, free_port
from tests.bench.targets import NotThere, Server

CERTIFICATES = "/api/v1/cert-manager/certificates"
BATCH = f"{CERTIFICATES}/batch"
DATABASE = "portal"


@dataclass(frozen=True)
class Portal:
    """One portal that serves.

    Attributes:
        database: the name of its database.
        environment: of its commands.
        made: ids and, of the machine identity, credentials: what quickstart tells, and what was added.
        issuers: PEM of the CAs that sign, and of those above them.
    """

    server: Server
    database: str
    environment: Mapping[str, str] = field(repr=False)
    token: str = field(repr=False)
    made: Mapping[str, Any] = field(repr=False)
    issuers: Path

    @property
    def headers(self) -> dict[str, str]:
        """Of every request of a load."""
        return {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One request that must be granted. Raises NotThere where there is no such address."""
        message = urllib.request.Request(  # noqa: S310 - our own address
            self.server.base_url + path,
            method=method,
            headers=self.headers,
            data=None if body is None else json.dumps(body).encode(),
        )
        try:
            with urllib.request.urlopen(message, timeout=60) as answer:  # noqa: S310 - our own address
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            told = refusal.read().decode(errors="replace")
            if refusal.code in {404, 405}:
                raise NotThere(f"{method} {path} answers {refusal.code}") from None
            raise RuntimeError(f"{method} {path} answers {refusal.code}: {told}") from None


@dataclass(frozen=True)
class _Base:
    """What all copies begin with: the installation, and ids of real certificates to copy."""

    installed: installation.Portal
    made: dict[str, Any] = field(repr=False)


class Portals:
    """Copies of one installation, each made and started once, when first asked for."""

    def __init__(self, folder: Path, postgres: Postgres, servers: Servers) -> None:
        self._folder, self._postgres, self._servers = folder, postgres, servers
        self._base: _Base | None = None
        self._running: dict[str, Portal] = {}
        self._issuers = folder / "issuers.pem"
        folder.mkdir()

    def with_certificates(self, rows: int, *, gunicorn: str = "", has_worker: bool = True) -> Portal:
        """With so many certificates; ``gunicorn`` are arguments that change how it is served, by default as always."""
        name = f"{DATABASE}_{rows}" + ("_changed" if gunicorn or not has_worker else "")
        if name not in self._running:
            self._fill(name, filling.fill_certificates, rows, "issued")
            self._running[name] = self._serve(name, gunicorn=gunicorn, has_worker=has_worker)
        return self._running[name]

    def with_revocations(self, rows: int) -> Portal:
        """With so many revoked certificates on one list."""
        name = f"{DATABASE}_revoked_{rows}"
        if name not in self._running:
            self._fill(name, filling.fill_revocations, rows, "revoked")
            self._running[name] = self._serve(name, gunicorn="", has_worker=False)
        return self._running[name]

    def with_due_renewals(self, rows: int, *, name: str) -> tuple[dict[str, str], str]:
        """With so many certificates to renew, not served; the environment of its commands, and its database's url."""
        database = f"{DATABASE}_{name}"
        self._fill(database, filling.fill_due_renewals, rows, "renewing")
        return self._environment(database, free_port()), self._postgres.url(database)

    def end(self, *portals: Portal) -> None:
        """Serve them no more."""
        for portal in portals:
            self._servers.end(portal.server)
            self._running.pop(portal.database, None)

    def _fill(self, database: str, fill: Any, rows: int, pattern: str) -> None:
        base = self._require_base()
        fill(self._postgres.create(database, like=DATABASE), rows=rows, pattern=base.made[pattern])
        self._postgres.settle(database)

    def _serve(self, database: str, *, gunicorn: str, has_worker: bool) -> Portal:
        port = free_port()
        changes = {"GUNICORN_CMD_ARGS": gunicorn, "WORKER": str(has_worker)}
        return self._start(database, self._environment(database, port) | changes, port, self._require_base().made)

    def _environment(self, database: str, port: int) -> dict[str, str]:
        """With a state folder of its own."""
        base = self._require_base()
        state = self._folder / database
        shutil.copytree(base.installed.state, state, dirs_exist_ok=True)
        return base.installed.environment | {
            "PKI_PORTAL_VAR": str(state),
            "DATABASE_URL": self._postgres.url(database),
            "PORT": str(port),
            "SITE_URL": f"http://127.0.0.1:{port}",
        }

    def _start(self, database: str, environment: Mapping[str, str], port: int, made: Mapping[str, Any]) -> Portal:
        command = [".venv/bin/python", "-m", "gunicorn", "--config", "gunicorn.conf.py", "pki_portal.wsgi:application"]
        server = self._servers.start(
            database,
            command,
            port=port,
            environment=environment,
            log=self._folder / f"{database}.log",
            folder=installation.ROOT,
            probe="/readyz",
        )
        portal = Portal(server, database, environment, "", made, self._issuers)
        credentials = {"clientId": made["clientId"], "clientSecret": made["clientSecret"]}
        return replace(
            portal, token=portal.call("POST", "/api/v1/auth/universal-auth/login", credentials)["accessToken"]
        )

    def _require_base(self) -> _Base:
        if self._base is None:
            url = self._postgres.create(DATABASE)
            installed = installation.install(self._folder / "base", database_url=url)
            environment = installed.environment | {"WORKER": "false"}
            portal = self._start(DATABASE, environment, int(installed.environment["PORT"]), installed.made)
            made = _furnish(portal)
            self._servers.end(portal.server)
            self._issuers.write_text(made["issuers"])
            self._base = _Base(installed, made)
        return self._base


def _furnish(portal: Portal) -> dict[str, Any]:
    """A CA with an RSA-2048 key and its profile, and a real certificate of each kind that is copied."""
    made = dict(portal.made)
    configuration = {
        "type": "root",
        "commonName": "Bench RSA",
        "organization": "Bench",
        "maxPathLength": -1,
        "keyAlgorithm": "RSA_2048",
    }
    authority = portal.call(
        "POST",
        "/api/v1/cert-manager/ca/internal",
        {"projectId": made["projectId"], "name": "rsa", "status": "active", "configuration": configuration},
    )
    profile = portal.call(
        "POST",
        "/api/v1/cert-manager/certificate-profiles",
        {
            "projectId": made["projectId"],
            "caId": authority["id"],
            "certificateTemplateId": made["templateIds"]["tls-server"],
            "slug": "rsa",
            "description": "",
            "enrollmentType": "api",
            "apiConfig": {"autoRenew": False},
        },
    )
    made["profileIds"] = made["profileIds"] | {"rsa": profile["certificateProfile"]["id"]}
    ec, rsa = made["profileIds"]["tls-server"], made["profileIds"]["rsa"]
    csr, attributes = csrs()[0][1], {"ttl": "90d"}
    issued = portal.call("POST", CERTIFICATES, {"profileId": ec, "csr": csr, "attributes": attributes})["certificate"]
    by_rsa = portal.call("POST", CERTIFICATES, {"profileId": rsa, "csr": csr, "attributes": attributes})["certificate"]
    revoked = portal.call("POST", CERTIFICATES, {"profileId": ec, "csr": csr, "attributes": attributes})["certificate"]
    portal.call("POST", f"{CERTIFICATES}/{revoked['certificateId']}/revoke", {"revocationReason": "SUPERSEDED"})
    name = host_name(0)
    names = {"commonName": name, "altNames": [{"type": "DNS", "value": name}]}
    renewing = portal.call("POST", CERTIFICATES, {"profileId": ec, "attributes": attributes | names})["certificate"]
    return made | {
        "issued": issued["certificateId"],
        "revoked": revoked["certificateId"],
        "renewing": renewing["certificateId"],
        "issuers": "\n".join(each["certificateChain"] for each in (issued, by_rsa)),
    }
