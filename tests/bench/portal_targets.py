"""What is asked of our own portal under load."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.bench.applicants import csrs, host_name, requests_from_csrs
from tests.bench.portal import CERTIFICATES, Portal
from tests.bench.targets import Broken, Ledger, Target
from tests.bench.wrk import Request

BATCH = f"{CERTIFICATES}/batch"


def issuing(portal: Portal, profile: str) -> Target:
    """Certificates from CSRs: of the P-256 CA by the profile ``tls-server``, of the RSA-2048 CA by ``rsa``."""
    body = {"profileId": portal.made["profileIds"][profile], "attributes": {"ttl": "90d"}}
    name = "portal, RSA CA" if profile == "rsa" else "portal"
    return _target(name, portal, requests_from_csrs(CERTIFICATES, lambda _, csr: body | {"csr": csr}))


def issuing_batches(portal: Portal, size: int) -> Target:
    """The same of the P-256 CA, so many in one call. Raises NotThere."""
    profile = portal.made["profileIds"]["tls-server"]
    items = [{"profileId": profile, "csr": csr, "attributes": {"ttl": "90d"}} for _, csr in csrs()]
    bodies = [{"items": items[first : first + size]} for first in range(0, len(items) - size + 1, size)]
    portal.call("POST", BATCH, bodies[0])
    target = _target(f"portal, batches of {size}", portal, [_post(BATCH, body) for body in bodies])
    return replace(target, issued=size, read_answer=_certificates_in_batch, least_seconds=10)


def making_rsa_keys(portal: Portal) -> Target:
    """Keys of RSA-2048 made by the portal, their certificates signed by the P-256 CA."""
    bodies = bodies_for_rsa_keys(portal)
    return _target("portal, makes RSA keys", portal, [_post(CERTIFICATES, body) for body in bodies])


def bodies_for_rsa_keys(portal: Portal) -> list[dict[str, Any]]:
    """What is asked where the portal shall make the key."""
    return [
        {
            "profileId": portal.made["profileIds"]["tls-server"],
            "attributes": {
                "commonName": name,
                "altNames": [{"type": "DNS", "value": name}],
                "keyAlgorithm": "RSA_2048",
                "ttl": "90d",
            },
        }
        for name in map(host_name, range(50))
    ]


def _post(path: str, body: object) -> Request:
    return Request("POST", path, json.dumps(body).encode())


def _target(name: str, portal: Portal, requests: Sequence[Request]) -> Target:
    return Target(
        name=name,
        server=portal.server,
        requests=requests,
        headers=portal.headers,
        issued=1,
        ledger=Ledger(
            url=portal.environment["DATABASE_URL"],
            certificates="SELECT count(*) FROM certificates_certificate",
            # By an index, and its one project: the rows that are measured stay where they were in memory.
            newest="SELECT serial_number, der FROM certificates_certificate"
            " WHERE project_id = (SELECT id FROM access_project) ORDER BY created_at DESC LIMIT %s",
            audit="SELECT count(*) FROM audit_auditevent WHERE subject_type = 'certificate'",
        ),
        issuers=portal.issuers,
        read_answer=_certificate_in,
    )


def _certificate_in(body: bytes) -> list[bytes]:
    return [json.loads(body)["certificate"]["certificate"].encode()]


def _certificates_in_batch(body: bytes) -> list[bytes]:
    answer = json.loads(body)
    if answer["refusedCount"]:
        raise Broken(f"{answer['refusedCount']} items of a batch were refused")
    return [each["issued"]["certificate"]["certificate"].encode() for each in answer["items"]]
