"""Bin counts: how many rows of a version fell into each bin of its reference profile, and how far that is from it.

The service counts by them (`drift_counters.py`), and so does a batch job: each batch of rows has counts of its own, and
their sum is that of the job.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..contract.columns import Columns
from ..version.binning import CategoryBins, NumberBins, count
from ..version.drift import psi, with_half_rows
from ..version.reference_profile import Profile

#: Drift of fewer rows is chance; `monitoring/rules.yml` has the same number.
MIN_DRIFT_ROWS = 500

Counts = Mapping[str, np.ndarray]
"""Rows (bins,) of each feature or output; a row whose value no bin is meant for is in none."""


class BinCounts:
    """Counts of rows by bin, for each feature and output, and of outliers; without arguments, of no rows."""

    def __init__(
        self, rows: int = 0, outliers: int = 0, features: Counts | None = None, outputs: Counts | None = None
    ) -> None:
        self.rows, self.outliers = rows, outliers
        self.features, self.outputs = features or {}, outputs or {}

    @classmethod
    def of(cls, profile: Profile, columns: Columns, predictions: Columns) -> BinCounts:
        """Return the counts of rows (n,) and their predictions (n,) by the bins of a profile."""
        positions = profile.positions(columns)
        outliers = profile.outliers.is_outlier(profile.features, columns, positions)
        return cls(
            len(outliers),
            int(np.count_nonzero(outliers)),
            {name: count(bins, positions[name]) for name, bins in profile.features.items()},
            {name: count(bins, bins.assign(predictions[name])) for name, bins in profile.outputs.items()},
        )

    def __add__(self, other: BinCounts) -> BinCounts:
        """Return the counts of the rows of both, which are of one version."""
        return BinCounts(
            self.rows + other.rows,
            self.outliers + other.outliers,
            _sum(self.features, other.features),
            _sum(self.outputs, other.outputs),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the counts as plain Python values."""
        return {
            "rows": self.rows,
            "outliers": self.outliers,
            "features": {name: counts.tolist() for name, counts in self.features.items()},
            "outputs": {name: counts.tolist() for name, counts in self.outputs.items()},
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> BinCounts:
        """Return the counts that `as_json` returned."""
        features, outputs = (
            {name: np.array(counts, np.int64) for name, counts in content[key].items()}
            for key in ("features", "outputs")
        )
        return cls(content["rows"], content["outliers"], features, outputs)

    def feature_drift(self, profile: Profile) -> dict[str, float]:
        """Return the population stability index of each feature; none of fewer rows than `MIN_DRIFT_ROWS`."""
        return self._drift(profile.features, self.features)

    def output_drift(self, profile: Profile) -> dict[str, float]:
        """Return the population stability index of each output; none of fewer rows than `MIN_DRIFT_ROWS`."""
        return self._drift(profile.outputs, self.outputs)

    def _drift(self, bins: Mapping[str, NumberBins | CategoryBins], counts: Counts) -> dict[str, float]:
        if self.rows < MIN_DRIFT_ROWS:
            return {}
        return {name: psi(with_half_rows(counts[name]), bins[name].shares) for name in bins}


def _sum(one: Counts, other: Counts) -> Counts:
    if not one or not other:  # of no rows
        return one or other
    return {name: one[name] + other[name] for name in one}
