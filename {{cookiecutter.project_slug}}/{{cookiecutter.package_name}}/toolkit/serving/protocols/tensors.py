"""Tensors of the Open Inference Protocol: from and to the fields of the contract."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...common.errors import RejectedError
from ...contract.schema import FieldSpec
from . import shown

#: What a field is called in metadata and answers.
DATATYPES = {"float": "FP32", "vector": "FP32", "int": "INT64", "bool": "BOOL", "category": "BYTES"}
NUMBERS = frozenset({"FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"})
#: What is taken for a field of each kind.
TAKEN = {
    "float": NUMBERS,
    "vector": NUMBERS,
    "int": NUMBERS,
    "bool": NUMBERS | {"BOOL"},
    "category": frozenset({"BYTES"}),
}
#: The JSON values of a tensor's data; anything else is no data of it.
ELEMENTS: dict[str, set[type]] = {"BYTES": {str, type(None)}, "BOOL": {bool, type(None)}}
NUMERIC: set[type] = {int, float, type(None)}
#: No dimension is larger; a number of thousands of digits could not even be repeated in a message.
LARGEST = 2**63


def datatype(column: FieldSpec) -> str:
    """Return the datatype of a field; what may be missing is FP32 unless it is a word."""
    return "FP32" if column.nullable and column.kind != "category" else DATATYPES[column.kind]


def column_values(tensor: dict[str, Any], column: FieldSpec) -> list[Any]:
    """Return one value a row, None where it is missing; `RejectedError` if it is no tensor for this field."""
    name = repr(column.name)
    kind: Any = tensor.get("datatype")
    shape: Any = tensor.get("shape")
    if not isinstance(kind, str) or kind not in TAKEN[column.kind]:
        taken = ", ".join(sorted(TAKEN[column.kind]))
        raise RejectedError(400, f"input {name} has datatype {shown(kind)}; taken for it: {taken}")
    width = column.length or 1
    shapes = f"[n, {width}]" if column.length is not None else "[n] or [n, 1]"
    allowed_shapes = ([width],) if column.length is not None else ([], [1])
    if not _is_shape(shape) or shape[1:] not in allowed_shapes:
        said = ", ".join(map(shown, shape)) if isinstance(shape, list) and len(shape) < 5 else shown(shape)
        raise RejectedError(400, f"input {name} has shape [{said}]; expected {shapes}")
    if "data" not in tensor:
        raise RejectedError(400, f"input {name} has no 'data'; binary tensors are not supported, send it as JSON")
    data = _flat(tensor["data"])
    if data is None or len(data) != shape[0] * width:
        count = "no list of values" if data is None else f"{len(data)} values"
        raise RejectedError(400, f"the data of input {name}: {count}, where the shape {shape} needs {shape[0] * width}")
    if set(map(type, data)) - (allowed := ELEMENTS.get(kind, NUMERIC)):
        wrong = next(value for value in data if type(value) not in allowed)
        raise RejectedError(400, f"the data of input {name} has {shown(wrong)}, which is no {kind}")
    if column.length is not None:
        return [data[start : start + width] for start in range(0, len(data), width)]
    return [_value(value, column) for value in data]


def array_data(array: np.ndarray) -> Any:
    """Return predictions as flat data; NaN becomes null when it is written."""
    return array.tolist() if array.dtype == object else np.ascontiguousarray(array).ravel()


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, list) and bool(shape) and all(_is_size(size) for size in shape)


def _is_size(size: Any) -> bool:
    # 2.0 is a whole number in JSON, and some clients know no other numbers.
    return type(size) in (int, float) and 0 <= size < LARGEST and size == int(size)


def _flat(data: Any) -> list[Any] | None:
    """Return data as a flat list; None if it is no list, or one of more than two dimensions."""
    if not isinstance(data, list):
        return None
    if not any(isinstance(part, list) for part in data):
        return data
    flat = [value for part in data for value in (part if isinstance(part, list) else [part])]
    return None if any(isinstance(value, list) for value in flat) else flat


def _value(value: Any, column: FieldSpec) -> Any:
    if value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    return bool(value) if column.kind == "bool" and value in (0, 1) else value
