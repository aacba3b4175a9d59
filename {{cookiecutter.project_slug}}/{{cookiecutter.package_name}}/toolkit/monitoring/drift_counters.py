"""Counting: how many rows of a version fell into which bin, beside the shares of its reference profile.

Nothing is compared here: counters add up over workers and replicas, and Prometheus computes the drift from their sums,
over whatever time is asked for (`monitoring/rules.yml`).
"""

from __future__ import annotations

from itertools import product

import numpy as np
from prometheus_client import Counter, Gauge

from ..contract.columns import Columns
from ..contract.schema import FieldSpec
from ..version.artifact import Artifact
from ..version.binning import CategoryBins, NumberBins
from . import metrics, prediction_ids


class DriftCounters:
    """The counters of one version, shown at 0 from now on, and the reference.

    Of a counter that appears with its first count, Prometheus knows no increase.
    """

    def __init__(self, version: int, artifact: Artifact) -> None:
        self._profile = profile = artifact.profile
        self._features = {
            name: _show(bins, metrics.FEATURE_ROWS, metrics.FEATURE_SHARE, version, name)
            for name, bins in profile.features.items()
        }
        self._outputs = {
            name: _show(bins, metrics.OUTPUT_ROWS, metrics.OUTPUT_SHARE, version, name)
            for name, bins in profile.outputs.items()
        }
        self._outliers = metrics.OUTLIERS.labels(version)
        metrics.OUTLIER_SHARE.labels(version).set(profile.outliers.share)
        figures = {name: value for name, value in artifact.details["metrics"].items() if "/" not in name}
        for name, value in (figures | profile.quality).items():
            metrics.REFERENCE_QUALITY.labels(version, name).set(value)
        for code in (200, 400, 500):
            metrics.REQUESTS.labels(version, code)
        metrics.SHADOWS.labels(version, 200)
        metrics.EXPLAINED.labels(version)
        _show_feedback(version, artifact.contract.label)

    def add(self, columns: Columns, predictions: Columns) -> None:
        """Count rows (n,) and their predictions."""
        profile = self._profile
        positions = {name: bins.find(columns[name]) for name, bins in profile.features.items()}
        for name, counters in self._features.items():
            _add(counters, positions[name])
        for name, counters in self._outputs.items():
            _add(counters, profile.outputs[name].find(predictions[name]))
        self._outliers.inc(int(profile.outliers.find(profile.features, columns, positions).sum()))


def _show(bins: NumberBins | CategoryBins, rows: Counter, share: Gauge, *labels: str | int) -> list[Counter]:
    for name, value in zip(bins.names, bins.shares, strict=True):
        share.labels(*labels, name).set(value)
    return [rows.labels(*labels, name) for name in bins.names]


def _show_feedback(version: int, label: FieldSpec) -> None:
    if label.kind == "float":
        metrics.FEEDBACK.labels(version, "", "", "")
        metrics.ABSOLUTE_ERROR.labels(version)
        metrics.SQUARED_ERROR.labels(version)
        return
    names = list(prediction_ids.names(label, metrics.NAMED_CLASSES).values())
    for said, so in product(names, names):
        metrics.FEEDBACK.labels(version, said, so, str(said == so).lower())
    for right in () if names else ("true", "false"):
        metrics.FEEDBACK.labels(version, "other", "other", right)


def _add(counters: list[Counter], positions: np.ndarray) -> None:
    counts = np.bincount(positions, minlength=len(counters)).tolist()
    # What falls behind the last bin has no counter.
    for counter, count in zip(counters, counts, strict=False):
        if count:
            counter.inc(count)
