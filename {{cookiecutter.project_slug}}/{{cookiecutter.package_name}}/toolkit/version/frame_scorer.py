"""DataFrames in, DataFrames out: how a version scores where no service is, as an MLflow model for example."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ..contract.columns import output_values
from ..contract.dataframes import check_features
from .artifact import Artifact

#: Violations that an error names.
MAX_NAMED = 20


class FrameScorer:
    """Scores a DataFrame with the columns of `Row` into one with the fields of `Prediction`."""

    def __init__(self, folder: Path) -> None:
        self._version = Artifact(folder)

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the predictions, in the order of the rows; ValueError if a row breaks the contract."""
        columns, violations = check_features(frame, self._version.contract)
        if violations:
            named = [f"row {v.row}: {v.field} {v.value_text}: {v.reason}" for v in violations[:MAX_NAMED]]
            raise ValueError(f"{len(violations)} values break the contract: " + "; ".join(named))
        predictions = self._version.runtime.score(columns)
        fields = self._version.contract.prediction
        return pd.DataFrame({field.name: output_values(predictions[field.name], field) for field in fields})
