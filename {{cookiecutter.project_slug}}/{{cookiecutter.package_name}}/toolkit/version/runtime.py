"""Columns in, predictions out: the one place where a model is called, by training, service and batch alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from ..common.errors import UserError
from ..contract.columns import Columns
from ..contract.schema import Contract, FieldSpec, spread

#: The name of the single input of a compiled model whose columns are all numbers.
ALL_NUMBERS = "numbers"


class Runtime(Protocol):
    """Scores rows; every runtime of a version gives the same predictions."""

    name: str

    def score(self, columns: Columns) -> Columns:
        """Return one array (n,) for each field of `Prediction`, or (n, length) for a vector."""
        ...


class OnnxRuntime:
    """Runs the compiled model: no pickle, no scikit-learn, tens of microseconds a row."""

    name = "onnx"

    def __init__(self, model: bytes, contract: Contract) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # Requests run beside each other; threads within one of them would only wait for the others.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.contract = contract
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        inputs = {put.name for put in self._session.get_inputs()}
        self._together = inputs == {ALL_NUMBERS}
        # A model that does not use a column has no input for it.
        self._inputs = [
            (name, column.name, slice(None) if column.length is None else slice(i, i + 1))
            for column in contract.row
            for i, name in enumerate(spread(column))
            if name in inputs
        ]
        self._answer = _Answer(contract)

    def score(self, columns: Columns) -> Columns:
        """Return the predictions for the rows of `columns`."""
        if self._together:
            arrays = [columns[column.name] for column in self.contract.row]
            feed = {ALL_NUMBERS: arrays[0] if len(arrays) == 1 and arrays[0].ndim == 2 else np.column_stack(arrays)}
        else:
            feed = {name: _as_matrix(columns[column])[:, part] for name, column, part in self._inputs}
        label, *chances = self._session.run(None, feed)
        return self._answer(label, chances[0] if chances else None)


def _as_matrix(array: np.ndarray) -> np.ndarray:
    return array if array.ndim == 2 else array[:, None]


class PythonRuntime:
    """Calls the Python model itself: slower than a compiled one, and right for anything with a `predict`."""

    name = "python"

    def __init__(self, model: Any, contract: Contract) -> None:
        self.model = model
        self.contract = contract
        self._answer = _Answer(contract)

    def score(self, columns: Columns) -> Columns:
        """Return the predictions for the rows of `columns`; `UserError` if the model answers something else."""
        from ..contract.dataframes import as_frame

        frame = as_frame(columns, self.contract)
        answer = self.model.predict(frame)
        # A Series has keys too, which are rows.
        if isinstance(answer, Mapping) or hasattr(answer, "columns"):
            answers = {str(name): np.asarray(answer[name]) for name in answer.keys()}  # noqa: SIM118 (a DataFrame too)
            return {column.name: _conform(column, answers, len(frame)) for column in self.contract.prediction}
        chances = None
        if self._answer.wants_chances and hasattr(self.model, "predict_proba"):
            chances = np.asarray(self.model.predict_proba(frame))
        return self._answer(np.asarray(answer), chances)


class _Answer:
    """Turns what a model returns into the fields of a prediction."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._wanted = [column.name for column in contract.prediction if column.name in CHANCES]
        self.wants_chances = bool(self._wanted) and contract.task == "classification"

    def __call__(self, label: np.ndarray, chances: np.ndarray | None) -> Columns:
        """Return the fields from labels (n,) and, of a classification, chances (n, classes)."""
        answers = {self._contract.label.name: label}
        if chances is not None:
            answers |= {
                name: CHANCES[name](chances) for name in self._wanted if name != "probability" or chances.shape[1] == 2
            }
        return {column.name: _conform(column, answers, len(label)) for column in self._contract.prediction}


#: What the fields of these names are, from the chances (n, classes) of a classification.
CHANCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "probability": lambda chances: chances[:, 1],
    "probabilities": lambda chances: chances,
    "confidence": lambda chances: chances.max(axis=1, initial=0),
}


def _conform(column: FieldSpec, answers: Columns, rows: int) -> np.ndarray:
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
        return array if array.dtype == object else array.astype(str).astype(object)
    return array.astype(KINDS.get(column.kind, np.float32), copy=False)


KINDS: dict[str, type] = {"int": np.int64, "bool": np.bool_}
