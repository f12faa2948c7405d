"""Ratios are those inside a round."""

from tests.bench.machine import Memory
from tests.bench.targets import Server, Target
from tests.bench.visits import Visit, Visits
from tests.bench.wrk import Outcome


def target(name: str, *, issued: int = 1) -> Target:
    return Target(name=name, server=Server(name, "http://127.0.0.1:1", 1), requests=(), issued=issued)


def visit(requests: int, *, p50: float = 1.0, p99: float = 1.0) -> Visit:
    return Visit(Outcome(requests, 1.0, p50, p99, 0, 0), 1.0, 0.5, 0.0, Memory(1, 1))


def test_the_ratio_is_the_median_of_the_rounds_ratios_not_the_ratio_of_medians() -> None:
    ours, peer = target("ours"), target("peer")
    visits = Visits({"ours": [visit(100), visit(300), visit(200)], "peer": [visit(100), visit(100), visit(400)]})
    assert visits.ratio_of_rates(ours, peer) == 1.0
    assert visits.rate(ours) == 200


def test_batches_count_what_they_issue() -> None:
    ours, peer = target("ours", issued=100), target("peer")
    visits = Visits({"ours": [visit(10)], "peer": [visit(500)]})
    assert visits.rate(ours) == 1000
    assert visits.ratio_of_rates(ours, peer) == 2.0


def test_latencies_have_ratios_of_their_own() -> None:
    ours, peer = target("ours"), target("peer")
    visits = Visits({"ours": [visit(1, p50=3.0, p99=10.0)], "peer": [visit(1, p50=1.5, p99=40.0)]})
    assert visits.ratio_of_p50(ours, peer) == 2.0
    assert visits.ratio_of_p99(ours, peer) == 0.25
    assert visits.cost(ours) == "1.00 + 0.50"
