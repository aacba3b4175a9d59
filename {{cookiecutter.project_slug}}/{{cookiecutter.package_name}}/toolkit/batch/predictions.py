"""Predictions as Arrow arrays, with the values that the service answers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..contract.columns import Columns
from ..contract.schema import Contract, FieldSpec

TYPES = {"float": pa.float64(), "int": pa.int64(), "bool": pa.bool_()}


def prediction_fields(contract: Contract) -> list[pa.Field]:
    """Return names and types of the columns of a prediction."""
    return [pa.field(field.name, _type(field)) for field in contract.prediction]


def prediction_arrays(predictions: Columns, contract: Contract) -> list[pa.Array]:
    """Return an array for each field of a prediction; numbers have the fewest digits that give the same float32."""
    return [_array(predictions[field.name], field) for field in contract.prediction]


def _type(field: FieldSpec) -> pa.DataType:
    if field.kind == "map":
        return pa.struct([pa.field(name, pa.float64()) for name in field.names])
    return pa.list_(pa.float64()) if field.length is not None else TYPES.get(field.kind, pa.string())


def _array(array: np.ndarray, field: FieldSpec) -> pa.Array:
    if field.kind == "map":
        numbers = [_numbers(column) for column in array.T]
        return pa.StructArray.from_arrays(numbers, fields=list(_type(field)))
    if field.length is not None:
        rows, length = array.shape
        return pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32) * length, _numbers(array.reshape(-1)))
    return _numbers(array) if array.dtype == np.float32 else pa.array(array, _type(field))


def _numbers(array: np.ndarray) -> pa.Array:
    """Return float32 (n,) as float64, null for what is no number."""
    numbers = pa.array(np.ascontiguousarray(array), pa.float32(), mask=~np.isfinite(array)).dictionary_encode()
    # Through text, since 0.1 as float32 would become 0.10000000149011612 as float64; each distinct number once.
    return pc.cast(pc.cast(numbers.dictionary, pa.string()), pa.float64()).take(numbers.indices)
