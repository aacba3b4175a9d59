"""Tensors of the Open Inference Protocol: from and to the fields of the contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...common.errors import RejectedError
from ...contract.schema import MISSING_TEXTS, FieldSpec
from .error_text import quote

NUMBERS = frozenset({"FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"})
#: Those that hold whole numbers beyond 2**24.
WHOLE_NUMBERS = frozenset(name for name in NUMBERS if "INT" in name) | {"FP64"}
#: The JSON types of a tensor's elements by datatype; those of numbers otherwise.
ELEMENT_TYPES: dict[str, set[type]] = {"BYTES": {str, type(None)}, "BOOL": {bool, type(None)}}
NUMBER_TYPES: set[type] = {int, float, type(None)}
#: The smallest and largest number of each datatype that has fewer than JSON.
RANGES: dict[str, tuple[float, float]] = {
    **{f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
    "FP16": (-65504.0, 65504.0),
    "FP32": (-float(np.finfo(np.float32).max), float(np.finfo(np.float32).max)),
}


def _fits(low: float, high: float, *, is_whole: bool) -> Callable[[Any], bool]:
    """Return whether a number, or a missing value, is one of a datatype."""
    if is_whole:
        return lambda value: value is None or (low <= value <= high and value == int(value))
    return lambda value: value is None or low <= value <= high or value - value != 0  # NaN and infinity


FITS = {kind: _fits(*bounds, is_whole="INT" in kind) for kind, bounds in RANGES.items()}
#: Dimensions are smaller; a number of thousands of digits could not even be repeated in a message.
MAX_DIMENSION = 2**63


def datatype(field: FieldSpec) -> str:
    """Return the datatype of a field in metadata and answers.

    Nullable numbers and bools are FP32, the only one of these that has a NaN; a missing whole key is null.
    """
    if field.is_text or field.is_time:
        return "INT64" if field.whole else "BYTES"
    return "FP32" if field.nullable else {"int": "INT64", "bool": "BOOL"}.get(field.kind, "FP32")


def accepted_datatypes(field: FieldSpec) -> frozenset[str]:
    """Return the datatypes that are accepted for a field."""
    if field.is_text or field.is_time:
        return WHOLE_NUMBERS if field.whole else frozenset({"BYTES"})
    return NUMBERS | {"BOOL"} if field.kind == "bool" else NUMBERS


def dimensions(field: FieldSpec) -> list[int]:
    """Return the dimensions of a field's tensor behind that of the rows."""
    return list(field.shape) if field.shape else [] if field.length is None else [field.length]


def column_values(tensor: dict[str, Any], field: FieldSpec) -> list[Any]:
    """Return one value a row, None where it is missing; `RejectedError` if the tensor does not fit the field."""
    name = repr(field.name)
    kind: Any = tensor.get("datatype")
    shape: Any = tensor.get("shape")
    if not isinstance(kind, str) or kind not in accepted_datatypes(field):
        accepted = ", ".join(sorted(accepted_datatypes(field)))
        raise RejectedError(400, f"input {name} has datatype {quote(kind)}; accepted are {accepted}")
    width = field.length or 1
    sizes = dimensions(field)
    shapes = f"[n, {', '.join(map(str, sizes))}]" if sizes else "[n] or [n, 1]"
    allowed_shapes = (sizes,) if sizes else ([], [1])
    if not _is_shape(shape) or shape[1:] not in allowed_shapes:
        text = ", ".join(map(quote, shape)) if isinstance(shape, list) and len(shape) < 5 else quote(shape)
        raise RejectedError(400, f"input {name} has shape [{text}]; expected {shapes}")
    if "data" not in tensor:
        raise RejectedError(400, f"input {name} has neither 'data' nor 'binary_data_size'")
    data = flat(tensor["data"], 1 + max(1, field.depth))
    if data is None or len(data) != shape[0] * width:
        count = "no list of values" if data is None else f"{len(data)} values"
        raise RejectedError(400, f"the data of input {name}: {count}, where the shape {shape} needs {shape[0] * width}")
    if set(map(type, data)) - (allowed := ELEMENT_TYPES.get(kind, NUMBER_TYPES)):
        invalid = next(value for value in data if type(value) not in allowed)
        raise RejectedError(400, f"the data of input {name} has {quote(invalid)}, which is not {kind}")
    check = FITS.get(kind)
    if check and not all(map(check, data)):
        invalid = next(value for value in data if not check(value))
        raise RejectedError(400, f"the data of input {name} has {quote(invalid)}, which does not fit {kind}")
    if sizes:
        return [_vector(data[start : start + width], field) for start in range(0, len(data), width)]
    return [_value(value, field) for value in data]


def array_data(array: np.ndarray) -> Any:
    """Return predictions as flat data; orjson writes NaN as null."""
    return array.tolist() if array.dtype == object else np.ascontiguousarray(array).ravel()


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, list) and bool(shape) and all(_is_size(size) for size in shape)


def _is_size(size: Any) -> bool:
    # 2.0 is a whole number in JSON, and some clients write all numbers so.
    return type(size) in (int, float) and 0 <= size < MAX_DIMENSION and size == int(size)


def flat(data: Any, depth: int = 3) -> list[Any] | None:
    """Return data as a flat list; None if it is not a list, or has more dimensions."""
    if not isinstance(data, list):
        return None
    for _ in range(depth):
        if not any(isinstance(part, list) for part in data):
            return data
        data = [value for part in data for value in (part if isinstance(part, list) else [part])]
    return None


def _vector(values: list[Any], field: FieldSpec) -> list[Any] | None:
    """Return the value of a vector or matrix; None if all of its numbers are missing and it may be missing."""
    if field.nullable and all(value is None or value != value for value in values):
        return None
    if field.shape is None:
        return values
    size = field.shape[1]
    return [values[start : start + size] for start in range(0, len(values), size)]


def _value(value: Any, field: FieldSpec) -> Any:
    if value in MISSING_TEXTS and value not in field.categories if isinstance(value, str) else value != value:
        return None
    return bool(value) if field.kind == "bool" and value in (0, 1) else value
