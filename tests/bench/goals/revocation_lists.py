"""G8: lists of what was revoked, and revoking beside long ones."""

import json
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.bench.applicants import csrs
from tests.bench.cfssl import decoded
from tests.bench.machine import peak_memory, wait_until_quiet
from tests.bench.portal import CERTIFICATES, Portal
from tests.bench.report import AtMost, Line, tell
from tests.bench.stage import ROOT, Stage
from tests.bench.targets import Broken

REVOKED, REVOKING_SECONDS = 60, 60.0
FIRST = ", the first one"


@dataclass(frozen=True, slots=True)
class Publication:
    """What one list took; ``mebibytes`` are the greatest memory of the process that made it."""

    seconds: float
    mebibytes: float


def publish_and_revoke(stage: Stage) -> list[Line]:
    """G8: a CRL of all that is revoked, time and memory, and one revocation with few and with many on the list."""
    sizes = stage.scale.sizes
    portals = [stage.portals.with_revocations(size) for size in sizes]
    lines = []
    for size, portal in zip(sizes, portals, strict=True):
        # The same for every size, so that it shows how the cost grows; the goal is that of the last. It is none of the
        # first list, which reads every entry and seals it, as does the first after a scheduled one past which some of
        # them had ended; the goal is that of all others.
        first, ours, peer = _publications(stage, portal, size)
        wanted = AtMost(1 / 6) if size == sizes[-1] else None
        lines += [_time_line(size, ours, peer, wanted), _memory_line(size, ours, peer, wanted)]
        lines += [_time_line(size, first, peer, None, FIRST), _memory_line(size, first, peer, None, FIRST)]
    lines.append(_revoke_line(stage, portals))
    stage.portals.end(*portals)
    return lines


def _publications(stage: Stage, portal: Portal, size: int) -> tuple[Publication, Publication, Publication]:
    """The portal's first one, and those that follow one more revocation each, in turn with cfssl's."""
    ours: list[Publication] = []
    peers: list[Publication] = []
    wait_until_quiet(patience=stage.conditions.patience)
    # What was revoked for real, to be copied, is on it besides.
    first = _ours(stage, portal, entries=size + 1)
    tell(f"  CRL of {size:,}, the first one: portal {_told(first)}")
    for number, certificate in enumerate(_issued(portal, stage.conditions.rounds), start=1):
        portal.call("POST", f"{CERTIFICATES}/{certificate}/revoke", {"revocationReason": "SUPERSEDED"})
        wait_until_quiet(patience=stage.conditions.patience)
        ours.append(_ours(stage, portal, entries=size + 1 + number))
        wait_until_quiet(patience=stage.conditions.patience)
        peers.append(_cfssl(stage, size))
        tell(f"  round {number}, CRL of {size:,}: portal {_told(ours[-1])}, cfssl {_told(peers[-1])}")
    return first, _middle(ours), _middle(peers)


