"""Columns: rows as arrays, one array for each field; models take them and return them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from .schema import Contract, FieldSpec

Columns = dict[str, np.ndarray]
"""The array of each field: float32 (n,), of a vector (n, length); of categories, str objects (n,)."""


def take(columns: Columns, where: np.ndarray) -> Columns:
    """Return the rows at a mask or at positions."""
    return {name: array[where] for name, array in columns.items()}


def concatenate(parts: Sequence[Columns]) -> Columns:
    """Return the rows of several parts, one after the other."""
    return parts[0] if len(parts) == 1 else {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def from_rows(rows: Sequence[dict[str, Any]], contract: Contract) -> Columns:
    """Return the columns of valid rows, with the default for a field that is left out."""
    return {field.name: _array(field, [row.get(field.name, field.default) for row in rows]) for field in contract.row}


def _array(field: FieldSpec, values: list[Any]) -> np.ndarray:
    if field.kind == "category":
        return np.array(["" if value is None else value for value in values], dtype=object)
    array = np.array(values, dtype=np.float32)  # None becomes NaN
    return array.reshape(len(values), field.length) if field.length is not None else array


def as_records(predictions: Columns, contract: Contract) -> list[dict[str, Any]]:
    """Return one dict for each prediction; numbers have the fewest digits that give the same float32."""
    lists = {field.name: plain(predictions[field.name]) for field in contract.prediction}
    return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]


def plain(array: np.ndarray) -> list[Any]:
    """Return an array as plain Python values."""
    if array.dtype != np.float32:
        return array.tolist()
    # Through text, since 0.1 as float32 would become 0.10000000149011612 as a Python float; NaN becomes None.
    return orjson.loads(orjson.dumps(np.ascontiguousarray(array), option=orjson.OPT_SERIALIZE_NUMPY))
