"""The paired bootstrap: how a difference of two versions varies if other rows of the same kind had been held out.

Each resample draws as many rows as there are, with replacement, the same ones for both versions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from statistics import NormalDist

import numpy as np

from .comparison import RESAMPLES
from .known_metrics import Metric

#: Of fewer resamples, the outer ones are too few to be counted: the interval has the normal distribution's width.
ENOUGH_TO_COUNT = 200
#: Fewer give no interval.
FEWEST = 20
#: The share of the resamples in which a metric must be defined, for an interval.
DEFINED = 0.9
#: Numbers that are drawn at once, which bounds the memory.
NUMBERS_AT_ONCE = 2**21

MeasurePair = Callable[[np.ndarray], tuple[Mapping[str, float], Mapping[str, float]]]
"""Positions of rows in, the metrics of both versions on these rows out; a metric that is not defined is missing."""


def of_known(
    pairs: Mapping[str, tuple[Metric, Metric]], rows: int, deadline: float, resamples: int = RESAMPLES
) -> dict[str, np.ndarray]:
    """Return the differences of each metric on resamples; fewer of these if the deadline passes."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in pairs}
    at_once, random = max(1, min(resamples, NUMBERS_AT_ONCE // rows)), np.random.default_rng(0)
    for start in range(0, resamples if pairs else 0, at_once):
        drawn = _drawn(random, min(at_once, resamples - start), rows)
        for name, (version, champion) in pairs.items():
            found[name].append(version(drawn) - champion(drawn))
        if time.monotonic() > deadline:
            break
    return {name: np.concatenate(parts) for name, parts in found.items()}


def of_function(
    measure: MeasurePair, names: Iterable[str], rows: int, deadline: float, resamples: int = RESAMPLES
) -> dict[str, np.ndarray]:
    """Return the differences of each metric of a function on resamples, NaN where a metric is not defined."""
    found: dict[str, list[float]] = {name: [] for name in names}
    for where in _resamples(rows, resamples) if found else ():
        version, champion = measure(where)
        for name, values in found.items():
            values.append(version.get(name, np.nan) - champion.get(name, np.nan))
        if time.monotonic() > deadline:
            break
    return {name: np.array(values) for name, values in found.items()}


def resample(rows: int) -> np.ndarray:
    """Return the positions of the first resample."""
    return next(_resamples(rows))


def interval(differences: np.ndarray, whole: float, scale: float, confidence: float) -> tuple[float, float] | str:
    """Return the interval of a difference, or in a phrase why there is none.

    `whole` is the difference on the rows that were drawn from; `scale` is by how much the deviations from it shrink,
    because the difference is known on more rows. The result is to be added to the difference on those.
    """
    defined = differences[np.isfinite(differences)] - whole
    if len(differences) < FEWEST:
        return f"metrics() is slow: {len(differences)} resamples in BOOTSTRAP_SECONDS, {FEWEST} are needed"
    if len(defined) < DEFINED * len(differences):
        return f"it is not defined on {len(differences) - len(defined)} of {len(differences)} resamples"
    if len(defined) < ENOUGH_TO_COUNT:
        half = NormalDist().inv_cdf((1 + confidence) / 2) * float(defined.std(ddof=1))
        return -scale * half, scale * half
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return scale * float(low), scale * float(high)


def _resamples(rows: int, resamples: int = RESAMPLES) -> Iterator[np.ndarray]:
    random = np.random.default_rng(0)
    for _ in range(resamples):
        yield random.integers(rows, size=rows)


def _drawn(random: np.random.Generator, resamples: int, rows: int) -> np.ndarray:
    """Return how often each row is drawn, (resamples, rows)."""
    where = random.integers(rows, size=(resamples, rows)) + rows * np.arange(resamples)[:, None]
    return np.bincount(where.ravel(), minlength=resamples * rows).reshape(resamples, rows).astype(np.float64)
