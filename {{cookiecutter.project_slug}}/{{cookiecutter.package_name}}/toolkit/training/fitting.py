"""Fitting: the estimator of `model/pipeline.py`, fitted on the training rows, with its ONNX export."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from ..contract import dataframes
from ..contract.schema import Contract
from ..version.features import Features, FeaturesRuntime
from ..version.runtime import OnnxRuntime, PythonRuntime, Runtime
from .dataset import Dataset
from .export.onnx_export import OnnxExport
from .tuning.parameters import Parameters

#: The columns that a message names.
MAX_NAMES = 50


@dataclass(frozen=True)
class FittedModel:
    """A fitted estimator, and its ONNX export, which serves in its place if the parity check passed."""

    estimator: Any
    onnx: OnnxExport
    contract: Contract
    #: Where the threshold of the contract comes from, "" without one.
    threshold_note: str = ""
    #: What makes the columns that the estimator sees; None where it sees those of the row.
    features: Features | None = None
    #: What `build()` was called with; None without `model/parameters.json`.
    built_with: Parameters | None = None

    @cached_property
    def runtime(self) -> Runtime:
        """The runtime that will serve the version."""
        contract = self.features.model_contract(self.contract) if self.features else self.contract
        onnx = self.onnx.model
        runtime = OnnxRuntime(onnx, contract) if onnx else PythonRuntime(self.estimator, contract)
        return FeaturesRuntime(self.features, runtime) if self.features else runtime

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the estimator that are plain values, and as `build/<name>` those that `build()` got."""
        parameters: dict[str, Any] = getattr(self.estimator, "get_params", dict)()
        given = (
            {f"build/{name}": value for name, value in self.built_with.parameters.items()} if self.built_with else {}
        )
        return given | {key: value for key, value in parameters.items() if isinstance(value, bool | int | float | str)}


def fit(estimator: Any, data: Dataset) -> None:
    """Fit an estimator on the training rows, if it can be fitted; without label, on the features alone."""
    if not hasattr(estimator, "fit"):
        return
    label = [dataframes.training_label(data.training.label)] if data.contract.labels else []
    frame = training_frame(data)
    try:
        estimator.fit(frame, *label)
    except (KeyError, ValueError) as error:
        if isinstance(error, KeyError) or "column" in str(error):
            error.add_note(_columns_note(frame))
        raise


def _columns_note(frame: pd.DataFrame) -> str:
    """Return which columns there are, for an error about one that there is not."""
    names, count = ", ".join(frame.columns[:MAX_NAMES]), len(frame.columns)
    return f"The model sees {count} columns: {names}{', ...' if count > MAX_NAMES else ''}"


def training_frame(data: Dataset) -> pd.DataFrame:
    """Return what the model sees of the training rows."""
    contract, columns = data.contract, data.training.columns
    if data.features:
        contract, columns = data.features.model_contract(contract), data.features.columns(columns)
    return dataframes.as_frame(columns, contract)


def name_of(estimator: Any) -> str:
    """Return the class of an estimator, for a pipeline the classes of its steps."""
    steps = getattr(estimator, "steps", None)
    return " > ".join(type(step).__name__ for _, step in steps) if steps else type(estimator).__name__
