"""Outliers: rows that differ from those of the training.

The score of a row is the histogram-based outlier score: the sum over its features of -log of the density of the bin
that its value falls into. It takes features as independent, so it finds rare values, and rows with several of them, not
rare combinations of common ones; in exchange, a row costs one look-up for each feature. Source: Goldstein and Dengel,
"Histogram-based Outlier Score (HBOS): A fast Unsupervised Anomaly Detection Algorithm", 2012.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from pydantic import BaseModel, ConfigDict

from ..contract.columns import Columns
from .binning import CategoryBins, NumberBins, field_of
from .large_arrays import few_distinct, some

Features = Mapping[str, NumberBins | CategoryBins]
"""The bins of each feature."""
Positions = Mapping[str, np.ndarray]
"""The positions (n,) of the rows' bins, for each feature."""

#: The share of the training rows above the threshold.
TRAINING_RATE = 0.01
#: The least width of a bin in its density, in standard deviations: a lower limit, so that one very common value cannot
#: outweigh a rare one.
MIN_BIN_WIDTH = 0.1


class Tail(BaseModel):
    """The density outside of the training's range: it decays by 1/e per `scale`."""

    model_config = ConfigDict(frozen=True)

    low: float
    high: float
    scale: float

    def score(self, values: np.ndarray) -> np.ndarray:
        """Return the addition to the score of each value (n,); 0 for NaN."""
        return np.fmax(np.fmax(self.low - values, values - self.high), 0) / self.scale


class FeatureScores(BaseModel):
    """The scores of a feature: -log of the density in each bin."""

    model_config = ConfigDict(frozen=True)

    scores: tuple[float, ...]
    tail: Tail | None = None

    @cached_property
    def _scores(self) -> np.ndarray:
        # A value that falls into no bin has the score of the rarest bin.
        return np.array([*self.scores, max(self.scores)])

    def score(self, bins: NumberBins | CategoryBins, array: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return the feature's part in the score of each row (n,)."""
        scores = self._scores.take(positions)
        if self.tail and isinstance(bins, NumberBins):
            scores += self.tail.score(bins.values(array))
        return scores


class OutlierDetector(BaseModel):
    """Rows with a score above the threshold are outliers."""

    model_config = ConfigDict(frozen=True)

    features: dict[str, FeatureScores]
    threshold: float
    #: The share of outliers in the hold-out rows, or in half a million of them, with half a row added.
    rate: float

    def is_outlier(self, features: Features, columns: Columns, positions: Positions) -> np.ndarray:
        """Return a mask of the rows that are outliers, (n,)."""
        return self.score(features, columns, positions) > self.threshold

    def score(self, features: Features, columns: Columns, positions: Positions) -> np.ndarray:
        """Return the score of each row, (n,): higher the rarer it is."""
        return _score(self.features, features, columns, positions)


def fit(features: Features, training: Columns, holdout: Columns) -> OutlierDetector:
    """Return the detector of a version."""
    scored = {name: _feature_scores(bins, training[field_of(name)]) for name, bins in features.items()}
    seen, unseen = (_score_some(scored, features, columns) for columns in (training, holdout))
    threshold = float(np.quantile(seen, 1 - TRAINING_RATE, method="higher"))
    return OutlierDetector(
        features=scored,
        threshold=threshold,
        rate=float(((unseen > threshold).sum() + 0.5) / (len(unseen) + 1)),
    )


def _score(
    scored: Mapping[str, FeatureScores], features: Features, columns: Columns, positions: Positions
) -> np.ndarray:
    total: np.ndarray = np.zeros(len(next(iter(positions.values()))))
    for name, feature in scored.items():
        total += feature.score(features[name], columns[field_of(name)], positions[name])
    return total


def _score_some(scored: Mapping[str, FeatureScores], features: Features, columns: Columns) -> np.ndarray:
    """Return the scores of some rows, or of all if they are not many."""
    # One feature after the other: the positions of all would take more memory than the rows.
    total = np.zeros(1)
    for name, feature in scored.items():
        bins, array = features[name], some(columns[field_of(name)])
        total = total + feature.score(bins, array, bins.assign(array))
    return total


def _feature_scores(bins: NumberBins | CategoryBins, array: np.ndarray) -> FeatureScores:
    scores = -np.log(bins.shares)
    if isinstance(bins, CategoryBins) or len(bins.edges) < 2:
        return FeatureScores(scores=tuple(scores.tolist()))
    values = bins.values(array).astype(np.float64)
    values = values[np.isfinite(values)]
    scale = float(values.std()) or 1.0
    inner = len(bins.edges) - 1
    if few_distinct(values, inner) is None:  # bins of many numbers have a density, those of one number have not
        scores[1 : inner + 1] += np.log(np.fmax(np.diff(bins.edges) / scale, MIN_BIN_WIDTH))
    tail = Tail(low=float(np.min(values)), high=float(np.max(values)), scale=scale)
    return FeatureScores(scores=tuple(scores.tolist()), tail=tail)
