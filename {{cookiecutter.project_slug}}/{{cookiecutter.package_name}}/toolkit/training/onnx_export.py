"""The compiled form of a model, and the proof that it says the same as the original."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from ..contract.columns import Columns
from ..contract.schema import Contract, FieldSpec
from ..version.runtime import ALL_NUMBERS, OnnxRuntime, PythonRuntime

#: The largest difference between two runtimes that counts as none: float32 has seven digits, sums lose some of them.
TOLERANCE = 1e-5


class OnnxExport(NamedTuple):
    """A compiled model, None where the original has to serve, and why in one line."""

    model: bytes | None
    note: str


def export(model: Any, contract: Contract, holdout: Columns) -> OnnxExport:
    """Convert a fitted model, and compare it with the original on hold-out rows and the edges of the contract."""
    original = PythonRuntime(model, contract)
    try:
        compiled = _convert(model, contract)
        runtime = OnnxRuntime(compiled, contract)
        edges = edge_rows(contract, holdout)
        rows = {name: np.concatenate([array, edges[name]]) for name, array in holdout.items()}
        count, difference = (
            len(next(iter(rows.values()))),
            _compare(original.score(rows), runtime.score(rows), contract),
        )
    except Exception as error:  # whatever a converter cannot do, the original can
        text = (str(error).strip() or "no further words").splitlines()[0][:200]
        return OnnxExport(None, f"not convertible to ONNX: {type(error).__name__}: {text}")
    if difference is None or difference > TOLERANCE:
        how = "labels differ" if difference is None else f"largest difference {difference:.1e}, above {TOLERANCE:.0e}"
        return OnnxExport(None, f"ONNX says something else than the original: {how}, over {count} rows")
    return OnnxExport(compiled, f"proven the same on {count} rows, largest difference {difference:.1e}")


def _convert(model: Any, contract: Contract) -> bytes:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.base import BaseEstimator

    if not isinstance(model, BaseEstimator):
        raise TypeError(f"{type(model).__name__} is no scikit-learn model")
    options = {"zipmap": False} if contract.task == "classification" else None
    names = contract.model_columns
    words = {column.name for column in contract.row if column.kind == "category"}
    each = [(name, StringTensorType([None, 1]) if name in words else FloatTensorType([None, 1])) for name in names]
    together = [(ALL_NUMBERS, FloatTensorType([None, len(names)]))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # One matrix where all columns are numbers: a column of its own for each costs time in every request.
        for inputs in (each,) if words else (together, each):
            try:
                return bytes(convert_sklearn(model, initial_types=inputs, options=options).SerializeToString())
            except Exception as error:
                failure = error
    raise failure


def edge_rows(contract: Contract, rows: Columns) -> Columns:
    """Return rows at the edges of the contract: for each field, the first row with each of its extreme values."""
    extremes = {column.name: _extremes(column, rows[column.name][0]) for column in contract.row}
    count = sum(len(values) for values in extremes.values())
    edges = {name: np.repeat(array[:1], count, axis=0) for name, array in rows.items()}
    position = 0
    for name, values in extremes.items():
        for value in values:
            edges[name][position] = value
            position += 1
    return edges


def _extremes(column: FieldSpec, usual: Any) -> list[Any]:
    if column.kind == "category":
        return [*column.categories, *([""] if column.nullable else [])]
    limits = [limit for limit in (column.at_least, column.at_most) if limit is not None]
    found = [0.0, 1.0] if column.kind == "bool" else limits or [usual]
    return [*found, *([np.nan] if column.nullable else [])]


def _compare(expected: Columns, got: Columns, contract: Contract) -> float | None:
    """Return the largest difference, relative above 1 and absolute below; None where labels or words differ."""
    largest = 0.0
    for column in contract.prediction:
        one, other = expected[column.name], got[column.name]
        if one.dtype != np.float32:
            if not np.array_equal(one, other):
                return None
            continue
        difference = np.abs(one - other) / np.maximum(1, np.abs(one))
        difference = np.where(np.isnan(one) & np.isnan(other), 0, difference)
        largest = max(largest, float(np.nan_to_num(difference, nan=np.inf).max(initial=0)))
    return largest
