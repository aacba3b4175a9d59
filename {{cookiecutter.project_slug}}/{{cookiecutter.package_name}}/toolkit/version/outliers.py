"""Outliers: rows that are unlike those of the training.

The score of a row is the histogram-based outlier score: the sum over its features of -log of the density of the bin
that its value falls into. It takes features as independent, so it finds rare values, and rows with several of them, not
rare combinations of common ones; in exchange a row costs one look-up a feature. Source: Goldstein and Dengel,
"Histogram-based Outlier Score (HBOS): A fast Unsupervised Anomaly Detection Algorithm", 2012.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from pydantic import BaseModel, ConfigDict

from ..contract.columns import Columns
from .binning import CategoryBins, NumberBins

Features = Mapping[str, NumberBins | CategoryBins]
"""The bins of each feature."""
Positions = Mapping[str, np.ndarray]
"""Of each feature, the positions of the rows' bins, (n,)."""

#: So much of the training is called outliers.
SHARE = 0.01
#: A bin counts as at least so wide, in standard deviations: a value that many rows have in common must not make up for
#: another one that none has.
NARROWEST = 0.1


class Tail(BaseModel):
    """How the density falls outside of the training's range: to a third (1/e) with every `spread`."""

    model_config = ConfigDict(frozen=True)

    low: float
    high: float
    spread: float

    def score(self, values: np.ndarray) -> np.ndarray:
        """Return what is added to the score of each value (n,); nothing to what is no number."""
        return np.fmax(np.fmax(self.low - values, values - self.high), 0) / self.spread


class Rarity(BaseModel):
    """How rare the values of a feature are: -log of the density in each bin."""

    model_config = ConfigDict(frozen=True)

    bins: tuple[float, ...]
    tail: Tail | None = None

    @cached_property
    def _bins(self) -> np.ndarray:
        # What no bin is meant for is as rare as what is rarest.
        return np.array([*self.bins, max(self.bins)])

    def score(self, bins: NumberBins | CategoryBins, array: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return the feature's part in the score of each row (n,)."""
        found = self._bins[positions]
        if self.tail and isinstance(bins, NumberBins):
            found += self.tail.score(bins.values(array))
        return found


class Outliers(BaseModel):
    """Tells outliers from other rows."""

    model_config = ConfigDict(frozen=True)

    rarities: dict[str, Rarity]
    threshold: float
    #: How much of the hold-out is called outliers, with half a row added.
    share: float

    def find(self, features: Features, columns: Columns, positions: Positions) -> np.ndarray:
        """Return a mask of the rows that are outliers, (n,)."""
        return _score(self.rarities, features, columns, positions) > self.threshold


def learn(features: Features, training: Columns, holdout: Columns) -> Outliers:
    """Return what tells outliers from other rows."""
    rarities = {name: _rarity(bins, training[name]) for name, bins in features.items()}
    scores, unseen = (
        _score(rarities, features, columns, {name: bins.find(columns[name]) for name, bins in features.items()})
        for columns in (training, holdout)
    )
    threshold = float(np.quantile(scores, 1 - SHARE, method="higher"))
    return Outliers(
        rarities=rarities,
        threshold=threshold,
        share=float(((unseen > threshold).sum() + 0.5) / (len(unseen) + 1)),
    )


def _score(rarities: Mapping[str, Rarity], features: Features, columns: Columns, positions: Positions) -> np.ndarray:
    total: np.ndarray = np.zeros(len(next(iter(positions.values()))))
    for name, rarity in rarities.items():
        total += rarity.score(features[name], columns[name], positions[name])
    return total


def _rarity(bins: NumberBins | CategoryBins, array: np.ndarray) -> Rarity:
    rarity = -np.log(bins.shares)
    if isinstance(bins, CategoryBins) or len(bins.edges) < 2:
        return Rarity(bins=tuple(rarity.tolist()))
    values = bins.values(array).astype(np.float64)
    values = values[np.isfinite(values)]
    spread = float(values.std()) or 1.0
    inner = len(bins.edges) - 1
    if len(np.unique(values)) > inner:  # bins of many numbers have a density, those of one number have not
        rarity[1 : inner + 1] += np.log(np.fmax(np.diff(bins.edges) / spread, NARROWEST))
    tail = Tail(low=float(values.min()), high=float(values.max()), spread=spread)
    return Rarity(bins=tuple(rarity.tolist()), tail=tail)
