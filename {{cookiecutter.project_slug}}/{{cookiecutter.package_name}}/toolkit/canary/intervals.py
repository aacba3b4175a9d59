"""Confidence intervals of differences between two versions, of which each answers other requests.

`alpha` is the probability, at most, that a limit is on the wrong side of the difference; each limit has its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv

from ..version.drift import psi, with_half_rows


class Difference(NamedTuple):
    """The value of the second version less that of the first, with the limits of its interval."""

    first: float
    second: float
    low: float
    high: float

    @property
    def value(self) -> float:
        """The second value less the first."""
        return self.second - self.first


def of_shares(events: tuple[float, float], totals: tuple[float, float], alpha: float) -> Difference:
    """Compare the shares of events among some totals, which are not 0.

    The limits of each share are exact (Clopper and Pearson, Biometrika 1934) and are joined by squares (Newcombe,
    Statistics in Medicine 1998; MOVER: Zou and Donner, ibid. 2008). Limits by a normal or a score approximation are
    wrong where it counts here: few requests, rare events and a small alpha.
    """
    (first, first_low, first_high), (second, second_low, second_high) = (
        (events[i] / totals[i], *_exact(events[i], totals[i], alpha)) for i in (0, 1)
    )
    value = second - first
    low = value - sqrt((second - second_low) ** 2 + (first_high - first) ** 2)
    high = value + sqrt((second_high - second) ** 2 + (first - first_low) ** 2)
    return Difference(first, second, low, high)


def _exact(events: float, total: float, alpha: float) -> tuple[float, float]:
    low = float(betaincinv(events, total - events + 1, alpha)) if events > 0 else 0.0
    high = float(betaincinv(events + 1, total - events, 1 - alpha)) if events < total else 1.0
    return low, high


def of_means(
    sums: tuple[float, float], squares: tuple[float, float], totals: tuple[float, float], alpha: float
) -> Difference:
    """Compare the means of two samples of some hundreds, by their sums and sums of squares."""
    first, second = sums[0] / totals[0], sums[1] / totals[1]
    variances = [
        max(squares[i] / totals[i] - mean**2, 0) / max(totals[i] - 1, 1) for i, mean in ((0, first), (1, second))
    ]
    return _normal(first, second, sum(variances), alpha)


def of_drifts(
    counts: tuple[Mapping[str, float], Mapping[str, float]],
    references: tuple[Mapping[str, float], Mapping[str, float]],
    totals: tuple[float, float],
    alpha: float,
) -> Difference:
    """Compare the PSI of two versions, each from its own counts by bin and the shares of these bins in its reference.

    `totals` are the numbers of independent observations behind the counts. What chance alone adds to a PSI is taken
    off: about (bins - 1) / total, since total * PSI is close to chi-squared (Yurdakul, Western Michigan 2018).
    """
    values, variances = zip(
        *(_drift(counts[i], references[i], totals[i]) for i in (0, 1)),
        strict=True,
    )
    return _normal(values[0], values[1], sum(variances), alpha)


def _drift(counts: Mapping[str, float], reference: Mapping[str, float], total: float) -> tuple[float, float]:
    """Return the PSI without its bias, and its variance."""
    bins = [name for name, share in reference.items() if share > 0]
    found = with_half_rows(np.array([counts.get(name, 0.0) for name in bins]))
    expected = np.array([reference[name] for name in bins])
    expected = expected / expected.sum()
    shares, freedom = np.array(found), len(bins) - 1
    # By the delta method, plus the variance that remains where the shares are equal.
    gradient = np.log(shares / expected) + 1 - expected / shares
    spread = float((shares * gradient**2).sum() - (shares * gradient).sum() ** 2)
    value = psi(found, tuple(expected.tolist())) - freedom / total
    return max(value, 0.0), max(spread, 0.0) / total + 2 * freedom / total**2


def _normal(first: float, second: float, variance: float, alpha: float) -> Difference:
    half = NormalDist().inv_cdf(1 - alpha) * sqrt(variance)
    return Difference(first, second, second - first - half, second - first + half)
