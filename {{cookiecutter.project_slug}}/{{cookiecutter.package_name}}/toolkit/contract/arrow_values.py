"""The values of one field in an Arrow array: checked, and made to the array that columns have, without Python objects.

The results are those of `series`, which also takes what is rare: dates and times, vectors, decimals.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from . import series
from .numbers import Checked, checked_numbers, text_numbers
from .numbers import numbers as column_numbers
from .schema import FALSE_TEXTS, MISSING_TEXTS, TRUE_TEXTS, FieldSpec
from .whole_keys import whole_text

#: Not every function of Arrow takes other texts, such as views.
LARGE_TEXT = pa.large_string()
MISSING = pa.array(sorted(MISSING_TEXTS), LARGE_TEXT)
#: Numbers that Arrow and pandas read alike; pandas reads some more, such as "+1".
NUMBER = r"^-?[0-9]{1,300}(\.[0-9]{1,300})?$"


def column(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Return a column of a batch; of dictionaries, those of texts alone are kept."""
    values = batch.column(name)
    is_kept = not pt.is_dictionary(values.type) or is_text(values.type.value_type)
    return values if is_kept else values.dictionary_decode()


def check(values: pa.Array, field: FieldSpec) -> Checked:
    """Return the array of a field and a mask of its violations."""
    if field.kind not in TEXT_CHECKS:
        return series.check(as_series(values), field)
    if pt.is_dictionary(values.type):
        return _check_dictionary(values, field)
    if is_text(values.type):
        return _check_texts(values.cast(LARGE_TEXT), field)
    if is_plain(values.type):
        return PLAIN_CHECKS[field.kind](values, field)
    return series.check(as_series(values), field)


def as_series(values: pa.Array) -> pd.Series:
    """Return an array as pandas has it."""
    values = values.dictionary_decode() if pt.is_dictionary(values.type) else values
    return pa.record_batch([values], names=["values"]).to_pandas(ignore_metadata=True)["values"]


def take(values: pa.Array, rows: np.ndarray) -> pa.Array:
    """Return the values at some positions."""
    if pt.is_string_view(values.type):  # of which Arrow takes none yet
        return values.cast(LARGE_TEXT).take(pa.array(rows)).cast(values.type)
    try:
        return values.take(pa.array(rows))
    except pa.ArrowNotImplementedError:  # views of bytes, and lists of views
        plain = values.to_pylist()
        return pa.array([plain[row] for row in rows], values.type)


def is_text(type_: pa.DataType) -> bool:
    """Whether an array has texts."""
    return pt.is_string(type_) or pt.is_large_string(type_) or pt.is_string_view(type_)


def is_numeric(type_: pa.DataType) -> bool:
    """Whether an array has numbers."""
    return pt.is_integer(type_) or pt.is_floating(type_)


def is_plain(type_: pa.DataType) -> bool:
    """Whether an array has numbers, booleans, texts or nothing: values that Python has under the same names."""
    is_nothing = pt.is_null(type_) or pt.is_boolean(type_)
    return is_nothing or is_text(type_) or (is_numeric(type_) and not pt.is_float16(type_))


