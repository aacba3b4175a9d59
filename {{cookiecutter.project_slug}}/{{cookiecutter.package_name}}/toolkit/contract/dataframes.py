"""DataFrames in, columns out: the contract as training data and batch files meet it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .columns import Columns
from .schema import FALSE_TEXTS, MISSING_TEXTS, TRUE_TEXTS, Contract, FieldSpec, Violation, spread


class Checked(NamedTuple):
    """Columns of all rows, and what is wrong with them; only rows without a problem may be used."""

    columns: Columns
    problems: list[Violation]

    def good(self, rows: int) -> np.ndarray:
        """Return a mask of the rows without a problem, of shape (rows,)."""
        mask = np.ones(rows, dtype=bool)
        bad = {problem.row for problem in self.problems}
        if None in bad:
            mask[:] = False
        mask[[row for row in bad if row is not None]] = False
        return mask


def check(frame: pd.DataFrame, contract: Contract) -> Checked:
    """Check the input columns of a table; columns that the contract does not know are ignored."""
    return _check(frame, contract.row)


def check_label(frame: pd.DataFrame, contract: Contract) -> Checked:
    """Check the label column of a table."""
    return _check(frame, (contract.label,))


def as_frame(columns: Columns, contract: Contract) -> pd.DataFrame:
    """Return the table that the model sees: numbers float32, words str, vectors spread over columns."""
    parts: dict[str, np.ndarray] = {}
    for column in contract.row:
        array = columns[column.name]
        if column.length is None:
            parts[column.name] = array
        else:
            parts |= dict(zip(spread(column), array.T, strict=True))
    return pd.DataFrame(parts)


def label_array(columns: Columns, label: FieldSpec) -> np.ndarray:
    """Return the checked label in the type that the model learns and predicts, of shape (n,)."""
    array = columns[label.name]
    return array if label.kind == "category" else array.astype(LABEL_TYPES[label.kind])


def learnable(label: np.ndarray) -> np.ndarray:
    """Return a label as models learn it: truth values as 0 and 1, which the converter to ONNX needs."""
    return label.astype(np.int64) if label.dtype == np.bool_ else label


LABEL_TYPES: dict[str, type] = {"float": np.float64, "int": np.int64, "bool": np.bool_}


def _check(frame: pd.DataFrame, wanted: tuple[FieldSpec, ...]) -> Checked:
    columns: Columns = {}
    problems: list[Violation] = []
    for column in wanted:
        if list(frame.columns).count(column.name) > 1:
            problems.append(Violation(None, column.name, None, "two columns have this name; remove or rename one"))
            continue
        values = _find(frame, column)
        if values is None and column.required:
            problems.append(Violation(None, column.name, None, f"the column is missing; expected {column.expects}"))
            continue
        if values is None:
            values = pd.Series([column.default] * len(frame), dtype=object)
        columns[column.name], bad = CHECKS[column.kind](values.reset_index(drop=True), column)
        problems += [
            Violation(int(row), column.name, _plain(values.iloc[row]), f"expected {column.expects}")
            for row in np.flatnonzero(bad)
        ]
    return Checked(columns, problems)


def _find(frame: pd.DataFrame, column: FieldSpec) -> pd.Series | None:
    if column.name in frame:
        return frame[column.name]
    if column.length is not None and set(spread(column)) <= set(frame.columns):
        parts = [_numbers(frame[name], _is_missing(frame[name])) for name in spread(column)]
        return pd.Series(list(np.column_stack(parts)), dtype=object)
    return None


def _is_missing(values: pd.Series) -> np.ndarray:
    return (values.isna() | values.isin(MISSING_TEXTS)).to_numpy(dtype=bool)


def _check_number(values: pd.Series, column: FieldSpec) -> tuple[np.ndarray, np.ndarray]:
    missing = _is_missing(values)
    numbers = _numbers(values, missing)
    bad = np.isnan(numbers) & ~missing | missing & (not column.nullable)
    bad |= ~missing & ~_within(numbers, column)
    if column.kind == "int":
        bad |= ~missing & (numbers != np.round(numbers))
    return np.where(bad, 0, numbers).astype(np.float32), bad


def _numbers(values: pd.Series, missing: np.ndarray) -> np.ndarray:
    """Return float64, NaN for what is no number: a date, a truth value, a word."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return values.to_numpy(np.float64, na_value=np.nan)
    if pd.api.types.is_string_dtype(values) and values.dtype != object:
        return pd.to_numeric(values.mask(missing), errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return np.array([_number(value) for value in values], dtype=np.float64)


def _number(value: Any) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, str | int | float | np.number):
        return np.nan
    try:
        # What pandas reads as a number in a column of text, and not what Python does: "1_000" and " 1" are none.
        return float(pd.to_numeric(value)) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):
        return np.nan


def _within(numbers: np.ndarray, column: FieldSpec) -> np.ndarray:
    tests: dict[str, Callable[[Any, Any], np.ndarray]] = {
        "at_least": np.greater_equal,
        "above": np.greater,
        "at_most": np.less_equal,
        "below": np.less,
    }
    return np.logical_and.reduce([tests[name](numbers, bound) for name, bound in column.bounds.items()])


def _check_bool(values: pd.Series, column: FieldSpec) -> tuple[np.ndarray, np.ndarray]:
    missing = _is_missing(values)
    words = values.astype(str).str.lower()
    true, false = words.isin(TRUE_TEXTS).to_numpy(), words.isin(FALSE_TEXTS).to_numpy()
    bad = ~(true | false | missing) | missing & (not column.nullable)
    return np.where(missing, np.nan, true).astype(np.float32), bad


def _check_category(values: pd.Series, column: FieldSpec) -> tuple[np.ndarray, np.ndarray]:
    known = values.isin(column.categories).to_numpy()
    missing = _is_missing(values) & ~known
    bad = ~(known | missing) | missing & (not column.nullable)
    return np.where(known, values.to_numpy(dtype=object), "").astype(object), bad


def _check_vector(values: pd.Series, column: FieldSpec) -> tuple[np.ndarray, np.ndarray]:
    array = np.zeros((len(values), column.length or 0), dtype=np.float32)
    bad = np.zeros(len(values), dtype=bool)
    for i, value in enumerate(values):
        try:
            numbers = _vector(json.loads(value) if isinstance(value, str) else value)
            bad[i] = numbers.shape != array.shape[1:] or not _within(numbers, column).all()
            array[i] = 0 if bad[i] else numbers
        except (ValueError, TypeError, RecursionError):
            bad[i] = True
    return array, bad


def _vector(value: Any) -> np.ndarray:
    """Return the elements as float64; ValueError or TypeError if one of them is no number."""
    if not isinstance(value, np.ndarray) or value.dtype == object:
        # Quoted digits are text here, as they are in JSON.
        value = np.array([np.nan if isinstance(part, str) else _number(part) for part in value], dtype=np.float64)
    if value.dtype.kind not in "iuf":
        raise TypeError(value.dtype)
    return value.astype(np.float64)


CHECKS: dict[str, Callable[[pd.Series, FieldSpec], tuple[np.ndarray, np.ndarray]]] = {
    "float": _check_number,
    "int": _check_number,
    "bool": _check_bool,
    "category": _check_category,
    "vector": _check_vector,
}


def _plain(value: Any) -> Any:
    """Return the value as plain Python, for messages; None where it is missing."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return None if pd.isna(value) is True else value.item() if isinstance(value, np.generic) else value
