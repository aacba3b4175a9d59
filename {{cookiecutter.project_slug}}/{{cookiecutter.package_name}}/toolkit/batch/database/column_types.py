"""Types of columns: those of a table for an Arrow schema, and the arrays that the driver writes into them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

NUL, STAND_IN = "\0", "\ufffd"
#: Metadata of a field whose values are read as text: the column's own type, which an output table gets.
OWN_TYPE = b"postgresql"
#: Types that an output column has if the input column had it. They are in every database, as an enum is not.
KEPT = {"numeric", "json", "jsonb", "uuid", "time", "timetz", "interval", "inet", "float8[]"}
#: The types of Arrow's scalars in a table, first match first, and what their arrays are cast to for the driver.
SCALARS: tuple[tuple[Callable[[pa.DataType], bool], str, pa.DataType | None], ...] = (
    (pa.types.is_boolean, "boolean", None),
    (lambda kind: kind in (pa.int8(), pa.uint8(), pa.int16()), "smallint", pa.int16()),
    (lambda kind: kind in (pa.uint16(), pa.int32()), "integer", pa.int32()),
    (lambda kind: kind in (pa.uint32(), pa.int64()), "bigint", pa.int64()),
    (lambda kind: kind == pa.uint64(), "numeric", None),
    (lambda kind: kind in (pa.float16(), pa.float32()), "real", pa.float32()),
    (pa.types.is_float64, "double precision", None),
    (pa.types.is_date, "date", pa.date32()),
    (lambda kind: pa.types.is_timestamp(kind) and kind.tz, "timestamp with time zone", pa.timestamp("us", "UTC")),
    (pa.types.is_timestamp, "timestamp without time zone", pa.timestamp("us")),
    (pa.types.is_time, "time without time zone", pa.time64("us")),
    (pa.types.is_decimal, "numeric", None),
    (pa.types.is_binary, "bytea", None),
    (pa.types.is_large_binary, "bytea", None),
)


def sql_type(field: pa.Field) -> str:
    """Return the type of the column that a table gets for a field, as PostgreSQL itself spells it."""
    own = (field.metadata or {}).get(OWN_TYPE, b"").decode()
    return {"float8[]": "double precision[]"}.get(own, own) if own in KEPT else written_type(field.type)


def written_type(kind: pa.DataType) -> str:
    """Return the type of the column that the driver's bytes of an Arrow type are of."""
    if _is_list(kind) and not pa.types.is_nested(kind.value_type):
        return f"{written_type(kind.value_type)}[]"
    if pa.types.is_nested(kind):
        return "jsonb"
    return next((name for holds, name, _ in SCALARS if holds(kind)), "text")


def as_written(column: pa.Array) -> pa.Array:
    """Return a column as the driver can write it: nested values as JSON, and text without the character NUL.

    PostgreSQL's texts have no NUL; U+FFFD stands for it. JSON has no NaN and no infinity; null stands for them.
    """
    kind = column.type
    if _is_list(kind) and not pa.types.is_nested(kind.value_type):
        return column
    if pa.types.is_nested(kind):
        texts = [None if value is None else json.dumps(_strict(value), default=str) for value in column.to_pylist()]
        return pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array(texts, pa.string()))
    for holds, _, written in SCALARS:
        if holds(kind):
            return column if written in (None, kind) else pc.cast(column, written, safe=False)
    text = column if kind == pa.string() else pc.cast(column, pa.string())
    return pc.replace_substring(text, NUL, STAND_IN) if pc.any(pc.match_substring(text, NUL)).as_py() else text


def _strict(value: Any) -> Any:
    """Return a value as JSON of PostgreSQL can have it."""
    if isinstance(value, dict):
        return {_strict(key): _strict(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(inner) for inner in value]
    if isinstance(value, str):
        return value.replace(NUL, STAND_IN)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
