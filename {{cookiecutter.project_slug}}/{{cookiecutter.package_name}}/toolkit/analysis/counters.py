"""The figures of versions by what their services have counted, where a Prometheus has that and no log is left.

The counters have bins, outliers and feedback, but no rows: there is no quality by group, no calibration, and no rarest
rows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..common.errors import UserError
from ..monitoring.bin_counts import BinCounts
from ..version.reference_profile import Profile
from . import intervals, label_log
from .log_counts import FolderOf
from .quality import FEWEST_ROWS, Effort, GroupEstimates
from .summary import Estimate
from .version_analysis import VersionAnalysis, VersionSource
from .version_counts import Reference, VersionCounts
from .window import Window

#: Intervals of the window, each of which is asked for on its own.
MOST_INTERVALS = 28
NOTE = "The figures are those of Prometheus's counters, which have no quality by group, no calibration and no rows."


class Series(Protocol):
    """One series of an answer."""

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels by name."""

    @property
    def value(self) -> float:
        """The value."""


class Prometheus(Protocol):
    """What answers queries."""

    def query(self, expression: str) -> Sequence[Series]:
        """Return the series of an expression."""


class Feedback(NamedTuple):
    """Labels that were counted: all, those that were predicted, and of a regression the sums of errors."""

    rows: float = 0
    correct: float = 0
    absolute: float = 0
    squared: float = 0

    def plus(self, other: Feedback) -> Feedback:
        """Return the sum."""
        return Feedback(*(one + two for one, two in zip(self, other, strict=True)))


@dataclass
class Counted:
    """What was counted of a version, by interval."""

    counts: VersionCounts
    feedback: dict[int, Feedback] = field(default_factory=dict)


class CountedVersion(VersionAnalysis):
    """The analysis of a version by counters."""

    def __init__(self, source: VersionSource, counted: Counted) -> None:
        super().__init__(source, counted.counts, label_log.latest([], 1), None)
        self._feedback = counted.feedback

    def labels(self, where: range) -> int:
        """Return the number of labels."""
        return round(self._sum(where).rows)

    def quality(self, where: range, effort: Effort, only: str | None = None) -> Iterator[GroupEstimates]:
        """Yield the accuracy, or the mean absolute error, of all rows."""
        found = self._sum(where)
        if self.contract is None or found.rows < FEWEST_ROWS or only not in ("", None):
            return
        if self.contract.task == "classification":
            yield GroupEstimates("", {"accuracy": intervals.of_share(round(found.correct), round(found.rows))})
        elif self.contract.task == "regression":
            yield GroupEstimates("", {"mean_absolute_error": _mean_error(found)})

    def _sum(self, where: range) -> Feedback:
        total = Feedback()
        for interval in where:
            total = total.plus(self._feedback.get(interval, Feedback()))
        return total


def _mean_error(found: Feedback) -> Estimate:
    mean = found.absolute / found.rows
    half = intervals.Z * math.sqrt(max(0.0, found.squared / found.rows - mean**2) / found.rows)
    return Estimate(value=mean, low=max(0.0, mean - half), high=mean + half, count=round(found.rows))


def count(
    prometheus: Prometheus, window: Window, now: datetime, folder_of: FolderOf, job: str = ""
) -> dict[int, Counted]:
    """Return what was counted of each version in the intervals of a window; `job` is the label of one model.

    `UserError` if several models were served in the window, and none is named: their versions have the same numbers.
    """
    if not job:
        _check_one_model(prometheus, window, now)
    found: dict[int, Counted] = {}
    references: dict[int, Reference | None] = {}
    for interval in range(window.intervals):
        end = min(now, window.time(interval + 1))
        seconds = math.ceil((end - window.time(interval)).total_seconds())
        ask = _Ask(prometheus, f"[{seconds}s] @ {end.timestamp():.3f}", job)
        rows = ask("model_rows_total")
        for number in (number for (number,), value in rows.items() if value >= 1):
            if number not in references:
                folder = folder_of(number)
                references[number] = Reference.read(folder) if folder else None
                found[number] = Counted(VersionCounts(references[number] is not None))
        _fill(found, references, interval, rows, ask)
    return found


def _check_one_model(prometheus: Prometheus, window: Window, now: datetime) -> None:
    seconds = math.ceil((now - window.start).total_seconds())
    ever = f"last_over_time(model_versions_loaded[{seconds}s] @ {now.timestamp():.3f})"
    jobs = sorted({series.labels.get("job", "") for series in prometheus.query(f"count by (job) ({ever})")})
    if len(jobs) > 1:
        raise UserError(
            f"Prometheus has the services of several models, the jobs {', '.join(jobs)}. Name that of this model: "
            f"PROMETHEUS_JOB={jobs[0]}"
        )


class _Ask:
    """Asks for the increase of counters in an interval, by version and other labels."""

    def __init__(self, prometheus: Prometheus, range_: str, job: str) -> None:
        self._prometheus, self._range = prometheus, range_
        quoted = job.replace("\\", "\\\\").replace('"', '\\"')
        self._job = f'{{job="{quoted}"}}' if job else ""

    def __call__(self, metric: str, *labels: str) -> dict[tuple[Any, ...], float]:
        by = ", ".join(["version", *labels])
        series = self._prometheus.query(f"sum by ({by}) (increase({metric}{self._job}{self._range}))")
        return {
            (int(one.labels["version"]), *(one.labels.get(label, "") for label in labels)): one.value
            for one in series
            if one.labels.get("version", "").isdecimal()
        }


def _fill(
    found: dict[int, Counted],
    references: Mapping[int, Reference | None],
    interval: int,
    rows: dict[tuple[Any, ...], float],
    ask: _Ask,
) -> None:
    """Add what was counted in an interval."""
    if not any(value >= 1 for value in rows.values()):
        return
    features = ask("model_feature_bin_rows_total", "feature", "bin")
    outputs = ask("model_output_bin_rows_total", "output", "bin")
    outliers, labels = ask("model_outlier_rows_total"), ask("model_feedback_rows_total", "correct")
    absolute, squared = ask("model_feedback_absolute_error_total"), ask("model_feedback_squared_error_total")
    for number, one in found.items():
        one.counts.rows += Counter({interval: round(rows.get((number,), 0))})
        correct, wrong, unknown = (labels.get((number, text), 0) for text in ("true", "false", ""))
        errors = (errors.get((number,), 0) for errors in (absolute, squared))
        one.feedback[interval] = Feedback(correct + wrong + unknown, correct, *errors)
        reference = references[number]
        if reference and (size := one.counts.rows[interval]):
            unusual = round(outliers.get((number,), 0))
            one.counts.bins[interval] = _bins(number, reference.profile, size, unusual, features, outputs)


def _bins(
    number: int,
    profile: Profile,
    rows: int,
    outliers: int,
    features: Mapping[tuple[Any, ...], float],
    outputs: Mapping[tuple[Any, ...], float],
) -> BinCounts:
    of_features, of_outputs = (
        {
            name: np.array([round(counted.get((number, name, label), 0)) for label in bins.names], np.int64)
            for name, bins in parts.items()
        }
        for parts, counted in ((profile.features, features), (profile.outputs, outputs))
    )
    # Prometheus extrapolates each series on its own: their sums may differ by a row.
    return BinCounts(rows, min(outliers, rows), of_features, of_outputs)
