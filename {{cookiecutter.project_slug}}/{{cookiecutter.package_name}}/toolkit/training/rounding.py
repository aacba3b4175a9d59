"""Rounding to float32, in which models see all numbers: 1700000059, a time in seconds, becomes 1700000000."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ..contract.dataframes import numbers
from ..contract.schema import FLOAT32_MAX_EXACT_INT, Contract

#: Beyond this a change is no matter of the last digit.
RELATIVE = 1e-6
#: From here on, float32 has all of its seven digits.
FLOAT32_MIN_NORMAL = float(np.finfo(np.float32).tiny)
CURE = (
    "Subtract an offset or divide in load(), for example days since a first day instead of seconds since 1970; a "
    "number that is a name is Annotated[int, 'key']."
)


def warnings(table: pd.DataFrame, contract: Contract) -> Iterator[str]:
    """Yield a sentence for each float field of valid rows, the labels included, with values that rounding changes."""
    for field in (*contract.row, *contract.labels):
        if field.kind not in ("float", "vector"):
            continue
        exact = numbers(table, field)
        if is_exact_enough(exact):
            continue
        changed = is_changed(exact)
        rows = changed.reshape(len(table), -1).any(axis=1).sum()
        if rows:
            example = exact[changed][0]
            yield (
                f"{field.name}: {rows} of {len(table)} rows have numbers that float32 does not hold, such as "
                f"{example:.15g}, which becomes {float(np.float32(example)):.15g}. {CURE}"
            )


def is_exact_enough(exact: np.ndarray) -> bool:
    """Return whether all numbers are in a range in which `is_changed` holds for none, by the smallest and largest."""
    size = np.abs(exact)
    largest = np.fmax.reduce(size, axis=None, initial=0)
    smallest = np.fmin.reduce(size, axis=None, initial=np.inf, where=size > 0)
    return bool(largest <= FLOAT32_MAX_EXACT_INT and smallest >= FLOAT32_MIN_NORMAL)


def is_changed(exact: np.ndarray) -> np.ndarray:
    """Return where rounding float64 to float32 changes a number by more than the last of seven digits, or by a half.

    By a half or more only numbers beyond 2**24 change, to which whole numbers are exact.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        difference = np.abs(exact.astype(np.float32) - exact)
        size = np.abs(exact)
        return (difference > RELATIVE * size) | (size > FLOAT32_MAX_EXACT_INT) & (difference >= 0.5)
