"""The reference profile of a version: how its training rows and its predictions are distributed, in bins.

What the service counts of the rows it scores is compared with this. It is made from the rows of the training, and the
bins of outputs from the predictions for the hold-out, which the model has not learned.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from pydantic import BaseModel, ConfigDict

from ..contract.columns import Columns
from ..contract.schema import Contract, FieldSpec
from .binning import Bins, make, psi, shares
from .outliers import Outliers, learn


class Profile(BaseModel):
    """The bins of every feature and of every output, what is an outlier, and how good the model is."""

    model_config = ConfigDict(frozen=True)

    features: dict[str, Bins]
    outputs: dict[str, Bins]
    outliers: Outliers
    #: On the hold-out rows, in the terms in which feedback is counted.
    quality: dict[str, float]

    @classmethod
    def of(
        cls, contract: Contract, *, training: Columns, holdout: Columns, predictions: Columns, label: np.ndarray
    ) -> Profile:
        """Return the profile of a version; predictions and label (n,) are those of the hold-out rows."""
        features = _bins(contract.row, training)
        # A model may answer NaN where its contract says nothing of it.
        numbers = ("float", "vector")
        answers = (column.model_copy(update={"nullable": column.kind in numbers}) for column in contract.prediction)
        return cls(
            features=features,
            outputs=_bins(answers, predictions),
            outliers=learn(features, training, holdout),
            quality=_quality(contract, predictions[contract.label.name], label),
        )

    def shift(self, columns: Columns) -> dict[str, float]:
        """Return the population stability index of each feature, largest first, for other rows of some number."""
        found = {
            name: psi(shares(feature, feature.find(columns[name])), feature.shares)
            for name, feature in self.features.items()
        }
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def _bins(columns: Iterable[FieldSpec], arrays: Columns) -> dict[str, Bins]:
    return {column.name: make(column, arrays[column.name]) for column in columns}


def _quality(contract: Contract, predicted: np.ndarray, label: np.ndarray) -> dict[str, float]:
    if contract.task == "classification":
        return {"accuracy": float((predicted == label).mean())}
    error = predicted.astype(np.float64) - label
    error = error[np.isfinite(error)]
    if not len(error):
        return {}
    return {
        "mean_absolute_error": float(np.abs(error).mean()),
        "root_mean_squared_error": float(np.sqrt((error**2).mean())),
    }
