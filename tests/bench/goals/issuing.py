"""G1, G2, G3, G5: certificates from CSRs, one a call."""

from collections.abc import Iterable

from tests.bench.portal_targets import issuing
from tests.bench.report import AtLeast, AtMost, Line, rate_text
from tests.bench.stage import Stage
from tests.bench.targets import Target
from tests.bench.visits import Visits


def issue_from_csr(stage: Stage) -> list[Line]:
    """G1 and G2: P-256 CA, 8 connections, everything on."""
    ours = issuing(stage.portal, "tls-server")
    bare, kept = (stage.cfssl.signing("ec", keeps_rows=keeps) for keeps in (False, True))
    django_ca = stage.django_ca.signing("ec", with_hasher=False)
    shipped = [stage.django_ca.signing("ec", with_hasher=True)] if stage.scale.has_shipped_hasher else []
    visits = stage.visit(ours, bare, kept, django_ca, *shipped)
    metric = "issue from a CSR, P-256 CA, 8 connections"
    return [
        rates("G1", metric, visits, ours, kept, AtLeast(1.0)),
        rates("G1", metric, visits, ours, django_ca, AtLeast(5)),
        *(rates("G1", metric, visits, ours, each, AtLeast(200)) for each in shipped),
        rates("G1", metric, visits, ours, bare, None),
        _p99(visits, ours, kept, AtMost(0.5)),
        _p99(visits, ours, django_ca, AtMost(0.3)),
        *costs("G1", visits, [ours, bare, kept, django_ca, *shipped]),
    ]


def issue_at_rest(stage: Stage) -> list[Line]:
    """G3: the same on one connection."""
    ours = issuing(stage.portal, "tls-server")
    kept, django_ca = stage.cfssl.signing("ec", keeps_rows=True), stage.django_ca.signing("ec", with_hasher=False)
    visits = stage.visit(ours, kept, django_ca, connections=1)
    return [
        Line(
            "G3",
            "issue from a CSR, one connection, p50",
            f"{visits.p50(ours):.2f} ms",
            f"{peer.name}: {visits.p50(peer):.2f} ms",
            visits.ratio_of_p50(ours, peer),
            wanted,
            disturbance(visits, ours, peer),
        )
        for peer, wanted in ((kept, AtMost(2.0)), (django_ca, AtMost(0.2)))
    ]


def issue_by_rsa(stage: Stage) -> list[Line]:
    """G5: a CA with an RSA-2048 key."""
    ours = issuing(stage.portal, "rsa")
    kept, django_ca = stage.cfssl.signing("rsa", keeps_rows=True), stage.django_ca.signing("rsa", with_hasher=False)
    visits = stage.visit(ours, kept, django_ca)
    metric = "issue from a CSR, RSA-2048 CA, 8 connections"
    return [
        rates("G5", metric, visits, ours, kept, AtLeast(1.1)),
        rates("G5", metric, visits, ours, django_ca, AtLeast(15)),
        *costs("G5", visits, [ours, kept, django_ca]),
    ]


def rates(goal: str, metric: str, visits: Visits, ours: Target, peer: Target, wanted: AtLeast | None) -> Line:
    """Ours against one peer, by what each issues in a second."""
    return Line(
        goal,
        metric,
        rate_text(visits.rate(ours)),
        f"{peer.name}: {rate_text(visits.rate(peer))}",
        visits.ratio_of_rates(ours, peer),
        wanted,
        disturbance(visits, ours, peer),
    )


def _p99(visits: Visits, ours: Target, peer: Target, wanted: AtMost) -> Line:
    return Line(
        "G2",
        "p99 of G1",
        f"{visits.p99(ours):.1f} ms",
        f"{peer.name}: {visits.p99(peer):.1f} ms",
        visits.ratio_of_p99(ours, peer),
        wanted,
        disturbance(visits, ours, peer),
    )


def costs(goal: str, visits: Visits, targets: Iterable[Target]) -> list[Line]:
    """CPU of server and database for each answer, which is what to watch from change to change."""
    ours, *peers = targets
    metric = "CPU ms for each, server + database"
    return [Line(goal, metric, visits.cost(ours), f"{peer.name}: {visits.cost(peer)}") for peer in peers]


def disturbance(visits: Visits, *targets: Target) -> str:
    """A note where others used the machine meanwhile."""
    loads = [visit.other for target in targets for visit in visits.of(target) if not visit.is_quiet]
    return f"others used up to {max(loads):.1f} cores" if loads else ""
