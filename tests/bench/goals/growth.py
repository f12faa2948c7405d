"""G9: looking for certificates among few and among many."""

import json
from dataclasses import dataclass
from urllib.parse import urlencode

from tests.bench.applicants import APPLICANTS, host_name
from tests.bench.goals.issuing import disturbance
from tests.bench.portal import CERTIFICATES, Portal
from tests.bench.report import AtMost, Line
from tests.bench.stage import Stage
from tests.bench.targets import Broken, NotThere, Target
from tests.bench.wrk import Request

SUBSTRING_MS = 15.0
# The number of a host that no applicant has.
WANTED = APPLICANTS + 200


@dataclass(frozen=True, slots=True)
class Lookup:
    """One kind of question, as a request."""

    name: str
    request: Request


def look_up(stage: Stage) -> list[Line]:
    """G9: list, serial number, name, soonest to expire and substring among few and many, one connection."""
    sizes = stage.scale.sizes
    portals = [stage.portals.with_certificates(size) for size in sizes]
    lines = []
    for position, lookup in enumerate(_lookups(portals[0])):
        targets = [
            _target(portal, size, _lookups(portal)[position]) for portal, size in zip(portals, sizes, strict=True)
        ]
        visits = stage.visit(*targets, connections=1)
        few, many = targets[0], targets[-1]
        curve = ", ".join(
            f"{size:,}: {visits.p50(target):.1f} ms" for target, size in zip(targets[:-1], sizes, strict=False)
        )
        ours, note = f"{visits.p50(many):.1f} ms", disturbance(visits, few, many)
        metric = f"{lookup.name} among {sizes[-1]:,}, p50"
        if lookup.name == "substring":
            # As long as the whole answer takes, not the query alone.
            ratio, wanted, peer = visits.p50(many) / SUBSTRING_MS, AtMost(1.0), f"{SUBSTRING_MS:.0f} ms; {curve}"
        else:
            ratio, wanted, peer = visits.ratio_of_p50(many, few), AtMost(1.2), curve
        lines.append(Line("G9", metric, ours, peer, ratio, wanted, note))
    stage.portals.end(*portals[:-1])
    return lines


def _target(portal: Portal, size: int, lookup: Lookup) -> Target:
    _require_found(portal, lookup)
    return Target(
        name=f"portal with {size:,}, {lookup.name}",
        server=portal.server,
        requests=[lookup.request],
        headers=portal.headers,
        judge_answer=_require_json,
    )


def _require_found(portal: Portal, lookup: Lookup) -> None:
    body = json.loads(lookup.request.body) if lookup.request.body else None
    answer = portal.call(lookup.request.method, lookup.request.path, body)
    if not answer.get("certificate") and not answer.get("certificates"):
        raise NotThere(f"{lookup.name} finds nothing: {str(answer)[:200]}")


def _require_json(body: bytes) -> None:
    answer = json.loads(body)
    if not answer.get("certificate") and not answer.get("certificates"):
        raise Broken("an answer holds no certificate")


def _lookups(portal: Portal) -> list[Lookup]:
    """The same questions whatever the size, about one certificate that was filled in in each."""
    project = f"/api/v1/projects/{portal.made['projectId']}/certificates"
    by_name = f"{project}?{urlencode({'commonName': host_name(WANTED), 'limit': 25})}"
    found = portal.call("GET", by_name)["certificates"]
    if not found:
        raise NotThere(f"there are no {WANTED} certificates")
    search = {"status": "active", "sortBy": "notAfter", "sortOrder": "asc", "limit": 25}
    return [
        Lookup("list", Request("GET", f"{project}?limit=25")),
        Lookup("serial number", Request("GET", f"{CERTIFICATES}/{found[0]['serialNumber']}")),
        Lookup("name", Request("GET", by_name)),
        Lookup("soonest to expire", Request("POST", f"{project}/search", json.dumps(search).encode())),
        Lookup("substring", Request("GET", f"{project}?{urlencode({'search': host_name(WANTED)[2:12], 'limit': 25})}")),
    ]
