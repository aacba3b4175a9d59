"""Shapley values of small games, whose values are known."""

from collections.abc import Callable

import numpy as np
import pytest
from titanic_survival.toolkit.version.shapley import Plan, exact_plan, sampled_permutations_plan

SAMPLES = 3
PLANS = {"exact": exact_plan, "drawn": lambda players, samples: sampled_permutations_plan(players, samples, 4000)}


@pytest.fixture(params=PLANS.values(), ids=PLANS)
def plan_of(request: pytest.FixtureRequest) -> Callable[[int, int], Plan]:
    return request.param


def test_gloves_are_worth_what_the_textbook_says() -> None:
    # Two have a left glove, one a right one; a pair is worth 1: 1/6, 1/6, 4/6.
    plan = exact_plan(3, SAMPLES)
    left, right = plan.coalitions[:, :2].any(axis=1), plan.coalitions[:, 2]
    np.testing.assert_allclose(plan.solve((left & right)[None].astype(float)), [[1 / 6, 1 / 6, 4 / 6]])


def test_value_that_is_a_sum_gives_each_player_its_part(plan_of: Callable[[int, int], Plan]) -> None:
    plan = plan_of(5, SAMPLES)
    added = np.arange(5.0) ** 2
    values = plan.coalitions @ added + 100 * plan.samples
    np.testing.assert_allclose(plan.solve(values[None]), [added])


@pytest.mark.parametrize("players", [1, 2, 6])
def test_shapley_values_sum_to_all_minus_none(plan_of: Callable[[int, int], Plan], players: int) -> None:
    plan = plan_of(players, SAMPLES)
    # The same coalition before the same sample has one value.
    values = np.random.default_rng(1).normal(size=(2, SAMPLES, 2**players))
    asked = values[:, plan.samples, plan.coalitions @ 2 ** np.arange(players)]
    np.testing.assert_allclose(plan.solve(asked).sum(axis=1), (values[..., -1] - values[..., 0]).mean(axis=1))


def test_sampled_permutations_come_close_to_the_exact_values() -> None:
    def values(plan: Plan) -> np.ndarray:
        kept = plan.coalitions
        return (kept[:, 0] & kept[:, 1]) * (1.0 + plan.samples) + kept[:, 2:].sum(axis=1) ** 2 * 0.1

    exact, drawn = exact_plan(8, SAMPLES), sampled_permutations_plan(8, SAMPLES, 16_000)
    np.testing.assert_allclose(drawn.solve(values(drawn)[None]), exact.solve(values(exact)[None]), atol=0.05)


def test_the_same_orders_are_drawn_again() -> None:
    first, second = sampled_permutations_plan(12, SAMPLES, 1000), sampled_permutations_plan(12, SAMPLES, 1000)
    np.testing.assert_array_equal(first.coalitions, second.coalitions)
    assert np.bincount(first.samples).tolist() == [len(first.samples) // SAMPLES] * SAMPLES
