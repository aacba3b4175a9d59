"""Rows that two versions have scored, and the metrics of both on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from ..contract.columns import Columns, take
from ..contract.schema import Contract
from ..version.artifact import TOLERANCE
from . import known_metrics, labels
from .dataset import LabelledRows
from .known_metrics import Metric
from .measurement import MetricsFunction, as_frame, calculate, rows_at

#: How near a known metric must be to the owner's, who may calculate in float32.
NEAR = 1e-5

MetricsPair = tuple[Mapping[str, float], Mapping[str, float]]
"""The owner's metrics of both versions by name; one that is not defined is missing."""


@dataclass(frozen=True)
class PairedRows:
    """Labelled rows, the predictions of a version and of the champion for them, and the owner's metrics."""

    rows: LabelledRows
    version: Columns
    champion: Columns
    metrics: MetricsFunction
    contract: Contract

    def __len__(self) -> int:
        return len(self.rows.label)

    def at(self, where: np.ndarray) -> PairedRows:
        """Return the rows at positions."""
        return replace(
            self,
            rows=rows_at(self.rows, where, self.contract),
            version=take(self.version, where),
            champion=take(self.champion, where),
        )

    @property
    def is_same(self) -> bool:
        """Whether both versions predict the same, but for rounding: trained again, a model has other last bits."""
        return all(_is_same(array, self.champion[name]) for name, array in self.version.items())

    @property
    def discordant(self) -> tuple[int, int]:
        """The rows whose label the version alone predicts right, and those that the champion alone does."""
        name = self.contract.label.name
        version, champion = self.version[name] == self.rows.label, self.champion[name] == self.rows.label
        return int((version & ~champion).sum()), int((champion & ~version).sum())

    def measure(self, where: np.ndarray) -> MetricsPair:
        """Return the owner's metrics on the rows at positions, which may repeat."""
        actual, frames = self._inputs
        drawn = actual.take(where).reset_index(drop=True) if isinstance(actual, pd.DataFrame) else actual[where]

        def metrics(frame: pd.DataFrame) -> dict[str, float]:
            try:
                return calculate(self.metrics, drawn.copy(), frame.take(where).reset_index(drop=True))
            except Exception:  # a resample may lack a class, which not every metric takes
                return {}

        return metrics(frames[0]), metrics(frames[1])

    def known(self, name: str, where: np.ndarray, found: MetricsPair) -> dict[str, tuple[Metric, Metric]]:
        """Return the known metrics, of both versions, that equal one of the owner's on rows at positions.

        `found` has the owner's metrics on these rows.
        """
        drawn = np.bincount(where, minlength=len(self))[None].astype(np.float64)
        wanted = [metrics.get(name, math.nan) for metrics in found]
        return {
            key: pair
            for key, pair in self._known.items()
            if all(_is_near(metric(drawn)[0], value) for metric, value in zip(pair, wanted, strict=True))
        }

    @cached_property
    def _inputs(self) -> tuple[np.ndarray | pd.DataFrame, tuple[pd.DataFrame, pd.DataFrame]]:
        actual = labels.actual(self.rows.label, self.rows.table, self.contract)
        return actual, (as_frame(self.version, self.contract), as_frame(self.champion, self.contract))

    @cached_property
    def _known(self) -> dict[str, tuple[Metric, Metric]]:
        version, champion = (
            known_metrics.of(self.rows.label, predictions, self.contract)
            for predictions in (self.version, self.champion)
        )
        return {key: (version[key], champion[key]) for key in version}


def _is_same(version: np.ndarray, champion: np.ndarray) -> bool:
    if version.dtype.kind != "f" or version.shape != champion.shape:
        return np.array_equal(version, champion)
    # Near 0, rounding is that of the numbers that a prediction is the sum of.
    usual = float(np.median(np.abs(np.nan_to_num(champion))))
    return np.allclose(version, champion, rtol=TOLERANCE, atol=TOLERANCE * usual, equal_nan=True)


def _is_near(known: float, found: float) -> bool:
    return bool(np.isclose(known, found, rtol=NEAR, atol=1e-9, equal_nan=True))
