"""Evidence: whether a version is better than the champion, or whether the difference may be chance.

Both predict the same hold-out rows. Accuracies are compared by McNemar's test, other metrics by a paired bootstrap.
Rows count as independent of each other.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ..contract.columns import Columns
from ..contract.schema import Contract
from . import bootstrap, mcnemar
from .comparison import Comparison
from .dataset import LabelledRows
from .gates import Gate
from .known_metrics import ACCURACY, Metric
from .measurement import Criteria, groups
from .paired_rows import PairedRows
from .samples import positions

#: Rows that are drawn from. Of more rows, the interval is that of so many, narrowed by the square root of the ratio.
MOST_ROWS = 50_000
#: Fewer rows get no bootstrap: their resamples are too much alike.
FEWEST_ROWS = 20
#: By default, seconds in which the owner's metrics are calculated on resamples.
SECONDS = 5.0


class Predicted(NamedTuple):
    """What a version predicted for the hold-out rows, and its metrics there."""

    predictions: Columns
    metrics: dict[str, float]


def compare(
    rows: LabelledRows,
    version: Predicted,
    champion: Predicted,
    criteria: Criteria,
    contract: Contract,
    seconds: float = SECONDS,
) -> dict[str, Comparison]:
    """Return the comparison of each metric that has a gate and that both versions have.

    `seconds` bounds the time in which the owner's metrics are calculated on resamples.
    """
    found: dict[str, Comparison] = {}
    names = [name for name in criteria.gates if name in version.metrics and name in champion.metrics]
    parts = list(_parts(rows, names, criteria))
    deadline = time.monotonic() + seconds
    for i, (where, part) in enumerate(parts):
        until = time.monotonic() + (deadline - time.monotonic()) / (len(parts) - i)
        pairs = PairedRows(rows, version.predictions, champion.predictions, criteria.metrics, contract).at(where)
        wanted = {
            metric: _Wanted(criteria.gates[gate], version.metrics[gate] - champion.metrics[gate])
            for gate, metric in part.items()
        }
        comparisons = _compare(pairs, wanted, until)
        found |= {gate: comparisons[metric] for gate, metric in part.items()}
    return found


def _parts(rows: LabelledRows, names: list[str], criteria: Criteria) -> Iterator[tuple[np.ndarray, dict[str, str]]]:
    """Yield the positions of all rows, and of each group, with the names of its gates and of their metrics."""
    where = dict(groups(rows, criteria.slices))
    group_of = {name: name.partition("/")[2] for name in names}
    if overall := {name: name for name in names if group_of[name] not in where}:
        yield np.arange(len(rows.label)), overall
    for group, found in where.items():
        if part := {name: name.partition("/")[0] for name in names if group_of[name] == group}:
            yield found, part


class _Wanted(NamedTuple):
    """The gate of a metric, and the metric of the version minus that of the champion."""

    gate: Gate
    difference: float


def _compare(pairs: PairedRows, wanted: Mapping[str, _Wanted], deadline: float) -> dict[str, Comparison]:
    """Return the comparison of each metric on some rows."""
    if pairs.is_same:
        return {name: _comparison(one._replace(difference=0.0), len(pairs), (0.0, 0.0)) for name, one in wanted.items()}
    where = positions(len(pairs), MOST_ROWS)
    sample = pairs if len(where) == len(pairs) else pairs.at(where)
    whole, known = _known(sample, wanted)
    found = {}
    for name in (name for name in wanted if ACCURACY in known[name]):
        ends = mcnemar.interval(*pairs.discordant, len(pairs), wanted[name].gate.confidence)
        found[name] = _comparison(wanted[name], len(pairs), ends)
    rest = {name: one for name, one in wanted.items() if name not in found}
    if len(pairs) < FEWEST_ROWS:
        note = f"{len(pairs)} rows are too few"
        return found | {name: _comparison(one, len(pairs), note=note) for name, one in rest.items()}
    fast = {name: next(iter(known[name].values())) for name in rest if known[name]}
    drawn = bootstrap.of_known(fast, len(sample), deadline)
    drawn |= bootstrap.of_function(sample.measure, [name for name in rest if name not in fast], len(sample), deadline)
    scale = (len(sample) / len(pairs)) ** 0.5
    for name, one in rest.items():
        deviations = bootstrap.interval(drawn[name], whole.get(name, np.nan), scale, one.gate.confidence)
        if isinstance(deviations, str):
            found[name] = _comparison(one, len(pairs), note=deviations)
        else:
            ends = one.difference + deviations[0], one.difference + deviations[1]
            found[name] = _comparison(one, len(pairs), ends, resamples=len(drawn[name]))
    return found


def _known(
    sample: PairedRows, names: Mapping[str, _Wanted]
) -> tuple[dict[str, float], dict[str, dict[str, tuple[Metric, Metric]]]]:
    """Return the differences on the rows of a sample, and the known metrics that each of the owner's equals."""
    everything, resample = np.arange(len(sample)), bootstrap.resample(len(sample))
    first, second = sample.measure(everything), sample.measure(resample)
    whole = {name: first[0][name] - first[1][name] for name in names if name in first[0] and name in first[1]}
    known = {}
    for name in names:
        again = sample.known(name, resample, second)
        known[name] = {key: pair for key, pair in sample.known(name, everything, first).items() if key in again}
    return whole, known


def _comparison(
    one: _Wanted, rows: int, ends: tuple[float, float] | None = None, *, resamples: int = 0, note: str = ""
) -> Comparison:
    """Return a comparison in which more is better, of the ends of an interval in which the metric may be."""
    sign = 1 if one.gate.higher_is_better else -1
    low, high = sorted(sign * end for end in ends) if ends else (None, None)
    return Comparison(
        better=sign * one.difference,
        low=low,
        high=high,
        confidence=one.gate.confidence,
        rows=rows,
        resamples=resamples,
        note=note,
    )