def _ours(stage: Stage, portal: Portal, *, entries: int) -> Publication:
    folder = stage.folder / "list"
    folder.mkdir(exist_ok=True)
    environment = dict(portal.environment) | {"DJANGO_SETTINGS_MODULE": "pki_portal.settings", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-P", str(ROOT / "tests" / "bench" / "publishing.py"), str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Broken(f"the list was not published: {done.stderr[-500:]}")
    issuer = x509.load_der_x509_certificate((folder / "issuer.der").read_bytes())
    _require_list(folder, (folder / "list.der").read_bytes(), issuer, entries=entries)
    return Publication(**json.loads(done.stdout))


def _cfssl(stage: Stage, size: int) -> Publication:
    """The whole process, whose start takes a few ms; its list, without reasons, is judged likewise."""
    folder, authority = stage.folder / "cfssl", stage.cfssl.authority("ec")
    serials = folder / f"serials-{size}"
    if not serials.exists():
        serials.write_text("".join(f"{secrets.randbits(158) | 1 << 158}\n" for _ in range(size)))
    output = folder / "list"
    began, peak = time.monotonic(), 0.0
    with output.open("wb") as file:
        command = ["cfssl", "gencrl", str(serials), str(authority.certificate), str(authority.key)]
        running = subprocess.Popen(command, stdout=file, stderr=subprocess.DEVNULL)
        while running.poll() is None:
            peak = max(peak, peak_memory(running.pid))
            time.sleep(0.005)
    taken = time.monotonic() - began
    issuer = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    _require_list(folder, decoded(output.read_text()), issuer, entries=size)
    return Publication(taken, peak)


def _require_list(folder: Path, encoding: bytes, issuer: x509.Certificate, *, entries: int) -> None:
    """As many entries as there are revocations, and a signature that openssl verifies. Raises Broken."""
    found = len(x509.load_der_x509_crl(encoding))
    if found != entries:
        raise Broken(f"a list of {entries} has {found} entries")
    (folder / "judged.der").write_bytes(encoding)
    (folder / "judge.pem").write_bytes(issuer.public_bytes(Encoding.PEM))
    command = ["openssl", "crl", "-inform", "DER", "-in", "judged.der", "-CAfile", "judge.pem", "-noout"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if "verify OK" not in done.stdout + done.stderr:
        raise Broken(f"openssl does not verify a list: {done.stderr}")


def _middle(publications: list[Publication]) -> Publication:
    return Publication(median(each.seconds for each in publications), median(each.mebibytes for each in publications))


def _told(publication: Publication) -> str:
    return f"{publication.seconds:.2f} s, {publication.mebibytes:.0f} MiB"


def _time_line(size: int, ours: Publication, peer: Publication, wanted: AtMost | None, which: str = "") -> Line:
    return Line(
        "G8",
        f"CRL of {size:,}{which}, time",
        f"{ours.seconds:.2f} s",
        f"cfssl gencrl: {peer.seconds:.2f} s",
        ours.seconds / peer.seconds,
        wanted,
    )


def _memory_line(size: int, ours: Publication, peer: Publication, wanted: AtMost | None, which: str = "") -> Line:
    return Line(
        "G8",
        f"CRL of {size:,}{which}, peak memory of the process",
        f"{ours.mebibytes:.0f} MiB",
        f"cfssl gencrl: {peer.mebibytes:.0f} MiB",
        ours.mebibytes / peer.mebibytes,
        wanted,
    )


# --- Revoking


def _revoke_line(stage: Stage, portals: list[Portal]) -> Line:
    """In turn at the fewest and the most, so that both see the same machine."""
    few, many = portals[0], portals[-1]
    taken: dict[str, list[float]] = {few.database: [], many.database: []}
    waiting = {portal.database: _issued(portal, REVOKED) for portal in (few, many)}
    wait_until_quiet(patience=stage.conditions.patience)
    deadline = time.monotonic() + REVOKING_SECONDS
    for number in range(REVOKED):
        if time.monotonic() > deadline:
            break
        for portal in (few, many):
            began = time.perf_counter()
            path = f"{CERTIFICATES}/{waiting[portal.database][number]}/revoke"
            portal.call("POST", path, {"revocationReason": "SUPERSEDED"})
            taken[portal.database].append((time.perf_counter() - began) * 1000)
    at_few, at_many = median(taken[few.database]), median(taken[many.database])
    sizes = stage.scale.sizes
    return Line(
        "G8",
        f"revoke with {sizes[-1]:,} on the list, p50",
        f"{at_many:.1f} ms",
        f"with {sizes[0]:,}: {at_few:.1f} ms",
        at_many / at_few,
        AtMost(1.2),
        f"{len(taken[many.database])} revocations",
    )


def _issued(portal: Portal, count: int) -> list[str]:
    body: dict[str, Any] = {"profileId": portal.made["profileIds"]["tls-server"], "attributes": {"ttl": "90d"}}
    return [
        portal.call("POST", CERTIFICATES, body | {"csr": csr})["certificate"]["certificateId"]
        for _, csr in csrs()[:count]
    ]
