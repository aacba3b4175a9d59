"""The values of one field in a DataFrame: checked, and made to the array that columns have."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np
import pandas as pd

from . import times
from .numbers import Checked, checked_numbers, is_missing, is_plain, number, numbers, within
from .schema import FALSE_TEXTS, MISSING_TEXTS, TRUE_TEXTS, FieldSpec
from .whole_keys import whole_text

#: With fewer rows, to find the distinct values takes longer than it saves.
MANY_ROWS = 1000

#: What Python's own datetime holds; NumPy's holds more.
FIRST_MOMENT, LAST_MOMENT = np.datetime64(datetime.min), np.datetime64(datetime.max)


def check(values: pd.Series, field: FieldSpec) -> Checked:
    """Return the array of a field and a mask of its violations."""
    if len(values) > MANY_ROWS and _repeats(values, field):
        try:
            codes, distinct = pd.factorize(values, use_na_sentinel=False)
        except TypeError:  # lists are not hashable
            return CHECKS[field.kind](values, field)
        array, invalid = CHECKS[field.kind](pd.Series(distinct), field)
        return array[codes], invalid[codes]
    return CHECKS[field.kind](values, field)


def _repeats(values: pd.Series, field: FieldSpec) -> bool:
    """Whether to check each distinct value once, which also keeps one object for all rows that have it."""
    if values.dtype == object:
        # Among objects, True and 1 are not distinct.
        return field.kind in ("category", "bool")
    return field.kind in ("category", "bool", "key", *times.PARTS) and not is_plain(values)


def joined(elements: Sequence[pd.Series]) -> pd.Series:
    """Return the vectors whose elements have a column each; None where all of them are missing."""
    array = np.column_stack([numbers(values)[0] for values in elements])
    empty = np.isnan(array).all(axis=1)
    return pd.Series([None if nothing else row for nothing, row in zip(empty, array, strict=True)], dtype=object)


def exact_numbers(values: pd.Series, field: FieldSpec) -> np.ndarray:
    """Return valid numbers in float64, before they are rounded: (n,), or (n, length) of a vector."""
    if field.length is None:
        return numbers(values)[0]
    missing = np.full(field.length, np.nan)
    return np.array([missing if _is_absent(value) else _vector(value).ravel() for value in values])


def _check_number(values: pd.Series, field: FieldSpec) -> Checked:
    return checked_numbers(*numbers(values), field)


def _check_bool(values: pd.Series, field: FieldSpec) -> Checked:
    missing = is_missing(values)
    if values.dtype.kind in "iufb" and is_plain(values):
        numbers = values.to_numpy(np.float64, na_value=np.nan)
        true, false = numbers == 1, numbers == 0
    else:
        texts = values.astype(str).str.lower()
        true, false = texts.isin(TRUE_TEXTS).to_numpy(), texts.isin(FALSE_TEXTS).to_numpy()
    invalid = ~(true | false | missing) | missing & (not field.nullable)
    return np.where(missing, np.nan, true).astype(np.float32), invalid


def _check_category(values: pd.Series, field: FieldSpec) -> Checked:
    known = values.isin(field.categories).to_numpy()
    missing = is_missing(values) & ~known
    invalid = ~(known | missing) | missing & (not field.nullable)
    return np.where(known, values.to_numpy(dtype=object), "").astype(object), invalid


def _check_text(values: pd.Series, field: FieldSpec) -> Checked:
    missing = is_missing(values)
    if field.whole:
        return _check_whole_key(values, missing, field)
    # A number may have lost its leading zeros already.
    is_text = np.fromiter((isinstance(value, str) for value in values), bool, len(values))
    sizes = np.fromiter((len(value) if isinstance(value, str) else 0 for value in values), np.int64, len(values))
    invalid = ~missing & (~is_text | (sizes < field.min_length) | (sizes > (field.max_length or np.inf)))
    invalid |= missing & (not field.nullable)
    return np.where(is_text & ~missing, values.to_numpy(dtype=object), "").astype(object), invalid


def _check_whole_key(values: pd.Series, missing: np.ndarray, field: FieldSpec) -> Checked:
    texts = np.array([whole_text(value) for value in values], dtype=object)
    invalid = np.where(missing, not field.nullable, texts == "")
    return np.where(missing, "", texts), invalid


def _check_time(values: pd.Series, field: FieldSpec) -> Checked:
    missing = is_missing(values)
    if isinstance(values.dtype, pd.ArrowDtype):
        values = values.astype(object)
    if pd.api.types.is_datetime64_any_dtype(values) and field.kind in ("date", "datetime"):
        utc = values.dt.tz_convert("UTC").dt.tz_localize(None) if values.dt.tz is not None else values
        found = utc.to_numpy("datetime64[us]")
        found = np.where((found >= FIRST_MOMENT) & (found <= LAST_MOMENT), found, np.datetime64("NaT"))
    elif pd.api.types.is_timedelta64_dtype(values) and field.kind == "timedelta":
        found = values.where(values.abs() <= times.MAX_DURATION).to_numpy("timedelta64[us]")
    else:
        given = zip(values, missing, strict=True)
        found = times.microseconds(
            [None if nothing else _time(value, field.kind) for value, nothing in given], field.kind
        )
    invalid = np.where(missing, not field.nullable, np.isnat(found))
    if field.kind == "date":
        invalid |= ~np.isnat(found) & (found != found.astype("datetime64[D]"))
    array = times.parts(found, field.kind)
    if field.bounds:
        invalid |= ~missing & ~within(times.seconds_of(array, field.kind), field)
    return array, invalid


def _time(value: Any, kind: str) -> Any:
    """Return a date or time, None for anything else."""
    # A midnight is a date. Numbers are no times: some mean seconds by them, others milliseconds or days.
    if isinstance(value, times.TYPES[kind]) or (kind == "datetime" and isinstance(value, date)):
        is_local = isinstance(value, time) and value.tzinfo is not None
        is_long = isinstance(value, timedelta) and abs(value) > times.MAX_DURATION
        if is_local or is_long:
            return None
    elif not isinstance(value, str):
        return None
    try:
        return times.parse(value, kind) if isinstance(value, str) else times.to_utc(value)
    except (ValueError, OverflowError):
        return None


def _check_vector(values: pd.Series, field: FieldSpec) -> Checked:
    array = np.full((len(values), field.length or 0), np.nan, dtype=np.float32)
    invalid = np.zeros(len(values), dtype=bool)
    shape = field.shape or array.shape[1:]
    for i, value in enumerate(values):
        if _is_absent(value):
            invalid[i] = not field.nullable
            continue
        try:
            numbers = _vector(value)
            invalid[i] = numbers.shape not in (shape, array.shape[1:]) or not within(numbers, field).all()
            array[i] = np.nan if invalid[i] else numbers.ravel()
        except (ValueError, TypeError, RecursionError):
            invalid[i] = True
    return array, invalid


def _is_absent(value: Any) -> bool:
    """Whether a vector is missing."""
    return (
        value is None
        or (isinstance(value, float) and np.isnan(value))
        or (isinstance(value, str) and value in MISSING_TEXTS)
    )


def _vector(value: Any) -> np.ndarray:
    """Return a list, or a list of lists, as float64; ValueError or TypeError if an element is no number."""
    if isinstance(value, str):
        value = json.loads(value)
    if not isinstance(value, np.ndarray) or value.dtype == object:
        # Parquet has a matrix as an array of arrays. Quoted digits are text here, as they are in JSON.
        parts = [_vector(part) if isinstance(part, list | np.ndarray) else _element(part) for part in value]
        value = np.array(parts, dtype=np.float64)
    if value.dtype.kind not in "iuf":
        raise TypeError(value.dtype)
    return value.astype(np.float64)


def _element(value: Any) -> float:
    return np.nan if isinstance(value, str) else number(value)


CHECKS: dict[str, Callable[[pd.Series, FieldSpec], Checked]] = {
    "float": _check_number,
    "int": _check_number,
    "bool": _check_bool,
    "category": _check_category,
    "vector": _check_vector,
    "text": _check_text,
    "key": _check_text,
    **dict.fromkeys(times.PARTS, _check_time),
}
