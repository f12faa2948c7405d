"""G11: memory of the servers, and whether it grows."""

from dataclasses import replace

from tests.bench.goals.issuing import disturbance
from tests.bench.machine import memory
from tests.bench.portal_targets import issuing
from tests.bench.report import AtMost, Line, tell
from tests.bench.stage import Stage
from tests.bench.targets import Target
from tests.bench.visits import load_until

WORKERS = 2
FEW = 1000
# Of load between two looks at how many there are.
SECONDS = 10


def hold_memory(stage: Stage) -> list[Line]:
    """G11: memory of two workers, without a background worker, and after many certificates against after a few."""
    portal = stage.portals.with_certificates(
        min(stage.scale.sizes), gunicorn=f"--workers={WORKERS} --max-requests=0", has_worker=False
    )
    ours = replace(issuing(portal, "tls-server"), name="portal, 2 workers")
    peer = replace(stage.django_ca.signing("ec", with_hasher=False, workers=WORKERS), name="django-ca, 2 workers")
    visits = stage.visit(ours, peer)
    pss, peer_pss = (max(visit.memory.pss for visit in visits.of(target)) for target in (ours, peer))
    few = _rss_after(stage, ours, min(FEW, stage.scale.issued))
    many = _rss_after(stage, ours, stage.scale.issued)
    stage.portals.end(portal)
    return [
        Line(
            "G11",
            "PSS with two workers",
            f"{pss:.0f} MiB",
            f"{peer.name}: {peer_pss:.0f} MiB",
            pss / peer_pss,
            AtMost(0.9),
            disturbance(visits, ours, peer),
        ),
        Line(
            "G11",
            f"RSS after {stage.scale.issued:,} certificates",
            f"{many:.0f} MiB",
            f"after {FEW:,}: {few:.0f} MiB",
            many / few,
            AtMost(1.03),
        ),
    ]


def _rss_after(stage: Stage, target: Target, issued: int) -> float:
    """MiB, once the target has kept at least so many certificates."""
    ledger = target.ledger
    assert ledger is not None
    # Events, of which none were there before.
    load_until(target, lambda: ledger.counts()[1] >= issued, seconds=SECONDS)
    rss = memory(target.server.pid).rss
    tell(f"  after {issued:,} certificates: RSS {rss:.0f} MiB")
    return rss
