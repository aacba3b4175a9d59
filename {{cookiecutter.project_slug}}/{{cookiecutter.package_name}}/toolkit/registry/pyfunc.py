"""The MLflow model of a version: what `mlflow.pyfunc.load_model` and `mlflow models serve` run ("models from code").

MLflow executes this file on its own, outside of any package. The part of the toolkit that travels with the version has
a name of its own, which comes with the model's configuration.
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
        module = importlib.import_module(f"{context.model_config['toolkit']}.version.frame_scorer")
        self.scorer = module.FrameScorer(Path(context.artifacts["version"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return the predictions; ValueError if a row breaks the contract."""
        predictions: pd.DataFrame = self.scorer.predict(model_input)
        return predictions


mlflow.models.set_model(VersionModel())
