"""Counting: how many rows of a version fell into which bin, beside the shares of its reference profile.

Nothing is compared here: counters add up over workers and replicas, and Prometheus computes the drift from their sums,
over whatever time is asked for (`monitoring/rules.yml`).
"""

from __future__ import annotations

import numpy as np
from prometheus_client import Counter, Gauge

from . import metrics
from .bins import NumberBins, WordBins
from .contract import Columns
from .profile import Profile


class Counted:
    """The counters of one version; making it shows all of them at 0, and the reference."""

    def __init__(self, version: int, profile: Profile, quality: dict[str, float]) -> None:
        self._profile = profile
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
        for name, value in (quality | profile.quality).items():
            metrics.REFERENCE_QUALITY.labels(version, name).set(value)

    def add(self, columns: Columns, predictions: Columns) -> None:
        """Count rows (n,) and their predictions."""
        profile = self._profile
        positions = {name: bins.find(columns[name]) for name, bins in profile.features.items()}
        for name, counters in self._features.items():
            _add(counters, positions[name])
        for name, counters in self._outputs.items():
            _add(counters, profile.outputs[name].find(predictions[name]))
        self._outliers.inc(int(profile.outliers.find(profile.features, columns, positions).sum()))


def _show(bins: NumberBins | WordBins, rows: Counter, share: Gauge, *labels: str | int) -> list[Counter]:
    for name, value in zip(bins.names, bins.shares, strict=True):
        share.labels(*labels, name).set(value)
    return [rows.labels(*labels, name) for name in bins.names]


def _add(counters: list[Counter], positions: np.ndarray) -> None:
    counts = np.bincount(positions, minlength=len(counters)).tolist()
    # What falls behind the last bin has no counter.
    for counter, count in zip(counters, counts, strict=False):
        if count:
            counter.inc(count)
