"""Shapley values of a game: the coalitions whose worth they need, and the values that follow from it.

A coalition is a set of players, and has a worth against each of some samples. A player's Shapley value is its addition
to the worth, averaged over the samples and over the orders in which players may join (Shapley, "A value for n-person
games", 1953).
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import NamedTuple

import numpy as np


class Plan(NamedTuple):
    """The points at which a game is to be played: coalitions (points, players), samples (points,), and what follows.

    `solve` takes the worth at the points (games, points) and returns the values (games, players). They sum to the worth
    of all players minus that of none, the means over the samples, whatever the worth is.
    """

    coalitions: np.ndarray
    samples: np.ndarray
    solve: Callable[[np.ndarray], np.ndarray]


def every_coalition(players: int, samples: int) -> Plan:
    """Return the plan of exact values: 2^players coalitions before every sample."""
    coalitions = (np.arange(2**players)[:, None] >> np.arange(players)) & 1 == 1
    without = [np.flatnonzero(~coalitions[:, player]) for player in range(players)]
    # The share of the orders in which a player finds just this coalition.
    share = np.array([1 / (players * comb(players - 1, size)) for size in range(players)])
    shares = [share[coalitions[numbers].sum(axis=1)] for numbers in without]

    def solve(worth: np.ndarray) -> np.ndarray:
        mean = worth.reshape(len(worth), -1, samples).mean(axis=2)
        # Differences first: who adds nothing gets 0, not what rounding leaves of it.
        added = [mean[:, numbers + 2**player] - mean[:, numbers] for player, numbers in enumerate(without)]
        return np.stack([part @ weights for part, weights in zip(added, shares, strict=True)], axis=1)

    return Plan(np.repeat(coalitions, samples, axis=0), np.tile(np.arange(samples), len(coalitions)), solve)


def drawn_orders(players: int, samples: int, points: int) -> Plan:
    """Return the plan of estimates from orders drawn with a fixed seed, at about so many points.

    Every sample gets the same number of orders, so the estimates have no bias and sum to what the exact values sum to;
    and each order its reverse, which takes away much of the variance. Source: Strumbelj and Kononenko, "Explaining
    prediction models and individual predictions with feature contributions", 2014.
    """
    pairs = max(1, points // (2 * samples * (players + 1)))
    random = np.random.default_rng(0)
    drawn = random.permuted(np.tile(np.arange(players), (pairs * samples, 1)), axis=1)
    # place[o, p]: when player p joins in order o.
    place = np.concatenate([drawn, players - 1 - drawn])
    coalitions = place[:, None, :] < np.arange(players + 1)[:, None]

    def solve(worth: np.ndarray) -> np.ndarray:
        added = np.diff(worth.reshape(len(worth), len(place), players + 1), axis=2)
        return np.take_along_axis(added, place[None], axis=2).mean(axis=1)

    joined = np.repeat(np.tile(np.arange(samples), 2 * pairs), players + 1)
    return Plan(coalitions.reshape(-1, players), joined, solve)
