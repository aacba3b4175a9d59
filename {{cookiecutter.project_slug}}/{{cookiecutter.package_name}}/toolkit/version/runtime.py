"""Columns in, predictions out: the one place where a model is called, by training, service and batch alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from ..contract.columns import Columns, take
from ..contract.schema import Contract
from . import row_order
from .outputs import Outputs
from .row_groups import METADATA, EqualRows
from .row_order import similar_rows

#: The name of the input of an ONNX model that takes all features as one matrix; they are all numbers then.
MATRIX_INPUT = "numbers"
#: What gives the field `score` of a model without label: the first of these methods that the model has.
SCORE_METHODS = ("decision_function", "score_samples")


class Runtime(Protocol):
    """Scores rows; every runtime of a version gives the same predictions."""

    name: str
    #: Whether it is Python code that takes its time, so that the service calls it in a thread beside the event loop.
    threaded: bool

    def score(self, columns: Columns) -> Columns:
        """Return one array (n,) for each field of `Prediction`, or (n, length) for a vector."""
        ...


class OnnxRuntime:
    """Runs the ONNX model: no pickle, no scikit-learn, tens of microseconds for a row."""

    name = "onnx"
    threaded = False

    def __init__(self, model: bytes, contract: Contract) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # Requests run in parallel already; threads within one of them would only wait for the others.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # Errors only: versions of earlier releases declare shapes that their outputs have not, a warning in every call.
        options.log_severity_level = 3
        self.contract = contract
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        inputs = {tensor.name for tensor in self._session.get_inputs()}
        self._takes_matrix = inputs == {MATRIX_INPUT}
        self._has_trees = b"TreeEnsemble" in model and len(model) >= row_order.MIN_BYTES
        self._equal_rows = EqualRows.of(contract, self._session.get_modelmeta().custom_metadata_map.get(METADATA))
        # The export drops inputs that the model does not use.
        self._inputs = [
            (name, field.name, slice(None) if field.width is None else slice(i, i + 1))
            for field in contract.row
            for i, name in enumerate(field.columns)
            if name in inputs
        ]
        self._outputs = Outputs(contract)
        self._classes = sorted(contract.classes)  # as scikit-learn has them, of which ONNX models are exports

    def score(self, columns: Columns) -> Columns:
        """Return the predictions for the rows of `columns`."""
        rows = len(next(iter(columns.values()), ()))
        if not self._has_trees or rows < row_order.MIN_ROWS:
            return self._score(columns)
        groups = self._equal_rows.groups(columns) if self._equal_rows else similar_rows(columns, self.contract)
        return take(self._score(take(columns, groups.scored)), groups.number)

    def _score(self, columns: Columns) -> Columns:
        if self._takes_matrix:
            arrays = [columns[field.name] for field in self.contract.row]
            feed = {MATRIX_INPUT: arrays[0] if len(arrays) == 1 and arrays[0].ndim == 2 else np.column_stack(arrays)}
        else:
            feed = {name: _as_matrix(columns[field])[:, part] for name, field, part in self._inputs}
        label, *more = self._session.run(None, feed)
        second = more[0] if more else None
        if self._outputs.need_score:  # the export of a model without label has its scores there
            return self._outputs.of_arrays(label, score=second)
        needed = self._outputs.need_probabilities
        return self._outputs.of_arrays(label, second if needed else None, self._classes)


def _as_matrix(array: np.ndarray) -> np.ndarray:
    return array if array.ndim == 2 else array[:, None]


class PythonRuntime:
    """Calls the Python model itself: slower than ONNX, and right for anything with a `predict`."""

    name = "python"
    threaded = True

    def __init__(self, model: Any, contract: Contract) -> None:
        self.model = model
        self.contract = contract
        self._outputs = Outputs(contract)

    def score(self, columns: Columns) -> Columns:
        """Return the predictions for the rows of `columns`; `UserError` if the output of the model does not fit."""
        from ..contract.dataframes import as_frame

        frame = as_frame(columns, self.contract)
        output = self.model.predict(frame)
        # A Series has keys too, which are rows.
        if isinstance(output, Mapping) or hasattr(output, "columns"):
            return self._outputs.of_mapping(output, len(frame))
        probabilities = score = None
        if self._outputs.need_probabilities and hasattr(self.model, "predict_proba"):
            probabilities = self.model.predict_proba(frame)
        if self._outputs.need_score:
            method = next((name for name in SCORE_METHODS if hasattr(self.model, name)), None)
            score = np.asarray(getattr(self.model, method)(frame)) if method else None
        classes = getattr(self.model, "classes_", None) if self.contract.task == "classification" else None
        return self._outputs.of_arrays(np.asarray(output), probabilities, classes, score)
