"""Columns in, predictions out: the one place where a model is called, by training, service and batch alike."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from .contract import Column, Columns, Contract, spread
from .errors import UserError

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
        self._together = [put.name for put in self._session.get_inputs()] == [ALL_NUMBERS]
        self._inputs = {put.name for put in self._session.get_inputs()}
        self._classifies = contract.task == "classification"

    def score(self, columns: Columns) -> Columns:
        """Return the predictions for the rows of `columns`."""
        if self._together:
            arrays = [columns[column.name] for column in self.contract.row]
            feed = {ALL_NUMBERS: arrays[0] if len(arrays) == 1 and arrays[0].ndim == 2 else np.column_stack(arrays)}
        else:
            feed = {name: array for column in self.contract.row for name, array in self._feed(column, columns)}
        found = self._session.run(None, feed)
        if not self._classifies:
            return _answer(self.contract, found[0], None)
        return _answer(self.contract, found[0], found[1])

    def _feed(self, column: Column, columns: Columns) -> list[tuple[str, np.ndarray]]:
        matrix = columns[column.name].reshape(-1, column.length or 1)
        # A model that does not use a column has no input for it.
        return [(name, matrix[:, i : i + 1]) for i, name in enumerate(spread(column)) if name in self._inputs]


class PythonRuntime:
    """Calls the Python model itself: slower than a compiled one, and right for anything with a `predict`."""

    name = "python"

    def __init__(self, model: Any, contract: Contract) -> None:
        self.model = model
        self.contract = contract
        names = {column.name for column in contract.prediction}
        self._wants_chances = bool(names & {"probability", "probabilities", "confidence"})

    def score(self, columns: Columns) -> Columns:
        """Return the predictions for the rows of `columns`; `UserError` if the model answers something else."""
        from .tables import as_frame

        frame = as_frame(columns, self.contract)
        answer = self.model.predict(frame)
        if hasattr(answer, "keys"):
            answers = {str(name): np.asarray(answer[name]) for name in answer.keys()}  # noqa: SIM118 (a DataFrame too)
            return {column.name: _conform(column, answers, len(frame)) for column in self.contract.prediction}
        chances = None
        if self._wants_chances and self.contract.task == "classification" and hasattr(self.model, "predict_proba"):
            chances = np.asarray(self.model.predict_proba(frame))
        return _answer(self.contract, np.asarray(answer), chances)


def _answer(contract: Contract, label: np.ndarray, chances: np.ndarray | None) -> Columns:
    """Return the fields of a prediction from labels (n,) and, of a classification, chances (n, classes)."""
    answers = {contract.label.name: label}
    if chances is not None:
        answers |= {"probabilities": chances, "confidence": chances.max(axis=1, initial=0)}
        if chances.shape[1] == 2:
            answers["probability"] = chances[:, 1]
    return {column.name: _conform(column, answers, len(label)) for column in contract.prediction}


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
        return array if array.dtype == object else array.astype(str).astype(object)
    return array.astype({"int": np.int64, "bool": np.bool_}.get(column.kind, np.float32), copy=False)
