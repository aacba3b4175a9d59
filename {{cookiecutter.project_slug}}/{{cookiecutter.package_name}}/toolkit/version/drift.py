"""Drift: how far the shares of some rows in the bins of a field are from those of its reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def psi(current: Sequence[float], reference: Sequence[float]) -> float:
    """Return the population stability index of two lists of shares, none of which may be 0.

    It is 0 if they are equal. By convention, below 0.1 the population has not changed, from 0.1 to 0.25 it has changed
    a little, and above 0.25 it has shifted (Siddiqi, "Credit Risk Scorecards", 2006).
    """
    p, q = np.array(current), np.array(reference)
    return float(((p - q) * np.log(p / q)).sum())


def with_half_rows(counts: np.ndarray) -> tuple[float, ...]:
    """Return the share of each bin by its count of rows.

    Half a row is added to each bin, so that none is 0 (Krichevsky and Trofimov, 1981).
    """
    rows = counts + 0.5
    return tuple((rows / rows.sum()).tolist())
