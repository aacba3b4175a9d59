"""Columns: rows as arrays, one array for each field; models take them and return them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import orjson

from . import times
from .schema import Contract, FieldSpec

Columns = dict[str, np.ndarray]
"""The array of each field.

Numbers are float32 (n,), a vector or matrix (n, length), the parts of a date or time (n, parts); NaN where missing.
Categories, texts and keys are str objects (n,); "" where missing.
"""


def take(columns: Columns, where: np.ndarray) -> Columns:
    """Return the rows at a mask or at positions."""
    return {name: array[where] for name, array in columns.items()}


def concatenate(parts: Sequence[Columns]) -> Columns:
    """Return the rows of several parts, one after the other."""
    return parts[0] if len(parts) == 1 else {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def from_rows(rows: Sequence[dict[str, Any]], contract: Contract) -> Columns:
    """Return the columns of valid rows, with the default for a field that is left out."""
    return {
        field.name: ARRAYS[field.kind]([row.get(field.name, field.default) for row in rows], field)
        for field in contract.row
    }


def _numbers(values: list[Any], field: FieldSpec) -> np.ndarray:
    return np.array(values, dtype=np.float32)  # None becomes NaN


def _vectors(values: list[Any], field: FieldSpec) -> np.ndarray:
    if field.nullable:
        missing = np.full(field.shape or field.length or 0, np.nan)
        values = [missing if value is None else value for value in values]
    return np.array(values, dtype=np.float32).reshape(len(values), field.length or 0)


def _texts(values: list[Any], field: FieldSpec) -> np.ndarray:
    return np.array(["" if value is None else value for value in values], dtype=object)


def _keys(values: list[Any], field: FieldSpec) -> np.ndarray:
    return _texts([None if value is None else str(int(value)) for value in values] if field.whole else values, field)


def _times(values: list[Any], field: FieldSpec) -> np.ndarray:
    return times.from_values(values, field.kind)


#: Makes the array of a field from values as JSON or a validated row has them.
ARRAYS: dict[str, Callable[[list[Any], FieldSpec], np.ndarray]] = {
    **dict.fromkeys(("float", "int", "bool"), _numbers),
    "vector": _vectors,
    **dict.fromkeys(("category", "text"), _texts),
    "key": _keys,
    **dict.fromkeys(times.PARTS, _times),
}


def json_values(array: np.ndarray, field: FieldSpec) -> list[Any]:
    """Return one value for each row as callers send them in JSON, None where it is missing."""
    if field.is_time:
        return times.to_texts(array, field.kind)
    if field.is_text:
        return [None if text == "" else int(text) if field.whole else text for text in array.tolist()]
    values = plain(array if field.shape is None else array.reshape(len(array), *field.shape))
    if field.length is not None:
        empty = np.isnan(array).all(axis=1) if field.nullable else np.zeros(len(array), bool)
        return [None if nothing else value for nothing, value in zip(empty, values, strict=True)]
    cast = {"int": int, "bool": bool}.get(field.kind, float)
    return [None if value is None else cast(value) for value in values]


def as_records(predictions: Columns, contract: Contract) -> list[dict[str, Any]]:
    """Return one dict for each prediction; numbers have the fewest digits that give the same float32."""
    lists = {field.name: output_values(predictions[field.name], field) for field in contract.prediction}
    return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]


def records(predictions: Columns, contract: Contract, **more: Iterable[Any]) -> list[dict[str, Any]]:
    """Return one dict a row, with the values of `more` at the end; a map is a dict too.

    Numbers stay NumPy's float32, which orjson writes in the shortest form that reads back as the same float32.
    """
    names = (*predictions, *more)
    values = [
        list(np.ascontiguousarray(array)) if array.dtype == np.float32 else array.tolist()
        for array in predictions.values()
    ]
    for place, field in enumerate(contract.prediction if values else ()):
        if field.kind == "map":
            values[place] = [dict(zip(field.names, row, strict=True)) for row in values[place]]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, *more.values(), strict=True)]


def output_values(array: np.ndarray, field: FieldSpec) -> list[Any]:
    """Return the values of one field of predictions as plain Python values: of a map dicts, of a vector lists."""
    values = plain(array)
    return [dict(zip(field.names, row, strict=True)) for row in values] if field.kind == "map" else values


def plain(array: np.ndarray) -> list[Any]:
    """Return an array as plain Python values."""
    if array.dtype != np.float32:
        return array.tolist()
    # Through text, since 0.1 as float32 would become 0.10000000149011612 as a Python float; NaN becomes None.
    return orjson.loads(orjson.dumps(np.ascontiguousarray(array), option=orjson.OPT_SERIALIZE_NUMPY))
