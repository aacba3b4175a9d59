"""McNemar's test of two accuracies on the same rows, and the interval of their difference that belongs to it."""

from __future__ import annotations

import math
from statistics import NormalDist

#: Halvings of the range in which a bound is searched.
STEPS = 60


def interval(only_first: int, only_second: int, rows: int, confidence: float) -> tuple[float, float]:
    """Return the confidence interval of the first accuracy minus the second.

    `only_first` rows are predicted right by the first model alone, `only_second` by the second alone. The interval has
    the differences that the score test does not reject; of no difference, this is McNemar's test without continuity
    correction. Source: T. Tango, Statistics in Medicine 17 (1998), 891-908.
    """
    z, difference = NormalDist().inv_cdf((1 + confidence) / 2), (only_first - only_second) / rows

    def bound(outside: float, wanted: float) -> float:
        inside = difference
        for _ in range(STEPS):
            middle = (inside + outside) / 2
            if abs(_score(only_first, only_second, rows, middle)) < wanted:
                inside = middle
            else:
                outside = middle
        return inside

    return bound(-1.0, z), bound(1.0, z)


def _score(only_first: int, only_second: int, rows: int, difference: float) -> float:
    """Return the standardised distance of the data from an assumed difference."""
    found = only_first - only_second - rows * difference
    b = -only_first - only_second + (2 * rows - only_first + only_second) * difference
    c = -only_second * difference * (1 - difference)
    # The most likely share of rows that only the second predicts right, under this difference.
    share = (math.sqrt(max(0.0, b * b - 8 * rows * c)) - b) / (4 * rows)
    variance = rows * (2 * share + difference * (1 - difference))
    if variance <= 0:
        return math.copysign(math.inf, found) if found else 0.0
    return found / math.sqrt(variance)
