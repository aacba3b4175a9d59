"""Bin counts: how many rows of a version fell into each bin of its reference profile, and how far that is from it.

The service counts by them (`drift_counters.py`), and so does a batch job: each part of a job has counts of its own, and
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

Bins = Mapping[str, NumberBins | CategoryBins]


class BinCounts:
    """Counts of rows by bin, for each feature and output, and of outliers."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.rows = self.outliers = 0
        #: Arrays of shape (bins,); a row whose value no bin is meant for is in none.
        self.features, self.outputs = _zeros(profile.features), _zeros(profile.outputs)

    def add(self, columns: Columns, predictions: Columns) -> None:
        """Count rows (n,) and their predictions (n,)."""
        profile = self.profile
        positions = profile.positions(columns)
        for name, bins in profile.features.items():
            self.features[name] += count(bins, positions[name])
        for name, bins in profile.outputs.items():
            self.outputs[name] += count(bins, bins.assign(predictions[name]))
        self.rows += len(next(iter(positions.values())))
        self.outliers += int(np.count_nonzero(profile.outliers.is_outlier(profile.features, columns, positions)))

    def __add__(self, other: BinCounts) -> BinCounts:
        """Return the counts of the rows of both."""
        total = BinCounts(self.profile)
        for part in (self, other):
            total.rows += part.rows
            total.outliers += part.outliers
            for sums, counts in ((total.features, part.features), (total.outputs, part.outputs)):
                for name in sums:
                    sums[name] += counts[name]
        return total

    def as_json(self) -> dict[str, Any]:
        """Return the counts as plain Python values."""
        return {
            "rows": self.rows,
            "outliers": self.outliers,
            "features": {name: counts.tolist() for name, counts in self.features.items()},
            "outputs": {name: counts.tolist() for name, counts in self.outputs.items()},
        }

    @classmethod
    def from_json(cls, profile: Profile, content: Mapping[str, Any]) -> BinCounts:
        """Return the counts that `as_json` returned; `ValueError` if they are of other bins than the profile's."""
        found = cls(profile)
        found.rows, found.outliers = content["rows"], content["outliers"]
        for key, counts in (("features", found.features), ("outputs", found.outputs)):
            if {name: len(bins) for name, bins in content[key].items()} != {n: len(c) for n, c in counts.items()}:
                raise ValueError(f"the {key} of these counts have other bins than the reference profile")
            counts.update({name: np.array(content[key][name], np.int64) for name in counts})
        return found

    def feature_drift(self) -> dict[str, float]:
        """Return the population stability index of each feature; none of fewer rows than `MIN_DRIFT_ROWS`."""
        return self._drift(self.profile.features, self.features)

    def output_drift(self) -> dict[str, float]:
        """Return the population stability index of each output; none of fewer rows than `MIN_DRIFT_ROWS`."""
        return self._drift(self.profile.outputs, self.outputs)

    def _drift(self, bins: Bins, counts: Mapping[str, np.ndarray]) -> dict[str, float]:
        if self.rows < MIN_DRIFT_ROWS:
            return {}
        return {name: psi(with_half_rows(counts[name]), bins[name].shares) for name in counts}


def _zeros(bins: Bins) -> dict[str, np.ndarray]:
    return {name: np.zeros(len(found.names), np.int64) for name, found in bins.items()}
