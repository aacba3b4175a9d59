"""DataFrames in, columns out: the checks of training data and batch files."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from . import column_names, series
from .columns import Columns
from .schema import Contract, FieldSpec, Violation


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
    """Check the labels of a DataFrame."""
    return _check_columns(frame, contract.labels)


def as_frame(columns: Columns, contract: Contract) -> pd.DataFrame:
    """Return the DataFrame that the model sees: numbers float32, texts str, one column for each element or part."""
    parts: dict[str, np.ndarray] = {}
    for field in contract.row:
        array = columns[field.name]
        parts |= dict(zip(field.columns, [array] if field.width is None else array.T, strict=True))
    return pd.DataFrame(parts)


def numbers(frame: pd.DataFrame, field: FieldSpec) -> np.ndarray:
    """Return the values of a field of numbers in float64, before they are rounded: (n,), or (n, length) of a vector.

    The rows are valid; a field without a column has none.
    """
    values = _find(frame, field)
    return np.zeros((len(frame), 0)) if values is None else series.exact_numbers(values, field)


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
    names = Counter(frame.columns)
    for field in fields:
        if violation := column_violation(names, field, fields):
            violations.append(violation)
            continue
        values = _find(frame, field)
        if values is None:
            values = default_values(field, len(frame))
        columns[field.name], invalid = series.check(values.reset_index(drop=True), field)
        is_numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        why = reason(field, is_numeric=is_numeric)
        where = np.flatnonzero(invalid)
        violations += [
            Violation(row, field.name, plain(value), why)
            for row, value in zip(where.tolist(), values.iloc[where], strict=True)
        ]
    return CheckResult(columns, violations)


def column_violation(names: Counter[Any], field: FieldSpec, fields: tuple[FieldSpec, ...]) -> Violation | None:
    """Return what is wrong with the columns of a field: it has two, or none where it is required."""
    if names[field.name] > 1:
        return Violation(None, field.name, None, "two columns have this name; remove or rename one")
    if not field.required or column_names.is_given(field, names):
        return None
    known = {name for known in fields for name in (known.name, *known.columns)}
    guess = column_names.guesses([field], {str(name) for name in names} - known)
    return Violation(None, field.name, None, f"the column is missing{guess}; expected {field.expects}")


def default_values(field: FieldSpec, count: int) -> pd.Series:
    """Return the values of a field that has no column."""
    return pd.Series([field.default] * count, dtype=object)


def _find(frame: pd.DataFrame, field: FieldSpec) -> pd.Series | None:
    if field.name in frame:
        return frame[field.name]
    if field.length is not None and set(field.columns) <= set(frame.columns):
        return series.joined([frame[name] for name in field.columns])
    return None


def reason(field: FieldSpec, *, is_numeric: bool) -> str:
    """Return the reason of violations, and where a column of numbers was to be text, how to read it.

    Such a column may have lost zeros in front.
    """
    text = f"expected {field.expects}"
    if field.kind not in ("text", "key") or field.whole or not is_numeric:
        return text
    return f"{text}; the column has numbers: read it as text, for example read_csv(..., dtype={{{field.name!r}: str}})"


def plain(value: Any) -> Any:
    """Return a value as plain Python, for messages; None where it is missing."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return None if pd.isna(value) is True else value.item() if isinstance(value, np.generic) else value
