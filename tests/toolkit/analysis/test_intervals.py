"""Intervals: they hold the true value about as often as they say, and are as wide as the rows are few."""

import numpy as np
import pytest
from titanic_survival.toolkit.analysis import intervals
from titanic_survival.toolkit.version.drift import psi, with_half_rows


def test_interval_of_a_share_is_wilson_s() -> None:
    found = intervals.of_share(1, 10)
    assert (found.value, found.count) == (0.1, 10)
    assert (found.low, found.high) == pytest.approx((0.017876, 0.404150), abs=1e-5)
    assert intervals.of_share(0, 10).low == 0 and intervals.of_share(0, 10).high > 0.2
    assert intervals.of_share(10, 10).high == 1


@pytest.mark.parametrize(("rows", "reference_rows"), [(500, 1000), (20_000, 1000), (500, None)])
@pytest.mark.parametrize("change", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("bins", [2, 12, 20])
def test_interval_of_the_psi_holds_the_true_one(
    bins: int, change: float, rows: int, reference_rows: int | None
) -> None:
    random = np.random.default_rng(bins)
    reference = random.dirichlet(np.full(bins, 3))
    current = reference * np.exp(change * random.normal(size=bins))
    current /= current.sum()
    true, held, beyond, times = psi(list(current), list(reference)), 0, 0, 300
    for _ in range(times):
        shares = with_half_rows(random.multinomial(reference_rows, reference)) if reference_rows else tuple(reference)
        value = psi(with_half_rows(random.multinomial(rows, current)), shares)
        found = intervals.of_psi(value, bins, rows, reference_rows)
        assert found.low <= found.value <= found.high
        held += found.low - 1e-12 <= true <= found.high + 1e-12
        beyond += found.low > true + 1e-12
    assert held / times >= 0.90  # 95 %, but for chance in 300 samples
    assert beyond / times <= 0.06  # 2.5 %: what makes a rule fire by chance


def test_interval_of_the_psi_narrows_with_the_rows() -> None:
    few, many, huge = (intervals.of_psi(0.3, 12, rows, None) for rows in (500, 50_000, 50_000_000))
    assert few.low < many.low < huge.low < 0.3 < huge.high < many.high < few.high
    assert huge.high - huge.low < 0.001
    # No reference of a thousand rows tells so exactly, however many rows there are.
    assert intervals.of_psi(0.3, 12, 50_000_000, 1000).low < 0.27


@pytest.mark.parametrize(("rows", "reference_rows"), [(300, 300), (5000, 250), (200, 2000)])
@pytest.mark.parametrize("change", [0.0, -0.1])
def test_interval_of_a_difference_holds_the_true_one(rows: int, reference_rows: int, change: float) -> None:
    random, held, exact, times = np.random.default_rng(0), 0, 0, 2000
    for _ in range(times):
        now = intervals.of_share(random.binomial(rows, 0.8 + change), rows)
        reference = random.binomial(reference_rows, 0.8) / reference_rows
        found = intervals.of_difference(now, reference, reference_rows)
        assert found.value == now.value - reference
        held += found.low <= change <= found.high
        exact += now.low - reference <= change <= now.high - reference
    assert 0.93 <= held / times <= 0.98
    assert exact / times < 0.93 if reference_rows <= rows else exact / times < held / times


def test_both_ways_to_invert_the_distribution_agree() -> None:
    for freedom, probability in ((1, 0.025), (19, 0.975)):
        near = [intervals._noncentrality(intervals.LARGE * f, freedom, probability) for f in (0.9999, 1.0001)]
        assert near[1] == pytest.approx(near[0], rel=1e-3)


def test_field_of_one_bin_has_no_drift() -> None:
    found = intervals.of_psi(0.0, 1, 500, 1000)
    assert (found.low, found.value, found.high) == (0, 0, 0)
