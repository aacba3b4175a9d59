"""Export to ONNX, and the parity check: the exported model must predict the same as the original."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from ..contract.columns import Columns
from ..contract.schema import Contract, FieldSpec
from ..version.artifact import TOLERANCE
from ..version.runtime import MATRIX_INPUT, OnnxRuntime, PythonRuntime


class OnnxExport(NamedTuple):
    """The exported model, None if the original has to serve, and the reason in one line."""

    model: bytes | None
    note: str


def export(estimator: Any, contract: Contract, holdout: Columns) -> OnnxExport:
    """Export a fitted model, and compare it with the original on hold-out rows and the edges of the contract."""
    try:
        model = _convert(estimator, contract)
        edges = edge_rows(contract, holdout)
        rows = {name: np.concatenate([array, edges[name]]) for name, array in holdout.items()}
        expected = PythonRuntime(estimator, contract).score(rows)
        difference = _largest_difference(expected, OnnxRuntime(model, contract).score(rows), contract)
    except Exception as error:  # converters raise exceptions of many kinds
        text = (str(error).strip() or "no message").splitlines()[0][:200]
        return OnnxExport(None, f"not convertible to ONNX: {type(error).__name__}: {text}")
    count = len(next(iter(rows.values())))
    if difference is None:
        return OnnxExport(None, f"parity check failed on {count} rows: ONNX and original predict different labels")
    if difference > TOLERANCE:
        size = f"largest difference {difference:.1e}, above {TOLERANCE:.0e}"
        return OnnxExport(None, f"parity check failed on {count} rows: {size}")
    return OnnxExport(model, f"parity check passed on {count} rows, largest difference {difference:.1e}")


def _convert(estimator: Any, contract: Contract) -> bytes:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.base import BaseEstimator

    if not isinstance(estimator, BaseEstimator):
        raise TypeError(f"{type(estimator).__name__} is not a scikit-learn estimator")
    options = {"zipmap": False} if contract.task == "classification" else None
    names = contract.model_columns
    texts = {field.name for field in contract.row if field.is_text}
    separate = [(n, StringTensorType([None, 1]) if n in texts else FloatTensorType([None, 1])) for n in names]
    matrix = [(MATRIX_INPUT, FloatTensorType([None, len(names)]))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # One matrix if all columns are numbers: a separate input for each column costs time in every request.
        for inputs in (separate,) if texts else (matrix, separate):
            try:
                model = convert_sklearn(estimator, initial_types=inputs, options=options)
            except Exception as error:
                failure = error
                continue
            for output in model.graph.output:
                # Some converters declare a shape that the output has not; ONNX Runtime would say so in every call.
                output.type.tensor_type.ClearField("shape")
            return bytes(model.SerializeToString())
    raise failure


def edge_rows(contract: Contract, rows: Columns) -> Columns:
    """Return rows at the edges of the contract: the first row, with each extreme value of each field in turn."""
    extremes = {field.name: _extremes(field, rows[field.name][0]) for field in contract.row}
    count = sum(len(values) for values in extremes.values())
    edges = {name: np.repeat(array[:1], count, axis=0) for name, array in rows.items()}
    position = 0
    for name, values in extremes.items():
        for value in values:
            edges[name][position] = value
            position += 1
    return edges


#: Edge values of texts and keys: some that the training has hardly seen.
UNUSUAL_TEXTS = ("0", "unseen value", "It's 50 % off -- ÄÖ, 東京!", "a b  c")


def _extremes(field: FieldSpec, usual: Any) -> list[Any]:
    if field.is_text:
        return [*(field.categories or UNUSUAL_TEXTS), *([""] if field.nullable else [])]
    if field.is_time:
        return [usual, *([np.nan] if field.nullable else [])]
    limits = [limit for limit in (field.at_least, field.at_most) if limit is not None]
    found = [0.0, 1.0] if field.kind == "bool" else limits or [usual]
    return [*found, *([np.nan] if field.nullable else [])]


def _largest_difference(expected: Columns, actual: Columns, contract: Contract) -> float | None:
    """Return the largest difference, relative above 1 and absolute below; None if labels or texts differ."""
    largest = 0.0
    for field in contract.prediction:
        one, other = expected[field.name], actual[field.name]
        if one.dtype != np.float32:
            if not np.array_equal(one, other):
                return None
            continue
        difference = np.abs(one - other) / np.maximum(1, np.abs(one))
        difference = np.where(np.isnan(one) & np.isnan(other), 0, difference)
        largest = max(largest, float(np.max(np.nan_to_num(difference, nan=np.inf), initial=0)))
    return largest
