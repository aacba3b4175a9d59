"""The record of runs: parameters, metrics, files, data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from .errors import quiet


class Run:
    """One run under way in the tracking server."""

    def __init__(self, run: Any, model_name: str) -> None:
        self.id: str = run.info.run_id
        self._experiment: str = run.info.experiment_id
        self._model_name = model_name

    @property
    def address(self) -> str:
        """Where a person looks at the run: a URL on a server, the run's id on a database."""
        uri = mlflow.get_tracking_uri().rstrip("/")
        place = f"#/experiments/{self._experiment}/runs/{self.id}"
        return f"{uri}/{place}" if uri.startswith("http") else f"{place} (make mlflow shows it)"

    def parameters(self, values: dict[str, Any]) -> None:
        """Record parameters; long values are cut to what MLflow takes."""
        mlflow.log_params({key: str(value)[:6000] for key, value in values.items()})

    def metrics(self, values: dict[str, float]) -> None:
        """Record metrics."""
        mlflow.log_metrics(values)

    def tags(self, values: dict[str, str]) -> None:
        """Set tags."""
        mlflow.set_tags(values)

    def files(self, folder: Path, under: str) -> None:
        """Record the files of a folder."""
        mlflow.log_artifacts(str(folder), artifact_path=under)

    def dataset(self, frame: pd.DataFrame, name: str, label: str) -> str:
        """Record which rows were used, and return their digest."""
        with quiet():
            dataset = mlflow.data.from_pandas(frame, name=name, targets=label)
            mlflow.log_input(dataset, context="training")
        return str(dataset.digest)
