"""The details of a version: where it comes from, from which data it was made, and how good it is."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from .dataset import Dataset
from .evaluation import Evaluation
from .fitting import FittedModel, name_of
from .gates import GateResult


class Origin(BaseModel):
    """Who trained what, when (UTC, ISO 8601) and from which commit."""

    project: str
    description: str
    author: str
    trained: str
    by: str
    commit: str
    #: The registered model and the run; versions of earlier releases do not say.
    model_name: str = ""
    run_id: str = ""
    #: Why it was trained, where somebody said so, or what `make monitor` found.
    reason: str = ""


class DataDetails(BaseModel):
    """The digest of the data and the sizes of its parts."""

    digest: str
    training_rows: int
    holdout_rows: int


class Details(Origin):
    """The content of a version's details.json; another name of a key is another format of the version's folder."""

    metrics: dict[str, float]
    groups: dict[str, int]
    importance: dict[str, float]
    #: The hold-out rows on which the importance was measured; versions of earlier releases do not say.
    importance_rows: int = 0
    gates: list[GateResult]
    #: The number of the champion at training, and its metrics on the same hold-out rows.
    champion: int | None = None
    champion_metrics: dict[str, float] = {}
    data: DataDetails
    #: The classes of the model, or of the steps of its pipeline; versions of earlier releases have none.
    estimator: str = ""
    runtime: str
    runtime_note: str
    #: Why Python serves, in a few lines; none where ONNX does.
    runtime_details: list[str] = []
    #: The labels; none of a model without label. Versions of earlier releases have one, which is not said here.
    labels: list[str] = []
    #: The probability of the second class from which on it is predicted, and where that comes from.
    threshold: float | None = None
    threshold_note: str = ""
    #: PSI of the hold-out rows against the training rows, by field.
    drift: dict[str, float]
    #: The share of the hold-out rows that are outliers.
    outliers: float
    #: What `build()` was called with, and where that comes from; empty if it had its own values.
    parameters: dict[str, Any] = {}
    parameters_note: str = ""

    @classmethod
    def of(cls, origin: Origin, data: Dataset, model: FittedModel, evaluation: Evaluation) -> Details:
        """Return the details of a version from the stages of its training."""
        return cls(
            **origin.model_dump(),
            metrics=evaluation.metrics,
            groups=evaluation.groups,
            importance=evaluation.importance.losses,
            importance_rows=evaluation.importance.rows,
            gates=evaluation.gates,
            champion=evaluation.champion.number,
            champion_metrics=evaluation.champion.metrics,
            data=DataDetails(
                digest=data.source.digest,
                training_rows=len(data.training.label),
                holdout_rows=len(data.holdout.label),
            ),
            estimator=name_of(model.estimator),
            runtime=model.runtime.name,
            runtime_note=model.onnx.note,
            runtime_details=list(model.onnx.details),
            labels=[label.name for label in data.contract.labels],
            threshold=data.contract.threshold,
            threshold_note=model.threshold_note,
            drift=evaluation.drift,
            outliers=evaluation.profile.outliers.rate,
            parameters=model.built_with.parameters if model.built_with else {},
            parameters_note=model.built_with.note if model.built_with else "",
        )

    def content(self) -> dict[str, Any]:
        """Return the content of details.json."""
        return self.model_dump()
