"""What is counted for one version: requests, seconds, rows, and the bins that drift is computed from."""

from __future__ import annotations

from ..contract.columns import Columns
from ..version.artifact import Artifact
from . import metrics
from .drift_counters import DriftCounters
from .feedback_counters import create_series


class VersionCounters:
    """The metrics of one version.

    Every series exists from the start with the value 0: `increase()` in Prometheus misses the first count of a series
    that appears with it.
    """

    def __init__(self, number: int, artifact: Artifact) -> None:
        self.number = number
        self.seconds = metrics.SECONDS.labels(number)
        self._rows = metrics.ROWS.labels(number)
        self._first, self.contract = artifact.contract.label.name, artifact.contract
        self._drift = DriftCounters(number, artifact.profile)
        for code in (200, 400, 500):
            metrics.REQUESTS.labels(number, code)
        metrics.SHADOW_REQUESTS.labels(number, 200)
        metrics.EXPLAINED_ROWS.labels(number)
        create_series(number, artifact.contract.labels)
        # Metrics of slices, such as "accuracy/sex/male", would be a series for each category.
        quality = {name: value for name, value in artifact.details["metrics"].items() if "/" not in name}
        for name, value in (quality | artifact.profile.quality).items():
            metrics.REFERENCE_QUALITY.labels(number, name).set(value)

    def add(self, columns: Columns, predictions: Columns) -> None:
        """Count rows (n,) and their predictions (n,), usually of many requests together."""
        self._rows.inc(len(predictions[self._first]))
        self._drift.add(columns, predictions)
