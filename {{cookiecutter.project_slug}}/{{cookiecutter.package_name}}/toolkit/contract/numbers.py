"""Numbers in a DataFrame's column: what counts as one, what as missing, and which are within the bounds of a field."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from .schema import MISSING_TEXTS, FieldSpec

Checked = tuple[np.ndarray, np.ndarray]
"""The array of a field, see `columns`, and a mask (n,) of the rows whose values break the contract."""


def is_plain(values: pd.Series) -> bool:
    """Whether values are numbers, booleans or times by their type, none of them a text."""
    return values.dtype.kind in "iufbmM" and not isinstance(values.dtype, pd.CategoricalDtype)


def is_missing(values: pd.Series) -> np.ndarray:
    """Return a mask of the values that are missing."""
    if is_plain(values):
        return values.isna().to_numpy(dtype=bool)
    return (values.isna() | values.isin(MISSING_TEXTS)).to_numpy(dtype=bool)


def numbers(values: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return values as float64 (n,), NaN for what is no number, and a mask of those that are missing."""
    missing = is_missing(values)
    return _numbers(values, missing), missing


def text_numbers(texts: pd.Series) -> np.ndarray:
    """Return numbers of texts as float64 (n,), NaN for what is no number."""
    array: np.ndarray = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return array


def checked_numbers(numbers: np.ndarray, missing: np.ndarray, field: FieldSpec) -> Checked:
    """Return the array of a field of numbers, given in float64 (n,), and a mask of its violations."""
    invalid = np.isnan(numbers) & ~missing | missing & (not field.nullable)
    invalid |= ~missing & ~within(numbers, field)
    if field.kind == "int":
        invalid |= ~missing & (numbers != np.round(numbers))
    return (np.where(invalid, 0, numbers) if invalid.any() else numbers).astype(np.float32), invalid


def _numbers(values: pd.Series, missing: np.ndarray) -> np.ndarray:
    """Return float64, NaN for what is no number: a date, a bool, a text."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return values.to_numpy(np.float64, na_value=np.nan)
    if pd.api.types.is_string_dtype(values) and values.dtype != object:
        return text_numbers(values.mask(missing))
    return np.array([number(value) for value in values], dtype=np.float64)


def number(value: Any) -> float:
    """Return a value as a float, NaN if it is no number."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, str | int | float | np.number | Decimal):
        return np.nan
    try:
        # By the rules of pandas for a column of text, not by those of Python: "1_000" and " 1" are no numbers.
        return float(pd.to_numeric(value)) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):
        return np.nan


def within(numbers: np.ndarray, field: FieldSpec) -> np.ndarray:
    """Return which numbers are within the bounds of a field; NaN is not."""
    tests: dict[str, Callable[[Any, Any], np.ndarray]] = {
        "at_least": np.greater_equal,
        "above": np.greater,
        "at_most": np.less_equal,
        "below": np.less,
    }
    return np.all([tests[name](numbers, bound) for name, bound in field.bounds.items()], axis=0)
