"""BentoML's own recipe for an MLflow model: imported into its store, a batchable method."""

from typing import Any

import bentoml
import pandas as pd


@bentoml.service(logging={"access": {"enabled": False}}, traffic={"timeout": 60})
class Peer:
    """Scores rows with the imported model."""

    def __init__(self) -> None:
        self.model = bentoml.mlflow.load_model("titanic-peer:latest")

    @bentoml.api(batchable=True, max_batch_size=1000, max_latency_ms=10_000)
    def predict(self, rows: list[dict[str, Any]]) -> list[int]:
        """Return survival for each row; rows of several callers are scored together."""
        return [int(label) for label in self.model.predict(pd.DataFrame(rows))]
