"""DataFrames in, columns out: the checks of training data and batch files."""

from __future__ import annotations

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
    for field in fields:
        if list(frame.columns).count(field.name) > 1:
            violations.append(Violation(None, field.name, None, "two columns have this name; remove or rename one"))
            continue
        values = _find(frame, field)
        if values is None and field.required:
            known = {name for known in fields for name in (known.name, *known.columns)}
            guess = column_names.guesses([field], {str(name) for name in frame.columns} - known)
            reason = f"the column is missing{guess}; expected {field.expects}"
            violations.append(Violation(None, field.name, None, reason))
            continue
        if values is None:
            values = pd.Series([field.default] * len(frame), dtype=object)
        columns[field.name], invalid = series.check(values.reset_index(drop=True), field)
        reason = f"expected {field.expects}{_hint(field, values)}"
        where = np.flatnonzero(invalid)
        violations += [
            Violation(row, field.name, _plain(value), reason)
            for row, value in zip(where.tolist(), values.iloc[where], strict=True)
        ]
    return CheckResult(columns, violations)


def _find(frame: pd.DataFrame, field: FieldSpec) -> pd.Series | None:
    if field.name in frame:
        return frame[field.name]
    if field.length is not None and set(field.columns) <= set(frame.columns):
        return series.joined([frame[name] for name in field.columns])
    return None


def _hint(field: FieldSpec, values: pd.Series) -> str:
    """Return how to read a column of numbers as text, "" for any other: they may have lost zeros in front."""
    if field.kind not in ("text", "key") or field.whole or not pd.api.types.is_numeric_dtype(values):
        return ""
    return f"; the column has numbers: read it as text, for example read_csv(..., dtype={{{field.name!r}: str}})"


def _plain(value: Any) -> Any:
    """Return the value as plain Python, for messages; None where it is missing."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return None if pd.isna(value) is True else value.item() if isinstance(value, np.generic) else value
