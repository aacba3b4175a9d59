"""DataFrames in, columns out: the checks of training data and batch files."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .columns import Columns
from .schema import FALSE_TEXTS, MISSING_TEXTS, TRUE_TEXTS, Contract, FieldSpec, Violation, model_columns


class CheckResult(NamedTuple):
    """Columns of all rows, and the violations in them; rows with a violation must not be used."""

    columns: Columns
    violations: list[Violation]

    def valid_rows(self, rows: int) -> np.ndarray:
        """Return a mask of the rows without a violation, of shape (rows,)."""
        mask = np.ones(rows, dtype=bool)
        invalid = {violation.row for violation in self.violations}
        if None in invalid:
            mask[:] = False
        mask[[row for row in invalid if row is not None]] = False
        return mask


def check_features(frame: pd.DataFrame, contract: Contract) -> CheckResult:
    """Check the features of a DataFrame; columns that the contract does not know are ignored."""
    return _check_columns(frame, contract.row)


def check_label(frame: pd.DataFrame, contract: Contract) -> CheckResult:
    """Check the label of a DataFrame."""
    return _check_columns(frame, (contract.label,))


def as_frame(columns: Columns, contract: Contract) -> pd.DataFrame:
    """Return the DataFrame that the model sees: numbers float32, categories str, one column for each vector element."""
    parts: dict[str, np.ndarray] = {}
    for field in contract.row:
        array = columns[field.name]
        parts |= dict(zip(model_columns(field), [array] if field.length is None else array.T, strict=True))
    return pd.DataFrame(parts)


def numbers(frame: pd.DataFrame, field: FieldSpec) -> np.ndarray:
    """Return the values of a field of numbers in float64, before they are rounded: (n,), or (n, length) of a vector.

    The rows are valid; a field without a column has none.
    """
    values = _find(frame, field)
    if values is None:
        return np.zeros((len(frame), 0))
    if field.length is None:
        return _numbers(values, _is_missing(values))
    return np.array([_vector(json.loads(value) if isinstance(value, str) else value) for value in values])


def label_array(columns: Columns, label: FieldSpec) -> np.ndarray:
    """Return the checked label in the type that the model learns and predicts, of shape (n,)."""
    array = columns[label.name]
    return array if label.kind == "category" else array.astype(LABEL_TYPES[label.kind])


def training_label(label: np.ndarray) -> np.ndarray:
    """Return a label as models learn it: bools as 0 and 1, which the export to ONNX needs."""
    return label.astype(np.int64) if label.dtype == np.bool_ else label


LABEL_TYPES: dict[str, type] = {"float": np.float64, "int": np.int64, "bool": np.bool_}


def _check_columns(frame: pd.DataFrame, fields: tuple[FieldSpec, ...]) -> CheckResult:
    columns: Columns = {}
    violations: list[Violation] = []
    for field in fields:
        if list(frame.columns).count(field.name) > 1:
            violations.append(Violation(None, field.name, None, "two columns have this name; remove or rename one"))
            continue
        values = _find(frame, field)
        if values is None and field.required:
            violations.append(Violation(None, field.name, None, f"the column is missing; expected {field.expects}"))
            continue
        if values is None:
            values = pd.Series([field.default] * len(frame), dtype=object)
        columns[field.name], invalid = CHECKS[field.kind](values.reset_index(drop=True), field)
        violations += [
            Violation(int(row), field.name, _plain(values.iloc[row]), f"expected {field.expects}")
            for row in np.flatnonzero(invalid)
        ]
    return CheckResult(columns, violations)


def _find(frame: pd.DataFrame, field: FieldSpec) -> pd.Series | None:
    if field.name in frame:
        return frame[field.name]
    if field.length is not None and set(model_columns(field)) <= set(frame.columns):
        parts = [_numbers(frame[name], _is_missing(frame[name])) for name in model_columns(field)]
        return pd.Series(list(np.column_stack(parts)), dtype=object)
    return None


def _is_missing(values: pd.Series) -> np.ndarray:
    return (values.isna() | values.isin(MISSING_TEXTS)).to_numpy(dtype=bool)


def _check_number(values: pd.Series, field: FieldSpec) -> tuple[np.ndarray, np.ndarray]:
    missing = _is_missing(values)
    numbers = _numbers(values, missing)
    invalid = np.isnan(numbers) & ~missing | missing & (not field.nullable)
    invalid |= ~missing & ~_within(numbers, field)
    if field.kind == "int":
        invalid |= ~missing & (numbers != np.round(numbers))
    return np.where(invalid, 0, numbers).astype(np.float32), invalid


def _numbers(values: pd.Series, missing: np.ndarray) -> np.ndarray:
    """Return float64, NaN for what is no number: a date, a bool, a text."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return values.to_numpy(np.float64, na_value=np.nan)
    if pd.api.types.is_string_dtype(values) and values.dtype != object:
        return pd.to_numeric(values.mask(missing), errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return np.array([_number(value) for value in values], dtype=np.float64)


def _number(value: Any) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, str | int | float | np.number):
        return np.nan
    try:
        # By the rules of pandas for a column of text, not by those of Python: "1_000" and " 1" are no numbers.
        return float(pd.to_numeric(value)) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):
        return np.nan


def _within(numbers: np.ndarray, field: FieldSpec) -> np.ndarray:
    tests: dict[str, Callable[[Any, Any], np.ndarray]] = {
        "at_least": np.greater_equal,
        "above": np.greater,
        "at_most": np.less_equal,
        "below": np.less,
    }
    return np.all([tests[name](numbers, bound) for name, bound in field.bounds.items()], axis=0)


def _check_bool(values: pd.Series, field: FieldSpec) -> tuple[np.ndarray, np.ndarray]:
    missing = _is_missing(values)
    texts = values.astype(str).str.lower()
    true, false = texts.isin(TRUE_TEXTS).to_numpy(), texts.isin(FALSE_TEXTS).to_numpy()
    invalid = ~(true | false | missing) | missing & (not field.nullable)
    return np.where(missing, np.nan, true).astype(np.float32), invalid


def _check_category(values: pd.Series, field: FieldSpec) -> tuple[np.ndarray, np.ndarray]:
    known = values.isin(field.categories).to_numpy()
    missing = _is_missing(values) & ~known
    invalid = ~(known | missing) | missing & (not field.nullable)
    return np.where(known, values.to_numpy(dtype=object), "").astype(object), invalid


def _check_vector(values: pd.Series, field: FieldSpec) -> tuple[np.ndarray, np.ndarray]:
    array = np.zeros((len(values), field.length or 0), dtype=np.float32)
    invalid = np.zeros(len(values), dtype=bool)
    for i, value in enumerate(values):
        try:
            numbers = _vector(json.loads(value) if isinstance(value, str) else value)
            invalid[i] = numbers.shape != array.shape[1:] or not _within(numbers, field).all()
            array[i] = 0 if invalid[i] else numbers
        except (ValueError, TypeError, RecursionError):
            invalid[i] = True
    return array, invalid


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