def numbers(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return values as float64 (n,), NaN for what is no number, and a mask of those that are missing."""
    if is_numeric(values.type) and is_plain(values.type):
        # Not cast by Arrow: it refuses whole numbers that float64 does not hold exactly.
        found = pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return found, np.isnan(found)
    if is_text(values.type) or pt.is_dictionary(values.type):
        texts = values.cast(LARGE_TEXT)
        missing = _is_missing(texts)
        return _numbers_of_texts(texts, missing), _mask(missing)
    return column_numbers(as_series(values))


def _numbers_of_texts(texts: pa.Array, missing: pa.Array) -> np.ndarray:
    given = pc.if_else(missing, pa.scalar(None, texts.type), texts)
    try:
        return _cast_numbers(given)
    except pa.ArrowInvalid:
        # What Arrow does not read is read by pandas, alone.
        common = pc.fill_null(pc.match_substring_regex(given, NUMBER), fill_value=True)
        found = _cast_numbers(pc.if_else(common, given, pa.scalar(None, texts.type))).copy()
        others = np.flatnonzero(~_mask(common))
        found[others] = text_numbers(as_series(take(given, others)))
        return found


def _cast_numbers(texts: pa.Array) -> np.ndarray:
    array: np.ndarray = pc.cast(texts, pa.float64()).to_numpy(zero_copy_only=False)
    return array


def _is_missing(texts: pa.Array) -> pa.Array:
    return pc.or_(pc.is_null(texts), pc.is_in(texts, value_set=MISSING))


def _mask(values: pa.Array) -> np.ndarray:
    array: np.ndarray = values.to_numpy(zero_copy_only=False)
    return array


def _check_number(values: pa.Array, field: FieldSpec) -> Checked:
    return checked_numbers(*numbers(values), field)


def _check_plain_bool(values: pa.Array, field: FieldSpec) -> Checked:
    found = pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    missing, true = np.isnan(found), found == 1
    invalid = np.where(missing, not field.nullable, ~(true | (found == 0)))
    return np.where(missing, np.nan, true).astype(np.float32), invalid


def _check_no_text(values: pa.Array, field: FieldSpec) -> Checked:
    """Check values that are no texts where texts are expected: a column may have lost zeros in front already."""
    if field.whole and is_numeric(values.type):
        return _check_whole_numbers(values, field)
    missing = _mask(pc.is_null(values, nan_is_null=True))
    return np.full(len(values), "", object), ~missing | (missing & (not field.nullable))


def _check_whole_numbers(values: pa.Array, field: FieldSpec) -> Checked:
    encoded = values.dictionary_encode("encode")
    distinct = encoded.dictionary
    missing = _mask(pc.is_null(distinct, nan_is_null=True))
    texts = np.array(["" if value is None else whole_text(value) for value in distinct.to_pylist()], object)
    return _take(texts, np.where(missing, not field.nullable, texts == ""), encoded.indices)


def _take(array: np.ndarray, invalid: np.ndarray, indices: pa.Array) -> Checked:
    codes = indices.to_numpy(zero_copy_only=False)
    return array.take(codes, axis=0), invalid.take(codes)


def _check_dictionary(values: pa.DictionaryArray, field: FieldSpec) -> Checked:
    """Check each distinct text once, which also keeps one object for all rows that have it."""
    distinct = values.dictionary.cast(LARGE_TEXT)
    if len(distinct) > len(values):  # as in a small part of a large file
        return _check_texts(values.cast(LARGE_TEXT), field)
    with_null = pa.concat_arrays([distinct, pa.array([None], distinct.type)])
    array, invalid = TEXT_CHECKS[field.kind](with_null, field)
    return _take(array, invalid, values.indices.fill_null(len(distinct)))


def _check_texts(texts: pa.Array, field: FieldSpec) -> Checked:
    if field.kind in ("float", "int", "text"):
        return TEXT_CHECKS[field.kind](texts, field)
    return _check_dictionary(texts.dictionary_encode(), field)


def _check_category(texts: pa.Array, field: FieldSpec) -> Checked:
    categories, given = frozenset(field.categories), texts.to_pylist()
    known = np.array([text in categories for text in given], bool)
    missing = _mask(_is_missing(texts)) & ~known
    invalid = ~(known | missing) | (missing & (not field.nullable))
    return np.where(known, np.array(given, object), ""), invalid


def _check_bool(texts: pa.Array, field: FieldSpec) -> Checked:
    missing = _mask(_is_missing(texts))
    given = [(text or "").lower() for text in texts.to_pylist()]
    true = np.array([text in TRUE_TEXTS for text in given], bool)
    false = np.array([text in FALSE_TEXTS for text in given], bool)
    invalid = ~(true | false | missing) | (missing & (not field.nullable))
    return np.where(missing, np.nan, true).astype(np.float32), invalid


def _check_text(texts: pa.Array, field: FieldSpec) -> Checked:
    is_missing = _is_missing(texts)
    missing = _mask(is_missing)
    given = pc.if_else(is_missing, "", texts)
    array = given.to_numpy(zero_copy_only=False)
    if field.whole:
        array = np.array([whole_text(text) for text in array], object)
        return array, np.where(missing, not field.nullable, array == "")
    sizes = pc.utf8_length(given).to_numpy(zero_copy_only=False)
    invalid = (sizes < field.min_length) | (sizes > (field.max_length or np.inf))
    return array, np.where(missing, not field.nullable, invalid)


#: Check numbers, booleans, or a column of nothing.
PLAIN_CHECKS: dict[str, Callable[[pa.Array, FieldSpec], Checked]] = {
    **dict.fromkeys(("float", "int"), _check_number),
    "bool": _check_plain_bool,
    **dict.fromkeys(("category", "text", "key"), _check_no_text),
}
#: Check texts.
TEXT_CHECKS: dict[str, Callable[[pa.Array, FieldSpec], Checked]] = {
    **dict.fromkeys(("float", "int"), _check_number),
    "bool": _check_bool,
    "category": _check_category,
    **dict.fromkeys(("text", "key"), _check_text),
}
