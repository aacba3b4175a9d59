"""The MLflow model of a version: what `mlflow.pyfunc.load_model` and `mlflow models serve` run ("models from code").

MLflow executes this file on its own, outside the package; the package's name comes with the model's configuration.
"""

import importlib
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd


class VersionModel(mlflow.pyfunc.PythonModel):
    """Scores a DataFrame with the columns of `Row` into one with the fields of `Prediction`."""

    def load_context(self, context: Any) -> None:
        """Load the version from the artifacts."""
        toolkit = f"{context.model_config['package']}.toolkit"
        self.artifact = importlib.import_module(f"{toolkit}.version.artifact")
        self.dataframes = importlib.import_module(f"{toolkit}.contract.dataframes")
        self.columns = importlib.import_module(f"{toolkit}.contract.columns")
        self.version = self.artifact.Artifact(Path(context.artifacts["version"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return the predictions; ValueError with every problem if a row breaks the contract."""
        columns, problems = self.dataframes.check(model_input, self.version.contract)
        if problems:
            first = [f"row {row}: {field} {value!r}: {reason}" for row, field, value, reason in problems[:20]]
            raise ValueError(f"{len(problems)} values break the contract: " + "; ".join(first))
        predictions = self.version.runtime.score(columns)
        return pd.DataFrame({name: self.columns.plain(array) for name, array in predictions.items()})


mlflow.models.set_model(VersionModel())
