"""The fields of a prediction, made from what a model returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..common.errors import UserError
from ..contract.columns import Columns
from ..contract.schema import Contract, FieldSpec

#: The field of a model without label that has its `decision_function`, or without that its `score_samples`.
SCORE = "score"


class Outputs:
    """Makes the fields of a prediction from the outputs of a model."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        names = {field.name for field in contract.prediction}
        self._derived = [name for name in PROBABILITY_FIELDS if name in names]
        self._thresholds = contract.threshold is not None
        self.need_probabilities = (bool(self._derived) and contract.task != "regression") or self._thresholds
        self.need_score = contract.task == "unsupervised" and SCORE in names
        # What predict() returns, as one array.
        self._predicted = [field.name for field in contract.labels or contract.prediction[:1]]
        self._is_anomaly = contract.task == "unsupervised" and contract.label.kind == "bool"

    def of_mapping(self, outputs: Mapping[str, Any], rows: int) -> Columns:
        """Return the fields from those that the model returned by name; a map may be a dict for each row."""
        arrays = {str(name): np.asarray(outputs[name]) for name in outputs.keys()}  # noqa: SIM118 (a DataFrame too)
        for field in self._contract.prediction:
            if field.kind == "map" and field.name in arrays and arrays[field.name].dtype == object:
                arrays[field.name] = np.array([[row[name] for name in field.names] for row in arrays[field.name]])
        if self._thresholds and "probability" in arrays:
            arrays[self._contract.label.name] = self._by_threshold(arrays["probability"])
        return self._conform(arrays, rows)

    def of_arrays(
        self,
        label: np.ndarray,
        probabilities: Any = None,
        classes: Sequence[Any] | None = None,
        score: np.ndarray | None = None,
    ) -> Columns:
        """Return the fields from labels (n,), of several (n, labels), and what else the model returned.

        Probabilities are (n, classes), of several labels one such array for each or those of true (n, labels).
        `classes` are those of the columns, None if they have the order of the schema already. `score` is (n,).
        """
        outputs = {SCORE: score} if self.need_score and score is not None else {}
        if probabilities is not None and len(self._predicted) > 1:
            outputs["probabilities"] = _of_true(probabilities)
        elif probabilities is not None:
            ordered = self._in_order(np.asarray(probabilities), classes)
            two = ordered.shape[1] == 2
            outputs |= {
                name: PROBABILITY_FIELDS[name](ordered) for name in self._derived if name != "probability" or two
            }
            if self._thresholds:
                label = self._by_threshold(ordered[:, 1])
        return self._conform(outputs | self._labels(label), len(label))

    def _labels(self, label: np.ndarray) -> Columns:
        names = self._predicted
        if len(names) == 1:
            return {names[0]: self._anomalies(label) if self._is_anomaly else label}
        if label.shape != (len(label), len(names)):
            raise UserError(
                f"predict() returns an array of shape {label.shape}, not {(len(label), len(names))}: "
                f"one column for each label of model/schema.py, {', '.join(names)}"
            )
        return dict(zip(names, label.T, strict=True))

    def _anomalies(self, label: np.ndarray) -> np.ndarray:
        """Return bools for the -1 (outlier) and 1 of scikit-learn's detectors; bools as they are."""
        if label.dtype.kind not in "iuf":
            return label
        if not np.isin(label, (-1, 1)).all():
            raise UserError(
                f"Prediction.{self._predicted[0]}: predict() returns {np.unique(label)[:5].tolist()}; for a bool "
                "without a column in the data these are True and False, or scikit-learn's -1 for an outlier and 1"
            )
        return label == -1

    def _by_threshold(self, probability: np.ndarray) -> np.ndarray:
        """Return the second class where its probability reaches the threshold, and the first elsewhere."""
        # float32, as ONNX models have it: both runtimes compare the same numbers.
        reached = probability.astype(np.float32) >= np.float32(self._contract.threshold)
        first, second = self._contract.classes
        return np.where(reached, second, first)

    def _in_order(self, probabilities: np.ndarray, classes: Sequence[Any] | None) -> np.ndarray:
        """Return probabilities with their columns in the order of the schema."""
        wanted, found = list(self._contract.classes), None if classes is None else list(classes)
        if not wanted or found is None or found == wanted or set(found) != set(wanted):
            return probabilities
        return probabilities[:, [found.index(name) for name in wanted]]

    def _conform(self, outputs: Columns, rows: int) -> Columns:
        return {field.name: conform(field, outputs, rows) for field in self._contract.prediction}


def _of_true(probabilities: Any) -> np.ndarray:
    """Return the probability that each label is true (n, labels): a chain returns it so, other models both classes."""
    if isinstance(probabilities, np.ndarray) and probabilities.ndim == 2:
        return probabilities
    return np.column_stack([part[:, -1] for part in probabilities])


#: The fields of `Prediction` that are derived from the probabilities (n, classes) of a classification.
PROBABILITY_FIELDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "probability": lambda probabilities: probabilities[:, 1],
    "probabilities": lambda probabilities: probabilities,
    "confidence": lambda probabilities: probabilities.max(axis=1, initial=0),
}


def conform(field: FieldSpec, outputs: Columns, rows: int) -> np.ndarray:
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
