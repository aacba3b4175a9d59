"""Columns in, predictions out: the one place where a model is called, by training, service and batch alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ..common.errors import UserError
from ..contract.columns import Columns
from ..contract.schema import Contract, FieldSpec

#: The name of the input of an ONNX model that takes all features as one matrix; they are all numbers then.
MATRIX_INPUT = "numbers"


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
        # The export drops inputs that the model does not use.
        self._inputs = [
            (name, field.name, slice(None) if field.width is None else slice(i, i + 1))
            for field in contract.row
            for i, name in enumerate(field.columns)
            if name in inputs
        ]
        self._outputs = _Outputs(contract)
        self._classes = sorted(contract.classes)  # as scikit-learn has them, of which ONNX models are exports

    def score(self, columns: Columns) -> Columns:
        """Return the predictions for the rows of `columns`."""
        if self._takes_matrix:
            arrays = [columns[field.name] for field in self.contract.row]
            feed = {MATRIX_INPUT: arrays[0] if len(arrays) == 1 and arrays[0].ndim == 2 else np.column_stack(arrays)}
        else:
            feed = {name: _as_matrix(columns[field])[:, part] for name, field, part in self._inputs}
        label, *probabilities = self._session.run(None, feed)
        return self._outputs.predictions(label, probabilities[0] if probabilities else None, self._classes)


def _as_matrix(array: np.ndarray) -> np.ndarray:
    return array if array.ndim == 2 else array[:, None]


class PythonRuntime:
    """Calls the Python model itself: slower than ONNX, and right for anything with a `predict`."""

    name = "python"
    threaded = True

    def __init__(self, model: Any, contract: Contract) -> None:
        self.model = model
        self.contract = contract
        self._outputs = _Outputs(contract)

    def score(self, columns: Columns) -> Columns:
        """Return the predictions for the rows of `columns`; `UserError` if the output of the model does not fit."""
        from ..contract.dataframes import as_frame

        frame = as_frame(columns, self.contract)
        output = self.model.predict(frame)
        # A Series has keys too, which are rows.
        if isinstance(output, Mapping) or hasattr(output, "columns"):
            outputs = {str(name): np.asarray(output[name]) for name in output.keys()}  # noqa: SIM118 (a DataFrame too)
            return {field.name: _conform(field, outputs, len(frame)) for field in self.contract.prediction}
        probabilities = None
        if self._outputs.need_probabilities and hasattr(self.model, "predict_proba"):
            probabilities = np.asarray(self.model.predict_proba(frame))
        return self._outputs.predictions(np.asarray(output), probabilities, getattr(self.model, "classes_", None))


class _Outputs:
    """Makes the fields of a prediction from the outputs of a model."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._derived = [field.name for field in contract.prediction if field.name in PROBABILITY_FIELDS]
        self.need_probabilities = bool(self._derived) and contract.task == "classification"

    def predictions(
        self, label: np.ndarray, probabilities: np.ndarray | None, classes: Sequence[Any] | None
    ) -> Columns:
        """Return the fields from labels (n,) and, of a classification, probabilities (n, classes).

        `classes` are those of the columns, None if they have the order of the schema already.
        """
        outputs = {self._contract.label.name: label}
        if probabilities is not None:
            probabilities = self._in_order(probabilities, classes)
            outputs |= {
                name: PROBABILITY_FIELDS[name](probabilities)
                for name in self._derived
                if name != "probability" or probabilities.shape[1] == 2
            }
        return {field.name: _conform(field, outputs, len(label)) for field in self._contract.prediction}

    def _in_order(self, probabilities: np.ndarray, classes: Sequence[Any] | None) -> np.ndarray:
        """Return probabilities with their columns in the order of the schema."""
        wanted, found = list(self._contract.classes), None if classes is None else list(classes)
        if not wanted or found is None or found == wanted or set(found) != set(wanted):
            return probabilities
        return probabilities[:, [found.index(name) for name in wanted]]


#: The fields of `Prediction` that are derived from the probabilities (n, classes) of a classification.
PROBABILITY_FIELDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "probability": lambda probabilities: probabilities[:, 1],
    "probabilities": lambda probabilities: probabilities,
    "confidence": lambda probabilities: probabilities.max(axis=1, initial=0),
}


def _conform(field: FieldSpec, outputs: Columns, rows: int) -> np.ndarray:
    """Return the output of a field in the type and shape of the schema."""
    if field.name not in outputs:
        raise UserError(
            f"Prediction.{field.name} is not among the outputs of the model ({', '.join(sorted(outputs))}): "
            "have predict() return it, or remove the field from model/schema.py"
        )
    array = outputs[field.name]
    shape = (rows,) if field.length is None else (rows, field.length)
    if field.length is None and array.shape == (rows, 1):
        array = array[:, 0]
    if array.shape != shape:
        raise UserError(f"Prediction.{field.name}: the model returns an array of shape {array.shape}, not {shape}")
    if field.is_text:
        return array if array.dtype == object else array.astype(str).astype(object)
    return array.astype(DTYPES.get(field.kind, np.float32), copy=False)


#: The data types of predictions that are not float32.
DTYPES: dict[str, type] = {"int": np.int64, "bool": np.bool_}
