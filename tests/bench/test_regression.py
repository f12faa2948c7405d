"""What counts as a regression."""

import pytest

from tests.bench.regression import as_text, compare, has_regressed


def test_the_cheapest_round_of_each_counts() -> None:
    costs = compare([{"list": 3.0}, {"list": 2.0}], [{"list": 4.0}, {"list": 2.5}])
    assert costs == {"list": (2.0, 2.5)}
    assert "0.80x" in as_text(costs)


@pytest.mark.parametrize(("now", "is_gross"), [(1.0, False), (1.5, False), (1.51, True)])
def test_only_what_costs_half_as_much_again_fails(now: float, is_gross: bool) -> None:
    assert has_regressed({"issue": (1.0, 1.0), "list": (now, 1.0)}) is is_gross
