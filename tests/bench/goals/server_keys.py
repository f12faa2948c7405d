"""G6: certificates with RSA-2048 keys that the server makes."""

import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from functools import partial
from statistics import fmean, median

from tests.bench.goals.issuing import disturbance, rates
from tests.bench.portal import CERTIFICATES, Portal
from tests.bench.portal_targets import bodies_for_rsa_keys, issuing, making_rsa_keys
from tests.bench.report import AtLeast, AtMost, Line, rate_text
from tests.bench.stage import Stage
from tests.bench.targets import Target

KEY_SECONDS = 5
# Makes keys for so long, and tells how many a second.
_MAKE_KEYS = f"""
import time
from cryptography.hazmat.primitives.asymmetric import rsa
began, made = time.monotonic(), 0
while time.monotonic() - began < {KEY_SECONDS}:
    rsa.generate_private_key(public_exponent=65537, key_size=2048)
    made += 1
print(made / (time.monotonic() - began))
"""
# So slowly that whatever was made in advance is made again before the next one asks.
PACED, PAUSE_SECONDS = 30, 0.5
# More than anybody keeps in advance.
DRAINED = 60
SETTLE_SECONDS = 20.0


def make_rsa_keys(stage: Stage) -> list[Line]:
    """G6: RSA-2048 keys made by the server: sustained, one now and then, and what they cost others."""
    return [*_sustained(stage), _one_now_and_then(stage), _cost_to_others(stage)]


def _sustained(stage: Stage) -> list[Line]:
    # The time that a key takes differs by chance: some hundred keys make a figure.
    ours = replace(making_rsa_keys(stage.portal), least_seconds=3 * stage.scale.seconds)
    peer = replace(stage.cfssl.making_rsa_keys(), least_seconds=3 * stage.scale.seconds)
    before = _keys_a_second(cores=2)
    visits = stage.visit(ours, peer)
    limit = fmean((before, _keys_a_second(cores=2)))
    return [
        Line(
            "G6",
            "server-made RSA-2048 keys, 8 connections",
            rate_text(visits.rate(ours)),
            f"two cores that do nothing else: {rate_text(limit)}",
            visits.rate(ours) / limit,
            AtLeast(0.85),
            disturbance(visits, ours),
        ),
        rates("G6", "server-made RSA-2048 keys, 8 connections", visits, ours, peer, None),
    ]


def _keys_a_second(*, cores: int) -> float:
    running = [
        subprocess.Popen([sys.executable, "-c", _MAKE_KEYS], stdout=subprocess.PIPE, text=True) for _ in range(cores)
    ]
    return sum(float(each.communicate()[0]) for each in running)


def _one_now_and_then(stage: Stage) -> Line:
    portal, peer = stage.portal, stage.cfssl.making_rsa_keys()
    ours = making_rsa_keys(portal)
    time.sleep(SETTLE_SECONDS if stage.conditions.patience else 0)
    our_p50, peer_p50 = (median(_paced(target)) * 1000 for target in (ours, peer))
    return Line(
        "G6",
        "server-made RSA-2048 key, one every half second, p50",
        f"{our_p50:.1f} ms",
        f"{peer.name}: {peer_p50:.1f} ms",
        our_p50 / peer_p50,
        AtMost(0.05),
    )


def _paced(target: Target) -> list[float]:
    """Seconds of each of some requests with pauses between them."""
    taken = []
    for number in range(PACED):
        asked = target.requests[number % len(target.requests)]
        request = urllib.request.Request(  # noqa: S310 - our own address
            target.server.base_url + asked.path, data=asked.body, headers=dict(target.headers)
        )
        began = time.perf_counter()
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own address
            answer.read()
        taken.append(time.perf_counter() - began)
        time.sleep(PAUSE_SECONDS)
    return taken


def _cost_to_others(stage: Stage) -> Line:
    """CSRs while keys that were taken are made again, against CSRs when none has to be made."""
    portal, patience = stage.portal, stage.conditions.patience
    target = issuing(portal, "tls-server")
    settled = replace(target, name="portal, no key to make", prepare=partial(_wait, SETTLE_SECONDS if patience else 0))
    drained = replace(
        target, name="portal, all keys taken", prepare=partial(_take_keys, portal, DRAINED if patience else 8)
    )
    visits = stage.visit(settled, drained)
    return Line(
        "G6",
        "issue from a CSR while RSA keys are made in advance",
        rate_text(visits.rate(drained)),
        f"{settled.name}: {rate_text(visits.rate(settled))}",
        visits.ratio_of_rates(drained, settled),
        AtLeast(0.9),
        disturbance(visits, settled, drained),
    )


def _wait(seconds: float) -> int:
    time.sleep(seconds)
    return 0


def _take_keys(portal: Portal, count: int) -> int:
    bodies = bodies_for_rsa_keys(portal)
    for number in range(count):
        portal.call("POST", CERTIFICATES, bodies[number % len(bodies)])
    return count
