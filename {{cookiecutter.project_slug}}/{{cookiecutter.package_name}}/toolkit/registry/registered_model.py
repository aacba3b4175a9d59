"""A registered version as others use it: as an MLflow model, without this project."""

from __future__ import annotations

from typing import Any

import mlflow

from ..version.artifact import Artifact
from .client import connect
from .errors import mlflow_errors, quiet
from .packaging import example_frame


def predict_example(uri: str, model_name: str, number: int, version: Artifact) -> list[dict[str, Any]]:
    """Return what `mlflow.pyfunc` predicts of the example rows of a version; code of the registry runs here."""
    connect(uri, model_name)
    with mlflow_errors(uri), quiet():
        loaded = mlflow.pyfunc.load_model(f"models:/{model_name}/{number}")
        frame = loaded.predict(example_frame(version))
    # Of missing numbers, pandas makes NaN.
    return [
        {str(name): None if value != value else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]
