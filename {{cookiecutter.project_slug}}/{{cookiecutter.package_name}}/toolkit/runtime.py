"""Columns in, predictions out: the one place where a model is called, by training, service and batch alike."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from .contract import Column, Columns, Contract
from .errors import UserError


class Runtime(Protocol):
    """Scores rows; every runtime of a version gives the same predictions."""

    name: str

    def score(self, columns: Columns) -> Columns:
        """Return one array (n,) for each field of `Prediction`, or (n, length) for a vector."""
        ...


class PythonRuntime:
    """Calls the Python model itself: slower than a compiled one, and right for anything with a `predict`."""

    name = "python"

    def __init__(self, model: Any, contract: Contract) -> None:
        self.model = model
        self.contract = contract

    def score(self, columns: Columns) -> Columns:
        """Return the predictions for the rows of `columns`; `UserError` if the model answers something else."""
        from .tables import as_frame

        frame = as_frame(columns, self.contract)
        answer = self.model.predict(frame)
        if hasattr(answer, "keys"):
            answers = {str(name): np.asarray(answer[name]) for name in answer.keys()}  # noqa: SIM118 (DataFrames too)
        else:
            answers = {self.contract.label.name: np.asarray(answer)}
            answers |= self._probabilities(frame)
        return {column.name: _conform(column, answers, len(frame)) for column in self.contract.prediction}

    def _probabilities(self, frame: Any) -> Columns:
        wanted = {column.name for column in self.contract.prediction} & {"probability", "probabilities", "confidence"}
        if not wanted or self.contract.task != "classification" or not hasattr(self.model, "predict_proba"):
            return {}
        matrix = np.asarray(self.model.predict_proba(frame))
        found = {"probabilities": matrix, "confidence": matrix.max(axis=1)}
        if matrix.shape[1] == 2:
            found["probability"] = matrix[:, 1]
        return found


def _conform(column: Column, answers: Columns, rows: int) -> np.ndarray:
    """Return a field's array in the type and shape that the schema promises."""
    if column.name not in answers:
        raise UserError(
            f"Prediction.{column.name} is not among what the model answers ({', '.join(sorted(answers))}): "
            "have predict() return it, or remove the field from model/schema.py"
        )
    array = answers[column.name]
    shape = (rows,) if column.length is None else (rows, column.length)
    if column.length is None and array.shape == (rows, 1):
        array = array[:, 0]
    if array.shape != shape:
        raise UserError(f"Prediction.{column.name}: the model answers an array of shape {array.shape}, not {shape}")
    if column.kind == "category":
        return array.astype(str).astype(object)
    return array.astype({"int": np.int64, "bool": np.bool_}.get(column.kind, np.float32))
