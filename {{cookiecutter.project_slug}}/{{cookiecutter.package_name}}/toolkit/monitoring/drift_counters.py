"""Drift counters: how many rows of a version fell into which bin, beside the shares of its reference profile.

Nothing is compared here: counters add up over workers and replicas, and Prometheus computes drift (PSI) from their
sums, over whatever time is asked for (`monitoring/rules.yml`).
"""

from __future__ import annotations

import numpy as np
from prometheus_client import Counter, Gauge

from ..contract.columns import Columns
from ..version.binning import CategoryBins, NumberBins
from ..version.reference_profile import Profile
from . import metrics
from .bin_counts import BinCounts


class DriftCounters:
    """One counter for each bin of each feature and output of a version, and one for its outliers."""

    def __init__(self, version: int, profile: Profile) -> None:
        self._profile = profile
        self._features = {
            name: _bin_counters(bins, metrics.FEATURE_ROWS, metrics.FEATURE_SHARE, version, name)
            for name, bins in profile.features.items()
        }
        self._outputs = {
            name: _bin_counters(bins, metrics.OUTPUT_ROWS, metrics.OUTPUT_SHARE, version, name)
            for name, bins in profile.outputs.items()
        }
        self._outliers = metrics.OUTLIER_ROWS.labels(version)
        metrics.OUTLIER_SHARE.labels(version).set(profile.outliers.rate)

    def add(self, columns: Columns, predictions: Columns) -> None:
        """Count rows (n,) and their predictions (n,)."""
        found = BinCounts.of(self._profile, columns, predictions)
        for name, counters in self._features.items():
            _increase(counters, found.features[name])
        for name, counters in self._outputs.items():
            _increase(counters, found.outputs[name])
        self._outliers.inc(found.outliers)


def _bin_counters(
    bins: NumberBins | CategoryBins, rows: Counter, share: Gauge, version: int, name: str
) -> list[Counter]:
    """Return the row counters of the bins of a feature or output, and set the gauges of their reference shares."""
    for bin_name, value in zip(bins.names, bins.shares, strict=True):
        share.labels(version, name, bin_name).set(value)
    return [rows.labels(version, name, bin_name) for bin_name in bins.names]


def _increase(counters: list[Counter], counts: np.ndarray) -> None:
    for counter, count in zip(counters, counts.tolist(), strict=True):
        if count:
            counter.inc(count)
