"""The digest of a table: the same for the same data, another for any change of it.

It covers all rows and columns: the names of the columns, their values, where values are missing, and the order of both.
It does not cover what is no data: the index, the width of a type (int8 or int64; text or categories of pandas; true or
1), whether None or NaN stands for a missing value, and how the table lies in memory.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

#: Rows that are hashed at once; another number gives other digests.
BLOCK_ROWS = 2**16
#: 32 hexadecimal digits; MLflow keeps up to 36.
DIGEST_BYTES = 16


def data_digest(table: pd.DataFrame) -> str:
    """Return the digest of a table, in hexadecimal digits; it needs the memory of a few thousand rows."""
    total = _hash()
    for position, name in enumerate(table.columns):
        values, column = table.iloc[:, position], _hash()
        for start in range(0, len(table), BLOCK_ROWS):
            _add(column, _arrow(values.iloc[start : start + BLOCK_ROWS]))
        total.update(f"{name!r} {column.hexdigest()}\n".encode())
    total.update(f"{len(table)} rows".encode())
    return str(total.hexdigest())


def _hash() -> Any:
    return hashlib.blake2b(digest_size=DIGEST_BYTES)


def _arrow(values: pd.Series) -> pa.Array:
    """Return values as one Arrow array, null where missing."""
    try:
        found = pa.array(values, from_pandas=True)
    except (pa.ArrowException, OverflowError, UnicodeError):
        found = pa.array([_text(value) for value in values], pa.large_binary())
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _text(value: Any) -> bytes:
    """Return a value for which Arrow has no type, or another than for the values around it."""
    text = f"{type(value).__name__} {value.tolist() if isinstance(value, np.ndarray) else value!r}"
    return text.encode("utf-8", "surrogatepass")


def _add(total: Any, array: pa.Array) -> None:
    """Add the type, the missing values and the other values of an array to a hash."""
    array = _plain(array)
    total.update(f"{array.type} {len(array)} {array.null_count}\n".encode())
    if array.null_count:
        total.update(np.packbits(array.is_null().to_numpy(zero_copy_only=False)))
        array = array.drop_null()
    if pa.types.is_struct(array.type):
        for part in array.flatten():
            _add(total, part)
    elif pa.types.is_large_list(array.type):
        _add(total, pc.list_value_length(array))
        _add(total, array.flatten())
    elif pa.types.is_large_binary(array.type):
        _add(total, pc.binary_length(array))
        ends = np.frombuffer(array.buffers()[1] or b"", np.int64)[array.offset :][: len(array) + 1]
        total.update(_part(array.buffers()[2], ends[0], ends[-1]) if len(array) else b"")
    elif len(array):
        width = array.type.bit_width // 8
        total.update(_part(array.buffers()[1], array.offset * width, (array.offset + len(array)) * width))


def _part(buffer: pa.Buffer | None, start: int, end: int) -> memoryview | bytes:
    return memoryview(buffer)[start:end] if buffer else b""


def _plain(array: pa.Array) -> pa.Array:
    """Return the same values in one type for all types of a kind, such as int64 for whole numbers."""
    kind, types = array.type, pa.types
    if array.null_count == len(array):
        return pa.nulls(len(array))
    if types.is_dictionary(kind):
        return _plain(array.dictionary_decode())
    if isinstance(array, pa.ExtensionArray):
        return _plain(array.storage)
    if types.is_floating(kind):
        return pc.add(pc.cast(array, pa.float64()), 0.0)  # -0.0 is 0.0
    if types.is_boolean(kind) or (types.is_integer(kind) and kind != pa.uint64()):
        return pc.cast(array, pa.int64())
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind) or types.is_binary(kind):
        return pc.cast(array, pa.large_binary())
    if types.is_list(kind) or types.is_fixed_size_list(kind):
        return pc.cast(array, pa.large_list(kind.value_type))
    if types.is_struct(kind) or types.is_large_list(kind) or types.is_large_binary(kind) or _has_fixed_width(kind):
        return array
    return pa.array([_text(value) for value in array.to_pylist()], pa.large_binary())


def _has_fixed_width(kind: pa.DataType) -> bool:
    try:
        return kind.bit_width > 0
    except ValueError:  # maps, views and others have none
        return False
