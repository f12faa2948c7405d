"""The peer cfssl, from Debian's golang-cfssl: no users, no policy; a row for each certificate only if told so."""

import base64
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.applicants import host_name, requests_from_csrs
from tests.bench.postgres import Postgres
from tests.bench.servers import Servers, free_port
from tests.bench.targets import Ledger, Target
from tests.bench.wrk import Request

KEYS = {"ec": {"algo": "ecdsa", "size": 256}, "rsa": {"algo": "rsa", "size": 2048}}
CONFIGURATION = {
    "signing": {"default": {"expiry": "2160h", "usages": ["digital signature", "key encipherment", "server auth"]}}
}
# The two tables of its own migration certdb/pg/migrations/001_CreateCertificates.sql.
SCHEMA = """
CREATE TABLE certificates (
    serial_number bytea NOT NULL,
    authority_key_identifier bytea NOT NULL,
    ca_label bytea,
    status bytea NOT NULL,
    reason int,
    expiry timestamptz,
    revoked_at timestamptz,
    pem bytea NOT NULL,
    PRIMARY KEY (serial_number, authority_key_identifier)
);
CREATE TABLE ocsp_responses (
    serial_number bytea NOT NULL,
    authority_key_identifier bytea NOT NULL,
    body bytea NOT NULL,
    expiry timestamptz,
    PRIMARY KEY (serial_number, authority_key_identifier),
    FOREIGN KEY (serial_number, authority_key_identifier)
        REFERENCES certificates (serial_number, authority_key_identifier)
)
"""
DATABASE = "cfssl"
SIGN, NEW_CERTIFICATE = "/api/v1/cfssl/sign", "/api/v1/cfssl/newcert"


@dataclass(frozen=True)
class Authority:
    """A self-signed CA in files."""

    certificate: Path
    key: Path


class Cfssl:
    """Its CAs and servers, each started once, when first asked for."""

    def __init__(self, folder: Path, postgres: Postgres, servers: Servers) -> None:
        self._folder, self._postgres, self._servers = folder, postgres, servers
        self._targets: dict[tuple[str, bool], Target] = {}
        self._authorities: dict[str, Authority] = {}
        folder.mkdir()
        (folder / "configuration.json").write_text(json.dumps(CONFIGURATION))

    def authority(self, kind: str) -> Authority:
        """Of a P-256 key (``ec``) or one of RSA-2048 (``rsa``)."""
        if kind not in self._authorities:
            asked = {"CN": f"cfssl {kind}", "key": KEYS[kind], "ca": {"expiry": "87600h"}}
            (self._folder / f"{kind}.json").write_text(json.dumps(asked))
            made = json.loads(_run("gencert", "-initca", f"{kind}.json", folder=self._folder))
            certificate, key = self._folder / f"{kind}.pem", self._folder / f"{kind}-key.pem"
            certificate.write_text(made["cert"])
            key.write_text(made["key"])
            self._authorities[kind] = Authority(certificate, key)
        return self._authorities[kind]

    def signing(self, kind: str, *, keeps_rows: bool) -> Target:
        """CSRs signed by ``kind``, each with a row in PostgreSQL or without a trace."""
        if (kind, keeps_rows) not in self._targets:
            self._targets[kind, keeps_rows] = self._start(kind, keeps_rows)
        return self._targets[kind, keeps_rows]

    def making_rsa_keys(self) -> Target:
        """Keys of RSA-2048 made by the server, their certificates signed by the P-256 CA; nothing is kept."""
        base = self.signing("ec", keeps_rows=False)
        bodies = [
            {"request": {"CN": name, "hosts": [name], "key": KEYS["rsa"], "names": [{}]}}
            for name in map(host_name, range(50))
        ]
        return Target(
            name="cfssl newcert",
            server=base.server,
            requests=[Request("POST", NEW_CERTIFICATE, json.dumps(body).encode()) for body in bodies],
            issued=1,
            issuers=base.issuers,
            read_answer=_certificate_in,
        )

    def _start(self, kind: str, keeps_rows: bool) -> Target:
        authority, port = self.authority(kind), free_port()
        name = f"cfssl {kind}" + (" with row" if keeps_rows else "")
        command = ["cfssl", "serve", "-address=127.0.0.1", f"-port={port}", "-loglevel=2"]
        command += [f"-ca={authority.certificate}", f"-ca-key={authority.key}"]
        command += [f"-config={self._folder / 'configuration.json'}"]
        ledger = None
        if keeps_rows:
            database = f"{DATABASE}_{kind}"
            url = self._postgres.create(database)
            with self._postgres.connect(database) as connection:
                connection.execute(SCHEMA)
            configuration = self._folder / f"{database}.json"
            words = self._postgres.words(database)
            configuration.write_text(json.dumps({"driver": "postgres", "data_source": words}))
            command.append(f"-db-config={configuration}")
            ledger = Ledger(
                url=url,
                certificates="SELECT count(*) FROM certificates",
                newest="SELECT convert_from(serial_number, 'UTF8'), pem FROM certificates ORDER BY ctid DESC LIMIT %s",
            )
        server = self._servers.start(
            name, command, port=port, environment=os.environ, log=self._folder / f"{port}.log", folder=self._folder
        )
        return Target(
            name=name,
            server=server,
            requests=requests_from_csrs(SIGN, lambda host, csr: {"certificate_request": csr, "hosts": [host]}),
            issued=1,
            ledger=ledger,
            issuers=authority.certificate,
            read_answer=_certificate_in,
        )


def _certificate_in(body: bytes) -> list[bytes]:
    answer: dict[str, Any] = json.loads(body)
    return [answer["result"]["certificate"].encode()] if answer.get("success") else []


def _run(*arguments: str, folder: Path) -> str:
    command = ["cfssl", *arguments, "-loglevel=2"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def version() -> str:
    """As it tells it."""
    output = subprocess.run(["cfssl", "version"], capture_output=True, text=True, check=True).stdout
    return next(line.partition(":")[2].strip() for line in output.splitlines() if line.startswith("Version"))


def decoded(crl: str) -> bytes:
    """The DER of a list as ``cfssl gencrl`` prints it."""
    return base64.b64decode(crl)
