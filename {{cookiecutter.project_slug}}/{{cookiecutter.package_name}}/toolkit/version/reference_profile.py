"""The reference profile of a version: the distributions of its training rows and of its predictions, in bins.

The service counts the rows that it scores in these bins, and drift is the difference. The features are binned by the
training rows, the outputs by the predictions for the hold-out rows, which the model has not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from pydantic import BaseModel, ConfigDict

from ..contract.columns import Columns
from ..contract.schema import Contract, FieldSpec
from .binning import Bins, CategoryBins, NumberBins, count, field_of, make, make_unseen, with_shares
from .drift import psi, with_half_rows
from .outliers import OutlierDetector, fit


class Profile(BaseModel):
    """The bins of every feature and of every output, the outlier detector, and the quality of the model."""

    model_config = ConfigDict(frozen=True)

    features: dict[str, Bins]
    outputs: dict[str, Bins]
    outliers: OutlierDetector
    #: On the hold-out rows, by the metrics in which feedback is counted.
    quality: dict[str, float]

    @classmethod
    def of(
        cls, contract: Contract, *, training: Columns, holdout: Columns, predictions: Columns, label: np.ndarray
    ) -> Profile:
        """Return the profile of a version; predictions and label are those of the hold-out rows."""
        features = {name: bins for field in contract.row for name, bins in _features(field, training, holdout)}
        # A model may return NaN, whatever its contract says.
        outputs = (f.model_copy(update={"nullable": f.kind in ("float", "vector", "map")}) for f in contract.prediction)
        return cls(
            features=features,
            outputs=_bins(outputs, predictions),
            outliers=fit(features, training, holdout),
            quality=_quality(contract, predictions, label),
        )

    def positions(self, columns: Columns) -> dict[str, np.ndarray]:
        """Return the positions (n,) of the rows' bins, for each feature."""
        return {name: bins.assign(columns[field_of(name)]) for name, bins in self.features.items()}

    def drift(self, columns: Columns) -> dict[str, float]:
        """Return the population stability index of each feature for other rows, largest first."""
        indices = {
            name: psi(with_half_rows(count(feature, feature.assign(columns[field_of(name)]))), feature.shares)
            for name, feature in self.features.items()
        }
        return dict(sorted(indices.items(), key=lambda item: -item[1]))


def _features(field: FieldSpec, training: Columns, holdout: Columns) -> Iterator[tuple[str, NumberBins | CategoryBins]]:
    """Yield the bins of a field, and their names."""
    seen, unseen = training[field.name], holdout[field.name]
    bins = make(field, seen)
    # Only other rows show how many keys and tokens are usually new.
    yield field.name, with_shares(bins, unseen) if field.kind == "key" else bins
    if field.kind == "text":
        yield f"{field.name}/unseen tokens", with_shares(make_unseen(field, seen), unseen)


def _bins(fields: Iterable[FieldSpec], columns: Columns) -> dict[str, Bins]:
    return {field.name: make(field, columns[field.name]) for field in fields}


def _quality(contract: Contract, predictions: Columns, label: np.ndarray) -> dict[str, float]:
    """Return the quality: of several labels the share of rows in which all are right, and the mean of their errors."""
    if contract.task == "unsupervised":
        return {}
    predicted = np.stack([predictions[field.name] for field in contract.labels], axis=1)
    label = label.reshape(len(label), -1)
    if contract.task == "classification":
        return {"accuracy": float((predicted == label).all(axis=1).mean())}
    error = predicted.astype(np.float64) - label
    error = error[np.isfinite(error)]
    if not len(error):
        return {}
    return {
        "mean_absolute_error": float(np.abs(error).mean()),
        "root_mean_squared_error": float(np.sqrt((error**2).mean())),
    }
