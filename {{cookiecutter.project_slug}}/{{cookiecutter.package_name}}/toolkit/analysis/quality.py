"""The owner's metrics of rows whose labels have arrived, with intervals, on all rows and on each group.

A share of rows has Wilson's interval, any other metric that of a bootstrap. Metrics that equal a known one are
computed for many resamples at once, see `known_metrics`; the others are called for each, as long as there is time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..common.errors import UserError
from ..contract.schema import Contract
from ..training import bootstrap, known_metrics, labels, measurement
from ..training.known_metrics import ACCURACY, Metric
from ..training.measurement import Criteria
from ..training.samples import positions
from . import intervals
from .labelled import LabelledSample
from .summary import Estimate

#: Fewer rows get no interval, and so no metric: their resamples are too much alike.
FEWEST_ROWS = bootstrap.FEWEST
NEAR = 1e-5


class Effort(NamedTuple):
    """How many rows are drawn from, how often, and for how many seconds a slow `metrics()` is called.

    Of more rows, the interval is that of so many, narrowed by the square root of the ratio.
    """

    rows: int = 10_000
    resamples: int = 500
    seconds: float = 1.0


class GroupEstimates(NamedTuple):
    """The metrics of a group, "" for all rows."""

    group: str
    estimates: dict[str, Estimate]


Kinds = dict[str, str]
"""The known metric that each of the owner's equals, where there is one."""


def kinds(sample: LabelledSample, criteria: Criteria, contract: Contract) -> Kinds:
    """Return which of the owner's metrics equal a known one: on the rows of a sample, and on a resample of them."""
    part = sample.at(positions(len(sample), Effort().rows), contract)
    measured = _Measured(part, criteria, contract)
    everything, resample = np.arange(len(part)), bootstrap.resample(len(part))
    whole, again = measured(everything), measured(resample)
    drawn = np.stack([np.bincount(where, minlength=len(part)) for where in (everything, resample)]).astype(np.float64)
    known = known_metrics.of(part.rows.label, part.predictions, contract)
    values = {kind: metric(drawn) for kind, metric in known.items()}
    return {
        name: kind
        for name, value in whole.items()
        for kind, both in reversed(values.items())
        if np.allclose(both, [value, again.get(name, np.nan)], rtol=NEAR, atol=1e-9)
    }


def estimate(
    sample: LabelledSample,
    criteria: Criteria,
    contract: Contract,
    known: Kinds,
    effort: Effort,
    only: str | None = None,
) -> Iterator[GroupEstimates]:
    """Yield the metrics of all rows and of each group, or of `only` one.

    Groups of fewer rows than `FEWEST_ROWS` are left out, and so are metrics that are not defined on them.
    """
    if len(sample) < FEWEST_ROWS:
        return
    if only in ("", None):
        yield GroupEstimates("", _estimates(sample, criteria, contract, known, effort))
    slices = [name for name in criteria.slices if name in sample.rows.table]
    for group, where in measurement.groups(sample.rows, slices) if only != "" else ():
        if len(where) >= FEWEST_ROWS and only in (group, None):
            yield GroupEstimates(group, _estimates(sample.at(where, contract), criteria, contract, known, effort))


def _estimates(
    sample: LabelledSample, criteria: Criteria, contract: Contract, known: Kinds, effort: Effort
) -> dict[str, Estimate]:
    every = _Measured(sample, criteria, contract)
    values = every(np.arange(len(sample)))
    found = {
        name: intervals.of_share(round(value * len(sample)), len(sample))
        for name, value in values.items()
        if known.get(name) == ACCURACY
    }
    where = positions(len(sample), effort.rows)
    part = sample.at(where, contract) if len(where) < len(sample) else sample
    drawn = _drawn(
        part, criteria, contract, {name: known.get(name, "") for name in values if name not in found}, effort
    )
    scale = (len(part) / len(sample)) ** 0.5
    for name, (whole, resampled) in drawn.items():
        ends = bootstrap.interval(resampled, whole, scale, intervals.CONFIDENCE)
        if not isinstance(ends, str):
            low, high = values[name] + min(ends[0], 0.0), values[name] + max(ends[1], 0.0)
            found[name] = Estimate(value=values[name], low=low, high=high, count=len(sample))
    return {name: found[name] for name in values if name in found}


def _drawn(
    sample: LabelledSample, criteria: Criteria, contract: Contract, wanted: Kinds, effort: Effort
) -> dict[str, tuple[float, np.ndarray]]:
    """Return metrics on the rows of a sample, and on resamples of it; `wanted` has "" where none is known."""
    deadline = time.monotonic() + effort.seconds
    metrics = known_metrics.of(sample.rows.label, sample.predictions, contract)
    fast = {name: metrics[kind] for name, kind in wanted.items() if kind in metrics}
    everything = np.ones((1, len(sample)))
    whole = {name: float(metric(everything)[0]) for name, metric in fast.items()}
    pairs: dict[str, tuple[Metric, Metric]] = {name: (metric, _nothing) for name, metric in fast.items()}
    drawn = bootstrap.of_known(pairs, len(sample), deadline, effort.resamples)
    if slow := [name for name in wanted if name not in fast]:
        measured = _Measured(sample, criteria, contract)
        found = measured(np.arange(len(sample)))
        whole |= {name: found[name] for name in slow if name in found}
        drawn |= bootstrap.of_function(measured.with_nothing, slow, len(sample), deadline, effort.resamples)
    return {name: (whole[name], drawn[name]) for name in wanted if name in whole}


class _Measured:
    """The owner's metrics of rows of a sample, which may repeat."""

    def __init__(self, sample: LabelledSample, criteria: Criteria, contract: Contract) -> None:
        self._metrics = criteria.metrics
        self._actual = labels.actual(sample.rows.label, sample.rows.table, contract)
        self._frame = measurement.as_frame(sample.predictions, contract)

    def __call__(self, where: np.ndarray) -> dict[str, float]:
        """Return the metrics of the rows at positions; one that is not defined on them is missing."""
        is_table = hasattr(self._actual, "iloc")
        drawn = self._actual.iloc[where].reset_index(drop=True) if is_table else self._actual[where]
        try:
            return measurement.calculate(self._metrics, drawn, self._frame.take(where).reset_index(drop=True))
        except UserError:
            raise
        except Exception:  # a group may lack a class, which not every metric takes
            return {}

    def with_nothing(self, where: np.ndarray) -> tuple[dict[str, float], dict[str, float]]:
        """Return the metrics, and zeros, from which they differ by their values."""
        found = self(where)
        return found, dict.fromkeys(found, 0.0)


def _nothing(drawn: np.ndarray) -> np.ndarray:
    return np.zeros(len(drawn))
