"""Shapley values of a game: the coalitions whose values they need, and how the Shapley values follow from these.

A coalition is a set of players, and has a value against each of some samples. A player's marginal contribution to a
coalition is what the coalition's value changes by when the player joins. Its Shapley value is the mean of its marginal
contributions over the samples and over all permutations of the players (Shapley, "A value for n-person games", 1953).
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import NamedTuple

import numpy as np


class Plan(NamedTuple):
    """The points at which a game is to be played: coalitions (points, players) and samples (points,).

    `solve` takes the coalition values at the points (games, points) and returns the Shapley values (games, players).
    They sum to the value of all players minus that of none, both means over the samples.
    """

    coalitions: np.ndarray
    samples: np.ndarray
    solve: Callable[[np.ndarray], np.ndarray]


def exact_plan(players: int, samples: int) -> Plan:
    """Return the plan of exact values: 2^players coalitions before every sample."""
    coalitions = (np.arange(2**players)[:, None] >> np.arange(players)) & 1 == 1
    without = [np.flatnonzero(~coalitions[:, player]) for player in range(players)]
    # The Shapley weight of a coalition of this size.
    weight = np.array([1 / (players * comb(players - 1, size)) for size in range(players)])
    weights = [weight[coalitions[numbers].sum(axis=1)] for numbers in without]

    def solve(values: np.ndarray) -> np.ndarray:
        mean = values.reshape(len(values), -1, samples).mean(axis=2)
        # Differences first: a player without any contribution gets exactly 0, without rounding errors.
        marginal = [mean[:, numbers + 2**player] - mean[:, numbers] for player, numbers in enumerate(without)]
        return np.stack([part @ weight for part, weight in zip(marginal, weights, strict=True)], axis=1)

    return Plan(np.repeat(coalitions, samples, axis=0), np.tile(np.arange(samples), len(coalitions)), solve)


def sampled_permutations_plan(players: int, samples: int, points: int) -> Plan:
    """Return the plan of estimates from permutations drawn with a fixed seed, at about `points` points.

    Every sample gets the same number of permutations, so the estimates have no bias and the same sum as the exact
    values. Each permutation is used with its reverse, which reduces the variance. Source: Strumbelj and Kononenko,
    "Explaining prediction models and individual predictions with feature contributions", 2014.
    """
    pairs = max(1, points // (2 * samples * (players + 1)))
    random = np.random.default_rng(0)
    drawn = random.permuted(np.tile(np.arange(players), (pairs * samples, 1)), axis=1)
    # place[o, p]: the place of player p in permutation o.
    place = np.concatenate([drawn, players - 1 - drawn])
    coalitions = place[:, None, :] < np.arange(players + 1)[:, None]

    def solve(values: np.ndarray) -> np.ndarray:
        marginal = np.diff(values.reshape(len(values), len(place), players + 1), axis=2)
        return np.take_along_axis(marginal, place[None], axis=2).mean(axis=1)

    sample_of_point = np.repeat(np.tile(np.arange(samples), 2 * pairs), players + 1)
    return Plan(coalitions.reshape(-1, players), sample_of_point, solve)
