"""Large arrays: what some of their values tell, without a look at all."""

from __future__ import annotations

import numpy as np

#: Values that are looked at before all are sorted.
PART = 1000
#: Rows of which quantiles are taken; those of more rows differ by less than a thousandth of the rows.
MOST_ROWS = 500_000


def some(array: np.ndarray) -> np.ndarray:
    """Return up to `MOST_ROWS` rows of an array, the same ones of every array of a length."""
    if len(array) <= MOST_ROWS:
        return array
    return array[np.random.default_rng(0).integers(0, len(array), MOST_ROWS)]


def few_distinct(values: np.ndarray, most: int) -> np.ndarray | None:
    """Return the distinct numbers, ascending; None if they are more than `most`, which a part of them mostly shows."""
    if len(np.unique(values[:PART])) > most:
        return None
    distinct = np.unique(values)
    return distinct if len(distinct) <= most else None
